// One turn of a worker: what Worker::poll does, with the back end and a probe between the stages open to
// whoever measures it (bench/pps).
#pragma once

#include <rte_ethdev.h>
#include <rte_prefetch.h>
#include <rte_rcu_qsbr.h>
#include <rte_ring.h>

#include <algorithm>

#include "dataplane/handover.h"
#include "dataplane/pipeline.h"
#include "dataplane/tables/group.h"
#include "dataplane/trace_pipeline.h"
#include "dataplane/worker_state.h"

namespace portcullis {

// Finished frames that others made, for the ports named in them.
inline uint32_t transmit_from(WorkerState& worker, rte_ring* ring) {
  rte_mbuf* frames[burst_size];
  const unsigned count =
      rte_ring_sc_dequeue_burst(ring, reinterpret_cast<void**>(frames), burst_size, nullptr);
  for (unsigned n = 0; n < count; ++n) {
    if (worker.capture != nullptr && ring == worker.config.from_punt) [[unlikely]]
      show_originated(worker, *frames[n]);
    if (stages::Transmit::append(worker, frames[n]->port, frames[n])) continue;
    if (worker.capture != nullptr) [[unlikely]]
      show_unsent(worker, *frames[n]);
    worker.counters.dropped[static_cast<size_t>(Drop::transmit_full)].add(1);
    rte_pktmbuf_free(frames[n]);
  }
  return count;
}

// A burst of `burst.count` packets from a port, with nothing known of it yet.
inline void begin_burst(Burst& burst, const Tables& tables, PortId port, uint64_t now_ms) {
  std::fill_n(burst.mbuf + burst.count, burst_lookahead, burst.mbuf[burst.count - 1]);
  burst.in_port = port;
  burst.in_role = tables.ports.ports[port].role;
  burst.now_ms = now_ms;
  burst.taken_over = false;
  burst.from_link = 0;
  burst.ipv6 = 0;
  burst.arp = 0;
  burst.neighbor = 0;
  burst.errors = 0;
  burst.fragments = 0;
  burst.later_fragments = 0;
  burst.options = 0;
  burst.answered = 0;
  burst.to_link = 0;
  burst.live = burst.count == burst_size ? ~uint64_t{0} : (uint64_t{1} << burst.count) - 1;
}

// The next burst of a port; false: nothing has come, or another worker receives from it.
inline bool receive(WorkerState& worker, PortId port, uint64_t now_ms) {
  const uint16_t queue = worker.config.queues[port].receive;
  if (queue == PortQueues::none) return false;
  Burst& burst = worker.burst;
  burst.count = rte_eth_rx_burst(port, queue, burst.mbuf, burst_size);
  if (burst.count == 0) return false;
  begin_burst(burst, worker.tables, port, now_ms);
  return true;
}

// Packets of this worker's that others have received: of each ring some, in bursts of one port each.
template <typename Group, typename Probe>
[[gnu::noinline]] uint32_t judge_taken_over(WorkerState& worker, uint64_t now_ms, rte_ring* ring,
                                            Probe& probe) noexcept {
  Burst& burst = worker.burst;
  rte_mbuf* packets[burst_size];
  const unsigned count =
      rte_ring_sc_dequeue_burst(ring, reinterpret_cast<void**>(packets), burst_size, nullptr);
  worker.counters.taken_over.add(count);
  // Their descriptors and headers lie in the cache of the CPU that received them, far away.
  for (unsigned n = 0; n < count; ++n) rte_prefetch0(packets[n]);
  for (unsigned left = count; left != 0;) {
    const PortId port = packets[0]->port;
    unsigned of_others = 0;
    burst.count = 0;
    for (unsigned n = 0; n < left; ++n)
      (packets[n]->port == port ? burst.mbuf[burst.count++] : packets[of_others++]) = packets[n];
    left = of_others;
    begin_burst(burst, worker.tables, port, now_ms);
    burst.taken_over = true;
    for (uint32_t i = 0; i < burst.count; ++i) {
      const auto link = static_cast<LinkId>(burst.mbuf[i]->hash.usr);
      burst.in_link[i] = link;
      burst.from_link |= uint64_t{link >= max_ports} << i;
      rte_prefetch0(frame_of(burst.mbuf[i]));
    }
    if (worker.capture != nullptr && show_taken_over(worker, burst)) [[unlikely]]
      trace_pipeline<Group, OwnersPipeline>(worker);
    else
      run_pipeline<Group, OwnersPipeline>(burst, worker.tables, worker, probe);
  }
  return count;
}

// All that lies in a ring of finished frames now: its producer may have judged packets of many ports and
// rings meanwhile. What the ports take leaves before the next are looked at.
inline uint32_t transmit_all_from(WorkerState& worker, rte_ring* ring) {
  uint32_t all = 0;
  for (uint32_t count = burst_size; count == burst_size && all < Handover::ring_size; all += count) {
    count = transmit_from(worker, ring);
    for (const PortId port : worker.tables.ports.in_use) stages::Transmit::flush(worker, port);
  }
  return all;
}

// What other workers have for this one.
template <typename Group, typename Probe>
inline uint32_t take_over(WorkerState& worker, uint64_t now_ms, Probe& probe) {
  const Handover& handover = *worker.config.handover;
  uint32_t taken = 0;
  for (uint32_t from = 0; from < handover.workers(); ++from) {
    if (from == worker.config.id) continue;
    const uint32_t finished = transmit_all_from(worker, handover.to_transmitter(from, worker.config.id));
    worker.counters.taken_over.add(finished);
    taken += finished;
    taken += judge_taken_over<Group>(worker, now_ms, handover.to_owner(from, worker.config.id), probe);
  }
  return taken;
}

template <typename Group, typename Probe>
inline uint32_t poll_worker(WorkerState& worker, uint64_t now_ms, Probe&& probe) noexcept {
  const Tables& tables = worker.tables;
  worker.capture = tables.capture.load(std::memory_order_acquire);
  worker.shows_drops = worker.capture != nullptr || worker.config.denied_log != nullptr;
  if (worker.config.from_punt != nullptr)
    worker.counters.originated.add(transmit_from(worker, worker.config.from_punt));
  uint32_t received = 0;
  if (worker.config.handover != nullptr) [[unlikely]]
    received += take_over<Group>(worker, now_ms, probe);
  for (const PortId port : tables.ports.in_use) {
    if (!receive(worker, port, now_ms)) {
      stages::Transmit::flush(worker, port);
      continue;
    }
    received += worker.burst.count;
    if (worker.capture != nullptr && show_received(worker, worker.burst)) [[unlikely]]
      trace_pipeline<Group, Pipeline>(worker);
    else
      run_pipeline<Group>(worker.burst, tables, worker, probe);
  }
  uint64_t held = 0;
  for (const PortId port : tables.ports.in_use) held += worker.transmit[port].count;
  worker.counters.held.set(held);
  worker.counters.polls.add(1);
  if (received != 0) worker.counters.busy_polls.add(1);
  if (worker.mailbox.has_mail()) [[unlikely]]
    worker.mailbox.carry_out(worker, now_ms);
  rte_rcu_qsbr_quiescent(worker.rcu, worker.config.id);
  return received;
}

}  // namespace portcullis
