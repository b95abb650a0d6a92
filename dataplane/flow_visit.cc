#include "dataplane/flow_visit.h"

#include <algorithm>

#include "dataplane/entry_life.h"
#include "dataplane/worker_state.h"

namespace portcullis {
namespace {

// Places of a table in a step: about as many bytes as a burst of packets.
constexpr uint32_t places_a_step = 512;

std::optional<IpAddr> eip_of(const FlowEntry& entry, const Tables&) {
  return IpAddr(entry.key.local);
}
// Its key names the binding. None: it is bound no more.
std::optional<IpAddr> eip_of(const FlowEntry6& entry, const Tables& tables) {
  const IndexEntry slot = tables.binding.slot_of(entry.key.local);
  if (!slot.is_bound()) return std::nullopt;
  return tables.binding.eip(slot.slot());
}

}  // namespace

FlowVisit::FlowVisit(What what, const FlowFilter& filter, FlowCursor from, size_t most)
    : what_(what), filter_(filter), cursor_(from), most_(most) {
  flows_.reserve(most);
}

bool FlowVisit::run(WorkerState& worker, uint64_t now_ms) noexcept {
  uint32_t left = places_a_step;
  if (!cursor_.ipv6) {
    if (visit<stages::Ipv4>(worker, now_ms, left)) return true;
    if (left == 0) return false;
    cursor_ = {.ipv6 = true, .index = 0};
  }
  if (visit<stages::Ipv6>(worker, now_ms, left)) return true;
  if (left == 0) return false;
  is_over_ = true;
  return true;
}

// From the cursor on, as long as there are places left for this step. True: as many are listed as shall be.
template <typename Family>
bool FlowVisit::visit(WorkerState& worker, uint64_t now_ms, uint32_t& left) {
  auto& flows = Family::flows(worker);
  for (; left != 0 && cursor_.index < flows.capacity(); ++cursor_.index, --left) {
    if (!flows.holds(cursor_.index)) continue;
    const auto& entry = flows.entry(cursor_.index);
    if (!is_wanted(entry, worker.tables)) continue;
    if (what_ == What::clear) {
      flows.erase(cursor_.index);
      ++cleared_;
      continue;
    }
    if (is_dead<Family>(entry, worker.tables, now_ms)) continue;
    const std::optional<IpAddr> eip = eip_of(entry, worker.tables);
    if (!eip) continue;
    if (flows_.size() == most_) return true;
    flows_.push_back({.eip = *eip,
                      .remote = entry.key.remote,
                      .local_port = entry.key.local_port.host(),
                      .remote_port = entry.key.remote_port.host(),
                      .protocol = entry.key.protocol,
                      .opened = entry.opened,
                      .state = entry.state,
                      .expires_in_ms = entry.expires_ms - now_ms});
  }
  return false;
}

template <typename Tuple>
bool FlowVisit::is_wanted(const BasicFlowEntry<Tuple>& entry, const Tables& tables) const {
  const Tuple& key = entry.key;
  return (!filter_.eip || eip_of(entry, tables) == filter_.eip) &&
         (!filter_.remote || filter_.remote->contains(IpAddr(key.remote))) &&
         filter_.protocol.value_or(key.protocol) == key.protocol &&
         filter_.local_port.value_or(key.local_port.host()) == key.local_port.host() &&
         filter_.remote_port.value_or(key.remote_port.host()) == key.remote_port.host();
}

}  // namespace portcullis
