// decapsulate: what a link adds is taken off: VLAN tags, and the headers of VXLAN and Geneve (semantics:
// "Default-off, exactly", 7: on endpoint ports alone, to the port's own tunnel address, from remotes that
// endpoints of the port live behind). From here on a frame is as its endpoint sent it, and the link that it
// came by part of who the endpoint is. An outer packet that is not as it must be stays as it is: parse says
// what is wrong.
//
// Reads and shortens the frame; writes Burst::count, ::mbuf (what is left closes up), ::live, ::from_link,
// ::in_link, the port's receive counters of what goes.
// Drops: vlan_unknown … tunnel_congestion.
#pragma once

#include <rte_mbuf.h>
#include <rte_prefetch.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

#include "dataplane/stages/refusal.h"
#include "dataplane/stages/translate.h"
#include "dataplane/worker_state.h"
#include "src/net/checksum.h"
#include "src/net/cursor.h"
#include "src/net/headers.h"

namespace portcullis::stages {

struct Decapsulate {
  static constexpr std::string_view name = "decapsulate";

  template <typename Group>
  static void run(Burst& burst, const Tables& tables, WorkerState& worker) noexcept {
    if (tables.links.any_on(burst.in_port)) [[unlikely]]
      Group::template call<Links>(burst, tables, worker);
  }

 private:
  // A function of its own, for ports that have some.
  struct Links {
    template <typename Group>
    static void run(Burst& burst, const Tables& tables, WorkerState& worker) noexcept {
      decapsulate(burst, tables, worker);
    }
  };

  // What is taken off a frame: so many bytes before the inner one, whose link this is.
  struct Outer {
    uint32_t length = 0;  // 0: the frame is as its endpoint sent it
    LinkId link = 0;
    bool keeps_macs = false;  // tags: the MACs before them are the frame's
    uint32_t end = 0;         // of a tunnel: where in the frame its datagram ends
    bool saw_congestion = false;
  };

  static void decapsulate(Burst& burst, const Tables& tables, WorkerState& worker) {
    for (uint32_t i = 0; i < burst.count; ++i) rte_prefetch0(burst.mbuf[i]);
    for (uint32_t i = 0; i < burst.count; ++i) rte_prefetch0(frame_of(burst.mbuf[i]));
    const PortInfo& port = tables.ports.ports[burst.in_port];
    PortCounters& counters = worker.counters.ports[burst.in_port];
    uint64_t removed_bytes = 0;
    uint32_t kept = 0;
    const uint32_t count = burst.count;
    for (uint32_t i = 0; i < count; ++i) {
      rte_mbuf* const mbuf = burst.mbuf[i];
      const uint32_t received = mbuf->pkt_len;
      Outer outer;
      Refusal refusal = find_outer(outer, mbuf, burst.in_port, port, tables);
      if (!refusal.is_one() && outer.length != 0) refusal = take_off(outer, mbuf, port);
      if (refusal.is_one()) {
        counters.received_packets.add(1);
        removed_bytes += received;
        drop(burst, worker, i, refusal.reason());
        continue;
      }
      removed_bytes += received - mbuf->pkt_len;
      if (outer.length != 0) {
        burst.from_link |= uint64_t{1} << kept;
        burst.in_link[kept] = outer.link;
      }
      burst.mbuf[kept++] = mbuf;
    }
    counters.received_bytes.add(removed_bytes);
    burst.count = kept;
    burst.live = kept == burst_size ? ~uint64_t{0} : (uint64_t{1} << kept) - 1;
    std::fill_n(burst.mbuf + kept, burst_lookahead, burst.mbuf[kept == 0 ? 0 : kept - 1]);
  }

  static Refusal find_outer(Outer& outer, const rte_mbuf* mbuf, PortId in_port, const PortInfo& port,
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

  static Refusal take_off(const Outer& outer, rte_mbuf* mbuf, const PortInfo& port) {
    if (outer.keeps_macs) {
      take_off_tags(mbuf, outer.length);
      return Refusal();
    }
    // Fails only when the last of several buffers is all padding, which then counts as the inner frame's.
    if (mbuf->pkt_len > outer.end)
      static_cast<void>(rte_pktmbuf_trim(mbuf, static_cast<uint16_t>(mbuf->pkt_len - outer.end)));
    rte_pktmbuf_adj(mbuf, static_cast<uint16_t>(outer.length));
    for (uint32_t tags = 0; tags < most_tags && is_tagged(mbuf); ++tags) {
      if (!port.tunnel.strip_inner_vlan) return Drop::tunnel_inner_vlan;
      take_off_tags(mbuf, vlan_tag_bytes);
    }
    return outer.saw_congestion && !tell_of_congestion(mbuf) ? Refusal(Drop::tunnel_congestion) : Refusal();
  }

  static bool is_tagged(const rte_mbuf* mbuf) {
    if (mbuf->data_len < sizeof(EthernetHeader) + vlan_tag_bytes) return false;
    const HeaderView<EthernetHeader> header(frame_of(mbuf));
    return ether_type::is_vlan(header.load<Be16>(offsetof(EthernetHeader, ether_type)));
  }

  static void take_off_tags(rte_mbuf* mbuf, uint32_t bytes) {
    uint8_t macs[2 * sizeof(Mac)];
    std::memcpy(macs, frame_of(mbuf), sizeof macs);
    rte_pktmbuf_adj(mbuf, static_cast<uint16_t>(bytes));
    std::memcpy(frame_of(mbuf), macs, sizeof macs);
  }

  // RFC 6040, 4.2: what a router of the underlay marked is the inner packet's to say. False: its sender does
  // not know of congestion marks, so the packet's loss must tell.
  static bool tell_of_congestion(rte_mbuf* mbuf) {
    if (mbuf->data_len < l4_offset) return true;  // parse refuses what is cut short
    uint8_t* const ip = frame_of(mbuf) + l3_offset;
    const auto type =
        HeaderView<EthernetHeader>(frame_of(mbuf)).load<Be16>(offsetof(EthernetHeader, ether_type));
    if (type == ether_type::ipv4) {
      Be16 before;
      std::memcpy(&before, ip, sizeof before);
      if ((before.host() & ecn_mask) == 0) return false;
      const Be16 after = Be16::from_host(before.host() | congestion_experienced);
      std::memcpy(ip, &after, sizeof after);
      apply_to_field(ip + offsetof(Ipv4Header, checksum), ChecksumDelta().replace(before, after));
    } else if (type == ether_type::ipv6) {
      constexpr uint32_t shift = 4;  // in the second byte: the lower half of the traffic class is before it
      if ((ip[1] >> shift & ecn_mask) == 0) return false;
      ip[1] = static_cast<uint8_t>(ip[1] | congestion_experienced << shift);
    }
    return true;
  }

  static constexpr uint32_t most_tags = 2;
  static constexpr uint32_t ecn_mask = 3;  // RFC 3168, 5
  static constexpr uint32_t congestion_experienced = 3;
};

}  // namespace portcullis::stages
