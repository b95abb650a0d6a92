#include "control/service/document.h"

#include <string>
#include <string_view>
#include <utility>

#include "control/model/names.h"
#include "control/service/convert.h"
#include "control/service/quote.h"

namespace portcullis::service {
namespace {

std::string element(const char* list, int index) {
  return "document." + std::string(list) + "[" + std::to_string(index) + "]";
}

// The field of a message as it is in a request -> as it is in the document.
Unexpected at(const std::string& place, const std::string& prefix, Error error) {
  error.field =
      place + (error.field.starts_with(prefix) ? error.field.substr(prefix.size()) : "." + error.field);
  return Unexpected(std::move(error));
}

Expected<model::DocumentEip> decode_eip(const v1::DocumentEip& message) {
  Expected<EipKey> key = eip_key(message.name(), "name");
  if (!key) return Unexpected(std::move(key.error()));
  const Expected<model::VmKey> vm = vm_key(message.vm(), "vm");
  if (!vm) return Unexpected(vm.error());
  if (vm->first != key->tenant)
    return fail(ErrorCode::invalid_argument,
                quoted(message.vm()) + " is another tenant's; name a vm of " + key->tenant, "vm");
  auto rules = to_model(message.rules());
  if (!rules) return Unexpected(std::move(rules.error()));
  return model::DocumentEip{std::move(key->tenant),
                            key->address,
                            vm->second,
                            to_set(message.tags()),
                            std::move(*rules),
                            {.rules = message.rule_quota(), .flows = message.flow_quota()}};
}

// "tenants/T/quota"
Expected<model::TenantQuota> decode_quota(const v1::DocumentQuota& message) {
  const std::string& name = message.name();
  constexpr std::string_view suffix = "/quota";
  if (!name.ends_with(suffix))
    return fail(ErrorCode::invalid_argument, quoted(name) + " is not of the form tenants/T/quota", "name");
  auto tenant = tenant_id(name.substr(0, name.size() - suffix.size()), "name");
  if (!tenant) return Unexpected(std::move(tenant.error()));
  return model::TenantQuota{std::move(*tenant), message.eips(), message.rules(), message.flows()};
}

Expected<model::Quarantine> decode_rest(const v1::RestingAddress& message) {
  const std::optional<IpAddr> address = IpAddr::parse(message.address());
  if (!address)
    return fail(ErrorCode::invalid_argument,
                quoted(message.address()) + " is no IP address; give one as 203.0.113.1", "address");
  return model::Quarantine{*address, message.until_ms()};
}

}  // namespace

v1::Document to_document(const model::State& state) {
  v1::Document document;
  document.set_generation(state.generation);
  for (const auto& [id, pool] : state.pools) *document.add_pools() = to_proto(pool);
  for (const auto& [key, vm] : state.vms) *document.add_vms() = to_proto(vm);
  for (const auto& [address, eip] : state.eips) {
    v1::DocumentEip& message = *document.add_eips();
    message.set_name(model::eip_name(eip.tenant, address));
    message.set_vm(model::vm_name({eip.tenant, eip.vm}));
    message.mutable_tags()->Assign(eip.tags.begin(), eip.tags.end());
    for (const model::PermitRule& rule : eip.permit) *message.add_rules() = to_proto(rule);
    message.set_rule_quota(eip.quota.rules);
    message.set_flow_quota(eip.quota.flows);
  }
  for (const auto& [address, rest] : state.quarantine) {
    v1::RestingAddress& message = *document.add_resting();
    message.set_address(address.to_string());
    message.set_until_ms(rest.until_ms);
  }
  for (const auto& [key, quota] : state.quotas) {
    v1::DocumentQuota& message = *document.add_quotas();
    message.set_name(model::quota_name(key.tenant));
    message.set_eips(quota.eips);
    message.set_rules(quota.rules);
    message.set_flows(quota.flows);
  }
  return document;
}

Expected<model::Document> to_model(const v1::Document& message) {
  model::Document document;
  const auto decode = [](const auto& list, const char* name, const std::string& prefix, auto& decoded,
                         auto&& decode_one) -> Expected<void> {
    decoded.reserve(static_cast<size_t>(list.size()));
    for (int i = 0; i < list.size(); ++i) {
      auto value = decode_one(list[i]);
      if (!value) return at(element(name, i), prefix, std::move(value.error()));
      decoded.push_back(std::move(*value));
    }
    return {};
  };
  if (auto done = decode(message.pools(), "pools", "pool", document.pools,
                         [](const v1::Pool& pool) { return to_model(pool); });
      !done)
    return Unexpected(std::move(done.error()));
  if (auto done =
          decode(message.vms(), "vms", "vm", document.vms, [](const v1::Vm& vm) { return to_model(vm); });
      !done)
    return Unexpected(std::move(done.error()));
  if (auto done = decode(message.eips(), "eips", "eip", document.eips, decode_eip); !done)
    return Unexpected(std::move(done.error()));
  if (auto done = decode(message.resting(), "resting", "rest", document.resting, decode_rest); !done)
    return Unexpected(std::move(done.error()));
  if (auto done = decode(message.quotas(), "quotas", "quota", document.quotas, decode_quota); !done)
    return Unexpected(std::move(done.error()));
  return document;
}

v1::ObjectChange to_proto(const model::ChangedObject& object) {
  v1::ObjectChange message;
  message.set_name(object.name);
  switch (object.kind) {
    case model::ChangeKind::created:
      message.set_kind(v1::ObjectChange::CREATED);
      break;
    case model::ChangeKind::changed:
      message.set_kind(v1::ObjectChange::CHANGED);
      break;
    case model::ChangeKind::deleted:
      message.set_kind(v1::ObjectChange::DELETED);
      break;
  }
  return message;
}

Expected<void> check_size(const v1::Document& document, size_t most_bytes, bool is_by_socket) {
  const size_t bytes = document.ByteSizeLong();
  if (bytes <= most_bytes) return {};
  return fail(
      ErrorCode::resource_exhausted,
      "the document has " + std::to_string(bytes) + " bytes, and a message may have " +
          std::to_string(most_bytes) +
          (is_by_socket ? "; list vms, EIPs and pools page by page"
                        : "; export by the gateway's UNIX socket, or list vms, EIPs and pools page by page"));
}

}  // namespace portcullis::service
