// decapsulate: what a link adds is taken off: VLAN tags, and the headers of VXLAN and Geneve (semantics:
// "Default-off, exactly", 7: on endpoint ports alone, to the port's own tunnel address, from remotes that
// endpoints of the port live behind). From here on a frame is as its endpoint sent it, and the link that it
// came by part of who the endpoint is. What is read for it: outer_headers.h.
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
#include <string_view>

#include "dataplane/stages/outer_headers.h"
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

  static void decapsulate(Burst& burst, const Tables& tables, WorkerState& worker) {
    for (uint32_t i = 0; i < burst.count; ++i) rte_prefetch0(burst.mbuf[i]);
    for (uint32_t i = 0; i < burst.count; ++i) rte_prefetch0(frame_of(burst.mbuf[i]));
    const PortInfo& port = tables.ports.ports[burst.in_port];
    PortCounters& counters = worker.counters.ports[burst.in_port];
    uint64_t removed_packets = 0;
    uint64_t removed_bytes = 0;
    uint32_t kept = 0;
    const uint32_t count = burst.count;
    for (uint32_t i = 0; i < count; ++i) {
      rte_mbuf* const mbuf = burst.mbuf[i];
      const uint32_t received = mbuf->pkt_len;
      Outer outer;
      Refusal refusal = OuterHeaders::find(outer, mbuf, burst.in_port, port, tables);
      const bool is_from_link = !refusal.is_one() && outer.length != 0;
      if (is_from_link) refusal = take_off(outer, mbuf, port);
      if (refusal.is_one()) {
        removed_packets += 1;
        removed_bytes += received;
        lose(burst, worker, i, refusal.reason(), is_from_link ? outer.link : burst.in_port);
        continue;
      }
      removed_bytes += received - mbuf->pkt_len;
      if (is_from_link) {
        burst.from_link |= uint64_t{1} << kept;
        burst.in_link[kept] = outer.link;
      }
      burst.mbuf[kept++] = mbuf;
    }
    if (burst.rehearsal == nullptr) {
      counters.received_packets.add(removed_packets);
      counters.received_bytes.add(removed_bytes);
    }
    burst.count = kept;
    burst.live = kept == burst_size ? ~uint64_t{0} : (uint64_t{1} << kept) - 1;
    std::fill_n(burst.mbuf + kept, burst_lookahead, burst.mbuf[kept == 0 ? 0 : kept - 1]);
  }

  // Whoever looks learns by which link it came. Its place is one of a packet that is not looked at yet.
  static void lose(Burst& burst, WorkerState& worker, uint32_t i, Drop reason, LinkId link) {
    const uint64_t others = burst.from_link;
    if (link != burst.in_port) {
      burst.from_link |= uint64_t{1} << i;
      burst.in_link[i] = link;
    }
    drop(burst, worker, i, reason);
    burst.from_link = others;
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
};

}  // namespace portcullis::stages
