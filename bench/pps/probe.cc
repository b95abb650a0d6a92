#include "bench/pps/probe.h"

#include <algorithm>

#include "dataplane/worker_loop.h"

namespace portcullis::bench {
namespace {

template <typename Probe>
[[gnu::flatten]] void poll_scalar(WorkerState& worker, uint64_t now_ms, Probe&& probe) noexcept {
  poll_worker<ScalarGroup>(worker, now_ms, probe);
}
#if defined(__x86_64__)
template <typename Probe>
PORTCULLIS_AVX2 [[gnu::flatten]] void poll_avx2(WorkerState& worker, uint64_t now_ms,
                                                Probe&& probe) noexcept {
  poll_worker<Avx2Group>(worker, now_ms, probe);
}
template <typename Probe>
PORTCULLIS_AVX512 [[gnu::flatten]] void poll_avx512(WorkerState& worker, uint64_t now_ms,
                                                    Probe&& probe) noexcept {
  poll_worker<Avx512Group>(worker, now_ms, probe);
}
#endif

template <typename Probe>
void poll_probed(Isa isa, WorkerState& worker, uint64_t now_ms, Probe&& probe) noexcept {
#if defined(__x86_64__)
  if (isa == Isa::avx2) return poll_avx2(worker, now_ms, probe);
  if (isa == Isa::avx512) return poll_avx512(worker, now_ms, probe);
#endif
  poll_scalar(worker, now_ms, probe);
}

}  // namespace

ProbingPoller::ProbingPoller() {
  constexpr uint32_t tries = 1000;
  const uint64_t begin = clock_now();
  last_ = begin;
  for (uint32_t n = 0; n < tries; ++n) note("calibration");
  own_clocks_ = static_cast<double>(clock_now() - begin) / tries;
  start();
}

void ProbingPoller::start() {
  stages_ = {};
  used_ = hint_ = 0;
}

// Stages are few and come in order: the next one is the one that came next the last time.
ProbingPoller::Stage& ProbingPoller::stage(std::string_view name) {
  for (size_t n = 0; n < used_; ++n) {
    if (hint_ >= used_) hint_ = 0;
    Stage& stage = stages_[hint_++];
    if (stage.name.data() == name.data()) return stage;
  }
  used_ = std::min(used_ + 1, stages_.size());
  hint_ = used_;
  stages_[used_ - 1].name = name;
  return stages_[used_ - 1];
}

// Not inlined: the loop under the probe then differs from the product's as little as may be.
[[gnu::noinline]] void ProbingPoller::note(std::string_view name) {
  const uint64_t now = clock_now();
  Stage& at = stage(name);
  at.clocks += now - last_;
  ++at.visits;
  last_ = now;
}

void ProbingPoller::poll(Worker& worker, uint64_t now_ms) noexcept {
  last_ = clock_now();
  poll_probed(worker.config().isa, worker.state(), now_ms, [this](std::string_view name) { note(name); });
  note("turn");
  worker.age(now_ms);
  note("age");
}

void ResidencePoller::burst_ended() {
  const uint64_t now = clock_now();
  const uint64_t stayed = now - began_;
  (stayed < stall_clocks_ ? residence_ : stalls_).add(stayed);
  began_ = now;
}

void ResidencePoller::poll(Worker& worker, uint64_t now_ms) noexcept {
  began_ = clock_now();
  // Transmit ends a burst; what comes next is another receive.
  poll_probed(worker.config().isa, worker.state(), now_ms, [this](std::string_view name) {
    if (name.data() == stages::Transmit::name.data()) burst_ended();
  });
  worker.age(now_ms);
}

std::vector<std::pair<std::string_view, double>> ProbingPoller::stages() const {
  std::vector<std::pair<std::string_view, double>> clocks;
  for (size_t n = 0; n < used_; ++n) {
    const Stage& stage = stages_[n];
    clocks.emplace_back(stage.name, std::max(0.0, static_cast<double>(stage.clocks) -
                                                      own_clocks_ * static_cast<double>(stage.visits)));
  }
  return clocks;
}

}  // namespace portcullis::bench
