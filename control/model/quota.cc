// Quotas: what a tenant, and an EIP, may hold at most. The provider sets them; the configuration has what
// holds where nothing is set. They are asked when something is added and at no other time.
#include <algorithm>

#include "control/model/model.h"
#include "control/model/names.h"

namespace portcullis::model {

namespace {

// " 5 (the default, capacity.eips_per_tenant)"
std::string limit_text(const QuotaUse& quota, const char* otherwise) {
  const std::string limit = " " + std::to_string(quota.limit);
  return quota.set != 0 ? limit : limit + " (the default, " + otherwise + ")";
}

constexpr const char* what_to_do = ", or let the provider raise the quota";

// `most`: what no quota can exceed.
QuotaUse use_of(uint32_t set, uint32_t otherwise, uint32_t most, uint64_t used) {
  return {.set = set, .limit = std::min(set != 0 ? set : otherwise, most), .used = used};
}

// A value that a call wants.
Expected<void> check_wanted(std::optional<uint32_t> wanted, const char* field, uint32_t most,
                            const char* capacity) {
  if (wanted.value_or(0) <= most) return {};
  return fail(ErrorCode::resource_exhausted,
              "a quota of " + std::to_string(*wanted) + " is more than the gateway has room for, " +
                  std::to_string(most) + "; give less, or raise " + capacity,
              field);
}

}  // namespace

TenantQuotaUse Model::quota_of(const TenantId& tenant) const {
  const auto found = state_.quotas.find(QuotaKey{tenant});
  const TenantQuota set = found == state_.quotas.end() ? TenantQuota{} : found->second;
  const Usage::OfTenant used = usage_.of(tenant);
  return {.eips = use_of(set.eips, limits_.eips_per_tenant, limits_.eips, used.eips),
          .rules = use_of(set.rules, limits_.rules_per_tenant, UINT32_MAX, used.rules),
          .flows = use_of(set.flows, limits_.flows_per_tenant, UINT32_MAX, 0)};
}

EipQuotaUse Model::quota_of(const Eip& eip) const {
  return {.rules = use_of(eip.quota.rules, limits_.default_rules_per_eip, limits_.rules_per_eip,
                          eip.permit.compiled_rules()),
          .flows = use_of(eip.quota.flows, limits_.flows_per_eip, limits_.flows, 0)};
}

Expected<Plan<TenantQuota>> Model::plan_set_tenant_quota(const TenantId& tenant,
                                                         const TenantQuotaChange& change) const {
  const auto refused = [&](Error error) {
    error.object = quota_name(tenant);
    return Unexpected(std::move(error));
  };
  if (!change.eips && !change.rules && !change.flows)
    return refused({ErrorCode::invalid_argument,
                    "no quota is given; give one of EIPs, rules or flows, or 0 for the default",
                    "eips",
                    {}});
  if (auto check = check_wanted(change.eips, "eips", limits_.eips, "capacity.eips"); !check)
    return refused(std::move(check.error()));
  const auto found = state_.quotas.find(QuotaKey{tenant});
  const TenantQuota current = found == state_.quotas.end() ? TenantQuota{.tenant = tenant} : found->second;
  TenantQuota next = current;
  next.eips = change.eips.value_or(current.eips);
  next.rules = change.rules.value_or(current.rules);
  next.flows = change.flows.value_or(current.flows);
  if (next == current) return unchanged(next);
  if (next == TenantQuota{.tenant = tenant}) return changed(DeleteTenantQuota{tenant}, next);
  if (found == state_.quotas.end() && state_.quotas.size() >= limits_.tenant_quotas)
    return refused({ErrorCode::resource_exhausted,
                    "all " + std::to_string(limits_.tenant_quotas) +
                        " tenants that may have a quota of their own have one; clear another one's",
                    "tenant",
                    {}});
  return changed(PutTenantQuota{next}, next);
}

Expected<Plan<Eip>> Model::plan_set_eip_quota(const TenantId& tenant, const IpAddr& eip,
                                              const EipQuotaChange& change) const {
  const auto found = find_eip(tenant, eip);
  if (!found) return Unexpected(found.error());
  const auto refused = [&](Error error) {
    error.object = eip_name(tenant, eip);
    return Unexpected(std::move(error));
  };
  if (!change.rules && !change.flows)
    return refused({ErrorCode::invalid_argument,
                    "no quota is given; give one of rules or of flows, or 0 for the default",
                    "rules",
                    {}});
  if (auto check = check_wanted(change.rules, "rules", limits_.rules_per_eip, "capacity.rules_per_eip");
      !check)
    return refused(std::move(check.error()));
  if (auto check = check_wanted(change.flows, "flows", limits_.flows, "capacity.flows"); !check)
    return refused(std::move(check.error()));
  Eip next = **found;
  next.quota.rules = change.rules.value_or(next.quota.rules);
  next.quota.flows = change.flows.value_or(next.quota.flows);
  if (next.quota == (*found)->quota) return unchanged(next);
  return changed(PutEip{next}, next);
}

Expected<void> Model::check_eip_quota(const TenantId& tenant) const {
  const QuotaUse quota = quota_of(tenant).eips;
  if (quota.used < quota.limit) return {};
  return fail(ErrorCode::resource_exhausted,
              tenant_name(tenant) + " has " + std::to_string(quota.used) + " EIPs, and its quota is" +
                  limit_text(quota, "capacity.eips_per_tenant") + "; release one" + what_to_do);
}

Expected<void> Model::check_rule_quota(const Eip& eip, const PermitList& rules) const {
  const uint64_t wanted = rules.compiled_rules();
  const QuotaUse of_eip = quota_of(eip).rules;
  if (wanted <= of_eip.used) return {};
  // check_permit_room() says it of the capacity.
  if (wanted > of_eip.limit && of_eip.limit < limits_.rules_per_eip)
    return fail(ErrorCode::resource_exhausted,
                "the list has " + std::to_string(wanted) +
                    " rules, one for each prefix or tag; the EIP has " + std::to_string(of_eip.used) +
                    ", and its quota is" + limit_text(of_eip, "capacity.default_rules_per_eip") +
                    "; shorten the list" + what_to_do,
                "rules");
  const QuotaUse of_tenant = quota_of(eip.tenant).rules;
  const uint64_t all = of_tenant.used - of_eip.used + wanted;
  if (all <= of_tenant.limit) return {};
  return fail(ErrorCode::resource_exhausted,
              "with this list all those of " + tenant_name(eip.tenant) + " would have " +
                  std::to_string(all) + " rules, one for each prefix or tag; they have " +
                  std::to_string(of_tenant.used) + ", and its quota is" +
                  limit_text(of_tenant, "capacity.rules_per_tenant") + "; shorten this list or another" +
                  what_to_do,
              "rules");
}

}  // namespace portcullis::model
