// One packet through the pipeline without a trace: a burst of its own, between two real ones.
#pragma once

#include <utility>

#include "dataplane/note_stage.h"
#include "dataplane/pipeline.h"
#include "dataplane/rehearsal.h"
#include "dataplane/worker_loop.h"

namespace portcullis {

template <typename Group>
inline void rehearse(Rehearsal& rehearsal, WorkerState& worker, uint64_t now_ms) noexcept {
  Burst& burst = worker.burst;
  burst.count = 1;
  burst.mbuf[0] = rehearsal.mbuf();
  begin_burst(burst, worker.tables, rehearsal.port(), now_ms);
  burst.taken_over = true;  // nothing is counted as received
  burst.rehearsal = &rehearsal;
  const bool shows_drops = std::exchange(worker.shows_drops, true);
  const auto note = [&](std::string_view stage) { note_stage(rehearsal, burst, 0, worker, stage); };
  const bool is_taken_over = rehearsal.is_taken_over();
  rehearsal.begin();
  if (is_taken_over) {
    burst.in_link[0] = rehearsal.link();
    burst.from_link = uint64_t{rehearsal.link() >= max_ports};
    run_pipeline<Group, OwnersPipeline>(burst, worker.tables, worker, note);
  } else {
    run_pipeline<Group>(burst, worker.tables, worker, note);
  }
  burst.rehearsal = nullptr;
  worker.shows_drops = shows_drops;
}

}  // namespace portcullis
