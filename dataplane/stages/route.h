// route: where the packet leaves, and the last refusals that need no memory: TTL, MTU, next hop.
//
// Reads Burst::destination, ::ip, ::total_length; writes ::out_port, ::next_hop_mac.
// Drops: ttl_exceeded, packet_too_big, next_hop_unresolved.
#pragma once

#include <string_view>

#include "dataplane/worker_state.h"

namespace portcullis::stages {

struct Route {
  static constexpr std::string_view name = "route";

  template <typename Group>
  static void run(Burst& burst, const Tables& tables, WorkerState& worker) noexcept {
    const auto passes = [&](uint32_t i, PortId out_port) {
      if (burst.ip[i].ttl <= 1) {
        drop(burst, worker, i, Drop::ttl_exceeded);
      } else if (burst.total_length[i] > tables.ports.ports[out_port].mtu) {
        drop(burst, worker, i, Drop::packet_too_big);
      } else {
        burst.out_port[i] = out_port;
        return true;
      }
      return false;
    };
    for_each_packet(burst.live & burst.has_destination, [&](uint32_t i) {
      const BindingRecord& destination = *burst.destination[i];
      if (passes(i, destination.port)) burst.next_hop_mac[i] = MacWord(destination.mac);
    });
    const uint64_t outside = burst.live & ~burst.has_destination;
    if (outside == 0) return;
    const PortId uplink = tables.ports.uplink;
    MacWord next_hop;
    const bool resolved = tables.next_hop.find(uplink, next_hop);
    for_each_packet(outside, [&](uint32_t i) {
      if (!passes(i, uplink)) return;
      burst.next_hop_mac[i] = next_hop;
      if (!resolved) drop(burst, worker, i, Drop::next_hop_unresolved);
    });
  }
};

}  // namespace portcullis::stages
