// route: where the packet leaves, and the last refusals that need no memory: TTL, MTU, next hop. Who sent
// what is refused for its TTL or length is told by ICMP.
//
// Reads Burst::destination, ::ip, ::total_length, LinkRecord; writes ::out_port, ::next_hop_mac, ::to_link,
// ::out_link, ::underlay_mac, ::answered, the EIPs' rates of ICMP errors.
// Drops: ttl_exceeded, packet_too_big, next_hop_unresolved, no_headroom.
#pragma once

#include <cstddef>
#include <string_view>

#include "dataplane/stages/icmp_answer.h"
#include "dataplane/worker_state.h"
#include "src/net/cursor.h"

namespace portcullis::stages {

struct Route {
  static constexpr std::string_view name = "route";

  template <typename Group>
  static void run(Burst& burst, const Tables& tables, WorkerState& worker) noexcept {
    uint64_t refused = 0;
    uint64_t by_link = 0;
    const auto leaves_by = [&](uint32_t i, PortId out_port) {
      burst.out_port[i] = out_port;
      if (burst.ip[i].ttl <= 1 || burst.total_length[i] > tables.ports.ports[out_port].mtu) [[unlikely]]
        refused |= uint64_t{1} << i;
    };
    for_each_packet(burst.live & burst.has_destination, [&](uint32_t i) {
      const BindingRecord& destination = *burst.destination[i];
      burst.next_hop_mac[i] = MacWord(destination.mac);
      if (destination.link >= max_ports) [[unlikely]]
        by_link |= uint64_t{1} << i;
      else
        leaves_by(i, destination.link);
    });
    for_each_packet(by_link, [&](uint32_t i) { refused |= link(burst, tables, worker, i); });
    const auto to_outside = [&](uint64_t outside, const NextHopTable& next_hops) {
      const PortId uplink = tables.ports.uplink;
      MacWord next_hop;
      const bool resolved = next_hops.find(uplink, next_hop);
      for_each_packet(outside, [&](uint32_t i) {
        burst.next_hop_mac[i] = next_hop;
        leaves_by(i, uplink);
      });
      if (!resolved) [[unlikely]]
        for_each_packet(outside & ~refused,
                        [&](uint32_t i) { drop(burst, worker, i, Drop::next_hop_unresolved); });
    };
    const uint64_t outside = burst.live & ~burst.has_destination;
    if ((outside & ~burst.ipv6) != 0) to_outside(outside & ~burst.ipv6, tables.next_hop);
    if ((outside & burst.ipv6) != 0) to_outside(outside & burst.ipv6, tables.next_hop6);
    for_each_packet(refused, [&](uint32_t i) { refuse(burst, tables, worker, i); });
  }

 private:
  // To an endpoint behind a VLAN or a tunnel; the packet's bit, if its sender is to be told of a refusal.
  static uint64_t link(Burst& burst, const Tables& tables, WorkerState& worker, uint32_t i) {
    const LinkId out = burst.destination[i]->link;
    const LinkRecord& record = tables.links.record(out);
    burst.out_link[i] = out;
    burst.out_port[i] = record.port;
    burst.to_link |= uint64_t{1} << i;
    if (burst.ip[i].ttl <= 1 || burst.total_length[i] > record.mtu) return uint64_t{1} << i;
    if (record.kind != LinkKind::vlan && !tables.neighbors.find(record.neighbor, burst.underlay_mac[i]))
      drop(burst, worker, i, Drop::next_hop_unresolved);
    else if (rte_pktmbuf_headroom(burst.mbuf[i]) < record.header_length)
      drop(burst, worker, i, Drop::no_headroom);
    return 0;
  }

  [[gnu::noinline, gnu::cold]] static void refuse(Burst& burst, const Tables& tables, WorkerState& worker,
                                                  uint32_t i) {
    const bool is_ipv6 = (burst.ipv6 >> i & 1) != 0;
    const uint16_t mtu = (burst.to_link >> i & 1) != 0 ? tables.links.record(burst.out_link[i]).mtu
                                                       : tables.ports.ports[burst.out_port[i]].mtu;
    if (burst.ip[i].ttl <= 1)
      return IcmpAnswer::drop_and_answer(
          burst, tables, worker, i, Drop::ttl_exceeded,
          {.type = is_ipv6 ? icmpv6_type::time_exceeded : icmp_type::time_exceeded, .code = 0});
    if (is_ipv6)
      return IcmpAnswer::drop_and_answer(
          burst, tables, worker, i, Drop::packet_too_big,
          {.type = icmpv6_type::packet_too_big, .code = 0, .next_hop_mtu = mtu});
    // RFC 791: without this flag the sender does not ask to be told.
    constexpr Be16 dont_fragment = Be16::from_host(0x4000);
    const HeaderView<Ipv4Header> header(frame_of(burst.mbuf[i]) + l3_offset);
    const auto flags = header.load<Be16>(offsetof(Ipv4Header, flags_fragment_offset));
    if ((flags.wire() & dont_fragment.wire()) == 0) return drop(burst, worker, i, Drop::packet_too_big);
    IcmpAnswer::drop_and_answer(
        burst, tables, worker, i, Drop::packet_too_big,
        {.type = icmp_type::destination_unreachable, .code = fragmentation_needed, .next_hop_mtu = mtu});
  }

  static constexpr uint8_t fragmentation_needed = 4;
};

}  // namespace portcullis::stages
