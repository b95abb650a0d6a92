#include "tests/model/reference_ipv6.h"

#include <algorithm>
#include <set>

namespace portcullis::reference {
namespace {

using Bytes = std::vector<uint8_t>;

constexpr size_t ip_at = 14, ip_bytes = 40, body_at = ip_at + ip_bytes;
constexpr uint8_t tcp = 6, udp = 17, icmp = 58, sctp = 132;
constexpr uint8_t hop_by_hop = 0, routing = 43, fragment = 44, destination_options = 60;
// ICMPv4, mobility, HIP and Shim6 (extension headers that nobody here reads), no next header, reserved.
const std::set<uint8_t> meaningless{0, 1, 43, 44, 59, 60, 135, 139, 140, 255};

uint16_t get16(const Bytes& b, size_t at) {
  return static_cast<uint16_t>(b[at] << 8 | b[at + 1]);
}

Bytes get(const Bytes& b, size_t at, size_t count) {
  const auto begin = b.begin() + static_cast<std::ptrdiff_t>(at);
  return {begin, begin + static_cast<std::ptrdiff_t>(count)};
}

// Of an address as it lies in the frame.
bool is_martian(const Bytes& a) {
  const bool twelve_zeroes = std::all_of(a.begin(), a.begin() + 12, [](uint8_t byte) { return byte == 0; });
  const bool mapped = std::all_of(a.begin(), a.begin() + 10, [](uint8_t byte) { return byte == 0; }) &&
                      a[10] == 0xff && a[11] == 0xff;
  return twelve_zeroes || mapped || a[0] == 0xff || (a[0] == 0xfe && a[1] >= 0x80);
}

// RFC 8200, 8.1: whether a message of ICMPv6, from the IPv6 header on, sums to minus zero.
uint16_t icmp_sum(const Bytes& b, size_t length) {
  uint64_t sum = icmp + length;
  for (size_t i = ip_at + 8; i < body_at; i += 2) sum += get16(b, i);
  for (size_t i = 0; i < length; i += 2)
    sum += uint64_t{b[body_at + i]} << 8 | (i + 1 < length ? b[body_at + i + 1] : 0u);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}

// The headers between IPv6's and the transport's; positions count from the IPv6 header.
struct Walk {
  std::string broken;  // why there is no transport header to be found, if there is none
  uint8_t protocol = 0;
  size_t at = ip_bytes;
  size_t fragment_at = 0;  // of a fragment header that makes it a fragment
  bool is_later = false;
};

// `ip`: where the IPv6 header lies; `length`: of the packet; `present`: of it in one buffer.
Walk walk(const Bytes& b, size_t ip, size_t length, size_t present) {
  Walk w;
  w.protocol = b[ip + 6];
  bool fragment_seen = false;
  for (int n = 0;; ++n) {
    const bool is_extension = w.protocol == hop_by_hop || w.protocol == routing || w.protocol == fragment ||
                              w.protocol == destination_options;
    if (!is_extension) {
      if (w.at > present) w.broken = "headers_not_contiguous";
      return w;
    }
    if (n == 8 || (w.protocol == hop_by_hop && n > 0)) {
      w.broken = "ipv6_extension_headers";
      return w;
    }
    if (w.at + 8 > length) {
      w.broken = "cut short";
      return w;
    }
    if (w.at + 8 > present) {
      w.broken = "headers_not_contiguous";
      return w;
    }
    size_t size = 8;
    if (w.protocol == fragment) {
      if (fragment_seen) {
        w.broken = "ipv6_extension_headers";
        return w;
      }
      fragment_seen = true;
      const uint16_t field = get16(b, ip + w.at + 2);
      if (field >> 3 != 0 || (field & 1) != 0) w.fragment_at = w.at;
      if (field >> 3 != 0) {
        w.is_later = true;
        return w;
      }
    } else {
      size += size_t{b[ip + w.at + 1]} * 8;
      if (w.protocol == routing && b[ip + w.at + 3] != 0) {
        w.broken = "ip_source_route";
        return w;
      }
    }
    if (w.at + size > length) {
      w.broken = "cut short";
      return w;
    }
    w.protocol = b[ip + w.at];
    w.at += size;
  }
}

// RFC 4443, 2.4 c, and RFC 1122's "never about an error".
std::optional<std::string> check_quote(const Bytes& b, size_t at, size_t length, size_t present) {
  constexpr size_t quote = 8;
  if (length < quote + ip_bytes) return "icmp_error_quote";
  if (present < quote + ip_bytes) return "headers_not_contiguous";
  const size_t ip = at + quote;
  const bool same = std::equal(b.begin() + static_cast<std::ptrdiff_t>(ip) + 8,
                               b.begin() + static_cast<std::ptrdiff_t>(ip) + 24, b.begin() + ip_at + 24);
  if (b[ip] >> 4 != 6) return "icmp_error_quote";
  const Walk w = walk(b, ip, length - quote, present - quote);
  if (w.broken == "headers_not_contiguous") return w.broken;
  if (!w.broken.empty() || w.is_later) return "icmp_error_quote";
  if (present < std::min(length, quote + w.at + 20)) return "headers_not_contiguous";
  if (!same || meaningless.contains(w.protocol)) return "icmp_error_quote";
  if (w.protocol != icmp && w.protocol != tcp && w.protocol != udp && w.protocol != sctp) return std::nullopt;
  if (length - quote - w.at < 8) return "icmp_error_quote";
  const uint8_t type = b[ip + w.at];
  if (w.protocol == icmp && type != 128 && type != 129) return "icmp_error_quote";
  return std::nullopt;
}

// `at`: where it begins in the frame; `length`: as far as it may speak of; `present`: in one buffer.
std::optional<std::string> check_transport(const Bytes& b, uint8_t protocol, size_t at, size_t length,
                                           size_t present) {
  const auto needs = [&](size_t header, const char* reason) -> std::optional<std::string> {
    if (length < header) return reason;
    return present < header ? std::optional<std::string>("headers_not_contiguous") : std::nullopt;
  };
  switch (protocol) {
    case tcp: {
      if (auto wrong = needs(20, "tcp_header")) return wrong;
      const size_t header = size_t{b[at + 12]} / 16 * 4;
      if (header < 20 || header > length) return "tcp_header";
      const bool fin = (b[at + 13] & 1) != 0, syn = (b[at + 13] & 2) != 0, rst = (b[at + 13] & 4) != 0;
      if ((b[at + 13] & 0x3f) == 0 || (syn && fin) || (syn && rst)) return "tcp_flags";
      return std::nullopt;
    }
    case udp: {
      if (auto wrong = needs(8, "udp_length")) return wrong;
      const uint16_t claimed = get16(b, at + 4);
      if (claimed < 8 || claimed > length) return "udp_length";
      return std::nullopt;
    }
    case sctp:
      return needs(16, "sctp_header");
    case icmp: {
      if (auto wrong = needs(8, "icmp_header")) return wrong;
      const uint8_t type = b[at];
      if (type >= 1 && type <= 4) return check_quote(b, at, length, present);
      if (type != 128 && type != 129) return "icmp_type";
      return std::nullopt;
    }
    default:
      return meaningless.contains(protocol) ? std::optional<std::string>("unknown_protocol") : std::nullopt;
  }
}

std::optional<std::string> check_fragment(const Bytes& b, const Walk& w, size_t length, size_t present) {
  const uint16_t field = get16(b, ip_at + w.fragment_at + 2);
  const size_t offset = field & 0xfff8;
  const bool is_last = (field & 1) == 0;
  const size_t size = length - w.fragment_at - 8;
  if (size == 0 || (!is_last && size % 8 != 0) || offset + size > 65535) return "fragment_length";
  if (w.is_later) return std::nullopt;
  if (w.broken == "cut short") return "fragment_short";
  if (!w.broken.empty()) return w.broken;
  const size_t header = w.protocol == tcp                                            ? 20
                        : w.protocol == sctp                                         ? 16
                        : w.protocol == udp || w.protocol == icmp || w.protocol == 1 ? 8
                                                                                     : 0;
  if (length - w.at < header) return "fragment_short";
  if (w.protocol == icmp && present > w.at && b[ip_at + w.at] >= 1 && b[ip_at + w.at] <= 4)
    return "icmp_error_quote";
  return check_transport(b, w.protocol, ip_at + w.at, 65535, present - w.at);
}

// RFC 4861, 7.1.1 and 7.2.4. The next hop of an endpoint port is all that anybody may ask for here.
Ipv6Fate neighbor(const Ipv6Frame& frame, size_t length) {
  const Bytes& b = frame.bytes;
  Bytes next_hop(16, 0);
  next_hop[0] = 0xfe;
  next_hop[1] = 0x80;
  next_hop[15] = 1;
  Bytes group(16, 0);
  group[0] = 0xff;
  group[1] = 2;
  group[11] = 1;
  group[12] = 0xff;
  group[15] = 1;
  if (length < 24 || b[body_at] != 135 || frame.from_uplink || get(b, body_at + 8, 16) != next_hop)
    return {"neighbor_ignored", {}};
  const Bytes source = get(b, ip_at + 8, 16), destination = get(b, ip_at + 24, 16);
  const bool has_address = source != Bytes(16, 0);
  if (destination != group && (destination != next_hop || !has_address)) return {"neighbor_ignored", {}};
  for (size_t at = body_at + 24; at < body_at + length; at += size_t{b[at + 1]} * 8) {
    if (at + 2 > body_at + length || b[at + 1] == 0 || at + size_t{b[at + 1]} * 8 > body_at + length)
      return {"neighbor_ignored", {}};
    if (b[at] == 1 && !has_address) return {"neighbor_ignored", {}};
  }
  if (frame.first_segment != 0 && frame.first_segment < b.size()) return {"neighbor_ignored", {}};

  Bytes answer;
  const auto add = [&](const Bytes& more) { answer.insert(answer.end(), more.begin(), more.end()); };
  const Bytes own(frame.port.bytes.begin(), frame.port.bytes.end());
  Bytes all_nodes(16, 0);
  all_nodes[0] = 0xff;
  all_nodes[1] = 2;
  all_nodes[15] = 1;
  add(has_address ? get(b, 6, 6) : Bytes{0x33, 0x33, 0, 0, 0, 1});
  add(own);
  add({0x86, 0xdd, 0x60, 0, 0, 0, 0, 32, icmp, 255});
  add(next_hop);
  add(has_address ? source : all_nodes);
  add({136, 0, 0, 0, static_cast<uint8_t>(has_address ? 0xe0 : 0xa0), 0, 0, 0});
  add(next_hop);
  add({2, 1});
  add(own);
  const auto checksum = static_cast<uint16_t>(~icmp_sum(answer, 32));
  answer[body_at + 2] = static_cast<uint8_t>(checksum >> 8);
  answer[body_at + 3] = static_cast<uint8_t>(checksum);
  return {std::nullopt, answer};
}

}  // namespace

Ipv6Fate fate_of(const Ipv6Frame& frame) {
  const Bytes& b = frame.bytes;
  const auto dropped = [](std::string reason) { return Ipv6Fate{std::move(reason), {}}; };
  const bool is_own = std::equal(frame.port.bytes.begin(), frame.port.bytes.end(), b.begin());
  if (!is_own && !(b[0] == 0x33 && b[1] == 0x33)) return dropped("wrong_destination_mac");
  const bool in_pieces = frame.first_segment != 0 && frame.first_segment < b.size();
  const size_t in_buffer = (in_pieces ? frame.first_segment : b.size()) - ip_at;
  if (in_buffer < ip_bytes) return dropped(in_pieces ? "headers_not_contiguous" : "truncated");
  if (b[ip_at] >> 4 != 6) return dropped("ip_version");
  const size_t length = ip_bytes + get16(b, ip_at + 4);
  if (length > b.size() - ip_at || length > 65535) return dropped("ip_total_length");
  const size_t present = std::min(in_buffer, length);

  if (b[ip_at + 6] == icmp && present > ip_bytes && b[body_at] >= 133 && b[body_at] <= 137) {
    if (in_buffer < length) return dropped("headers_not_contiguous");
    const size_t message = length - ip_bytes;
    if (b[ip_at + 7] != 255 || message < 8 || b[body_at + 1] != 0 || icmp_sum(b, message) != 0xffff)
      return dropped("neighbor_malformed");
    return neighbor(frame, message);
  }
  if (!is_own) return dropped("wrong_destination_mac");
  if (is_martian(get(b, ip_at + 8, 16))) return dropped("martian_source");
  if (is_martian(get(b, ip_at + 24, 16))) return dropped("martian_destination");
  const Walk w = walk(b, ip_at, length, present);
  std::optional<std::string> wrong;
  if (w.fragment_at != 0)
    wrong = check_fragment(b, w, length, present);
  else if (!w.broken.empty())
    wrong = w.broken == "cut short" ? "ipv6_extension_headers" : w.broken;
  else
    wrong = check_transport(b, w.protocol, ip_at + w.at, length - w.at, present - w.at);
  return dropped(wrong.value_or(frame.from_uplink ? "not_ours" : "spoofed_source"));
}

}  // namespace portcullis::reference
