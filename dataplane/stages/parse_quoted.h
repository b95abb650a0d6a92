// The part of parse for ICMP errors: the packet that the error is about, which RFC 792 has it quote with its
// IPv4 header and eight bytes more, and RFC 4443 (2.4 c) as much as fits. It must have been sent by whom the
// error is sent to, and be of a kind that errors are sent about (RFC 1122, 3.2.2): no ICMP error, and no
// fragment but the first, which alone has ports. Its checksum is not verified: routers on its way changed it.
//
// Reads the frame; writes Burst::quoted, ::errors. Drops: icmp_error_quote, headers_not_contiguous.
#pragma once

#include <algorithm>
#include <cstddef>

#include "dataplane/stages/family.h"
#include "dataplane/stages/ipv6_headers.h"
#include "dataplane/stages/refusal.h"
#include "src/net/cursor.h"
#include "src/net/headers.h"

namespace portcullis::stages {

struct ParseQuoted {
  // `icmp`: the error's own header; its message has `length` bytes.
  template <typename Family>
  [[gnu::noinline, gnu::cold]] static Refusal accepted(Burst& burst, uint32_t i, const uint8_t* icmp,
                                                       uint32_t length) {
    const uint8_t* const frame = frame_of(burst.mbuf[i]);
    const uint32_t present = burst.mbuf[i]->data_len - static_cast<uint32_t>(icmp - frame);
    constexpr uint32_t ip_at = sizeof(IcmpHeader);
    constexpr uint32_t least = ip_at + Family::header;
    if (length < least) return Drop::icmp_error_quote;
    if (present < least) return Drop::headers_not_contiguous;
    const uint8_t* const ip = icmp + ip_at;
    QuotedPacket& quoted = burst.quoted[i];
    uint32_t header_length = 0;
    if (const Refusal refusal = header(Family{}, quoted, ip, length - ip_at, present - ip_at, header_length);
        refusal.is_one())
      return refusal;
    const uint32_t l4_at = ip_at + header_length;
    // All that translation changes: as far as the checksum of TCP, if so much is quoted.
    if (present < std::min(length, l4_at + static_cast<uint32_t>(sizeof(TcpHeader))))
      return Drop::headers_not_contiguous;
    if (Family::source(quoted) != Family::destination(burst, i)) return Drop::icmp_error_quote;
    quoted.ip_offset = static_cast<uint16_t>(ip - frame);
    quoted.l4_offset = static_cast<uint16_t>(quoted.ip_offset + header_length);
    quoted.l4_length = static_cast<uint16_t>(length - l4_at);
    if (!layer_4<Family>(quoted, icmp + l4_at)) return Drop::icmp_error_quote;
    burst.errors |= uint64_t{1} << i;
    burst.can_be[i] = 0;
    burst.ip[i].source_port = burst.ip[i].destination_port = Port();
    return Refusal();
  }

 private:
  // Addresses, protocol, and how long the quoted header is. Of `ip` there are `length` bytes.
  static Refusal header(Ipv4, QuotedPacket& quoted, const uint8_t* ip, uint32_t length, uint32_t,
                        uint32_t& header_length) {
    const HeaderView<Ipv4Header> header(ip);
    const auto version_ihl = header.load<uint8_t>(offsetof(Ipv4Header, version_ihl));
    header_length = uint32_t{version_ihl & 0xfu} * 4;
    if (version_ihl >> 4 != 4 || header_length < sizeof(Ipv4Header) || length < header_length)
      return Drop::icmp_error_quote;
    const auto fragment = header.load<Be16>(offsetof(Ipv4Header, flags_fragment_offset)).host();
    if ((fragment & 0x1fff) != 0) return Drop::icmp_error_quote;
    quoted.source = header.load<Ipv4Addr>(offsetof(Ipv4Header, source));
    quoted.destination = header.load<Ipv4Addr>(offsetof(Ipv4Header, destination));
    quoted.protocol = header.load<uint8_t>(offsetof(Ipv4Header, protocol));
    return Refusal();
  }

  static Refusal header(Ipv6, QuotedPacket& quoted, const uint8_t* ip, uint32_t length, uint32_t present,
                        uint32_t& header_length) {
    const HeaderView<Ipv6Header> header(ip);
    if (header.load<uint8_t>(0) >> 4 != 6) return Drop::icmp_error_quote;
    const HeaderChain chain = HeaderChain::walk(ip, length, std::min(length, present));
    if (chain.end == HeaderChain::End::not_contiguous) return Drop::headers_not_contiguous;
    if (chain.end != HeaderChain::End::upper_layer) return Drop::icmp_error_quote;
    quoted.source6 = header.load<Ipv6Addr>(offsetof(Ipv6Header, source));
    quoted.destination6 = header.load<Ipv6Addr>(offsetof(Ipv6Header, destination));
    quoted.protocol = chain.protocol;
    header_length = chain.at;
    return Refusal();
  }

  template <typename Family>
  static bool layer_4(QuotedPacket& quoted, const uint8_t* l4) {
    quoted.source_port = quoted.destination_port = Port();
    const bool by_address = quoted.protocol != Family::icmp && !ip_protocol::has_ports(quoted.protocol);
    if (by_address) return !Family::has_no_meaning(quoted.protocol);
    if (quoted.l4_length < sizeof(UdpHeader)) return false;
    if (quoted.protocol == Family::icmp) {
      const HeaderView<IcmpHeader> header(l4);
      quoted.icmp_type = header.load<uint8_t>(offsetof(IcmpHeader, type));
      quoted.icmp_code = header.load<uint8_t>(offsetof(IcmpHeader, code));
      quoted.source_port = quoted.destination_port = header.load<Be16>(offsetof(IcmpHeader, identifier));
      return Family::is_query(quoted.icmp_type) || Family::is_reply(quoted.icmp_type);
    }
    // TCP, UDP and SCTP begin alike.
    const HeaderView<UdpHeader> header(l4);
    quoted.source_port = header.load<Port>(offsetof(UdpHeader, source_port));
    quoted.destination_port = header.load<Port>(offsetof(UdpHeader, destination_port));
    return true;
  }
};

}  // namespace portcullis::stages
