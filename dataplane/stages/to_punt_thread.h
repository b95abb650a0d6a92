// Hands a packet to the punt thread, by a meter of its port.
//
// Drops: punt_rate, punt_full.
#pragma once

#include <rte_ring.h>

#include "dataplane/worker_state.h"

namespace portcullis::stages {

inline void to_punt_thread(Burst& burst, WorkerState& worker, PuntMeter& meter, uint32_t i) {
  const uint64_t now_tsc = burst.now_ms * (worker.tsc_hz / 1000);
  // A rehearsal takes its token from a copy.
  rte_meter_srtcm copy = meter.meter;
  rte_meter_srtcm* const tokens = burst.rehearsal == nullptr ? &meter.meter : &copy;
  if (rte_meter_srtcm_color_blind_check(tokens, &meter.profile, now_tsc, 1) != RTE_COLOR_GREEN)
    return drop(burst, worker, i, Drop::punt_rate);
  if (burst.rehearsal != nullptr) [[unlikely]] {
    if (worker.config.to_punt == nullptr || rte_ring_full(worker.config.to_punt) != 0)
      return drop(burst, worker, i, Drop::punt_full);
    burst.live &= ~(uint64_t{1} << i);
    return burst.rehearsal->punt();
  }
  if (worker.capture != nullptr) [[unlikely]]
    show_punted(worker, burst, i);
  if (worker.config.to_punt == nullptr || rte_ring_enqueue(worker.config.to_punt, burst.mbuf[i]) != 0)
    return drop(burst, worker, i, Drop::punt_full);
  worker.counters.punted.add(1);
  burst.live &= ~(uint64_t{1} << i);
}

}  // namespace portcullis::stages
