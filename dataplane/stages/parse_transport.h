// The part of parse behind the header of layer 3: ports or identifier, flags, and what the packet can be for
// a permit list. Bounded reads in the order of RFC 9293, 768, 9260 and 792, lengths before use. Protocols
// without ports or queries have both ports 0.
//
// Reads the frame; writes Burst::ip, ::total_length, ::can_be, ::tcp_flags, ::icmp_type, ::icmp_code,
// ::quoted, ::errors.
// Drops: unknown_protocol … icmp_error_quote, headers_not_contiguous.
#pragma once

#include <cstddef>
#include <cstring>

#include "dataplane/stages/parse_quoted.h"
#include "dataplane/stages/refusal.h"
#include "dataplane/stages/tcp_flags.h"
#include "dataplane/worker_state.h"
#include "src/net/cursor.h"
#include "src/net/headers.h"

namespace portcullis::stages {

struct ParseTransport {
  // The header of layer 3, of `header_length` bytes, is as it must be; of layer 4 there are `present` bytes
  // in the same buffer, or more. `length`: of layer 4, as far as its own header may speak of it.
  static Refusal accepted(Burst& burst, uint32_t i, const uint8_t* ip, uint32_t header_length,
                          uint32_t present, uint32_t length) {
    const HeaderView<Ipv4Header> header(ip);
    Ipv4Fields& fields = burst.ip[i];
    std::memcpy(&fields, ip + offsetof(Ipv4Header, ttl),
                present >= 2 * sizeof(Port) ? sizeof fields : offsetof(Ipv4Fields, source_port));
    const uint32_t total_length = header.load<Be16>(offsetof(Ipv4Header, total_length)).host();
    burst.total_length[i] = static_cast<uint16_t>(total_length);
    const uint8_t* const l4 = ip + header_length;
    if (header_length != sizeof(Ipv4Header) && present >= 2 * sizeof(Port)) [[unlikely]]
      std::memcpy(&fields.source_port, l4, 2 * sizeof(Port));
    // TCP by itself: a switch with many cases is a jump through a table.
    const auto protocol = header.load<uint8_t>(offsetof(Ipv4Header, protocol));
    if (protocol == ip_protocol::tcp) [[likely]]
      return tcp(burst, i, l4, length, present);
    return layer_4<Ipv4>(burst, i, protocol, l4, length, present);
  }

  // Of either family; the fields hold the first four bytes as ports.
  template <typename Family>
  static Refusal layer_4(Burst& burst, uint32_t i, uint8_t protocol, const uint8_t* l4, uint32_t length,
                         uint32_t present) {
    if (protocol == Family::icmp) return icmp<Family>(burst, i, l4, length, present);
    if (Family::has_no_meaning(protocol)) return Drop::unknown_protocol;
    switch (protocol) {
      case ip_protocol::tcp:
        return tcp(burst, i, l4, length, present);
      case ip_protocol::udp:
        return udp(burst, i, l4, length, present);
      case ip_protocol::sctp:
        return sctp(burst, i, l4, length, present);
      default:
        return by_address(burst, i);
    }
  }

  static Refusal tcp(Burst& burst, uint32_t i, const uint8_t* l4, uint32_t length, uint32_t present) {
    const HeaderView<TcpHeader> header(l4);
    if (length < sizeof(TcpHeader)) return Drop::tcp_header;
    if (present < sizeof(TcpHeader)) return Drop::headers_not_contiguous;
    const uint32_t header_length = uint32_t{header.load<uint8_t>(offsetof(TcpHeader, data_offset))} / 16 * 4;
    if (header_length < sizeof(TcpHeader) || header_length > length) return Drop::tcp_header;
    const uint8_t flags = header.load<uint8_t>(offsetof(TcpHeader, flags)) & all_tcp_flags;
    const uint8_t can_be = can_be_by_tcp_flags[flags];
    if (can_be == 0) return Drop::tcp_flags;
    burst.tcp_flags[i] = flags;
    burst.can_be[i] = can_be;
    return Refusal();
  }

  static Refusal udp(Burst& burst, uint32_t i, const uint8_t* l4, uint32_t length, uint32_t present) {
    const HeaderView<UdpHeader> header(l4);
    if (length < sizeof(UdpHeader)) return Drop::udp_length;
    if (present < sizeof(UdpHeader)) return Drop::headers_not_contiguous;
    const uint32_t claimed = header.load<Be16>(offsetof(UdpHeader, length)).host();
    if (claimed < sizeof(UdpHeader) || claimed > length) return Drop::udp_length;
    burst.can_be[i] = CanBe::reply | CanBe::opener;
    return Refusal();
  }

 private:
  static Refusal sctp(Burst& burst, uint32_t i, const uint8_t* l4, uint32_t length, uint32_t present) {
    const HeaderView<SctpHeader> header(l4);
    if (length < sizeof(SctpHeader)) return Drop::sctp_header;
    if (present < sizeof(SctpHeader)) return Drop::headers_not_contiguous;
    const auto chunk = header.load<uint8_t>(offsetof(SctpHeader, chunk_type));
    burst.can_be[i] = can_be_by_sctp_chunk(chunk);
    return Refusal();
  }

  static constexpr uint8_t can_be_by_sctp_chunk(uint8_t chunk) {
    switch (chunk) {
      case sctp_chunk::init:
        return CanBe::beginning | CanBe::opener;
      // What a sender has no reason to send first.
      case sctp_chunk::init_ack:
      case sctp_chunk::heartbeat_ack:
      case sctp_chunk::abort:
      case sctp_chunk::shutdown_ack:
      case sctp_chunk::error:
      case sctp_chunk::cookie_ack:
      case sctp_chunk::shutdown_complete:
        return CanBe::reply;
      default:
        return CanBe::reply | CanBe::opener;
    }
  }

  // GRE, ESP and all others: only addresses tell their packets apart.
  static Refusal by_address(Burst& burst, uint32_t i) {
    burst.ip[i].source_port = burst.ip[i].destination_port = Port();
    burst.can_be[i] = CanBe::opener;
    return Refusal();
  }

  template <typename Family>
  static Refusal icmp(Burst& burst, uint32_t i, const uint8_t* l4, uint32_t length, uint32_t present) {
    const HeaderView<IcmpHeader> header(l4);
    if (length < sizeof(IcmpHeader)) return Drop::icmp_header;
    if (present < sizeof(IcmpHeader)) return Drop::headers_not_contiguous;
    const auto type = header.load<uint8_t>(offsetof(IcmpHeader, type));
    burst.icmp_type[i] = type;
    burst.icmp_code[i] = header.load<uint8_t>(offsetof(IcmpHeader, code));
    if (!Family::is_query(type) && !Family::is_reply(type)) [[unlikely]]
      return Family::is_error(type) ? ParseQuoted::accepted<Family>(burst, i, l4, length) : Drop::icmp_type;
    burst.can_be[i] = Family::is_query(type) ? CanBe::opener : CanBe::reply;
    burst.ip[i].source_port = header.load<Be16>(offsetof(IcmpHeader, identifier));
    burst.ip[i].destination_port = burst.ip[i].source_port;
    return Refusal();
  }
};

}  // namespace portcullis::stages
