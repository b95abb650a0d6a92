// Frames that tests make, byte by byte, and checksums summed whole.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "src/net/address.h"

namespace portcullis::testing {

using Bytes = std::vector<uint8_t>;

inline constexpr uint8_t icmp = 1, tcp = 6, udp = 17, gre = 47, esp = 50, sctp = 132;
inline constexpr uint8_t fin = 0x01, syn = 0x02, rst = 0x04, psh = 0x08, ack = 0x10, urg = 0x20;
inline constexpr size_t ip_at = 14, transport_at = 34;

// An IPv4 packet in an Ethernet frame, whole and with right checksums.
struct Packet {
  Mac to, from;
  Ipv4Addr source, destination;
  uint8_t ttl = 64;
  uint8_t protocol = udp;
  uint16_t source_port = 0, destination_port = 0;
  uint8_t flags = ack;                   // TCP
  uint8_t icmp_type = 8, icmp_code = 0;  // ICMP
  uint16_t icmp_id = 0;
  uint8_t sctp_chunk = 0;  // DATA
  Bytes payload;
};

[[nodiscard]] Bytes build(const Packet& packet);

inline constexpr uint8_t icmpv6 = 58;
inline constexpr size_t transport6_at = 54;  // without extension headers

// The same of IPv6.
struct Packet6 {
  Mac to, from;
  Ipv6Addr source, destination;
  uint8_t hop_limit = 64;
  uint8_t protocol = udp;
  uint16_t source_port = 0, destination_port = 0;
  uint8_t flags = ack;                     // TCP
  uint8_t icmp_type = 128, icmp_code = 0;  // ICMPv6
  uint16_t icmp_id = 0;
  uint16_t icmp_sequence = 1;
  uint8_t sctp_chunk = 0;
  // Extension headers: the protocol number of each, and all of it but its first byte, which names the next.
  std::vector<std::pair<uint8_t, Bytes>> extensions;
  Bytes payload;
};

[[nodiscard]] Bytes build(const Packet6& packet);
// Of a message of ICMPv6 behind the IPv6 header alone, after a change of it.
void fix_icmpv6_checksum(Bytes& frame);
[[nodiscard]] Ipv6Addr get_address6(const Bytes& bytes, size_t at);
void put_address6(Bytes& bytes, size_t at, const Ipv6Addr& address);

// A packet of the family that its addresses are of, for those who make both.
struct AnyPacket {
  Mac to, from;
  IpAddr source, destination;
  uint8_t ttl = 64;
  uint8_t protocol = udp;
  uint16_t source_port = 0, destination_port = 0;
  uint8_t flags = ack;
  uint8_t icmp_type = 8, icmp_code = 0;
  uint16_t icmp_id = 0;
  uint8_t sctp_chunk = 0;
  std::vector<std::pair<uint8_t, Bytes>> extensions;  // of IPv6
  Bytes payload;
};

[[nodiscard]] Bytes build(const AnyPacket& packet);

// Of a packet in a frame, what a fragment has of it: bytes from begin_of_parts() on.
struct Part {
  uint32_t identification = 0;
  size_t offset = 0, length = 0;
  bool more = false;
  uint16_t shift = 0;  // bits of its place, in eight bytes, that its header gets wrong
};
[[nodiscard]] Bytes part_of(const Bytes& frame, const Part& part);
// Behind the headers that each fragment has: IPv4's, or IPv6's with hop-by-hop options.
[[nodiscard]] size_t begin_of_parts(const Bytes& frame);

struct Arp {
  Mac to, from;
  uint16_t operation = 1;
  Mac sender_mac;
  Ipv4Addr sender;
  Mac target_mac;
  Ipv4Addr target;
};

[[nodiscard]] Bytes build(const Arp& arp);

[[nodiscard]] uint16_t get16(const Bytes& bytes, size_t at);
void put16(Bytes& bytes, size_t at, uint16_t value);
[[nodiscard]] Ipv4Addr get_address(const Bytes& bytes, size_t at);
[[nodiscard]] Mac get_mac(const Bytes& bytes, size_t at);

[[nodiscard]] bool is_ipv4(const Bytes& frame);
[[nodiscard]] bool is_ipv6(const Bytes& frame);
// Where things lie in a frame of IP, whose header is whole.
struct Layout {
  IpFamily family = IpFamily::ipv4;
  IpAddr source, destination;
  uint8_t protocol = 0;  // of IPv6 what follows the extension headers
  size_t transport_at = 0;
  size_t end = 0;          // of the packet
  size_t fragment_at = 0;  // IPv6: the fragment header; 0: there is none
  bool is_fragment = false, is_first = true;
  // Whether the packet goes on for so many bytes from the transport's header on.
  [[nodiscard]] bool has(size_t bytes) const { return transport_at + bytes <= end; }
};
// nullopt: it is no IP, or is cut short within its headers.
[[nodiscard]] std::optional<Layout> layout_of(const Bytes& frame);
// After a change of the header: its checksum made right again.
void fix_header_checksum(Bytes& frame);
// After a change of an ICMP message: its checksum made right again.
void fix_icmp_checksum(Bytes& frame);
// After a change of a UDP datagram, whose header is whole: its checksum made right again.
void fix_udp_checksum(Bytes& frame);
// Of an unfragmented packet. UDP without a checksum counts as right, and so does the header of IPv6.
[[nodiscard]] bool header_checksum_right(const Bytes& frame);
[[nodiscard]] bool transport_checksum_right(const Bytes& frame);
// Where the transport checksum lies, if it covers addresses; else 0, and if the frame ends before.
[[nodiscard]] size_t transport_checksum_at(const Bytes& frame);

[[nodiscard]] bool is_fragment(const Bytes& frame);
[[nodiscard]] bool is_icmp_error(const Bytes& frame);
// Of what an ICMP error that passed quotes.
[[nodiscard]] bool quoted_header_checksum_right(const Bytes& frame);

// "tcp S 10.0.0.1:80 > 10.0.0.2:5000 ttl 64 length 40", or what else it is.
[[nodiscard]] std::string describe(const Bytes& frame);

}  // namespace portcullis::testing
