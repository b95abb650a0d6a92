// What is timed: the worker's turn as it is in production, or with a probe between its stages.
#pragma once

#include <rte_cycles.h>

#include <array>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "bench/pps/histogram.h"
#include "dataplane/worker.h"

namespace portcullis::bench {

// The clock, after everything before it is done. Unlike rte_rdtsc_precise it does not wait for stores to
// drain.
inline uint64_t clock_now() {
#if defined(__x86_64__)
  __builtin_ia32_lfence();
#endif
  return rte_rdtsc();
}

// No burst takes as long by its own work: the host has taken the CPU away.
inline uint64_t stall_clocks() {
  return rte_get_tsc_hz() / 4000;  // 250 us
}

class Poller {
 public:
  virtual ~Poller() = default;
  // One turn of the worker and its ageing.
  virtual void poll(Worker& worker, uint64_t now_ms) noexcept = 0;
};

// Worker::poll, the loop of the product.
class PlainPoller : public Poller {
 public:
  void poll(Worker& worker, uint64_t now_ms) noexcept override {
    worker.poll(now_ms);
    worker.age(now_ms);
  }
};

// The same loop with a clock read after each stage of each burst. It takes longer, so no figure comes from it
// but the shares of the stages, and how long a burst stays.
class ProbingPoller : public Poller {
 public:
  ProbingPoller();
  void poll(Worker& worker, uint64_t now_ms) noexcept override;

  // Clocks by stage since start(), the probe's own taken off. The first stage holds the receive too; what
  // follows the last burst is called turn and age.
  [[nodiscard]] std::vector<std::pair<std::string_view, double>> stages() const;
  void start();

 private:
  struct Stage {
    std::string_view name;
    uint64_t clocks = 0;
    uint64_t visits = 0;
  };
  void note(std::string_view name);
  Stage& stage(std::string_view name);

  static constexpr size_t most_stages = 24;
  std::array<Stage, most_stages> stages_{};
  size_t used_ = 0;
  size_t hint_ = 0;  // stages come in order
  uint64_t last_ = 0;
  double own_clocks_ = 0;
};

// The same loop with a clock read at the end of each burst: how long it stayed.
class ResidencePoller : public Poller {
 public:
  void poll(Worker& worker, uint64_t now_ms) noexcept override;

  // Clocks from before rx_burst to after tx_burst, of each burst that was not empty; those that the host held
  // up apart.
  [[nodiscard]] const Histogram& residence() const { return residence_; }
  [[nodiscard]] const Histogram& stalls() const { return stalls_; }

 private:
  void burst_ended();

  uint64_t stall_clocks_ = stall_clocks();
  uint64_t began_ = 0;
  Histogram residence_, stalls_;
};

}  // namespace portcullis::bench
