#include "bench/pps/verify.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <string>

#include "bench/pps/progress.h"

namespace portcullis::bench {
namespace {

// In each burst, so many packets that must be dropped stand among the others.
constexpr uint32_t denied_in_burst = 4;

class Verifier {
 public:
  Verifier(RingRig& rig, FlowSource* flows) : rig_(rig), flows_(flows) {}

  // One burst of one way: what must come out does, in order and byte for byte, nothing else does, and the
  // counters say why.
  Expected<void> burst(Way way, std::span<const Packet> packets) {
    rig_.reset_balance();
    rig_.send(way, packets);
    rig_.poll(poller_);
    const auto frames = rig_.collect(way);
    auto result = compare(packets, frames);
    if (result) result = rig_.balance();
    if (!result)
      result.error().message += " (in a burst that begins with packet " + std::to_string(packets[0].number) +
                                (way == Way::in ? ", in)" : ", out)");
    return result;
  }

 private:
  Expected<void> compare(std::span<const Packet> packets, std::span<rte_mbuf* const> frames) {
    size_t next = 0;
    for (const Packet& packet : packets) {
      if (packet.drop) continue;
      const bool is_next = next < frames.size() && number_of(frame_of(frames[next])) == packet.number;
      if (!is_next) {
        if (!packet.may_be_refused) return wrong(packet, "did not come out");
        if (flows_ != nullptr) flows_->refuse(packet.number);
        continue;
      }
      const rte_mbuf* mbuf = frames[next++];
      const std::span expected(expected_, packet.length);
      write_expected(packet, expected);
      if (mbuf->pkt_len != packet.length) return wrong(packet, "came out with another length");
      const auto at = std::mismatch(expected.begin(), expected.end(), frame_of(mbuf)).first;
      if (at != expected.end())
        return wrong(packet, "came out wrong at byte " + std::to_string(at - expected.begin()));
    }
    if (next != frames.size())
      return fail(ErrorCode::internal, std::to_string(frames.size() - next) +
                                           " packets came out that should not have, or out of order");
    return {};
  }

  static Unexpected wrong(const Packet& packet, const std::string& how) {
    return fail(ErrorCode::internal, "packet " + std::to_string(packet.number) + " " + how);
  }

  RingRig& rig_;
  FlowSource* flows_;  // to refuse; may be null
  PlainPoller poller_;
  uint8_t expected_[largest_frame];
};

// Every flow once by one way.
Expected<void> verify_way(RingRig& rig, Verifier& verifier, FlowSource& source, Way way, Progress& progress) {
  const uint64_t period = source.period();
  std::array<Packet, burst_size> packets;
  for (uint64_t n = 0; n < period;) {
    progress.at(n, period);
    uint32_t count = 0;
    while (count < burst_size - denied_in_burst && n < period) {
      const Packet packet = source.at(way, n++);
      if (!source.is_refused(packet.number)) packets[count++] = packet;
    }
    if (count == 0) continue;
    for (uint32_t k = 0; k < denied_in_burst; ++k) {
      const uint32_t at = (k * 17 + static_cast<uint32_t>(n)) % count;
      packets[count] = packets[at];
      packets[at] = source.denied(packets[at]);
      ++count;
    }
    if (auto done = verifier.burst(way, std::span(packets).first(count)); !done) return done;
    rig.release();
  }
  return {};
}

}  // namespace

Expected<void> verify_flows(RingRig& rig, FlowSource& source, const Workload& workload) {
  Progress progress("verifying");
  Verifier verifier(rig, &source);
  const bool opens = workload.work == Work::tracked || workload.work == Work::flood;
  const std::vector<Way> ways = opens ? std::vector{Way::out, Way::in} : workload.ways;
  for (const Way way : ways)
    if (auto done = verify_way(rig, verifier, source, way, progress); !done) return done;
  return {};
}

Expected<void> verify_storm(RingRig& rig, StormSource& source, uint32_t turns) {
  Progress progress("verifying");
  Verifier verifier(rig, nullptr);
  std::array<Packet, burst_size> packets;
  for (uint32_t turn = 0; turn < turns; ++turn) {
    progress.at(turn, turns);
    for (const Way way : {Way::out, Way::in}) {
      const uint32_t count = source.fill(way, packets);
      if (count == 0) continue;
      if (auto done = verifier.burst(way, std::span(packets).first(count)); !done) return done;
      // What came out is still in the rig's hands: the storm answers it.
      source.came_out(way, rig.collected());
      rig.release();
    }
  }
  return {};
}

}  // namespace portcullis::bench
