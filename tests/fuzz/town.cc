#include "tests/fuzz/town.h"

#include <cstdio>
#include <cstdlib>

namespace portcullis::fuzz {
namespace {

using model::Direction;
using testing::Packet;

constexpr size_t uplink = 0, left = 1, right = 2;
constexpr Mac router{{0x02, 0xee, 0, 0, 0, 1}};
constexpr Ipv4Addr client = Ipv4Addr::of(192, 0, 2, 7);
constexpr Ipv4Addr gateway = Ipv4Addr::of(198, 51, 100, 1);
constexpr uint64_t most_flows = 64;

Ipv4Addr eip(uint8_t number) {
  return Ipv4Addr::of(203, 0, 113, number);
}

struct Resident {
  uint8_t number;
  size_t port;
  Ipv4Addr dip;
  std::set<std::string> tags;
  std::vector<model::PermitRule> list;

  [[nodiscard]] Mac mac() const { return {{0x02, 0x55, 0, 0, 0, number}}; }
};

model::PermitRule in(const char* name, uint8_t protocol, PortRange ports = {}) {
  return {.name = name, .direction = Direction::inbound, .protocol = protocol, .local_ports = ports};
}
model::PermitRule out(const char* name, uint8_t protocol) {
  return {.name = name, .direction = Direction::outbound, .protocol = protocol};
}

const std::vector<Resident>& residents() {
  static const std::vector<Resident> all = [] {
    const Ipv4Addr shared = Ipv4Addr::of(10, 0, 0, 1);
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
        {3, left, eip(3), {}, {anything_in, anything_out}},  // its private address is its public one
        {4, right, Ipv4Addr::of(10, 0, 0, 4), {"db", "web"}, long_list},
        {5, right, Ipv4Addr::of(10, 0, 0, 5), {}, {out("gre", testing::gre), in("gre-in", testing::gre)}},
    };
  }();
  return all;
}

const Resident& resident(uint8_t number) {
  return residents().at(number - 1);
}

Packet from_client(uint8_t to, uint8_t protocol, uint16_t port = 0) {
  return {.to = port_mac(uplink),
          .from = router,
          .source = client,
          .destination = eip(to),
          .protocol = protocol,
          .source_port = 40000,
          .destination_port = port,
          .payload = Bytes(24, 0x5a)};
}
Packet from_vm(uint8_t from, Ipv4Addr to, uint8_t protocol, uint16_t source_port, uint16_t port) {
  const Resident& vm = resident(from);
  return {.to = port_mac(vm.port),
          .from = vm.mac(),
          .source = vm.dip,
          .destination = to,
          .protocol = protocol,
          .source_port = source_port,
          .destination_port = port,
          .payload = Bytes(24, 0xa5)};
}

Frame at_uplink(const Packet& packet) {
  return {uplink, build(packet)};
}
Frame at_vm(uint8_t number, const Packet& packet) {
  return {resident(number).port, build(packet)};
}

// An error to who sent `quoted`, about it.
Packet error_about(const Packet& quoted, Packet error) {
  const Bytes frame = build(quoted);
  error.protocol = testing::icmp;
  error.icmp_type = 3;
  error.icmp_code = 4;
  error.destination = quoted.source;
  error.payload.assign(frame.begin() + testing::ip_at, frame.end());
  return error;
}

Script in_fragments(size_t port, const Packet& packet) {
  const Bytes whole = build(packet);
  Script script;
  constexpr size_t size = 24;
  for (size_t at = testing::transport_at; at < whole.size(); at += size) {
    const bool more = at + size < whole.size();
    Bytes part(whole.begin(), whole.begin() + testing::transport_at);
    part.insert(part.end(), whole.begin() + static_cast<long>(at),
                more ? whole.begin() + static_cast<long>(at + size) : whole.end());
    testing::put16(part, testing::ip_at + 2, static_cast<uint16_t>(part.size() - testing::ip_at));
    testing::put16(part, testing::ip_at + 6,
                   static_cast<uint16_t>((more ? 0x2000 : 0) | (at - testing::transport_at) / 8));
    testing::fix_header_checksum(part);
    script.emplace_back(Frame{port, std::move(part)});
  }
  return script;
}

Script with_options(size_t port, const Packet& packet, std::initializer_list<uint8_t> options) {
  Bytes frame = build(packet);
  frame.insert(frame.begin() + testing::transport_at, options);
  frame[testing::ip_at] = static_cast<uint8_t>(0x45 + options.size() / 4);
  testing::put16(frame, testing::ip_at + 2, static_cast<uint16_t>(frame.size() - testing::ip_at));
  testing::fix_header_checksum(frame);
  return {Frame{port, frame}};
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
  setup.ports = {
      {.name = "uplink", .uplink = true, .mac = port_mac(uplink), .proxy_arp = true, .next_hop = client},
      {.name = "left", .mac = port_mac(left)},
      {.name = "right", .mac = port_mac(right), .mtu = 1000}};
  setup.gateway_addresses = {gateway};
  setup.gateway_permit = {in("ping", testing::icmp)};
  setup.flow_quota = most_flows;
  auto world = std::make_unique<testing::World>(setup, testing::Sizes{});
  world->set_neighbour(router);
  must(world->create_pool({"p", Ipv4Prefix(eip(0), 28), model::PoolKind::local}));
  must(
      world->create_pool({"other", Ipv4Prefix(Ipv4Addr::of(192, 88, 99, 0), 24), model::PoolKind::provider}));
  for (const Resident& vm : residents()) {
    const std::string name = "vm" + std::to_string(vm.number);
    // The pool hands its addresses out from the first upwards.
    must(world->create_vm({"acme", name, {vm.port == left ? "left" : "right", vm.mac()}, vm.dip}));
    must(world->request_eip({"acme", name}) == eip(vm.number));
    must(world->set_tag(eip(vm.number), vm.tags));
    must(world->set_permit_list(eip(vm.number), vm.list));
  }
  return world;
}

std::vector<Script> conversations() {
  std::vector<Script> all;
  // A client and a server behind the gateway, and each protocol's replies.
  Packet syn = from_client(1, testing::tcp, 80);
  syn.flags = testing::syn;
  Packet syn_ack = from_vm(1, client, testing::tcp, 80, 40000);
  syn_ack.flags = testing::syn | testing::ack;
  all.push_back({at_uplink(syn), at_vm(1, syn_ack), at_uplink(from_client(1, testing::tcp, 80))});
  all.push_back(
      {at_uplink(from_client(1, testing::udp, 53)), at_vm(1, from_vm(1, client, testing::udp, 53, 40000))});
  all.push_back({at_uplink(from_client(1, testing::udp, 123)),
                 at_vm(1, from_vm(1, client, testing::udp, 123, 40000)), Pause{300'000},
                 at_vm(1, from_vm(1, client, testing::udp, 123, 40000))});
  Packet pong = from_vm(1, client, testing::icmp, 0, 0);
  pong.icmp_type = 0;
  all.push_back({at_uplink(from_client(1, testing::icmp)), at_vm(1, pong)});
  all.push_back(
      {at_uplink(from_client(1, testing::sctp, 80)), at_vm(1, from_vm(1, client, testing::sctp, 80, 40000))});
  // What vms open.
  Packet opener = from_vm(2, client, testing::tcp, 50000, 443);
  opener.flags = testing::syn;
  Packet answer = from_client(2, testing::tcp, 50000);
  answer.source_port = 443;
  answer.flags = testing::syn | testing::ack;
  Packet reset = answer;
  reset.flags = testing::rst;
  all.push_back({at_vm(2, opener), at_uplink(answer), at_uplink(reset), Pause{1'500}, at_uplink(answer)});
  Packet query = from_vm(2, client, testing::udp, 50000, 53);
  Packet response = from_client(2, testing::udp, 50000);
  response.source_port = 53;
  all.push_back({at_vm(2, query), at_uplink(response)});
  all.push_back({at_vm(5, from_vm(5, client, testing::gre, 0, 0)), at_uplink(from_client(5, testing::gre))});
  all.push_back(
      {at_vm(3, from_vm(3, client, testing::esp, 0, 0)), at_uplink(from_client(3, testing::udp, 9))});
  all.push_back(
      {at_uplink(from_client(4, testing::tcp, 1391)), at_uplink(from_client(4, testing::tcp, 1394))});
  // More than one endpoint may have open.
  Script many;
  for (uint16_t n = 0; n < most_flows + 8; ++n) {
    many.emplace_back(at_vm(2, from_vm(2, client, testing::udp, static_cast<uint16_t>(2000 + n), 53)));
    std::get<Frame>(many.back()).polled = n % 8 == 7;
  }
  all.push_back(many);
  // Between endpoints.
  all.push_back({at_vm(3, from_vm(3, eip(1), testing::tcp, 50000, 80)),
                 at_vm(1, from_vm(1, eip(3), testing::tcp, 80, 50000)),
                 at_vm(3, from_vm(3, eip(3), testing::udp, 1, 2))});
  // Errors about some of these; and what makes the gateway send some.
  Packet seen = query;
  seen.source = eip(2);
  all.push_back({at_vm(2, query), at_uplink(error_about(seen, from_client(2, testing::icmp)))});
  Packet asked = from_client(1, testing::udp, 53);
  asked.destination = resident(1).dip;
  all.push_back({at_vm(1, error_about(asked, from_vm(1, client, testing::icmp, 0, 0)))});
  Packet dying = from_client(1, testing::tcp, 80);
  dying.ttl = 1;
  Packet big = from_vm(3, eip(2), testing::tcp, 1, 2);
  big.payload.resize(1200);
  all.push_back({at_uplink(dying), at_vm(3, big)});
  // Fragments and options.
  Packet fragmented = from_client(1, testing::udp, 53);
  fragmented.payload = Bytes(100, 0x11);
  all.push_back(in_fragments(uplink, fragmented));
  Packet echo = from_vm(3, client, testing::icmp, 0, 0);
  echo.payload = Bytes(100, 0x22);
  all.push_back(in_fragments(left, echo));
  all.push_back(with_options(uplink, from_client(1, testing::tcp, 80), {148, 4, 0, 0}));
  all.push_back(with_options(left, from_vm(3, client, testing::udp, 1, 2), {1, 1, 7, 5, 4, 0, 0, 0}));
  // For the gateway itself.
  Packet ping = from_client(1, testing::icmp);
  ping.destination = gateway;
  all.push_back({at_uplink(ping),
                 Frame{left, build(testing::Arp{.to = broadcast_mac,
                                                .from = resident(1).mac(),
                                                .sender_mac = resident(1).mac(),
                                                .sender = resident(1).dip,
                                                .target = link_local_next_hop})},
                 Frame{uplink, build(testing::Arp{.to = broadcast_mac,
                                                  .from = router,
                                                  .sender_mac = router,
                                                  .sender = client,
                                                  .target = eip(1)})}});
  // What is refused, at each stage.
  Packet to_gateway = from_client(1, testing::tcp, 22);
  to_gateway.destination = gateway;
  Packet spoofed = from_vm(1, client, testing::udp, 1, 2);
  spoofed.source = Ipv4Addr::of(10, 9, 9, 9);
  Bytes headless = build(from_client(1, testing::tcp, 80));
  headless.resize(testing::transport_at + 4);
  testing::put16(headless, testing::ip_at + 2, static_cast<uint16_t>(headless.size() - testing::ip_at));
  testing::fix_header_checksum(headless);
  all.push_back({at_uplink(to_gateway), at_vm(1, spoofed), at_uplink(from_client(9, testing::tcp, 80)),
                 Frame{uplink, headless}, in_fragments(uplink, fragmented).back()});
  return all;
}

}  // namespace portcullis::fuzz
