// Messages <-> model values. What does not decode is refused by the path of its field,
// "rules[2].remote.prefixes[0]". Whether a value makes sense is the model's to say.
#pragma once

#include <google/protobuf/repeated_field.h>

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "control/model/model.h"
#include "control/model/objects.h"
#include "portcullis/v1/eip.pb.h"
#include "portcullis/v1/permit.pb.h"
#include "portcullis/v1/pool.pb.h"
#include "portcullis/v1/quota.pb.h"
#include "portcullis/v1/tenant_service.pb.h"
#include "portcullis/v1/vm.pb.h"
#include "src/base/expected.h"

namespace portcullis::service {

struct EipKey {
  model::TenantId tenant;
  IpAddr address;
};

// --- resource names; `field` is the path of the field that holds the name ---
[[nodiscard]] Expected<model::VmKey> vm_key(const std::string& name, const std::string& field);
[[nodiscard]] Expected<EipKey> eip_key(const std::string& name, const std::string& field);
[[nodiscard]] Expected<std::string> pool_id(const std::string& name, const std::string& field);
[[nodiscard]] Expected<model::TenantId> tenant_id(const std::string& name, const std::string& field);
// The tenant of a list's parent; none for "tenants/-", all of them.
[[nodiscard]] Expected<std::optional<model::TenantId>> parent_tenant(const std::string& parent);

// --- requests ---
[[nodiscard]] Expected<model::Vm> to_model(const v1::Vm& vm);
[[nodiscard]] Expected<model::Location> to_model(const v1::Location& location, const std::string& field);
[[nodiscard]] Expected<model::Pool> to_model(const v1::Pool& pool);
[[nodiscard]] Expected<IpPrefix> pool_prefix(const v1::Pool& pool);
// None: the caller leaves it to the vm's addresses.
[[nodiscard]] Expected<std::optional<IpFamily>> to_model(v1::RequestEipRequest::Family family);
[[nodiscard]] Expected<std::vector<model::PermitRule>> to_model(
    const google::protobuf::RepeatedPtrField<v1::PermitRule>& rules);
[[nodiscard]] std::set<std::string> to_set(const google::protobuf::RepeatedPtrField<std::string>& values);

// By name or number; none for "any" or an empty text.
[[nodiscard]] Expected<std::optional<uint8_t>> decode_protocol(const std::string& text,
                                                               const std::string& field);

// --- without output-only fields ---
[[nodiscard]] v1::Vm to_proto(const model::Vm& vm);
[[nodiscard]] v1::Pool to_proto(const model::Pool& pool);

// --- replies; output-only fields are derived from the model as it is now ---
[[nodiscard]] v1::Vm to_proto(const model::Model& model, const model::Vm& vm);
[[nodiscard]] v1::Pool to_proto(const model::Model& model, const model::Pool& pool, int64_t now_ms);
[[nodiscard]] v1::Eip to_proto(const model::Model& model, const model::Eip& eip);
[[nodiscard]] v1::PermitRule to_proto(const model::PermitRule& rule);
[[nodiscard]] v1::PermitList permit_list(const model::Eip& eip);
// Quotas are without the flows that are used, which workers know.
[[nodiscard]] v1::TenantQuota quota_of(const model::Model& model, const model::TenantId& tenant);
[[nodiscard]] v1::EipQuota quota_of(const model::Model& model, const model::Eip& eip);

}  // namespace portcullis::service
