// What the reference gateway's own files share: numbers of the RFCs, bytes of a frame, and a packet on its
// way through the gateway.
#pragma once

#include <optional>
#include <set>
#include <string>

#include "tests/model/reference.h"

namespace portcullis::reference {

using model::Direction;
using model::Eip;
using model::PermitRule;
using model::Pool;
using model::PoolKind;

inline constexpr size_t ethernet_bytes = 14;
inline constexpr size_t ip_at = ethernet_bytes;
inline constexpr size_t ip_bytes = 20;
inline constexpr size_t arp_bytes = 28;

// Replies of the next hop are not to be crowded out by what the gateway's list permits.
inline constexpr uint32_t next_hop_replies_a_second = 64;

inline constexpr uint8_t icmp = 1, tcp = 6, udp = 17, sctp = 132;
inline constexpr uint8_t fin = 0x01, syn = 0x02, rst = 0x04, psh = 0x08, ack = 0x10, urg = 0x20;
inline constexpr uint8_t echo_reply = 0, echo = 8, timestamp = 13, timestamp_reply = 14;
inline constexpr uint8_t unreachable = 3, time_exceeded = 11, parameter_problem = 12;

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

inline Ipv4Addr get_address(const Bytes& bytes, size_t at) {
  return Ipv4Addr::of(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]);
}

inline void put_address(Bytes& bytes, size_t at, Ipv4Addr address) {
  put16(bytes, at, static_cast<uint16_t>(address.host() >> 16));
  put16(bytes, at + 2, static_cast<uint16_t>(address.host()));
}

inline Mac get_mac(const Bytes& bytes, size_t at) {
  Mac mac;
  for (size_t i = 0; i < 6; ++i) mac.bytes[i] = bytes[at + i];
  return mac;
}

inline void put_mac(Bytes& bytes, size_t at, Mac mac) {
  for (size_t i = 0; i < 6; ++i) bytes[at + i] = mac.bytes[i];
}

// RFC 791: the checksum that makes the header sum to minus zero, its own field taken as zero.
inline uint16_t header_checksum(const Bytes& bytes, size_t at, size_t length) {
  uint32_t sum = 0;
  for (size_t i = 0; i < length; i += 2)
    if (i != 10) sum += get16(bytes, at + i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

// The checksum that is wrong by exactly as much as `old` was, after the words summed in `before` have become
// those summed in `after`. In one's complement arithmetic numbers are residues modulo 0xffff; a sum in which
// something was added is never plus zero, so a checksum that was changed is never 0xffff.
inline uint16_t moved_checksum(uint16_t old, uint64_t before, uint64_t after) {
  const uint64_t total = (uint64_t{0xffff} - old) % 0xffff + after % 0xffff + (0xffff - before % 0xffff);
  const uint64_t residue = total % 0xffff;
  return static_cast<uint16_t>(residue == 0 ? 0 : 0xffff - residue);
}

inline uint64_t words_of(Ipv4Addr address) {
  return (address.host() >> 16) + (address.host() & 0xffff);
}

// Never the source or destination of a routed packet: "this network", loopback, link-local, multicast, and
// the reserved block with the broadcast address.
inline bool is_martian(Ipv4Addr a) {
  const uint32_t first = a.host() >> 24;
  const uint32_t second = a.host() >> 16 & 0xff;
  return first == 0 || first == 127 || (first == 169 && second == 254) || first >= 224;
}

inline bool is_query(uint8_t type) {
  return type == echo || type == timestamp;
}
inline bool is_reply(uint8_t type) {
  return type == echo_reply || type == timestamp_reply;
}
inline bool is_error(uint8_t type) {
  return type == unreachable || type == time_exceeded || type == parameter_problem;
}
inline bool has_ports(uint8_t protocol) {
  return protocol == tcp || protocol == udp || protocol == sctp;
}
// Hop-by-hop options, routing, fragment, ICMPv6, no next header, destination options; reserved.
inline bool is_meaningless(uint8_t protocol) {
  return (std::set<uint8_t>{0, 43, 44, 58, 59, 60, 255}).contains(protocol);
}
inline uint8_t query_of_reply(uint8_t type) {
  return type == echo_reply ? echo : timestamp;
}

// What one side's list is asked about one packet.
struct Gateway::Question {
  Direction direction;
  Ipv4Addr remote;
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
};

struct Gateway::Side {
  const Eip* owner = nullptr;  // null: this side does not exist
  const Eip* remote = nullptr;
  Ipv4Addr remote_address;
  bool leaving = false;
  Judgement judgement;

  [[nodiscard]] Direction direction() const { return leaving ? Direction::outbound : Direction::inbound; }
};

// What an ICMP error says of the packet that it is about.
struct Gateway::Quote {
  size_t ip_at = 0, transport_at = 0, end = 0;
  Ipv4Addr source, destination;
  uint8_t protocol = 0;
  uint16_t source_port = 0, destination_port = 0;  // ICMP: the identifier, twice
  uint8_t icmp_type = 0, icmp_code = 0;

  // Ports alone do not tell whether TCP asked for a connection.
  [[nodiscard]] bool may_be_reply() const {
    return protocol == icmp ? is_reply(icmp_type) : has_ports(protocol);
  }
};

struct Gateway::Packet {
  PortNumber in = 0;
  Bytes bytes;
  uint32_t first_segment = 0;
  // parse
  bool is_arp = false;
  Bytes neighbor_answer;  // of a Neighbor Solicitation; else empty
  Mac sender;
  Ipv4Addr source, destination;
  uint16_t length = 0;  // IPv4 total length
  uint8_t ttl = 0;
  uint8_t protocol = 0;
  uint16_t source_port = 0, destination_port = 0;  // ICMP: the identifier, twice
  uint8_t tcp_flags = 0;
  uint8_t icmp_type = 0, icmp_code = 0;
  uint8_t sctp_chunk = 0;  // type of the first one
  size_t transport_at = 0;
  std::optional<Quote> quote;  // of ICMP errors
  bool is_fragment = false, is_first = true, is_last = true;
  uint16_t identification = 0;
  uint32_t first_part = 0, end_part = 0;  // of eight bytes
  // identify, admit
  Side from, to;
  // route
  PortNumber out = 0;

  // A SYN without ACK, an INIT: what asks for a connection is no reply.
  [[nodiscard]] bool asks_for_connection() const {
    return protocol == sctp ? sctp_chunk == sctp_init : protocol == tcp && (tcp_flags & (syn | ack)) == syn;
  }
  // Without state only these can be told to be replies.
  [[nodiscard]] bool may_be_reply() const {
    if (protocol == icmp) return !is_icmp_query();
    return protocol == udp || ((protocol == tcp || protocol == sctp) && !asks_for_connection());
  }
  [[nodiscard]] bool is_icmp_query() const { return protocol == icmp && is_query(icmp_type); }

  [[nodiscard]] bool can_open() const {
    if (protocol == icmp) return is_icmp_query();
    if (protocol == sctp) return !sctp_answers.contains(sctp_chunk);
    if (protocol != tcp) return true;
    return asks_for_connection() || ((tcp_flags & ack) != 0 && (tcp_flags & (syn | rst | fin)) == 0);
  }

  [[nodiscard]] SideTuple key(const Side& side) const {
    SideTuple key;
    key.local = side.owner->address.v4();
    key.remote = side.remote_address;
    key.local_port = Port::from_host(side.leaving ? source_port : destination_port);
    key.remote_port = Port::from_host(side.leaving ? destination_port : source_port);
    key.protocol = protocol;
    if (protocol == icmp) key.icmp_query = is_icmp_query() ? icmp_type : query_of_reply(icmp_type);
    return key;
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
