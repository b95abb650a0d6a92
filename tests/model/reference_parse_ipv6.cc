// What an IPv6 frame is, or why nobody can say: the header, what lies between it and the transport's, and
// Neighbor Discovery.
#include "tests/model/reference_packet.h"

namespace portcullis::reference {
namespace {

constexpr uint8_t hop_by_hop = 0, routing = 43, fragment = 44, destination_options = 60;

// RFC 8200, 4: the headers between IPv6's and the transport's. Positions are of the frame.
struct Walk {
  std::string broken;  // why there is no transport header to be found, if there is none
  uint8_t protocol = 0;
  size_t at = 0;
  size_t fragment_at = 0;  // of a fragment header that makes it a fragment
  bool is_later = false;
};

// `ip`: where the IPv6 header lies; `end`: of the packet; `seen`: as much as lies in the first buffer.
Walk walk(const Bytes& b, size_t ip, size_t end, size_t seen) {
  Walk w;
  w.protocol = b[ip + 6];
  w.at = ip + ipv6_bytes;
  bool fragment_seen = false;
  const auto broken = [&](const char* why) {
    w.broken = why;
    return w;
  };
  for (int n = 0;; ++n) {
    const bool is_extension = w.protocol == hop_by_hop || w.protocol == routing || w.protocol == fragment ||
                              w.protocol == destination_options;
    if (!is_extension) return w.at > seen ? broken("headers_not_contiguous") : w;
    if (n == 8 || (w.protocol == hop_by_hop && n > 0)) return broken("ipv6_extension_headers");
    if (w.at + 8 > end) return broken("cut short");
    if (w.at + 8 > seen) return broken("headers_not_contiguous");
    size_t size = 8;
    if (w.protocol == fragment) {
      if (fragment_seen) return broken("ipv6_extension_headers");
      fragment_seen = true;
      const uint16_t field = get16(b, w.at + 2);
      if (field >> 3 != 0 || (field & 1) != 0) w.fragment_at = w.at;  // RFC 6946: else it is whole
      if (field >> 3 != 0) {
        w.is_later = true;
        return w;
      }
    } else {
      size += size_t{b[w.at + 1]} * 8;
      if (w.protocol == routing && b[w.at + 3] != 0) return broken("ip_source_route");
    }
    if (w.at + size > end) return broken("cut short");
    w.protocol = b[w.at];
    w.at += size;
  }
}

}  // namespace

// `to_group`: the frame is for a group of stations, of which nothing but Neighbor Discovery is for a gateway.
Gateway::Refusal Gateway::parse_ipv6(Packet& packet, bool to_group) {
  const Bytes& b = packet.bytes;
  if (!packet.together(ip_at + ipv6_bytes)) return packet.cut_short("truncated");
  if (b[ip_at] >> 4 != 6) return "ip_version";
  const size_t length = ipv6_bytes + get16(b, ip_at + 4);
  if (length > b.size() - ip_at || length > 65535) return "ip_total_length";
  packet.length = static_cast<uint16_t>(length);
  packet.source = get_ipv6(b, ip_at + 8);
  packet.destination = get_ipv6(b, ip_at + 24);
  packet.ttl = b[ip_at + 7];
  packet.transport_at = ip_at + ipv6_bytes;

  const size_t end = packet.end();
  const size_t seen = std::min(packet.in_buffer(), end);
  const bool type_in_sight = b[ip_at + 6] == icmpv6 && seen > packet.transport_at;
  if (type_in_sight && b[packet.transport_at] >= 133 && b[packet.transport_at] <= 137) {
    if (seen < end) return "headers_not_contiguous";
    packet.kind = FrameKind::neighbor;
    const bool is_right =
        packet.ttl == 255 && end - packet.transport_at >= 8 && b[packet.transport_at + 1] == 0 &&
        icmpv6_sum(packet.source, packet.destination, b, packet.transport_at, end) == 0xffff;
    return is_right ? std::nullopt : Refusal("neighbor_malformed");
  }
  if (to_group) return "wrong_destination_mac";
  if (is_martian(packet.source.v6())) return "martian_source";
  if (is_martian(packet.destination.v6())) return "martian_destination";
  const Walk w = walk(b, ip_at, end, seen);
  packet.protocol = w.protocol;
  packet.transport_at = w.at;
  if (w.fragment_at != 0) {
    if (const Refusal refused = parse_ipv6_fragment(packet, w.fragment_at)) return refused;
    if (w.is_later) return std::nullopt;
  }
  if (w.broken == "cut short") return w.fragment_at != 0 ? "fragment_short" : "ipv6_extension_headers";
  if (!w.broken.empty()) return w.broken;
  if (w.fragment_at != 0) {
    if (end - w.at < transport_header(w.protocol)) return "fragment_short";
    if (w.protocol == icmpv6 && seen > w.at && is_error(icmpv6, b[w.at])) return "icmp_error_quote";
  }
  return parse_transport(packet);
}

// RFC 8200, 4.5. `at`: where the fragment header lies.
Gateway::Refusal Gateway::parse_ipv6_fragment(Packet& packet, size_t at) {
  const Bytes& b = packet.bytes;
  const uint16_t field = get16(b, at + 2);
  const size_t offset = field & 0xfff8;
  const size_t size = packet.end() - at - 8;
  packet.is_fragment = true;
  packet.is_first = offset == 0;
  packet.is_last = (field & 1) == 0;
  packet.identification = uint32_t{get16(b, at + 4)} << 16 | get16(b, at + 6);
  packet.first_part = static_cast<uint32_t>(offset / 8);
  packet.end_part = static_cast<uint32_t>((offset + size + 7) / 8);
  if (size == 0 || (!packet.is_last && size % 8 != 0) || offset + size > 65535) return "fragment_length";
  return std::nullopt;
}

Gateway::Refusal Gateway::quote_ipv6(const Packet& packet, Quote& quote) {
  const Bytes& b = packet.bytes;
  if (b[quote.ip_at] >> 4 != 6) return "icmp_error_quote";
  const Walk w = walk(b, quote.ip_at, quote.end, std::min(packet.in_buffer(), quote.end));
  if (w.broken == "headers_not_contiguous") return w.broken;
  if (!w.broken.empty() || w.is_later) return "icmp_error_quote";
  quote.transport_at = w.at;
  quote.protocol = w.protocol;
  quote.source = get_ipv6(b, quote.ip_at + 8);
  quote.destination = get_ipv6(b, quote.ip_at + 24);
  return std::nullopt;
}

}  // namespace portcullis::reference
