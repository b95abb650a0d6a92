// A burst some of whose packets are traced through the stages: the same stages, and what each has made of
// those packets is noted after it. Bursts without any do not come here.
#pragma once

#include <string_view>

#include "dataplane/capture/capture.h"
#include "dataplane/note_stage.h"
#include "dataplane/pipeline.h"
#include "dataplane/worker_state.h"

namespace portcullis {

// A packet that is neither with this worker any more nor lost is another's by now: its buffer is not to be
// touched.
inline void note_owner(Tracer& tracer, const Burst& burst, uint32_t i, const WorkerState& worker) {
  if ((burst.live >> i & 1) != 0) return tracer.unmark(*burst.mbuf[i]);
  const Handover& handover = *worker.config.handover;
  const uint32_t owner = (burst.ipv6 >> i & 1) != 0
                             ? stages::HandOver::owner_of<stages::Ipv6>(burst, i, handover)
                             : stages::HandOver::owner_of<stages::Ipv4>(burst, i, handover);
  tracer.passage(i).hand_over(owner);
}

inline void trace_stage(Tracer& tracer, const Burst& burst, const WorkerState& worker,
                        std::string_view stage) {
  const bool has_others = worker.config.handover != nullptr;
  for_each_packet(tracer.traced(), [&](uint32_t i) {
    Passage& passage = tracer.passage(i);
    if (has_others && stage == stages::HandOver::name && !passage.is_over() && !passage.is_answer())
      note_owner(tracer, burst, i, worker);
    note_stage(passage, burst, i, worker, stage);
    if (has_others && stage == stages::Identify::name && (burst.live >> i & 1) != 0)
      tracer.mark(*burst.mbuf[i], i);
  });
  if (stage == stages::Decapsulate::name) tracer.close_up();
}

template <typename Group, typename Stages>
[[gnu::noinline]] void trace_pipeline(WorkerState& worker) noexcept {
  Burst& burst = worker.burst;
  Tracer& tracer = *worker.capture->shares[worker.config.id].tracer;
  run_pipeline<Group, Stages>(burst, worker.tables, worker,
                              [&](std::string_view stage) { trace_stage(tracer, burst, worker, stage); });
  tracer.finish();
}

}  // namespace portcullis
