// The calls of the paper on desired state: each `plan_*` checks a call wholly against the state and the limits
// and answers with the change set that would carry it out; nothing changes. `apply` then cannot fail.
// Thread: the control thread only.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "control/model/objects.h"
#include "src/base/expected.h"

namespace portcullis::model {

// What the data plane has room for and what a tenant may use; fixed at start.
struct Limits {
  uint32_t eips = 65536;              // bindings
  uint32_t eips_per_tenant = 65536;
  uint32_t vms = 65536;
  uint32_t index_pages = 64;          // /16s that all pools together may touch
  uint32_t rules_per_eip = 1024;      // compiled: (rule, prefix or tag) pairs
  uint32_t permit_chunks = 65536;     // for compiled rules beyond the inline ones, all EIPs together
  uint32_t inline_rules = 4;          // compiled rules that take no chunk
  uint32_t rules_per_chunk = 15;
  uint32_t tags_per_eip = 15;
  uint32_t tag_sets = 65536;          // EIPs with at least one tag
  int64_t quarantine_ms = 600'000;    // a released address rests this long
};

// A planned call: what to store and apply, and what to answer. An idempotent repeat has an empty change set.
template <typename Reply>
struct Plan {
  ChangeSet changes;
  Reply reply;
};

struct Nothing {};

class Model {
 public:
  // `ports`: names of the configured endpoint ports, the only ones a vm may live on.
  Model(Limits limits, std::set<std::string> ports);

  [[nodiscard]] const State& state() const { return state_; }
  [[nodiscard]] const Limits& limits() const { return limits_; }

  // vms. A repeat with equal properties is a success; with others ALREADY_EXISTS. A vm with an EIP cannot go.
  [[nodiscard]] Expected<Plan<Vm>> plan_create_vm(const Vm& vm) const;
  [[nodiscard]] Expected<Plan<Nothing>> plan_delete_vm(const VmKey& key) const;

  // pools. A pool with EIPs in it cannot go; one that overlaps another is refused.
  [[nodiscard]] Expected<Plan<Pool>> plan_create_pool(const Pool& pool) const;
  [[nodiscard]] Expected<Plan<Nothing>> plan_delete_pool(const std::string& id) const;

  // EIPs. `pool` empty: the first local pool by id with a free address. `now_ms`: unix milliseconds, for
  // quarantine. Asking again for the same vm gives the same EIP (and refuses a different `pool`).
  [[nodiscard]] Expected<Plan<Eip>> plan_request_eip(const VmKey& vm, const std::string& pool, int64_t now_ms) const;
  [[nodiscard]] Expected<Plan<Nothing>> plan_release_eip(const TenantId& tenant, Ipv4Addr eip, int64_t now_ms) const;

  // Replaces the whole list. keep_established: entries of the old list live on; FAILED_PRECONDITION if the
  // change would narrow an inbound rule that is not tracked, because its flows have no entry to keep.
  [[nodiscard]] Expected<Plan<Eip>> plan_set_permit_list(const TenantId& tenant, Ipv4Addr eip,
                                                         std::vector<PermitRule> rules, bool keep_established) const;
  // Replaces the EIP's tags.
  [[nodiscard]] Expected<Plan<Eip>> plan_set_tag(const TenantId& tenant, Ipv4Addr eip,
                                                 std::set<std::string> tags) const;
  // Ends keep_established for an EIP whose kept entries are gone (called by the control thread's tick).
  [[nodiscard]] Plan<Nothing> plan_end_keep(Ipv4Addr eip) const;

  // NOT_FOUND also when the EIP is another tenant's.
  [[nodiscard]] Expected<const Eip*> find_eip(const TenantId& tenant, Ipv4Addr eip) const;
  [[nodiscard]] Expected<const Vm*> find_vm(const VmKey& key) const;

  // Applies a change set of generation state().generation + 1 (an empty one is ignored).
  void apply(const ChangeSet& changes);
  // Takes over a state read from the store. FAILED_PRECONDITION when it does not fit limits or ports (a vm on a
  // port that is not configured, more EIPs than the capacity): the message names the first object that does not.
  [[nodiscard]] Expected<void> restore(State state);

 private:
  // Totals kept with the state so that validation does not walk it.
  struct Usage {
    uint32_t permit_chunks = 0;
    uint32_t tag_sets = 0;
    std::map<TenantId, uint32_t> eips_of_tenant;
    std::map<VmKey, Ipv4Addr> eip_of_vm;
    std::map<std::pair<std::string, Ipv4Addr>, VmKey> vm_at;  // (port, DIP)
  };
  Limits limits_;
  std::set<std::string> ports_;
  State state_;
  Usage usage_;
};

// Compiled rules of a list: one per prefix or tag, one for `any`.
[[nodiscard]] uint32_t compiled_rules(const std::vector<PermitRule>& rules);

}  // namespace portcullis::model
