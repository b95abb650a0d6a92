// The pipeline by rows, IPv6 (pipeline_rows.h).

#include "tests/unit/dataplane/pipeline_rows.h"

namespace portcullis {
namespace {

using testing::Packet6;

Ipv6Addr address(const char* text) {
  return *Ipv6Addr::parse(text);
}

const Ipv6Addr client6 = address("2001:db8:f00::2"), gateway6 = address("2001:db8:f00::1");
const Ipv6Addr web6 = address("2001:db8:1::10"), web6_dip = address("fd00::10");
const Ipv6Addr inner6 = address("2001:db8:1::11"), inner6_dip = address("fd00::10");  // the same DIP
const Ipv6Addr same6 = address("2001:db8:1::12");                                     // DIP = EIP
const Ipv6Addr free6 = address("2001:db8:1::99");
const Ipv6Addr elsewhere6 = address("2001:db8:ff::7");  // in a provider pool
const Ipv6Addr stranger6 = address("2001:db8:abcd::77");
const Mac router6_mac = *Mac::parse("02:00:00:00:01:06");

compile::CompiledRule rule6(const char* name, PermitRule match, const char* remote = "::/0") {
  return {.rule = match, .tag = std::nullopt, .name = name, .remote = *Ipv6Prefix::parse(remote)};
}

class Ipv6Rows : public PipelineRows {
 protected:
  Ipv6Rows() {
    tables_->gateway.addresses6 = {gateway6};
    tables_->gateway.permit6 = {{{.protocol = testing::icmpv6}, Ipv6Prefix()}};
    tables_->ports.ports[uplink().id()].next_hop6 = address("fe80::99");
    tables_->next_hop6.set(uplink().id(), router6_mac);
    const compile::Image both = image6();
    compile::Update update{.pools = both.pools, .bindings = {}};
    for (const auto& [eip, binding] : both.bindings) update.bindings.emplace(eip, binding);
    publish(update);
  }

  // The worker does not poll meanwhile.
  void publish(const compile::Update& update) {
    worker_->offline();
    EXPECT_TRUE(publisher_->publish(update));
    worker_->online();
  }

  static compile::Image image6() {
    compile::Image image = PipelineRows::image();
    const Ipv6Prefix local = *Ipv6Prefix::parse("2001:db8:1::/112");
    const Ipv6Prefix provider = *Ipv6Prefix::parse("2001:db8:ff::/48");
    image.pools[local.first()] = {.prefix = local, .kind = model::PoolKind::local};
    image.pools[provider.first()] = {.prefix = provider, .kind = model::PoolKind::provider};
    image.bindings[web6] = {
        .eip = web6,
        .dip = web6_dip,
        .port = "first",
        .mac = web_mac,
        .edge = true,
        .incarnation = 11,
        .binding_generation = 1,
        .list_generation = 1,
        .kept_from = 1,
        .rules = {
            rule6("http", {.protocol = testing::tcp, .local_ports = {80, 80}}, "2001:db8:f00::/48"),
            rule6("ping", {.protocol = testing::icmpv6}),
            rule6("dns", {.protocol = testing::udp, .local_ports = {53, 53}}, "2001:db8:f00::2/127"),
            rule6("esp", {.protocol = testing::esp}),
            // Beyond the inline ones.
            rule6("out",
                  {.flags = PermitRule::outbound, .protocol = testing::tcp, .remote_ports = {443, 443}}),
            rule6("ntp",
                  {.flags = PermitRule::tracked, .protocol = testing::udp, .local_ports = {123, 123}})}};
    image.bindings[inner6] = {
        .eip = inner6,
        .dip = inner6_dip,
        .port = "second",
        .mac = inner_mac,
        .edge = false,
        .incarnation = 12,
        .binding_generation = 1,
        .list_generation = 1,
        .kept_from = 1,
        .rules = {
            rule6("from-web", {.protocol = testing::tcp, .local_ports = {443, 443}}, "2001:db8:1::10/128")}};
    image.bindings[same6] = {.eip = same6,
                             .dip = same6,
                             .port = "first",
                             .mac = same_mac,
                             .edge = true,
                             .incarnation = 13,
                             .binding_generation = 1,
                             .list_generation = 1,
                             .kept_from = 1,
                             .rules = {rule6("all", {.flags = PermitRule::any_protocol})}};
    return image;
  }

  static Packet6 from_client() {
    return {.to = mac_of(uplink()),
            .from = router6_mac,
            .source = client6,
            .destination = web6,
            .protocol = testing::tcp,
            .source_port = 40000,
            .destination_port = 80,
            .flags = testing::syn,
            .extensions = {},
            .payload = Bytes(10, 0x5a)};
  }
  static Packet6 from_web() {
    return {.to = mac_of(first()),
            .from = web_mac,
            .source = web6_dip,
            .destination = client6,
            .protocol = testing::tcp,
            .source_port = 80,
            .destination_port = 40000,
            .flags = testing::syn | testing::ack,
            .extensions = {},
            .payload = {}};
  }
  // As they leave.
  static Packet6 at_web(Packet6 packet) {
    packet.to = web_mac;
    packet.from = mac_of(first());
    packet.destination = web6_dip;
    --packet.hop_limit;
    return packet;
  }
  static Packet6 at_router(Packet6 packet) {
    packet.to = router6_mac;
    packet.from = mac_of(uplink());
    packet.source = web6;
    --packet.hop_limit;
    return packet;
  }

  std::string counter(const char* direction, const Ipv6Addr& eip) const {
    return direction + std::string(" of slot ") +
           std::to_string(tables_->binding.find(View::local, eip).slot());
  }
  Moved in_web() const { return {{counter("in", web6), 1}, {"rule hits", 1}}; }
  Moved out_of_web() const { return {{counter("out", web6), 1}, {"rule hits", 1}}; }
};

Bytes body_of(const Packet6& packet) {
  const Bytes frame = build(packet);
  return {frame.begin() + testing::ip_at, frame.end()};
}

// All but the first byte of an extension header of so many times eight bytes.
Bytes options(uint8_t more_eights = 0, uint8_t fourth = 0) {
  Bytes header(7 + more_eights * size_t{8}, 0);
  header[0] = more_eights;
  header[1] = 1;  // PadN
  header[2] = fourth;
  return header;
}

Bytes fragment_header(uint16_t offset, bool more, uint32_t id) {
  const auto field = static_cast<uint16_t>(offset << 3 | (more ? 1 : 0));
  return {0,
          static_cast<uint8_t>(field >> 8),
          static_cast<uint8_t>(field),
          static_cast<uint8_t>(id >> 24),
          static_cast<uint8_t>(id >> 16),
          static_cast<uint8_t>(id >> 8),
          static_cast<uint8_t>(id)};
}

TEST_F(Ipv6Rows, ParseRefusesByName) {
  const Bytes good = build(from_client());
  std::set<std::string_view> met;
  const auto row = [&](const char* name, const Bytes& frame, Drop reason, uint32_t first_segment = 0) {
    expect_drop(name, uplink(), frame, reason, first_segment);
    met.insert(describe(reason).name);
  };
  const auto with = [&](std::vector<std::pair<uint8_t, Bytes>> extensions, uint8_t protocol = testing::tcp) {
    Packet6 packet = from_client();
    packet.extensions = std::move(extensions);
    packet.protocol = protocol;
    return build(packet);
  };
  const auto from_to = [&](const Ipv6Addr& source, const Ipv6Addr& destination) {
    Packet6 packet = from_client();
    packet.source = source;
    packet.destination = destination;
    return build(packet);
  };
  row("39 bytes of header", cut(good, 53), Drop::truncated);
  row("version 4", edited(good, 14, {0x45}, false), Drop::ip_version);
  row("longer than the frame", edited(good, 18, {0, 200}, false), Drop::ip_total_length);
  row("to another MAC", edited(good, 0, {2, 9, 9, 9, 9, 9}, false), Drop::wrong_destination_mac);
  row("by multicast", edited(good, 0, {0x33, 0x33, 0, 0, 0, 1}, false), Drop::wrong_destination_mac);
  for (const char* martian : {"::", "::1", "::192.0.2.1", "::ffff:192.0.2.1", "fe80::5", "ff02::1"}) {
    row("martian source", from_to(address(martian), web6), Drop::martian_source);
    row("martian destination", from_to(client6, address(martian)), Drop::martian_destination);
  }
  row("hop-by-hop options in second place", with({{60, options()}, {0, options()}}),
      Drop::ipv6_extension_headers);
  row("options beyond the packet", with({{60, edited(options(), 0, {9}, false)}}),
      Drop::ipv6_extension_headers);
  row("nine headers", with(std::vector<std::pair<uint8_t, Bytes>>(9, {60, options()})),
      Drop::ipv6_extension_headers);
  row("two fragment headers", with({{44, fragment_header(0, false, 1)}, {44, fragment_header(0, false, 1)}}),
      Drop::ipv6_extension_headers);
  row("a routing header with segments left", with({{43, edited(options(), 2, {1}, false)}}),
      Drop::ip_source_route);
  for (const uint8_t protocol : std::initializer_list<uint8_t>{1, 59, 135, 139, 140, 255})
    row("a protocol of no meaning here", with({}, protocol), Drop::unknown_protocol);
  row("TCP of 19 bytes", edited(cut(good, 54 + 19), 18, {0, 19}, false), Drop::tcp_header);
  Packet6 ping = from_client();
  ping.protocol = testing::icmpv6;
  row("ICMPv6 of 7 bytes", edited(cut(build(ping), 54 + 7), 18, {0, 7}, false), Drop::icmp_header);
  for (const uint8_t type : std::initializer_list<uint8_t>{0, 100, 127, 130, 131, 132, 138, 143, 200}) {
    ping.icmp_type = type;
    row("an ICMPv6 message that does not cross", build(ping), Drop::icmp_type);
  }
  ping.icmp_type = 1;
  row("an error that quotes nothing", build(ping), Drop::icmp_error_quote);
  Packet6 quoted = from_web();
  quoted.source = web6;
  ping.payload = body_of(quoted);
  ping.payload[8] ^= 1;
  row("an error about another's packet", build(ping), Drop::icmp_error_quote);
  quoted.protocol = 59;
  ping.payload = body_of(quoted);
  row("an error about nothing", build(ping), Drop::icmp_error_quote);
  row("a fragment of no length of eights", with({{44, fragment_header(0, true, 1)}}), Drop::fragment_length);
  Packet6 part = from_client();
  part.payload = Bytes(20, 1);  // 40 with TCP's header
  part.extensions = {{44, fragment_header(8191, true, 1)}};
  row("a fragment beyond the longest datagram", build(part), Drop::fragment_length);
  part.payload = {};
  part.extensions = {{44, fragment_header(0, true, 1)}, {60, options(2)}};
  row("a first fragment without TCP's header", edited(cut(build(part), 54 + 8 + 24), 18, {0, 32}, false),
      Drop::fragment_short);
  part.extensions = {{44, fragment_header(0, true, 1)}, {60, options(7)}};
  row("a first fragment that ends in its options", edited(cut(build(part), 54 + 8 + 24), 18, {0, 32}, false),
      Drop::fragment_short);
  row("headers in two buffers", good, Drop::headers_not_contiguous, 60);
  row("IPv6 header in two buffers", good, Drop::headers_not_contiguous, 40);
  row("options in the second buffer", with({{60, options()}}), Drop::headers_not_contiguous, 58);
  Packet6 neighbor = from_client();
  neighbor.protocol = testing::icmpv6;
  neighbor.icmp_type = 135;
  neighbor.hop_limit = 254;
  row("Neighbor Discovery from beyond the link", build(neighbor), Drop::neighbor_malformed);
  neighbor.hop_limit = 255;
  row("with a wrong checksum", edited(build(neighbor), 70, {0xee}, false), Drop::neighbor_malformed);
  for (const DropInfo& info : drop_registry)
    EXPECT_TRUE(info.stage != "parse" ||
                (!std::string_view(info.name).starts_with("ipv6_") &&
                 info.name != std::string_view("neighbor_malformed")) ||
                met.contains(info.name))
        << info.name << " is never met";
}

// A solicitation and what it is answered with, by RFC 4861.
struct Solicitation {
  Mac from = web_mac;
  Ipv6Addr source = web6_dip;
  Ipv6Addr target;
  Ipv6Addr destination;
  Mac to;
};

Bytes neighbor_message(uint8_t type, uint32_t flags, const Ipv6Addr& target, uint8_t option, const Mac& mac,
                       Packet6 packet) {
  packet.protocol = testing::icmpv6;
  packet.icmp_type = type;
  packet.icmp_id = static_cast<uint16_t>(flags >> 16);
  packet.icmp_sequence = 0;
  packet.hop_limit = 255;
  packet.payload = Bytes(16, 0);
  testing::put_address6(packet.payload, 0, target);
  if (option != 0) {
    packet.payload.insert(packet.payload.end(), {option, 1});
    packet.payload.insert(packet.payload.end(), mac.bytes.begin(), mac.bytes.end());
  }
  return build(packet);
}

TEST_F(Ipv6Rows, NeighborSolicitationsAreAnsweredForWhatIsOurs) {
  const auto solicited = [](const Ipv6Addr& target) {
    return Ipv6Addr::of(0xff02000000000000, 0x1ff000000 | (target.low() & 0xffffff));
  };
  const auto ask = [&](testing::RingPort&, const Ipv6Addr& target, const Ipv6Addr& source, bool option) {
    return neighbor_message(135, 0, target, option ? 1 : 0, web_mac,
                            {.to = *Mac::parse("33:33:ff:00:00:01"),
                             .from = web_mac,
                             .source = source,
                             .destination = solicited(target),
                             .extensions = {},
                             .payload = {}});
  };
  const auto answer = [&](testing::RingPort& port, const Ipv6Addr& target, const Ipv6Addr& to, uint32_t flags,
                          const Mac& mac = web_mac) {
    return neighbor_message(136, flags, target, 2, mac_of(port),
                            {.to = mac,
                             .from = mac_of(port),
                             .source = target,
                             .destination = to,
                             .extensions = {},
                             .payload = {}});
  };
  constexpr uint32_t router = 0x80000000, asked = 0x40000000, override_cache = 0x20000000;
  const Ipv6Addr own = address("fe80::1"), vm_link_local = address("fe80::aa");
  expect_out("the next hop, from a link-local address", first(), ask(first(), own, vm_link_local, true),
             first(), answer(first(), own, vm_link_local, router | asked | override_cache), {});
  expect_out("without a link address option", first(), ask(first(), own, web6_dip, false), first(),
             answer(first(), own, web6_dip, router | asked | override_cache), {});
  expect_out(
      "from no address: to all nodes", first(), ask(first(), own, Ipv6Addr(), false), first(),
      answer(first(), own, address("ff02::1"), router | override_cache, *Mac::parse("33:33:00:00:00:01")),
      {});
  expect_out("an EIP of a proxied pool, on the uplink", uplink(), ask(uplink(), web6, client6, true),
             uplink(), answer(uplink(), web6, client6, router | asked | override_cache), {});
  expect_out("one that is not bound, as well", uplink(), ask(uplink(), free6, client6, true), uplink(),
             answer(uplink(), free6, client6, router | asked | override_cache), {});
  expect_out("the gateway's own", uplink(), ask(uplink(), gateway6, client6, true), uplink(),
             answer(uplink(), gateway6, client6, router | asked | override_cache), {});
  expect_drop("another's", first(), ask(first(), inner6_dip, web6_dip, true), Drop::neighbor_ignored);
  expect_drop("an EIP, from a vm", first(), ask(first(), web6, web6_dip, true), Drop::neighbor_ignored);
  expect_drop("a provider's, on the uplink", uplink(), ask(uplink(), elsewhere6, client6, true),
              Drop::neighbor_ignored);
  expect_drop("from no address, with a link address", first(), ask(first(), own, Ipv6Addr(), true),
              Drop::neighbor_ignored);
  expect_drop(
      "an option of no length", first(),
      [&] {
        Bytes frame = ask(first(), own, web6_dip, true);
        frame[54 + 25] = 0;
        testing::fix_icmpv6_checksum(frame);
        return frame;
      }(),
      Drop::neighbor_ignored);
  for (const uint8_t type : std::initializer_list<uint8_t>{133, 134, 136, 137})
    expect_drop("all else that is Neighbor Discovery", first(),
                neighbor_message(type, 0, own, 1, web_mac,
                                 {.to = mac_of(first()),
                                  .from = web_mac,
                                  .source = web6_dip,
                                  .destination = own,
                                  .extensions = {},
                                  .payload = {}}),
                Drop::neighbor_ignored);
}

TEST_F(Ipv6Rows, TheNextHopsAdvertisementGoesToThePuntThread) {
  const auto advertise = [&](const Ipv6Addr& target) {
    return neighbor_message(136, 0xe0000000, target, 2, router6_mac,
                            {.to = mac_of(uplink()),
                             .from = router6_mac,
                             .source = target,
                             .destination = gateway6,
                             .extensions = {},
                             .payload = {}});
  };
  before_ = take();
  EXPECT_TRUE(pass(uplink(), advertise(address("fe80::99"))).empty());
  EXPECT_EQ(take().since(before_), (Moved{{"received " + std::to_string(uplink().id()), 1}, {"punted", 1}}));
  expect_drop("another's", uplink(), advertise(address("fe80::98")), Drop::neighbor_ignored);
}

TEST_F(Ipv6Rows, IdentifyStopsSpoofedSourcesAndUnboundDestinations) {
  Packet6 in = from_client();
  in.source = free6;
  expect_drop("a pool's source outside", uplink(), build(in), Drop::spoofed_pool_source);
  in.source = elsewhere6;
  expect_drop("a provider's source outside", uplink(), build(in), Drop::spoofed_pool_source);
  in = from_client();
  in.destination = free6;
  expect_drop("not bound", uplink(), build(in), Drop::unbound);
  in.destination = inner6;
  expect_drop("not for the outside", uplink(), build(in), Drop::unbound);
  in.destination = elsewhere6;
  expect_drop("a provider's", uplink(), build(in), Drop::not_ours);
  in.destination = stranger6;
  expect_drop("nobody's", uplink(), build(in), Drop::not_ours);
  Packet6 out = from_web();
  out.source = address("fd00::11");
  expect_drop("no DIP", first(), build(out), Drop::spoofed_source);
  out.source = web6;
  expect_drop("its own EIP", first(), build(out), Drop::spoofed_source);
  out = from_web();
  out.from = same_mac;
  expect_drop("another's MAC", first(), build(out), Drop::spoofed_mac);
  out = from_web();
  out.destination = free6;
  expect_drop("to what is not bound", first(), build(out), Drop::unbound);
}

TEST_F(Ipv6Rows, TranslatesInAndOut) {
  expect_out("TCP in", uplink(), build(from_client()), first(), build(at_web(from_client())), in_web());
  expect_out("TCP out, a reply", first(), build(from_web()), uplink(), build(at_router(from_web())),
             out_of_web());
  Packet6 ping = from_client();
  ping.protocol = testing::icmpv6;
  ping.icmp_id = 77;
  expect_out("ping in", uplink(), build(ping), first(), build(at_web(ping)), in_web());
  Packet6 pong = from_web();
  pong.protocol = testing::icmpv6;
  pong.icmp_type = 129;
  pong.icmp_id = 77;
  expect_out("and its reply", first(), build(pong), uplink(), build(at_router(pong)), out_of_web());
  Packet6 dns = from_client();
  dns.protocol = testing::udp;
  dns.destination_port = 53;
  expect_out("UDP in", uplink(), build(dns), first(), build(at_web(dns)), in_web());
  Packet6 esp = from_client();
  esp.protocol = testing::esp;
  expect_out("ESP in, by address", uplink(), build(esp), first(), build(at_web(esp)), in_web());
  Packet6 optioned = from_client();
  optioned.extensions = {{0, options()}, {60, options(1)}, {43, options(2)}};
  expect_out("behind extension headers", uplink(), build(optioned), first(), build(at_web(optioned)),
             in_web());
  Bytes padded = build(from_client());
  padded.resize(padded.size() + 9);
  expect_out("with link padding", uplink(), padded, first(), build(at_web(from_client())), in_web());
}

TEST_F(Ipv6Rows, DipEqualToEipIsNotTranslated) {
  Packet6 in = from_client();
  in.destination = same6;
  in.destination_port = 9;
  Packet6 there = in;
  there.to = same_mac;
  there.from = mac_of(first());
  --there.hop_limit;
  expect_out("in", uplink(), build(in), first(), build(there), {{counter("in", same6), 1}, {"rule hits", 1}});
}

TEST_F(Ipv6Rows, AdmitRefusesWhatNoListLetsThrough) {
  Packet6 in = from_client();
  in.destination_port = 81;
  expect_drop("port", uplink(), build(in), Drop::destination_not_permitted);
  in = from_client();
  in.source = stranger6;
  expect_drop("remote beyond the 48 bits", uplink(), build(in), Drop::destination_not_permitted);
  in.protocol = testing::udp;
  in.destination_port = 53;
  in.source = address("2001:db8:f00::4");
  expect_drop("remote beyond the 127 bits", uplink(), build(in), Drop::destination_not_permitted);
  in.source = address("2001:db8:f00::3");
  expect_out("the last of the 127 bits", uplink(), build(in), first(), build(at_web(in)), in_web());
  Packet6 out = from_web();
  out.flags = testing::syn;
  expect_drop("a vm's own connection from a service port", first(), build(out), Drop::source_not_permitted);
  out = from_web();
  out.protocol = testing::icmpv6;
  expect_drop("a vm's own ping", first(), build(out), Drop::source_not_permitted);
}

TEST_F(Ipv6Rows, EachSideOfEipToEipIsAsked) {
  Packet6 across = from_web();
  across.destination = inner6;
  across.source_port = 5000;
  across.destination_port = 443;
  across.flags = testing::syn;
  Packet6 there = at_router(across);
  there.to = inner_mac;
  there.from = mac_of(second());
  there.destination = inner6_dip;
  expect_out("permitted by both", first(), build(across), second(), build(there),
             {{counter("out", web6), 1}, {counter("in", inner6), 1}, {"rule hits", 2}, {"flows6", 1}});
  across.destination_port = 444;
  expect_drop("by neither", first(), build(across), Drop::source_not_permitted);
  Packet6 other = across;
  other.from = same_mac;
  other.source = same6;
  other.destination_port = 443;
  expect_drop("not by the destination", first(), build(other), Drop::source_not_permitted);
}

TEST_F(Ipv6Rows, OutboundRuleOpensAndItsRepliesComeBack) {
  Packet6 out = from_web();
  out.source_port = 5000;
  out.destination_port = 443;
  out.flags = testing::syn;
  Packet6 in = from_client();
  in.source_port = 443;
  in.destination_port = 5000;
  in.flags = testing::syn | testing::ack;
  expect_drop("a reply to nothing", uplink(), build(in), Drop::destination_not_permitted);
  expect_out("opens", first(), build(out), uplink(), build(at_router(out)),
             {{counter("out", web6), 1}, {"rule hits", 1}, {"flows6", 1}});
  expect_out("the reply", uplink(), build(in), first(), build(at_web(in)), {{counter("in", web6), 1}});
  Packet6 other = in;
  other.source_port = 442;
  expect_drop("a reply of another port", uplink(), build(other), Drop::destination_not_permitted);
  other = in;
  other.source = address("2001:db8:f00::3");
  expect_drop("of another address", uplink(), build(other), Drop::destination_not_permitted);
  other = in;
  other.flags = testing::syn;
  expect_drop("a connection", uplink(), build(other), Drop::destination_not_permitted);
  now_ms_ += 7'440'000;
  expect_drop("too late", uplink(), build(in), Drop::destination_not_permitted);
  worker_->age_all(now_ms_);
  EXPECT_EQ(worker_->flows6().size(), 0u);
}

TEST_F(Ipv6Rows, AgeingTakesWhatCountsNoMore) {
  Packet6 out = from_web();
  out.destination_port = 443;
  out.flags = testing::syn;
  static_cast<void>(pass(first(), build(out)));
  worker_->age_all(now_ms_);
  EXPECT_EQ(worker_->flows6().size(), 1u);
  compile::CompiledBinding narrower = image6().bindings.at(web6);
  narrower.rules.erase(narrower.rules.begin() + 4);
  narrower.list_generation = 2;
  narrower.kept_from = 2;
  publish({.pools = std::nullopt, .bindings = {{web6, narrower}}});
  worker_->age_all(now_ms_);
  EXPECT_EQ(worker_->flows6().size(), 0u) << "the list lets it out no more";
  publish({.pools = std::nullopt, .bindings = {{web6, image6().bindings.at(web6)}}});
  static_cast<void>(pass(first(), build(out)));
  EXPECT_EQ(worker_->flows6().size(), 1u);
  publish({.pools = std::nullopt, .bindings = {{web6, std::nullopt}}});
  worker_->age_all(now_ms_);
  EXPECT_EQ(worker_->flows6().size(), 0u) << "nobody owns it";
}

// An error that the gateway makes itself about the packet in `frame`.
Bytes answer_about(const Bytes& frame, Mac port, const Ipv6Addr& own, uint8_t type, uint16_t mtu) {
  Packet6 error{.to = testing::get_mac(frame, 6),
                .from = port,
                .source = own,
                .destination = testing::get_address6(frame, 22),
                .protocol = testing::icmpv6,
                .icmp_type = type,
                .icmp_sequence = mtu,
                .extensions = {},
                .payload = {}};
  error.payload.assign(
      frame.begin() + testing::ip_at,
      frame.begin() + static_cast<std::ptrdiff_t>(std::min<size_t>(frame.size(), 14 + 1232)));
  Bytes answer = build(error);
  answer[14] = 0x6c;  // internetwork control
  return answer;
}

TEST_F(Ipv6Rows, RouteRefusesLastAndTellsTheSender) {
  const auto expect_told = [&](const char* row, testing::RingPort& port, const Bytes& frame, Drop reason,
                               const Bytes& told) {
    expect_out(row, port, frame, port, told,
               {{"drop " + std::string(describe(reason).name), 1}, {"originated", 1}});
  };
  Packet6 last = from_client();
  last.hop_limit = 1;
  expect_told("hop limit, from outside", uplink(), build(last), Drop::ttl_exceeded,
              answer_about(build(last), mac_of(uplink()), gateway6, 3, 0));
  Packet6 out = from_web();
  out.hop_limit = 1;
  expect_told("hop limit, from a vm", first(), build(out), Drop::ttl_exceeded,
              answer_about(build(out), mac_of(first()), address("fe80::1"), 3, 0));
  Packet6 big = from_web();
  big.destination = inner6;
  big.destination_port = 443;
  big.source_port = 5000;
  big.flags = testing::syn;
  big.payload = Bytes(1300, 7);
  expect_told("longer than the MTU", first(), build(big), Drop::packet_too_big,
              answer_about(build(big), mac_of(first()), address("fe80::1"), 2, 1000));
  tables_->gateway.addresses6.clear();
  expect_drop("a gateway without an address tells nobody outside", uplink(), build(last), Drop::ttl_exceeded);
  tables_->next_hop6.clear(uplink().id());
  expect_drop("no next hop", first(), build(from_web()), Drop::next_hop_unresolved);
}

TEST_F(Ipv6Rows, ErrorsCrossByWhatTheyQuote) {
  // About a reply of the web server, from a router on its way.
  Packet6 reply = from_web();
  reply.source = web6;
  Packet6 error{.to = mac_of(uplink()),
                .from = router6_mac,
                .source = stranger6,
                .destination = web6,
                .protocol = testing::icmpv6,
                .icmp_type = 2,
                .icmp_sequence = 1280,
                .extensions = {},
                .payload = body_of(reply)};
  Packet6 inside = reply;
  inside.source = web6_dip;
  Packet6 translated = at_web(error);
  translated.payload = body_of(inside);
  expect_out("in: TCP", uplink(), build(error), first(), build(translated), in_web());
  reply.protocol = inside.protocol = testing::icmpv6;
  reply.icmp_type = inside.icmp_type = 129;
  error.payload = body_of(reply);
  translated.payload = body_of(inside);
  expect_out("in: a ping's reply", uplink(), build(error), first(), build(translated), in_web());
  error.payload = cut(body_of(reply), 48);
  translated.payload = cut(body_of(inside), 48);
  expect_out("in: cut short behind its checksum", uplink(), build(error), first(), build(translated),
             in_web());
  reply.protocol = inside.protocol = testing::esp;
  error.payload = body_of(reply);
  expect_drop("in: about what did not leave", uplink(), build(error), Drop::destination_not_permitted);

  // The vm reports a closed port.
  Packet6 asked = from_client();
  asked.protocol = testing::udp;
  asked.destination_port = 53;
  Packet6 seen = asked;
  seen.destination = web6_dip;
  Packet6 closed{.to = mac_of(first()),
                 .from = web_mac,
                 .source = web6_dip,
                 .destination = client6,
                 .protocol = testing::icmpv6,
                 .icmp_type = 1,
                 .icmp_code = 4,
                 .icmp_sequence = 0,
                 .extensions = {},
                 .payload = body_of(seen)};
  Packet6 outside = at_router(closed);
  outside.payload = body_of(asked);
  expect_out("out: UDP", first(), build(closed), uplink(), build(outside), out_of_web());
  seen.destination_port = 54;
  closed.payload = body_of(seen);
  expect_drop("out: about what could not come", first(), build(closed), Drop::source_not_permitted);
}

TEST_F(Ipv6Rows, FragmentsFollowTheirFirst) {
  Packet6 whole = from_client();
  whole.protocol = testing::udp;
  whole.destination_port = 53;
  whole.payload = Bytes(64, 3);  // 72 with UDP's header
  const Bytes frame = build(whole);
  const Bytes translated = build(at_web(whole));
  // 8-byte units [from, to) of what the datagram carries, as fragments of `of`.
  const auto part = [&](const Bytes& of, uint16_t from, uint16_t to, bool more, uint32_t id = 7) {
    Bytes fragment(of.begin(), of.begin() + 54);
    fragment[20] = 44;
    fragment.push_back(testing::udp);
    const Bytes header = fragment_header(from, more, id);
    fragment.insert(fragment.end(), header.begin(), header.end());
    const auto begin = static_cast<std::ptrdiff_t>(of.size() - 72);
    fragment.insert(fragment.end(), of.begin() + begin + std::ptrdiff_t{from} * 8,
                    of.begin() + begin + std::ptrdiff_t{to} * 8);
    testing::put16(fragment, 18, static_cast<uint16_t>(fragment.size() - 54));
    return fragment;
  };
  const Moved counted{{counter("in", web6), 1}, {"rule hits", 1}};
  expect_drop("a later one before its first", uplink(), part(frame, 4, 9, false),
              Drop::fragment_first_unseen);
  expect_out("the first", uplink(), part(frame, 0, 4, true), first(), part(translated, 0, 4, true), counted);
  expect_drop("of another datagram", uplink(), part(frame, 4, 9, false, 8), Drop::fragment_first_unseen);
  expect_out("a later one", uplink(), part(frame, 4, 6, true), first(), part(translated, 4, 6, true),
             counted);
  expect_out("the last", uplink(), part(frame, 6, 9, false), first(), part(translated, 6, 9, false), counted);
  expect_drop("whole: it is gone", uplink(), part(frame, 6, 9, false), Drop::fragment_first_unseen);
  expect_out("the first of a next", uplink(), part(frame, 0, 4, true, 9), first(),
             part(translated, 0, 4, true, 9), counted);
  expect_drop("one that overlaps", uplink(), part(frame, 3, 6, true, 9), Drop::fragment_overlap);
  expect_drop("nothing more of it", uplink(), part(frame, 6, 9, false, 9), Drop::fragment_overlap);
  expect_out("a fragment header of a whole packet", uplink(), part(frame, 0, 9, false), first(),
             part(translated, 0, 9, false), counted);
  Bytes closed = part(frame, 0, 4, true, 10);
  closed[54 + 8 + 3] = 54;  // the port
  expect_drop("a first one to a closed port", uplink(), closed, Drop::destination_not_permitted);
  expect_drop("and what follows it", uplink(), part(frame, 4, 9, false, 10), Drop::fragment_first_unseen);
}

TEST_F(Ipv6Rows, TheGatewayIsDefaultOff) {
  Packet6 ping = from_client();
  ping.destination = gateway6;
  ping.protocol = testing::icmpv6;
  before_ = take();
  EXPECT_TRUE(pass(uplink(), build(ping)).empty());
  EXPECT_EQ(take().since(before_), (Moved{{"received " + std::to_string(uplink().id()), 1}, {"punted", 1}}));
  ping.protocol = testing::tcp;
  expect_drop("TCP", uplink(), build(ping), Drop::gateway_not_permitted);
  ping.protocol = testing::icmpv6;
  ping.source = web6;
  expect_drop("in an EIP's name", uplink(), build(ping), Drop::gateway_spoofed_source);
  Packet6 from_vm = from_web();
  from_vm.destination = gateway6;
  from_vm.protocol = testing::icmpv6;
  expect_drop("from a vm", first(), build(from_vm), Drop::gateway_not_permitted);
}

TEST_F(Ipv6Rows, BothFamiliesInOneBurst) {
  const Packet in4{.to = mac_of(uplink()),
                   .from = router_mac,
                   .source = client,
                   .destination = web,
                   .protocol = testing::tcp,
                   .source_port = 40000,
                   .destination_port = 80,
                   .flags = testing::syn,
                   .payload = {}};
  for (int n = 0; n < 10; ++n) {
    ASSERT_TRUE(uplink().feed(build(in4)));
    ASSERT_TRUE(uplink().feed(build(from_client())));
  }
  worker_->poll(now_ms_);
  const auto seen = first().collect();
  ASSERT_EQ(seen.size(), 20u);
  for (size_t n = 1; n < seen.size(); n += 2) EXPECT_EQ(seen[n], build(at_web(from_client())));
  for (size_t n = 0; n < seen.size(); n += 2) EXPECT_EQ(testing::get_address(seen[n], 30), web_dip);
}

}  // namespace
}  // namespace portcullis
