#include "control/service/tenant_service.h"

#include <utility>

#include "control/service/convert.h"
#include "control/service/edit.h"
#include "control/service/next_hops.h"
#include "control/service/page.h"
#include "control/service/status.h"

namespace portcullis::service {
namespace {

using View = Control::View;

// The model calls the field of a missing EIP "eip"; in requests about the EIP itself it is "name".
Error about_name(Error error) {
  if (error.field == "eip") error.field = "name";
  return error;
}

// In the order of its vms, so that those of others cost nothing. A page's key is the last vm's id, and which
// of its two.
void list_eips_of(const model::Model& model, const model::TenantId& tenant, const Page& page,
                  const std::string& list, v1::ListEipsResponse& reply) {
  const std::string id = page.after.substr(0, page.after.rfind('/'));
  std::string last;
  const auto vms = model.state().vms_of(tenant);
  const auto end = vms.end();
  for (auto vm = vms.from(id); vm != end; ++vm)
    for (const IpFamily family : {IpFamily::ipv4, IpFamily::ipv6}) {
      const model::Eip* const eip = model.eip_of_vm(vm->first, family);
      const std::string key = vm->first.second + (family == IpFamily::ipv4 ? "/4" : "/6");
      if (eip == nullptr || (vm->first.second == id && key <= page.after)) continue;
      if (static_cast<size_t>(reply.eips_size()) == page.size) {
        reply.set_next_page_token(page_token(list, last));
        return;
      }
      *reply.add_eips() = service::to_proto(model, *eip);
      last = key;
    }
}

}  // namespace

grpc::Status TenantService::RequestEip(grpc::ServerContext* context, const v1::RequestEipRequest* request,
                                       v1::RequestEipResponse* reply) {
  grpc::Status status = change(control_, context, *request, *reply);
  if (const auto vm = vm_key(request->vm(), "vm"); status.ok() && vm)
    await_next_hops(control_, {*vm}, next_hop_patience_);
  return status;
}

grpc::Status TenantService::ReleaseEip(grpc::ServerContext* context, const v1::ReleaseEipRequest* request,
                                       v1::ReleaseEipResponse* reply) {
  return change(control_, context, *request, *reply);
}

grpc::Status TenantService::GetEip(grpc::ServerContext*, const v1::GetEipRequest* request, v1::Eip* reply) {
  const Expected<EipKey> key = eip_key(request->name(), "name");
  if (!key) return to_status(key.error());
  auto eip = control_.run([&](View view) {
    return view.model.find_eip(key->tenant, key->address).map([&](const model::Eip* found) {
      return to_proto(view.model, *found);
    });
  });
  if (!eip) return to_status(about_name(eip.error()));
  *reply = std::move(*eip);
  return grpc::Status::OK;
}

grpc::Status TenantService::ListEips(grpc::ServerContext*, const v1::ListEipsRequest* request,
                                     v1::ListEipsResponse* reply) {
  const auto tenant = parent_tenant(request->parent());
  if (!tenant) return to_status(tenant.error());
  const std::string list = (tenant->has_value() ? "eips by vm of " : "eips of ") + request->parent();
  const Expected<Page> page = page_of(request->page_size(), request->page_token(), list);
  if (!page) return to_status(page.error());
  const auto listed = control_.run([&](View view) {
    if (tenant->has_value()) return list_eips_of(view.model, **tenant, *page, list, *reply);
    const auto& eips = view.model.state().eips;
    const std::optional<IpAddr> after = IpAddr::parse(page->after);
    const auto begin = after ? eips.upper_bound(*after) : eips.begin();
    reply->set_next_page_token(fill_page(*page, list, begin, eips.end(), [&](const auto& entry) {
      *reply->add_eips() = to_proto(view.model, entry.second);
      return entry.first.to_string();
    }));
  });
  return listed ? grpc::Status::OK : to_status(listed.error());
}

grpc::Status TenantService::SetPermitList(grpc::ServerContext* context,
                                          const v1::SetPermitListRequest* request,
                                          v1::SetPermitListResponse* reply) {
  return change(control_, context, *request, *reply);
}

grpc::Status TenantService::AddPermitRules(grpc::ServerContext* context,
                                           const v1::AddPermitRulesRequest* request,
                                           v1::AddPermitRulesResponse* reply) {
  return change(control_, context, *request, *reply);
}

grpc::Status TenantService::RemovePermitRules(grpc::ServerContext* context,
                                              const v1::RemovePermitRulesRequest* request,
                                              v1::RemovePermitRulesResponse* reply) {
  return change(control_, context, *request, *reply);
}

grpc::Status TenantService::GetPermitList(grpc::ServerContext*, const v1::GetPermitListRequest* request,
                                          v1::PermitList* reply) {
  const Expected<EipKey> key = eip_key(request->eip(), "eip");
  if (!key) return to_status(key.error());
  const auto eip = control_.run([&](View view) {
    return view.model.find_eip(key->tenant, key->address).map([](const model::Eip* found) { return *found; });
  });
  if (!eip) return to_status(eip.error());
  *reply = permit_list(*eip);
  return grpc::Status::OK;
}

grpc::Status TenantService::SetTag(grpc::ServerContext* context, const v1::SetTagRequest* request,
                                   v1::SetTagResponse* reply) {
  return change(control_, context, *request, *reply);
}

grpc::Status TenantService::GetTenantQuota(grpc::ServerContext*, const v1::GetTenantQuotaRequest* request,
                                           v1::TenantQuota* reply) {
  const auto tenant = tenant_id(request->tenant(), "tenant");
  if (!tenant) return to_status(tenant.error());
  auto quota = control_.run([&](View view) {
    v1::TenantQuota message = quota_of(view.model, *tenant);
    message.mutable_flows()->set_used(view.publisher.flows_of_tenant(*tenant));
    return message;
  });
  if (!quota) return to_status(quota.error());
  *reply = std::move(*quota);
  return grpc::Status::OK;
}

grpc::Status TenantService::GetEipQuota(grpc::ServerContext*, const v1::GetEipQuotaRequest* request,
                                        v1::EipQuota* reply) {
  const Expected<EipKey> key = eip_key(request->eip(), "eip");
  if (!key) return to_status(key.error());
  auto quota = control_.run([&](View view) {
    return view.model.find_eip(key->tenant, key->address).map([&](const model::Eip* found) {
      v1::EipQuota message = quota_of(view.model, *found);
      message.mutable_flows()->set_used(view.publisher.flows_of(found->address));
      return message;
    });
  });
  if (!quota) return to_status(quota.error());
  *reply = std::move(*quota);
  return grpc::Status::OK;
}

}  // namespace portcullis::service
