// What a frame is, or why nobody can say.
#include <algorithm>

#include "tests/model/reference_ipv6.h"
#include "tests/model/reference_packet.h"

namespace portcullis::reference {

std::optional<std::string> Gateway::parse(Packet& packet) const {
  const Bytes& b = packet.bytes;
  const PortSetup& port = setup_.ports[packet.in];
  // Whether the first `end` bytes lie in one buffer.
  const auto together = [&](size_t end) { return packet.first_segment == 0 || end <= packet.first_segment; };
  if (b.size() < ethernet_bytes) return "truncated";
  if (!together(ethernet_bytes)) return "headers_not_contiguous";
  const uint16_t type = get16(b, 12);
  if (type == 0x86dd) {
    const Ipv6Fate fate = fate_of(
        {.bytes = b, .first_segment = packet.first_segment, .from_uplink = port.uplink, .port = port.mac});
    packet.neighbor_answer = fate.answer;
    return fate.reason;
  }
  if (type != 0x0800 && type != 0x0806) return "unknown_ether_type";
  packet.is_arp = type == 0x0806;
  packet.sender = get_mac(b, 6);
  const Mac to = get_mac(b, 0);
  if (to != port.mac && !(packet.is_arp && to == broadcast_mac)) return "wrong_destination_mac";
  const size_t present = b.size() - ethernet_bytes;

  if (packet.is_arp) {
    if (present < arp_bytes) return "arp_malformed";
    if (!together(ethernet_bytes + arp_bytes)) return "headers_not_contiguous";
    if (get16(b, 14) != 1 || get16(b, 16) != 0x0800 || b[18] != 6 || b[19] != 4) return "arp_malformed";
    return std::nullopt;
  }

  if (present < ip_bytes) return "truncated";
  if (!together(ip_at + ip_bytes)) return "headers_not_contiguous";
  if (b[ip_at] >> 4 != 4) return "ip_version";
  const size_t header = size_t{b[ip_at] & 0xfu} * 4;
  if (header < ip_bytes || header > present) return "ip_header_length";
  packet.length = get16(b, ip_at + 2);
  if (packet.length < header || packet.length > present) return "ip_total_length";
  if (!together(ip_at + header)) return "headers_not_contiguous";
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
  packet.source = get_address(b, ip_at + 12);
  packet.destination = get_address(b, ip_at + 16);
  if (is_martian(packet.source)) return "martian_source";
  if (is_martian(packet.destination)) return "martian_destination";
  packet.ttl = b[ip_at + 8];
  packet.protocol = b[ip_at + 9];
  if ((get16(b, ip_at + 6) & 0x3fff) == 0) return parse_transport(packet);  // no more follow, and no offset
  if (auto refused = parse_fragment(packet)) return refused;
  return packet.is_first ? parse_transport(packet) : std::nullopt;
}

// RFC 791: a part of a datagram, which says where it belongs. Only the first has the transport's header, and
// must have it whole.
std::optional<std::string> Gateway::parse_fragment(Packet& packet) const {
  const Bytes& b = packet.bytes;
  const uint16_t field = get16(b, ip_at + 6);
  const size_t offset = size_t{field & 0x1fffu} * 8;
  const size_t length = ip_at + packet.length - packet.transport_at;
  packet.is_fragment = true;
  packet.is_first = offset == 0;
  packet.is_last = (field & 0x2000) == 0;
  packet.identification = get16(b, ip_at + 4);
  if (length == 0 || (!packet.is_last && length % 8 != 0) ||
      packet.transport_at - ip_at + offset + length > 65535)
    return "fragment_length";
  const size_t header = packet.protocol == tcp                              ? 20
                        : packet.protocol == sctp                           ? 16
                        : packet.protocol == udp || packet.protocol == icmp ? 8
                                                                            : 0;
  if (packet.is_first && length < header) return "fragment_short";
  if (!packet.is_first && offset < header) return "fragment_offset";
  if (!packet.is_first && is_meaningless(packet.protocol)) return "unknown_protocol";
  packet.first_part = static_cast<uint32_t>(offset / 8);
  packet.end_part = static_cast<uint32_t>((offset + length + 7) / 8);
  const bool type_in_sight = packet.first_segment == 0 || packet.transport_at + 1 <= packet.first_segment;
  if (packet.is_first && packet.protocol == icmp && type_in_sight && is_error(b[packet.transport_at]))
    return "icmp_error_quote";
  return std::nullopt;
}

std::optional<std::string> Gateway::parse_transport(Packet& packet) const {
  const Bytes& b = packet.bytes;
  const size_t transport_at = packet.transport_at;
  // A first fragment speaks of more than it has.
  const size_t length = packet.is_fragment ? 65535 : packet.length + ip_at - transport_at;
  const auto together = [&](size_t header) {
    return packet.first_segment == 0 || transport_at + header <= packet.first_segment;
  };
  switch (packet.protocol) {
    case tcp: {
      if (length < 20) return "tcp_header";
      if (!together(20)) return "headers_not_contiguous";
      const size_t header = size_t{b[transport_at + 12]} / 16 * 4;
      if (header < 20 || header > length) return "tcp_header";
      packet.tcp_flags = b[transport_at + 13];
      const uint8_t flags = packet.tcp_flags & (fin | syn | rst | psh | ack | urg);
      if (flags == 0 || (flags & (syn | fin)) == (syn | fin) || (flags & (syn | rst)) == (syn | rst))
        return "tcp_flags";
      packet.source_port = get16(b, transport_at);
      packet.destination_port = get16(b, transport_at + 2);
      return std::nullopt;
    }
    case udp: {
      if (length < 8) return "udp_length";
      if (!together(8)) return "headers_not_contiguous";
      const uint16_t udp_length = get16(b, transport_at + 4);
      if (udp_length < 8 || udp_length > length) return "udp_length";
      packet.source_port = get16(b, transport_at);
      packet.destination_port = get16(b, transport_at + 2);
      return std::nullopt;
    }
    case icmp:
      if (length < 8) return "icmp_header";
      if (!together(8)) return "headers_not_contiguous";
      packet.icmp_type = b[transport_at];
      packet.icmp_code = b[transport_at + 1];
      if (is_error(packet.icmp_type)) return parse_quote(packet);
      if (!is_query(packet.icmp_type) && !is_reply(packet.icmp_type)) return "icmp_type";
      packet.source_port = packet.destination_port = get16(b, transport_at + 4);
      return std::nullopt;
    case sctp:
      if (length < 16) return "sctp_header";
      if (!together(16)) return "headers_not_contiguous";
      packet.source_port = get16(b, transport_at);
      packet.destination_port = get16(b, transport_at + 2);
      packet.sctp_chunk = b[transport_at + 12];
      return std::nullopt;
    default:  // by address
      return is_meaningless(packet.protocol) ? std::optional<std::string>("unknown_protocol") : std::nullopt;
  }
}

// RFC 792: an error quotes the header of the packet that it is about, and at least eight bytes more. Errors
// are sent to who sent that packet, and never about other errors or about fragments after the first (RFC
// 1122).
std::optional<std::string> Gateway::parse_quote(Packet& packet) const {
  const Bytes& b = packet.bytes;
  const size_t end = ip_at + packet.length;
  const auto together = [&](size_t to) { return packet.first_segment == 0 || to <= packet.first_segment; };
  Quote quote;
  quote.ip_at = packet.transport_at + 8;
  quote.end = end;
  if (end < quote.ip_at + ip_bytes) return "icmp_error_quote";
  if (!together(quote.ip_at + ip_bytes)) return "headers_not_contiguous";
  const size_t header = size_t{b[quote.ip_at] & 0xfu} * 4;
  if (b[quote.ip_at] >> 4 != 4 || header < ip_bytes) return "icmp_error_quote";
  quote.transport_at = quote.ip_at + header;
  if (end < quote.transport_at) return "icmp_error_quote";
  if ((get16(b, quote.ip_at + 6) & 0x1fff) != 0) return "icmp_error_quote";  // not the first fragment
  if (!together(std::min(end, quote.transport_at + 20))) return "headers_not_contiguous";
  quote.source = get_address(b, quote.ip_at + 12);
  quote.destination = get_address(b, quote.ip_at + 16);
  quote.protocol = b[quote.ip_at + 9];
  if (quote.source != packet.destination || is_meaningless(quote.protocol)) return "icmp_error_quote";
  if (has_ports(quote.protocol) || quote.protocol == icmp) {
    if (end < quote.transport_at + 8) return "icmp_error_quote";
    quote.source_port = get16(b, quote.transport_at);
    quote.destination_port = get16(b, quote.transport_at + 2);
  }
  if (quote.protocol == icmp) {
    quote.icmp_type = b[quote.transport_at];
    quote.icmp_code = b[quote.transport_at + 1];
    quote.source_port = quote.destination_port = get16(b, quote.transport_at + 4);
    if (!is_query(quote.icmp_type) && !is_reply(quote.icmp_type)) return "icmp_error_quote";
  }
  packet.quote = quote;
  return std::nullopt;
}

}  // namespace portcullis::reference
