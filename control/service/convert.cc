#include "control/service/convert.h"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <utility>

#include "control/compile/compile.h"
#include "control/model/names.h"
#include "control/service/quote.h"
#include "src/net/protocol_name.h"

namespace portcullis::service {
namespace {

// Where in a message something is: "rules[2].remote.prefixes[0]". Written down for a refusal only.
struct FieldPath {
  const FieldPath* outer = nullptr;
  std::string_view name;
  int index = -1;  // of an element of a list

  [[nodiscard]] std::string text() const {
    std::string path = outer == nullptr ? std::string() : outer->text() + ".";
    path += name;
    return index < 0 ? path : path + "[" + std::to_string(index) + "]";
  }
};

Unexpected refuse_at(const FieldPath& field, std::string message) {
  return refuse(std::move(message), field.text());
}

std::vector<std::string_view> segments(std::string_view name) {
  std::vector<std::string_view> parts;
  for (size_t at = 0; at <= name.size();) {
    const size_t end = std::min(name.find('/', at), name.size());
    parts.push_back(name.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

// "tenants/T/<collection>/ID" -> (T, ID). `form` is how such a name is written.
Expected<std::pair<std::string, std::string>> tenant_object(const std::string& name,
                                                            std::string_view collection,
                                                            std::string_view form, const std::string& field) {
  const std::vector<std::string_view> parts = segments(name);
  if (parts.size() != 4 || parts[0] != "tenants" || parts[2] != collection)
    return refuse(quoted(name) + " is not of the form " + std::string(form), field);
  if (!model::is_valid_id(parts[1])) return refuse(model::describe_invalid_id("tenant", parts[1]), field);
  return std::pair{std::string(parts[1]), std::string(parts[3])};
}

// --- rules ---

std::string protocol_text(std::optional<uint8_t> protocol) {
  if (!protocol.has_value()) return "any";
  for (const ProtocolName& known : protocol_names) {
    if (*protocol == known.number) return std::string(known.name);
  }
  return std::to_string(*protocol);
}

Expected<uint16_t> decode_port(uint32_t port, const FieldPath& field) {
  if (port > 65535) return refuse_at(field, std::to_string(port) + " is no port; the highest is 65535");
  return static_cast<uint16_t>(port);
}

Expected<PortRange> decode_ports(const v1::PortRange& range, const FieldPath& field) {
  const Expected<uint16_t> first = decode_port(range.first(), {&field, "first"});
  if (!first) return Unexpected(first.error());
  const Expected<uint16_t> last = decode_port(range.last(), {&field, "last"});
  if (!last) return Unexpected(last.error());
  return PortRange{*first, *last};
}

Expected<uint8_t> decode_byte(uint32_t value, const FieldPath& field) {
  if (value > 255) return refuse_at(field, std::to_string(value) + " is out of range; the highest is 255");
  return static_cast<uint8_t>(value);
}

Expected<model::Remote> decode_remote(const v1::Remote& remote, const FieldPath& field) {
  switch (remote.remote_case()) {
    case v1::Remote::kAny:
      if (!remote.any())
        return refuse_at({&field, "any"}, "any is false; make it true, or give prefixes or tags");
      return model::AnyRemote{};
    case v1::Remote::kPrefixes: {
      std::vector<IpPrefix> prefixes;
      prefixes.reserve(static_cast<size_t>(remote.prefixes().prefixes_size()));
      for (int i = 0; i < remote.prefixes().prefixes_size(); ++i) {
        const std::string& text = remote.prefixes().prefixes(i);
        const std::optional<IpPrefix> prefix = IpPrefix::parse(text);
        if (!prefix.has_value())
          return refuse_at(
              {&field, "prefixes", i},
              quoted(text) +
                  " is no prefix; give 198.51.100.0/24, 2001:db8:1::/48 or a bare address, with no bit "
                  "set beyond the length");
        prefixes.push_back(*prefix);
      }
      return prefixes;
    }
    case v1::Remote::kTags: {
      const auto& tags = remote.tags().tags();
      return std::vector<std::string>(tags.begin(), tags.end());
    }
    case v1::Remote::REMOTE_NOT_SET:
      break;
  }
  return refuse_at(field, "the rule has no remote; set any, prefixes or tags");
}

Expected<model::PermitRule> decode_rule(const v1::PermitRule& message, const FieldPath& field) {
  model::PermitRule rule;
  rule.name = message.name();
  rule.tracked = message.tracked();

  if (message.direction() != v1::PermitRule::INBOUND && message.direction() != v1::PermitRule::OUTBOUND)
    return refuse_at({&field, "direction"}, "the rule has no direction; give INBOUND or OUTBOUND");
  rule.direction =
      message.direction() == v1::PermitRule::INBOUND ? model::Direction::inbound : model::Direction::outbound;

  Expected<model::Remote> remote = decode_remote(message.remote(), {&field, "remote"});
  if (!remote) return Unexpected(std::move(remote.error()));
  rule.remote = std::move(*remote);

  const auto protocol = decode_protocol(message.protocol(), {});
  if (!protocol) return refuse_at({&field, "protocol"}, protocol.error().message);
  rule.protocol = *protocol;

  if (message.has_local_ports()) {
    const Expected<PortRange> ports = decode_ports(message.local_ports(), {&field, "local_ports"});
    if (!ports) return Unexpected(ports.error());
    rule.local_ports = *ports;
  }
  if (message.has_remote_ports()) {
    const Expected<PortRange> ports = decode_ports(message.remote_ports(), {&field, "remote_ports"});
    if (!ports) return Unexpected(ports.error());
    rule.remote_ports = *ports;
  }
  if (message.has_icmp_type()) {
    const Expected<uint8_t> type = decode_byte(message.icmp_type(), {&field, "icmp_type"});
    if (!type) return Unexpected(type.error());
    rule.icmp_type = *type;
  }
  if (message.has_icmp_code()) {
    const Expected<uint8_t> code = decode_byte(message.icmp_code(), {&field, "icmp_code"});
    if (!code) return Unexpected(code.error());
    rule.icmp_code = *code;
  }
  return rule;
}

void encode_ports(PortRange range, v1::PortRange& message) {
  message.set_first(range.first);
  message.set_last(range.last);
}

}  // namespace

Expected<std::optional<uint8_t>> decode_protocol(const std::string& text, const std::string& field) {
  if (text.empty() || text == "any") return std::nullopt;
  for (const ProtocolName& protocol : protocol_names) {
    if (text == protocol.name) return protocol.number;
  }
  uint8_t number = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (status != std::errc() || end != text.data() + text.size())
    return refuse(quoted(text) + " is no protocol; give " + listed_protocol_names() +
                      ", an IANA number up to 255, or any",
                  field);
  return number;
}

Expected<model::VmKey> vm_key(const std::string& name, const std::string& field) {
  auto key = tenant_object(name, "vms", "tenants/T/vms/ID", field);
  if (key && !model::is_valid_id(key->second))
    return refuse(model::describe_invalid_id("vm id", key->second), field);
  return key;
}

Expected<EipKey> eip_key(const std::string& name, const std::string& field) {
  const auto key = tenant_object(name, "eips", "tenants/T/eips/ADDRESS", field);
  if (!key) return Unexpected(key.error());
  const std::optional<IpAddr> address = IpAddr::parse(key->second);
  if (!address.has_value())
    return refuse(quoted(key->second) + " is no IP address; name an EIP tenants/T/eips/ADDRESS", field);
  return EipKey{key->first, *address};
}

Expected<std::string> pool_id(const std::string& name, const std::string& field) {
  const std::vector<std::string_view> parts = segments(name);
  if (parts.size() != 2 || parts[0] != "pools")
    return refuse(quoted(name) + " is not of the form pools/P", field);
  if (!model::is_valid_id(parts[1])) return refuse(model::describe_invalid_id("pool id", parts[1]), field);
  return std::string(parts[1]);
}

Expected<model::TenantId> tenant_id(const std::string& name, const std::string& field) {
  const std::vector<std::string_view> parts = segments(name);
  if (parts.size() != 2 || parts[0] != "tenants")
    return refuse(quoted(name) + " is not of the form tenants/T", field);
  if (!model::is_valid_id(parts[1])) return refuse(model::describe_invalid_id("tenant", parts[1]), field);
  return model::TenantId(parts[1]);
}

Expected<std::optional<model::TenantId>> parent_tenant(const std::string& parent) {
  const std::vector<std::string_view> parts = segments(parent);
  if (parts.size() != 2 || parts[0] != "tenants")
    return refuse(quoted(parent) + " is not of the form tenants/T, or tenants/- for all", "parent");
  if (parts[1] == "-") return std::nullopt;
  if (!model::is_valid_id(parts[1])) return refuse(model::describe_invalid_id("tenant", parts[1]), "parent");
  return model::TenantId(parts[1]);
}

Expected<model::Vm> to_model(const v1::Vm& vm) {
  const Expected<model::VmKey> key = vm_key(vm.name(), "vm.name");
  if (!key) return Unexpected(key.error());
  Expected<model::Location> location = to_model(vm.location(), "vm.location");
  if (!location) return Unexpected(std::move(location.error()));
  model::Vm decoded{key->first, key->second, std::move(*location), std::nullopt};
  if (!vm.dip().empty()) {
    decoded.dip = Ipv4Addr::parse(vm.dip());
    if (!decoded.dip)
      return refuse(quoted(vm.dip()) + " is no IPv4 address; give the vm's own, 10.0.0.2", "vm.dip");
  }
  if (!vm.dip6().empty()) {
    decoded.dip6 = Ipv6Addr::parse(vm.dip6());
    if (!decoded.dip6)
      return refuse(quoted(vm.dip6()) + " is no IPv6 address; give the vm's own, fd00::2", "vm.dip6");
  }
  return decoded;
}

namespace {

Expected<Encapsulation> to_tunnel(TunnelProtocol protocol, const v1::Tunnel& tunnel,
                                  const std::string& field) {
  const std::optional<IpAddr> remote = IpAddr::parse(tunnel.remote());
  if (!remote)
    return refuse(quoted(tunnel.remote()) + " is no address; give that of the tunnel's other end, 192.0.2.7",
                  field + ".remote");
  return Tunnel{protocol, *remote, tunnel.vni()};
}

// What the model checks is passed on as it is; a number that its type could not hold is refused here.
Expected<Encapsulation> to_encapsulation(const v1::Location& location, const std::string& field) {
  switch (location.encapsulation_case()) {
    case v1::Location::kVlan: {
      const auto refuse_identifier = [&](uint32_t identifier, const char* tag) {
        return refuse(std::to_string(identifier) + " is no VLAN identifier; give one of 1 to 4094",
                      field + ".vlan." + tag);
      };
      const v1::VlanTags& tags = location.vlan();
      if (tags.outer() > UINT16_MAX) return refuse_identifier(tags.outer(), "outer");
      if (tags.inner() > UINT16_MAX) return refuse_identifier(tags.inner(), "inner");
      return VlanTags{static_cast<uint16_t>(tags.outer()), static_cast<uint16_t>(tags.inner())};
    }
    case v1::Location::kVxlan:
      return to_tunnel(TunnelProtocol::vxlan, location.vxlan(), field + ".vxlan");
    case v1::Location::kGeneve:
      return to_tunnel(TunnelProtocol::geneve, location.geneve(), field + ".geneve");
    case v1::Location::ENCAPSULATION_NOT_SET:
      break;
  }
  return Encapsulation();
}

v1::Quota to_proto(const model::QuotaUse& use) {
  v1::Quota message;
  message.set_set(use.set);
  message.set_limit(use.limit);
  message.set_used(use.used);
  return message;
}

v1::Location to_proto(const model::Location& location) {
  v1::Location message;
  message.set_port(location.port);
  message.set_mac(location.mac.to_string());
  if (const auto* tags = std::get_if<VlanTags>(&location.encapsulation)) {
    message.mutable_vlan()->set_outer(tags->outer);
    if (tags->inner != 0) message.mutable_vlan()->set_inner(tags->inner);
  } else if (const auto* tunnel = std::get_if<Tunnel>(&location.encapsulation)) {
    v1::Tunnel& out =
        tunnel->protocol == TunnelProtocol::vxlan ? *message.mutable_vxlan() : *message.mutable_geneve();
    out.set_remote(tunnel->remote.to_string());
    out.set_vni(tunnel->vni);
  }
  return message;
}

}  // namespace

Expected<model::Location> to_model(const v1::Location& location, const std::string& field) {
  if (location.port().empty())
    return refuse("the vm has no port; name a configured endpoint port", field + ".port");
  const std::optional<Mac> mac = Mac::parse(location.mac());
  if (!mac.has_value())
    return refuse(quoted(location.mac()) + " is no MAC; give six bytes, 02:00:00:00:00:01", field + ".mac");
  auto encapsulation = to_encapsulation(location, field);
  if (!encapsulation) return Unexpected(std::move(encapsulation.error()));
  return model::Location{location.port(), *mac, *encapsulation};
}

Expected<IpPrefix> pool_prefix(const v1::Pool& pool) {
  const std::optional<IpPrefix> prefix = IpPrefix::parse(pool.prefix());
  if (prefix) return *prefix;
  return refuse(
      quoted(pool.prefix()) +
          " is no prefix; give 203.0.113.0/24 or 2001:db8:5::/64, with no bit set beyond the length",
      "pool.prefix");
}

Expected<model::Pool> to_model(const v1::Pool& pool) {
  Expected<std::string> id = pool_id(pool.name(), "pool.name");
  if (!id) return Unexpected(std::move(id.error()));
  const Expected<IpPrefix> prefix = pool_prefix(pool);
  if (!prefix) return Unexpected(prefix.error());
  if (pool.kind() != v1::Pool::LOCAL && pool.kind() != v1::Pool::PROVIDER)
    return refuse("the pool has no kind; give LOCAL or PROVIDER", "pool.kind");
  const bool local = pool.kind() == v1::Pool::LOCAL;
  return model::Pool{std::move(*id), *prefix, local ? model::PoolKind::local : model::PoolKind::provider};
}

Expected<std::optional<IpFamily>> to_model(v1::RequestEipRequest::Family family) {
  switch (family) {
    case v1::RequestEipRequest::FAMILY_UNSPECIFIED:
      return std::nullopt;
    case v1::RequestEipRequest::IPV4:
      return IpFamily::ipv4;
    case v1::RequestEipRequest::IPV6:
      return IpFamily::ipv6;
    default:
      return refuse("no family has the number " + std::to_string(family) + "; give IPV4, IPV6, or none",
                    "family");
  }
}

Expected<std::vector<model::PermitRule>> to_model(
    const google::protobuf::RepeatedPtrField<v1::PermitRule>& rules) {
  std::vector<model::PermitRule> decoded;
  decoded.reserve(static_cast<size_t>(rules.size()));
  for (int i = 0; i < rules.size(); ++i) {
    Expected<model::PermitRule> rule = decode_rule(rules[i], {nullptr, "rules", i});
    if (!rule) return Unexpected(std::move(rule.error()));
    decoded.push_back(std::move(*rule));
  }
  return decoded;
}

std::set<std::string> to_set(const google::protobuf::RepeatedPtrField<std::string>& values) {
  return {values.begin(), values.end()};
}

v1::Vm to_proto(const model::Vm& vm) {
  v1::Vm message;
  message.set_name(model::vm_name({vm.tenant, vm.id}));
  *message.mutable_location() = to_proto(vm.location);
  if (vm.dip) message.set_dip(vm.dip->to_string());
  if (vm.dip6) message.set_dip6(vm.dip6->to_string());
  return message;
}

v1::Vm to_proto(const model::Model& model, const model::Vm& vm) {
  v1::Vm message = to_proto(vm);
  const model::VmKey key{vm.tenant, vm.id};
  if (const model::Eip* eip = model.eip_of_vm(key, IpFamily::ipv4))
    message.set_eip(model::eip_name(eip->tenant, eip->address));
  if (const model::Eip* eip = model.eip_of_vm(key, IpFamily::ipv6))
    message.set_eip6(model::eip_name(eip->tenant, eip->address));
  return message;
}

v1::Pool to_proto(const model::Pool& pool) {
  v1::Pool message;
  message.set_name(model::pool_name(pool.id));
  message.set_prefix(pool.prefix.to_string());
  message.set_kind(pool.kind == model::PoolKind::local ? v1::Pool::LOCAL : v1::Pool::PROVIDER);
  return message;
}

v1::Pool to_proto(const model::Model& model, const model::Pool& pool, int64_t now_ms) {
  v1::Pool message = to_proto(pool);
  const model::Model::PoolUse use = model.pool_use(pool.id, now_ms);
  message.set_used(use.used);
  message.set_free(use.free);
  return message;
}

v1::Eip to_proto(const model::Model& model, const model::Eip& eip) {
  v1::Eip message;
  message.set_name(model::eip_name(eip.tenant, eip.address));
  message.set_address(eip.address.to_string());
  message.set_vm(model::vm_name({eip.tenant, eip.vm}));
  message.mutable_tags()->Assign(eip.tags.begin(), eip.tags.end());
  message.set_rule_count(static_cast<uint32_t>(eip.permit.size()));
  message.set_bound_edge(compile::compile_binding(model.state(), eip).edge);
  message.set_bound_local(true);  // every vm of this release is behind this gateway
  message.set_keep_established(eip.keep_established);
  return message;
}

v1::PermitRule to_proto(const model::PermitRule& rule) {
  v1::PermitRule message;
  message.set_name(rule.name);
  message.set_direction(rule.direction == model::Direction::inbound ? v1::PermitRule::INBOUND
                                                                    : v1::PermitRule::OUTBOUND);
  v1::Remote& remote = *message.mutable_remote();
  if (const auto* prefixes = std::get_if<std::vector<IpPrefix>>(&rule.remote)) {
    for (const IpPrefix& prefix : *prefixes) remote.mutable_prefixes()->add_prefixes(prefix.to_string());
  } else if (const auto* tags = std::get_if<std::vector<std::string>>(&rule.remote)) {
    remote.mutable_tags()->mutable_tags()->Assign(tags->begin(), tags->end());
  } else {
    remote.set_any(true);
  }
  message.set_protocol(protocol_text(rule.protocol));
  if (!rule.local_ports.is_any()) encode_ports(rule.local_ports, *message.mutable_local_ports());
  if (!rule.remote_ports.is_any()) encode_ports(rule.remote_ports, *message.mutable_remote_ports());
  if (rule.icmp_type.has_value()) message.set_icmp_type(*rule.icmp_type);
  if (rule.icmp_code.has_value()) message.set_icmp_code(*rule.icmp_code);
  message.set_tracked(rule.tracked);
  return message;
}

v1::TenantQuota quota_of(const model::Model& model, const model::TenantId& tenant) {
  v1::TenantQuota message;
  const model::TenantQuotaUse use = model.quota_of(tenant);
  message.set_name(model::quota_name(tenant));
  *message.mutable_eips() = to_proto(use.eips);
  *message.mutable_rules() = to_proto(use.rules);
  *message.mutable_flows() = to_proto(use.flows);
  message.mutable_flows()->clear_used();
  return message;
}

v1::EipQuota quota_of(const model::Model& model, const model::Eip& eip) {
  v1::EipQuota message;
  const model::EipQuotaUse use = model.quota_of(eip);
  message.set_name(model::eip_name(eip.tenant, eip.address) + "/quota");
  *message.mutable_rules() = to_proto(use.rules);
  *message.mutable_flows() = to_proto(use.flows);
  message.mutable_flows()->clear_used();
  return message;
}

v1::PermitList permit_list(const model::Eip& eip) {
  v1::PermitList message;
  message.set_name(model::eip_name(eip.tenant, eip.address) + "/permitList");
  for (const model::PermitRule& rule : eip.permit) *message.add_rules() = to_proto(rule);
  return message;
}

}  // namespace portcullis::service
