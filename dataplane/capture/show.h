// Where a worker shows its packets: to a capture or a trace, and to the log of denied packets. Off, each
// place costs a branch once a burst, or where a packet is dropped or punted. All but show_dropped only while
// WorkerState::capture is there.
#pragma once

#include "dataplane/burst.h"
#include "dataplane/drop.h"

namespace portcullis {

struct WorkerState;

// A burst as it was received, or taken over. True: some of it is traced (trace_pipeline.h).
[[nodiscard]] bool show_received(const WorkerState& worker, const Burst& burst) noexcept;
[[nodiscard]] bool show_taken_over(const WorkerState& worker, const Burst& burst) noexcept;
// What a burst transmits, answers among it.
void show_transmitted(const WorkerState& worker, const Burst& burst) noexcept;
// A frame of the punt thread's.
void show_originated(const WorkerState& worker, const rte_mbuf& frame) noexcept;
void show_punted(const WorkerState& worker, const Burst& burst, uint32_t i) noexcept;
// A packet that is about to be dropped.
void show_dropped(const WorkerState& worker, const Burst& burst, uint32_t i, Drop reason) noexcept;
// What drop() does, where somebody looks or a packet is rehearsed.
void show_and_drop(Burst& burst, WorkerState& worker, uint32_t i, Drop reason) noexcept;
// One that is finished and finds no room on its port.
void show_unsent(const WorkerState& worker, const rte_mbuf& frame) noexcept;

}  // namespace portcullis
