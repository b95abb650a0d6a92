// What a frame is, or why nobody can say: Ethernet, ARP, IPv4, and what both families carry.
#include "tests/model/reference_packet.h"

namespace portcullis::reference {

Gateway::Refusal Gateway::parse(Packet& packet) const {
  const Bytes& b = packet.bytes;
  const PortSetup& port = setup_.ports[packet.in];
  if (!packet.together(ethernet_bytes)) return packet.cut_short("truncated");
  const uint16_t type = get16(b, 12);
  packet.sender = get_mac(b, 6);
  const Mac to = get_mac(b, 0);
  if (type == 0x86dd) {
    packet.family = IpFamily::ipv6;
    const bool to_group = b[0] == 0x33 && b[1] == 0x33;  // RFC 2464, 7
    return to != port.mac && !to_group ? "wrong_destination_mac" : parse_ipv6(packet, to != port.mac);
  }
  if (type != 0x0800 && type != 0x0806) return "unknown_ether_type";
  if (type == 0x0806) {
    packet.kind = FrameKind::arp;
    if (to != port.mac && to != broadcast_mac) return "wrong_destination_mac";
    if (!packet.together(ethernet_bytes + arp_bytes)) return packet.cut_short("arp_malformed");
    if (get16(b, 14) != 1 || get16(b, 16) != 0x0800 || b[18] != 6 || b[19] != 4) return "arp_malformed";
    return std::nullopt;
  }
  packet.family = IpFamily::ipv4;
  return to != port.mac ? "wrong_destination_mac" : parse_ipv4(packet);
}

Gateway::Refusal Gateway::parse_ipv4(Packet& packet) {
  const Bytes& b = packet.bytes;
  const size_t present = b.size() - ethernet_bytes;
  if (!packet.together(ip_at + ip_bytes)) return packet.cut_short("truncated");
  if (b[ip_at] >> 4 != 4) return "ip_version";
  const size_t header = size_t{b[ip_at] & 0xfu} * 4;
  if (header < ip_bytes || header > present) return "ip_header_length";
  packet.length = get16(b, ip_at + 2);
  if (packet.length < header || packet.length > present) return "ip_total_length";
  if (!packet.together(ip_at + header)) return "headers_not_contiguous";
  const uint16_t checksum = get16(b, ip_at + 10);
  const uint16_t right = header_checksum(b, ip_at, header);
  // Plus and minus zero are one number.
  if (checksum % 0xffff != right % 0xffff) return "ip_checksum";
  for (size_t at = ip_at + ip_bytes; at < ip_at + header && b[at] != 0;) {
    if (b[at] == 131 || b[at] == 137) return "ip_source_route";  // loose, strict
    if (b[at] == 1) {
      ++at;  // no operation
      continue;
    }
    const size_t left = ip_at + header - at;
    if (left < 2 || b[at + 1] < 2 || b[at + 1] > left) return "ip_options";
    at += b[at + 1];
  }
  packet.transport_at = ip_at + header;
  packet.source = get_ipv4(b, ip_at + 12);
  packet.destination = get_ipv4(b, ip_at + 16);
  if (is_martian(packet.source.v4())) return "martian_source";
  if (is_martian(packet.destination.v4())) return "martian_destination";
  packet.ttl = b[ip_at + 8];
  packet.protocol = b[ip_at + 9];
  if ((get16(b, ip_at + 6) & 0x3fff) == 0) return parse_transport(packet);  // no more follow, and no offset
  if (auto refused = parse_fragment(packet)) return refused;
  return packet.is_first ? parse_transport(packet) : std::nullopt;
}

// RFC 791: a part of a datagram, which says where it belongs. Only the first has the transport's header, and
// must have it whole.
Gateway::Refusal Gateway::parse_fragment(Packet& packet) {
  const Bytes& b = packet.bytes;
  const uint16_t field = get16(b, ip_at + 6);
  const size_t offset = size_t{field & 0x1fffu} * 8;
  const size_t length = packet.end() - packet.transport_at;
  packet.is_fragment = true;
  packet.is_first = offset == 0;
  packet.is_last = (field & 0x2000) == 0;
  packet.identification = get16(b, ip_at + 4);
  if (length == 0 || (!packet.is_last && length % 8 != 0) ||
      packet.transport_at - ip_at + offset + length > 65535)
    return "fragment_length";
  const size_t header = transport_header(packet.protocol);
  if (packet.is_first && length < header) return "fragment_short";
  if (!packet.is_first && offset < header) return "fragment_offset";
  if (!packet.is_first && is_meaningless(IpFamily::ipv4, packet.protocol)) return "unknown_protocol";
  packet.first_part = static_cast<uint32_t>(offset / 8);
  packet.end_part = static_cast<uint32_t>((offset + length + 7) / 8);
  const bool type_in_sight = packet.together(packet.transport_at + 1);
  if (packet.is_first && packet.protocol == icmp && type_in_sight && is_error(icmp, b[packet.transport_at]))
    return "icmp_error_quote";
  return std::nullopt;
}

Gateway::Refusal Gateway::parse_transport(Packet& packet) {
  const Bytes& b = packet.bytes;
  const size_t at = packet.transport_at;
  // A first fragment speaks of more than it has.
  const size_t length = packet.is_fragment ? 65535 : packet.end() - at;
  if (is_meaningless(*packet.family, packet.protocol)) return "unknown_protocol";
  const auto take_ports = [&] {
    packet.source_port = get16(b, at);
    packet.destination_port = get16(b, at + 2);
  };
  switch (packet.protocol) {
    case tcp: {
      if (length < 20) return "tcp_header";
      if (!packet.together(at + 20)) return "headers_not_contiguous";
      const size_t header = size_t{b[at + 12]} / 16 * 4;
      if (header < 20 || header > length) return "tcp_header";
      packet.tcp_flags = b[at + 13];
      const uint8_t flags = packet.tcp_flags & (fin | syn | rst | psh | ack | urg);
      if (flags == 0 || (flags & (syn | fin)) == (syn | fin) || (flags & (syn | rst)) == (syn | rst))
        return "tcp_flags";
      take_ports();
      return std::nullopt;
    }
    case udp: {
      if (length < 8) return "udp_length";
      if (!packet.together(at + 8)) return "headers_not_contiguous";
      const uint16_t udp_length = get16(b, at + 4);
      if (udp_length < 8 || udp_length > length) return "udp_length";
      take_ports();
      return std::nullopt;
    }
    case icmp:
    case icmpv6:
      if (length < 8) return "icmp_header";
      if (!packet.together(at + 8)) return "headers_not_contiguous";
      packet.icmp_type = b[at];
      packet.icmp_code = b[at + 1];
      if (is_error(packet.protocol, packet.icmp_type)) return parse_quote(packet);
      if (!is_query(packet.protocol, packet.icmp_type) && !is_reply(packet.protocol, packet.icmp_type))
        return "icmp_type";
      packet.source_port = packet.destination_port = get16(b, at + 4);
      return std::nullopt;
    case sctp:
      if (length < 16) return "sctp_header";
      if (!packet.together(at + 16)) return "headers_not_contiguous";
      take_ports();
      packet.sctp_chunk = b[at + 12];
      return std::nullopt;
    default:  // by address
      return std::nullopt;
  }
}

// RFC 792 and 4443 (2.4 c): an error quotes the header of the packet that it is about, and at least eight
// bytes more. Errors are sent to who sent that packet, and never about other errors or about fragments after
// the first (RFC 1122).
Gateway::Refusal Gateway::parse_quote(Packet& packet) {
  const Bytes& b = packet.bytes;
  Quote quote;
  quote.ip_at = packet.transport_at + 8;
  quote.end = packet.end();
  const size_t least = packet.is_ipv6() ? ipv6_bytes : ip_bytes;
  if (quote.end < quote.ip_at + least) return "icmp_error_quote";
  if (!packet.together(quote.ip_at + least)) return "headers_not_contiguous";
  if (Refusal refused = packet.is_ipv6() ? quote_ipv6(packet, quote) : quote_ipv4(packet, quote))
    return refused;
  if (!packet.together(std::min(quote.end, quote.transport_at + 20))) return "headers_not_contiguous";
  if (quote.source != packet.destination || is_meaningless(*packet.family, quote.protocol))
    return "icmp_error_quote";
  if (has_ports(quote.protocol) || is_icmp(quote.protocol)) {
    if (quote.end < quote.transport_at + 8) return "icmp_error_quote";
    quote.source_port = get16(b, quote.transport_at);
    quote.destination_port = get16(b, quote.transport_at + 2);
  }
  if (is_icmp(quote.protocol)) {
    quote.icmp_type = b[quote.transport_at];
    quote.icmp_code = b[quote.transport_at + 1];
    quote.source_port = quote.destination_port = get16(b, quote.transport_at + 4);
    if (!is_query(quote.protocol, quote.icmp_type) && !is_reply(quote.protocol, quote.icmp_type))
      return "icmp_error_quote";
  }
  packet.quote = quote;
  return std::nullopt;
}

Gateway::Refusal Gateway::quote_ipv4(const Packet& packet, Quote& quote) {
  const Bytes& b = packet.bytes;
  const size_t header = size_t{b[quote.ip_at] & 0xfu} * 4;
  if (b[quote.ip_at] >> 4 != 4 || header < ip_bytes) return "icmp_error_quote";
  quote.transport_at = quote.ip_at + header;
  if (quote.end < quote.transport_at) return "icmp_error_quote";
  if ((get16(b, quote.ip_at + 6) & 0x1fff) != 0) return "icmp_error_quote";  // not the first fragment
  quote.source = get_ipv4(b, quote.ip_at + 12);
  quote.destination = get_ipv4(b, quote.ip_at + 16);
  quote.protocol = b[quote.ip_at + 9];
  return std::nullopt;
}

}  // namespace portcullis::reference
