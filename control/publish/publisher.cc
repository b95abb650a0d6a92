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

void Publisher::prepare(compile::Update update) {
  assert(prepared_.coming.empty());
  reclaim();
  prepared_.update = std::move(update);
  auto& bindings = prepared_.update.bindings;
  prepared_.coming.reserve(bindings.size());
  in_passes(
      bindings, [&](const auto& entry) { bindings_.prefetch(entry.first); },
      [&](const auto& entry) { prefetch_bound(entry.first); },
      [&](auto& entry) {
        const auto known = bindings_.find(entry.first);
        Bound* const bound = known == bindings_.end() ? nullptr : &known->second;
        CompiledBinding* const next = entry.second ? &*entry.second : nullptr;
        if (bound != nullptr && next != nullptr && bound->key && bound->binding == *next) return;
        prepared_.coming.push_back({next, bound});
      });
  if (!prepared_.update.pools) place_ahead();
}

// In the order in which they are put, as many as find room beside what they replace: the others find theirs
// when that has gone. Lists that grow wait for those that shrink, and so for bindings that move.
void Publisher::place_ahead() {
  std::vector<Coming*> changed;
  bool may_grow = true;
  for (Coming& coming : prepared_.coming) {
    if (coming.binding == nullptr || coming.known == nullptr) continue;
    if (only_changes(*coming.known, *coming.binding))
      changed.push_back(&coming);
    else if (does_not_grow(coming))
      may_grow = false;
  }
  const auto growing = std::stable_partition(changed.begin(), changed.end(),
                                             [](const Coming* coming) { return does_not_grow(*coming); });
  if (!may_grow) changed.erase(growing, changed.end());
  prepared_.placements.reserve(changed.size());
  prepared_.leads.reserve(changed.size());
  size_t fetched[2] = {};  // by family: that wait for a slot
  const auto of_family = [&](const Coming* coming) -> size_t& {
    return fetched[coming->binding->eip.is_v6() ? 1 : 0];
  };
  bool has_room = true;
  in_passes(
      changed,
      [&](const Coming* coming) {
        prefetch_slot(coming->binding->eip.family(), of_family(coming)++);
        coming->binding->permit.prefetch();
      },
      [&](Coming* coming) {
        --of_family(coming);
        if (!has_room) return;
        const CompiledBinding& binding = *coming->binding;
        const Bound& known = *coming->known;
        Expected<Placement> placement = place(binding, known.id);
        has_room = placement.has_value();
        if (!has_room) return;
        prepared_.leads.push_back({binding.eip, binding.edge, known.id, placement->slot, *known.key});
        coming->placed = &prepared_.placements.emplace_back(std::move(*placement));
      });
}

// The order within an update: first what goes (so that its place can be had by what comes, and a key that
// passes from one endpoint to another is never erased by its old owner after the new one has set it), then
// pools (so that the pages exist), then what comes or changes.
//
// Every packet reads each index once and judges by whole records, so while an update is under way a packet's
// verdict is one that the old or the new state of each single object gives. Nobody has been told that the new
// state holds; the grace period at the end makes it hold before anybody is.
Expected<void> Publisher::enforce() {
  Prepared prepared = std::exchange(prepared_, {});
  Expected<void> result;
  const auto keep_first_error = [&](Expected<void> step) {
    if (result && !step) result = std::move(step);
  };
  std::vector<Coming>& coming = prepared.coming;
  for (Coming& one : coming) leave(one);
  std::erase_if(coming, [](const Coming& one) { return one.binding == nullptr; });
  if (prepared.update.pools) keep_first_error(set_pools(*prepared.update.pools));
  tenants_.set_flow_quotas(prepared.update.flow_quotas);
  lead_to_placed(prepared.leads);
  const auto unplaced = std::stable_partition(coming.begin(), coming.end(),
                                              [](const Coming& one) { return one.placed != nullptr; });
  unsettled_ = {coming.begin(), unplaced};
  keep_first_error(put_all({unplaced, coming.end()}));
  tables_->changes.fetch_add(1, std::memory_order_relaxed);
  pass_grace_period();
  enforced_ = std::move(prepared);
  return result;
}

// What it is about is put away first: an exception in between must not have it happen twice.
void Publisher::reclaim() {
  if (!enforced_) return;
  const Prepared enforced = *std::exchange(enforced_, std::nullopt);
  settle_placed();
  free_limbo();
}

void Publisher::discard() {
  reclaim();
  Prepared prepared = std::exchange(prepared_, {});
  for (Placement& placement : prepared.placements) retire({std::move(placement), {}, no_binding, {}});
  wait_for_readers();
}

Expected<void> Publisher::publish(compile::Update update) {
  prepare(std::move(update));
  Expected<void> done = enforce();
  reclaim();
  return done;
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
void Publisher::leave(Coming& coming) {
  if (coming.known == nullptr || coming.placed != nullptr) return;
  Bound& bound = *coming.known;
  if (coming.binding == nullptr || coming.binding->incarnation != bound.binding.incarnation) {
    const IpAddr eip = bound.binding.eip;
    unbind(bound);
    bindings_.erase(eip);
    coming.known = nullptr;
  } else if (bound.key && !only_changes(bound, *coming.binding)) {
    erase(*bound.key);
    bound.key.reset();
  }
}

// The key first: the endpoint can send nothing (spoofed_source) before it stops being reachable (unbound), so
// it opens no flow that would outlive it. Ageing, which asks the local view for an entry's owner, learns it
// last.
void Publisher::unbind(Bound& bound) {
  lead_nowhere(bound);
  retire({std::move(bound.placement), bound.binding.eip, bound.id, {}});
  limbo_.ids.push_back(bound.id);
  tenants_.release(bound.binding.tenant);
  in_edge_view_ -= bound.binding.edge ? 1 : 0;
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

// What lead() writes.
void Publisher::prefetch(const Lead& to) const {
  const Location& key = to.key;
  for (const View view : {View::local, View::edge})
    __builtin_prefetch(to.eip.is_v4() ? tables_->binding.place_of(view, to.eip.v4())
                                      : tables_->binding.ipv6_index().place_of(view, to.eip.v6()));
  if (key.dip.is_v4())
    tables_->endpoint.prefetch(tables_->endpoint.bucket_of({.dip = key.dip.v4(), .link = key.link}));
  else
    tables_->endpoint6.prefetch(tables_->endpoint6.bucket_of({.dip = key.dip.v6(), .link = key.link}));
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

bool Publisher::only_changes(const Bound& bound, const CompiledBinding& next) {
  const CompiledBinding& now = bound.binding;
  return bound.key && next.incarnation == now.incarnation && next.port == now.port &&
         next.encapsulation == now.encapsulation && next.dip == now.dip;
}

bool Publisher::does_not_grow(const Coming& coming) {
  return coming.known != nullptr &&
         coming.binding->permit.compiled_rules() <= coming.known->placement.hits_before.size();
}

// Binds an EIP, or moves one to a new record, which is whole before anything leads to it.
Expected<void> Publisher::put(Coming& coming) {
  CompiledBinding& binding = *coming.binding;
  const bool is_new = coming.known == nullptr;

  const auto refused = [&](const std::string& why) {
    return fail(ErrorCode::internal, "the binding could not be published: " + why, {},
                binding.eip.to_string());
  };
  if (unbound_value(binding.eip) != IndexEntry::local) return refused("no local pool has its address");

  BindingId id = is_new ? no_binding : coming.known->id;
  if (is_new && !with_room([&] { return take_id(id); })) return refused("all binding ids are in use");
  const auto unseen = [&](const std::string& why) {
    if (is_new) resting_ids_.push_front(id);
    return refused(why);
  };
  Expected<Placement> placement = place(binding, id);
  if (!placement) return unseen(placement.error().message);
  if (is_new) {
    const auto tenant = with_room([&] { return tenants_.acquire(binding.tenant, workers_); });
    if (!tenant) {
      retire({std::move(*placement), binding.eip, no_binding, {}});
      return unseen("all tenant numbers are in use");
    }
    tables_->tenants.set_of(id, *tenant);
  }

  const Lead to{binding.eip,
                binding.edge,
                id,
                placement->slot,
                {.dip = binding.dip, .link = tables_->binding.record(placement->slot).link}};
  const bool has_key = lead(to);
  if (is_new) {
    coming.known = &bindings_.emplace(binding.eip, Bound{}).first->second;
    coming.known->id = id;
  }
  Bound& bound = *coming.known;
  settle(bound, binding.permit, std::move(*placement));
  bound.key.reset();
  if (has_key) {
    bound.key = to.key;
    become(bound, std::move(binding));
    return {};
  }
  become(bound, binding);
  return refused("the endpoint table is full");
}

// Every set() is a release store, every look-up an acquire load. The three ways to a record change one after
// another:
//   local  first, then edge, then the endpoint's key. A worker that finds the new record by the key, when the
//          endpoint sends, therefore finds it (or one still newer) in both views: what a flow that the new
//          record opened is answered with, and what ageing asks of its owner, is never judged by the absence
//          of it.
//   In between, packets to the endpoint may be judged by the new list and packets from it by the old one, or
//   those from inside by the new and those from the uplink by the old. Both are lists that the tenant gave,
//   and entries survive either order: stamps differ, so each is judged again by the record that the packet
//   found; one older than the entry lets it pass. The old record is retired when nothing leads to it any
//   more, and freed after grace.
bool Publisher::lead(const Lead& to) {
  set(View::local, to.eip, to.slot);
  if (to.eip.is_v6()) tables_->binding.set_slot_of(to.id, to.slot);
  set(View::edge, to.eip, to.edge ? to.slot : IndexEntry::local);
  return with_room([&] { return set(to.key, to.slot); });
}

void Publisher::settle(Bound& bound, const model::PermitList& next, Placement placement) {
  forget_hits(bound, next);
  leave_placement(bound);
  bound.placement = std::move(placement);
}

void Publisher::become(Bound& bound, CompiledBinding next) {
  in_edge_view_ += next.edge ? 1 : 0;
  in_edge_view_ -= bound.binding.edge ? 1 : 0;
  bound.binding = std::move(next);
}

// None can be refused: each endpoint has its key.
void Publisher::lead_to_placed(const std::vector<Lead>& leads) {
  in_passes(
      leads, [&](const Lead& to) { prefetch(to); }, [&](const Lead& to) { static_cast<void>(lead(to)); });
}

void Publisher::settle_placed() {
  in_passes(
      std::exchange(unsettled_, {}), [](const Coming& one) { prefetch_object(*one.known); },
      [&](const Coming& one) {
        settle(*one.known, one.binding->permit, std::move(*one.placed));
        become(*one.known, std::move(*one.binding));
      });
}

// Its counters go on in those of what comes.
void Publisher::leave_placement(Bound& bound) {
  if (bound.placement.slot == no_slot) return;
  retire({std::move(bound.placement), bound.binding.eip, bound.id, bound.binding.permit});
  // Of the rest moving has left nothing.
  bound.placement.slot = no_slot;
  bound.placement.link.reset();
}

// In an order that needs no more room than the old or the new state and the longest list: lists that grow
// come after those that shrink. Other things are shared (tag sets, links): what finds no room tries again as
// long as others have found theirs, and in the end is put in the place of what it replaces.
Expected<void> Publisher::put_all(std::vector<Coming> coming) {
  std::stable_partition(coming.begin(), coming.end(), does_not_grow);
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

// The increment of the token is a release, after all index stores; a worker that reports the token has loaded
// it with acquire, and has dropped every reference from before. So after the wait no worker holds or can find
// what is in limbo, and whatever it counted there is in its counters for good. (start and check are what
// rte_rcu_qsbr_synchronize does for a thread that is no reader; inline, so that a thread sanitizer sees
// them.)
void Publisher::wait_until_quiescent() {
  const uint64_t token = rte_rcu_qsbr_start(rcu_);
  rte_rcu_qsbr_check(rcu_, token, true);
}

void Publisher::pass_grace_period() {
  for (const Ipv4Prefix prefix : limbo_.pools) tables_->binding.unlink_pages(prefix);
  wait_until_quiescent();
  // A packet between two workers names the link that it came by, and no other object.
  if (handover_ != nullptr) {
    handover_->wait_until_taken();
    wait_until_quiescent();
  }
}

void Publisher::free_limbo() {
  Limbo past = std::exchange(limbo_, {});
  in_passes(
      past.placements,
      [&](const Retired& retired) {
        bindings_.prefetch(retired.eip);
        retired.permit.prefetch();
        for (const Worker* worker : workers_)
          prefetch_object(worker->counters().slots[retired.placement.slot]);
      },
      [&](const Retired& retired) { prefetch_bound(retired.eip); },
      [&](Retired& retired) {
        const auto bound = bindings_.find(retired.eip);
        if (bound != bindings_.end() && bound->second.id == retired.id) inherit(bound->second, retired);
        if (retired.placement.slot != no_slot) tables_->binding.free_slot(retired.placement.slot);
        tables_->permit.free(retired.placement.permit);
        retired.permit = {};
      });
  for (const TagSetId set : past.tag_sets) tables_->tags.free(set);
  free_tags_.insert(free_tags_.end(), past.tags.begin(), past.tags.end());
  resting_ids_.insert(resting_ids_.end(), past.ids.begin(), past.ids.end());
  tenants_.rest_released();
  links_.free_released();
  tables_->endpoint.release_erased();
  tables_->endpoint6.release_erased();
  tables_->binding.release_unlinked_pages();
}

// What placed bindings replace goes with it: it may be what is lacking.
void Publisher::wait_for_readers() {
  assert(!enforced_);
  settle_placed();
  pass_grace_period();
  free_limbo();
}

}  // namespace portcullis::publish
