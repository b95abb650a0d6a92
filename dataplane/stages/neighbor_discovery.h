// The part of punt for Neighbor Discovery (RFC 4861), whose form parse has checked: a solicitation is
// answered in its own buffer as ARP is; what the next hop of an uplink advertises goes to the punt thread.
// All else ends here: nothing of it crosses.
//
// Reads the frame; writes it and Burst::answered. Drops: neighbor_ignored, punt_rate, punt_full.
#pragma once

#include <rte_mbuf.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>

#include "dataplane/stages/to_punt_thread.h"
#include "dataplane/worker_state.h"
#include "src/net/checksum.h"
#include "src/net/headers.h"

namespace portcullis::stages {

struct NeighborDiscovery {
  [[gnu::noinline, gnu::cold]] static void run(Burst& burst, const Tables& tables, WorkerState& worker,
                                               uint32_t i) {
    const PortInfo& port = tables.ports.ports[burst.in_port];
    const uint32_t length = burst.total_length[i] - static_cast<uint32_t>(sizeof(Ipv6Header));
    const uint8_t* const message = frame_of(burst.mbuf[i]) + burst.l4_at[i];
    if (length < sizeof(NeighborHeader)) return drop(burst, worker, i, Drop::neighbor_ignored);
    NeighborHeader header;
    std::memcpy(&header, message, sizeof header);
    const std::span options(message + sizeof header, length - sizeof header);
    // As in punt: untagged on a port with a tunnel end.
    const bool is_underlay = port.tunnel.ipv6 != Ipv6Addr() && (burst.from_link >> i & 1) == 0;
    if (header.type == icmpv6_type::neighbor_solicitation &&
        (answers_for(port, tables, header.target) || (is_underlay && header.target == port.tunnel.ipv6)) &&
        asks(burst, i, header.target, options))
      return answer(burst, port, header.target, worker, i);
    const bool has_next_hop = port.role == PortRole::uplink && port.next_hop6 != Ipv6Addr();
    if (header.type == icmpv6_type::neighbor_advertisement &&
        ((has_next_hop && header.target == port.next_hop6) ||
         (is_underlay && port.tunnel.is_on_link(header.target))))
      return to_punt_thread(burst, worker, worker.next_hop_meters[burst.in_port], i);
    drop(burst, worker, i, Drop::neighbor_ignored);
  }

 private:
  static bool answers_for(const PortInfo& port, const Tables& tables, const Ipv6Addr& target) {
    if (port.role == PortRole::endpoint)
      return target == link_local_next_hop6 || target == port.endpoint_next_hop6;
    const auto& own = tables.gateway.addresses6;
    if (std::find(own.begin(), own.end(), target) != own.end()) return true;
    // For the whole pool, as with ARP.
    return port.proxy_arp && target != port.next_hop6 &&
           tables.binding.find(View::edge, target).in_local_pool();
  }

  // RFC 4861, 7.1.1: by the target's own multicast address or to it; options have a length; who has no
  // address yet says no link address.
  static bool asks(const Burst& burst, uint32_t i, const Ipv6Addr& target, std::span<const uint8_t> options) {
    const Ipv6Addr solicited_node =
        Ipv6Addr::of(0xff02000000000000, 0x00000001ff000000 | (target.low() & 0xffffff));
    const Ipv6Addr& to = burst.destination6[i];
    const bool has_address = burst.source6[i] != Ipv6Addr();
    if (to != solicited_node && (to != target || !has_address)) return false;
    while (!options.empty()) {
      if (options.size() < 2 || options[1] == 0 || options.size() < options[1] * size_t{8}) return false;
      if (options[0] == LinkAddressOption::source && !has_address) return false;
      options = options.subspan(options[1] * size_t{8});
    }
    return true;
  }

  // RFC 4861, 7.2.4: to who asks; to all nodes if he has no address yet.
  static void answer(Burst& burst, const PortInfo& port, const Ipv6Addr& target, WorkerState& worker,
                     uint32_t i) {
    constexpr Ipv6Addr all_nodes = Ipv6Addr::of(0xff02000000000000, 1);
    constexpr Mac all_nodes_mac{{0x33, 0x33, 0, 0, 0, 1}};
    EthernetHeader ethernet;
    rte_mbuf* const mbuf = burst.mbuf[i];
    const bool has_address = burst.source6[i] != Ipv6Addr();
    std::memcpy(&ethernet, frame_of(mbuf), sizeof ethernet);
    ethernet.destination = has_address ? ethernet.source : all_nodes_mac;
    ethernet.source = port.mac;
    struct {
      NeighborHeader header;
      LinkAddressOption option;
    } message{.header = {.type = icmpv6_type::neighbor_advertisement,
                         .code = 0,
                         .checksum = {},
                         .flags = Be32::from_host(neighbor_flag::router | neighbor_flag::override_cache |
                                                  (has_address ? neighbor_flag::solicited : 0)),
                         .target = target},
              .option = {.type = LinkAddressOption::target, .length = 1, .mac = port.mac}};
    static_assert(sizeof message == sizeof(NeighborHeader) + sizeof(LinkAddressOption));
    const Ipv6Header ip{.version_class_label = Be32::from_host(6u << 28),
                        .payload_length = Be16::from_host(sizeof message),
                        .next_header = ip_protocol::icmpv6,
                        .hop_limit = 255,
                        .source = target,
                        .destination = has_address ? burst.source6[i] : all_nodes};
    message.header.checksum = Be16::from_wire(static_cast<uint16_t>(~icmpv6_sum(
        ip.source, ip.destination, {reinterpret_cast<const uint8_t*>(&message), sizeof message})));
    constexpr uint32_t length = l3_offset + sizeof ip + sizeof message;
    if (mbuf->nb_segs != 1 || !resize(mbuf, length)) return drop(burst, worker, i, Drop::neighbor_ignored);
    uint8_t* const frame = frame_of(mbuf);
    std::memcpy(frame, &ethernet, sizeof ethernet);
    std::memcpy(frame + l3_offset, &ip, sizeof ip);
    std::memcpy(frame + l3_offset + sizeof ip, &message, sizeof message);
    const uint64_t bit = uint64_t{1} << i;
    burst.live &= ~bit;
    burst.answered |= bit;
  }

  static bool resize(rte_mbuf* mbuf, uint32_t length) {
    if (mbuf->pkt_len > length)
      return rte_pktmbuf_trim(mbuf, static_cast<uint16_t>(mbuf->pkt_len - length)) == 0;
    return rte_pktmbuf_append(mbuf, static_cast<uint16_t>(length - mbuf->pkt_len)) != nullptr;
  }
};

}  // namespace portcullis::stages
