#include "tests/model/rehearsal_check.h"

#include <cstring>
#include <string_view>

#include "dataplane/worker_state.h"
#include "tests/model/passage_check.h"

namespace portcullis::testing {
namespace {

using reference::Fate;

// All that workers write, as one number: any changed word changes it.
class Trace {
 public:
  explicit Trace(const GatewayUnderTest& gateway) {
    for (const auto& worker : gateway.workers()) add(worker->state(), gateway.tables());
  }
  friend bool operator==(const Trace&, const Trace&) = default;

 private:
  void add_word(uint64_t word) { sum_ = (sum_ ^ word) * 0x9e3779b97f4a7c15u; }
  // By words and not by bytes: this is most of the work of a rehearsal.
  template <typename T>
  void add(const T& value) {
    static_assert(sizeof value % sizeof(uint64_t) == 0);
    const auto* const bytes = reinterpret_cast<const uint8_t*>(&value);
    for (size_t at = 0; at < sizeof value; at += sizeof(uint64_t)) {
      uint64_t word;
      std::memcpy(&word, bytes + at, sizeof word);
      add_word(word);
    }
  }

  void add(WorkerState& worker, const Tables& tables) {
    const WorkerCounters& counters = worker.counters;
    add(counters.ports);
    add(counters.dropped);
    for (const Counter* counter : {&counters.originated, &counters.punted, &counters.held,
                                   &counters.handed_over, &counters.taken_over, &counters.polls})
      add(*counter);
    for (Slot slot = 0; slot < tables.binding.capacity(); ++slot) add(counters.slots[slot]);
    for (uint32_t hit = 0; hit < tables.permit.capacity() * permit_chunk_rules; ++hit)
      add(counters.chunk_hits[hit]);
    worker.flows.for_each([&](const FlowEntry& entry) { add(entry); });
    worker.flows6.for_each([&](const FlowEntry6& entry) { add(entry); });
    for (const uint64_t word :
         {worker.flows.version(), worker.flows.size(), worker.flows6.version(), worker.flows6.size()})
      add_word(word);
    for (uint32_t n = 0; n < worker.fragments.capacity(); ++n) add(worker.fragments.entry(n));
    for (uint32_t n = 0; n < worker.fragments6.capacity(); ++n) add(worker.fragments6.entry(n));
    for (const PortId port : tables.ports.in_use) {
      add(worker.punt_meters[port]);
      add(worker.next_hop_meters[port]);
      add_word(worker.transmit[port].count);
    }
  }

  uint64_t sum_ = 0;
};

std::string name_of(Fate fate) {
  constexpr const char* names[] = {"transmitted", "answered", "punted", "dropped"};
  return names[static_cast<size_t>(fate)];
}

std::string reason_of(const Rehearsal& rehearsal) {
  return rehearsal.reason() ? std::string(describe(*rehearsal.reason()).name) : std::string();
}

}  // namespace

void RehearsalCheck::rehearse(GatewayUnderTest& gateway, uint32_t receiver, reference::PortNumber in,
                              const reference::Arrival& arrival, uint64_t now_ms,
                              std::vector<std::string>& wrong) {
  rehearsal_.reset();
  if (arrival.first_segment != 0) return;  // in several buffers: a rehearsed frame lies in one
  const PortId port = gateway.port_id(in);
  rehearsal_ = std::make_unique<Rehearsal>(port, arrival.bytes, static_cast<uint16_t>(arrival.headroom));
  const auto& workers = gateway.workers();
  const Trace before(gateway);
  workers[receiver]->carry_out(*rehearsal_, now_ms);
  if (rehearsal_->fate() == Verdict::handed_over)
    workers[rehearsal_->owner()]->carry_out(*rehearsal_, now_ms);
  if (Trace(gateway) != before) wrong.emplace_back("a rehearsal has left a trace");
}

void RehearsalCheck::compare(const GatewayUnderTest& gateway, const reference::Setup& setup,
                             const reference::Verdict& verdict, SourcePorts& source_ports,
                             std::vector<std::string>& wrong) {
  if (!rehearsal_) return;
  const Fate fate = fate_of(rehearsal_->fate());
  const std::string reason = reason_of(*rehearsal_);
  // Queues move on before the frame comes to them, and that of another worker is not looked at.
  if (reason == "transmit_full" || verdict.reason == "transmit_full") return;
  ++events_["rehearsed: " + (reason.empty() ? name_of(fate) : reason)];
  if (fate != verdict.fate || reason != verdict.reason) {
    wrong.push_back("rehearsed as " + name_of(fate) + " " + reason + ", but the reference says " +
                    name_of(verdict.fate) + " " + verdict.reason);
    return;
  }
  const PassedStage& last = rehearsal_->stages().back();
  if (last.reason && describe(*last.reason).stage != last.stage)
    wrong.push_back("rehearsed as dropped for " + reason + " by " + std::string(last.stage));
  compare_rules(gateway, *rehearsal_, verdict, "rehearsed as " + name_of(fate) + " " + reason, wrong);
  if (fate == Fate::dropped) return;
  const std::span<const uint8_t> frame = rehearsal_->frame();
  Bytes bytes(frame.begin(), frame.end());
  if (fate != Fate::punted) {
    if (rehearsal_->out_port() != gateway.port_id(verdict.port))
      wrong.push_back("rehearsed as leaving by port " + std::to_string(rehearsal_->out_port()));
    bytes = source_ports.without(setup.ports[verdict.port], std::move(bytes), wrong);
  }
  if (bytes != verdict.bytes) wrong.emplace_back("rehearsed with other bytes than what leaves");
}

}  // namespace portcullis::testing
