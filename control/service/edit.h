// Calls that change something, decoded: what each does to a draft, and what it answers. The same for a call
// by itself and for one of many (Apply).
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>

#include "control/control.h"
#include "control/model/draft.h"
#include "control/service/request_id.h"
#include "control/service/status.h"
#include "portcullis/v1/provider_service.pb.h"
#include "portcullis/v1/tenant_service.pb.h"
#include "src/base/expected.h"

namespace portcullis::service {

// Runs on the control thread, and again if what it drafted could not be stored with other calls': it stays as
// it was. The reply lacks its generation.
template <typename Reply>
using Edit = std::function<Expected<Reply>(model::Draft&)>;

// Of one object. Planned on the model as it is then; the reply is made of what the plan says of the object.
template <typename Reply, typename Object>
struct ObjectEdit {
  using ObjectType = Object;
  std::function<Expected<model::Plan<Object>>(const model::Draft&)> plan;
  Reply (*reply)(const model::Draft&, const Object&);
  std::optional<IpAddr> eip = {};  // that its plan reads, to be fetched ahead (Apply); none: nothing is

  // For who wants no reply.
  [[nodiscard]] Expected<Object> carry_out(model::Draft& draft) const { return draft.carry_out(plan(draft)); }
  [[nodiscard]] Expected<Reply> operator()(model::Draft& draft) const {
    return carry_out(draft).map([&](const Object& object) { return reply(draft, object); });
  }
};
template <typename Reply>
using VmEdit = ObjectEdit<Reply, model::Vm>;
template <typename Reply>
using PoolEdit = ObjectEdit<Reply, model::Pool>;
template <typename Reply>
using EipEdit = ObjectEdit<Reply, model::Eip>;
template <typename Reply>
using QuotaEdit = ObjectEdit<Reply, model::TenantQuota>;
template <typename Reply>
using Deletion = ObjectEdit<Reply, model::Nothing>;

// What does not decode is refused by the path of its field.
[[nodiscard]] Expected<VmEdit<v1::CreateVmResponse>> edit_of(const v1::CreateVmRequest& request);
[[nodiscard]] Expected<VmEdit<v1::MoveVmResponse>> edit_of(const v1::MoveVmRequest& request);
[[nodiscard]] Expected<Deletion<v1::DeleteVmResponse>> edit_of(const v1::DeleteVmRequest& request);
[[nodiscard]] Expected<PoolEdit<v1::CreatePoolResponse>> edit_of(const v1::CreatePoolRequest& request);
[[nodiscard]] Expected<PoolEdit<v1::UpdatePoolResponse>> edit_of(const v1::UpdatePoolRequest& request);
[[nodiscard]] Expected<Deletion<v1::DeletePoolResponse>> edit_of(const v1::DeletePoolRequest& request);
[[nodiscard]] Expected<EipEdit<v1::RequestEipResponse>> edit_of(const v1::RequestEipRequest& request);
[[nodiscard]] Expected<Deletion<v1::ReleaseEipResponse>> edit_of(const v1::ReleaseEipRequest& request);
[[nodiscard]] Expected<EipEdit<v1::SetPermitListResponse>> edit_of(const v1::SetPermitListRequest& request);
[[nodiscard]] Expected<EipEdit<v1::AddPermitRulesResponse>> edit_of(const v1::AddPermitRulesRequest& request);
[[nodiscard]] Expected<EipEdit<v1::RemovePermitRulesResponse>> edit_of(
    const v1::RemovePermitRulesRequest& request);
[[nodiscard]] Expected<EipEdit<v1::SetTagResponse>> edit_of(const v1::SetTagRequest& request);
[[nodiscard]] Expected<QuotaEdit<v1::SetTenantQuotaResponse>> edit_of(
    const v1::SetTenantQuotaRequest& request);
[[nodiscard]] Expected<EipEdit<v1::SetEipQuotaResponse>> edit_of(const v1::SetEipQuotaRequest& request);
[[nodiscard]] Expected<Edit<v1::ApplyResponse>> edit_of(const v1::ApplyRequest& request);
[[nodiscard]] Expected<Edit<v1::ImportResponse>> edit_of(const v1::ImportRequest& request);

template <typename Request>
[[nodiscard]] Terms terms_of(const Request& request) {
  Terms terms;
  if (request.has_expected_generation()) terms.expected_generation = request.expected_generation();
  if constexpr (requires { request.dry_run(); }) terms.dry_run = request.dry_run();
  if constexpr (requires { request.operations_size(); })
    terms.operations = static_cast<uint32_t>(std::max(1, request.operations_size()));
  if constexpr (requires { request.document(); }) terms.operations = UINT32_MAX;  // all that there is
  return terms;
}

inline constexpr auto any_reply = [](const auto&) { return Expected<void>(); };

// The whole call. With a request id it is carried out once; a dry run never is. `context` null: the provider
// calls. A reply that `may_be` refuses is not given, and nothing changes.
template <typename Request, typename Reply, typename MayBe = decltype(any_reply)>
[[nodiscard]] grpc::Status change(Control& control, const grpc::ServerContextBase* context,
                                  const Request& request, Reply& reply, const MayBe& may_be = any_reply) {
  auto edit = edit_of(request);
  if (!edit) return to_status(edit.error());
  const auto id = request_id_of(context, request);
  if (!id) return to_status(id.error());
  const Terms terms = terms_of(request);
  const auto checked = [&](model::Draft& draft) {
    return (*edit)(draft).and_then([&](Reply made) -> Expected<Reply> {
      if (auto done = may_be(made); !done) return Unexpected(std::move(done.error()));
      return made;
    });
  };
  if (!*id || terms.dry_run) {
    auto applied = control.change(terms, checked);
    if (!applied) return to_status(applied.error());
    reply = std::move(applied->reply);
    reply.set_generation(applied->generation);
    return grpc::Status::OK;
  }
  const auto answer = control.change_once(terms, **id, [&](model::Draft& draft) {
    return checked(draft).map([&](Reply made) {
      made.set_generation(draft.generation());
      return made.SerializeAsString();
    });
  });
  if (!answer) return to_status(answer.error());
  if (!reply.ParseFromString(*answer))
    return to_status(
        Error{ErrorCode::internal, "the answer to request id '" + (*id)->id + "' is no message", {}, {}});
  return grpc::Status::OK;
}

}  // namespace portcullis::service
