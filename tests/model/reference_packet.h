// What the reference gateway's own files share: numbers of the RFCs, bytes of a frame, and a packet on its
// way through the gateway.
#pragma once

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/model/reference.h"

namespace portcullis::reference {

using model::Direction;
using model::Eip;
using model::PermitRule;
using model::Pool;
using model::PoolKind;

inline constexpr size_t ethernet_bytes = 14;
inline constexpr size_t ip_at = ethernet_bytes;
inline constexpr size_t ip_bytes = 20, ipv6_bytes = 40;  // of their headers, without options and extensions
inline constexpr size_t arp_bytes = 28;

// Replies of the next hop are not to be crowded out by what the gateway's list permits.
inline constexpr uint32_t next_hop_replies_a_second = 64;

inline constexpr uint8_t icmp = 1, tcp = 6, udp = 17, icmpv6 = 58, sctp = 132;
inline constexpr uint8_t fin = 0x01, syn = 0x02, rst = 0x04, psh = 0x08, ack = 0x10, urg = 0x20;
inline constexpr uint8_t echo_reply = 0, echo = 8, timestamp = 13, timestamp_reply = 14;
inline constexpr uint8_t unreachable = 3, time_exceeded = 11, parameter_problem = 12;
inline constexpr uint8_t ipv6_too_big = 2, ipv6_time_exceeded = 3, ipv6_last_error = 4;
inline constexpr uint8_t ipv6_echo = 128, ipv6_echo_reply = 129;
inline constexpr uint8_t neighbor_solicitation = 135, neighbor_advertisement = 136;

// ICMP errors of one EIP: so many at once, the rest as they fall due, on a clock of 64 ticks a millisecond.
inline constexpr uint64_t errors_at_once = 32;
inline constexpr uint64_t error_ticks_per_ms = 64;

inline constexpr uint8_t sctp_init = 1;
// INIT ACK, HEARTBEAT ACK, ABORT, SHUTDOWN ACK, ERROR, COOKIE ACK, SHUTDOWN COMPLETE.
inline const std::set<uint8_t> sctp_answers{2, 5, 6, 8, 9, 11, 14};

inline uint16_t get16(const Bytes& bytes, size_t at) {
  return static_cast<uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}

inline void put16(Bytes& bytes, size_t at, uint16_t value) {
  bytes[at] = static_cast<uint8_t>(value >> 8);
  bytes[at + 1] = static_cast<uint8_t>(value);
}

inline Ipv4Addr get_ipv4(const Bytes& bytes, size_t at) {
  return Ipv4Addr::of(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]);
}

inline Ipv6Addr get_ipv6(const Bytes& bytes, size_t at) {
  uint64_t high = 0, low = 0;
  for (size_t i = 0; i < 8; ++i) {
    high = high << 8 | bytes[at + i];
    low = low << 8 | bytes[at + 8 + i];
  }
  return Ipv6Addr::of(high, low);
}

// An address as words of 16 bits, two or eight.
inline std::vector<uint16_t> words_of(const IpAddr& address) {
  std::vector<uint16_t> words;
  if (address.is_v4()) {
    for (const unsigned shift : {16u, 0u})
      words.push_back(static_cast<uint16_t>(address.v4().host() >> shift));
    return words;
  }
  for (const uint64_t half : {address.v6().high(), address.v6().low()})
    for (const unsigned shift : {48u, 32u, 16u, 0u}) words.push_back(static_cast<uint16_t>(half >> shift));
  return words;
}

inline void put_address(Bytes& bytes, size_t at, const IpAddr& address) {
  for (const uint16_t word : words_of(address)) {
    put16(bytes, at, word);
    at += 2;
  }
}

inline Mac get_mac(const Bytes& bytes, size_t at) {
  Mac mac;
  for (size_t i = 0; i < 6; ++i) mac.bytes[i] = bytes[at + i];
  return mac;
}

inline void put_mac(Bytes& bytes, size_t at, Mac mac) {
  for (size_t i = 0; i < 6; ++i) bytes[at + i] = mac.bytes[i];
}

// The checksum that is wrong by exactly as much as `old` was, after the words summed in `before` have become
// those summed in `after`. In one's complement arithmetic numbers are residues modulo 0xffff; a sum in which
// something was added is never plus zero, so a checksum that was changed is never 0xffff.
inline uint16_t moved_checksum(uint16_t old, uint64_t before, uint64_t after) {
  const uint64_t total = (uint64_t{0xffff} - old) % 0xffff + after % 0xffff + (0xffff - before % 0xffff);
  const uint64_t residue = total % 0xffff;
  return static_cast<uint16_t>(residue == 0 ? 0 : 0xffff - residue);
}

inline uint64_t sum_of(const IpAddr& address) {
  uint64_t sum = 0;
  for (const uint16_t word : words_of(address)) sum += word;
  return sum;
}

// Of the bytes from `from` to `to`, in words of 16 bits.
inline uint64_t sum_of(const Bytes& bytes, size_t from, size_t to) {
  uint64_t sum = 0;
  for (size_t i = from; i < to; i += 2) sum += uint64_t{bytes[i]} << 8 | (i + 1 < to ? bytes[i + 1] : 0u);
  return sum;
}

inline uint16_t folded(uint64_t sum) {
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}

// RFC 791: the checksum that makes the header sum to minus zero, its own field taken as zero.
inline uint16_t header_checksum(const Bytes& bytes, size_t at, size_t length) {
  return static_cast<uint16_t>(~folded(sum_of(bytes, at, at + 10) + sum_of(bytes, at + 12, at + length)));
}

// RFC 8200, 8.1: what a message of ICMPv6, which lies from `at` to `end`, sums to.
inline uint16_t icmpv6_sum(const IpAddr& source, const IpAddr& destination, const Bytes& bytes, size_t at,
                           size_t end) {
  return folded(sum_of(source) + sum_of(destination) + icmpv6 + (end - at) + sum_of(bytes, at, end));
}

// "IPv4", "IPv6".
std::string name_of(IpFamily family);

// What a link puts before a frame: tags, or an outer frame's headers from Ethernet's to that of the tunnel.
size_t link_bytes(const Encapsulation& link);

// Never the source or destination of a routed packet: "this network", loopback, link-local, multicast, and
// the reserved block with the broadcast address; of IPv6 also site-local, and IPv4 in IPv6.
inline bool is_martian(Ipv4Addr a) {
  const uint32_t first = a.host() >> 24;
  const uint32_t second = a.host() >> 16 & 0xff;
  return first == 0 || first == 127 || (first == 169 && second == 254) || first >= 224;
}
inline bool is_martian(const Ipv6Addr& a) {
  const uint64_t first = a.high() >> 56, second = a.high() >> 48 & 0xff;
  const uint64_t before_last_four = a.low() >> 32;
  return (a.high() == 0 && (before_last_four == 0 || before_last_four == 0xffff)) || first == 0xff ||
         (first == 0xfe && second >= 0x80);
}

// What follows is of one ICMP or the other: a packet's protocol says which, for none has that of the other
// family.
inline bool is_icmp(uint8_t protocol) {
  return protocol == icmp || protocol == icmpv6;
}
inline bool is_query(uint8_t protocol, uint8_t type) {
  return protocol == icmpv6 ? type == ipv6_echo : type == echo || type == timestamp;
}
inline bool is_reply(uint8_t protocol, uint8_t type) {
  return protocol == icmpv6 ? type == ipv6_echo_reply : type == echo_reply || type == timestamp_reply;
}
inline bool is_error(uint8_t protocol, uint8_t type) {
  if (protocol == icmpv6) return type >= 1 && type <= ipv6_last_error;
  return type == unreachable || type == time_exceeded || type == parameter_problem;
}
inline uint8_t query_of_reply(uint8_t protocol, uint8_t type) {
  if (protocol == icmpv6) return ipv6_echo;
  return type == echo_reply ? echo : timestamp;
}
inline bool has_ports(uint8_t protocol) {
  return protocol == tcp || protocol == udp || protocol == sctp;
}
// Hop-by-hop options, routing, fragment, no next header, destination options; reserved; the other family's
// ICMP. Of IPv6 also mobility, HIP and Shim6: extension headers that nobody here reads.
inline bool is_meaningless(IpFamily family, uint8_t protocol) {
  if ((std::set<uint8_t>{0, 43, 44, 59, 60, 255}).contains(protocol)) return true;
  if (family == IpFamily::ipv4) return protocol == icmpv6;
  return protocol == icmp || protocol == 135 || protocol == 139 || protocol == 140;
}
// What a first fragment must hold of its transport.
inline size_t transport_header(uint8_t protocol) {
  return protocol == tcp ? 20 : protocol == sctp ? 16 : protocol == udp || is_icmp(protocol) ? 8 : 0;
}
// Where TCP, UDP or ICMPv6 has its checksum, from its header on, if translation changes it: those cover
// addresses.
inline std::optional<size_t> checksum_in(uint8_t protocol) {
  if (protocol == tcp) return 16;
  if (protocol == udp) return 6;
  if (protocol == icmpv6) return 2;
  return std::nullopt;
}

// What becomes of a transport's checksum when addresses under it change. RFC 768: UDP's 0 is no checksum, and
// one that comes out as 0 is sent as all ones.
inline uint16_t moved_transport_checksum(uint8_t protocol, uint16_t old, uint64_t before, uint64_t after) {
  if (protocol == udp && old == 0) return 0;
  const uint16_t moved = moved_checksum(old, before, after);
  return protocol == udp && moved == 0 ? 0xffff : moved;
}

// What one side's list is asked about one packet.
struct Gateway::Question {
  Direction direction;
  IpAddr remote;
  const Eip* remote_eip;
  uint8_t protocol;
  uint16_t local_port, remote_port;
  uint8_t icmp_type, icmp_code;
};

struct Gateway::Judgement {
  bool permitted = false;
  bool touches = false;            // the entry of its tuple is refreshed, if there is a valid one
  bool may_open = false;           // and opened, if there is none
  std::optional<std::string> hit;  // the rule that decided
  std::string way;                 // in words, for Counts::events
  bool is_asked = false;
};

struct Gateway::Side {
  const Eip* owner = nullptr;  // null: this side does not exist
  const Eip* remote = nullptr;
  IpAddr remote_address;
  bool leaving = false;
  uint32_t worker = 0;
  Judgement judgement;

  [[nodiscard]] Direction direction() const { return leaving ? Direction::outbound : Direction::inbound; }
  [[nodiscard]] FlowKey key(uint8_t protocol, uint16_t local_port, uint16_t remote_port,
                            uint8_t icmp_type) const {
    FlowKey key{.local = owner->address,
                .owner = owner->address.is_v6() ? owner->created : 0,
                .remote = remote_address,
                .local_port = local_port,
                .remote_port = remote_port,
                .protocol = protocol,
                .worker = worker};
    if (is_icmp(protocol))
      key.icmp_query = is_query(protocol, icmp_type) ? icmp_type : query_of_reply(protocol, icmp_type);
    return key;
  }
};

struct Gateway::Addresses {
  IpAddr source, destination;
  [[nodiscard]] uint64_t sum() const { return sum_of(source) + sum_of(destination); }
  friend bool operator==(const Addresses&, const Addresses&) = default;
};

// What an ICMP error says of the packet that it is about.
struct Gateway::Quote {
  size_t ip_at = 0, transport_at = 0, end = 0;
  IpAddr source, destination;
  uint8_t protocol = 0;
  uint16_t source_port = 0, destination_port = 0;  // ICMP: the identifier, twice
  uint8_t icmp_type = 0, icmp_code = 0;

  // Ports alone do not tell whether TCP asked for a connection.
  [[nodiscard]] bool may_be_reply() const {
    return is_icmp(protocol) ? is_reply(protocol, icmp_type) : has_ports(protocol);
  }
};

enum class FrameKind : uint8_t { packet, arp, neighbor };  // neighbor: Neighbor Discovery

struct Gateway::Packet {
  PortNumber in = 0;
  size_t place = 0;     // among the arrivals of its port
  uint32_t worker = 0;  // that judges it
  Bytes bytes;
  size_t in_first_buffer = 0;  // of the bytes
  size_t headroom = 0;         // before them there
  // decapsulate
  Encapsulation link;
  bool was_congested = false, had_inner_tags = false;
  // parse
  FrameKind kind = FrameKind::packet;
  std::optional<IpFamily> family;  // of what claims to be IP
  Mac sender;
  IpAddr source, destination;
  uint16_t length = 0;  // from the IP header on
  uint8_t ttl = 0;      // or hop limit
  uint8_t protocol = 0;
  uint16_t source_port = 0, destination_port = 0;  // ICMP: the identifier, twice
  uint8_t tcp_flags = 0;
  uint8_t icmp_type = 0, icmp_code = 0;
  uint8_t sctp_chunk = 0;  // type of the first one
  size_t transport_at = 0;
  std::optional<Quote> quote;  // of ICMP errors
  bool is_fragment = false, is_first = true, is_last = true;
  uint32_t identification = 0;
  uint32_t first_part = 0, end_part = 0;  // of eight bytes
  // identify, admit
  Side from, to;
  // route
  PortNumber out = 0;
  Encapsulation out_link;

  [[nodiscard]] bool is_ipv6() const { return family == IpFamily::ipv6; }
  // Of the frame, what lies in its first buffer; and whether its first `end` bytes do.
  [[nodiscard]] size_t in_buffer() const { return in_first_buffer; }
  [[nodiscard]] bool together(size_t end) const { return end <= in_buffer(); }
  // Why a header is not there: a frame in several buffers may go on, and nobody looks.
  [[nodiscard]] std::string cut_short(const char* reason) const {
    return in_buffer() < bytes.size() ? "headers_not_contiguous" : reason;
  }
  [[nodiscard]] size_t end() const { return ip_at + length; }
  // So many bytes of its first buffer.
  void take_off(size_t at, size_t count);
  // What a router of the underlay marked is said inside. False if it cannot be.
  [[nodiscard]] bool tell_of_congestion();
  // What an ICMP error about it takes before the packet that it quotes.
  [[nodiscard]] size_t error_headers() const { return (is_ipv6() ? ipv6_bytes : ip_bytes) + 8; }

  // A SYN without ACK, an INIT: what asks for a connection is no reply.
  [[nodiscard]] bool asks_for_connection() const {
    return protocol == sctp ? sctp_chunk == sctp_init : protocol == tcp && (tcp_flags & (syn | ack)) == syn;
  }
  // Without state only these can be told to be replies.
  [[nodiscard]] bool may_be_reply() const {
    if (is_icmp(protocol)) return !is_icmp_query();
    return protocol == udp || ((protocol == tcp || protocol == sctp) && !asks_for_connection());
  }
  [[nodiscard]] bool is_icmp_query() const { return is_icmp(protocol) && is_query(protocol, icmp_type); }

  [[nodiscard]] bool can_open() const {
    if (is_icmp(protocol)) return is_icmp_query();
    if (protocol == sctp) return !sctp_answers.contains(sctp_chunk);
    if (protocol != tcp) return true;
    return asks_for_connection() || ((tcp_flags & ack) != 0 && (tcp_flags & (syn | rst | fin)) == 0);
  }

  [[nodiscard]] FlowKey key(const Side& side) const {
    return side.key(protocol, side.leaving ? source_port : destination_port,
                    side.leaving ? destination_port : source_port, icmp_type);
  }

  [[nodiscard]] Question ask(const Side& side) const {
    return {side.direction(),
            side.remote_address,
            side.remote,
            protocol,
            side.leaving ? source_port : destination_port,
            side.leaving ? destination_port : source_port,
            icmp_type,
            icmp_code};
  }
};

}  // namespace portcullis::reference
