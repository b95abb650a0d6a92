#include "control/service/provider_service.h"

#include <utility>
#include <vector>

#include "control/model/names.h"
#include "control/service/convert.h"
#include "control/service/document.h"
#include "control/service/edit.h"
#include "control/service/next_hops.h"
#include "control/service/page.h"
#include "control/service/status.h"

namespace portcullis::service {
namespace {

using View = Control::View;

constexpr std::string_view pool_list = "pools";
constexpr std::string_view quota_list = "quotas";

// `context` null: the provider calls.
bool is_by_socket(const grpc::ServerContext* context) {
  return context == nullptr || context->peer().starts_with("unix:");
}

// "T/ID" -> (T, ID), the key of a page of vms.
model::VmKey vm_after(const std::string& key) {
  const size_t slash = key.find('/');
  return {key.substr(0, slash), slash == std::string::npos ? std::string() : key.substr(slash + 1)};
}

// Those that can be sent to afterwards, or at another place.
std::vector<model::VmKey> reached_vms(const v1::ApplyRequest& request) {
  std::vector<model::VmKey> vms;
  for (const v1::Operation& operation : request.operations()) {
    if (!operation.has_move_vm() && !operation.has_request_eip()) continue;
    const auto vm = operation.has_move_vm() ? vm_key(operation.move_vm().name(), "name")
                                            : vm_key(operation.request_eip().vm(), "vm");
    if (vm) vms.push_back(*vm);
  }
  return vms;
}

}  // namespace

grpc::Status ProviderService::CreateVm(grpc::ServerContext* context, const v1::CreateVmRequest* request,
                                       v1::CreateVmResponse* reply) {
  return change(control_, context, *request, *reply);
}

grpc::Status ProviderService::GetVm(grpc::ServerContext*, const v1::GetVmRequest* request, v1::Vm* reply) {
  const Expected<model::VmKey> key = vm_key(request->name(), "name");
  if (!key) return to_status(key.error());
  auto vm = control_.run([&](View view) {
    return view.model.find_vm(*key).map([&](const model::Vm* found) { return to_proto(view.model, *found); });
  });
  if (!vm) return to_status(vm.error());
  *reply = std::move(*vm);
  return grpc::Status::OK;
}

grpc::Status ProviderService::ListVms(grpc::ServerContext*, const v1::ListVmsRequest* request,
                                      v1::ListVmsResponse* reply) {
  const auto tenant = parent_tenant(request->parent());
  if (!tenant) return to_status(tenant.error());
  const std::string list = "vms of " + request->parent();
  const Expected<Page> page = page_of(request->page_size(), request->page_token(), list);
  if (!page) return to_status(page.error());
  const auto listed = control_.run([&](View view) {
    const auto& vms = view.model.state().vms;
    const model::VmKey start =
        page->after.empty() ? model::VmKey(tenant->value_or(""), "") : vm_after(page->after);
    const auto begin = vms.upper_bound(start);
    const auto end = tenant->has_value() ? view.model.state().vms_of(**tenant).end() : vms.end();
    reply->set_next_page_token(fill_page(*page, list, begin, end, [&](const auto& entry) {
      *reply->add_vms() = to_proto(view.model, entry.second);
      return entry.first.first + "/" + entry.first.second;
    }));
  });
  return listed ? grpc::Status::OK : to_status(listed.error());
}

grpc::Status ProviderService::MoveVm(grpc::ServerContext* context, const v1::MoveVmRequest* request,
                                     v1::MoveVmResponse* reply) {
  grpc::Status status = change(control_, context, *request, *reply);
  if (const auto vm = vm_key(request->name(), "name"); status.ok() && vm)
    await_next_hops(control_, {*vm}, next_hop_patience_);
  return status;
}

grpc::Status ProviderService::DeleteVm(grpc::ServerContext* context, const v1::DeleteVmRequest* request,
                                       v1::DeleteVmResponse* reply) {
  return change(control_, context, *request, *reply);
}

grpc::Status ProviderService::CreatePool(grpc::ServerContext* context, const v1::CreatePoolRequest* request,
                                         v1::CreatePoolResponse* reply) {
  return change(control_, context, *request, *reply);
}

grpc::Status ProviderService::GetPool(grpc::ServerContext*, const v1::GetPoolRequest* request,
                                      v1::Pool* reply) {
  const Expected<std::string> id = pool_id(request->name(), "name");
  if (!id) return to_status(id.error());
  auto pool = control_.run([&](View view) {
    return view.model.find_pool(*id).map(
        [&](const model::Pool* found) { return to_proto(view.model, *found, view.now_ms); });
  });
  if (!pool) return to_status(pool.error());
  *reply = std::move(*pool);
  return grpc::Status::OK;
}

grpc::Status ProviderService::ListPools(grpc::ServerContext*, const v1::ListPoolsRequest* request,
                                        v1::ListPoolsResponse* reply) {
  const Expected<Page> page = page_of(request->page_size(), request->page_token(), pool_list);
  if (!page) return to_status(page.error());
  const auto listed = control_.run([&](View view) {
    const auto& pools = view.model.state().pools;
    const auto begin = pools.upper_bound(page->after);
    const auto show = [&](const auto& entry) {
      *reply->add_pools() = to_proto(view.model, entry.second, view.now_ms);
      return entry.first;
    };
    reply->set_next_page_token(fill_page(*page, pool_list, begin, pools.end(), show));
  });
  return listed ? grpc::Status::OK : to_status(listed.error());
}

grpc::Status ProviderService::UpdatePool(grpc::ServerContext* context, const v1::UpdatePoolRequest* request,
                                         v1::UpdatePoolResponse* reply) {
  return change(control_, context, *request, *reply);
}

grpc::Status ProviderService::DeletePool(grpc::ServerContext* context, const v1::DeletePoolRequest* request,
                                         v1::DeletePoolResponse* reply) {
  return change(control_, context, *request, *reply);
}

grpc::Status ProviderService::SetTenantQuota(grpc::ServerContext* context,
                                             const v1::SetTenantQuotaRequest* request,
                                             v1::SetTenantQuotaResponse* reply) {
  return change(control_, context, *request, *reply);
}

grpc::Status ProviderService::ListTenantQuotas(grpc::ServerContext*,
                                               const v1::ListTenantQuotasRequest* request,
                                               v1::ListTenantQuotasResponse* reply) {
  const Expected<Page> page = page_of(request->page_size(), request->page_token(), quota_list);
  if (!page) return to_status(page.error());
  const auto listed = control_.run([&](View view) {
    const auto& quotas = view.model.state().quotas;
    const auto begin = quotas.upper_bound(model::QuotaKey{page->after});
    const auto show = [&](const auto& entry) {
      v1::TenantQuota& quota = *reply->add_quotas() = quota_of(view.model, entry.first.tenant);
      quota.mutable_flows()->set_used(view.publisher.flows_of_tenant(entry.first.tenant));
      return entry.first.tenant;
    };
    reply->set_next_page_token(fill_page(*page, quota_list, begin, quotas.end(), show));
  });
  return listed ? grpc::Status::OK : to_status(listed.error());
}

grpc::Status ProviderService::SetEipQuota(grpc::ServerContext* context, const v1::SetEipQuotaRequest* request,
                                          v1::SetEipQuotaResponse* reply) {
  return change(control_, context, *request, *reply);
}

grpc::Status ProviderService::Apply(grpc::ServerContext* context, const v1::ApplyRequest* request,
                                    v1::ApplyResponse* reply) {
  grpc::Status status = change(control_, context, *request, *reply);
  if (status.ok() && !request->dry_run())
    await_next_hops(control_, reached_vms(*request), next_hop_patience_);
  return status;
}

grpc::Status ProviderService::Export(grpc::ServerContext* context, const v1::ExportRequest*,
                                     v1::Document* reply) {
  auto document = control_.run([](View view) { return to_document(view.model.state()); });
  if (!document) return to_status(document.error());
  const bool by_socket = is_by_socket(context);
  if (const auto fits = check_size(*document, bounds_.of(by_socket), by_socket); !fits)
    return to_status(fits.error());
  *reply = std::move(*document);
  return grpc::Status::OK;
}

grpc::Status ProviderService::Import(grpc::ServerContext* context, const v1::ImportRequest* request,
                                     v1::ImportResponse* reply) {
  const bool by_socket = is_by_socket(context);
  return change(control_, context, *request, *reply, [&](const v1::ImportResponse& made) -> Expected<void> {
    if (made.ByteSizeLong() <= bounds_.of(by_socket)) return {};
    return fail(ErrorCode::resource_exhausted,
                "the document changes " + std::to_string(made.changes_size()) +
                    " objects, and an answer has no room for their names; import " +
                    (by_socket ? "" : "by the gateway's UNIX socket, or ") +
                    "several documents that change fewer",
                "document");
  });
}

}  // namespace portcullis::service
