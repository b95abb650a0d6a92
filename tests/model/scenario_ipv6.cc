// What of random worlds is IPv6's alone: extension headers, Neighbor Discovery, their damages.
#include <initializer_list>
#include <utility>

#include "tests/model/scenario.h"
#include "tests/model/scenario_values.h"

namespace portcullis::testing {

// Mostly none, else such as pass.
void Scenario::add_extension_headers(AnyPacket& packet) {
  if (!chance(15)) return;
  const auto options = [&](uint8_t kind) {
    Bytes header(7 + 8 * below(2), 0);
    header[0] = static_cast<uint8_t>(header.size() / 8);
    if (kind == 44) header = {0, 0, 0, 0, 0, 0, static_cast<uint8_t>(random_())};  // whole (RFC 6946)
    packet.extensions.emplace_back(kind, header);
  };
  if (chance(30)) options(0);
  for (const uint8_t kind : std::initializer_list<uint8_t>{60, 43, 44, 60})
    if (chance(30)) options(kind);
}

// An address that matters somewhere to parse or to Neighbor Discovery.
Ipv6Addr Scenario::some_ipv6_address() {
  return pick<Ipv6Addr>({outside_host(IpFamily::ipv6).v6(), some_destination(IpFamily::ipv6).v6(),
                         some_destination(IpFamily::ipv6).v6(), link_local_next_hop6, configured_next_hop6,
                         router6, router6_in_pool, gateway_address6, Ipv6Addr(), Ipv6Addr::of(0, 1),
                         Ipv6Addr::of(0, 0xffff01020304), Ipv6Addr::of(0xff02000000000000, 0x1ff000001),
                         Ipv6Addr::of(0xfec0000000000000, 1)});
}

// Neighbor Discovery, mostly a question that is answered, or what the next hop of the uplink says of itself.
Bytes Scenario::make_neighbor(PlaceNumber place) {
  const auto any_byte = [&] { return static_cast<uint8_t>(random_()); };
  Ipv6Addr target = chance(70) ? setup_at(place).endpoint_next_hop6 : some_ipv6_address();
  if (place == uplink) target = chance(40) ? gateway_address6 : some_ipv6_address();
  const auto end = setup_at(place).tunnel.ends.find(IpFamily::ipv6);
  const bool has_end = end != setup_at(place).tunnel.ends.end() && chance(is_underlay(place) ? 70 : 15);
  if (has_end) target = end->second.address.v6();
  const Ipv6Addr group = Ipv6Addr::of(0xff02000000000000, 0x1ff000000 | (target.low() & 0xffffff));
  Packet6 packet{.to = setup_at(place).mac,
                 .from = *Mac::parse("02:66:00:00:00:01"),
                 .source = chance(80) ? outside_host(IpFamily::ipv6).v6() : some_ipv6_address(),
                 .destination = chance(80)   ? group
                                : chance(50) ? target
                                             : some_ipv6_address(),
                 .hop_limit = chance(95) ? uint8_t{255} : any_byte(),
                 .protocol = icmpv6,
                 .icmp_type = chance(85) ? uint8_t{135} : static_cast<uint8_t>(133 + below(5)),
                 .icmp_code = chance(97) ? uint8_t{0} : any_byte(),
                 .extensions = {},
                 .payload = Bytes(16, 0)};
  if (place == uplink && chance(30)) {
    packet.icmp_type = 136;
    target = chance(80) ? port_setups_[uplink].next_hop6 : router6;
  }
  if (has_end && chance(50)) {
    packet.icmp_type = 136;
    target = some_station(places_[place].port, IpFamily::ipv6).v6();
  }
  put_address6(packet.payload, 0, target);
  for (uint64_t n = below(3); n > 0; --n)
    packet.payload.insert(packet.payload.end(),
                          {static_cast<uint8_t>(1 + below(2)),
                           static_cast<uint8_t>(chance(90) ? 1 : below(4)), 2, 0, 0, 0, 0, 9});
  if (chance(70)) packet.to = *Mac::parse("33:33:ff:00:00:01");
  Bytes frame = build(packet);
  if (chance(5)) frame[ip_at + below(frame.size() - ip_at)] ^= any_byte();
  return frame;
}

Bytes Scenario::make_odd_ipv6_frame(PlaceNumber place) {
  const auto any_byte = [&] { return static_cast<uint8_t>(random_()); };
  Packet6 packet{.to = setup_at(place).mac,
                 .from = *Mac::parse("02:66:00:00:00:01"),
                 .source = chance(80) ? outside_host(IpFamily::ipv6).v6() : some_ipv6_address(),
                 .destination = chance(80) ? some_destination(IpFamily::ipv6).v6() : some_ipv6_address(),
                 .protocol = pick<uint8_t>({tcp, udp, icmpv6, sctp, 50, 1, 59, 135, any_byte()}),
                 .flags = any_byte(),
                 .icmp_type = pick<uint8_t>({128, 129, 1, 2, 3, 4, 130, any_byte()}),
                 .extensions = {},
                 .payload = {}};
  for (uint64_t n = chance(60) ? 0 : below(10); n > 0; --n) {
    Bytes header(7 + 8 * below(3), 0);
    header[0] = static_cast<uint8_t>(header.size() / 8);
    const uint8_t kind = pick<uint8_t>({0, 43, 44, 60});
    if (kind == 44) header = {0, any_byte(), pick<uint8_t>({0, 1, 8, 9, 0xf8}), 0, 0, 0, any_byte()};
    if (kind == 44 && chance(60)) header[1] = 0;
    if (kind == 43 && chance(20)) header[2] = 1;
    if (chance(3)) header[0] = any_byte();
    packet.extensions.emplace_back(kind, header);
  }
  packet.payload.resize(below(80));
  if (packet.protocol == icmpv6 && packet.icmp_type <= 4 && chance(80)) {
    Packet6 quoted = packet;
    std::swap(quoted.source, quoted.destination);
    quoted.protocol = pick<uint8_t>({tcp, udp, icmpv6, 50, 59});
    quoted.icmp_type = pick<uint8_t>({128, 129, 1});
    if (chance(70)) quoted.extensions.clear();
    const Bytes frame = build(quoted);
    packet.payload.assign(frame.begin() + ip_at, frame.end());
    if (chance(20)) packet.payload.resize(below(packet.payload.size()));
  }
  // A first fragment that holds no more than the beginning of its transport's header.
  const bool is_short = chance(5);
  if (is_short) {
    packet.protocol = pick<uint8_t>({tcp, sctp});
    packet.extensions = {{44, {0, 0, 1, 0, 0, 0, any_byte()}}};
  }
  Bytes frame = build(packet);
  if (is_short) put16(frame, ip_at + 4, 16);
  if (chance(30)) frame[ip_at + below(frame.size() - ip_at)] ^= any_byte();
  if (chance(10)) frame.resize(ip_at + below(frame.size() - ip_at));
  if (chance(10)) frame.resize(frame.size() + below(20));
  if (chance(5)) put16(frame, ip_at + 4, any_byte());
  return frame;
}

// One thing wrong, or odd but right. The frame is longer than an IPv6 header and 20 bytes.
void Scenario::damage_ipv6(PlaceNumber place, Bytes& frame) {
  const auto any_byte = [&] { return static_cast<uint8_t>(random_()); };
  const auto packet = layout_of(frame);
  const size_t at = packet && packet->has(16) ? packet->transport_at : transport6_at;
  const uint8_t protocol = packet ? packet->protocol : uint8_t{0};
  switch (below(17)) {
    case 0:
      put16(frame, 12, pick<uint16_t>({0x88cc, 0x0800, 0x8100}));
      return;
    case 1:
      frame[5] ^= 1;
      return;
    case 2:
      put16(frame, 0, 0x3333);
      return;
    case 3:
      frame.resize(below(transport6_at));
      return;
    case 4:
      frame[ip_at] = static_cast<uint8_t>(0x40 | (frame[ip_at] & 0xf));
      return;
    case 5:
      put16(frame, ip_at + 4, static_cast<uint16_t>(frame.size() - transport6_at + 1 + below(100)));
      return;
    case 6:
      put16(frame, ip_at + 4, static_cast<uint16_t>(below(24)));  // the transport header is cut
      return;
    case 7:
      frame[ip_at + 6] = any_byte();
      return;
    case 8:
      put_address6(frame, ip_at + (chance(50) ? 8 : 24), some_ipv6_address());
      return;
    case 9:
      frame[at] ^= static_cast<uint8_t>(1 + below(255));
      return;
    case 10:
      if (protocol == tcp) frame[at + 12] = static_cast<uint8_t>(below(16) << 4);
      if (protocol == udp) put16(frame, at + 4, static_cast<uint16_t>(below(40)));
      if (protocol == icmpv6) frame[at] = any_byte();
      if (protocol == sctp) frame[at + 12] = any_byte();
      return;
    case 11:
      if (protocol == tcp) frame[at + 13] = pick<uint8_t>({0, syn | fin, syn | rst, 0xc0, 0x3f});
      return;
    case 12:
      if (transport_checksum_at(frame) != 0)
        put16(frame, transport_checksum_at(frame), pick<uint16_t>({0, 0xffff, any_byte()}));
      return;
    case 13:
      make_zero_after_translation(place, frame);
      return;
    case 14:
      frame.resize(frame.size() + 1 + below(40), any_byte());
      return;  // padding
    case 15:
      put16(frame, ip_at,
            0x6000 | static_cast<uint16_t>(below(0x1000)));  // class and label cross as they are
      return;
    default:
      // Whatever comes first is taken for an extension header.
      frame[ip_at + 6] = pick<uint8_t>({0, 43, 44, 60});
      if (chance(50))
        put16(frame, transport6_at, static_cast<uint16_t>(pick<unsigned>({6, 17, 58, 59}) << 8));
  }
}

}  // namespace portcullis::testing
