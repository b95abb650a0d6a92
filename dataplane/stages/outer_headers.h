// The part of decapsulate that reads: what stands before the frame as its endpoint sent it, tags or the
// headers of a tunnel, and of which link they are. Bounded reads; changes nothing.
//
// Drops: vlan_unknown, tunnel_unknown, tunnel_malformed, tunnel_fragment.
#pragma once

#include <rte_mbuf.h>

#include <cstddef>
#include <cstdint>
#include <optional>

#include "dataplane/stages/refusal.h"
#include "dataplane/worker_state.h"
#include "src/net/checksum.h"
#include "src/net/cursor.h"
#include "src/net/headers.h"

namespace portcullis::stages {

// RFC 3168, 5: of the type of service, or of the traffic class.
inline constexpr uint32_t ecn_mask = 3;
inline constexpr uint32_t congestion_experienced = 3;

// What is taken off a frame: so many bytes before the inner one, whose link this is.
struct Outer {
  uint32_t length = 0;  // 0: the frame is as its endpoint sent it
  LinkId link = 0;
  bool keeps_macs = false;  // tags: the MACs before them are the frame's
  uint32_t end = 0;         // of a tunnel: where in the frame its datagram ends
  bool saw_congestion = false;
};

class OuterHeaders {
 public:
  // What is not as it must be outside of a tunnel stays as it is, and parse says what is wrong.
  static Refusal find(Outer& outer, const rte_mbuf* mbuf, PortId in_port, const PortInfo& port,
                      const Tables& tables) {
    Cursor cursor({frame_of(mbuf), mbuf->data_len});
    HeaderView<EthernetHeader> header;
    if (!cursor.view(header)) return Refusal();
    const auto type = header.load<Be16>(offsetof(EthernetHeader, ether_type));
    if (ether_type::is_vlan(type)) return vlan(outer, mbuf, in_port, tables);
    if (header.load<Mac>(offsetof(EthernetHeader, destination)) != port.mac) return Refusal();
    if (type == ether_type::ipv4) return ipv4(outer, cursor, mbuf, in_port, port, tables);
    if (type == ether_type::ipv6) return ipv6(outer, cursor, mbuf, in_port, port, tables);
    return Refusal();
  }

 private:
  // Of one tag or two; a third is none of ours, and parse does not know it either.
  static Refusal vlan(Outer& outer, const rte_mbuf* mbuf, PortId in_port, const Tables& tables) {
    Cursor cursor({frame_of(mbuf), mbuf->data_len});
    VlanTag tag;
    static_cast<void>(cursor.skip(offsetof(EthernetHeader, ether_type)));
    if (!cursor.read(tag)) return Refusal();
    uint16_t identifiers[2] = {tag.identifier(), 0};
    outer.length = sizeof tag;
    if (cursor.read(tag) && ether_type::is_vlan(tag.type)) {
      identifiers[1] = tag.identifier();
      outer.length += static_cast<uint32_t>(sizeof tag);
      // An identifier of 0 is none (IEEE 802.1Q, 9.6), and no location has one.
      if (identifiers[1] == 0) return Drop::vlan_unknown;
    }
    const auto link = tables.links.find(LinkKey::vlan(in_port, identifiers[0], identifiers[1]));
    if (!link) return Drop::vlan_unknown;
    outer.link = *link;
    outer.keeps_macs = true;
    return Refusal();
  }

  static Refusal ipv4(Outer& outer, Cursor& cursor, const rte_mbuf* mbuf, PortId in_port,
                      const PortInfo& port, const Tables& tables) {
    Ipv4Header ip;
    if (!cursor.read(ip) || ip.destination != port.tunnel.ipv4 || port.tunnel.ipv4 == Ipv4Addr() ||
        ip.protocol != ip_protocol::udp || ip.version_ihl >> 4 != 4)
      return Refusal();
    const uint32_t header_length = (ip.version_ihl & 0xfu) * 4;
    const uint32_t total_length = ip.total_length.host();
    if (header_length < sizeof ip || total_length < header_length ||
        total_length > mbuf->pkt_len - l3_offset || !cursor.skip(header_length - sizeof ip) ||
        internet_sum({frame_of(mbuf) + l3_offset, header_length}) != 0xffff)
      return Refusal();
    constexpr Be16 fragment_bits = Be16::from_host(0x3fff);
    if ((ip.flags_fragment_offset.wire() & fragment_bits.wire()) != 0) return Drop::tunnel_fragment;
    outer.saw_congestion = (ip.dscp_ecn & ecn_mask) == congestion_experienced;
    return tunnel(outer, cursor, total_length - header_length, in_port, ip.source, tables);
  }

  static Refusal ipv6(Outer& outer, Cursor& cursor, const rte_mbuf* mbuf, PortId in_port,
                      const PortInfo& port, const Tables& tables) {
    Ipv6Header ip;
    if (!cursor.read(ip) || ip.destination != port.tunnel.ipv6 || port.tunnel.ipv6 == Ipv6Addr() ||
        ip.version_class_label.host() >> 28 != 6)
      return Refusal();
    if (ip.next_header == ipv6_extension::fragment) return Drop::tunnel_fragment;
    const uint32_t length = ip.payload_length.host();
    if (ip.next_header != ip_protocol::udp || length > mbuf->pkt_len - l3_offset - sizeof ip)
      return Refusal();
    outer.saw_congestion = (ip.version_class_label.host() >> 20 & ecn_mask) == congestion_experienced;
    return tunnel(outer, cursor, length, in_port, ip.source, tables);
  }

  // `length`: bytes from the UDP header on. Its checksum is not verified (RFC 7348, 4.1: may be).
  template <typename Address>
  static Refusal tunnel(Outer& outer, Cursor& cursor, uint32_t length, PortId in_port, const Address& remote,
                        const Tables& tables) {
    UdpHeader udp;
    const auto udp_at = static_cast<uint32_t>(cursor.offset());
    if (!cursor.read(udp)) return Refusal();
    const bool is_vxlan = udp.destination_port == udp_port::vxlan;
    if (!is_vxlan && udp.destination_port != udp_port::geneve) return Refusal();
    const uint32_t udp_length = udp.length.host();
    if (udp_length < sizeof udp || udp_length > length) return Refusal();
    const auto vni = is_vxlan ? vxlan(cursor) : geneve(cursor);
    outer.length = static_cast<uint32_t>(cursor.offset());
    outer.end = udp_at + udp_length;
    if (!vni || outer.end < outer.length) return Drop::tunnel_malformed;
    const auto link = tables.links.find(
        LinkKey::tunnel(in_port, is_vxlan ? LinkKind::vxlan : LinkKind::geneve, remote, *vni));
    if (!link) return Drop::tunnel_unknown;
    outer.link = *link;
    return Refusal();
  }

  // The VNI; none if the header is not as it must be.
  static std::optional<uint32_t> vxlan(Cursor& cursor) {
    VxlanHeader header;
    if (!cursor.read(header) || (header.flags.host() & VxlanHeader::vni_is_valid) == 0) return std::nullopt;
    return header.vni.host() >> 8;
  }
  // RFC 8926, 3.4 and 3.5: who does not understand an option that is critical drops the packet.
  static std::optional<uint32_t> geneve(Cursor& cursor) {
    GeneveHeader header;
    if (!cursor.read(header) || header.version_length >> 6 != 0 || header.protocol != ether_type::ethernet ||
        (header.flags & (GeneveHeader::control_packet | GeneveHeader::critical_options)) != 0 ||
        !cursor.skip((header.version_length & 0x3fu) * 4))
      return std::nullopt;
    return header.vni.host() >> 8;
  }
};

}  // namespace portcullis::stages
