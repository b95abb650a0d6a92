#include "bench/pps/verify.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <string>
#include <vector>

#include "bench/pps/progress.h"

namespace portcullis::bench {
namespace {

// In each burst, so many packets that must be dropped stand among the others.
constexpr uint32_t denied_in_burst = 4;

Unexpected wrong(const Packet& packet, const std::string& how) {
  return fail(ErrorCode::internal, "packet " + std::to_string(packet.number) + " " + how);
}

Expected<void> compare(const Packet& packet, const rte_mbuf* mbuf) {
  std::array<uint8_t, largest_frame> bytes;
  const auto expected = std::span(bytes).first(packet.length);
  write_expected(packet, expected);
  if (mbuf->pkt_len != packet.length) return wrong(packet, "came out with another length");
  const auto at = std::mismatch(expected.begin(), expected.end(), frame_of(mbuf)).first;
  if (at != expected.end())
    return wrong(packet, "came out wrong at byte " + std::to_string(at - expected.begin()));
  return {};
}

class Verifier {
 public:
  Verifier(std::span<RingRig* const> rigs, FlowSource* flows) : rigs_(rigs), flows_(flows) {}

  // One burst of one way to one of the workers: what must come out does, in order, byte for byte and at its
  // owner's, nothing else does, and the counters say why.
  Expected<void> burst(uint32_t worker, Way way, std::span<const Packet> packets) {
    for (RingRig* rig : rigs_) rig->reset_balance();
    rigs_[worker]->send(way, packets);
    rigs_[worker]->poll(poller_);
    // They take over what it has handed to them.
    for (RingRig* rig : rigs_)
      if (rig != rigs_[worker]) rig->poll(poller_);
    Expected<void> result;
    for (uint32_t owner = 0; owner < rigs_.size() && result; ++owner)
      result = compare_of(owner, packets, rigs_[owner]->collect(way));
    if (result) result = balance();
    if (!result)
      result.error().message += " (in a burst that begins with packet " + std::to_string(packets[0].number) +
                                (way == Way::in ? ", in)" : ", out)");
    return result;
  }

  void release() {
    for (RingRig* rig : rigs_) rig->release();
  }

 private:
  Expected<void> compare_of(uint32_t owner, std::span<const Packet> packets,
                            std::span<rte_mbuf* const> frames) {
    size_t next = 0;
    for (const Packet& packet : packets) {
      if (packet.drop || owner_of(packet, static_cast<uint32_t>(rigs_.size())) != owner) continue;
      const bool is_next = next < frames.size() && number_of(frame_of(frames[next])) == packet.number;
      if (!is_next) {
        if (!packet.may_be_refused) return wrong(packet, "did not come out");
        if (flows_ != nullptr) flows_->refuse(packet.number);
        continue;
      }
      if (auto done = compare(packet, frames[next++]); !done) return done;
    }
    if (next != frames.size())
      return fail(ErrorCode::internal, std::to_string(frames.size() - next) +
                                           " packets came out that should not have, or out of order");
    return {};
  }

  Expected<void> balance() const {
    std::vector<Ledger> ledgers;
    ledgers.reserve(rigs_.size());
    for (const RingRig* rig : rigs_) ledgers.push_back(rig->ledger());
    return Ledger::balance(ledgers);
  }

  std::span<RingRig* const> rigs_;
  FlowSource* flows_;  // to refuse; may be null
  PlainPoller poller_;
};

// Every flow that arrives at one of the workers, once by one way.
Expected<void> verify_way(Verifier& verifier, FlowSource& source, Way way, Progress& progress,
                          uint32_t worker, auto&& arrives) {
  const uint64_t period = source.period();
  std::array<Packet, burst_size> packets;
  for (uint64_t n = 0; n < period;) {
    progress.at(n, period);
    uint32_t count = 0;
    while (count < burst_size - denied_in_burst && n < period) {
      const Packet packet = source.at(way, n++);
      if (arrives(packet) && !source.is_refused(packet.number)) packets[count++] = packet;
    }
    if (count == 0) continue;
    for (uint32_t k = 0; k < denied_in_burst; ++k) {
      const uint32_t at = (k * 17 + static_cast<uint32_t>(n)) % count;
      packets[count] = packets[at];
      packets[at] = source.denied(packets[at]);
      ++count;
    }
    if (auto done = verifier.burst(worker, way, std::span(packets).first(count)); !done) return done;
    verifier.release();
  }
  return {};
}

}  // namespace

Expected<void> verify_flows(std::span<RingRig* const> rigs, FlowSource& source, const Workload& workload) {
  Progress progress("verifying");
  Verifier verifier(rigs, &source);
  const auto workers = static_cast<uint32_t>(rigs.size());
  const bool opens = workload.work == Work::tracked || workload.work == Work::flood;
  const std::vector<Way> ways = opens ? std::vector{Way::out, Way::in} : workload.ways;
  for (const Way way : ways)
    for (uint32_t worker = 0; worker < workers; ++worker) {
      const auto arrives = [&](const Packet& packet) {
        return arrives_at(packet, workers, workload.unspread) == worker;
      };
      if (auto done = verify_way(verifier, source, way, progress, worker, arrives); !done) return done;
    }
  if (source.refused() * 100 > workload.flows)
    return fail(
        ErrorCode::resource_exhausted,
        std::to_string(source.refused()) + " flows found no room in the flow table; raise --flow-slots");
  return {};
}

Expected<void> verify_storm(RingRig& rig, StormSource& source, uint32_t turns) {
  Progress progress("verifying");
  RingRig* const rigs[] = {&rig};
  Verifier verifier(rigs, nullptr);
  std::array<Packet, burst_size> packets;
  for (uint32_t turn = 0; turn < turns; ++turn) {
    progress.at(turn, turns);
    for (const Way way : {Way::out, Way::in}) {
      const uint32_t count = source.fill(way, packets);
      if (count == 0) continue;
      if (auto done = verifier.burst(0, way, std::span(packets).first(count)); !done) return done;
      // What came out is still in the rig's hands: the storm answers it.
      source.came_out(way, rig.collected());
      rig.release();
    }
  }
  return {};
}

void CheckedSource::came_out(Way way, std::span<rte_mbuf* const> frames) {
  for (const rte_mbuf* mbuf : frames) {
    if (!fault_.empty()) return;
    const Packet packet = flows_.of_flow(way, number_of(frame_of(mbuf)));
    if (owner_of(packet, workers_) != worker_)
      fault_ = "packet " + std::to_string(packet.number) + " came out at a worker that does not own it";
    else if (auto done = compare(packet, mbuf); !done)
      fault_ = done.error().message;
  }
}

}  // namespace portcullis::bench
