#include "tests/model/frames.h"

#include <cstdio>
#include <initializer_list>

namespace portcullis::testing {
namespace {

constexpr size_t ip_bytes = 20;

void append16(Bytes& bytes, uint16_t value) {
  bytes.push_back(static_cast<uint8_t>(value >> 8));
  bytes.push_back(static_cast<uint8_t>(value));
}

void append(Bytes& bytes, Ipv4Addr address) {
  append16(bytes, static_cast<uint16_t>(address.host() >> 16));
  append16(bytes, static_cast<uint16_t>(address.host()));
}

void append(Bytes& bytes, const Mac& mac) {
  bytes.insert(bytes.end(), mac.bytes.begin(), mac.bytes.end());
}

uint32_t sum_of(const Bytes& bytes, size_t from, size_t to) {
  uint32_t sum = 0;
  for (size_t i = from; i < to; i += 2)
    sum += static_cast<uint32_t>(bytes[i] << 8) + (i + 1 < to ? bytes[i + 1] : 0u);
  return sum;
}

uint16_t fold(uint32_t sum) {
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}

size_t transport_of(const Bytes& frame) {
  return ip_at + size_t{frame[ip_at] & 0xfu} * 4;
}

bool has_internet_checksum(uint8_t protocol) {
  return protocol == tcp || protocol == udp || protocol == icmp || protocol == icmpv6;
}

// Of other protocols' headers there is nothing to build: all is payload.
size_t transport_header(uint8_t protocol) {
  return protocol == tcp ? 20 : protocol == sctp ? 16 : has_internet_checksum(protocol) ? 8 : 0;
}

size_t checksum_offset(uint8_t protocol) {
  return protocol == tcp ? 16 : protocol == udp ? 6 : 2;
}

// The whole transport segment, and for all but ICMP the pseudo-header: addresses, protocol and length (RFC
// 9293, 3.1; RFC 8200, 8.1).
uint16_t transport_sum(const Bytes& frame, const Layout& packet) {
  uint32_t sum = sum_of(frame, packet.transport_at, packet.end);
  if (packet.protocol == icmp) return fold(sum);
  const bool ipv6 = packet.family == IpFamily::ipv6;
  sum += sum_of(frame, ip_at + (ipv6 ? 8 : 12), ip_at + (ipv6 ? 40 : 20));
  return fold(sum + packet.protocol + static_cast<uint32_t>(packet.end - packet.transport_at));
}

// Of an SCTP packet whose checksum field counts as zero (RFC 9260, 6.8 and appendix A), as its bytes lie in
// the field, the first one lowest.
uint32_t crc32c(const Bytes& frame, const Layout& packet) {
  constexpr uint32_t reflected_polynomial = 0x82f63b78;
  const size_t field = packet.transport_at + 8;
  uint32_t crc = UINT32_MAX;
  for (size_t i = packet.transport_at; i < packet.end; ++i) {
    crc ^= i >= field && i < field + 4 ? 0u : frame[i];
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ ((crc & 1) != 0 ? reflected_polynomial : 0);
  }
  return ~crc;
}

uint32_t sctp_checksum(const Bytes& frame, const Layout& packet) {
  uint32_t checksum = 0;
  for (size_t i = 0; i < 4; ++i) checksum |= uint32_t{frame[packet.transport_at + 8 + i]} << 8 * i;
  return checksum;
}

// Of a frame just built, whose field is zero.
void put_transport_checksum(Bytes& frame, const Layout& packet) {
  if (packet.protocol == sctp) {
    const uint32_t checksum = crc32c(frame, packet);
    for (size_t i = 0; i < 4; ++i)
      frame[packet.transport_at + 8 + i] = static_cast<uint8_t>(checksum >> 8 * i);
  }
  if (!has_internet_checksum(packet.protocol)) return;
  const auto checksum = static_cast<uint16_t>(~transport_sum(frame, packet));
  put16(frame, packet.transport_at + checksum_offset(packet.protocol),
        packet.protocol == udp && checksum == 0 ? 0xffff : checksum);
}

// A transport header with no checksum yet, and what it carries.
template <typename AnyPacket>
void append_transport(Bytes& b, const AnyPacket& p, uint16_t icmp_sequence) {
  if (p.protocol == sctp) {
    append16(b, p.source_port);
    append16(b, p.destination_port);
    for (const uint16_t word : std::initializer_list<uint16_t>{0x1234, 0x5678, 0, 0}) append16(b, word);
    b.push_back(p.sctp_chunk);
    b.push_back(0);
    append16(b, static_cast<uint16_t>(4 + p.payload.size()));
  } else if (p.protocol == tcp) {
    append16(b, p.source_port);
    append16(b, p.destination_port);
    for (int i = 0; i < 4; ++i) append16(b, static_cast<uint16_t>(0x1000 + i));
    b.push_back(0x50);
    b.push_back(p.flags);
    append16(b, 0x7210);
    append16(b, 0);
    append16(b, 0);
  } else if (p.protocol == udp) {
    append16(b, p.source_port);
    append16(b, p.destination_port);
    append16(b, static_cast<uint16_t>(transport_header(udp) + p.payload.size()));
    append16(b, 0);
  } else if (p.protocol == icmp || p.protocol == icmpv6) {
    b.push_back(p.icmp_type);
    b.push_back(p.icmp_code);
    append16(b, 0);
    append16(b, p.icmp_id);
    append16(b, icmp_sequence);
  }
}

}  // namespace

uint16_t get16(const Bytes& bytes, size_t at) {
  return static_cast<uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}

void put16(Bytes& bytes, size_t at, uint16_t value) {
  bytes[at] = static_cast<uint8_t>(value >> 8);
  bytes[at + 1] = static_cast<uint8_t>(value);
}

Ipv4Addr get_address(const Bytes& bytes, size_t at) {
  return Ipv4Addr::of(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]);
}

Mac get_mac(const Bytes& bytes, size_t at) {
  Mac mac;
  for (size_t i = 0; i < 6; ++i) mac.bytes[i] = bytes[at + i];
  return mac;
}

Bytes build(const Packet& p) {
  const size_t header = transport_header(p.protocol);
  Bytes b;
  append(b, p.to);
  append(b, p.from);
  append16(b, 0x0800);
  append16(b, 0x4500);
  append16(b, static_cast<uint16_t>(ip_bytes + header + p.payload.size()));
  append16(b, 0x1234);
  append16(b, 0x4000);
  b.push_back(p.ttl);
  b.push_back(p.protocol);
  append16(b, 0);
  append(b, p.source);
  append(b, p.destination);
  append_transport(b, p, 1);
  b.insert(b.end(), p.payload.begin(), p.payload.end());
  fix_header_checksum(b);
  put_transport_checksum(b, layout_of(b).value());
  return b;
}

Bytes build(const Packet6& p) {
  Bytes b;
  append(b, p.to);
  append(b, p.from);
  append16(b, 0x86dd);
  append16(b, 0x6000);
  append16(b, 0);
  append16(b, 0);  // the payload's length
  b.push_back(p.extensions.empty() ? p.protocol : p.extensions[0].first);
  b.push_back(p.hop_limit);
  b.resize(transport6_at);
  put_address6(b, ip_at + 8, p.source);
  put_address6(b, ip_at + 24, p.destination);
  for (size_t n = 0; n < p.extensions.size(); ++n) {
    b.push_back(n + 1 < p.extensions.size() ? p.extensions[n + 1].first : p.protocol);
    b.insert(b.end(), p.extensions[n].second.begin(), p.extensions[n].second.end());
  }
  Layout packet{.family = IpFamily::ipv6, .protocol = p.protocol, .transport_at = b.size()};
  append_transport(b, p, p.icmp_sequence);
  b.insert(b.end(), p.payload.begin(), p.payload.end());
  put16(b, ip_at + 4, static_cast<uint16_t>(b.size() - transport6_at));
  packet.end = b.size();
  if (p.protocol != icmp) put_transport_checksum(b, packet);
  return b;
}

Bytes build(const AnyPacket& p) {
  if (p.source.is_v4())
    return build(Packet{.to = p.to,
                        .from = p.from,
                        .source = p.source.v4(),
                        .destination = p.destination.v4(),
                        .ttl = p.ttl,
                        .protocol = p.protocol,
                        .source_port = p.source_port,
                        .destination_port = p.destination_port,
                        .flags = p.flags,
                        .icmp_type = p.icmp_type,
                        .icmp_code = p.icmp_code,
                        .icmp_id = p.icmp_id,
                        .sctp_chunk = p.sctp_chunk,
                        .payload = p.payload});
  return build(Packet6{.to = p.to,
                       .from = p.from,
                       .source = p.source.v6(),
                       .destination = p.destination.v6(),
                       .hop_limit = p.ttl,
                       .protocol = p.protocol,
                       .source_port = p.source_port,
                       .destination_port = p.destination_port,
                       .flags = p.flags,
                       .icmp_type = p.icmp_type,
                       .icmp_code = p.icmp_code,
                       .icmp_id = p.icmp_id,
                       .sctp_chunk = p.sctp_chunk,
                       .extensions = p.extensions,
                       .payload = p.payload});
}

void fix_icmpv6_checksum(Bytes& frame) {
  const Layout packet{.family = IpFamily::ipv6,
                      .protocol = icmpv6,
                      .transport_at = transport6_at,
                      .end = transport6_at + get16(frame, ip_at + 4)};
  put16(frame, transport6_at + 2, 0);
  put_transport_checksum(frame, packet);
}

Ipv6Addr get_address6(const Bytes& bytes, size_t at) {
  uint64_t halves[2] = {};
  for (size_t i = 0; i < 16; ++i) halves[i / 8] = halves[i / 8] << 8 | bytes[at + i];
  return Ipv6Addr::of(halves[0], halves[1]);
}

void put_address6(Bytes& bytes, size_t at, const Ipv6Addr& address) {
  for (size_t i = 0; i < 16; ++i)
    bytes[at + i] = static_cast<uint8_t>((i < 8 ? address.high() : address.low()) >> (56 - 8 * (i % 8)));
}

size_t begin_of_parts(const Bytes& frame) {
  if (is_ipv4(frame)) return transport_of(frame);
  const bool has_hop_by_hop = frame[ip_at + 6] == 0 && frame.size() >= transport6_at + 8;
  return transport6_at + (has_hop_by_hop ? 8 + size_t{frame[transport6_at + 1]} * 8 : 0);
}

Bytes part_of(const Bytes& frame, const Part& part) {
  const size_t begin = begin_of_parts(frame);
  const auto at = [&](size_t position) { return frame.begin() + static_cast<std::ptrdiff_t>(position); };
  const auto place = static_cast<uint16_t>((part.offset / 8) ^ part.shift);
  Bytes made(frame.begin(), at(begin));
  if (is_ipv4(frame)) {
    put16(made, ip_at + 2, static_cast<uint16_t>(begin - ip_at + part.length));
    put16(made, ip_at + 4, static_cast<uint16_t>(part.identification));
    put16(made, ip_at + 6, static_cast<uint16_t>((part.more ? 0x2000 : 0) | place));
    fix_header_checksum(made);
  } else {
    uint8_t& next = made[begin == transport6_at ? ip_at + 6 : transport6_at];
    const uint8_t first_part_is = next;
    next = 44;
    append16(made, static_cast<uint16_t>(first_part_is << 8));
    append16(made, static_cast<uint16_t>(place << 3 | (part.more ? 1 : 0)));
    append16(made, static_cast<uint16_t>(part.identification >> 16));
    append16(made, static_cast<uint16_t>(part.identification));
    put16(made, ip_at + 4, static_cast<uint16_t>(begin + 8 - transport6_at + part.length));
  }
  made.insert(made.end(), at(begin + part.offset), at(begin + part.offset + part.length));
  return made;
}

Bytes build(const Arp& arp) {
  Bytes b;
  append(b, arp.to);
  append(b, arp.from);
  for (const uint16_t word :
       {uint16_t{0x0806}, uint16_t{1}, uint16_t{0x0800}, uint16_t{0x0604}, arp.operation})
    append16(b, word);
  append(b, arp.sender_mac);
  append(b, arp.sender);
  append(b, arp.target_mac);
  append(b, arp.target);
  return b;
}

bool is_ipv4(const Bytes& frame) {
  return frame.size() >= transport_at && get16(frame, 12) == 0x0800;
}

void fix_header_checksum(Bytes& frame) {
  const size_t length = size_t{frame[ip_at] & 0xfu} * 4;
  if (length < ip_bytes || ip_at + length > frame.size()) return;
  put16(frame, ip_at + 10, 0);
  put16(frame, ip_at + 10, static_cast<uint16_t>(~fold(sum_of(frame, ip_at, ip_at + length))));
}

void fix_icmp_checksum(Bytes& frame) {
  const Layout packet{
      .protocol = icmp, .transport_at = transport_of(frame), .end = ip_at + get16(frame, ip_at + 2)};
  put16(frame, packet.transport_at + checksum_offset(icmp), 0);
  put_transport_checksum(frame, packet);
}

void fix_udp_checksum(Bytes& frame) {
  const std::optional<Layout> packet = layout_of(frame);
  if (!packet || packet->protocol != udp || !packet->has(8)) return;
  put16(frame, packet->transport_at + checksum_offset(udp), 0);
  put_transport_checksum(frame, *packet);
}

bool is_ipv6(const Bytes& frame) {
  return frame.size() >= transport6_at && get16(frame, 12) == 0x86dd;
}

std::optional<Layout> layout_of(const Bytes& frame) {
  Layout packet;
  if (is_ipv4(frame)) {
    packet.source = get_address(frame, ip_at + 12);
    packet.destination = get_address(frame, ip_at + 16);
    packet.protocol = frame[ip_at + 9];
    packet.transport_at = transport_of(frame);
    packet.end = ip_at + get16(frame, ip_at + 2);
    packet.is_fragment = (get16(frame, ip_at + 6) & 0x3fff) != 0;
    packet.is_first = (get16(frame, ip_at + 6) & 0x1fff) == 0;
  } else if (is_ipv6(frame)) {
    packet.family = IpFamily::ipv6;
    packet.source = get_address6(frame, ip_at + 8);
    packet.destination = get_address6(frame, ip_at + 24);
    packet.protocol = frame[ip_at + 6];
    packet.transport_at = transport6_at;
    packet.end = transport6_at + get16(frame, ip_at + 4);
    const auto is_extension = [&] {
      return packet.protocol == 0 || packet.protocol == 43 || packet.protocol == 44 || packet.protocol == 60;
    };
    while (packet.is_first && is_extension()) {
      if (packet.transport_at + 8 > frame.size()) return std::nullopt;
      const bool is_fragment_header = packet.protocol == 44;
      if (is_fragment_header) {
        const uint16_t field = get16(frame, packet.transport_at + 2);
        packet.fragment_at = packet.transport_at;
        packet.is_fragment = packet.is_fragment || (field & 0xfff9) != 0;
        packet.is_first = (field & 0xfff8) == 0;
      }
      packet.protocol = frame[packet.transport_at];
      packet.transport_at += 8 + (is_fragment_header ? 0 : size_t{frame[packet.transport_at + 1]} * 8);
    }
  } else {
    return std::nullopt;
  }
  if (packet.end > frame.size() || packet.transport_at > packet.end) return std::nullopt;
  return packet;
}

bool header_checksum_right(const Bytes& frame) {
  return !is_ipv4(frame) || fold(sum_of(frame, ip_at, transport_of(frame))) == 0xffff;
}

bool transport_checksum_right(const Bytes& frame) {
  const Layout packet = layout_of(frame).value();
  const size_t field = packet.transport_at + checksum_offset(packet.protocol);
  if (packet.protocol == udp && get16(frame, field) == 0) return true;
  if (packet.protocol == sctp) return sctp_checksum(frame, packet) == crc32c(frame, packet);
  if (!has_internet_checksum(packet.protocol)) return true;  // none that is known here
  return transport_sum(frame, packet) == 0xffff;
}

size_t transport_checksum_at(const Bytes& frame) {
  const std::optional<Layout> packet = layout_of(frame);
  if (!packet || !packet->is_first) return 0;
  if (packet->protocol != tcp && packet->protocol != udp && packet->protocol != icmpv6) return 0;
  const size_t at = checksum_offset(packet->protocol);
  return packet->has(at + 2) ? packet->transport_at + at : 0;
}

bool is_fragment(const Bytes& frame) {
  const std::optional<Layout> packet = layout_of(frame);
  return packet && packet->is_fragment;
}

bool is_icmp_error(const Bytes& frame) {
  const std::optional<Layout> packet = layout_of(frame);
  if (!packet || packet->is_fragment || !packet->has(1)) return false;
  const uint8_t type = frame[packet->transport_at];
  if (packet->protocol == icmpv6) return type >= 1 && type <= 4;
  return packet->protocol == icmp && (type == 3 || type == 11 || type == 12);
}

bool quoted_header_checksum_right(const Bytes& frame) {
  if (is_ipv6(frame)) return true;
  const size_t begin = transport_of(frame) + 8;
  return fold(sum_of(frame, begin, begin + size_t{frame[begin] & 0xfu} * 4)) == 0xffff;
}

std::string describe(const Bytes& frame) {
  char text[160];
  if (frame.size() >= 42 && get16(frame, 12) == 0x0806) {
    std::snprintf(text, sizeof text, "arp %u %s asks for %s", get16(frame, 20),
                  get_address(frame, 28).to_string().c_str(), get_address(frame, 38).to_string().c_str());
    return text;
  }
  if (frame.size() >= transport6_at + 4 && get16(frame, 12) == 0x86dd) {
    std::snprintf(text, sizeof text, "next header %u %s > %s hop limit %u payload %u, then %04x %04x",
                  frame[ip_at + 6], get_address6(frame, ip_at + 8).to_string().c_str(),
                  get_address6(frame, ip_at + 24).to_string().c_str(), frame[ip_at + 7],
                  get16(frame, ip_at + 4), get16(frame, transport6_at), get16(frame, transport6_at + 2));
    return text;
  }
  if (!is_ipv4(frame) || frame.size() < transport_at + 8)
    return "frame of " + std::to_string(frame.size()) + " bytes";
  const uint8_t protocol = frame[ip_at + 9];
  std::string what = "protocol " + std::to_string(protocol);
  if (protocol == tcp && frame.size() >= transport_at + 20) {
    what = "tcp ";
    for (size_t bit = 0; bit < 8; ++bit)
      if ((frame[transport_at + 13] >> bit & 1) != 0) what += "FSRPAUEC"[bit];
  } else if (protocol == udp) {
    what = "udp";
  } else if (protocol == sctp && frame.size() >= transport_at + 16) {
    what = "sctp chunk " + std::to_string(frame[transport_at + 12]);
  } else if (protocol == icmp) {
    what = "icmp " + std::to_string(frame[transport_at]) + "/" + std::to_string(frame[transport_at + 1]) +
           " id " + std::to_string(get16(frame, transport_at + 4));
  }
  std::snprintf(text, sizeof text, " %s:%u > %s:%u ttl %u length %u in %zu from %s",
                get_address(frame, 26).to_string().c_str(), get16(frame, transport_at),
                get_address(frame, 30).to_string().c_str(), get16(frame, transport_at + 2), frame[ip_at + 8],
                get16(frame, ip_at + 2), frame.size(), get_mac(frame, 6).to_string().c_str());
  return what + text;
}

}  // namespace portcullis::testing
