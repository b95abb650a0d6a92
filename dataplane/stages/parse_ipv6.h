// The part of parse for IPv6, in the order of RFC 8200: header, extension headers, fragments (RFC 7112: the
// first one holds all headers), then the transport (parse_transport.h). Neighbor Discovery (RFC 4861) never
// crosses and is left to punt.
//
// Reads the frame; writes the "parse" fields of Burst, ::ipv6, ::neighbor, ::errors, ::fragments.
// Drops: ip_version … icmp_error_quote, fragment_length, fragment_short, ipv6_extension_headers,
// neighbor_malformed.
#pragma once

#include <rte_mbuf.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>

#include "dataplane/stages/ipv6_headers.h"
#include "dataplane/stages/martian.h"
#include "dataplane/stages/parse_fragment.h"
#include "dataplane/stages/parse_transport.h"
#include "dataplane/stages/refusal.h"
#include "src/net/checksum.h"
#include "src/net/cursor.h"
#include "src/net/headers.h"

namespace portcullis::stages {

struct ParseIpv6 {
  // Most frames: IPv6 to this port, whole, TCP or UDP behind the header itself, no martian, all headers in
  // one buffer. Which test fails does not matter here: accepted() says so in the order of the RFCs.
  static bool is_plain(const rte_mbuf* mbuf, MacWord own_mac) {
    if (mbuf->data_len < plain_headers) return false;
    const HeaderView<std::array<uint8_t, plain_headers>> frame(frame_of(mbuf));
    // Ether type, version and the upper half of the traffic class, of which the latter may be anything.
    constexpr uint32_t type_version = ether_type::ipv6.wire() | 0x60u << 16;
    const auto destination_mac = MacWord::of_load(frame.load<uint64_t>(0));
    const uint64_t differs =
        destination_mac.differs(own_mac) |
        ((frame.load<uint32_t>(offsetof(EthernetHeader, ether_type)) ^ type_version) & 0xf0ffff);
    const auto next = frame.load<uint8_t>(l3_offset + offsetof(Ipv6Header, next_header));
    const uint32_t length =
        sizeof(Ipv6Header) + frame.load<Be16>(l3_offset + offsetof(Ipv6Header, payload_length)).host();
    const uint8_t martian =
        martian_octets6[frame.load<uint8_t>(l3_offset + offsetof(Ipv6Header, source))] |
        martian_octets6[frame.load<uint8_t>(l3_offset + offsetof(Ipv6Header, destination))];
    return ((differs | martian) == 0) & ((next == ip_protocol::tcp) | (next == ip_protocol::udp)) &
           (length <= std::min<uint32_t>(mbuf->pkt_len - l3_offset, UINT16_MAX));
  }

  static Refusal plain(Burst& burst, uint32_t i) {
    const rte_mbuf* const mbuf = burst.mbuf[i];
    const uint8_t* const ip = frame_of(mbuf) + l3_offset;
    const HeaderView<Ipv6Header> header(ip);
    const uint32_t payload = header.load<Be16>(offsetof(Ipv6Header, payload_length)).host();
    take_fields(burst, i, header, payload + static_cast<uint32_t>(sizeof(Ipv6Header)));
    burst.l4_at[i] = static_cast<uint16_t>(l3_offset + sizeof(Ipv6Header));
    const auto protocol = header.load<uint8_t>(offsetof(Ipv6Header, next_header));
    burst.ip[i].protocol = protocol;
    const uint8_t* const l4 = ip + sizeof(Ipv6Header);
    std::memcpy(&burst.ip[i].source_port, l4, 2 * sizeof(Port));
    constexpr uint32_t present = plain_headers - l3_offset - sizeof(Ipv6Header);
    if (protocol == ip_protocol::tcp) [[likely]]
      return ParseTransport::tcp(burst, i, l4, payload, present);
    return ParseTransport::udp(burst, i, l4, payload, present);
  }

  // `is_multicast`: the frame is, so that nothing but Neighbor Discovery is for this port.
  [[gnu::noinline]] static Refusal accepted(Burst& burst, uint32_t i, bool is_multicast) {
    const rte_mbuf* const mbuf = burst.mbuf[i];
    const uint8_t* const ip = frame_of(mbuf) + l3_offset;
    const uint32_t in_buffer = mbuf->data_len - l3_offset;
    if (in_buffer < sizeof(Ipv6Header))
      return mbuf->nb_segs > 1 ? Drop::headers_not_contiguous : Drop::truncated;
    const HeaderView<Ipv6Header> header(ip);
    if (header.load<uint8_t>(0) >> 4 != 6) return Drop::ip_version;
    const uint32_t length =
        sizeof(Ipv6Header) + header.load<Be16>(offsetof(Ipv6Header, payload_length)).host();
    if (length > mbuf->pkt_len - l3_offset || length > UINT16_MAX) return Drop::ip_total_length;
    const uint32_t present = std::min(in_buffer, length);

    take_fields(burst, i, header, length);

    const auto next = header.load<uint8_t>(offsetof(Ipv6Header, next_header));
    if (next == ip_protocol::icmpv6 && present > sizeof(Ipv6Header) &&
        is_neighbor_discovery(ip[sizeof(Ipv6Header)])) [[unlikely]]
      return neighbor(burst, i, ip, length);
    if (is_multicast) return Drop::wrong_destination_mac;
    if (is_martian(burst.source6[i])) return Drop::martian_source;
    if (is_martian(burst.destination6[i])) return Drop::martian_destination;

    const HeaderChain chain = HeaderChain::walk(ip, length, present);
    burst.l4_at[i] = static_cast<uint16_t>(l3_offset + chain.at);
    burst.ip[i].protocol = chain.protocol;
    if (chain.fragment_at != 0) [[unlikely]]
      return fragment(burst, i, ip, chain, length, present);
    if (chain.end != HeaderChain::End::upper_layer) [[unlikely]]
      return broken(chain.end);
    return upper_layer(burst, i, ip + chain.at, length - chain.at, present - chain.at);
  }

 private:
  static constexpr uint32_t plain_headers = l3_offset + sizeof(Ipv6Header) + sizeof(TcpHeader);

  static void take_fields(Burst& burst, uint32_t i, HeaderView<Ipv6Header> header, uint32_t length) {
    Ipv4Fields& fields = burst.ip[i];
    fields.ttl = header.load<uint8_t>(offsetof(Ipv6Header, hop_limit));
    fields.header_checksum = Be16();
    fields.source = fields.destination = Ipv4Addr();
    burst.source6[i] = header.load<Ipv6Addr>(offsetof(Ipv6Header, source));
    burst.destination6[i] = header.load<Ipv6Addr>(offsetof(Ipv6Header, destination));
    burst.total_length[i] = static_cast<uint16_t>(length);
    burst.ipv6 |= uint64_t{1} << i;
  }

  static Drop broken(HeaderChain::End end) {
    switch (end) {
      case HeaderChain::End::not_contiguous:
        return Drop::headers_not_contiguous;
      case HeaderChain::End::source_route:
        return Drop::ip_source_route;
      default:
        return Drop::ipv6_extension_headers;
    }
  }

  static Refusal upper_layer(Burst& burst, uint32_t i, const uint8_t* l4, uint32_t length, uint32_t present) {
    Ipv4Fields& fields = burst.ip[i];
    if (present >= 2 * sizeof(Port)) std::memcpy(&fields.source_port, l4, 2 * sizeof(Port));
    return ParseTransport::layer_4<Ipv6>(burst, i, fields.protocol, l4, length, present);
  }

  // RFC 8200, 4.5.
  [[gnu::noinline, gnu::cold]] static Refusal fragment(Burst& burst, uint32_t i, const uint8_t* ip,
                                                       const HeaderChain& chain, uint32_t length,
                                                       uint32_t present) {
    constexpr uint32_t unit = 8;
    const HeaderView<Ipv6FragmentHeader> header(ip + chain.fragment_at);
    const uint32_t field = header.load<Be16>(offsetof(Ipv6FragmentHeader, offset_flags)).host();
    const uint32_t begin = (field & HeaderChain::offset_bits) / unit;
    const bool is_last = (field & HeaderChain::more_fragments) == 0;
    const uint32_t size = length - chain.fragment_at - static_cast<uint32_t>(sizeof(Ipv6FragmentHeader));
    if (size == 0 || (!is_last && size % unit != 0)) return Drop::fragment_length;
    if (begin * unit + size > UINT16_MAX) return Drop::fragment_length;
    burst.fragment[i] = {.identification = header.load<Be32>(offsetof(Ipv6FragmentHeader, identification)),
                         .span = {.begin = static_cast<uint16_t>(begin),
                                  .end = static_cast<uint16_t>(begin + (size + unit - 1) / unit)},
                         .is_last = is_last};
    burst.fragments |= uint64_t{1} << i;
    if (chain.end == HeaderChain::End::later_fragment) {
      burst.later_fragments |= uint64_t{1} << i;
      return Refusal();
    }
    if (chain.end == HeaderChain::End::cut_short) return Drop::fragment_short;
    if (chain.end != HeaderChain::End::upper_layer) return broken(chain.end);
    const uint32_t rest = length - chain.at;
    if (rest < ParseFragment::transport_header(chain.protocol)) return Drop::fragment_short;
    const uint8_t* const l4 = ip + chain.at;
    // An error fits into one packet: it quotes no more than the least MTU has room for.
    if (chain.protocol == ip_protocol::icmpv6 && present > chain.at && is_icmpv6_error(*l4))
      return Drop::icmp_error_quote;
    // What the transport says of its length is of the whole datagram.
    return upper_layer(burst, i, l4, UINT16_MAX, present - chain.at);
  }

  // RFC 4861, 6.1 and 7.1: what is for this gateway is looked at by punt.
  [[gnu::noinline, gnu::cold]] static Refusal neighbor(Burst& burst, uint32_t i, const uint8_t* ip,
                                                       uint32_t length) {
    const uint32_t size = length - static_cast<uint32_t>(sizeof(Ipv6Header));
    const rte_mbuf* const mbuf = burst.mbuf[i];
    if (mbuf->data_len < l3_offset + length) return Drop::headers_not_contiguous;
    const uint8_t* const icmp = ip + sizeof(Ipv6Header);
    constexpr uint8_t from_this_link = 255;
    if (burst.ip[i].ttl != from_this_link || size < sizeof(IcmpHeader) ||
        icmp[offsetof(IcmpHeader, code)] != 0 ||
        icmpv6_sum(burst.source6[i], burst.destination6[i], {icmp, size}) != 0xffff)
      return Drop::neighbor_malformed;
    burst.l4_at[i] = static_cast<uint16_t>(l3_offset + sizeof(Ipv6Header));
    burst.neighbor |= uint64_t{1} << i;
    return Refusal();
  }
};

}  // namespace portcullis::stages
