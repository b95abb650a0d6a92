#include "control/service/edit.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "control/service/convert.h"
#include "control/service/quote.h"

namespace portcullis::service {
namespace {

template <typename Reply>
Reply nothing_of(const model::Draft&, const model::Nothing&) {
  return {};
}
template <typename Reply>
Reply vm_of(const model::Draft& draft, const model::Vm& vm) {
  Reply reply;
  *reply.mutable_vm() = to_proto(draft.model(), vm);
  return reply;
}
template <typename Reply>
Reply eip_of(const model::Draft& draft, const model::Eip& eip) {
  Reply reply;
  *reply.mutable_eip() = to_proto(draft.model(), eip);
  return reply;
}
template <typename Reply>
Reply list_of(const model::Draft&, const model::Eip& eip) {
  Reply reply;
  *reply.mutable_permit_list() = permit_list(eip);
  return reply;
}
template <typename Reply>
Reply pool_of(const model::Draft& draft, const model::Pool& pool) {
  Reply reply;
  *reply.mutable_pool() = to_proto(draft.model(), pool, draft.now_ms());
  return reply;
}

template <typename Reply>
Reply tenant_quota_of(const model::Draft& draft, const model::TenantQuota& quota) {
  Reply reply;
  *reply.mutable_quota() = quota_of(draft.model(), quota.tenant);
  return reply;
}
template <typename Reply>
Reply eip_quota_of(const model::Draft& draft, const model::Eip& eip) {
  Reply reply;
  *reply.mutable_quota() = quota_of(draft.model(), eip);
  return reply;
}

// A pool's prefix is all that an update may change.
Expected<void> check_mask(const v1::UpdatePoolRequest& request) {
  const auto& paths = request.update_mask().paths();
  for (int i = 0; i < paths.size(); ++i)
    if (paths[i] != "prefix")
      return fail(ErrorCode::invalid_argument,
                  quoted(paths[i]) + " of a pool cannot change; name prefix, or nothing",
                  "update_mask.paths[" + std::to_string(i) + "]");
  if (paths.empty() && request.pool().kind() != v1::Pool::KIND_UNSPECIFIED)
    return fail(ErrorCode::invalid_argument,
                "the kind of a pool cannot change; leave it out, or name prefix in update_mask", "pool.kind");
  return {};
}

}  // namespace

Expected<VmEdit<v1::CreateVmResponse>> edit_of(const v1::CreateVmRequest& request) {
  return to_model(request.vm()).map([](model::Vm vm) {
    return VmEdit<v1::CreateVmResponse>{
        [vm = std::move(vm)](const model::Draft& draft) { return draft.model().plan_create_vm(vm); },
        vm_of<v1::CreateVmResponse>};
  });
}

Expected<VmEdit<v1::MoveVmResponse>> edit_of(const v1::MoveVmRequest& request) {
  const Expected<model::VmKey> key = vm_key(request.name(), "name");
  if (!key) return Unexpected(key.error());
  return to_model(request.location(), "location").map([&](model::Location location) {
    return VmEdit<v1::MoveVmResponse>{
        [key = *key, location = std::move(location)](const model::Draft& draft) {
          return draft.model().plan_move_vm(key, location);
        },
        vm_of<v1::MoveVmResponse>};
  });
}

Expected<Deletion<v1::DeleteVmResponse>> edit_of(const v1::DeleteVmRequest& request) {
  return vm_key(request.name(), "name").map([](model::VmKey key) {
    return Deletion<v1::DeleteVmResponse>{
        [key = std::move(key)](const model::Draft& draft) { return draft.model().plan_delete_vm(key); },
        nothing_of<v1::DeleteVmResponse>};
  });
}

Expected<PoolEdit<v1::CreatePoolResponse>> edit_of(const v1::CreatePoolRequest& request) {
  return to_model(request.pool()).map([](model::Pool pool) {
    return PoolEdit<v1::CreatePoolResponse>{
        [pool = std::move(pool)](const model::Draft& draft) { return draft.model().plan_create_pool(pool); },
        pool_of<v1::CreatePoolResponse>};
  });
}

Expected<PoolEdit<v1::UpdatePoolResponse>> edit_of(const v1::UpdatePoolRequest& request) {
  const Expected<std::string> id = pool_id(request.pool().name(), "pool.name");
  if (!id) return Unexpected(id.error());
  if (auto mask = check_mask(request); !mask) return Unexpected(std::move(mask.error()));
  return pool_prefix(request.pool()).map([&](const IpPrefix& prefix) {
    return PoolEdit<v1::UpdatePoolResponse>{
        [id = *id, prefix](const model::Draft& draft) { return draft.model().plan_update_pool(id, prefix); },
        pool_of<v1::UpdatePoolResponse>};
  });
}

Expected<Deletion<v1::DeletePoolResponse>> edit_of(const v1::DeletePoolRequest& request) {
  return pool_id(request.name(), "name").map([](std::string id) {
    return Deletion<v1::DeletePoolResponse>{
        [id = std::move(id)](const model::Draft& draft) { return draft.model().plan_delete_pool(id); },
        nothing_of<v1::DeletePoolResponse>};
  });
}

Expected<EipEdit<v1::RequestEipResponse>> edit_of(const v1::RequestEipRequest& request) {
  const Expected<model::VmKey> vm = vm_key(request.vm(), "vm");
  if (!vm) return Unexpected(vm.error());
  const Expected<std::string> pool = request.pool().empty() ? std::string() : pool_id(request.pool(), "pool");
  if (!pool) return Unexpected(pool.error());
  const auto family = to_model(request.family());
  if (!family) return Unexpected(family.error());
  return EipEdit<v1::RequestEipResponse>{
      [vm = *vm, pool = *pool, family = *family](const model::Draft& draft) {
        return draft.model().plan_request_eip(vm, pool, draft.now_ms(), family);
      },
      eip_of<v1::RequestEipResponse>};
}

Expected<Deletion<v1::ReleaseEipResponse>> edit_of(const v1::ReleaseEipRequest& request) {
  return eip_key(request.name(), "name").map([](EipKey eip) {
    return Deletion<v1::ReleaseEipResponse>{[eip = std::move(eip)](const model::Draft& draft) {
                                              return draft.model().plan_release_eip(eip.tenant, eip.address,
                                                                                    draft.now_ms());
                                            },
                                            nothing_of<v1::ReleaseEipResponse>};
  });
}

Expected<EipEdit<v1::SetPermitListResponse>> edit_of(const v1::SetPermitListRequest& request) {
  const Expected<EipKey> eip = eip_key(request.eip(), "eip");
  if (!eip) return Unexpected(eip.error());
  return to_model(request.rules()).map([&](model::PermitList rules) {
    return EipEdit<v1::SetPermitListResponse>{
        [eip = *eip, rules = std::move(rules),
         keep_established = request.keep_established()](const model::Draft& draft) {
          return draft.model().plan_set_permit_list(eip.tenant, eip.address, rules, keep_established);
        },
        list_of<v1::SetPermitListResponse>, eip->address};
  });
}

Expected<EipEdit<v1::AddPermitRulesResponse>> edit_of(const v1::AddPermitRulesRequest& request) {
  const Expected<EipKey> eip = eip_key(request.eip(), "eip");
  if (!eip) return Unexpected(eip.error());
  return to_model(request.rules()).map([&](model::PermitList rules) {
    return EipEdit<v1::AddPermitRulesResponse>{
        [eip = *eip, rules = std::move(rules)](const model::Draft& draft) {
          return draft.model().plan_add_permit_rules(eip.tenant, eip.address, rules.rules());
        },
        list_of<v1::AddPermitRulesResponse>, eip->address};
  });
}

Expected<EipEdit<v1::RemovePermitRulesResponse>> edit_of(const v1::RemovePermitRulesRequest& request) {
  return eip_key(request.eip(), "eip").map([&](const EipKey& eip) {
    std::vector<std::string> names(request.names().begin(), request.names().end());
    return EipEdit<v1::RemovePermitRulesResponse>{
        [eip = EipKey(eip), names = std::move(names),
         keep_established = request.keep_established()](const model::Draft& draft) {
          return draft.model().plan_remove_permit_rules(eip.tenant, eip.address, names, keep_established);
        },
        list_of<v1::RemovePermitRulesResponse>, eip.address};
  });
}

Expected<EipEdit<v1::SetTagResponse>> edit_of(const v1::SetTagRequest& request) {
  return eip_key(request.eip(), "eip").map([&](const EipKey& eip) {
    return EipEdit<v1::SetTagResponse>{
        [eip = EipKey(eip), tags = to_set(request.tags())](const model::Draft& draft) {
          return draft.model().plan_set_tag(eip.tenant, eip.address, tags);
        },
        eip_of<v1::SetTagResponse>, eip.address};
  });
}

Expected<QuotaEdit<v1::SetTenantQuotaResponse>> edit_of(const v1::SetTenantQuotaRequest& request) {
  return tenant_id(request.tenant(), "tenant").map([&](model::TenantId tenant) {
    model::TenantQuotaChange change;
    if (request.has_eips()) change.eips = request.eips();
    if (request.has_rules()) change.rules = request.rules();
    if (request.has_flows()) change.flows = request.flows();
    return QuotaEdit<v1::SetTenantQuotaResponse>{
        [tenant = std::move(tenant), change](const model::Draft& draft) {
          return draft.model().plan_set_tenant_quota(tenant, change);
        },
        tenant_quota_of<v1::SetTenantQuotaResponse>};
  });
}

Expected<EipEdit<v1::SetEipQuotaResponse>> edit_of(const v1::SetEipQuotaRequest& request) {
  return eip_key(request.eip(), "eip").map([&](const EipKey& eip) {
    model::EipQuotaChange change;
    if (request.has_rules()) change.rules = request.rules();
    if (request.has_flows()) change.flows = request.flows();
    return EipEdit<v1::SetEipQuotaResponse>{[eip = EipKey(eip), change](const model::Draft& draft) {
                                              return draft.model().plan_set_eip_quota(eip.tenant, eip.address,
                                                                                      change);
                                            },
                                            eip_quota_of<v1::SetEipQuotaResponse>, eip.address};
  });
}

}  // namespace portcullis::service
