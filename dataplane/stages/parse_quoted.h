// The part of parse for ICMP errors: the packet that the error is about, which RFC 792 has it quote with its
// IPv4 header and eight bytes more. It must have been sent by whom the error is sent to, and be of a kind
// that errors are sent about (RFC 1122, 3.2.2): no ICMP error, and no fragment but the first, which alone has
// ports. Its checksum is not verified: routers on its way changed it.
//
// Reads the frame; writes Burst::quoted, ::errors. Drops: icmp_error_quote, headers_not_contiguous.
#pragma once

#include <algorithm>
#include <cstddef>

#include "dataplane/burst.h"
#include "dataplane/stages/refusal.h"
#include "src/net/cursor.h"
#include "src/net/headers.h"

namespace portcullis::stages {

struct ParseQuoted {
  // `icmp`: the error's own header; its message has `length` bytes.
  [[gnu::noinline, gnu::cold]] static Refusal accepted(Burst& burst, uint32_t i, const uint8_t* icmp,
                                                       uint32_t length) {
    const uint8_t* const frame = frame_of(burst.mbuf[i]);
    const uint32_t present = burst.mbuf[i]->data_len - static_cast<uint32_t>(icmp - frame);
    constexpr uint32_t ip_at = sizeof(IcmpHeader);
    if (length < ip_at + sizeof(Ipv4Header)) return Drop::icmp_error_quote;
    if (present < ip_at + sizeof(Ipv4Header)) return Drop::headers_not_contiguous;
    const uint8_t* const ip = icmp + ip_at;
    const HeaderView<Ipv4Header> header(ip);
    const auto version_ihl = header.load<uint8_t>(offsetof(Ipv4Header, version_ihl));
    const uint32_t header_length = uint32_t{version_ihl & 0xfu} * 4;
    if (version_ihl >> 4 != 4 || header_length < sizeof(Ipv4Header)) return Drop::icmp_error_quote;
    const uint32_t l4_at = ip_at + header_length;
    if (length < l4_at) return Drop::icmp_error_quote;
    // All that translation changes: as far as the checksum of TCP, if so much is quoted.
    if (present < std::min(length, l4_at + static_cast<uint32_t>(sizeof(TcpHeader))))
      return Drop::headers_not_contiguous;
    const auto fragment = header.load<Be16>(offsetof(Ipv4Header, flags_fragment_offset)).host();
    if ((fragment & 0x1fff) != 0) return Drop::icmp_error_quote;

    QuotedPacket& quoted = burst.quoted[i];
    quoted.source = header.load<Ipv4Addr>(offsetof(Ipv4Header, source));
    quoted.destination = header.load<Ipv4Addr>(offsetof(Ipv4Header, destination));
    if (quoted.source != burst.ip[i].destination) return Drop::icmp_error_quote;
    quoted.protocol = header.load<uint8_t>(offsetof(Ipv4Header, protocol));
    quoted.ip_offset = static_cast<uint16_t>(ip - frame);
    quoted.l4_offset = static_cast<uint16_t>(quoted.ip_offset + header_length);
    quoted.l4_length = static_cast<uint16_t>(length - l4_at);
    if (!quote_layer_4(quoted, icmp + l4_at)) return Drop::icmp_error_quote;
    burst.errors |= uint64_t{1} << i;
    burst.can_be[i] = 0;
    burst.ip[i].source_port = burst.ip[i].destination_port = Port();
    return Refusal();
  }

 private:
  static bool quote_layer_4(QuotedPacket& quoted, const uint8_t* l4) {
    quoted.source_port = quoted.destination_port = Port();
    const bool by_address = quoted.protocol != ip_protocol::icmp && !ip_protocol::has_ports(quoted.protocol);
    if (by_address) return !ip_protocol::has_no_meaning_in_ipv4(quoted.protocol);
    if (quoted.l4_length < sizeof(UdpHeader)) return false;
    if (quoted.protocol == ip_protocol::icmp) {
      const HeaderView<IcmpHeader> header(l4);
      quoted.icmp_type = header.load<uint8_t>(offsetof(IcmpHeader, type));
      quoted.icmp_code = header.load<uint8_t>(offsetof(IcmpHeader, code));
      quoted.source_port = quoted.destination_port = header.load<Be16>(offsetof(IcmpHeader, identifier));
      return is_icmp_query(quoted.icmp_type) || is_icmp_reply(quoted.icmp_type);
    }
    // TCP, UDP and SCTP begin alike.
    const HeaderView<UdpHeader> header(l4);
    quoted.source_port = header.load<Port>(offsetof(UdpHeader, source_port));
    quoted.destination_port = header.load<Port>(offsetof(UdpHeader, destination_port));
    return true;
  }
};

}  // namespace portcullis::stages
