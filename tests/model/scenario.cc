#include "tests/model/scenario.h"

#include <algorithm>
#include <array>
#include <set>

namespace portcullis::testing {
namespace {

using model::Direction;
using model::PermitRule;
using model::PoolKind;
using reference::Arrival;
using reference::Fate;
using reference::PortNumber;

constexpr PortNumber uplink = 0;
constexpr Mac router_mac{{0x02, 0xee, 0, 0, 0, 1}};
constexpr Ipv4Addr gateway_address = Ipv4Addr::of(192, 0, 2, 1);
constexpr Ipv4Addr router = Ipv4Addr::of(192, 0, 2, 254);
constexpr Ipv4Addr router_in_pool = Ipv4Addr::of(198, 51, 100, 6);
constexpr Ipv4Addr configured_next_hop = Ipv4Addr::of(10, 0, 0, 1);
constexpr std::array<uint16_t, 6> ports{22, 80, 443, 5000, 5001, 40000};
const std::vector<std::string> tags{"web", "db", "ops"};
const std::vector<std::string> tenants{"acme", "beta"};

// Two local pools side by side, so that one prefix may be covered by both; one across a /16; two of others.
const std::vector<model::Pool> all_pools{
    {"a", Ipv4Prefix(Ipv4Addr::of(198, 51, 100, 0), 29), PoolKind::local},
    {"b", Ipv4Prefix(Ipv4Addr::of(198, 51, 100, 8), 29), PoolKind::local},
    {"c", Ipv4Prefix(Ipv4Addr::of(100, 64, 255, 252), 30), PoolKind::local},
    {"d", Ipv4Prefix(Ipv4Addr::of(203, 0, 113, 128), 28), PoolKind::provider},
    {"e", Ipv4Prefix(Ipv4Addr::of(203, 0, 113, 0), 30), PoolKind::provider},
    {"f", Ipv4Prefix(Ipv4Addr::of(203, 0, 113, 4), 31), PoolKind::local},
};

const std::vector<std::string> endpoint_names{"left", "right"};

void set_flags(Bytes& frame, uint8_t flags) {
  frame[transport_at + 13] = flags;
}

}  // namespace

Scenario::Scenario(uint64_t seed) : random_(seed) {
  reference::Setup setup = make_setup();
  port_setups_ = setup.ports;
  world_ = std::make_unique<World>(std::move(setup), make_sizes());
  populate();
}

// --- configuration ---

reference::Setup Scenario::make_setup() {
  reference::Setup setup;
  const size_t port_count = 2 + below(2);
  for (size_t i = 0; i < port_count; ++i) {
    reference::PortSetup port;
    port.name = i == uplink ? "uplink" : endpoint_names[i - 1];
    port.uplink = i == uplink;
    port.mac = {{0x02, 0xaa, 0, 0, 0, static_cast<uint8_t>(i)}};
    port.mtu = pick<uint16_t>({576, 1400, 1500});
    port.proxy_arp = port.uplink && chance(50);
    port.punt_rate = pick<uint32_t>({100, 1000, 50'000});
    if (port.uplink)
      port.next_hop = pick({router, router, router_in_pool, Ipv4Addr()});
    else
      port.endpoint_next_hop = chance(50) ? configured_next_hop : link_local_next_hop;
    setup.ports.push_back(port);
  }
  setup.gateway_addresses = {gateway_address};
  if (chance(80))
    setup.gateway_permit.push_back(
        {.name = "ping", .direction = Direction::inbound, .protocol = icmp, .icmp_type = 8});
  if (chance(50))
    setup.gateway_permit.push_back(
        {.name = "bgp",
         .direction = Direction::inbound,
         .remote = std::vector<IpPrefix>{Ipv4Prefix(Ipv4Addr::of(203, 0, 113, 0), 24)},
         .protocol = tcp,
         .local_ports = {80, 443}});
  if (chance(60))
    setup.timeouts = {.tcp_established_ms = 9'000,
                      .tcp_transitory_ms = 3'000,
                      .udp_ms = 2'000,
                      .icmp_ms = 1'000,
                      .other_ms = 2'500};
  setup.flow_quota = pick<uint32_t>({1, 3, 8, 200});
  setup.timeouts.fragment_ms = pick<uint32_t>({1'000, 4'000});
  setup.icmp_error_rate = pick<uint32_t>({7, 100, 1000});
  if (chance(15)) setup.gateway_addresses.clear();
  return setup;
}

Sizes Scenario::make_sizes() {
  Sizes sizes;
  sizes.flow_capacity = pick<uint32_t>({16, 16, 64, 1024});
  sizes.fragment_capacity = pick<uint32_t>({64, 128});
  sizes.index_pages = 5;
  std::vector<Isa> isas;
  std::ranges::copy_if(all_isas, std::back_inserter(isas), is_supported);
  sizes.isa = pick(isas);
  // The data plane's generations are 32 bits wide: they wrap, and their differences change sign.
  const uint64_t turn = pick<uint64_t>({0, uint64_t{1} << 31, uint64_t{1} << 32});
  if (turn != 0) sizes.generation = turn - 20 - below(50);
  return sizes;
}

void Scenario::populate() {
  if (!chance(5)) world_->set_neighbour(router_mac);
  world_->create_pool(all_pools[0]);
  for (size_t i = 1; i < all_pools.size(); ++i)
    if (chance(all_pools[i].prefix.contains(Ipv4Addr::of(203, 0, 113, 1)) ? 10 : 50))
      world_->create_pool(all_pools[i]);
  const size_t vms = 6 + below(5);
  for (size_t i = 0; i < vms; ++i) {
    const model::Vm vm = make_vm();
    if (!world_->create_vm(vm) || chance(10)) continue;
    const auto eip = world_->request_eip({vm.tenant, vm.id});
    if (!eip) continue;
    if (chance(60)) world_->set_tag(*eip, {pick(tags)});
    if (!chance(15)) world_->set_permit_list(*eip, make_list());
  }
}

model::Vm Scenario::make_vm() {
  model::Vm vm;
  vm.tenant = chance(75) ? tenants[0] : tenants[1];
  vm.id = "vm" + std::to_string(next_vm_++);
  vm.location.port = port_setups_[1 + below(port_setups_.size() - 1)].name;
  vm.location.mac = {{0x02, 0x55, 0, 0, 0, static_cast<uint8_t>(below(40))}};
  // Sometimes an address of a pool: then the DIP may be the EIP, or another one's.
  vm.dip = chance(20) ? Ipv4Addr::of(198, 51, 100, static_cast<uint8_t>(1 + below(6)))
                      : Ipv4Addr::of(10, 0, 0, static_cast<uint8_t>(10 + below(16)));
  return vm;
}

// --- calls ---

std::optional<Ipv4Addr> Scenario::some_eip() {
  const auto& eips = world_->state().eips;
  if (eips.empty()) return std::nullopt;
  return pick(eips).first.v4();
}

model::Remote Scenario::make_remote() {
  switch (below(9)) {
    case 0:
      return std::vector<IpPrefix>{Ipv4Prefix(Ipv4Addr::of(203, 0, 113, 0), 24)};
    case 8:  // one within the other, from a single host to what covers everybody
      return std::vector<IpPrefix>{Ipv4Prefix(Ipv4Addr::of(203, 0, 113, static_cast<uint8_t>(below(16))),
                                              static_cast<uint8_t>(below(33))),
                                   Ipv4Prefix(outside_host(), static_cast<uint8_t>(26 + below(7)))};
    case 1:
      return std::vector<IpPrefix>{Ipv4Prefix(outside_host(), 32), Ipv4Prefix(outside_host(), 32)};
    // Covered by one pool, by two together, or by more than there is.
    case 2:
      return std::vector<IpPrefix>{
          Ipv4Prefix(Ipv4Addr::of(198, 51, 100, 0), static_cast<uint8_t>(27 + below(4)))};
    case 3: {
      const auto eip = some_eip();
      return std::vector<IpPrefix>{Ipv4Prefix(eip ? *eip : outside_host(), 32)};
    }
    case 4:
    case 5: {
      std::vector<std::string> names{pick(tags)};
      if (chance(30)) names.push_back(pick(tags));
      return names;
    }
    default:
      return model::AnyRemote{};
  }
}

PermitRule Scenario::make_rule(const std::string& name) {
  PermitRule rule;
  rule.name = name;
  rule.direction = chance(55) ? Direction::inbound : Direction::outbound;
  rule.remote = make_remote();
  const uint64_t kind = below(9);
  if (kind == 8) {
    rule.protocol = pick<uint8_t>({gre, esp, 4});
  } else if (kind == 0) {
  } else if (kind == 1) {
    rule.protocol = icmp;
    if (chance(60)) rule.icmp_type = pick<uint8_t>({8, 8, 13, 0, 14});
    if (rule.icmp_type && chance(60)) rule.icmp_code = static_cast<uint8_t>(below(2));
  } else {
    rule.protocol = kind < 5 ? tcp : kind < 7 ? udp : sctp;
    if (chance(60)) rule.local_ports = pick<PortRange>({{80, 80}, {22, 443}, {443, 5000}, {5000, 5001}});
    if (chance(20)) rule.remote_ports = pick<PortRange>({{80, 80}, {22, 443}, {5000, 65535}});
  }
  rule.tracked = rule.direction == Direction::inbound && chance(35);
  return rule;
}

std::vector<PermitRule> Scenario::make_list() {
  // Mostly short; at times longer than what lies inline, than what is scanned, than one header of shapes.
  const uint64_t kind = below(100);
  const uint64_t count = kind < 65   ? 1 + below(4)
                         : kind < 80 ? 3 + below(20)
                         : kind < 97 ? 10 + below(50)
                                     : 60 + below(300);
  std::vector<PermitRule> rules;
  for (uint64_t i = 0; i < count; ++i) rules.push_back(make_rule("r" + std::to_string(i)));
  return rules;
}

void Scenario::change() {
  const auto eip = some_eip();
  switch (below(10)) {
    case 0:
    case 1:
    case 2:
    case 3:
      if (eip) change_list(*eip);
      break;
    case 4:
    case 5:
      if (eip) {
        std::set<std::string> names;
        while (chance(60)) names.insert(pick(tags));
        world_->set_tag(*eip, names);
      }
      break;
    case 6:
      if (eip && chance(60)) world_->release_eip(*eip);
      break;
    case 7:
      if (!world_->state().vms.empty()) {
        const model::VmKey vm = pick(world_->state().vms).first;
        const auto got = world_->request_eip(vm);
        if (got && world_->state().eips.at(*got).permit.empty()) world_->set_permit_list(*got, make_list());
      }
      break;
    case 8:
      change_vms();
      break;
    default:
      if (eip && chance(60))
        world_->end_keep(*eip);
      else
        change_pools();
  }
}

void Scenario::change_list(Ipv4Addr eip) {
  std::vector<PermitRule> rules = world_->state().eips.at(eip).permit;
  switch (below(6)) {
    case 0:
      break;  // the same again
    case 5:
      rules = make_list();
      break;
    case 1:
    case 2:
      if (!rules.empty()) rules.erase(rules.begin() + static_cast<std::ptrdiff_t>(below(rules.size())));
      break;
    case 3:
      if (!rules.empty()) {
        PermitRule& rule = rules[below(rules.size())];
        if (chance(50))
          rule.tracked = rule.direction == Direction::inbound && !rule.tracked;
        else
          rule = make_rule(rule.name);
        break;
      }
      [[fallthrough]];
    default:
      rules.push_back(make_rule("x" + std::to_string(random_() % 1000)));
  }
  world_->set_permit_list(eip, rules, chance(40));
}

void Scenario::change_pools() {
  const model::Pool& pool = pick(all_pools);
  if (world_->state().pools.contains(pool.id))
    world_->delete_pool(pool.id);
  else
    world_->create_pool(pool);
}

void Scenario::change_vms() {
  if (world_->state().vms.empty() || chance(40))
    world_->create_vm(make_vm());
  else if (chance(50))
    world_->move_vm(pick(world_->state().vms).first, make_vm().location);
  else
    world_->delete_vm(pick(world_->state().vms).first);
}

// --- packets ---

Ipv4Addr Scenario::outside_host() {
  return Ipv4Addr::of(203, 0, 113, static_cast<uint8_t>(2 + below(6)));
}

Ipv4Addr Scenario::some_destination() {
  const auto eip = some_eip();
  if (eip && chance(55)) return *eip;
  switch (below(12)) {
    case 0:
      return Ipv4Addr::of(198, 51, 100, static_cast<uint8_t>(below(18)));
    case 1:
      return Ipv4Addr::of(100, 64, 255, static_cast<uint8_t>(250 + below(6)));
    case 2:
      return Ipv4Addr::of(203, 0, 113, static_cast<uint8_t>(126 + below(20)));
    case 3:
      return gateway_address;
    case 4:
      return Ipv4Addr::of(10, 0, 0, static_cast<uint8_t>(10 + below(16)));
    default:
      return outside_host();
  }
}

uint8_t Scenario::make_flags() {
  switch (below(10)) {
    case 0:
    case 1:
    case 2:
    case 3:
      return syn;
    case 4:
    case 5:
      return ack;
    case 6:
      return syn | ack;
    case 7:
      return pick<uint8_t>({fin | ack, rst, rst | ack, psh | ack});
    default:
      return static_cast<uint8_t>(below(256));
  }
}

void Scenario::choose_transport(Packet& packet) {
  packet.protocol = pick<uint8_t>({tcp, tcp, tcp, tcp, udp, udp, udp, icmp, icmp, sctp, gre, esp});
  packet.sctp_chunk = chance(40) ? 1 : static_cast<uint8_t>(below(16));
  packet.source_port = pick(ports);
  packet.destination_port = pick(ports);
  packet.flags = make_flags();
  packet.icmp_type = pick<uint8_t>({8, 8, 8, 13, 0, 14});
  packet.icmp_code = chance(85) ? 0 : 1;
  packet.icmp_id = static_cast<uint16_t>(below(3));
}

std::optional<Ipv4Addr> Scenario::address_in(const model::Remote& remote, const model::TenantId& tenant) {
  if (const auto* prefixes = std::get_if<std::vector<IpPrefix>>(&remote)) {
    const Ipv4Prefix prefix = pick(*prefixes).v4();
    return Ipv4Addr::from_host(prefix.first().host() +
                               static_cast<uint32_t>(below(std::min<uint64_t>(prefix.size(), 16))));
  }
  const auto* names = std::get_if<std::vector<std::string>>(&remote);
  if (names == nullptr) return chance(50) ? std::optional(outside_host()) : some_eip();
  std::vector<Ipv4Addr> bearers;
  for (const auto& [address, eip] : world_->state().eips)
    if (eip.tenant == tenant && eip.tags.contains(names->front())) bearers.push_back(address.v4());
  return bearers.empty() ? std::nullopt : std::optional(pick(bearers));
}

void Scenario::aim(Packet& packet, Ipv4Addr address, bool leaving) {
  const model::Eip& eip = world_->state().eips.at(address);
  if (eip.permit.empty()) return;
  const PermitRule rule = pick(eip.permit);
  const auto remote = address_in(rule.remote, eip.tenant);
  // From the outside an EIP would be spoofed: now and then is enough.
  if (remote && (leaving || !world_->state().eips.contains(*remote) || chance(10)))
    (leaving ? packet.destination : packet.source) = *remote;
  if (rule.protocol) packet.protocol = *rule.protocol;
  if (packet.protocol == icmp) {
    if (rule.icmp_type) packet.icmp_type = *rule.icmp_type;
    if (rule.icmp_code) packet.icmp_code = *rule.icmp_code;
    return;
  }
  const auto port_in = [&](PortRange range) {
    return range.is_any() ? pick(ports) : chance(50) ? range.first : range.last;
  };
  (leaving ? packet.source_port : packet.destination_port) = port_in(rule.local_ports);
  (leaving ? packet.destination_port : packet.source_port) = port_in(rule.remote_ports);
  if (leaving && rule.direction == Direction::inbound && chance(80))
    packet.flags = pick<uint8_t>({syn | ack, ack, rst});
  if (leaving && rule.direction == Direction::inbound && chance(80))
    packet.sctp_chunk = pick<uint8_t>({0, 2, 3, 6, 11});
}

Packet Scenario::from_uplink() {
  Packet packet;
  packet.to = port_setups_[uplink].mac;
  packet.from = router_mac;
  packet.source = chance(88) ? outside_host() : some_destination();
  const auto eip = some_eip();
  packet.destination = eip && chance(80) ? *eip : some_destination();
  choose_transport(packet);
  if (world_->state().eips.contains(packet.destination) && chance(70)) aim(packet, packet.destination, false);
  return packet;
}

Packet Scenario::from_endpoint(PortNumber port) {
  Packet packet;
  packet.to = port_setups_[port].mac;
  packet.destination = some_destination();
  choose_transport(packet);
  std::vector<Ipv4Addr> here;
  for (const auto& [address, eip] : world_->state().eips)
    if (world_->vm_of(address.v4()).location.port == port_setups_[port].name) here.push_back(address.v4());
  if (here.empty() || chance(2)) {
    const model::Vm stranger = make_vm();
    packet.from = stranger.location.mac;
    packet.source = *stranger.dip;
  } else {
    const Ipv4Addr eip = pick(here);
    const model::Vm& vm = world_->vm_of(eip);
    if (chance(70)) aim(packet, eip, true);
    packet.from = vm.location.mac;
    packet.source = chance(97) ? *vm.dip : some_destination();
  }
  if (chance(2)) packet.from.bytes[5] ^= 1;
  return packet;
}

Bytes Scenario::make_frame(PortNumber port) {
  if (chance(4)) return make_arp(port);
  if (!sent_before_.empty() && chance(25)) {
    // Something seen before, perhaps with other flags or another ICMP code, or from the other side of a
    // narrowed list.
    const auto& [from, frame] = sent_before_[below(sent_before_.size())];
    if (from == port) {
      Bytes again = frame;
      if (chance(50) && is_ipv4(again) && again[ip_at + 9] == tcp && again.size() > transport_at + 13)
        set_flags(again, make_flags());
      if (chance(30) && is_ipv4(again) && again[ip_at + 9] == icmp && again.size() > transport_at + 1)
        again[transport_at + 1] ^= 1;
      return again;
    }
  }
  Packet packet = port == uplink ? from_uplink() : from_endpoint(port);
  if (chance(10)) packet.ttl = static_cast<uint8_t>(below(4));
  size_t payload = below(20);
  if (chance(6)) {
    // About as long as some port's MTU.
    const size_t headers = build(packet).size() - ip_at;
    payload = pick(port_setups_).mtu - headers + below(3) - 1;
  }
  packet.payload.resize(payload);
  for (uint8_t& byte : packet.payload) byte = static_cast<uint8_t>(random_());
  Bytes frame = build(packet);
  if (chance(30)) {
    put16(frame, ip_at + 6, 0);  // may be fragmented
    fix_header_checksum(frame);
  }
  return frame;
}

// Leaves the first fragment in `frame`; the others come after it, mostly in order and each once.
void Scenario::cut_into_parts(PortNumber port, Bytes& frame) {
  if (!is_ipv4(frame) || frame.size() < transport_at + 24) return;
  const size_t longest = 1 + below(chance(80) ? 4 : 2);  // times eight bytes
  std::vector<Bytes> parts;
  const auto identification = static_cast<uint16_t>(below(chance(70) ? 65536 : 3));
  for (size_t at = transport_at; at < frame.size();) {
    // The first one mostly holds what it must.
    const size_t length =
        std::min(frame.size() - at, 8 * (at == transport_at && chance(85) ? 3 : 1 + below(longest)));
    Bytes part = frame;
    part.erase(part.begin() + static_cast<std::ptrdiff_t>(at + length), part.end());
    part.erase(part.begin() + transport_at, part.begin() + static_cast<std::ptrdiff_t>(at));
    put16(part, ip_at + 2, static_cast<uint16_t>(20 + length));
    put16(part, ip_at + 4, identification);
    const bool more = at + length < frame.size();
    put16(part, ip_at + 6, static_cast<uint16_t>((more ? 0x2000 : 0) | (at - transport_at) / 8));
    at += length;
    if (chance(4)) part[ip_at + 7] ^= static_cast<uint8_t>(1 + below(3));  // elsewhere: an overlap, or a gap
    if (chance(2)) part[ip_at + 6] ^= 0x20;
    fix_header_checksum(part);
    parts.push_back(std::move(part));
  }
  if (port != uplink && parts.size() > 1 && chance(30)) {
    // Another endpoint with the same private address, at another port, sends what looks like a part of it.
    for (const auto& [address, eip] : world_->state().eips) {
      const model::Vm& vm = world_->vm_of(address.v4());
      for (PortNumber other = 1; other < port_setups_.size(); ++other) {
        if (other == port || port_setups_[other].name != vm.location.port ||
            vm.dip != get_address(frame, ip_at + 12))
          continue;
        Bytes part = parts[1];
        std::ranges::copy(port_setups_[other].mac.bytes, part.begin());
        std::ranges::copy(vm.location.mac.bytes, part.begin() + 6);
        parts_[other].push_back(std::move(part));
      }
    }
  }
  if (chance(25)) std::ranges::shuffle(parts, random_);
  if (chance(10)) parts.push_back(parts[below(parts.size())]);
  if (chance(15)) parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(below(parts.size())));
  if (parts.empty()) return;
  frame = parts.front();
  parts_[port].insert(parts_[port].end(), parts.begin() + 1, parts.end());
}

Bytes Scenario::make_arp(PortNumber port) {
  Arp arp;
  arp.from = arp.sender_mac =
      port == uplink ? router_mac : Mac{{0x02, 0x55, 0, 0, 0, static_cast<uint8_t>(below(40))}};
  if (chance(10)) arp.sender_mac.bytes[5] ^= 0x80;
  arp.to = chance(70) ? broadcast_mac : port_setups_[port].mac;
  arp.operation = static_cast<uint16_t>(chance(65) ? 1 : below(4));
  arp.sender = pick({router, router, router_in_pool, Ipv4Addr::of(10, 0, 0, 12), Ipv4Addr(), outside_host()});
  arp.target = pick({link_local_next_hop, configured_next_hop, gateway_address, router_in_pool,
                     some_destination(), some_destination()});
  Bytes frame = build(arp);
  if (chance(15)) frame[14 + below(6)] ^= static_cast<uint8_t>(1 + below(255));
  if (chance(8)) frame.resize(14 + below(28));
  return frame;
}

// One thing wrong, or odd but right.
void Scenario::damage(PortNumber port, Bytes& frame) {
  const auto any_byte = [&] { return static_cast<uint8_t>(random_()); };
  const uint64_t kind = below(22);
  switch (kind) {
    case 0:
      put16(frame, 12, pick<uint16_t>({0x88cc, 0x86dd, 0x8100, 0x0801}));
      return;
    case 1:
      frame[5] ^= 1;
      return;
    case 2:
      std::fill_n(frame.begin(), 6, uint8_t{0xff});
      return;
    case 3:
      frame.resize(below(transport_at));
      return;
    case 4:
      frame[ip_at] = static_cast<uint8_t>(0x60 | (frame[ip_at] & 0xf));
      break;
    case 5:
      frame[ip_at] = static_cast<uint8_t>(0x40 | pick<unsigned>({0, 1, 4, 15}));
      break;
    case 6:
      put16(frame, ip_at + 2, static_cast<uint16_t>(below(20)));
      break;
    case 7:
      put16(frame, ip_at + 2, static_cast<uint16_t>(frame.size() - 14 + 1 + below(100)));
      break;
    case 8:
      frame[ip_at + 10 + below(2)] ^= static_cast<uint8_t>(1 + below(255));
      return;
    case 9: {
      // Right ones, some that say a wrong length, source routes.
      const auto options = pick<std::array<uint8_t, 4>>({{1, 1, 1, 0},
                                                         {0, 0, 0, 0},
                                                         {148, 4, 0, 0},
                                                         {1, 7, 3, 4},
                                                         {0, 131, 4, 4},
                                                         {7, 1, 0, 0},
                                                         {7, 0, 0, 0},
                                                         {68, 5, 5, 0},
                                                         {1, 1, 1, 7},
                                                         {131, 4, 4, 0},
                                                         {1, 137, 3, 4}});
      frame.insert(frame.begin() + transport_at, options.begin(), options.end());
      frame[ip_at] = 0x46;
      put16(frame, ip_at + 2, static_cast<uint16_t>(get16(frame, ip_at + 2) + 4));
      break;
    }
    case 10:
      put16(frame, ip_at + 6, pick<uint16_t>({0x2000, 0x0001, 0x0002, 0x1fff, 0x6000, 0x3fff}));
      break;
    case 11:
      frame[ip_at + 12] = pick<uint8_t>({0, 127, 224, 239, 240, 255});
      break;
    case 12:
      frame[ip_at + 16] = pick<uint8_t>({0, 127, 224, 239, 240, 255});
      break;
    case 13:
      frame[ip_at + 9] = any_byte();
      break;
    case 14:
      put16(frame, ip_at + 2, static_cast<uint16_t>(20 + below(24)));
      break;  // the transport header is cut
    case 15:
      if (frame[ip_at + 9] == tcp) frame[transport_at + 12] = static_cast<uint8_t>(below(16) << 4);
      if (frame[ip_at + 9] == udp) put16(frame, transport_at + 4, static_cast<uint16_t>(below(40)));
      if (frame[ip_at + 9] == icmp) frame[transport_at] = any_byte();
      if (frame[ip_at + 9] == sctp) frame[transport_at + 12] = any_byte();
      return;
    case 16:
      if (frame[ip_at + 9] == tcp) set_flags(frame, pick<uint8_t>({0, syn | fin, syn | rst, 0xc0, 0x3f}));
      return;
    case 17:
      if (transport_checksum_at(frame) != 0)
        put16(frame, transport_checksum_at(frame), pick<uint16_t>({0, 0xffff, any_byte()}));
      return;
    case 18:
      make_zero_after_translation(port, frame);
      return;
    case 19:
      frame.resize(frame.size() + 1 + below(40), any_byte());
      return;  // padding
    case 20:
      put16(frame, ip_at + 12, 0xa9fe);  // 169.254/16
      break;
    default:
      put16(frame, ip_at + 16, 0xa9fe);
  }
  if (chance(90)) fix_header_checksum(frame);
}

// RFC 768: a UDP checksum that comes out as zero is sent as all ones. Chosen so that it does.
void Scenario::make_zero_after_translation(PortNumber port, Bytes& frame) {
  if (transport_checksum_at(frame) == 0) return;
  const Ipv4Addr source = get_address(frame, ip_at + 12);
  const Ipv4Addr destination = get_address(frame, ip_at + 16);
  Ipv4Addr new_source = source;
  Ipv4Addr new_destination = destination;
  for (const auto& [address, eip] : world_->state().eips) {
    const model::Vm& vm = world_->vm_of(address.v4());
    if (port != uplink && vm.dip == source && vm.location.port == port_setups_[port].name)
      new_source = address.v4();
    if (address == destination) new_destination = *vm.dip;
  }
  const auto words = [](Ipv4Addr a) { return (a.host() >> 16) + (a.host() & 0xffff); };
  const uint64_t grown =
      words(new_source) + words(new_destination) + 4 * 0xffff - words(source) - words(destination);
  // ~checksum + grown = 0xffff, that is: checksum = grown, modulo 0xffff.
  const auto checksum = static_cast<uint16_t>(grown % 0xffff);
  put16(frame, transport_checksum_at(frame), checksum == 0 ? 0xffff : checksum);
}

Arrival Scenario::make_arrival(PortNumber port) {
  Bytes frame;
  std::deque<Bytes>& parts = parts_[port];
  if (!parts.empty() && chance(80)) {
    frame = std::move(parts.front());
    parts.pop_front();
  } else if (chance(40) && link_.receive(port, frame)) {
  } else {
    frame = chance(3) ? make_ipv6_frame(port) : make_frame(port);
    if (is_ipv4(frame) && chance(6)) cut_into_parts(port, frame);
  }
  if (chance(12) && is_ipv4(frame) && frame.size() > transport_at + 20) damage(port, frame);
  sent_before_.emplace_back(port, frame);
  if (sent_before_.size() > 60) sent_before_.pop_front();
  Arrival arrival{std::move(frame)};
  // In two buffers; link padding is left to frames in one.
  if (chance(2) && arrival.bytes.size() > 60 &&
      (!is_ipv4(arrival.bytes) || get16(arrival.bytes, ip_at + 2) + ip_at == arrival.bytes.size()))
    arrival.first_segment = static_cast<uint32_t>(1 + below(60));
  return arrival;
}

void Scenario::traffic() {
  std::vector<std::vector<Arrival>> arrivals(port_setups_.size());
  const size_t ports_fed = chance(80) ? 1 : port_setups_.size();
  for (size_t n = 0; n < ports_fed; ++n) {
    const auto port = PortNumber{below(port_setups_.size())};
    const uint64_t count = chance(50) ? 1 : chance(90) ? 2 + below(8) : 64;
    while (arrivals[port].size() < count) arrivals[port].push_back(make_arrival(port));
  }
  deliver(std::move(arrivals));
}

void Scenario::deliver(std::vector<std::vector<Arrival>> arrivals) {
  std::vector<Bytes> originated;
  if (chance(3)) {
    originated.resize(1 + below(3));
    for (Bytes& frame : originated) frame = make_arp(uplink);
  }
  const reference::Turn& turn = world_->poll(std::move(arrivals), originated);
  for (PortNumber port = 0; port < turn.sent.size(); ++port)
    for (const Bytes& frame : turn.sent[port])
      if (chance(50)) answer(port, frame);
  if (chance(10)) link_.lose_one(random_);
  if (chance(10)) link_.reorder(random_);
  while (link_.size() > 200) link_.lose_one(random_);
}

void Scenario::answer(PortNumber port, const Bytes& frame) {
  if (!is_ipv4(frame) || frame.size() < transport_at + 14) return;
  if (chance(20)) return report(port, frame);
  Packet reply;
  reply.to = get_mac(frame, 6);
  reply.from = get_mac(frame, 0);
  reply.source = get_address(frame, ip_at + 16);
  reply.destination = get_address(frame, ip_at + 12);
  reply.protocol = frame[ip_at + 9];
  if (reply.protocol == icmp) {
    reply.icmp_type = pick<uint8_t>({0, 0, 0, 8, 14, 13});
    if (frame[transport_at] == 13) reply.icmp_type = 14;
    reply.icmp_code = frame[transport_at + 1];
    reply.icmp_id = get16(frame, transport_at + 4);
  } else if (frame.size() >= transport_at + 4) {
    reply.source_port = get16(frame, transport_at + 2);
    reply.destination_port = get16(frame, transport_at);
  }
  if (reply.protocol == tcp) {
    const uint8_t flags = frame[transport_at + 13];
    reply.flags = (flags & (syn | ack)) == syn
                      ? pick<uint8_t>({syn | ack, syn | ack, rst | ack})
                      : pick<uint8_t>({ack, ack, ack, psh | ack, fin | ack, rst, syn});
  }
  if (reply.protocol == sctp)
    reply.sctp_chunk = frame[transport_at + 12] == 1 ? pick<uint8_t>({2, 2, 6}) : pick<uint8_t>({0, 3, 3, 1});
  link_.send(port, build(reply));
}

// An ICMP error about `frame`, by the host that got it from `port` or by a router on its way there, as much
// of it quoted as hosts and routers do; now and then about something else.
void Scenario::report(PortNumber port, const Bytes& frame) {
  Packet error;
  error.to = get_mac(frame, 6);
  error.from = get_mac(frame, 0);
  error.source = port == uplink && chance(50) ? outside_host() : get_address(frame, ip_at + 16);
  error.destination = get_address(frame, ip_at + 12);
  error.protocol = icmp;
  error.icmp_type = pick<uint8_t>({3, 3, 11, 12, 4, 5});
  error.icmp_code = static_cast<uint8_t>(below(5));
  const size_t quoted = std::min<size_t>(pick<size_t>({19, 27, 28, 28, 34, 38, 40, 60, 548}),
                                         ip_at + get16(frame, ip_at + 2) - ip_at);
  error.payload.assign(frame.begin() + ip_at, frame.begin() + static_cast<std::ptrdiff_t>(ip_at + quoted));
  if (chance(10)) error.ttl = static_cast<uint8_t>(below(2));
  if (quoted >= 20 && port == uplink && chance(15)) {
    // As if a packet to another endpoint had been seen outside.
    const std::optional<Ipv4Addr> eip = some_eip();
    for (size_t i = 0; eip && i < 4; ++i)
      error.payload[16 + i] = static_cast<uint8_t>(eip->host() >> (24 - 8 * i));
  }
  if (quoted >= 20 && chance(25)) {
    // What it quotes was never sent, or by another one.
    constexpr std::array<size_t, 8> interesting{0, 6, 9, 12, 15, 16, 19, 20};
    const size_t at = chance(60) ? pick(interesting) : below(quoted);
    error.payload[at] ^= static_cast<uint8_t>(1 + below(chance(50) ? 2 : 255));
  }
  link_.send(port, build(error));
}

// More to the gateway's own address in one moment than its meter or its ring takes.
void Scenario::punt_flood() {
  world_->collect_punts(chance(60));
  Packet packet = from_uplink();
  packet.source = Ipv4Addr::of(192, 0, 2, 77);
  packet.destination = gateway_address;
  packet.protocol = icmp;
  packet.icmp_type = 8;
  std::vector<std::vector<Arrival>> arrivals(port_setups_.size());
  arrivals[uplink].assign(40 + below(25), {build(packet)});
  deliver(arrivals);
  deliver(arrivals);
  world_->collect_punts(true);
}

// One packet that passed, over and over, out of a port that takes nothing for a while.
void Scenario::storm() {
  if (sent_before_.empty()) return;
  const auto [in, frame] = sent_before_.back();
  std::vector<std::vector<Arrival>> arrivals(port_setups_.size());
  arrivals[in].push_back({frame});
  const reference::Verdict verdict = world_->poll(arrivals).verdicts[in][0];
  if (verdict.fate != Fate::transmitted) return;
  arrivals[in].assign(64, {frame});
  world_->block(verdict.port, true);
  const uint64_t turns = 9 + below(6);
  for (uint64_t i = 0; i < turns; ++i) deliver(arrivals);
  world_->block(verdict.port, false);
  for (int i = 0; i < 4; ++i) deliver({});
}

// More datagrams of one sender at once than an EIP has a share for, and what follows some of them.
void Scenario::fragment_storm() {
  const auto port = PortNumber{below(port_setups_.size())};
  Packet packet = port == uplink ? from_uplink() : from_endpoint(port);
  packet.payload.assign(40, 0x33);
  const Bytes whole = build(packet);
  const auto part = [&](uint16_t identification, bool is_first) {
    Bytes bytes = whole;
    const size_t cut = transport_at + 24;
    bytes.erase(bytes.begin() + static_cast<std::ptrdiff_t>(is_first ? cut : transport_at),
                is_first ? bytes.end() : bytes.begin() + static_cast<std::ptrdiff_t>(cut));
    put16(bytes, ip_at + 2, static_cast<uint16_t>(bytes.size() - ip_at));
    put16(bytes, ip_at + 4, identification);
    put16(bytes, ip_at + 6, is_first ? 0x2000 : 3);
    fix_header_checksum(bytes);
    return Arrival{std::move(bytes)};
  };
  const size_t count = 10 + below(30);
  std::vector<std::vector<Arrival>> arrivals(port_setups_.size());
  for (size_t n = 0; n < count; ++n) arrivals[port].push_back(part(static_cast<uint16_t>(n), true));
  deliver(arrivals);
  arrivals[port].clear();
  for (size_t n = 0; n < 20; ++n) arrivals[port].push_back(part(static_cast<uint16_t>(below(count)), false));
  deliver(arrivals);
}

// What expires at the gateway, of many senders, more than they are told of.
void Scenario::expiry_storm() {
  const auto port = PortNumber{below(port_setups_.size())};
  std::vector<std::vector<Arrival>> arrivals(port_setups_.size());
  while (arrivals[port].size() < 64) {
    Packet packet = port == uplink ? from_uplink() : from_endpoint(port);
    packet.ttl = 1;
    arrivals[port].push_back({build(packet)});
  }
  for (int turn = 0; turn < 8; ++turn) deliver(arrivals);
}

// --- time ---

void Scenario::let_time_pass() {
  std::vector<uint64_t> steps{1'500, 2'000, 3'000, 10'000, 60'000, 240'000};
  // The clock of a punt meter ticks on its own grid, so the short steps are for times when it has no say.
  if (world_->reference().punt_meters_full(world_->now_ms())) {
    steps.insert(steps.end(), {1, 10, 500, 1'000});
    if (!world_->reference().flows().empty()) {
      const uint64_t expires = pick(world_->reference().flows()).second.expires_ms;
      for (const uint64_t moment : {expires - 1, expires, expires + 1})
        if (moment > world_->now_ms()) steps.insert(steps.end(), 4, moment - world_->now_ms());
    }
  }
  world_->advance(pick(steps));
}

bool Scenario::step() {
  const uint64_t kind = below(100);
  if (kind < 70)
    traffic();
  else if (kind < 82)
    change();
  else if (kind < 94)
    let_time_pass();
  else if (kind < 97)
    world_->age_all();
  else if (kind < 98)
    chance(50) ? punt_flood() : fragment_storm();
  else if (kind < 99)
    chance(50) ? storm() : expiry_storm();
  else
    world_->set_neighbour(chance(60)
                              ? std::optional(Mac{{0x02, 0xee, 0, 0, 0, static_cast<uint8_t>(below(3))}})
                              : std::nullopt);
  return world_->differences().empty();
}

void Scenario::add_to(Coverage& coverage) const {
  const reference::Counts& counts = world_->reference().counts();
  for (const reference::PortCount& port : counts.ports) {
    coverage.packets += port.received_packets;
    coverage.transmitted += port.transmitted_packets;
  }
  for (const auto& [reason, count] : counts.dropped) coverage.dropped[reason] += count;
}

}  // namespace portcullis::testing
