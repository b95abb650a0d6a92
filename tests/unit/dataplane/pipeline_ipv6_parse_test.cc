// The pipeline by rows, IPv6: what ends at parse, and Neighbor Discovery.

#include "tests/unit/dataplane/pipeline_ipv6_rows.h"

namespace portcullis {
namespace {

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

// By RFC 4861.
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
  const auto ask = [&](const Ipv6Addr& target, const Ipv6Addr& source, bool option) {
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
  expect_out("the next hop, from a link-local address", first(), ask(own, vm_link_local, true), first(),
             answer(first(), own, vm_link_local, router | asked | override_cache), {});
  expect_out("without a link address option", first(), ask(own, web6_dip, false), first(),
             answer(first(), own, web6_dip, router | asked | override_cache), {});
  expect_out(
      "from no address: to all nodes", first(), ask(own, Ipv6Addr(), false), first(),
      answer(first(), own, address("ff02::1"), router | override_cache, *Mac::parse("33:33:00:00:00:01")),
      {});
  expect_out("an EIP of a proxied pool, on the uplink", uplink(), ask(web6, client6, true), uplink(),
             answer(uplink(), web6, client6, router | asked | override_cache), {});
  expect_out("one that is not bound, as well", uplink(), ask(free6, client6, true), uplink(),
             answer(uplink(), free6, client6, router | asked | override_cache), {});
  expect_out("the gateway's own", uplink(), ask(gateway6, client6, true), uplink(),
             answer(uplink(), gateway6, client6, router | asked | override_cache), {});
  expect_drop("another's", first(), ask(inner6_dip, web6_dip, true), Drop::neighbor_ignored);
  expect_drop("an EIP, from a vm", first(), ask(web6, web6_dip, true), Drop::neighbor_ignored);
  expect_drop("a provider's, on the uplink", uplink(), ask(elsewhere6, client6, true),
              Drop::neighbor_ignored);
  expect_drop("from no address, with a link address", first(), ask(own, Ipv6Addr(), true),
              Drop::neighbor_ignored);
  expect_drop(
      "an option of no length", first(),
      [&] {
        Bytes frame = ask(own, web6_dip, true);
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

}  // namespace
}  // namespace portcullis
