// One packet through the pipeline without a trace: a burst of its own, between two real ones.
#pragma once

#include <utility>

#include "dataplane/pipeline.h"
#include "dataplane/rehearsal.h"
#include "dataplane/worker_loop.h"

namespace portcullis {

// What the side's list and its flow table said of packet 0, after admit.
template <typename Family>
inline void note_verdict(RehearsedSide& side, const SideVerdicts& verdicts, bool permits,
                         const WorkerState& worker, uint64_t now_ms) {
  side.is_asked = true;
  side.permits = permits;
  side.hit = verdicts.hit[0];
  if ((verdicts.entry & 1) == 0 || verdicts.found[0] == FlowTable::none) return;
  const auto& entry = Family::flows(worker).entry(verdicts.found[0]);
  side.has_entry = true;
  side.opened = entry.opened;
  side.state = entry.state;
  side.expires_in_ms = entry.expires_ms - now_ms;
}

// The source is asked first; one that refuses ends it.
template <typename Family>
inline void note_verdicts(Rehearsal& rehearsal, const Burst& burst, const WorkerState& worker) {
  const bool dropped = rehearsal.is_over();
  const bool source_refused = dropped && rehearsal.reason() == Drop::source_not_permitted;
  if ((burst.has_source & 1) != 0)
    note_verdict<Family>(rehearsal.writable_source(), burst.leaving, !source_refused, worker, burst.now_ms);
  if ((burst.has_destination & 1) != 0 && !source_refused)
    note_verdict<Family>(rehearsal.writable_destination(), burst.entering, !dropped, worker, burst.now_ms);
}

inline void note_stage(Rehearsal& rehearsal, const Burst& burst, const WorkerState& worker,
                       std::string_view stage) {
  const bool goes_on = stage == stages::Encapsulate::name || stage == stages::Transmit::name;
  if (rehearsal.is_over() || (rehearsal.is_answer() && !goes_on)) return;
  const Verdict verdict = rehearsal.note(stage, worker.config.id, (burst.answered & 1) != 0);
  if (stage == stages::Identify::name && verdict == Verdict::passed) {
    if ((burst.has_source & 1) != 0) rehearsal.writable_source().slot = burst.source[0]->slot;
    if ((burst.has_destination & 1) != 0) rehearsal.writable_destination().slot = burst.destination[0]->slot;
  }
  if (stage != stages::Admit::name) return;
  if ((burst.ipv6 & 1) != 0)
    note_verdicts<stages::Ipv6>(rehearsal, burst, worker);
  else
    note_verdicts<stages::Ipv4>(rehearsal, burst, worker);
}

template <typename Group>
inline void rehearse(Rehearsal& rehearsal, WorkerState& worker, uint64_t now_ms) noexcept {
  Burst& burst = worker.burst;
  burst.count = 1;
  burst.mbuf[0] = rehearsal.mbuf();
  begin_burst(burst, worker.tables, rehearsal.port(), now_ms);
  burst.taken_over = true;  // nothing is counted as received
  burst.rehearsal = &rehearsal;
  const bool shows_drops = std::exchange(worker.shows_drops, true);
  const auto note = [&](std::string_view stage) { note_stage(rehearsal, burst, worker, stage); };
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
