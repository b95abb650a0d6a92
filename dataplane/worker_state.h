// What a worker owns, and the functions that drop.
#pragma once

#include <rte_mbuf.h>
#include <rte_meter.h>

#include <array>
#include <bit>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "dataplane/burst.h"
#include "dataplane/capture/show.h"
#include "dataplane/counters.h"
#include "dataplane/drop.h"
#include "dataplane/mailbox.h"
#include "dataplane/poll_gap.h"
#include "dataplane/rehearsal.h"
#include "dataplane/tables/error_rate.h"
#include "dataplane/tables/flow.h"
#include "dataplane/tables/fragment.h"
#include "dataplane/tables/tables.h"
#include "dataplane/worker.h"

namespace portcullis {

// Packets on their way to a port: what it does not take at once is held until it does.
struct TransmitQueue {
  static constexpr uint32_t capacity = 512;
  uint16_t number = 0;                 // of the port's transmit queues
  rte_ring* to_transmitter = nullptr;  // if another worker transmits for the port
  uint32_t count = 0;
  uint64_t bytes = 0;
  std::array<rte_mbuf*, capacity> packets;
};

// Packets a second from a port to the punt thread: rte_meter with one "byte" a packet.
struct PuntMeter {
  rte_meter_srtcm_profile profile;
  rte_meter_srtcm meter;
};

// How far the ageing of a flow table has come.
struct AgeSweep {
  uint64_t aged_until_ms = 0;
  uint32_t left = 0;           // buckets of this sweep
  bool judges = false;         // whether it also takes entries that count no more
  uint64_t swept_changes = 0;  // Tables::changes when it began
};

// Some 80 bytes of 150,000 lie between the mailbox's lines and what is beside them.
// NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding)
struct WorkerState {
  WorkerConfig config;
  const Tables& tables;
  rte_rcu_qsbr* rcu;
  Capture* capture = nullptr;  // Tables::capture, for this turn
  bool shows_drops = false;    // in this turn somebody looks at dropped packets, or one is rehearsed
  WorkerCounters counters;
  std::unique_ptr<FlowCounts> flow_counts;  // of both tables, which refer to it
  FlowTable flows;
  FlowTable6 flows6;

  std::optional<ErrorRate> own_error_rate;  // of a worker that is alone
  ErrorRate* error_rate;
  FragmentTable fragments;
  FragmentTable6 fragments6;
  uint64_t tsc_hz;
  std::vector<const FlowCounts*> peers_flow_counts;  // of the gateway's other workers
  AgeSweep sweep;
  AgeSweep sweep6;
  uint64_t fragments_swept = 0;  // places until which ageing has come, of each family
  uint64_t fragments6_swept = 0;
  PollGap poll_gap{tsc_hz};
  std::array<PuntMeter, max_ports> punt_meters;
  // ARP replies of next hops have one of their own: a flood of what the gateway's list permits must not make
  // the gateway forget its router.
  std::array<PuntMeter, max_ports> next_hop_meters;
  std::array<TransmitQueue, max_ports> transmit{};
  Mailbox mailbox{};
  Burst burst{};  // here and not on the stack: its arrays are never cleared
};

// Of a packet that is rehearsed: its buffer is not the worker's.
[[gnu::noinline, gnu::cold]] inline void rehearse_loss(Burst& burst, uint32_t i, Drop reason) {
  burst.live &= ~(uint64_t{1} << i);
  burst.rehearsal->lose(reason);
}

// (A cold function would call it, for its size.)
[[gnu::always_inline]] inline void count_loss(Burst& burst, WorkerState& worker, uint32_t i, Drop reason) {
  worker.counters.dropped[static_cast<size_t>(reason)].add(1);
  burst.live &= ~(uint64_t{1} << i);
}

// The only way to lose a packet: count why, stop judging it. Its buffer is the caller's.
inline void lose(Burst& burst, WorkerState& worker, uint32_t i, Drop reason) {
  if (burst.rehearsal != nullptr) [[unlikely]]
    return rehearse_loss(burst, i, reason);
  count_loss(burst, worker, i, reason);
}

// The same, and the buffer goes back. Whoever looks at it does so elsewhere: a flood of drops pays one test.
// Not cold, which GCC compiles for size.
[[gnu::noinline]] inline void drop(Burst& burst, WorkerState& worker, uint32_t i, Drop reason) {
  if (worker.shows_drops) return show_and_drop(burst, worker, i, reason);
  count_loss(burst, worker, i, reason);
  rte_pktmbuf_free(burst.mbuf[i]);
}

// The same of several, for one reason. Buffers of one pool go back together: one by one, each waits for the
// number of free ones that the one before it wrote.
[[gnu::noinline]] inline void drop_all(Burst& burst, WorkerState& worker, uint64_t packets, Drop reason) {
  if (packets == 0) return;
  if (worker.shows_drops) [[unlikely]]
    return for_each_packet(packets, [&](uint32_t i) { show_and_drop(burst, worker, i, reason); });
  worker.counters.dropped[static_cast<size_t>(reason)].add(static_cast<uint64_t>(std::popcount(packets)));
  burst.live &= ~packets;
  rte_mempool* const pool = burst.mbuf[std::countr_zero(packets)]->pool;
  void* free_ones[burst_size];
  uint32_t count = 0;
  for_each_packet(packets, [&](uint32_t i) {
    rte_mbuf* const mbuf = burst.mbuf[i];
    if (mbuf->next != nullptr || mbuf->pool != pool) [[unlikely]]
      return rte_pktmbuf_free(mbuf);
    if (rte_pktmbuf_prefree_seg(mbuf) != nullptr) free_ones[count++] = mbuf;
  });
  rte_mempool_put_bulk(pool, free_ones, count);
}

}  // namespace portcullis
