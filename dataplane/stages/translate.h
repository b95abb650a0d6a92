// One address of a packet replaced, with every checksum that covers it (RFC 1624, equation 3), also
// within what an ICMP error quotes. What to_public and to_private share.
#pragma once

#include <cstring>

#include "dataplane/burst.h"
#include "dataplane/tables/tables.h"
#include "src/net/checksum.h"
#include "src/net/headers.h"

namespace portcullis::stages {

inline void apply_to_field(uint8_t* field, ChecksumDelta delta) {
  Be16 checksum;
  std::memcpy(&checksum, field, sizeof checksum);
  checksum = delta.apply(checksum);
  std::memcpy(field, &checksum, sizeof checksum);
}

// The same for UDP. RFC 768: zero says that there is no checksum, and a sum of zero is sent as all ones.
inline void apply_to_udp(uint8_t* field, ChecksumDelta delta) {
  Be16 checksum;
  std::memcpy(&checksum, field, sizeof checksum);
  constexpr Be16 none = Be16::from_host(0);
  if (checksum == none) return;
  checksum = delta.apply(checksum);
  if (checksum == none) checksum = Be16::from_host(0xffff);
  std::memcpy(field, &checksum, sizeof checksum);
}

// An address and the checksum of its own header: all of that is in a fragment after the first.
inline void replace_in_header(uint8_t* ip, size_t address_offset, Ipv4Addr address, ChecksumDelta delta) {
  std::memcpy(ip + address_offset, &address, sizeof address);
  apply_to_field(ip + offsetof(Ipv4Header, checksum), delta);
}

// `address_offset`: of the address within the IPv4 header, which has `header_length` bytes. TCP and UDP cover
// addresses by their pseudo-header, ICMP (RFC 792) and SCTP (RFC 9260) do not.
inline void replace_address(const Burst& burst, uint32_t i, size_t header_length, size_t address_offset,
                            Ipv4Addr address, ChecksumDelta delta) {
  uint8_t* const ip = frame_of(burst.mbuf[i]) + l3_offset;
  replace_in_header(ip, address_offset, address, delta);
  uint8_t* const l4 = ip + header_length;
  const uint8_t protocol = burst.ip[i].protocol;
  if (protocol == ip_protocol::tcp) {
    apply_to_field(l4 + offsetof(TcpHeader, checksum), delta);
  } else if (protocol == ip_protocol::udp) {
    apply_to_udp(l4 + offsetof(UdpHeader, checksum), delta);
  }
}

// The same in the packet that an ICMP error quotes, whose layer 4 may be cut off before its checksum. The
// error's own checksum covers the quote as plain bytes: the address and the quoted header's checksum make up
// for each other, so it changes only with the checksum of the quoted layer 4.
[[gnu::noinline, gnu::cold]] inline void replace_quoted_address(const Burst& burst, uint32_t i,
                                                                size_t address_offset, Ipv4Addr address,
                                                                ChecksumDelta delta) {
  uint8_t* const frame = frame_of(burst.mbuf[i]);
  const QuotedPacket& quoted = burst.quoted[i];
  uint8_t* const ip = frame + quoted.ip_offset;
  replace_in_header(ip, address_offset, address, delta);
  const bool tcp = quoted.protocol == ip_protocol::tcp;
  if (!tcp && quoted.protocol != ip_protocol::udp) return;
  const size_t offset = tcp ? offsetof(TcpHeader, checksum) : offsetof(UdpHeader, checksum);
  if (quoted.l4_length < offset + sizeof(Be16)) return;
  uint8_t* const field = frame + quoted.l4_offset + offset;
  Be16 before, after;
  std::memcpy(&before, field, sizeof before);
  tcp ? apply_to_field(field, delta) : apply_to_udp(field, delta);
  std::memcpy(&after, field, sizeof after);
  if (before == after) return;
  apply_to_field(frame + quoted.ip_offset - sizeof(IcmpHeader) + offsetof(IcmpHeader, checksum),
                 ChecksumDelta().replace(before, after));
}

// The same of IPv6, whose header has no checksum. TCP, UDP and ICMPv6 cover addresses.
inline void replace_ipv6_address(const Burst& burst, uint32_t i, size_t address_offset,
                                 const Ipv6Addr& address, ChecksumDelta delta) {
  uint8_t* const frame = frame_of(burst.mbuf[i]);
  std::memcpy(frame + l3_offset + address_offset, &address, sizeof address);
  if ((burst.later_fragments >> i & 1) != 0) return;
  uint8_t* const l4 = frame + burst.l4_at[i];
  const uint8_t protocol = burst.ip[i].protocol;
  if (protocol == ip_protocol::tcp)
    apply_to_field(l4 + offsetof(TcpHeader, checksum), delta);
  else if (protocol == ip_protocol::udp)
    apply_to_udp(l4 + offsetof(UdpHeader, checksum), delta);
  else if (protocol == ip_protocol::icmpv6)
    apply_to_field(l4 + offsetof(IcmpHeader, checksum), delta);
}

// The same in what an ICMPv6 error quotes. Its own checksum covers the quoted address as plain bytes, and the
// quoted checksum, if that much is there.
[[gnu::noinline, gnu::cold]] inline void replace_quoted_ipv6_address(const Burst& burst, uint32_t i,
                                                                     size_t address_offset,
                                                                     const Ipv6Addr& address,
                                                                     ChecksumDelta delta) {
  uint8_t* const frame = frame_of(burst.mbuf[i]);
  const QuotedPacket& quoted = burst.quoted[i];
  std::memcpy(frame + quoted.ip_offset + address_offset, &address, sizeof address);
  uint8_t* const own = frame + burst.l4_at[i] + offsetof(IcmpHeader, checksum);
  apply_to_field(own, delta);
  size_t offset = offsetof(IcmpHeader, checksum);
  if (quoted.protocol == ip_protocol::tcp)
    offset = offsetof(TcpHeader, checksum);
  else if (quoted.protocol == ip_protocol::udp)
    offset = offsetof(UdpHeader, checksum);
  else if (quoted.protocol != ip_protocol::icmpv6)
    return;
  if (quoted.l4_length < offset + sizeof(Be16)) return;
  uint8_t* const field = frame + quoted.l4_offset + offset;
  Be16 before, after;
  std::memcpy(&before, field, sizeof before);
  quoted.protocol == ip_protocol::udp ? apply_to_udp(field, delta) : apply_to_field(field, delta);
  std::memcpy(&after, field, sizeof after);
  apply_to_field(own, ChecksumDelta().replace(before, after));
}

// One side of the IPv6 packets of a burst, as translate() below.
template <auto address, auto delta>
inline void translate_ipv6(const Burst& burst, uint64_t packets, const BindingRecord* const* sides,
                           size_t field, size_t quoted_field) {
  for_each_packet(packets, [&](uint32_t i) {
    const Ipv6Endpoint& side = sides[i]->ipv6;
    if (side.dip == side.eip) return;
    replace_ipv6_address(burst, i, field, side.*address, sides[i]->*delta);
    if ((burst.errors >> i & 1) != 0) [[unlikely]]
      replace_quoted_ipv6_address(burst, i, quoted_field, side.*address, sides[i]->*delta);
  });
}

// One side of a burst: the address that its packets carry at `field`, and the packets that ICMP errors quote
// at `quoted_field`, becomes the one of its record.
template <auto address, auto delta>
inline void translate(const Burst& burst, uint64_t packets, const BindingRecord* const* sides, size_t field,
                      size_t quoted_field) {
  const auto for_each_translated = [&](uint64_t some, auto&& body) {
    for_each_packet(some, [&](uint32_t i) {
      const Ipv4Endpoint& side = sides[i]->ipv4;
      if (side.dip != side.eip) body(i, side.*address, sides[i]->*delta);
    });
  };
  // Where layer 4 begins need not be read from these.
  const uint64_t unusual = burst.later_fragments | burst.options;
  for_each_translated(packets & ~unusual, [&](uint32_t i, Ipv4Addr to, ChecksumDelta by) {
    replace_address(burst, i, sizeof(Ipv4Header), field, to, by);
  });
  for_each_translated(packets & unusual, [&](uint32_t i, Ipv4Addr to, ChecksumDelta by) {
    uint8_t* const ip = frame_of(burst.mbuf[i]) + l3_offset;
    if ((burst.later_fragments >> i & 1) != 0) return replace_in_header(ip, field, to, by);
    replace_address(burst, i, size_t{*ip & 0xfu} * 4, field, to, by);
  });
  for_each_translated(packets & burst.errors, [&](uint32_t i, Ipv4Addr to, ChecksumDelta by) {
    replace_quoted_address(burst, i, quoted_field, to, by);
  });
}

}  // namespace portcullis::stages
