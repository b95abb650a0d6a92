// identify: who is the source endpoint, who the destination endpoint; and anti-spoofing (semantics:
// "Default-off, exactly", 6). An endpoint's packet must carry the DIP and MAC of an endpoint of its link; on
// an uplink no source may lie in a pool of the provider. A destination in a local pool is delivered here or
// nowhere.
//
// Reads addresses, source MAC; the 128-byte BindingRecord is found, and with its counters prefetched.
// Writes Burst::source, ::destination, ::has_source, ::has_destination.
// Drops: spoofed_source, spoofed_mac, spoofed_pool_source, unbound, not_ours.
#pragma once

#include <atomic>
#include <cstddef>
#include <string_view>

#include "dataplane/stages/family.h"
#include "dataplane/worker_state.h"
#include "src/net/cursor.h"

namespace portcullis::stages {

struct Identify {
  static constexpr std::string_view name = "identify";

  template <typename Group>
  static void run(Burst& burst, const Tables& tables, WorkerState& worker) noexcept {
    burst.has_source = 0;
    burst.has_destination = 0;
    if (burst.live == 0) return;
    if (burst.in_role == PortRole::uplink)
      from_uplink(burst, tables, worker);
    else if (burst.from_link == 0) [[likely]]
      from_endpoints<Group>(burst, tables, worker, [port = burst.in_port](uint32_t) { return port; });
    else
      Group::template call<IdentifyLinked>(burst, tables, worker);
    if (live_of<Ipv6>(burst) != 0) [[unlikely]]
      Group::template call<IdentifyIpv6>(burst, tables, worker);
  }

 private:
  // Functions of their own, for bursts that have some.
  struct IdentifyLinked {
    template <typename Group>
    static void run(Burst& burst, const Tables& tables, WorkerState& worker) noexcept {
      from_endpoints<Group>(burst, tables, worker, [&](uint32_t i) { return link_of(burst, i); });
    }
  };
  struct IdentifyIpv6 {
    template <typename Group>
    static void run(Burst& burst, const Tables& tables, WorkerState& worker) noexcept {
      if (burst.in_role == PortRole::uplink)
        ipv6_from_uplink(burst, tables, worker);
      else
        ipv6_from_endpoints<Group>(burst, tables, worker);
    }
  };

  // An index entry of each packet's destination: found in one pass, read in the next.
  struct Places {
    const std::atomic<uint32_t>* of[burst_size];
  };

  static void from_uplink(Burst& burst, const Tables& tables, WorkerState& worker) {
    Places places;
    uint64_t pooled_sources = 0;
    for_each_packet(live_of<Ipv4>(burst), [&](uint32_t i) {
      pooled_sources |= uint64_t{tables.binding.may_be_pooled(burst.ip[i].source)} << i;
      places.of[i] = tables.binding.place_of(View::edge, burst.ip[i].destination);
      prefetch_line(places.of[i]);
    });
    for_each_packet(pooled_sources, [&](uint32_t i) {
      if (tables.binding.find(View::edge, burst.ip[i].source).in_any_pool())
        drop(burst, worker, i, Drop::spoofed_pool_source);
    });
    reach<Ipv4>(burst, places, tables, worker);
  }

  // The destinations of packets from the uplink.
  template <typename Family>
  static void reach(Burst& burst, const Places& places, const Tables& tables, WorkerState& worker) {
    uint64_t unbound = 0;
    uint64_t not_ours = 0;
    for_each_packet(live_of<Family>(burst), [&](uint32_t i) {
      const IndexEntry to = BindingTable::load(places.of[i]);
      if (!to.is_bound()) {
        (to.in_local_pool() ? unbound : not_ours) |= uint64_t{1} << i;
        return;
      }
      burst.source[i] = nullptr;
      burst.destination[i] = prefetched(to.slot(), tables, worker);
    });
    drop_all(burst, worker, unbound, Drop::unbound);
    drop_all(burst, worker, not_ours, Drop::not_ours);
    burst.has_destination |= live_of<Family>(burst);
  }

  static void ipv6_from_uplink(Burst& burst, const Tables& tables, WorkerState& worker) {
    const Ipv6Index::Reader index = tables.binding.ipv6_index();
    Places places;
    for_each_packet(live_of<Ipv6>(burst), [&](uint32_t i) {
      if (index.in_any_pool(burst.source6[i])) return drop(burst, worker, i, Drop::spoofed_pool_source);
      places.of[i] = index.place_of(View::edge, burst.destination6[i]);
      prefetch_line(places.of[i]);
    });
    reach<Ipv6>(burst, places, tables, worker);
  }

  // `link`: of each packet, by its place in the burst.
  template <typename Group, typename LinkOf>
  static void from_endpoints(Burst& burst, const Tables& tables, WorkerState& worker, LinkOf&& link) {
    uint32_t buckets[burst_size];
    Places places;
    uint64_t pooled_destinations = 0;
    for_each_packet(live_of<Ipv4>(burst), [&](uint32_t i) {
      buckets[i] = tables.endpoint.bucket_of({.dip = burst.ip[i].source, .link = link(i)});
      tables.endpoint.prefetch(buckets[i]);
      if (!tables.binding.may_be_pooled(burst.ip[i].destination)) return;
      pooled_destinations |= uint64_t{1} << i;
      places.of[i] = tables.binding.place_of(View::local, burst.ip[i].destination);
      prefetch_line(places.of[i]);
    });
    for_each_packet(live_of<Ipv4>(burst), [&](uint32_t i) {
      const Slot slot = tables.endpoint.find<Group>({.dip = burst.ip[i].source, .link = link(i)}, buckets[i]);
      if (slot == 0) return drop(burst, worker, i, Drop::spoofed_source);
      burst.source[i] = prefetched(slot, tables, worker);
    });
    send<Ipv4>(burst, pooled_destinations, places, tables, worker);
  }

  template <typename Group>
  static void ipv6_from_endpoints(Burst& burst, const Tables& tables, WorkerState& worker) {
    const Ipv6Index::Reader index = tables.binding.ipv6_index();
    uint32_t buckets[burst_size];
    Places places;
    for_each_packet(live_of<Ipv6>(burst), [&](uint32_t i) {
      buckets[i] = tables.endpoint6.bucket_of({.dip = burst.source6[i], .link = link_of(burst, i)});
      tables.endpoint6.prefetch(buckets[i]);
      places.of[i] = index.place_of(View::local, burst.destination6[i]);
      prefetch_line(places.of[i]);
    });
    for_each_packet(live_of<Ipv6>(burst), [&](uint32_t i) {
      const EndpointKey6 key{.dip = burst.source6[i], .link = link_of(burst, i)};
      const Slot slot = tables.endpoint6.find_likely<Group>(key, buckets[i]);
      if (slot == 0) return drop(burst, worker, i, Drop::spoofed_source);
      burst.source[i] = prefetched(slot, tables, worker);
    });
    for_each_packet(live_of<Ipv6>(burst), [&](uint32_t i) {
      if (burst.source[i]->ipv6.dip != burst.source6[i]) [[unlikely]]
        find_whole<Group>(burst, i, buckets[i], tables, worker);
    });
    send<Ipv6>(burst, burst.ipv6, places, tables, worker);
  }

  // Another endpoint of the link has a DIP that ends alike.
  template <typename Group>
  [[gnu::noinline, gnu::cold]] static void find_whole(Burst& burst, uint32_t i, uint32_t bucket,
                                                      const Tables& tables, WorkerState& worker) {
    const Slot slot =
        tables.endpoint6.find<Group>({.dip = burst.source6[i], .link = link_of(burst, i)}, bucket);
    if (slot == 0) return drop(burst, worker, i, Drop::spoofed_source);
    burst.source[i] = &tables.binding.record(slot);
  }

  // Packets of endpoints that are who they say: their MACs, and whether they go to another endpoint.
  template <typename Family>
  static void send(Burst& burst, uint64_t pooled_destinations, const Places& places, const Tables& tables,
                   WorkerState& worker) {
    for_each_packet(live_of<Family>(burst), [&](uint32_t i) {
      const HeaderView<EthernetHeader> ethernet(frame_of(burst.mbuf[i]));
      const auto mac = MacWord::of_load(ethernet.load<uint64_t>(offsetof(EthernetHeader, source)));
      if (mac != MacWord(burst.source[i]->mac)) return drop(burst, worker, i, Drop::spoofed_mac);
      burst.destination[i] = nullptr;
      if ((pooled_destinations >> i & 1) == 0) return;
      const IndexEntry to = BindingTable::load(places.of[i]);
      if (to.is_bound()) {
        burst.destination[i] = prefetched(to.slot(), tables, worker);
        burst.has_destination |= uint64_t{1} << i;
      } else if (to.in_local_pool()) {
        drop(burst, worker, i, Drop::unbound);
      }
    });
    burst.has_source |= live_of<Family>(burst);
  }

  // Both lines of the record, and the line of its counters, which commit writes.
  static const BindingRecord* prefetched(Slot slot, const Tables& tables, const WorkerState& worker) {
    const BindingRecord& record = tables.binding.record(slot);
    prefetch_line(&record);
    prefetch_line(&record.rules);
    prefetch_line(&worker.counters.slots[slot]);
    return &record;
  }
};

}  // namespace portcullis::stages
