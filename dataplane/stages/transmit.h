// transmit: packets into the queue of the port they leave by, and what is queued to the ports, in bursts. A
// port that does not take all at once has the rest held for it, in order; beyond that queue packets are
// dropped. What leaves by a port for which another worker transmits goes to that one by ring.
//
// Reads Burst::out_port; writes TransmitQueue, PortCounters. Drops: transmit_full.
#pragma once

#include <rte_ethdev.h>
#include <rte_ring.h>

#include <algorithm>
#include <string_view>

#include "dataplane/worker_state.h"

namespace portcullis::stages {

struct Transmit {
  static constexpr std::string_view name = "transmit";

  template <typename Group>
  static void run(Burst& burst, const Tables& tables, WorkerState& worker) noexcept {
    if (burst.rehearsal != nullptr) [[unlikely]]
      return rehearse(burst, worker);
    if (worker.capture != nullptr) [[unlikely]]
      show_transmitted(worker, burst);
    for_each_packet(burst.answered, [&](uint32_t i) {
      if (!append(worker, burst.in_port, burst.mbuf[i])) drop(burst, worker, i, Drop::transmit_full);
    });
    for (const PortId port : tables.ports.in_use) {
      const uint64_t leaving = burst.live & Group::equal64(burst.out_port, port);
      if (worker.transmit[port].to_transmitter != nullptr) [[unlikely]]
        queue(burst, worker, port, leaving);
      else if (leaving != 0 && worker.transmit[port].count == 0)
        send(burst, worker, port, leaving);
      else
        queue(burst, worker, port, leaving);
      flush(worker, port);
    }
  }

  // Offers a port all that is queued for it.
  static void flush(WorkerState& worker, PortId port) noexcept {
    TransmitQueue& queue = worker.transmit[port];
    if (queue.count == 0) return;
    const uint16_t sent =
        rte_eth_tx_burst(port, queue.number, queue.packets.data(), static_cast<uint16_t>(queue.count));
    if (sent == 0) return;
    uint64_t held_bytes = 0;
    for (uint32_t n = sent; n < queue.count; ++n) held_bytes += queue.packets[n]->pkt_len;
    PortCounters& counters = worker.counters.ports[port];
    counters.transmitted_packets.add(sent);
    counters.transmitted_bytes.add(queue.bytes - held_bytes);
    std::copy(queue.packets.begin() + sent, queue.packets.begin() + queue.count, queue.packets.begin());
    queue.count -= sent;
    queue.bytes = held_bytes;
  }

  // Adds one packet, to the queue or to the ring of who transmits for the port; false, and the packet still
  // the caller's, when that is full.
  static bool append(WorkerState& worker, PortId port, rte_mbuf* packet) noexcept {
    TransmitQueue& queue = worker.transmit[port];
    if (queue.to_transmitter != nullptr) [[unlikely]] {
      packet->port = port;
      if (rte_ring_sp_enqueue(queue.to_transmitter, packet) != 0) return false;
      worker.counters.handed_over.add(1);
      return true;
    }
    if (queue.count == TransmitQueue::capacity) return false;
    queue.packets[queue.count++] = packet;
    queue.bytes += packet->pkt_len;
    return true;
  }

 private:
  // What has nowhere to wait is dropped, as append() would; a port with an empty queue takes or queues it.
  [[gnu::noinline, gnu::cold]] static void rehearse(Burst& burst, WorkerState& worker) {
    const bool is_answer = (burst.answered & 1) != 0;
    if (!is_answer && (burst.live & 1) == 0) return;
    const PortId port = is_answer ? burst.in_port : burst.out_port[0];
    const TransmitQueue& queue = worker.transmit[port];
    const bool has_room = queue.to_transmitter != nullptr ? rte_ring_full(queue.to_transmitter) == 0
                                                          : queue.count != TransmitQueue::capacity;
    if (!has_room) return drop(burst, worker, 0, Drop::transmit_full);
    burst.rehearsal->transmit(port);
  }

  // To a port that has nothing queued: straight from the burst, and only what it does not take is queued.
  static void send(Burst& burst, WorkerState& worker, PortId port, uint64_t leaving) {
    rte_mbuf* packets[burst_size];
    uint32_t count = 0;
    uint64_t bytes = 0;
    for_each_packet(leaving, [&](uint32_t i) {
      packets[count++] = burst.mbuf[i];
      bytes += burst.mbuf[i]->pkt_len;
    });
    const uint16_t number = worker.transmit[port].number;
    const uint32_t sent = rte_eth_tx_burst(port, number, packets, static_cast<uint16_t>(count));
    // What is sent is the port's: the lengths of the rest are still to be had.
    for (uint32_t n = sent; n < count; ++n) {
      bytes -= packets[n]->pkt_len;
      append(worker, port, packets[n]);
    }
    worker.counters.ports[port].transmitted_packets.add(sent);
    worker.counters.ports[port].transmitted_bytes.add(bytes);
  }

  static void queue(Burst& burst, WorkerState& worker, PortId port, uint64_t leaving) {
    for_each_packet(leaving, [&](uint32_t i) {
      if (!append(worker, port, burst.mbuf[i])) drop(burst, worker, i, Drop::transmit_full);
    });
  }
};

}  // namespace portcullis::stages
