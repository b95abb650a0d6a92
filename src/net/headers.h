// Wire headers, byte for byte. Loaded by memcpy through a Cursor, never by a cast.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "src/net/address.h"
#include "src/net/byte_order.h"

namespace portcullis {

struct EthernetHeader {
  Mac destination;
  Mac source;
  Be16 ether_type;
};
static_assert(sizeof(EthernetHeader) == 14);

namespace ether_type {
inline constexpr Be16 ipv4 = Be16::from_host(0x0800);
inline constexpr Be16 arp = Be16::from_host(0x0806);
inline constexpr Be16 ipv6 = Be16::from_host(0x86dd);
inline constexpr Be16 vlan = Be16::from_host(0x8100);          // IEEE 802.1Q, customer tag
inline constexpr Be16 service_vlan = Be16::from_host(0x88a8);  // IEEE 802.1ad, service tag
inline constexpr Be16 ethernet = Be16::from_host(0x6558);      // Ethernet in a tunnel (RFC 1701)
constexpr bool is_vlan(Be16 type) {
  return type == vlan || type == service_vlan;
}
}  // namespace ether_type

// IEEE 802.1Q: what stands before the EtherType of a tagged frame.
struct VlanTag {
  Be16 type;
  Be16 control;  // priority 3 bits, drop eligible 1, identifier 12
  [[nodiscard]] constexpr uint16_t identifier() const { return control.host() & 0xfff; }
};
static_assert(sizeof(VlanTag) == 4);

// RFC 791, 3.1.
struct Ipv4Header {
  uint8_t version_ihl;
  uint8_t dscp_ecn;
  Be16 total_length;
  Be16 identification;
  Be16 flags_fragment_offset;
  uint8_t ttl;
  uint8_t protocol;
  Be16 checksum;
  Ipv4Addr source;
  Ipv4Addr destination;
};
static_assert(sizeof(Ipv4Header) == 20);

// RFC 791, 3.1: the whole octet, copied flag and class included.
namespace ip_option {
inline constexpr uint8_t end_of_list = 0;
inline constexpr uint8_t no_operation = 1;
inline constexpr uint8_t loose_source_route = 131;
inline constexpr uint8_t strict_source_route = 137;
}  // namespace ip_option

namespace ip_protocol {
inline constexpr uint8_t icmp = 1;
inline constexpr uint8_t tcp = 6;
inline constexpr uint8_t udp = 17;
inline constexpr uint8_t gre = 47;
inline constexpr uint8_t esp = 50;
inline constexpr uint8_t ah = 51;
inline constexpr uint8_t icmpv6 = 58;
inline constexpr uint8_t sctp = 132;

constexpr bool has_ports(uint8_t protocol) {
  return protocol == tcp || protocol == udp || protocol == sctp;
}

constexpr bool is_icmp(uint8_t protocol) {
  return protocol == icmp || protocol == icmpv6;
}

// IPv6's own (RFC 8200, RFC 4443: options, routing, fragment, ICMPv6, no next header, destination options)
// and what IANA reserves: they have no meaning in an IPv4 packet.
constexpr bool has_no_meaning_in_ipv4(uint8_t protocol) {
  switch (protocol) {
    case 0:
    case 43:
    case 44:
    case 58:
    case 59:
    case 60:
    case 255:
      return true;
    default:
      return false;
  }
}

// IPv4's ICMP, IPv6 extension headers, which a packet has before what it carries (RFC 8200, 4; of mobility,
// HIP and Shim6: RFC 7045), that nothing follows, and what IANA reserves.
constexpr bool has_no_meaning_in_ipv6(uint8_t protocol) {
  switch (protocol) {
    case 0:
    case icmp:
    case 43:
    case 44:
    case 59:
    case 60:
    case 135:
    case 139:
    case 140:
    case 255:
      return true;
    default:
      return false;
  }
}
}  // namespace ip_protocol

// RFC 8200, 3.
struct Ipv6Header {
  Be32 version_class_label;  // 4, 8 and 20 bits
  Be16 payload_length;       // extension headers included
  uint8_t next_header;
  uint8_t hop_limit;
  Ipv6Addr source;
  Ipv6Addr destination;
};
static_assert(sizeof(Ipv6Header) == 40);

// RFC 8200, 4. All but the fragment header begin with the next header and their own length, in units of eight
// bytes beyond the first eight.
namespace ipv6_extension {
inline constexpr uint8_t hop_by_hop = 0;
inline constexpr uint8_t routing = 43;
inline constexpr uint8_t fragment = 44;
inline constexpr uint8_t no_next_header = 59;
inline constexpr uint8_t destination_options = 60;
}  // namespace ipv6_extension

// RFC 8200, 4.5.
struct Ipv6FragmentHeader {
  uint8_t next_header;
  uint8_t reserved;
  Be16 offset_flags;  // offset in units of eight bytes, in the upper 13 bits; more fragments in the lowest
  Be32 identification;
};
static_assert(sizeof(Ipv6FragmentHeader) == 8);

// RFC 9293, 3.1.
struct TcpHeader {
  Port source_port;
  Port destination_port;
  Be32 sequence;
  Be32 acknowledgment;
  uint8_t data_offset;  // upper four bits, in 32-bit words
  uint8_t flags;
  Be16 window;
  Be16 checksum;
  Be16 urgent;
};
static_assert(sizeof(TcpHeader) == 20);

namespace tcp_flag {
inline constexpr uint8_t fin = 0x01;
inline constexpr uint8_t syn = 0x02;
inline constexpr uint8_t rst = 0x04;
inline constexpr uint8_t ack = 0x10;
}  // namespace tcp_flag

// RFC 768.
struct UdpHeader {
  Port source_port;
  Port destination_port;
  Be16 length;
  Be16 checksum;
};
static_assert(sizeof(UdpHeader) == 8);

namespace udp_port {
inline constexpr Be16 vxlan = Be16::from_host(4789);
inline constexpr Be16 geneve = Be16::from_host(6081);
}  // namespace udp_port

// RFC 7348, 5.
struct VxlanHeader {
  static constexpr uint32_t vni_is_valid = 1u << 27;  // flag I
  Be32 flags;
  Be32 vni;  // 24 bits, then 8 reserved
};
static_assert(sizeof(VxlanHeader) == 8);

// RFC 8926, 3.4; options follow.
struct GeneveHeader {
  static constexpr uint8_t control_packet = 0x80;    // flag O
  static constexpr uint8_t critical_options = 0x40;  // flag C
  uint8_t version_length;                            // version 2 bits, length of the options in words 6
  uint8_t flags;
  Be16 protocol;
  Be32 vni;  // 24 bits, then 8 reserved
};
static_assert(sizeof(GeneveHeader) == 8);

// RFC 9260, 3.1 and 3.2: the common header and that of the first chunk. The checksum does not cover
// addresses.
struct SctpHeader {
  Port source_port;
  Port destination_port;
  Be32 verification_tag;
  Be32 checksum;
  uint8_t chunk_type;
  uint8_t chunk_flags;
  Be16 chunk_length;
};
static_assert(sizeof(SctpHeader) == 16);

namespace sctp_chunk {
inline constexpr uint8_t init = 1;
inline constexpr uint8_t init_ack = 2;
inline constexpr uint8_t heartbeat_ack = 5;
inline constexpr uint8_t abort = 6;
inline constexpr uint8_t shutdown_ack = 8;
inline constexpr uint8_t error = 9;
inline constexpr uint8_t cookie_ack = 11;
inline constexpr uint8_t shutdown_complete = 14;
}  // namespace sctp_chunk

// RFC 792: the query messages (echo, timestamp), which carry an identifier.
struct IcmpHeader {
  uint8_t type;
  uint8_t code;
  Be16 checksum;
  Be16 identifier;
  Be16 sequence;
};
static_assert(sizeof(IcmpHeader) == 8);

namespace icmp_type {
inline constexpr uint8_t echo_reply = 0;
inline constexpr uint8_t destination_unreachable = 3;
inline constexpr uint8_t echo_request = 8;
inline constexpr uint8_t time_exceeded = 11;
inline constexpr uint8_t parameter_problem = 12;
inline constexpr uint8_t timestamp = 13;
inline constexpr uint8_t timestamp_reply = 14;
}  // namespace icmp_type

constexpr bool is_icmp_query(uint8_t type) {
  return type == icmp_type::echo_request || type == icmp_type::timestamp;
}
constexpr bool is_icmp_reply(uint8_t type) {
  return type == icmp_type::echo_reply || type == icmp_type::timestamp_reply;
}
// What is said about another packet, whose beginning it quotes behind its own header of eight bytes. Of RFC
// 792's the redirect is none that a router forwards, and the source quench is no more (RFC 6633).
constexpr bool is_icmp_error(uint8_t type) {
  return type == icmp_type::destination_unreachable || type == icmp_type::time_exceeded ||
         type == icmp_type::parameter_problem;
}
// The query of a pair, from either message of it.
constexpr uint8_t icmp_query_of(uint8_t type) {
  if (type == icmp_type::echo_reply) return icmp_type::echo_request;
  if (type == icmp_type::timestamp_reply) return icmp_type::timestamp;
  return type;
}

// RFC 4443: the messages that pass, errors and echo, have ICMPv4's header. The checksum covers a
// pseudo-header.
namespace icmpv6_type {
inline constexpr uint8_t destination_unreachable = 1;
inline constexpr uint8_t packet_too_big = 2;
inline constexpr uint8_t time_exceeded = 3;
inline constexpr uint8_t parameter_problem = 4;
inline constexpr uint8_t echo_request = 128;
inline constexpr uint8_t echo_reply = 129;
inline constexpr uint8_t neighbor_solicitation = 135;
inline constexpr uint8_t neighbor_advertisement = 136;
}  // namespace icmpv6_type

constexpr bool is_icmpv6_error(uint8_t type) {
  return type >= icmpv6_type::destination_unreachable && type <= icmpv6_type::parameter_problem;
}
// RFC 4861: router and neighbor messages, and redirects. They never leave their link.
constexpr bool is_neighbor_discovery(uint8_t type) {
  return type >= 133 && type <= 137;
}

// RFC 4861, 4.3 and 4.4: solicitation and advertisement begin alike; options follow.
struct NeighborHeader {
  uint8_t type;
  uint8_t code;
  Be16 checksum;
  Be32 flags;
  Ipv6Addr target;
};
static_assert(sizeof(NeighborHeader) == 24);

namespace neighbor_flag {
inline constexpr uint32_t router = uint32_t{1} << 31;
inline constexpr uint32_t solicited = uint32_t{1} << 30;
inline constexpr uint32_t override_cache = uint32_t{1} << 29;
}  // namespace neighbor_flag

// RFC 4861, 4.6.1.
struct LinkAddressOption {
  static constexpr uint8_t source = 1;
  static constexpr uint8_t target = 2;
  uint8_t type;
  uint8_t length;  // in units of eight bytes
  Mac mac;
};
static_assert(sizeof(LinkAddressOption) == 8);

// An address at an offset that is no multiple of four.
struct UnalignedIpv4 {
  std::array<uint8_t, 4> bytes{};
  static constexpr UnalignedIpv4 of(Ipv4Addr address) { return std::bit_cast<UnalignedIpv4>(address); }
  [[nodiscard]] constexpr Ipv4Addr address() const { return std::bit_cast<Ipv4Addr>(*this); }
};

// RFC 826 for IPv4 over Ethernet.
struct ArpHeader {
  Be16 hardware_type;
  Be16 protocol_type;
  uint8_t hardware_length;
  uint8_t protocol_length;
  Be16 operation;
  Mac sender_mac;
  UnalignedIpv4 sender_address;
  Mac target_mac;
  UnalignedIpv4 target_address;
};
static_assert(sizeof(ArpHeader) == 28);

namespace arp_operation {
inline constexpr Be16 request = Be16::from_host(1);
inline constexpr Be16 reply = Be16::from_host(2);
}  // namespace arp_operation

}  // namespace portcullis
