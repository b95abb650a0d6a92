// The calls of the paper on desired state: each `plan_*` checks a call wholly against the state and the
// limits and answers with the change set that would carry it out; nothing changes. `apply` then cannot fail.
// Thread: the control thread only.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "control/model/limits.h"
#include "control/model/objects.h"
#include "control/model/usage.h"
#include "dataplane/tables/permit_room.h"
#include "src/base/expected.h"

namespace portcullis::model {

// A planned call: what to store and apply, and what to answer. An idempotent repeat has an empty change set,
// whose generation is the state's.
template <typename Reply>
struct Plan {
  ChangeSet changes;
  Reply reply;
};

struct Nothing {};

// What a call wants of a quota. Absent: it stays as it is; 0: the default holds again.
struct TenantQuotaChange {
  std::optional<uint32_t> eips, rules, flows;
};
struct EipQuotaChange {
  std::optional<uint32_t> rules, flows;
};

struct QuotaUse {
  uint32_t set = 0;    // 0: nothing
  uint32_t limit = 0;  // what holds
  uint64_t used = 0;   // may be more: then the limit was lowered, or a document said so
};
struct TenantQuotaUse {
  QuotaUse eips, rules;
  QuotaUse flows;  // workers know how many are used
};
struct EipQuotaUse {
  QuotaUse rules;
  QuotaUse flows;  // workers know how many are used
};

class Draft;

class Model {
 public:
  // `ports`: the configured endpoint ports, the only ones a vm may live on. `reserved`: addresses
  // that no EIP may have although a pool holds them (the gateway's own, its next hops). `own`: the gateway's
  // own alone, where no tunnel ends but at itself.
  Model(Limits limits, EndpointPorts ports, std::set<IpAddr> reserved = {}, std::set<IpAddr> own = {});

  // These pools are the configuration's: from now on they are neither changed nor deleted.
  void fix_pools(std::set<std::string> ids) { fixed_pools_ = std::move(ids); }
  [[nodiscard]] bool is_fixed_pool(const std::string& id) const { return fixed_pools_.contains(id); }

  [[nodiscard]] const State& state() const { return state_; }
  [[nodiscard]] const Limits& limits() const { return limits_; }

  // vms. A repeat with equal properties is a success; with others ALREADY_EXISTS. A vm with an EIP cannot go.
  [[nodiscard]] Expected<Plan<Vm>> plan_create_vm(const Vm& vm) const;
  // Its frames come from and go to another place; its EIPs, lists, tags and flow entries stay. ALREADY_EXISTS
  // if another vm has one of its private addresses there.
  [[nodiscard]] Expected<Plan<Vm>> plan_move_vm(const VmKey& key, const Location& location) const;
  [[nodiscard]] Expected<Plan<Nothing>> plan_delete_vm(const VmKey& key) const;

  // pools. A pool with EIPs in it cannot go; one that overlaps another, or holds a port's tunnel address, is
  // refused. FAILED_PRECONDITION for another state of a fixed pool.
  [[nodiscard]] Expected<Plan<Pool>> plan_create_pool(const Pool& pool) const;
  // Another prefix for a pool that stays: it grows, shrinks or does both. FAILED_PRECONDITION if an EIP would
  // be left outside. IPv4 alone.
  [[nodiscard]] Expected<Plan<Pool>> plan_update_pool(const std::string& id, const IpPrefix& prefix) const;
  [[nodiscard]] Expected<Plan<Nothing>> plan_delete_pool(const std::string& id) const;

  // EIPs. `pool` empty: the first local pool of the family by id with a free address. `now_ms`: unix
  // milliseconds, for quarantine. `family` absent: the only one that the vm has a DIP of, or IPv4. Asking
  // again for the same vm and family gives the same EIP (and refuses a different `pool`). The address is the
  // vm's own DIP if the pool (or, with `pool` empty, any) may hand it out and it is free; else the one whose
  // rest ended first, or else the pool's lowest one that was never handed out.
  [[nodiscard]] Expected<Plan<Eip>> plan_request_eip(const VmKey& vm, const std::string& pool, int64_t now_ms,
                                                     std::optional<IpFamily> family = std::nullopt) const;
  // That very address for a vm that has no EIP of its family. For a document, which stands above quotas.
  [[nodiscard]] Expected<Plan<Eip>> plan_take_eip(const VmKey& vm, const IpAddr& address,
                                                  int64_t now_ms) const;
  [[nodiscard]] Expected<Plan<Nothing>> plan_release_eip(const TenantId& tenant, const IpAddr& eip,
                                                         int64_t now_ms) const;

  // Replaces the whole list; a list that is equal in its canonical form changes nothing. keep_established:
  // entries of the old list live on; FAILED_PRECONDITION if the change would narrow an inbound rule that is
  // not tracked, because its flows have no entry to keep.
  [[nodiscard]] Expected<Plan<Eip>> plan_set_permit_list(const TenantId& tenant, const IpAddr& eip,
                                                         PermitList rules, bool keep_established) const;
  // Adds rules by name. One that is there already changes nothing; ALREADY_EXISTS if another one has its
  // name. keep_established stays as it is.
  [[nodiscard]] Expected<Plan<Eip>> plan_add_permit_rules(const TenantId& tenant, const IpAddr& eip,
                                                          std::vector<PermitRule> rules) const;
  // As plan_set_permit_list() of the list without these rules; a name that no rule has is as good as gone.
  [[nodiscard]] Expected<Plan<Eip>> plan_remove_permit_rules(const TenantId& tenant, const IpAddr& eip,
                                                             const std::vector<std::string>& names,
                                                             bool keep_established) const;
  // Replaces the EIP's tags.
  [[nodiscard]] Expected<Plan<Eip>> plan_set_tag(const TenantId& tenant, const IpAddr& eip,
                                                 std::set<std::string> tags) const;
  // The same for a document, which is the provider's and stands above quotas; nothing is kept.
  [[nodiscard]] Expected<Plan<Eip>> plan_put_permit_list(const TenantId& tenant, const IpAddr& eip,
                                                         PermitList rules) const;
  // Ends keep_established for an EIP whose kept entries are gone (called by the control thread's tick).
  [[nodiscard]] Plan<Nothing> plan_end_keep(const IpAddr& eip) const;

  // quotas. One that is lowered below what is used takes nothing away: nothing is added until it is below.
  // RESOURCE_EXHAUSTED for more than the gateway itself has room for.
  [[nodiscard]] Expected<Plan<TenantQuota>> plan_set_tenant_quota(const TenantId& tenant,
                                                                  const TenantQuotaChange& change) const;
  [[nodiscard]] Expected<Plan<Eip>> plan_set_eip_quota(const TenantId& tenant, const IpAddr& eip,
                                                       const EipQuotaChange& change) const;
  [[nodiscard]] TenantQuotaUse quota_of(const TenantId& tenant) const;
  [[nodiscard]] EipQuotaUse quota_of(const Eip& eip) const;

  // What a call on each of these EIPs reads, into the caches.
  void prefetch(std::span<const IpAddr> eips) const;
  // NOT_FOUND also when the EIP is another tenant's.
  [[nodiscard]] Expected<const Eip*> find_eip(const TenantId& tenant, const IpAddr& eip) const;
  [[nodiscard]] Expected<const Vm*> find_vm(const VmKey& key) const;
  [[nodiscard]] Expected<const Pool*> find_pool(const std::string& id) const;

  // Applies a change set of generation state().generation + 1 (an empty one is ignored).
  void apply(const ChangeSet& changes);
  // Takes over a state read from the store. FAILED_PRECONDITION when it does not fit limits or ports (a vm on
  // a port that is not configured, more EIPs than the capacity): the message names the first object that does
  // not. Quotas are not asked: they may have been lowered since. `meanwhile` looks at the state, not checked
  // yet, in a thread of its own; it has ended when this returns. What it throws is thrown, if the state fits.
  [[nodiscard]] Expected<void> restore(State state, const std::function<void(const State&)>& meanwhile = {});

  // The EIP of a vm of that family; null if it has none.
  [[nodiscard]] const Eip* eip_of_vm(const VmKey& key, IpFamily family) const;
  struct PoolUse {
    uint64_t used = 0;  // held by EIPs
    uint64_t free = 0;  // any vm could be given now
  };
  // Zeroes for a pool that is not local.
  [[nodiscard]] PoolUse pool_use(const std::string& id, int64_t now_ms) const;

 private:
  friend class Draft;  // makes changes, and takes them back

  template <typename Reply>
  [[nodiscard]] Plan<Reply> unchanged(Reply reply) const;
  template <typename Reply>
  [[nodiscard]] Plan<Reply> changed(Change change, Reply reply) const;

  // Whether a vm may be there, whoever else is. `left`: where it is now; null if it is new.
  [[nodiscard]] Expected<void> check_location(const Location& location, const Location* left,
                                              const std::string& field, const std::string& name) const;
  // Whether the address is free to be a tunnel's other end.
  [[nodiscard]] Expected<void> check_remote(const Tunnel& tunnel, const std::string& location_field,
                                            const std::string& name) const;
  // Where a vm shall be; `left`: where it is now, null if it is new. Fields of the request: of its location,
  // and of what must change if a private address is another vm's there; empty: that address.
  [[nodiscard]] Expected<void> check_place(const Vm& vm, const Location* left,
                                           const std::string& location_field,
                                           const std::string& taken_field) const;
  [[nodiscard]] Expected<void> check_new_vm(const Vm& vm) const;
  [[nodiscard]] Expected<void> check_new_pool(const Pool& pool) const;
  // The prefix of a pool that is new, or gets it instead of another.
  [[nodiscard]] Expected<void> check_pool_space(const Pool& pool, const Pool* now) const;
  [[nodiscard]] Expected<void> check_pool_off_tunnels(const Pool& pool) const;
  [[nodiscard]] Expected<void> check_pool_keeps_eips(const Pool& now, const Pool& next) const;
  [[nodiscard]] Expected<void> check_pool_not_fixed(const std::string& id, const std::string& field) const;
  // The family of the EIP that a request asks for.
  [[nodiscard]] static Expected<IpFamily> family_of_request(const Vm& vm, std::optional<IpFamily> family);
  // That `pool`, a name that is not empty, can give an EIP of the family.
  [[nodiscard]] Expected<void> check_pool_for(IpFamily family, const std::string& pool) const;
  // The vm's DIP, if that may be its EIP now.
  [[nodiscard]] std::optional<IpAddr> own_address(const IpAddr& dip, const std::string& pool,
                                                  int64_t now_ms) const;
  [[nodiscard]] Expected<IpAddr> free_address(IpFamily family, const std::string& pool, int64_t now_ms) const;
  // That an EIP may have the address, whatever the vm.
  [[nodiscard]] Expected<void> check_free(const IpAddr& address, int64_t now_ms) const;
  // An EIP that begins to be.
  [[nodiscard]] Plan<Eip> new_eip(const VmKey& vm, const IpAddr& address) const;
  [[nodiscard]] Expected<void> check_room_for_eip(const TenantId& tenant, IpFamily family) const;
  [[nodiscard]] Expected<void> check_eip_quota(const TenantId& tenant) const;
  // That `eip` may have the list instead of its own: one that is no longer always may.
  [[nodiscard]] Expected<void> check_rule_quota(const Eip& eip, const PermitList& rules) const;
  // The list's size and its chunks; `current` is the list that it would replace.
  [[nodiscard]] Expected<void> check_permit_room(IpFamily family, const PermitList& rules,
                                                 const PermitList& current) const;
  // `rules`: checked, in canonical form.
  [[nodiscard]] Expected<Plan<Eip>> plan_list(const Eip& current, PermitList rules,
                                              bool keep_established) const;
  [[nodiscard]] Expected<void> check_tags(const std::set<std::string>& tags, bool has_tags_now) const;
  [[nodiscard]] Expected<void> check_restored_eip(const Eip& eip) const;

  Limits limits_;
  EndpointPorts ports_;
  std::set<IpAddr> reserved_;
  std::set<IpAddr> own_;
  std::set<std::string> fixed_pools_;
  State state_;
  Usage usage_;
};

// Whether plan_update_pool() can make the one of the other, as far as its EIPs allow.
[[nodiscard]] bool may_resize(const Pool& now, const Pool& next);

// In the form in which lists are kept and compared.
[[nodiscard]] PermitList canonical(PermitList rules);
struct PermitRoom {
  uint64_t families = 0;  // that a packet is compared with (permit_room.h)
  uint64_t chunks = 0;
};
// The most that the data plane needs for the list of an EIP of that family.
[[nodiscard]] PermitRoom permit_room_of(const PermitList& rules, IpFamily family);

// What is wrong with a pool's prefix whatever other pools there are.
[[nodiscard]] Expected<void> check_pool_prefix(const IpPrefix& prefix);

// What is wrong with a list whatever else there is; `field` of the error is "rules[2].remote.prefixes[0]".
// `family`: of the EIP; absent for the gateway's own list, which guards addresses of both.
[[nodiscard]] Expected<void> check_rules(std::span<const PermitRule> rules, std::optional<IpFamily> family);

template <typename Reply>
Plan<Reply> Model::unchanged(Reply reply) const {
  return {{state_.generation, {}}, std::move(reply)};
}

template <typename Reply>
Plan<Reply> Model::changed(Change change, Reply reply) const {
  Plan<Reply> plan{{state_.generation + 1, {}}, std::move(reply)};
  plan.changes.changes.push_back(std::move(change));
  return plan;
}

}  // namespace portcullis::model
