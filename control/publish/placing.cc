// What a binding takes of the tables, and gives back.
#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "control/publish/publisher.h"
#include "src/base/ahead.h"

namespace portcullis::publish {

using compile::CompiledBinding;
using compile::CompiledRule;

namespace {

// How many resting ids are looked at for one whose last owner's flow entries are all gone.
constexpr size_t id_search = 64;

// As the data plane compares it; `tag`: the number of the one that it names, if it names one.
template <typename Rule>
Rule compared(const CompiledRule& compiled, TagId tag);
template <>
PermitRule compared(const CompiledRule& compiled, TagId tag) {
  PermitRule rule = compiled.rule;
  if (compiled.tag != nullptr) rule.remote = tag;
  return rule;
}
template <>
PermitRule6 compared(const CompiledRule& compiled, TagId tag) {
  PermitRule6 rule{compiled.rule, {}};
  if (compiled.tag != nullptr)
    rule.match.remote = tag;
  else
    rule.remote = compiled.remote.v6();
  return rule;
}

}  // namespace

void Publisher::prefetch_slot(IpFamily family, size_t after) const {
  const std::optional<Slot> slot = tables_->binding.coming_slot(family, after);
  if (!slot) return;
  prefetch_object(tables_->binding.record(*slot));
  for (const Worker* worker : workers_) prefetch_object(worker->counters().slots[*slot]);
}

// However it ends, nothing is left half there. What its slot has counted is not this binding's.
Expected<Publisher::Placement> Publisher::place(const CompiledBinding& binding, BindingId id) {
  Placement placement;
  const auto give_back = [&] { retire({std::move(placement), binding.eip, no_binding, {}}); };
  try {
    if (auto filled = fill_placement(binding, id, placement); !filled) {
      give_back();
      return Unexpected(std::move(filled.error()));
    }
  } catch (...) {
    give_back();
    throw;
  }
  return placement;
}

Expected<void> Publisher::fill_placement(const CompiledBinding& binding, BindingId id, Placement& placement) {
  const auto port = port_ids_.find(binding.port);
  if (port == port_ids_.end())
    return fail(ErrorCode::invalid_argument, "no port is named '" + binding.port + "'");
  if (!with_room([&] { return tables_->binding.take_slot(binding.eip.family(), placement.slot); })) {
    placement.slot = no_slot;
    return fail(ErrorCode::resource_exhausted, "no slot is free for its record");
  }
  const auto tag_set = with_room([&] { return acquire_tag_set(binding.tags); });
  if (!tag_set) return Unexpected(tag_set.error());
  placement.tags = binding.tags;

  BindingRecord record;
  record.link = port->second;
  if (!std::holds_alternative<std::monostate>(binding.encapsulation)) {
    const LinkPlace link{port->second, binding.encapsulation};
    const auto acquired = with_room([&] { return links_.acquire(link); });
    if (!acquired) return Unexpected(acquired.error());
    placement.link = link;
    record.link = *acquired;
  }
  const auto [terms, stamp] = compile::flow_terms(binding, flow_quota_);
  if (binding.eip.is_v4()) {
    const auto rules = place_rules<PermitRule>(binding, placement);
    if (!rules) return Unexpected(rules.error());
    const std::span<const PermitRule> all(rules->data(), rules->size());
    record.rules = PermitQuad(all.first(std::min<size_t>(all.size(), inline_permit_rules)));
    record.ipv4 = {.eip = binding.eip.v4(), .dip = binding.dip.v4(), .terms = terms};
    record.to_public.replace(record.ipv4.dip, record.ipv4.eip);
    record.to_private.replace(record.ipv4.eip, record.ipv4.dip);
    for (const PermitRule& rule : all) record.kinds.add(rule);
    record.set_rule_count(all.size());
  } else {
    const auto rules = place_rules<PermitRule6>(binding, placement);
    if (!rules) return Unexpected(rules.error());
    std::construct_at(&record.ipv6, Ipv6Endpoint{.eip = binding.eip.v6(), .dip = binding.dip.v6()});
    const std::span<const PermitRule6> all(rules->data(), rules->size());
    put_rules(all, record.rules, tables_->binding.writable_rests(placement.slot));
    for (const PermitRule6& rule : all.first(std::min<size_t>(all.size(), inline_permit_rules)))
      if (PermitRests::has(rule)) record.kinds.add_rests();
    record.to_public.replace(record.ipv6.dip, record.ipv6.eip);
    record.to_private.replace(record.ipv6.eip, record.ipv6.dip);
    for (const PermitRule6& rule : all) record.kinds.add(rule.match);
    record.set_rule_count(all.size());
    tables_->binding.writable_ipv6_terms(placement.slot) = terms;
  }
  record.mac = binding.mac;
  record.id = id;
  record.tags = *tag_set;
  record.stamp = stamp;
  record.chunk = placement.permit.first;
  tables_->binding.writable(placement.slot) = record;
  placement.traffic_before = traffic_of(placement.slot);
  placement.hits_before = hits_of(placement, record.rule_count);
  return {};
}

// A list as workers read it, of which what no record holds is stored.
template <typename Rule>
Expected<Publisher::Rules<Rule>> Publisher::place_rules(const CompiledBinding& binding,
                                                        Placement& placement) {
  const compile::CompiledRules compiled = compile::compile_rules(binding.permit, binding.eip.family());
  Rules<Rule> rules;
  rules.reserve(compiled.size());
  for (const CompiledRule& rule : compiled) {
    TagId tag{};
    if (rule.tag != nullptr) {
      model::TagKey key(binding.tenant, *rule.tag);
      tag = acquire_tag(key);
      placement.rule_tags.push_back(std::move(key));
    }
    rules.push_back(compared<Rule>(rule, tag));
  }
  auto place =
      with_room([&] { return tables_->permit.store(std::span<const Rule>(rules.data(), rules.size())); });
  if (!place) return Unexpected(std::move(place.error()));
  placement.permit = std::move(*place);
  return rules;
}

void Publisher::retire(Retired retired) {
  release_tag_set(retired.placement.tags);
  for (const model::TagKey& tag : retired.placement.rule_tags) release_tag(tag);
  if (retired.placement.link) links_.release(*retired.placement.link);
  limbo_.placements.push_back(std::move(retired));
}

TagId Publisher::acquire_tag(const model::TagKey& key) {
  const auto [tag, is_new] = tags_.try_emplace(key, Tag{0, 0});
  if (is_new) {
    if (free_tags_.empty()) {
      tag->second.id = ++tags_ever_;
    } else {
      tag->second.id = free_tags_.back();
      free_tags_.pop_back();
    }
  }
  ++tag->second.users;
  return tag->second.id;
}

void Publisher::release_tag(const model::TagKey& key) {
  const auto tag = tags_.find(key);
  if (--tag->second.users != 0) return;
  limbo_.tags.push_back(tag->second.id);
  tags_.erase(tag);
}

Expected<TagSetId> Publisher::acquire_tag_set(const std::vector<model::TagKey>& keys) {
  if (keys.empty()) return empty_tag_set;
  if (const auto known = tag_sets_.find(keys); known != tag_sets_.end()) {
    ++known->second.users;
    return known->second.id;
  }
  std::vector<TagId> ids;
  ids.reserve(keys.size());
  for (const model::TagKey& key : keys) ids.push_back(acquire_tag(key));
  std::ranges::sort(ids);
  Expected<TagSetId> set = tables_->tags.store(ids);
  if (set)
    tag_sets_.emplace(keys, InternedTagSet{*set, 1});
  else
    for (const model::TagKey& key : keys) release_tag(key);
  return set;
}

void Publisher::release_tag_set(const std::vector<model::TagKey>& keys) {
  if (keys.empty()) return;
  const auto set = tag_sets_.find(keys);
  if (--set->second.users != 0) return;
  limbo_.tag_sets.push_back(set->second.id);
  tag_sets_.erase(set);
  for (const model::TagKey& key : keys) release_tag(key);
}

// The one that has rested longest of those whose last owner's flow entries have aged away, so that they count
// against nobody's quota; if a whole search finds none, the one that has rested longest.
bool Publisher::take_id(BindingId& id) {
  if (resting_ids_.empty()) return false;
  const auto end =
      resting_ids_.begin() + static_cast<std::ptrdiff_t>(std::min(resting_ids_.size(), id_search));
  auto found =
      std::find_if(resting_ids_.begin(), end, [&](BindingId resting) { return flows_of(resting) == 0; });
  if (found == end) found = resting_ids_.begin();
  id = *found;
  resting_ids_.erase(found);
  return true;
}

}  // namespace portcullis::publish
