// route: where the packet leaves, and the last refusals that need no memory: TTL, MTU, next hop.
//
// Reads Burst::destination, ::ttl, ::total_length; writes ::out_port, ::next_hop_mac.
// Drops: ttl_exceeded, packet_too_big, next_hop_unresolved.
#pragma once

#include <string_view>

#include "dataplane/worker_state.h"

namespace portcullis::stages {

struct Route {
  static constexpr std::string_view name = "route";

  template <typename Group>
  static void run(Burst& burst, const Tables& tables, WorkerState& worker) noexcept {
    for_each_packet(burst.live, [&](uint32_t i) {
      const BindingRecord* destination = burst.destination[i];
      const PortId out_port = destination != nullptr ? destination->port : tables.ports.uplink;
      if (burst.ttl[i] <= 1) return drop(burst, worker, i, Drop::ttl_exceeded);
      if (burst.total_length[i] > tables.ports.ports[out_port].mtu)
        return drop(burst, worker, i, Drop::packet_too_big);
      burst.out_port[i] = out_port;
      if (destination != nullptr) {
        burst.next_hop_mac[i] = MacWord(destination->mac);
      } else if (!tables.next_hop.find(out_port, burst.next_hop_mac[i])) {
        drop(burst, worker, i, Drop::next_hop_unresolved);
      }
    });
  }
};

}  // namespace portcullis::stages
