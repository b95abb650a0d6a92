#include "tests/fuzz/town.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "tests/model/frames_link.h"

namespace portcullis::fuzz {
namespace {

using model::Direction;
using testing::AnyPacket;

constexpr size_t uplink = 0, left = 1, right = 2, trunk = 3;
const std::vector<std::string> port_names{"uplink", "left", "right", "trunk"};
constexpr Mac router{{0x02, 0xee, 0, 0, 0, 1}};
constexpr IpFamily ipv4 = IpFamily::ipv4, ipv6 = IpFamily::ipv6;
constexpr uint64_t most_flows = 64;
constexpr uint8_t first_linked = 6;  // of the residents

IpAddr client(IpFamily family) {
  return family == ipv4 ? IpAddr(Ipv4Addr::of(192, 0, 2, 7)) : Ipv6Addr::of(0x20010db8000c0000, 7);
}
IpAddr gateway(IpFamily family) {
  return family == ipv4 ? IpAddr(Ipv4Addr::of(198, 51, 100, 1)) : Ipv6Addr::of(0x20010db800700000, 1);
}
IpAddr eip(IpFamily family, uint8_t number) {
  return family == ipv4 ? IpAddr(Ipv4Addr::of(203, 0, 113, number))
                        : Ipv6Addr::of(0x20010db800710000, number);
}
IpAddr private_one(IpFamily family, uint8_t number) {
  return family == ipv4 ? IpAddr(Ipv4Addr::of(10, 0, 0, number)) : Ipv6Addr::of(0xfd00000000000000, number);
}
uint8_t icmp_of(IpFamily family) {
  return family == ipv4 ? testing::icmp : testing::icmpv6;
}

// Of the trunk's underlay: the gateway, who has the tunnels' other ends, and a router.
IpAddr underlay(IpFamily family, uint8_t number) {
  return family == ipv4 ? IpAddr(Ipv4Addr::of(192, 168, 7, number))
                        : Ipv6Addr::of(0x20010db800770000, number);
}
constexpr uint8_t tunnel_end = 1, station = 7, silent_station = 8, underlay_router = 254;
constexpr Mac station_mac{{0x02, 0x77, 0, 0, 0, station}};

struct Resident {
  uint8_t number;
  size_t port;
  uint8_t dip;  // 0: its private addresses are its public ones
  std::set<std::string> tags;
  std::vector<model::PermitRule> list;  // `icmp` of an IPv6 endpoint is ICMPv6
  Encapsulation link = {};

  [[nodiscard]] IpAddr dip_of(IpFamily family) const {
    return dip == 0 ? eip(family, number) : private_one(family, dip);
  }
  [[nodiscard]] Mac mac() const { return {{0x02, 0x55, 0, 0, 0, number}}; }
};

model::PermitRule in(const char* name, uint8_t protocol, PortRange ports = {}) {
  return {.name = name, .direction = Direction::inbound, .protocol = protocol, .local_ports = ports};
}
model::PermitRule out(const char* name, uint8_t protocol) {
  return {.name = name, .direction = Direction::outbound, .protocol = protocol};
}

constexpr uint32_t vni = 5000;
Tunnel vxlan(const IpAddr& remote) {
  return {TunnelProtocol::vxlan, remote, vni};
}
Tunnel geneve(const IpAddr& remote) {
  return {TunnelProtocol::geneve, remote, vni};
}
IpAddr beyond_router(IpFamily family) {
  return family == ipv4 ? IpAddr(Ipv4Addr::of(172, 16, 0, 9)) : Ipv6Addr::of(0x20010db800780000, 9);
}

const std::vector<Resident>& residents() {
  static const std::vector<Resident> all = [] {
    constexpr uint8_t shared = 1;
    model::PermitRule tracked = in("ntp", testing::udp, {123, 123});
    tracked.tracked = true;
    model::PermitRule from_web = in("from-web", testing::tcp);
    from_web.remote = std::vector<std::string>{"web"};
    model::PermitRule anything_in{.name = "in", .direction = Direction::inbound};
    model::PermitRule anything_out{.name = "out", .direction = Direction::outbound};
    std::vector<model::PermitRule> long_list;
    for (uint16_t n = 0; n < 40; ++n)
      long_list.push_back(in(("port-" + std::to_string(n)).c_str(), testing::tcp,
                             {static_cast<uint16_t>(1000 + 10 * n), static_cast<uint16_t>(1003 + 10 * n)}));
    return std::vector<Resident>{
        {1,
         left,
         shared,
         {"web"},
         {in("http", testing::tcp, {80, 443}), in("dns", testing::udp, {53, 53}), in("ping", testing::icmp),
          in("sctp", testing::sctp), tracked}},
        {2, right, shared, {"app"}, {from_web, out("tcp", testing::tcp), out("udp", testing::udp)}},
        {3, left, 0, {}, {anything_in, anything_out}},
        {4, right, 4, {"db", "web"}, long_list},
        {5, right, 5, {}, {out("gre", testing::gre), in("gre-in", testing::gre)}},
        {6, left, shared, {}, {anything_in, anything_out}, VlanTags{100}},
        {7, left, shared, {"web"}, {anything_in, anything_out}, VlanTags{200, 30}},
        {8, trunk, shared, {}, {anything_in, anything_out}, vxlan(underlay(ipv4, station))},
        {9, trunk, shared, {}, {anything_in, anything_out}, geneve(underlay(ipv6, station))},
        {10, trunk, 6, {"web"}, {from_web, anything_out}, vxlan(beyond_router(ipv6))},
        {11, trunk, 7, {}, {anything_in, anything_out}, geneve(beyond_router(ipv4))},
        {12, trunk, 8, {}, {anything_in, anything_out}, VlanTags{100}},
        {13, trunk, shared, {}, {anything_in, anything_out}, geneve(underlay(ipv6, silent_station))},
    };
  }();
  return all;
}

const Resident& resident(uint8_t number) {
  return residents().at(number - 1);
}

AnyPacket from_client(IpFamily family, uint8_t to, uint8_t protocol, uint16_t port = 0) {
  return {.to = port_mac(uplink),
          .from = router,
          .source = client(family),
          .destination = eip(family, to),
          .protocol = protocol,
          .source_port = 40000,
          .destination_port = port,
          .icmp_type = family == ipv4 ? uint8_t{8} : uint8_t{128},
          .extensions = {},
          .payload = Bytes(24, 0x5a)};
}
AnyPacket from_vm(uint8_t from, const IpAddr& to, uint8_t protocol, uint16_t source_port, uint16_t port) {
  const Resident& vm = resident(from);
  return {.to = port_mac(vm.port),
          .from = vm.mac(),
          .source = vm.dip_of(to.family()),
          .destination = to,
          .protocol = protocol,
          .source_port = source_port,
          .destination_port = port,
          .icmp_type = to.is_v4() ? uint8_t{8} : uint8_t{128},
          .extensions = {},
          .payload = Bytes(24, 0xa5)};
}

Frame at_uplink(const AnyPacket& packet) {
  return {uplink, build(packet)};
}
// A frame of the vm, as it comes by its link.
Bytes by_link(uint8_t number, const Bytes& frame) {
  const Resident& vm = resident(number);
  const auto* tunnel = std::get_if<Tunnel>(&vm.link);
  const IpFamily family = tunnel == nullptr ? ipv4 : tunnel->remote.family();
  return testing::behind(vm.link, frame, {port_mac(vm.port), station_mac, underlay(family, tunnel_end)});
}
Frame at_vm(uint8_t number, const AnyPacket& packet) {
  return {resident(number).port, by_link(number, build(packet))};
}

// An error to who sent `quoted`, about it.
AnyPacket error_about(const AnyPacket& quoted, AnyPacket error) {
  const Bytes frame = build(quoted);
  error.protocol = icmp_of(quoted.source.family());
  error.icmp_type = quoted.source.is_v4() ? 3 : 1;
  error.icmp_code = 4;
  error.destination = quoted.source;
  error.payload.assign(frame.begin() + testing::ip_at, frame.end());
  return error;
}

Script in_fragments(size_t port, const AnyPacket& packet) {
  const Bytes whole = build(packet);
  Script script;
  constexpr size_t size = 24;
  const size_t length = whole.size() - testing::begin_of_parts(whole);
  for (size_t at = 0; at < length; at += size)
    script.emplace_back(Frame{port, testing::part_of(whole, {.identification = 0x1234,
                                                             .offset = at,
                                                             .length = std::min(size, length - at),
                                                             .more = at + size < length})});
  return script;
}

Script with_options(size_t port, const AnyPacket& packet, std::initializer_list<uint8_t> options) {
  Bytes frame = build(packet);
  frame.insert(frame.begin() + testing::transport_at, options);
  frame[testing::ip_at] = static_cast<uint8_t>(0x45 + options.size() / 4);
  testing::put16(frame, testing::ip_at + 2, static_cast<uint16_t>(frame.size() - testing::ip_at));
  testing::fix_header_checksum(frame);
  return {Frame{port, frame}};
}

Bytes solicitation(const Mac& from, const Ipv6Addr& source, const Ipv6Addr& target) {
  testing::Packet6 packet{
      .to = *Mac::parse("33:33:ff:00:00:01"),
      .from = from,
      .source = source,
      .destination = Ipv6Addr::of(0xff02000000000000, 0x1ff000000 | (target.low() & 0xffffff)),
      .hop_limit = 255,
      .protocol = testing::icmpv6,
      .icmp_type = 135,
      .extensions = {},
      .payload = Bytes(16)};
  testing::put_address6(packet.payload, 0, target);
  return build(packet);
}

// Fuzzing a town that is not as it is meant to be would show nothing.
void must(bool done) {
  if (done) return;
  std::fprintf(stderr, "the town cannot be made\n");
  std::abort();
}

}  // namespace

Mac port_mac(size_t port) {
  return {{0x02, 0xaa, 0, 0, 0, static_cast<uint8_t>(port)}};
}

std::unique_ptr<testing::World> make_town() {
  reference::Setup setup;
  setup.ports = {{.name = "uplink",
                  .uplink = true,
                  .mac = port_mac(uplink),
                  .proxy_arp = true,
                  .next_hop = client(ipv4).v4(),
                  .next_hop6 = client(ipv6).v6()},
                 {.name = "left", .mac = port_mac(left)},
                 {.name = "right", .mac = port_mac(right), .mtu = 1000},
                 {.name = "trunk", .mac = port_mac(trunk), .tunnel = {.strip_inner_vlan = true}}};
  for (const IpFamily family : {ipv4, ipv6}) {
    const IpAddr own = underlay(family, tunnel_end);
    const IpPrefix link =
        family == ipv4 ? IpPrefix(Ipv4Prefix(own.v4(), 24)) : IpPrefix(Ipv6Prefix(own.v6(), 64));
    setup.ports[trunk].tunnel.ends[family] = {own, link, underlay(family, underlay_router)};
  }
  setup.gateway_addresses = {gateway(ipv4).v4()};
  setup.gateway_addresses6 = {gateway(ipv6).v6()};
  setup.gateway_permit = {in("ping", testing::icmp), in("ping6", testing::icmpv6)};
  setup.flow_quota = most_flows;
  auto world = std::make_unique<testing::World>(setup, testing::Sizes{.workers = 2});
  must(world->create_pool({"p", Ipv4Prefix(eip(ipv4, 0).v4(), 28), model::PoolKind::local}));
  must(world->create_pool({"p6", Ipv6Prefix(eip(ipv6, 0).v6(), 124), model::PoolKind::local}));
  must(
      world->create_pool({"other", Ipv4Prefix(Ipv4Addr::of(192, 88, 99, 0), 24), model::PoolKind::provider}));
  must(world->create_pool(
      {"other6", Ipv6Prefix(Ipv6Addr::of(0x20010db800880000, 0), 48), model::PoolKind::provider}));
  for (const IpFamily family : {ipv4, ipv6}) {
    world->set_neighbour(router, family);
    for (const uint8_t number : {station, underlay_router})
      world->set_underlay_neighbour(trunk, underlay(family, number), station_mac);
  }
  for (const Resident& vm : residents()) {
    const std::string name = "vm" + std::to_string(vm.number);
    must(world->create_vm({"acme",
                           name,
                           {port_names[vm.port], vm.mac(), vm.link},
                           vm.dip_of(ipv4).v4(),
                           vm.dip_of(ipv6).v6()}));
    for (const IpFamily family : {ipv4, ipv6}) {
      const IpAddr own = eip(family, vm.number);
      std::vector<model::PermitRule> list = vm.list;
      for (model::PermitRule& rule : list)
        if (rule.protocol == testing::icmp) rule.protocol = icmp_of(family);
      // The pool hands its addresses out from the first upwards.
      must(world->request_eip({"acme", name}, {}, family) == own);
      must(world->set_tag(own, vm.tags));
      must(world->set_permit_list(own, list));
    }
  }
  return world;
}

namespace {

void add_conversations(IpFamily family, std::vector<Script>& all) {
  const IpAddr outside = client(family);
  const uint8_t icmp = icmp_of(family);
  const auto from_outside = [&](uint8_t to, uint8_t protocol, uint16_t port = 0) {
    return from_client(family, to, protocol, port);
  };
  // A client and a server behind the gateway, and each protocol's replies.
  AnyPacket syn = from_outside(1, testing::tcp, 80);
  syn.flags = testing::syn;
  AnyPacket syn_ack = from_vm(1, outside, testing::tcp, 80, 40000);
  syn_ack.flags = testing::syn | testing::ack;
  all.push_back({at_uplink(syn), at_vm(1, syn_ack), at_uplink(from_outside(1, testing::tcp, 80))});
  all.push_back(
      {at_uplink(from_outside(1, testing::udp, 53)), at_vm(1, from_vm(1, outside, testing::udp, 53, 40000))});
  all.push_back({at_uplink(from_outside(1, testing::udp, 123)),
                 at_vm(1, from_vm(1, outside, testing::udp, 123, 40000)), Pause{300'000},
                 at_vm(1, from_vm(1, outside, testing::udp, 123, 40000))});
  AnyPacket pong = from_vm(1, outside, icmp, 0, 0);
  pong.icmp_type = family == ipv4 ? 0 : 129;
  all.push_back({at_uplink(from_outside(1, icmp)), at_vm(1, pong)});
  all.push_back({at_uplink(from_outside(1, testing::sctp, 80)),
                 at_vm(1, from_vm(1, outside, testing::sctp, 80, 40000))});
  // What vms open.
  AnyPacket opener = from_vm(2, outside, testing::tcp, 50000, 443);
  opener.flags = testing::syn;
  AnyPacket answer = from_outside(2, testing::tcp, 50000);
  answer.source_port = 443;
  answer.flags = testing::syn | testing::ack;
  AnyPacket reset = answer;
  reset.flags = testing::rst;
  all.push_back({at_vm(2, opener), at_uplink(answer), at_uplink(reset), Pause{1'500}, at_uplink(answer)});
  AnyPacket query = from_vm(2, outside, testing::udp, 50000, 53);
  AnyPacket response = from_outside(2, testing::udp, 50000);
  response.source_port = 53;
  all.push_back({at_vm(2, query), at_uplink(response)});
  all.push_back(
      {at_vm(5, from_vm(5, outside, testing::gre, 0, 0)), at_uplink(from_outside(5, testing::gre))});
  all.push_back(
      {at_vm(3, from_vm(3, outside, testing::esp, 0, 0)), at_uplink(from_outside(3, testing::udp, 9))});
  all.push_back(
      {at_uplink(from_outside(4, testing::tcp, 1391)), at_uplink(from_outside(4, testing::tcp, 1394))});
  // More than one endpoint may have open.
  Script many;
  for (uint16_t n = 0; n < most_flows + 8; ++n) {
    many.emplace_back(at_vm(2, from_vm(2, outside, testing::udp, static_cast<uint16_t>(2000 + n), 53)));
    std::get<Frame>(many.back()).polled = n % 8 == 7;
  }
  all.push_back(many);
  // Between endpoints.
  all.push_back({at_vm(3, from_vm(3, eip(family, 1), testing::tcp, 50000, 80)),
                 at_vm(1, from_vm(1, eip(family, 3), testing::tcp, 80, 50000)),
                 at_vm(3, from_vm(3, eip(family, 3), testing::udp, 1, 2))});
  // Errors about some of these; and what makes the gateway send some.
  AnyPacket seen = query;
  seen.source = eip(family, 2);
  all.push_back({at_vm(2, query), at_uplink(error_about(seen, from_outside(2, icmp)))});
  AnyPacket asked = from_outside(1, testing::udp, 53);
  asked.destination = resident(1).dip_of(family);
  all.push_back({at_vm(1, error_about(asked, from_vm(1, outside, icmp, 0, 0)))});
  AnyPacket dying = from_outside(1, testing::tcp, 80);
  dying.ttl = 1;
  AnyPacket big = from_vm(3, eip(family, 2), testing::tcp, 1, 2);
  big.payload.resize(1200);
  all.push_back({at_uplink(dying), at_vm(3, big)});
  // Fragments; and for the gateway itself.
  AnyPacket fragmented = from_outside(1, testing::udp, 53);
  fragmented.payload = Bytes(100, 0x11);
  all.push_back(in_fragments(uplink, fragmented));
  AnyPacket echo = from_vm(3, outside, icmp, 0, 0);
  echo.payload = Bytes(100, 0x22);
  all.push_back(in_fragments(left, echo));
  AnyPacket ping = from_outside(1, icmp);
  ping.destination = gateway(family);
  all.push_back({at_uplink(ping)});
  // What is refused, at each stage.
  AnyPacket to_gateway = from_outside(1, testing::tcp, 22);
  to_gateway.destination = gateway(family);
  AnyPacket spoofed = from_vm(1, outside, testing::udp, 1, 2);
  spoofed.source = private_one(family, 99);
  Bytes headless = build(from_outside(1, testing::tcp, 80));
  if (family == ipv4) {
    headless.resize(testing::transport_at + 4);
    testing::put16(headless, testing::ip_at + 2, static_cast<uint16_t>(headless.size() - testing::ip_at));
    testing::fix_header_checksum(headless);
  } else {
    headless.resize(testing::transport6_at + 4);
    testing::put16(headless, testing::ip_at + 4, 4);
  }
  all.push_back({at_uplink(to_gateway), at_vm(1, spoofed), at_uplink(from_outside(14, testing::tcp, 80)),
                 Frame{uplink, headless}, in_fragments(uplink, fragmented).back()});
}

// With a vm behind a link, and what of its frames is refused.
void add_conversations_by_link(IpFamily family, uint8_t number, std::vector<Script>& all) {
  const IpAddr outside = client(family);
  const uint8_t icmp = icmp_of(family);
  AnyPacket syn = from_client(family, number, testing::tcp, 80);
  syn.flags = testing::syn;
  AnyPacket syn_ack = from_vm(number, outside, testing::tcp, 80, 40000);
  syn_ack.flags = testing::syn | testing::ack;
  all.push_back({at_uplink(syn), at_vm(number, syn_ack), at_uplink(from_client(family, number, icmp))});
  all.push_back({at_vm(number, from_vm(number, outside, testing::udp, 50000, 53)),
                 at_vm(number, from_vm(number, eip(family, 3), testing::udp, 1, 2)),
                 at_vm(3, from_vm(3, eip(family, number), testing::udp, 2, 1)),
                 at_vm(number, from_vm(number, eip(family, number == 8 ? 9 : 8), testing::udp, 3, 4))});
  AnyPacket dying = from_vm(number, outside, testing::udp, 1, 2);
  dying.ttl = 1;
  AnyPacket big = from_client(family, number, testing::udp, 5);
  big.payload.resize(1480);
  all.push_back({at_vm(number, dying), at_uplink(big)});
  AnyPacket fragmented = from_vm(number, outside, testing::udp, 5, 6);
  fragmented.payload = Bytes(60, 0x33);
  Script parts = in_fragments(resident(number).port, fragmented);
  for (Step& part : parts) std::get<Frame>(part).bytes = by_link(number, std::get<Frame>(part).bytes);
  all.push_back(parts);
  // In the next hop's own words; and by the link of nobody.
  Bytes ask = family == ipv4 ? build(testing::Arp{.to = broadcast_mac,
                                                  .from = resident(number).mac(),
                                                  .sender_mac = resident(number).mac(),
                                                  .sender = resident(number).dip_of(ipv4).v4(),
                                                  .target = link_local_next_hop})
                             : solicitation(resident(number).mac(), resident(number).dip_of(ipv6).v6(),
                                            link_local_next_hop6);
  const size_t port = resident(number).port;
  const Bytes frame = build(from_vm(number, outside, testing::udp, 1, 2));
  Bytes elsewhere = by_link(number, frame);
  elsewhere[std::holds_alternative<VlanTags>(resident(number).link) ? testing::tag_at + 3
                                                                    : elsewhere.size() - frame.size() - 2] ^=
      1;
  Bytes marked = frame;
  testing::mark(marked, 1);
  marked = by_link(number, marked);
  testing::mark(marked, 3);
  all.push_back({Frame{port, by_link(number, ask)}, Frame{port, elsewhere}, Frame{port, marked},
                 Frame{port, by_link(number, testing::with_tags(frame, {{testing::customer_tag, 5}}))}});
}

// Who has the tunnel's address; and who a remote is.
void add_underlay(std::vector<Script>& all) {
  testing::Arp arp{.to = broadcast_mac,
                   .from = station_mac,
                   .sender_mac = station_mac,
                   .sender = underlay(ipv4, station).v4(),
                   .target = underlay(ipv4, tunnel_end).v4()};
  const Bytes asks = build(arp);
  arp.operation = 2;
  all.push_back({Frame{trunk, asks}, Frame{trunk, build(arp)},
                 Frame{trunk, solicitation(station_mac, underlay(ipv6, station).v6(),
                                           underlay(ipv6, tunnel_end).v6())}});
}

}  // namespace

std::vector<Script> conversations() {
  std::vector<Script> all;
  for (const IpFamily family : {ipv4, ipv6}) {
    add_conversations(family, all);
    for (uint8_t number = first_linked; number <= residents().size(); ++number)
      add_conversations_by_link(family, number, all);
  }
  add_underlay(all);
  all.push_back(with_options(uplink, from_client(ipv4, 1, testing::tcp, 80), {148, 4, 0, 0}));
  all.push_back(with_options(left, from_vm(3, client(ipv4), testing::udp, 1, 2), {1, 1, 7, 5, 4, 0, 0, 0}));
  AnyPacket extended = from_client(ipv6, 1, testing::tcp, 80);
  extended.extensions = {
      {0, {0, 1, 0, 0, 0, 0, 0}}, {60, {0, 1, 0, 0, 0, 0, 0}}, {43, {0, 0, 0, 0, 0, 0, 0}}};
  all.push_back({at_uplink(extended)});
  // Who has the next hop, and whose are the addresses.
  all.push_back({Frame{left, build(testing::Arp{.to = broadcast_mac,
                                                .from = resident(1).mac(),
                                                .sender_mac = resident(1).mac(),
                                                .sender = resident(1).dip_of(ipv4).v4(),
                                                .target = link_local_next_hop})},
                 Frame{uplink, build(testing::Arp{.to = broadcast_mac,
                                                  .from = router,
                                                  .sender_mac = router,
                                                  .sender = client(ipv4).v4(),
                                                  .target = eip(ipv4, 1).v4()})}});
  all.push_back(
      {Frame{left, solicitation(resident(1).mac(), resident(1).dip_of(ipv6).v6(), link_local_next_hop6)},
       Frame{uplink, solicitation(router, client(ipv6).v6(), eip(ipv6, 1).v6())}});
  return all;
}

}  // namespace portcullis::fuzz
