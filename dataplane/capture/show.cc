#include "dataplane/capture/show.h"

#include <optional>

#include "dataplane/capture/capture.h"
#include "dataplane/capture/denied_log.h"
#include "dataplane/worker_state.h"

namespace portcullis {

namespace {

// Null: it is a capture.
Tracer* tracer_of(const WorkerState& worker) {
  return worker.capture->shares[worker.config.id].tracer.get();
}

// By which link it came, if decapsulate has taken off what that adds.
std::optional<LinkId> taken_off(const Burst& burst, uint32_t i) {
  return (burst.from_link >> i & 1) != 0 ? std::optional(burst.in_link[i]) : std::nullopt;
}

}  // namespace

bool show_received(const WorkerState& worker, const Burst& burst) noexcept {
  if (Tracer* const tracer = tracer_of(worker)) return tracer->choose(burst);
  for (uint32_t i = 0; i < burst.count; ++i)
    worker.capture->offer(worker.config.id, *burst.mbuf[i], burst.in_port, Fate::received);
  return false;
}

bool show_taken_over(const WorkerState& worker, const Burst& burst) noexcept {
  Tracer* const tracer = tracer_of(worker);
  return tracer != nullptr && tracer->take_over(burst);
}

void show_transmitted(const WorkerState& worker, const Burst& burst) noexcept {
  if (Tracer* const tracer = tracer_of(worker)) return tracer->transmit(burst);
  for_each_packet(burst.answered, [&](uint32_t i) {
    worker.capture->offer(worker.config.id, *burst.mbuf[i], burst.in_port, Fate::transmitted);
  });
  for_each_packet(burst.live, [&](uint32_t i) {
    worker.capture->offer(worker.config.id, *burst.mbuf[i], burst.out_port[i], Fate::transmitted);
  });
}

// A trace is of packets that go through the stages.
void show_originated(const WorkerState& worker, const rte_mbuf& frame) noexcept {
  if (tracer_of(worker) == nullptr)
    worker.capture->offer(worker.config.id, frame, frame.port, Fate::transmitted);
}

void show_punted(const WorkerState& worker, const Burst& burst, uint32_t i) noexcept {
  if (Tracer* const tracer = tracer_of(worker)) return tracer->punt(i);
  worker.capture->offer(worker.config.id, *burst.mbuf[i], burst.in_port, Fate::punted, {},
                        taken_off(burst, i));
}

void show_dropped(const WorkerState& worker, const Burst& burst, uint32_t i, Drop reason) noexcept {
  if (worker.config.denied_log != nullptr) worker.config.denied_log->offer(burst, i, reason);
  if (worker.capture == nullptr) return;
  if (Tracer* const tracer = tracer_of(worker)) return tracer->lose(i, reason);
  // It is translated by then, as it would have left.
  const bool is_leaving = reason == Drop::transmit_full && (burst.answered >> i & 1) == 0;
  const PortId port = is_leaving ? burst.out_port[i] : burst.in_port;
  // What finds no room has been given the headers of the link by which it leaves.
  worker.capture->offer(worker.config.id, *burst.mbuf[i], port, Fate::dropped, reason,
                        reason == Drop::transmit_full ? std::nullopt : taken_off(burst, i));
}

void show_and_drop(Burst& burst, WorkerState& worker, uint32_t i, Drop reason) noexcept {
  if (burst.rehearsal != nullptr) return rehearse_loss(burst, i, reason);
  show_dropped(worker, burst, i, reason);
  count_loss(burst, worker, i, reason);
  rte_pktmbuf_free(burst.mbuf[i]);
}

void show_unsent(const WorkerState& worker, const rte_mbuf& frame) noexcept {
  if (tracer_of(worker) == nullptr)
    worker.capture->offer(worker.config.id, frame, frame.port, Fate::dropped, Drop::transmit_full);
}

}  // namespace portcullis
