// Many calls as one: Apply and Import.
#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "control/model/document.h"
#include "control/model/names.h"
#include "control/service/access.h"
#include "control/service/document.h"
#include "control/service/edit.h"

namespace portcullis::service {
namespace {

using model::Draft;

constexpr int max_operations = 100'000;
// Each operation on an EIP writes its whole list.
constexpr uint64_t max_written_rules = 2'000'000;

// One operation: answers with the name of its object.
using Step = Edit<std::string>;

struct PlacedStep {
  std::string_view call;  // "set_tag"
  Step step;
  std::optional<IpAddr> eip = {};  // ObjectEdit::eip
};

template <typename Request>
Expected<PlacedStep> step_of_call(const Request& request) {
  if (request.has_expected_generation())
    return fail(ErrorCode::invalid_argument,
                "one operation of many has no expected_generation of its own; give it to Apply",
                "expected_generation");
  if (!request.request_id().empty())
    return fail(ErrorCode::invalid_argument,
                "one operation of many has no request_id of its own; give it to Apply", "request_id");
  return edit_of(request).map([&](auto edit) -> PlacedStep {
    using Object = typename decltype(edit)::ObjectType;
    const std::optional<IpAddr> eip = edit.eip;
    Step step;
    if constexpr (std::is_same_v<Object, model::Eip>)
      step = [edit = std::move(edit)](Draft& draft) {
        return edit.carry_out(draft).map(
            [](const model::Eip& changed) { return model::eip_name(changed.tenant, changed.address); });
      };
    else if constexpr (std::is_same_v<Object, model::TenantQuota>)
      step = [edit = std::move(edit)](Draft& draft) {
        return edit.carry_out(draft).map(
            [](const model::TenantQuota& quota) { return model::quota_name(quota.tenant); });
      };
    else
      step = [edit = std::move(edit), name = object_of(request)](Draft& draft) {
        return edit.carry_out(draft).map([&](const Object&) { return name; });
      };
    return {.call = {}, .step = std::move(step), .eip = eip};
  });
}

Expected<PlacedStep> step_of(const v1::Operation& operation) {
  switch (operation.operation_case()) {
    case v1::Operation::kCreateVm:
      return step_of_call(operation.create_vm());
    case v1::Operation::kMoveVm:
      return step_of_call(operation.move_vm());
    case v1::Operation::kDeleteVm:
      return step_of_call(operation.delete_vm());
    case v1::Operation::kCreatePool:
      return step_of_call(operation.create_pool());
    case v1::Operation::kUpdatePool:
      return step_of_call(operation.update_pool());
    case v1::Operation::kDeletePool:
      return step_of_call(operation.delete_pool());
    case v1::Operation::kRequestEip:
      return step_of_call(operation.request_eip());
    case v1::Operation::kReleaseEip:
      return step_of_call(operation.release_eip());
    case v1::Operation::kSetPermitList:
      return step_of_call(operation.set_permit_list());
    case v1::Operation::kAddPermitRules:
      return step_of_call(operation.add_permit_rules());
    case v1::Operation::kRemovePermitRules:
      return step_of_call(operation.remove_permit_rules());
    case v1::Operation::kSetTag:
      return step_of_call(operation.set_tag());
    case v1::Operation::kSetTenantQuota:
      return step_of_call(operation.set_tenant_quota());
    case v1::Operation::kSetEipQuota:
      return step_of_call(operation.set_eip_quota());
    case v1::Operation::OPERATION_NOT_SET:
      break;
  }
  return fail(ErrorCode::invalid_argument, "the operation is none; set one, set_tag for example");
}

Unexpected at(const std::string& place, Error error) {
  error.field = error.field.empty() ? place : place + "." + error.field;
  return Unexpected(std::move(error));
}

std::string_view call_of(const v1::Operation& operation) {
  const auto* call = call_in(operation);
  return call == nullptr ? std::string_view() : call->name();
}

// "operations[3].set_tag"
std::string field_of(size_t index, std::string_view call) {
  std::string field = "operations[" + std::to_string(index) + "]";
  if (!call.empty()) field.append(".").append(call);
  return field;
}

// What the next steps read, into the caches.
constexpr size_t fetched_ahead = 16;
void fetch_some(const Draft& draft, std::span<const PlacedStep> steps) {
  std::vector<IpAddr> eips;
  eips.reserve(fetched_ahead);
  for (const PlacedStep& step : steps.first(std::min(fetched_ahead, steps.size())))
    if (step.eip) eips.push_back(*step.eip);
  draft.model().prefetch(eips);
}

template <typename Reply>
void say_changes(const Draft& draft, Reply& reply) {
  for (const model::ChangedObject& object : draft.changed_objects()) *reply.add_changes() = to_proto(object);
}

}  // namespace

Expected<Edit<v1::ApplyResponse>> edit_of(const v1::ApplyRequest& request) {
  if (request.operations_size() > max_operations)
    return fail(ErrorCode::resource_exhausted,
                std::to_string(request.operations_size()) + " operations are given; one call carries out " +
                    std::to_string(max_operations) + ", so make several",
                "operations");
  const auto steps = std::make_shared<std::vector<PlacedStep>>();
  steps->reserve(static_cast<size_t>(request.operations_size()));
  for (int i = 0; i < request.operations_size(); ++i) {
    const std::string_view call = call_of(request.operations(i));
    auto step = step_of(request.operations(i));
    if (!step) return at(field_of(static_cast<size_t>(i), call), std::move(step.error()));
    step->call = call;
    steps->push_back(std::move(*step));
  }
  return [steps](Draft& draft) -> Expected<v1::ApplyResponse> {
    v1::ApplyResponse reply;
    draft.expect(steps->size());
    for (size_t i = 0; i < steps->size(); ++i) {
      if (i % fetched_ahead == 0) fetch_some(draft, std::span(*steps).subspan(i));
      const PlacedStep& placed = (*steps)[i];
      const size_t before = draft.steps();
      auto name = placed.step(draft);
      if (!name) return at(field_of(i, placed.call), std::move(name.error()));
      if (draft.written_rules() > max_written_rules)
        return at(
            field_of(i, placed.call),
            {ErrorCode::resource_exhausted,
             "the operations up to this one write lists of more than " + std::to_string(max_written_rules) +
                 " rules, each list anew with each operation on its EIP; give one "
                 "operation a list, or make several calls"});
      v1::OperationResult& result = *reply.add_results();
      result.set_name(std::move(*name));
      result.set_changed(draft.steps() != before);
    }
    say_changes(draft, reply);
    return reply;
  };
}

Expected<Edit<v1::ImportResponse>> edit_of(const v1::ImportRequest& request) {
  if (!request.has_document())
    return fail(ErrorCode::invalid_argument,
                "there is no document; give one, even if it is empty and everything shall go", "document");
  auto decoded = to_model(request.document());
  if (!decoded) return Unexpected(std::move(decoded.error()));
  const auto document = std::make_shared<const model::Document>(std::move(*decoded));
  return [document](Draft& draft) -> Expected<v1::ImportResponse> {
    if (auto done = model::replace_state(draft, *document); !done) return Unexpected(std::move(done.error()));
    v1::ImportResponse reply;
    say_changes(draft, reply);
    return reply;
  };
}

}  // namespace portcullis::service
