// transmit: packets into the queue of the port they leave by, and what is queued to the ports, in bursts. A
// port that does not take all at once has the rest held for it, in order; beyond that queue packets are
// dropped.
//
// Reads Burst::out_port; writes TransmitQueue, PortCounters. Drops: transmit_full.
#pragma once

#include <rte_ethdev.h>

#include <algorithm>
#include <string_view>

#include "dataplane/worker_state.h"

namespace portcullis::stages {

struct Transmit {
  static constexpr std::string_view name = "transmit";

  template <typename Group>
  static void run(Burst& burst, const Tables& tables, WorkerState& worker) noexcept {
    for_each_packet(burst.answered, [&](uint32_t i) { enqueue(burst, worker, i, burst.in_port); });
    for_each_packet(burst.live, [&](uint32_t i) { enqueue(burst, worker, i, burst.out_port[i]); });
    for (const PortId port : tables.ports.in_use) flush(worker, port);
  }

  // Offers a port all that is queued for it.
  static void flush(WorkerState& worker, PortId port) noexcept {
    TransmitQueue& queue = worker.transmit[port];
    if (queue.count == 0) return;
    const uint16_t sent = rte_eth_tx_burst(port, 0, queue.packets.data(), static_cast<uint16_t>(queue.count));
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

  // Adds one packet; false, and the packet still the caller's, when the queue is full.
  static bool append(WorkerState& worker, PortId port, rte_mbuf* packet) noexcept {
    TransmitQueue& queue = worker.transmit[port];
    if (queue.count == TransmitQueue::capacity) return false;
    queue.packets[queue.count++] = packet;
    queue.bytes += packet->pkt_len;
    return true;
  }

 private:
  static void enqueue(Burst& burst, WorkerState& worker, uint32_t i, PortId port) {
    if (!append(worker, port, burst.mbuf[i])) drop(burst, worker, i, Drop::transmit_full);
  }
};

}  // namespace portcullis::stages
