// The part of parse for fragments (RFC 791, 3.2). The first one holds the whole header of its transport, so
// that it can be judged, and no later one reaches into that (RFC 1858, RFC 3128); all are as long as they may
// be.
//
// Reads the frame; writes Burst::fragments, ::later_fragments, ::fragment, and what parse_transport.h writes.
// Drops: fragment_length, fragment_short, fragment_offset, unknown_protocol, icmp_error_quote, and those of
// parse_transport.h for first fragments.
#pragma once

#include <cstddef>
#include <cstring>

#include "dataplane/stages/parse_transport.h"
#include "dataplane/stages/refusal.h"

namespace portcullis::stages {

struct ParseFragment {
  static constexpr uint16_t more_fragments = 0x2000;
  static constexpr uint16_t offset_bits = 0x1fff;

  // As ParseTransport::accepted, for a packet whose header says that it is a fragment.
  static Refusal accepted(Burst& burst, uint32_t i, const uint8_t* ip, uint32_t header_length,
                          uint32_t present) {
    const HeaderView<Ipv4Header> header(ip);
    const uint16_t field = header.load<Be16>(offsetof(Ipv4Header, flags_fragment_offset)).host();
    const uint32_t total_length = header.load<Be16>(offsetof(Ipv4Header, total_length)).host();
    const auto protocol = header.load<uint8_t>(offsetof(Ipv4Header, protocol));
    const uint32_t offset = field & offset_bits;
    const uint32_t length = total_length - header_length;
    const bool is_last = (field & more_fragments) == 0;
    if (length == 0 || (!is_last && length % unit != 0)) return Drop::fragment_length;
    if (header_length + offset * unit + length > UINT16_MAX) return Drop::fragment_length;
    const uint32_t transport = transport_header(protocol);
    if (offset == 0 && length < transport) return Drop::fragment_short;
    if (offset != 0 && offset * unit < transport) return Drop::fragment_offset;

    burst.fragment[i] = {
        .identification = Be32::from_host(header.load<Be16>(offsetof(Ipv4Header, identification)).host()),
        .span = {.begin = static_cast<uint16_t>(offset),
                 .end = static_cast<uint16_t>(offset + (length + unit - 1) / unit)},
        .is_last = is_last};
    burst.fragments |= uint64_t{1} << i;
    if (offset == 0) {
      // An error fits into one packet: it quotes no more than 548 bytes.
      if (protocol == ip_protocol::icmp && present >= 1 && is_icmp_error(ip[header_length]))
        return Drop::icmp_error_quote;
      // What the transport says of its length is of the whole datagram.
      return ParseTransport::accepted(burst, i, ip, header_length, present, UINT16_MAX);
    }
    if (protocol != ip_protocol::icmp && !ip_protocol::has_ports(protocol) &&
        ip_protocol::has_no_meaning_in_ipv4(protocol))
      return Drop::unknown_protocol;
    std::memcpy(static_cast<void*>(&burst.ip[i]), ip + offsetof(Ipv4Header, ttl),
                offsetof(Ipv4Fields, source_port));
    burst.total_length[i] = static_cast<uint16_t>(total_length);
    burst.later_fragments |= uint64_t{1} << i;
    return Refusal();
  }

  // What a first fragment must hold of it.
  static constexpr uint32_t transport_header(uint8_t protocol) {
    switch (protocol) {
      case ip_protocol::tcp:
        return sizeof(TcpHeader);
      case ip_protocol::sctp:
        return sizeof(SctpHeader);
      case ip_protocol::udp:
      case ip_protocol::icmp:
      case ip_protocol::icmpv6:
        return sizeof(UdpHeader);
      default:
        return 0;
    }
  }

 private:
  static constexpr uint32_t unit = 8;
};

}  // namespace portcullis::stages
