// What a stage has made of one packet of a burst, noted after the stage has run.
#pragma once

#include <string_view>

#include "dataplane/passage.h"
#include "dataplane/pipeline.h"
#include "dataplane/worker_state.h"

namespace portcullis {

template <typename Family>
inline void note_side(PassageSide& side, const BindingRecord& record, const Tables& tables) {
  side.slot = tables.binding.own_slot(record);
  side.stamp = record.stamp;
  side.eip = Family::eip(record);
}

// Who the packet is from and for, after identify.
template <typename Family>
inline void note_sides(Passage& passage, const Burst& burst, uint32_t i, const Tables& tables) {
  if ((burst.has_source >> i & 1) != 0)
    note_side<Family>(passage.writable_source(), *burst.source[i], tables);
  if ((burst.has_destination >> i & 1) != 0)
    note_side<Family>(passage.writable_destination(), *burst.destination[i], tables);
}

// What the side's list and its flow table said of the packet, after admit.
template <typename Family>
inline void note_verdict(PassageSide& side, const SideVerdicts& verdicts, uint32_t i, bool permits,
                         const WorkerState& worker, uint64_t now_ms) {
  side.is_asked = true;
  side.permits = permits;
  side.hit = verdicts.hit[i];
  if ((verdicts.entry >> i & 1) == 0 || verdicts.found[i] == FlowTable::none) return;
  const auto& entry = Family::flows(worker).entry(verdicts.found[i]);
  side.has_entry = true;
  side.opened = entry.opened;
  side.state = entry.state;
  side.expires_in_ms = entry.expires_ms - now_ms;
}

// The source is asked first; one that refuses ends it.
template <typename Family>
inline void note_verdicts(Passage& passage, const Burst& burst, uint32_t i, const WorkerState& worker) {
  const bool dropped = passage.is_over();
  const bool source_refused = dropped && passage.reason() == Drop::source_not_permitted;
  if ((burst.has_source >> i & 1) != 0)
    note_verdict<Family>(passage.writable_source(), burst.leaving, i, !source_refused, worker, burst.now_ms);
  if ((burst.has_destination >> i & 1) != 0 && !source_refused)
    note_verdict<Family>(passage.writable_destination(), burst.entering, i, !dropped, worker, burst.now_ms);
}

template <typename Family>
inline void note_findings(Passage& passage, const Burst& burst, uint32_t i, const WorkerState& worker,
                          std::string_view stage, Verdict verdict) {
  if (stage == stages::Identify::name && verdict == Verdict::passed)
    note_sides<Family>(passage, burst, i, worker.tables);
  if (stage == stages::Admit::name) note_verdicts<Family>(passage, burst, i, worker);
}

// A stage that a packet has not come to says nothing.
inline void note_stage(Passage& passage, const Burst& burst, uint32_t i, const WorkerState& worker,
                       std::string_view stage) {
  const bool goes_on = stage == stages::Encapsulate::name || stage == stages::Transmit::name;
  if (passage.is_over() || (passage.is_answer() && !goes_on)) return;
  const Verdict verdict = passage.note(stage, worker.config.id, (burst.answered >> i & 1) != 0);
  if ((burst.ipv6 >> i & 1) != 0)
    note_findings<stages::Ipv6>(passage, burst, i, worker, stage, verdict);
  else
    note_findings<stages::Ipv4>(passage, burst, i, worker, stage, verdict);
}

}  // namespace portcullis
