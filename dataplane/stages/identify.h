// identify: who is the source endpoint, who the destination endpoint; and anti-spoofing (semantics:
// "Default-off, exactly", 6). An endpoint's packet must carry the DIP and MAC of an endpoint of its port; on
// an uplink no source may lie in a pool of the provider. A destination in a local pool is delivered here or
// nowhere.
//
// Reads addresses, source MAC; the 128-byte BindingRecord is found, its first line prefetched for admit.
// Writes Burst::source, ::destination.
// Drops: spoofed_source, spoofed_mac, spoofed_pool_source, unbound, not_ours.
#pragma once

#include <rte_prefetch.h>

#include <cstring>
#include <string_view>

#include "dataplane/worker_state.h"

namespace portcullis::stages {

struct Identify {
  static constexpr std::string_view name = "identify";

  template <typename Group>
  static void run(Burst& burst, const Tables& tables, WorkerState& worker) noexcept {
    if (burst.live == 0) return;
    if (burst.in_role == PortRole::uplink)
      from_uplink(burst, tables, worker);
    else
      from_endpoints(burst, tables, worker);
  }

 private:
  static void from_uplink(Burst& burst, const Tables& tables, WorkerState& worker) {
    for_each_packet(burst.live, [&](uint32_t i) {
      const IndexEntry from = tables.binding.find(View::edge, burst.source_address[i]);
      if (from.in_any_pool()) return drop(burst, worker, i, Drop::spoofed_pool_source);
      const IndexEntry to = tables.binding.find(View::edge, burst.destination_address[i]);
      if (!to.in_local_pool()) return drop(burst, worker, i, Drop::not_ours);
      if (!to.is_bound()) return drop(burst, worker, i, Drop::unbound);
      burst.source[i] = nullptr;
      burst.destination[i] = prefetched(tables.binding.record(to.slot()));
    });
  }

  static void from_endpoints(Burst& burst, const Tables& tables, WorkerState& worker) {
    find_sources(burst, tables);
    for_each_packet(burst.live, [&](uint32_t i) {
      const BindingRecord* source = burst.source[i];
      if (source == nullptr) return drop(burst, worker, i, Drop::spoofed_source);
      EthernetHeader ethernet;
      std::memcpy(&ethernet, frame_of(burst.mbuf[i]), sizeof ethernet);
      if (ethernet.source != source->mac) return drop(burst, worker, i, Drop::spoofed_mac);
      const IndexEntry to = tables.binding.find(View::local, burst.destination_address[i]);
      if (to.is_bound()) {
        burst.destination[i] = prefetched(tables.binding.record(to.slot()));
      } else if (to.in_local_pool()) {
        drop(burst, worker, i, Drop::unbound);
      } else {
        burst.destination[i] = nullptr;
      }
    });
  }

  static void find_sources(Burst& burst, const Tables& tables) {
    EndpointKey keys[burst_size];
    const EndpointKey* key_pointers[burst_size];
    Slot slots[burst_size];
    uint32_t count = 0;
    for_each_packet(burst.live, [&](uint32_t i) {
      keys[count] = {.dip = burst.source_address[i], .port = burst.in_port};
      key_pointers[count] = &keys[count];
      ++count;
    });
    tables.endpoint.find(key_pointers, count, slots);
    count = 0;
    for_each_packet(burst.live, [&](uint32_t i) {
      const Slot slot = slots[count++];
      burst.source[i] = slot == 0 ? nullptr : prefetched(tables.binding.record(slot));
    });
  }

  static const BindingRecord* prefetched(const BindingRecord& record) {
    rte_prefetch0(&record);
    rte_prefetch0(record.rules);
    return &record;
  }
};

}  // namespace portcullis::stages
