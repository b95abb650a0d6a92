#include "control/store/record.h"

#include <google/protobuf/arena.h>

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <utility>

#include "control/store/record.pb.h"
#include "src/base/ahead.h"

namespace portcullis::store {

namespace {

// --- model -> record ---

std::string bytes_of(const Ipv6Addr& address) {
  const auto bytes = std::bit_cast<std::array<char, sizeof address>>(address);
  return {bytes.begin(), bytes.end()};
}

// Of a message with `address` and `address6`.
template <typename Record>
void write_address(const IpAddr& address, Record& out) {
  if (address.is_v4())
    out.set_address(address.v4().host());
  else
    out.set_address6(bytes_of(address.v6()));
}

void write(const IpPrefix& prefix, Prefix& out) {
  write_address(prefix.address(), out);
  out.set_length(prefix.length());
}

void write(const portcullis::PortRange& range, PortRange& out) {
  out.set_first(range.first);
  out.set_last(range.last);
}

void write(const model::PermitRule& rule, PermitRule& out) {
  out.set_name(rule.name);
  out.set_outbound(rule.direction == model::Direction::outbound);
  if (const auto* prefixes = std::get_if<std::vector<IpPrefix>>(&rule.remote)) {
    for (const IpPrefix& prefix : *prefixes) write(prefix, *out.add_prefixes());
  }
  if (const auto* tags = std::get_if<std::vector<std::string>>(&rule.remote)) {
    for (const std::string& tag : *tags) out.add_tags(tag);
  }
  if (rule.protocol) out.set_protocol(*rule.protocol);
  if (!rule.local_ports.is_any()) write(rule.local_ports, *out.mutable_local_ports());
  if (!rule.remote_ports.is_any()) write(rule.remote_ports, *out.mutable_remote_ports());
  if (rule.icmp_type) out.set_icmp_type(*rule.icmp_type);
  if (rule.icmp_code) out.set_icmp_code(*rule.icmp_code);
  out.set_tracked(rule.tracked);
}

void write(const Encapsulation& encapsulation, Vm& out) {
  if (const auto* tags = std::get_if<portcullis::VlanTags>(&encapsulation)) {
    out.mutable_vlan()->set_outer(tags->outer);
    out.mutable_vlan()->set_inner(tags->inner);
  } else if (const auto* tunnel = std::get_if<portcullis::Tunnel>(&encapsulation)) {
    Tunnel& to = tunnel->protocol == TunnelProtocol::vxlan ? *out.mutable_vxlan() : *out.mutable_geneve();
    write_address(tunnel->remote, to);
    to.set_vni(tunnel->vni);
  }
}

// Into the same message one after another: what it has allocated for one change serves for the next.
struct Writer {
  Change& out;

  void operator()(const model::PutVm& change) const {
    Vm& vm = empty(*out.mutable_put_vm());
    vm.set_tenant(change.vm.tenant);
    vm.set_id(change.vm.id);
    vm.set_port(change.vm.location.port);
    const auto& mac = change.vm.location.mac.bytes;
    vm.set_mac(std::string(mac.begin(), mac.end()));
    if (change.vm.dip) vm.set_dip(change.vm.dip->host());
    if (change.vm.dip6) vm.set_dip6(bytes_of(*change.vm.dip6));
    write(change.vm.location.encapsulation, vm);
  }
  void operator()(const model::DeleteVm& change) const {
    VmKey& key = empty(*out.mutable_delete_vm());
    key.set_tenant(change.key.first);
    key.set_id(change.key.second);
  }
  void operator()(const model::PutPool& change) const {
    Pool& pool = empty(*out.mutable_put_pool());
    pool.set_id(change.pool.id);
    write(change.pool.prefix, *pool.mutable_prefix());
    pool.set_provider(change.pool.kind == model::PoolKind::provider);
  }
  void operator()(const model::DeletePool& change) const { out.set_delete_pool(change.id); }
  void operator()(const model::PutEip& change) const {
    Eip& eip = empty(*out.mutable_put_eip());
    write_address(change.eip.address, eip);
    eip.set_tenant(change.eip.tenant);
    eip.set_vm(change.eip.vm);
    for (const model::PermitRule& rule : change.eip.permit) write(rule, *eip.add_permit());
    for (const std::string& tag : change.eip.tags) eip.add_tags(tag);
    eip.set_created(change.eip.created);
    eip.set_binding_generation(change.eip.binding_generation);
    eip.set_list_generation(change.eip.list_generation);
    eip.set_kept_from(change.eip.kept_from);
    eip.set_keep_established(change.eip.keep_established);
    eip.set_rule_quota(change.eip.quota.rules);
    eip.set_flow_quota(change.eip.quota.flows);
  }
  void operator()(const model::DeleteEip& change) const {
    ReleasedEip& released = empty(*out.mutable_delete_eip());
    write_address(change.address, released);
    released.set_quarantine_until_ms(change.quarantine_until_ms);
  }
  void operator()(const model::PutTenantQuota& change) const {
    TenantQuota& quota = empty(*out.mutable_put_tenant_quota());
    quota.set_tenant(change.quota.tenant);
    quota.set_eips(change.quota.eips);
    quota.set_rules(change.quota.rules);
    quota.set_flows(change.quota.flows);
  }
  void operator()(const model::DeleteTenantQuota& change) const {
    out.set_delete_tenant_quota(change.tenant);
  }

 private:
  template <typename Message>
  static Message& empty(Message& message) {
    message.Clear();
    return message;
  }
};

// --- record -> model ---

Unexpected refuse(const std::string& message) {
  return fail(ErrorCode::internal, message);
}

template <typename Narrow>
Expected<Narrow> narrow(uint32_t value, const char* what) {
  if (value > std::numeric_limits<Narrow>::max()) {
    return refuse(std::string(what) + " " + std::to_string(value) + " is out of range");
  }
  return static_cast<Narrow>(value);
}

Expected<Ipv6Addr> read_ipv6(const std::string& bytes) {
  std::array<char, sizeof(Ipv6Addr)> raw;
  if (bytes.size() != raw.size())
    return refuse("an IPv6 address of " + std::to_string(bytes.size()) + " bytes is malformed");
  std::copy(bytes.begin(), bytes.end(), raw.begin());
  return std::bit_cast<Ipv6Addr>(raw);
}

template <typename Record>
Expected<IpAddr> read_address(const Record& in) {
  if (in.address6().empty()) return IpAddr(Ipv4Addr::from_host(in.address()));
  if (in.address() != 0) return refuse("an address is of both families");
  return read_ipv6(in.address6()).map([](const Ipv6Addr& address) { return IpAddr(address); });
}

Expected<IpPrefix> read(const Prefix& in) {
  const auto address = read_address(in);
  if (!address) return Unexpected(address.error());
  const auto length = static_cast<uint8_t>(std::min(in.length(), address->is_v4() ? 32U : 128U));
  const IpPrefix prefix = address->is_v4() ? IpPrefix(Ipv4Prefix(address->v4(), length))
                                           : IpPrefix(Ipv6Prefix(address->v6(), length));
  if (prefix.length() != in.length() || prefix.address() != *address) {
    return refuse("prefix " + address->to_string() + "/" + std::to_string(in.length()) + " is malformed");
  }
  return prefix;
}

Expected<portcullis::PortRange> read(const PortRange& in) {
  const auto first = narrow<uint16_t>(in.first(), "port");
  if (!first) return Unexpected(first.error());
  const auto last = narrow<uint16_t>(in.last(), "port");
  if (!last) return Unexpected(last.error());
  return portcullis::PortRange{*first, *last};
}

Expected<model::Remote> read_remote(const PermitRule& in) {
  if (in.prefixes_size() > 0 && in.tags_size() > 0) return refuse("rule '" + in.name() + "' has two remotes");
  if (in.tags_size() > 0) return std::vector<std::string>(in.tags().begin(), in.tags().end());
  if (in.prefixes_size() == 0) return model::AnyRemote{};
  std::vector<IpPrefix> prefixes;
  prefixes.reserve(static_cast<size_t>(in.prefixes_size()));
  for (const Prefix& prefix : in.prefixes()) {
    const auto read_prefix = read(prefix);
    if (!read_prefix) return Unexpected(read_prefix.error());
    prefixes.push_back(*read_prefix);
  }
  return prefixes;
}

Expected<model::PermitRule> read(const PermitRule& in) {
  model::PermitRule rule;
  rule.name = in.name();
  rule.direction = in.outbound() ? model::Direction::outbound : model::Direction::inbound;
  auto remote = read_remote(in);
  if (!remote) return Unexpected(std::move(remote.error()));
  rule.remote = std::move(*remote);
  const auto read_byte = [](bool present, uint32_t value, const char* what,
                            std::optional<uint8_t>& out) -> Expected<void> {
    if (!present) return {};
    const auto byte = narrow<uint8_t>(value, what);
    if (!byte) return Unexpected(byte.error());
    out = *byte;
    return {};
  };
  const auto read_ports = [](bool present, const PortRange& range,
                             portcullis::PortRange& out) -> Expected<void> {
    if (!present) return {};
    const auto ports = read(range);
    if (!ports) return Unexpected(ports.error());
    out = *ports;
    return {};
  };
  for (const auto& step : {read_byte(in.has_protocol(), in.protocol(), "protocol", rule.protocol),
                           read_byte(in.has_icmp_type(), in.icmp_type(), "ICMP type", rule.icmp_type),
                           read_byte(in.has_icmp_code(), in.icmp_code(), "ICMP code", rule.icmp_code),
                           read_ports(in.has_local_ports(), in.local_ports(), rule.local_ports),
                           read_ports(in.has_remote_ports(), in.remote_ports(), rule.remote_ports)}) {
    if (!step) return Unexpected(step.error());
  }
  rule.tracked = in.tracked();
  return rule;
}

Expected<Encapsulation> read(TunnelProtocol protocol, const Tunnel& in) {
  const auto remote = read_address(in);
  if (!remote) return Unexpected(remote.error());
  return portcullis::Tunnel{protocol, *remote, in.vni()};
}

Expected<Encapsulation> read_encapsulation(const Vm& in) {
  switch (in.encapsulation_case()) {
    case Vm::kVlan: {
      const auto outer = narrow<uint16_t>(in.vlan().outer(), "VLAN identifier");
      if (!outer) return Unexpected(outer.error());
      const auto inner = narrow<uint16_t>(in.vlan().inner(), "VLAN identifier");
      if (!inner) return Unexpected(inner.error());
      return portcullis::VlanTags{*outer, *inner};
    }
    case Vm::kVxlan:
      return read(TunnelProtocol::vxlan, in.vxlan());
    case Vm::kGeneve:
      return read(TunnelProtocol::geneve, in.geneve());
    case Vm::ENCAPSULATION_NOT_SET:
      break;
  }
  return Encapsulation();
}

Expected<model::Change> read(const Vm& in) {
  model::Vm vm;
  vm.tenant = in.tenant();
  vm.id = in.id();
  vm.location.port = in.port();
  if (in.mac().size() != vm.location.mac.bytes.size())
    return refuse("the MAC of vm '" + vm.id + "' is malformed");
  std::copy(in.mac().begin(), in.mac().end(), vm.location.mac.bytes.begin());
  auto encapsulation = read_encapsulation(in);
  if (!encapsulation) return Unexpected(std::move(encapsulation.error()));
  vm.location.encapsulation = *encapsulation;
  if (in.dip() != 0) vm.dip = Ipv4Addr::from_host(in.dip());
  if (!in.dip6().empty()) {
    const auto dip6 = read_ipv6(in.dip6());
    if (!dip6) return Unexpected(dip6.error());
    vm.dip6 = *dip6;
  }
  return model::PutVm{std::move(vm)};
}

Expected<model::Change> read(const Pool& in) {
  const auto prefix = read(in.prefix());
  if (!prefix) return Unexpected(prefix.error());
  return model::PutPool{
      {in.id(), *prefix, in.provider() ? model::PoolKind::provider : model::PoolKind::local}};
}

Expected<model::Change> read(const Eip& in) {
  model::Eip eip;
  const auto address = read_address(in);
  if (!address) return Unexpected(address.error());
  eip.address = *address;
  eip.tenant = in.tenant();
  eip.vm = in.vm();
  std::vector<model::PermitRule> rules;
  rules.reserve(static_cast<size_t>(in.permit_size()));
  for (const PermitRule& rule : in.permit()) {
    auto read_rule = read(rule);
    if (!read_rule) return Unexpected(std::move(read_rule.error()));
    rules.push_back(std::move(*read_rule));
  }
  eip.permit = std::move(rules);
  eip.tags.insert(in.tags().begin(), in.tags().end());
  eip.created = in.created();
  eip.binding_generation = in.binding_generation();
  eip.list_generation = in.list_generation();
  eip.kept_from = in.kept_from();
  eip.keep_established = in.keep_established();
  eip.quota = {.rules = in.rule_quota(), .flows = in.flow_quota()};
  return model::PutEip{std::move(eip)};
}

Expected<model::Change> read(const ReleasedEip& in) {
  const auto address = read_address(in);
  if (!address) return Unexpected(address.error());
  return model::DeleteEip{*address, in.quarantine_until_ms()};
}

Expected<model::Change> read(const Change& in) {
  switch (in.change_case()) {
    case Change::kPutVm:
      return read(in.put_vm());
    case Change::kDeleteVm:
      return model::DeleteVm{{in.delete_vm().tenant(), in.delete_vm().id()}};
    case Change::kPutPool:
      return read(in.put_pool());
    case Change::kDeletePool:
      return model::DeletePool{in.delete_pool()};
    case Change::kPutEip:
      return read(in.put_eip());
    case Change::kDeleteEip:
      return read(in.delete_eip());
    case Change::kPutTenantQuota: {
      const TenantQuota& quota = in.put_tenant_quota();
      return model::PutTenantQuota{{quota.tenant(), quota.eips(), quota.rules(), quota.flows()}};
    }
    case Change::kDeleteTenantQuota:
      return model::DeleteTenantQuota{in.delete_tenant_quota()};
    case Change::CHANGE_NOT_SET:
      break;
  }
  return refuse("it holds a change of a kind that this release does not know");
}

// Decoded, a record of a thousand lists is a megabyte of messages.
google::protobuf::ArenaOptions in_large_blocks() {
  google::protobuf::ArenaOptions options;
  options.start_block_size = 4096;
  options.max_block_size = size_t{256} << 10;
  return options;
}

}  // namespace

// A message of a repeated field is the bytes of its elements, one after another. (Protocol Buffers, Encoding:
// "Last One Wins" and what is concatenated.)
std::string encode(const model::ChangeSet& changes) {
  ChangeSet part;
  part.set_generation(changes.generation);
  std::string record = part.SerializeAsString();
  part.clear_generation();
  Change& out = *part.add_changes();
  in_passes(
      changes.changes,
      [](const model::Change& change) {
        if (const auto* put = std::get_if<model::PutEip>(&change)) put->eip.permit.prefetch();
      },
      [&](const model::Change& change) {
        std::visit(Writer{out}, change);
        part.AppendToString(&record);
      });
  return record;
}

Expected<model::ChangeSet> decode(std::string_view record) {
  google::protobuf::Arena arena(in_large_blocks());
  ChangeSet& in = *google::protobuf::Arena::CreateMessage<ChangeSet>(&arena);
  if (record.size() > static_cast<size_t>(std::numeric_limits<int>::max()) ||
      !in.ParseFromArray(record.data(), static_cast<int>(record.size()))) {
    return refuse("it is no serialized change set");
  }
  model::ChangeSet changes{in.generation(), {}};
  changes.changes.reserve(static_cast<size_t>(in.changes_size()));
  for (const Change& change : in.changes()) {
    auto read_change = read(change);
    if (!read_change) return Unexpected(std::move(read_change.error()));
    changes.changes.push_back(std::move(*read_change));
  }
  return changes;
}

}  // namespace portcullis::store
