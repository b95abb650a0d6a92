// What the workers have counted, by EIP and rule: slots and chunks of now, and what earlier ones had counted.
#include <algorithm>
#include <cassert>
#include <map>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "control/publish/publisher.h"

namespace portcullis::publish {

namespace {

// Finds rules of a list by their names.
class NamedRules {
 public:
  explicit NamedRules(const model::PermitList& list) {
    rules_.reserve(list.size());
    for (const model::PermitRule& rule : list) rules_.push_back(&rule);
    std::ranges::sort(rules_, {}, name_of);
  }
  // Whether that very rule is among them.
  [[nodiscard]] bool has(const model::PermitRule& rule) const {
    const auto found = std::ranges::lower_bound(rules_, rule.name, {}, name_of);
    return found != rules_.end() && **found == rule;
  }

 private:
  static const std::string& name_of(const model::PermitRule* rule) { return rule->name; }
  std::vector<const model::PermitRule*> rules_;
};

}  // namespace

void Publisher::forget_hits(Bound& bound, const model::PermitList& next) {
  if (bound.earlier_hits.empty()) return;
  const NamedRules stay(next);
  std::unordered_set<std::string_view> unchanged;
  for (const model::PermitRule& rule : bound.binding.permit)
    if (stay.has(rule)) unchanged.insert(rule.name);
  std::erase_if(bound.earlier_hits, [&](const auto& hits) { return !unchanged.contains(hits.first); });
}

// Hits of a rule that is gone, or is another one now, are nobody's.
void Publisher::inherit(Bound& bound, const Retired& retired) const {
  const Placement& placement = retired.placement;
  bound.earlier_traffic += traffic_of(placement.slot) - placement.traffic_before;
  const Hits hits = hits_of(placement, placement.hits_before.size());
  if (hits == placement.hits_before) return;
  const NamedRules now(bound.binding.permit);
  const compile::CompiledRules rules = compile::compile_rules(retired.permit, retired.eip.family());
  for (size_t i = 0; i < rules.size(); ++i)
    if (hits[i] != placement.hits_before[i] && now.has(*rules[i].of))
      bound.earlier_hits[rules[i].of->name] += hits[i] - placement.hits_before[i];
}

EipStatistics Publisher::statistics(const IpAddr& eip) const {
  assert(!enforced_);
  const auto found = bindings_.find(eip);
  if (found == bindings_.end()) return {};
  const Bound& bound = found->second;

  Traffic traffic = bound.earlier_traffic;
  traffic += traffic_of(bound.placement.slot) - bound.placement.traffic_before;
  EipStatistics statistics{.in_packets = traffic.in_packets,
                           .in_bytes = traffic.in_bytes,
                           .out_packets = traffic.out_packets,
                           .out_bytes = traffic.out_bytes,
                           .flow_entries = flows_of(bound.id),
                           .rules = {}};
  std::map<std::string, uint64_t> hits_by_rule = bound.earlier_hits;
  const compile::CompiledRules rules = compile::compile_rules(bound.binding.permit, eip.family());
  const Hits hits = hits_of(bound.placement, rules.size());
  for (size_t i = 0; i < rules.size(); ++i)
    hits_by_rule[rules[i].of->name] += hits[i] - bound.placement.hits_before[i];
  for (auto& [rule, packets] : hits_by_rule) statistics.rules.push_back({rule, packets});
  return statistics;
}

std::string Publisher::rule_at(const IpAddr& eip, RuleHit hit) const {
  assert(!enforced_);
  const auto found = bindings_.find(eip);
  if (found == bindings_.end() || !hit.is_one()) return {};
  const Bound& bound = found->second;
  const compile::CompiledRules rules = compile::compile_rules(bound.binding.permit, eip.family());
  for (uint32_t i = 0; i < rules.size(); ++i) {
    const bool is_inline = i < inline_permit_rules;
    const uint32_t counter = is_inline ? i : bound.placement.permit.chunk_hit(i);
    if (hit.is_inline() == is_inline && hit.counter() == counter) return rules[i].of->name;
  }
  return {};
}

uint64_t Publisher::flows_of(const IpAddr& eip) const {
  const auto found = bindings_.find(eip);
  return found == bindings_.end() ? 0 : flows_of(found->second.id);
}

Totals Publisher::totals() const {
  assert(!enforced_);
  return {.local = bindings_.size(),
          .edge = in_edge_view_,
          .permit_chunks_used = uint64_t{tables_->permit.capacity()} - tables_->permit.free_chunks()};
}

uint64_t Publisher::flows_of(BindingId id) const {
  uint64_t flows = 0;
  for (const Worker* worker : workers_) flows += worker->flows_of(id);
  return flows;
}

Publisher::Traffic& Publisher::Traffic::operator+=(const Traffic& other) {
  in_packets += other.in_packets;
  in_bytes += other.in_bytes;
  out_packets += other.out_packets;
  out_bytes += other.out_bytes;
  return *this;
}

Publisher::Traffic Publisher::Traffic::operator-(const Traffic& other) const {
  return {.in_packets = in_packets - other.in_packets,
          .in_bytes = in_bytes - other.in_bytes,
          .out_packets = out_packets - other.out_packets,
          .out_bytes = out_bytes - other.out_bytes};
}

Publisher::Traffic Publisher::traffic_of(Slot slot) const {
  Traffic sum;
  for (const Worker* worker : workers_) {
    const SlotCounters& counters = worker->counters().slots[slot];
    sum += {.in_packets = counters.in_packets.get(),
            .in_bytes = counters.in_bytes.get(),
            .out_packets = counters.out_packets.get(),
            .out_bytes = counters.out_bytes.get()};
  }
  return sum;
}

// Hits of the first `rules` compiled rules of a placement, over all workers. Its chunks must not be free yet.
Publisher::Hits Publisher::hits_of(const Placement& placement, size_t rules) const {
  Hits hits(rules, 0);
  for (const Worker* worker : workers_) {
    const WorkerCounters& counters = worker->counters();
    for (uint32_t i = 0; i < rules; ++i)
      hits[i] += i < inline_permit_rules ? counters.slots[placement.slot].rule_hits[i].get()
                                         : counters.chunk_hits[placement.permit.chunk_hit(i)].get();
  }
  return hits;
}

}  // namespace portcullis::publish
