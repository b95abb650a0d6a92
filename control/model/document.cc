#include "control/model/document.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "control/model/in_any_order.h"
#include "control/model/names.h"

namespace portcullis::model {

namespace {

std::string element(const char* list, size_t index) {
  return "document." + std::string(list) + "[" + std::to_string(index) + "]";
}

// Where in the document what a plan calls by the field of its request is. What is no field of the element is
// about the element's `object`.
Error in_document(Error error, const std::string& field, const std::string& prefix,
                  const std::string& object) {
  if (error.field.starts_with(prefix + "."))
    error.field = field + error.field.substr(prefix.size());
  else if (error.field.starts_with("location") || error.field.starts_with("rules") || error.field == "tags" ||
           error.field.ends_with("_quota") || error.field == "vm")
    error.field = field + "." + error.field;
  else
    error.field = field + "." + object;
  return error;
}

class Replacement {
 public:
  Replacement(Draft& draft, const Document& document) : draft_(draft), document_(document) {}

  Expected<void> carry_out() {
    for (const auto step : {&Replacement::index, &Replacement::release_eips, &Replacement::delete_vms,
                            &Replacement::delete_pools, &Replacement::put_pools, &Replacement::place_vms,
                            &Replacement::put_quotas, &Replacement::put_eips, &Replacement::put_rests})
      if (auto done = (this->*step)(); !done) return done;
    return {};
  }

 private:
  [[nodiscard]] const State& state() const { return draft_.model().state(); }

  template <typename Map, typename Key>
  static Expected<void> enter(Map& map, Key key, size_t index, const char* list, const char* field,
                              const std::string& name) {
    const auto [first, is_new] = map.emplace(std::move(key), index);
    if (is_new) return {};
    return fail(ErrorCode::invalid_argument,
                name + " is in the document twice; " + element(list, first->second) + " is the first",
                element(list, index) + "." + field, name);
  }

  // What the document names, by its keys.
  Expected<void> index() {
    for (size_t i = 0; i < document_.pools.size(); ++i) {
      const Pool& pool = document_.pools[i];
      if (auto entered = enter(pools_, pool.id, i, "pools", "name", pool_name(pool.id)); !entered)
        return entered;
    }
    for (size_t i = 0; i < document_.vms.size(); ++i) {
      const VmKey key{document_.vms[i].tenant, document_.vms[i].id};
      if (auto entered = enter(vms_, key, i, "vms", "name", vm_name(key)); !entered) return entered;
    }
    for (size_t i = 0; i < document_.eips.size(); ++i) {
      const DocumentEip& eip = document_.eips[i];
      if (auto entered = enter(eips_, eip.address, i, "eips", "name", eip_name(eip.tenant, eip.address));
          !entered)
        return entered;
    }
    for (size_t i = 0; i < document_.quotas.size(); ++i) {
      const TenantId& tenant = document_.quotas[i].tenant;
      if (auto entered = enter(quotas_, tenant, i, "quotas", "name", quota_name(tenant)); !entered)
        return entered;
    }
    return {};
  }

  Expected<void> release_eips() {
    std::vector<const Eip*> gone;
    for (const auto& [address, eip] : state().eips) {
      const auto wanted = eips_.find(address);
      if (wanted == eips_.end() || document_.eips[wanted->second].tenant != eip.tenant ||
          document_.eips[wanted->second].vm != eip.vm)
        gone.push_back(&eip);
    }
    for (const Eip* eip : gone) {
      const TenantId tenant = eip->tenant;
      const IpAddr address = eip->address;
      auto released = draft_.carry_out(draft_.model().plan_release_eip(tenant, address, draft_.now_ms()));
      if (!released) return Unexpected(std::move(released.error()));
    }
    return {};
  }

  // Private addresses do not change: such a vm goes, and comes again.
  Expected<void> delete_vms() {
    std::vector<std::pair<VmKey, std::optional<size_t>>> gone;
    for (const auto& [key, vm] : state().vms) {
      const auto wanted = vms_.find(key);
      if (wanted == vms_.end())
        gone.emplace_back(key, std::nullopt);
      else if (const Vm& next = document_.vms[wanted->second]; next.dip != vm.dip || next.dip6 != vm.dip6)
        gone.emplace_back(key, wanted->second);
    }
    for (const auto& [key, wanted] : gone) {
      auto deleted = draft_.carry_out(draft_.model().plan_delete_vm(key));
      if (deleted) continue;
      Error error = std::move(deleted.error());
      error.field = wanted ? element("vms", *wanted) + ".dip" : "document.vms";
      error.message =
          (wanted ? "its private addresses differ, and " : "it is not in the document, and ") + error.message;
      return Unexpected(std::move(error));
    }
    return {};
  }

  Expected<void> delete_pools() {
    std::vector<std::pair<std::string, std::optional<size_t>>> gone;
    for (const auto& [id, pool] : state().pools) {
      const auto wanted = pools_.find(id);
      if (wanted == pools_.end()) {
        if (!draft_.model().is_fixed_pool(id)) gone.emplace_back(id, std::nullopt);
      } else if (const Pool& next = document_.pools[wanted->second];
                 next != pool && !may_resize(pool, next)) {
        gone.emplace_back(id, wanted->second);
      }
    }
    for (const auto& [id, wanted] : gone) {
      auto deleted = draft_.carry_out(draft_.model().plan_delete_pool(id));
      if (deleted) continue;
      Error error = std::move(deleted.error());
      error.field = wanted ? element("pools", *wanted) + ".prefix" : "document.pools";
      return Unexpected(std::move(error));
    }
    return {};
  }

  Expected<void> put_pool(size_t i) {
    const Pool& pool = document_.pools[i];
    auto put = draft_.carry_out(state().pools.contains(pool.id)
                                    ? draft_.model().plan_update_pool(pool.id, pool.prefix)
                                    : draft_.model().plan_create_pool(pool));
    if (put) return {};
    return Unexpected(in_document(std::move(put.error()), element("pools", i), "pool", "name"));
  }

  Expected<void> put_pools() {
    return in_any_order(document_.pools.size(), [&](size_t i) { return put_pool(i); });
  }

  Expected<void> place_vm(size_t i) {
    const Vm& vm = document_.vms[i];
    const VmKey key{vm.tenant, vm.id};
    auto placed = draft_.carry_out(state().vms.contains(key) ? draft_.model().plan_move_vm(key, vm.location)
                                                             : draft_.model().plan_create_vm(vm));
    if (placed) return {};
    return Unexpected(in_document(std::move(placed.error()), element("vms", i), "vm", "name"));
  }

  Expected<void> place_vms() {
    return in_any_order(document_.vms.size(), [&](size_t i) { return place_vm(i); });
  }

  Expected<void> put_quotas() {
    std::vector<TenantId> gone;
    for (const auto& [key, quota] : state().quotas)
      if (!quotas_.contains(key.tenant)) gone.push_back(key.tenant);
    for (const TenantId& tenant : gone) {
      auto cleared = draft_.carry_out(
          draft_.model().plan_set_tenant_quota(tenant, TenantQuotaChange{.eips = 0, .rules = 0, .flows = 0}));
      if (!cleared) return Unexpected(std::move(cleared.error()));
    }
    for (size_t i = 0; i < document_.quotas.size(); ++i) {
      const TenantQuota& quota = document_.quotas[i];
      auto put = draft_.carry_out(draft_.model().plan_set_tenant_quota(
          quota.tenant, TenantQuotaChange{.eips = quota.eips, .rules = quota.rules, .flows = quota.flows}));
      if (put) continue;
      Error error = std::move(put.error());
      error.field = element("quotas", i) + "." + (error.field == "tenant" ? "name" : error.field);
      return Unexpected(std::move(error));
    }
    return {};
  }

  Expected<void> put_eip(const DocumentEip& eip) {
    if (!state().eips.contains(eip.address)) {
      auto taken =
          draft_.carry_out(draft_.model().plan_take_eip({eip.tenant, eip.vm}, eip.address, draft_.now_ms()));
      if (!taken) return Unexpected(std::move(taken.error()));
    }
    // The same list would end the keeping of flows, and the document does not ask for that.
    const PermitList rules = eip.permit;
    if (canonical(rules) != state().eips.at(eip.address).permit) {
      auto set = draft_.carry_out(draft_.model().plan_put_permit_list(eip.tenant, eip.address, rules));
      if (!set) return Unexpected(std::move(set.error()));
    }
    auto tagged = draft_.carry_out(draft_.model().plan_set_tag(eip.tenant, eip.address, eip.tags));
    if (!tagged) return Unexpected(std::move(tagged.error()));
    auto bounded = draft_.carry_out(draft_.model().plan_set_eip_quota(
        eip.tenant, eip.address, EipQuotaChange{.rules = eip.quota.rules, .flows = eip.quota.flows}));
    if (bounded) return {};
    bounded.error().field = bounded.error().field == "flows" ? "flow_quota" : "rule_quota";
    return Unexpected(std::move(bounded.error()));
  }

  Expected<void> put_eips() {
    for (size_t i = 0; i < document_.eips.size(); ++i) {
      auto put = put_eip(document_.eips[i]);
      if (!put) return Unexpected(in_document(std::move(put.error()), element("eips", i), "eip", "name"));
    }
    return {};
  }

  // One rest that has ended says nothing, and a longer one stands; none is longer than one that begins now.
  Expected<void> put_rests() {
    for (size_t i = 0; i < document_.resting.size(); ++i) {
      const Quarantine& rest = document_.resting[i];
      if (state().eips.contains(rest.address))
        return fail(
            ErrorCode::invalid_argument,
            rest.address.to_string() + " is an EIP of the document, and cannot rest; take one of the two out",
            element("resting", i) + ".address");
      const auto known = state().quarantine.find(rest.address);
      const int64_t until_ms =
          std::min(rest.until_ms, draft_.now_ms() + draft_.model().limits().quarantine_ms);
      if (until_ms <= draft_.now_ms() ||
          (known != state().quarantine.end() && known->second.until_ms >= until_ms))
        continue;
      draft_.make(DeleteEip{rest.address, until_ms});
    }
    return {};
  }

  Draft& draft_;
  const Document& document_;
  std::map<std::string, size_t> pools_;
  std::map<VmKey, size_t> vms_;
  std::map<IpAddr, size_t> eips_;
  std::map<TenantId, size_t> quotas_;
};

}  // namespace

Expected<void> replace_state(Draft& draft, const Document& document) {
  return Replacement(draft, document).carry_out();
}

}  // namespace portcullis::model
