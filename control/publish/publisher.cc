#include "control/publish/publisher.h"

#include <rte_rcu_qsbr.h>

#include <algorithm>
#include <cassert>
#include <iterator>
#include <span>

#include "control/model/model.h"
#include "src/base/ahead.h"

namespace portcullis::publish {
namespace {

using compile::CompiledBinding;
using compile::CompiledPool;
using compile::CompiledRule;

// How many resting ids are looked at for one whose last owner's flow entries are all gone.
constexpr size_t id_search = 64;

uint32_t unbound_value_in(const CompiledPool& pool) {
  return pool.kind == model::PoolKind::local ? IndexEntry::local : IndexEntry::provider;
}

using Pools = std::map<IpAddr, CompiledPool>;

// Prefixes of the IPv4 pools of `some` that `others` has not, or has otherwise.
std::vector<Ipv4Prefix> ipv4_changed(const Pools& some, const Pools& others) {
  std::vector<Ipv4Prefix> changed;
  for (const auto& [first, pool] : some) {
    const auto same = others.find(first);
    if (!pool.prefix.is_v6() && (same == others.end() || same->second != pool))
      changed.push_back(pool.prefix.v4());
  }
  return changed;
}

std::vector<Ipv6PoolUse> ipv6_uses(const Pools& pools) {
  std::vector<Ipv6PoolUse> uses;
  for (const auto& [first, pool] : pools)
    if (pool.prefix.is_v6()) uses.push_back({pool.prefix.v6(), unbound_value_in(pool)});
  return uses;
}

// As the data plane compares it; `tag`: the number of the one that it names, if it names one.
void append(std::vector<PermitRule>& rules, const CompiledRule& compiled, TagId tag) {
  PermitRule& rule = rules.emplace_back(compiled.rule);
  if (compiled.tag != nullptr) rule.remote = tag;
}
void append(std::vector<PermitRule6>& rules, const CompiledRule& compiled, TagId tag) {
  PermitRule6& rule = rules.emplace_back(PermitRule6{compiled.rule, {}});
  if (compiled.tag != nullptr)
    rule.match.remote = tag;
  else
    rule.remote = compiled.remote.v6();
}

}  // namespace

Publisher::Publisher(Tables& tables, rte_rcu_qsbr* rcu, std::map<std::string, PortId> port_ids,
                     uint32_t flow_quota, uint32_t tenant_flow_quota)
    : tables_(&tables),
      rcu_(rcu),
      port_ids_(std::move(port_ids)),
      flow_quota_(flow_quota),
      links_(tables),
      tenants_(tables, tenant_flow_quota) {
  for (BindingId id = no_binding + 1; id < tables.binding.capacity(); ++id) resting_ids_.push_back(id);
}

// Takes from a table; if it is out of room, what is in limbo may be what it lacks: this is where a large
// batch falls into steps.
template <typename Take>
auto Publisher::with_room(Take&& take) {
  auto taken = take();
  if (!taken) {
    wait_for_readers();
    taken = take();
  }
  return taken;
}

// The order within an update: first what goes (so that its place can be had by what comes, and a key that
// passes from one endpoint to another is never erased by its old owner after the new one has set it), then
// pools (so that the pages exist), then what comes or changes.
//
// Every packet reads each index once and judges by whole records, so while an update is under way a packet's
// verdict is one that the old or the new state of each single object gives. Nobody has been told that the new
// state holds; the grace period at the end makes it hold before anybody is.
Expected<void> Publisher::publish(compile::Update update) {
  Expected<void> result;
  const auto keep_first_error = [&](Expected<void> step) {
    if (result && !step) result = std::move(step);
  };
  std::vector<Coming> coming;
  coming.reserve(update.bindings.size());
  in_passes(
      update.bindings, [&](const auto& entry) { bindings_.prefetch(entry.first); },
      [&](const auto& entry) {
        if (const auto known = bindings_.find(entry.first); known != bindings_.end())
          prefetch_object(known->second);
      },
      [&](auto& entry) {
        Bound* const known = leave(entry.first, entry.second);
        if (entry.second) coming.push_back({&*entry.second, known});
      });
  if (update.pools) keep_first_error(set_pools(*update.pools));
  tenants_.set_flow_quotas(update.flow_quotas);
  keep_first_error(put_all(std::move(coming)));
  tables_->changes.fetch_add(1, std::memory_order_relaxed);
  wait_for_readers();
  return result;
}

// Without what publish() does for what is there before: there is nothing.
Expected<void> Publisher::publish_all(compile::ImageParts image) {
  assert(bindings_.empty());
  if (auto set = set_pools(image.pools()); !set) return set;
  tenants_.set_flow_quotas(image.flow_quotas());
  bindings_.reserve(image.bindings());
  Expected<void> put;
  for (auto part = image.next(); put && !part.empty(); part = image.next()) {
    std::vector<Coming> coming;
    coming.reserve(part.size());
    for (CompiledBinding& binding : part) coming.push_back({&binding, nullptr});
    put = put_all(std::move(coming));
  }
  tables_->changes.fetch_add(1, std::memory_order_relaxed);
  wait_for_readers();
  return put;
}

// Takes away what must be gone before anything of the update comes: the whole binding if its EIP is bound no
// more or to another owner, its endpoint key if it moves. A moving endpoint cannot send until put() has given
// it its new key: at no moment do two locations speak for one EIP.
Publisher::Bound* Publisher::leave(const IpAddr& eip, const std::optional<CompiledBinding>& next) {
  const auto found = bindings_.find(eip);
  if (found == bindings_.end()) return nullptr;
  Bound& bound = found->second;
  if (!next || next->incarnation != bound.binding.incarnation) {
    unbind(bound);
    bindings_.erase(found);
    return nullptr;
  }
  if (bound.key && (next->port != bound.binding.port || next->encapsulation != bound.binding.encapsulation ||
                    next->dip != bound.binding.dip)) {
    erase(*bound.key);
    bound.key.reset();
  }
  return &bound;
}

// The key first: the endpoint can send nothing (spoofed_source) before it stops being reachable (unbound), so
// it opens no flow that would outlive it. Ageing, which asks the local view for an entry's owner, learns it
// last.
void Publisher::unbind(Bound& bound) {
  lead_nowhere(bound);
  retire({std::move(bound.placement), bound.binding.eip, bound.id, {}});
  limbo_.ids.push_back(bound.id);
  tenants_.release(bound.binding.tenant);
}

void Publisher::lead_nowhere(Bound& bound) {
  const IpAddr eip = bound.binding.eip;
  if (bound.key) erase(*bound.key);
  bound.key.reset();
  set(View::edge, eip, unbound_value(eip));
  set(View::local, eip, unbound_value(eip));
  tables_->binding.set_slot_of(bound.id, IndexEntry::outside);
}

Expected<void> Publisher::set_pools(const Pools& next) {
  const Pools before = std::exchange(pools_, next);
  Expected<void> ipv4 = set_ipv4_pools(before, next);
  Expected<void> ipv6 = set_ipv6_pools(before, next);
  return ipv4 ? std::move(ipv6) : std::move(ipv4);
}

// Takes index pages. What it may lack beside what is in limbo: those that IPv6 pools have no more in `next`,
// which are given up with the list of all, after IPv4's. Nothing is bound in them.
template <typename Take>
auto Publisher::with_pages(const Pools& next, Take&& take) {
  auto taken = with_room(take);
  if (taken) return taken;
  if (auto left = tables_->binding.set_ipv6_pools(ipv6_uses(next), Ipv6Index::NewPages::none); !left)
    return left;
  wait_for_readers();
  return take();
}

Expected<void> Publisher::set_ipv4_pools(const Pools& before, const Pools& next) {
  // Pages are unlinked at the end of the step, so an address that passes from one pool to another goes
  // straight to its new value: it does not look to be outside in between.
  std::vector<Ipv4Prefix> going = ipv4_changed(before, next);
  std::vector<Ipv4Prefix> coming = ipv4_changed(next, before);
  for (const Ipv4Prefix prefix : going) fill(prefix);
  // What lies in a pool that goes takes no page, but must have its pages before that one gives them up. What
  // lies around such pools takes some, and then they give up theirs.
  const auto around = std::stable_partition(coming.begin(), coming.end(), [&](const Ipv4Prefix& prefix) {
    return std::ranges::any_of(going, [&](const Ipv4Prefix& old) { return old.contains(prefix); });
  });
  Expected<void> result;
  const auto take = [&](const Ipv4Prefix prefix) {
    const auto reserved = with_pages(next, [&] { return tables_->binding.reserve_pages(prefix); });
    if (reserved) return fill(prefix);
    pools_.erase(IpAddr(prefix.first()));
    if (result)
      result = fail(ErrorCode::internal, "the pool could not be published: " + reserved.error().message, {},
                    prefix.to_string());
  };
  std::for_each(coming.begin(), around, take);
  const auto grown = std::stable_partition(going.begin(), going.end(), [&](const Ipv4Prefix& old) {
    return std::none_of(around, coming.end(), [&](const Ipv4Prefix& prefix) { return prefix.contains(old); });
  });
  limbo_.pools.insert(limbo_.pools.end(), going.begin(), grown);
  std::for_each(around, coming.end(), take);
  limbo_.pools.insert(limbo_.pools.end(), grown, going.end());
  return result;
}

// All at once. Those that are refused stay as they were, with the pages that they still have.
Expected<void> Publisher::set_ipv6_pools(const Pools& before, const Pools& next) {
  const auto taken = with_pages(next, [&] { return tables_->binding.set_ipv6_pools(ipv6_uses(next)); });
  if (taken) return {};
  const auto stays = [&](const CompiledPool& pool) {
    return std::ranges::any_of(next,
                               [&](const auto& other) { return other.second.prefix.overlaps(pool.prefix); });
  };
  std::erase_if(pools_, [](const auto& pool) { return pool.first.is_v6(); });
  for (const auto& pool : before)
    if (pool.first.is_v6() && stays(pool.second)) pools_.insert(pool);
  Error error{ErrorCode::internal, "IPv6 pools could not be published: " + taken.error().message, {}, {}};
  if (auto left = tables_->binding.set_ipv6_pools(ipv6_uses(pools_), Ipv6Index::NewPages::none); !left)
    error.message += "; " + left.error().message;
  return Unexpected(std::move(error));
}

// Gives every address under `prefix` that is not bound in a view the value that the pools say. Its pages
// exist.
void Publisher::fill(Ipv4Prefix prefix) {
  for (uint64_t host = prefix.first().host(); host <= prefix.last().host(); ++host) {
    const Ipv4Addr address = Ipv4Addr::from_host(static_cast<uint32_t>(host));
    const uint32_t value = unbound_value(address);
    for (const View view : {View::edge, View::local})
      if (!tables_->binding.find(view, address).is_bound()) tables_->binding.set(view, address, value);
  }
}

uint32_t Publisher::unbound_value(const IpAddr& address) const {
  const auto after = pools_.upper_bound(address);
  if (after == pools_.begin()) return IndexEntry::outside;
  const CompiledPool& pool = std::prev(after)->second;
  return pool.prefix.contains(address) ? unbound_value_in(pool) : IndexEntry::outside;
}

void Publisher::set(View view, const IpAddr& address, uint32_t value) {
  if (address.is_v4())
    tables_->binding.set(view, address.v4(), value);
  else
    tables_->binding.set(view, address.v6(), value);
}

bool Publisher::set(const Location& key, Slot slot) {
  return key.dip.is_v4() ? tables_->endpoint.set({.dip = key.dip.v4(), .link = key.link}, slot)
                         : tables_->endpoint6.set({.dip = key.dip.v6(), .link = key.link}, slot);
}

void Publisher::erase(const Location& key) {
  if (key.dip.is_v4())
    tables_->endpoint.erase({.dip = key.dip.v4(), .link = key.link});
  else
    tables_->endpoint6.erase({.dip = key.dip.v6(), .link = key.link});
}

// Binds an EIP, or moves one to a new record. The record is whole before anything points to it: every set()
// below is a release store, every look-up an acquire load. The three ways to it change one after another:
//   local  first, then edge, then the endpoint's key. A worker that finds the new record by the key, when the
//          endpoint sends, therefore finds it (or one still newer) in both views: what a flow that the new
//          record opened is answered with, and what ageing asks of its owner, is never judged by the absence
//          of it.
//   In between, packets to the endpoint may be judged by the new list and packets from it by the old one, or
//   those from inside by the new and those from the uplink by the old. Both are lists that the tenant gave,
//   and entries survive either order: generations differ, so each is judged again by the record that the
//   packet found. The old record is retired when nothing leads to it any more, and freed after grace.
Expected<void> Publisher::put(Coming& coming) {
  CompiledBinding& binding = *coming.binding;
  const bool is_new = coming.known == nullptr;
  if (!is_new && coming.known->key && coming.known->binding == binding) return {};

  const auto refused = [&](const std::string& why) {
    return fail(ErrorCode::internal, "the binding could not be published: " + why, {},
                binding.eip.to_string());
  };
  const auto port = port_ids_.find(binding.port);
  if (port == port_ids_.end()) return refused("no port is named '" + binding.port + "'");
  if (unbound_value(binding.eip) != IndexEntry::local) return refused("no local pool has its address");

  BindingId id = is_new ? no_binding : coming.known->id;
  if (is_new && !with_room([&] { return take_id(id); })) return refused("all binding ids are in use");
  const auto unseen = [&](const std::string& why) {
    if (is_new) resting_ids_.push_front(id);
    return refused(why);
  };
  Expected<Placement> placement = place(binding, id, port->second);
  if (!placement) return unseen(placement.error().message);
  if (is_new) {
    const auto tenant = with_room([&] { return tenants_.acquire(binding.tenant, workers_); });
    if (!tenant) {
      retire({std::move(*placement), binding.eip, no_binding, {}});
      return unseen("all tenant numbers are in use");
    }
    tables_->tenants.set_of(id, *tenant);
  }

  const Slot slot = placement->slot;
  set(View::local, binding.eip, slot);
  if (binding.eip.is_v6()) tables_->binding.set_slot_of(id, slot);
  set(View::edge, binding.eip, binding.edge ? slot : IndexEntry::local);
  const Location key{.dip = binding.dip, .link = tables_->binding.record(slot).link};
  const bool has_key = with_room([&] { return set(key, slot); });

  if (is_new) {
    coming.known = &bindings_.emplace(binding.eip, Bound{}).first->second;
    coming.known->id = id;
  }
  Bound& bound = *coming.known;
  if (!is_new) {
    forget_hits(bound, binding.permit);
    leave_placement(bound);
  }
  bound.placement = std::move(*placement);
  bound.key.reset();
  if (has_key) {
    bound.key = key;
    bound.binding = std::move(binding);
    return {};
  }
  bound.binding = binding;
  return refused("the endpoint table is full");
}

// Its counters go on in those of what comes.
void Publisher::leave_placement(Bound& bound) {
  if (bound.placement.slot == no_slot) return;
  retire({std::exchange(bound.placement, {}), bound.binding.eip, bound.id, bound.binding.permit});
}

// In an order that needs no more room than the old or the new state and the longest list: lists that grow
// come after those that shrink. Other things are shared (tag sets, links): what finds no room tries again as
// long as others have found theirs, and in the end is put in the place of what it replaces.
Expected<void> Publisher::put_all(std::vector<Coming> coming) {
  std::stable_partition(coming.begin(), coming.end(), [](const Coming& next) {
    return next.known != nullptr &&
           next.binding->permit.compiled_rules() <= next.known->placement.hits_before.size();
  });
  while (true) {
    Expected<void> first;
    std::vector<Coming> left;
    const auto fetch = [](const Coming& next) {
      if (next.known != nullptr) prefetch_object(*next.known);
    };
    in_passes(coming, fetch, [&](Coming& next) {
      auto done = put(next);
      if (done) return;
      if (first) first = std::move(done);
      left.push_back(next);
    });
    if (left.empty()) return {};
    if (left.size() == coming.size()) return put_in_place(std::move(left));
    coming = std::move(left);
  }
}

// Nothing leads to the old records while they make room: until the new ones are there, the EIPs are as if
// they were not bound. The old ones come back where that has not helped.
Expected<void> Publisher::put_in_place(std::vector<Coming> coming) {
  std::map<IpAddr, CompiledBinding> old;
  for (const Coming& next : coming) {
    if (next.known == nullptr) continue;
    old.emplace(next.binding->eip, next.known->binding);
    lead_nowhere(*next.known);
    leave_placement(*next.known);
  }
  wait_for_readers();
  Expected<void> first;
  for (Coming& next : coming) {
    auto done = put(next);
    if (done) continue;
    if (first) first = std::move(done);
    const IpAddr eip = next.binding->eip;
    const auto before = old.find(eip);
    if (before != old.end()) {
      next.binding = &before->second;
      if (put(next)) continue;
    }
    // Nothing is left half there.
    if (next.known == nullptr) continue;
    unbind(*next.known);
    bindings_.erase(eip);
  }
  return first;
}

Expected<Publisher::Placement> Publisher::place(const CompiledBinding& binding, BindingId id, PortId port) {
  Placement placement;
  if (auto filled = fill_placement(binding, id, port, placement); !filled) {
    // What its slot has counted is not this binding's.
    retire({std::move(placement), binding.eip, no_binding, {}});
    return Unexpected(std::move(filled.error()));
  }
  return placement;
}

Expected<void> Publisher::fill_placement(const CompiledBinding& binding, BindingId id, PortId port,
                                         Placement& placement) {
  if (!with_room([&] { return tables_->binding.take_slot(binding.eip.family(), placement.slot); })) {
    placement.slot = no_slot;
    return fail(ErrorCode::resource_exhausted, "no slot is free for its record");
  }
  const auto tag_set = with_room([&] { return acquire_tag_set(binding.tags); });
  if (!tag_set) return Unexpected(tag_set.error());
  placement.tags = binding.tags;

  BindingRecord record;
  record.link = port;
  if (!std::holds_alternative<std::monostate>(binding.encapsulation)) {
    const LinkPlace link{port, binding.encapsulation};
    const auto acquired = with_room([&] { return links_.acquire(link); });
    if (!acquired) return Unexpected(acquired.error());
    placement.link = link;
    record.link = *acquired;
  }
  if (binding.eip.is_v4()) {
    const auto rules = place_rules<PermitRule>(binding, placement);
    if (!rules) return Unexpected(rules.error());
    const std::span all(*rules);
    record.rules = PermitQuad(all.first(std::min<size_t>(all.size(), inline_permit_rules)));
    record.eip = binding.eip.v4();
    record.dip = binding.dip.v4();
    record.to_public.replace(record.dip, record.eip);
    record.to_private.replace(record.eip, record.dip);
    for (const PermitRule& rule : all) record.kinds.add(rule);
    record.rule_count = static_cast<uint32_t>(all.size());
  } else {
    const auto rules = place_rules<PermitRule6>(binding, placement);
    if (!rules) return Unexpected(rules.error());
    Ipv6Binding more;
    more.eip = binding.eip.v6();
    more.dip = binding.dip.v6();
    put_rules(*rules, record.rules, tables_->binding.writable_rests(placement.slot));
    for (const PermitRule6& rule :
         std::span(*rules).first(std::min<size_t>(rules->size(), inline_permit_rules)))
      if (PermitRests::has(rule)) record.kinds.add_rests();
    record.to_public.replace(more.dip, more.eip);
    record.to_private.replace(more.eip, more.dip);
    for (const PermitRule6& rule : *rules) record.kinds.add(rule.match);
    record.rule_count = static_cast<uint32_t>(rules->size());
    tables_->binding.writable_ipv6(placement.slot) = more;
  }
  record.mac = binding.mac;
  record.id = id;
  record.tags = *tag_set;
  record.incarnation = binding.incarnation;
  record.binding_generation = binding.binding_generation;
  record.list_generation = binding.list_generation;
  record.kept_from = binding.kept_from;
  record.flow_quota = binding.flow_quota != 0 ? binding.flow_quota : flow_quota_;
  record.chunk = placement.permit.first;
  record.slot = placement.slot;
  tables_->binding.writable(placement.slot) = record;
  placement.traffic_before = traffic_of(placement.slot);
  placement.hits_before = hits_of(placement, record.rule_count);
  return {};
}

// A list as workers read it, of which what no record holds is stored.
template <typename Rule>
Expected<std::vector<Rule>> Publisher::place_rules(const CompiledBinding& binding, Placement& placement) {
  const std::vector<CompiledRule> compiled = compile::compile_rules(binding.permit, binding.eip.family());
  std::vector<Rule> rules;
  rules.reserve(compiled.size());
  for (const CompiledRule& rule : compiled) {
    if (rule.tag != nullptr) placement.rule_tags.emplace_back(binding.tenant, *rule.tag);
    append(rules, rule, rule.tag != nullptr ? acquire_tag(placement.rule_tags.back()) : TagId{});
  }
  auto place = with_room([&] { return tables_->permit.store(std::span<const Rule>(rules)); });
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

// The increment of the token is a release, after all index stores; a worker that reports the token has loaded
// it with acquire, and has dropped every reference from before. So after the wait no worker holds or can find
// what is in limbo, and whatever it counted there is in its counters for good. (start and check are what
// rte_rcu_qsbr_synchronize does for a thread that is no reader; inline, so that a thread sanitizer sees
// them.)
void Publisher::wait_until_quiescent() {
  const uint64_t token = rte_rcu_qsbr_start(rcu_);
  rte_rcu_qsbr_check(rcu_, token, true);
}

void Publisher::wait_for_readers() {
  for (const Ipv4Prefix prefix : limbo_.pools) tables_->binding.unlink_pages(prefix);
  const Links::Released released_links = links_.take_released();
  const std::vector<model::TenantId> released_tenants = tenants_.take_released();
  wait_until_quiescent();
  // A packet between two workers names the link that it came by, and no other object.
  if (handover_ != nullptr) {
    handover_->wait_until_taken();
    wait_until_quiescent();
  }
  Limbo done = std::exchange(limbo_, {});
  for (const Retired& retired : done.placements) {
    const auto bound = bindings_.find(retired.eip);
    if (bound != bindings_.end() && bound->second.id == retired.id) inherit(bound->second, retired);
    tables_->permit.free(retired.placement.permit);
    if (retired.placement.slot != no_slot) tables_->binding.free_slot(retired.placement.slot);
  }
  for (const TagSetId set : done.tag_sets) tables_->tags.free(set);
  free_tags_.insert(free_tags_.end(), done.tags.begin(), done.tags.end());
  resting_ids_.insert(resting_ids_.end(), done.ids.begin(), done.ids.end());
  tenants_.rest(released_tenants);
  links_.free(released_links);
  tables_->endpoint.release_erased();
  tables_->endpoint6.release_erased();
  tables_->binding.release_unlinked_pages();
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
