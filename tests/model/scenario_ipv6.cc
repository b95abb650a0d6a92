#include <utility>

#include "tests/model/scenario.h"

namespace portcullis::testing {

using reference::PortNumber;

// An IPv6 frame: of every kind that parse tells apart, and questions for next hops.
Bytes Scenario::make_ipv6_frame(PortNumber port) {
  const auto any_byte = [&] { return static_cast<uint8_t>(random_()); };
  const auto address = [&] {
    return pick<Ipv6Addr>(
        {Ipv6Addr::of(0x20010db800000000, 1 + below(4)), Ipv6Addr::of(0xfd00000000000000, below(4)),
         link_local_next_hop6, Ipv6Addr(), Ipv6Addr::of(0, 1), Ipv6Addr::of(0, 0xffff01020304),
         Ipv6Addr::of(0xff02000000000000, 0x1ff000001), Ipv6Addr::of(0xfec0000000000000, 1)});
  };
  Packet6 packet{.to = port_setups_[port].mac,
                 .from = *Mac::parse("02:66:00:00:00:01"),
                 .source = chance(80) ? Ipv6Addr::of(0x20010db800000000, 7) : address(),
                 .destination = chance(80) ? Ipv6Addr::of(0x20010db800000000, 8) : address(),
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
  if (chance(30)) {
    // Neighbor Discovery, mostly the question that is answered.
    packet.extensions.clear();
    packet.protocol = icmpv6;
    packet.icmp_type = chance(85) ? uint8_t{135} : static_cast<uint8_t>(133 + below(5));
    packet.icmp_code = chance(95) ? 0 : any_byte();
    packet.hop_limit = chance(95) ? 255 : any_byte();
    packet.destination = chance(80) ? Ipv6Addr::of(0xff02000000000000, 0x1ff000001) : address();
    packet.source = address();
    packet.payload.assign(16, 0);
    put_address6(packet.payload, 0, chance(85) ? link_local_next_hop6 : address());
    for (uint64_t n = below(3); n > 0; --n)
      packet.payload.insert(packet.payload.end(),
                            {static_cast<uint8_t>(1 + below(2)),
                             static_cast<uint8_t>(chance(90) ? 1 : below(4)), 2, 0, 0, 0, 0, 9});
    if (chance(70)) packet.to = *Mac::parse("33:33:ff:00:00:01");
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

}  // namespace portcullis::testing
