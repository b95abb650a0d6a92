// One turn of a worker: what Worker::poll does, with the back end and a probe between the stages open to
// whoever measures it (bench/pps).
#pragma once

#include <rte_ethdev.h>
#include <rte_rcu_qsbr.h>
#include <rte_ring.h>

#include <algorithm>

#include "dataplane/pipeline.h"
#include "dataplane/tables/group.h"
#include "dataplane/worker_state.h"

namespace portcullis {

// Frames that the punt thread made, ready for the port named in them.
inline void transmit_originated(WorkerState& worker) {
  if (worker.config.from_punt == nullptr) return;
  rte_mbuf* frames[burst_size];
  const unsigned count = rte_ring_sc_dequeue_burst(worker.config.from_punt, reinterpret_cast<void**>(frames),
                                                   burst_size, nullptr);
  if (count == 0) return;
  worker.counters.originated.add(count);
  for (unsigned n = 0; n < count; ++n) {
    const PortId port = frames[n]->port;
    if (stages::Transmit::append(worker, port, frames[n])) continue;
    worker.counters.dropped[static_cast<size_t>(Drop::transmit_full)].add(1);
    rte_pktmbuf_free(frames[n]);
  }
}

// The next burst of a port, with nothing known of it yet; false: nothing has come.
inline bool receive(WorkerState& worker, PortId port, uint64_t now_ms) {
  Burst& burst = worker.burst;
  burst.count = rte_eth_rx_burst(port, 0, burst.mbuf, burst_size);
  if (burst.count == 0) return false;
  std::fill_n(burst.mbuf + burst.count, burst_lookahead, burst.mbuf[burst.count - 1]);
  burst.in_port = port;
  burst.in_role = worker.tables.ports.ports[port].role;
  burst.now_ms = now_ms;
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
  return true;
}

template <typename Group, typename Probe>
inline uint32_t poll_worker(WorkerState& worker, uint64_t now_ms, Probe&& probe) noexcept {
  const Tables& tables = worker.tables;
  transmit_originated(worker);
  uint32_t received = 0;
  for (const PortId port : tables.ports.in_use) {
    if (!receive(worker, port, now_ms)) {
      stages::Transmit::flush(worker, port);
      continue;
    }
    received += worker.burst.count;
    run_pipeline<Group>(worker.burst, tables, worker, probe);
  }
  uint64_t held = 0;
  for (const PortId port : tables.ports.in_use) held += worker.transmit[port].count;
  worker.counters.held.set(held);
  worker.counters.polls.add(1);
  if (received != 0) worker.counters.busy_polls.add(1);
  rte_rcu_qsbr_quiescent(worker.rcu, worker.config.id);
  return received;
}

}  // namespace portcullis
