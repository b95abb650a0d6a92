#include "control/service/tenant_service.h"

#include <utility>

#include "control/service/clock.h"
#include "control/service/convert.h"
#include "control/service/page.h"
#include "control/service/status.h"

namespace portcullis::service {
namespace {

using model::Model;
using View = Control::View;

// The plan, to be answered with the EIP as a message. The derived fields do not depend on what is planned.
Expected<model::Plan<v1::Eip>> with_message(const Model& model, Expected<model::Plan<model::Eip>> plan) {
  return std::move(plan).map([&](model::Plan<model::Eip> planned) {
    return model::Plan<v1::Eip>{std::move(planned.changes), to_proto(model, planned.reply)};
  });
}

// The model calls the field of a missing EIP "eip"; in requests about the EIP itself it is "name".
Error about_name(Error error) {
  if (error.field == "eip") error.field = "name";
  return error;
}

}  // namespace

grpc::Status TenantService::RequestEip(grpc::ServerContext*, const v1::RequestEipRequest* request,
                                       v1::RequestEipResponse* reply) {
  const Expected<model::VmKey> vm = vm_key(request->vm(), "vm");
  if (!vm) return to_status(vm.error());
  const Expected<std::string> pool =
      request->pool().empty() ? std::string() : pool_id(request->pool(), "pool");
  if (!pool) return to_status(pool.error());
  const auto family = to_model(request->family());
  if (!family) return to_status(family.error());
  auto applied = control_.mutate([&](const Model& model) {
    return with_message(model, model.plan_request_eip(*vm, *pool, unix_ms(), *family));
  });
  if (!applied) return to_status(applied.error());
  *reply->mutable_eip() = std::move(applied->reply);
  reply->set_generation(applied->generation);
  return grpc::Status::OK;
}

grpc::Status TenantService::ReleaseEip(grpc::ServerContext*, const v1::ReleaseEipRequest* request,
                                       v1::ReleaseEipResponse* reply) {
  const Expected<EipKey> eip = eip_key(request->name(), "name");
  if (!eip) return to_status(eip.error());
  const auto applied = control_.mutate(
      [&](const Model& model) { return model.plan_release_eip(eip->tenant, eip->address, unix_ms()); });
  if (!applied) return to_status(about_name(applied.error()));
  reply->set_generation(applied->generation);
  return grpc::Status::OK;
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
  const std::string list = "eips of " + request->parent();
  const Expected<Page> page = page_of(request->page_size(), request->page_token(), list);
  if (!page) return to_status(page.error());
  const auto listed = control_.run([&](View view) {
    const auto& eips = view.model.state().eips;
    const std::optional<IpAddr> after = IpAddr::parse(page->after);
    const auto of_tenant = [&](const auto& entry) {
      return !tenant->has_value() || entry.second.tenant == **tenant;
    };
    const auto begin = after ? eips.upper_bound(*after) : eips.begin();
    reply->set_next_page_token(fill_page(*page, list, begin, eips.end(), of_tenant, [&](const auto& entry) {
      *reply->add_eips() = to_proto(view.model, entry.second);
      return entry.first.to_string();
    }));
  });
  return listed ? grpc::Status::OK : to_status(listed.error());
}

template <typename Planner, typename Reply>
grpc::Status TenantService::put_list(Planner&& planner, Reply* reply) {
  const auto applied = control_.mutate(planner);
  if (!applied) return to_status(applied.error());
  *reply->mutable_permit_list() = permit_list(applied->reply);
  reply->set_generation(applied->generation);
  return grpc::Status::OK;
}

grpc::Status TenantService::SetPermitList(grpc::ServerContext*, const v1::SetPermitListRequest* request,
                                          v1::SetPermitListResponse* reply) {
  const Expected<EipKey> eip = eip_key(request->eip(), "eip");
  if (!eip) return to_status(eip.error());
  auto rules = to_model(request->rules());
  if (!rules) return to_status(rules.error());
  return put_list(
      [&](const Model& model) {
        return model.plan_set_permit_list(eip->tenant, eip->address, std::move(*rules),
                                          request->keep_established());
      },
      reply);
}

grpc::Status TenantService::AddPermitRules(grpc::ServerContext*, const v1::AddPermitRulesRequest* request,
                                           v1::AddPermitRulesResponse* reply) {
  const Expected<EipKey> eip = eip_key(request->eip(), "eip");
  if (!eip) return to_status(eip.error());
  auto rules = to_model(request->rules());
  if (!rules) return to_status(rules.error());
  return put_list(
      [&](const Model& model) {
        return model.plan_add_permit_rules(eip->tenant, eip->address, std::move(*rules));
      },
      reply);
}

grpc::Status TenantService::RemovePermitRules(grpc::ServerContext*,
                                              const v1::RemovePermitRulesRequest* request,
                                              v1::RemovePermitRulesResponse* reply) {
  const Expected<EipKey> eip = eip_key(request->eip(), "eip");
  if (!eip) return to_status(eip.error());
  return put_list(
      [&](const Model& model) {
        return model.plan_remove_permit_rules(eip->tenant, eip->address,
                                              {request->names().begin(), request->names().end()},
                                              request->keep_established());
      },
      reply);
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

grpc::Status TenantService::SetTag(grpc::ServerContext*, const v1::SetTagRequest* request,
                                   v1::SetTagResponse* reply) {
  const Expected<EipKey> eip = eip_key(request->eip(), "eip");
  if (!eip) return to_status(eip.error());
  auto applied = control_.mutate([&](const Model& model) {
    return with_message(model, model.plan_set_tag(eip->tenant, eip->address, to_set(request->tags())));
  });
  if (!applied) return to_status(applied.error());
  *reply->mutable_eip() = std::move(applied->reply);
  reply->set_generation(applied->generation);
  return grpc::Status::OK;
}

}  // namespace portcullis::service
