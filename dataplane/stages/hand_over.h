// hand_over: a packet that another worker owns (spread.h) goes there by ring, before anything that depends on
// flows is asked; that worker parses and identifies it again. An ICMP error belongs to the packet that it
// quotes.
//
// Reads addresses, Burst::has_source, ::has_destination, ::errors, ::quoted, the EIPs of records; writes
// rte_mbuf::port and ::hash. Drops: handover_full.
#pragma once

#include <rte_ring.h>

#include <bit>
#include <string_view>

#include "dataplane/handover.h"
#include "dataplane/owners.h"
#include "dataplane/stages/family.h"
#include "dataplane/worker_state.h"

namespace portcullis::stages {

struct HandOver {
  static constexpr std::string_view name = "hand_over";

  template <typename Group>
  static void run(Burst& burst, const Tables& tables, WorkerState& worker) noexcept {
    if (worker.config.handover != nullptr) [[unlikely]]
      Group::template call<ToOwners>(burst, tables, worker);
  }

  // Whose a packet is that identify has found nothing wrong with.
  template <typename Family>
  static uint32_t owner_of(const Burst& burst, uint32_t i, const Handover& handover) {
    return handover.owner(remote<Family>(burst, i));
  }

 private:
  // A function of its own, for workers that are not alone.
  struct ToOwners {
    template <typename Group>
    static void run(Burst& burst, const Tables&, WorkerState& worker) noexcept {
      const Handover& handover = *worker.config.handover;
      uint8_t owners[burst_size];
      uint64_t leaving = 0;
      const auto find_one_by_one = [&]<typename Family>(Family, uint64_t packets) {
        for_each_packet(packets, [&](uint32_t i) {
          owners[i] = static_cast<uint8_t>(owner_of<Family>(burst, i, handover));
          leaving |= uint64_t{owners[i] != worker.config.id} << i;
        });
      };
      if (const uint64_t ipv4 = live_of<Ipv4>(burst); ipv4 != 0) {
        const uint64_t apart = ipv4 & ((burst.has_source & burst.has_destination) | burst.errors);
        leaving = owners_of(Group(),
                            {.packets = burst.ip,
                             .count = burst.count,
                             .outward = ~burst.has_destination,
                             .workers = handover.workers(),
                             .self = worker.config.id},
                            owners) &
                  ipv4 & ~apart;
        find_one_by_one(Ipv4(), apart);
      }
      find_one_by_one(Ipv6(), live_of<Ipv6>(burst));
      while (leaving != 0) {
        const uint32_t owner = owners[std::countr_zero(leaving)];
        uint64_t of_owner = 0;
        for_each_packet(leaving, [&](uint32_t i) { of_owner |= uint64_t{owners[i] == owner} << i; });
        leaving &= ~of_owner;
        rte_ring* const ring = handover.to_owner(worker.config.id, owner);
        if (burst.rehearsal != nullptr) [[unlikely]]
          rehearse(burst, worker, owner, ring);
        else
          send(burst, worker, of_owner, ring);
      }
    }
  };

  template <typename Family>
  static uint16_t remote(const Burst& burst, uint32_t i) {
    const BindingRecord* const source = burst.source[i];
    const BindingRecord* const destination = burst.destination[i];
    if (destination == nullptr) return Spread::fold(Family::destination(burst, i));
    if (source != nullptr)
      return Spread::fold(Family::eip(*source)) ^ Spread::fold(Family::eip(*destination));
    const bool is_error = (burst.errors >> i & 1) != 0;
    return Spread::fold(is_error ? Family::destination(burst.quoted[i]) : Family::source(burst, i));
  }

  // Control asks the owner next.
  static void rehearse(Burst& burst, WorkerState& worker, uint32_t owner, const rte_ring* ring) {
    if (rte_ring_full(ring) != 0) return drop(burst, worker, 0, Drop::handover_full);
    burst.live = 0;
    burst.rehearsal->hand_over(owner, link_of(burst, 0));
  }

  static void send(Burst& burst, WorkerState& worker, uint64_t leaving, rte_ring* ring) {
    rte_mbuf* packets[burst_size];
    uint32_t count = 0;
    for_each_packet(leaving, [&](uint32_t i) {
      packets[count++] = burst.mbuf[i];
      burst.mbuf[i]->port = burst.in_port;
      burst.mbuf[i]->hash.usr = link_of(burst, i);
    });
    const uint32_t sent = rte_ring_sp_enqueue_burst(ring, reinterpret_cast<void**>(packets), count, nullptr);
    worker.counters.handed_over.add(sent);
    uint32_t n = 0;
    for_each_packet(leaving, [&](uint32_t i) {
      if (n++ < sent)
        burst.live &= ~(uint64_t{1} << i);
      else
        drop(burst, worker, i, Drop::handover_full);
    });
  }
};

}  // namespace portcullis::stages
