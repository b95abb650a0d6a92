// Trials: windows of about 10 ms between which a calibration loop says whether the machine was ours alone.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "bench/pps/calibration.h"
#include "bench/pps/ring_rig.h"
#include "bench/pps/sum.h"

namespace portcullis::bench {

inline constexpr double window_seconds = 0.01;
inline constexpr double floor_share = 0.25;   // of a trial's time
inline constexpr uint64_t fewest_alone = 20;  // windows, for a figure of them
[[nodiscard]] uint64_t clocks_of(double seconds);
// The CPU of the n-th worker, when the first has `core`. The neighbour's is that of the second.
[[nodiscard]] uint32_t cpu_of_worker(uint32_t core, uint32_t n);

struct Windows {
  uint64_t all = 0;
  uint64_t discarded = 0;
  uint64_t alone = 0;  // of those not discarded: before and after them the worker had its core to itself
  // More than a tenth discarded: the machine was not quiet enough for a figure to be quoted.
  [[nodiscard]] bool disturbed() const { return discarded * 10 > all; }
  void add(const Windows& more) {
    all += more.all;
    discarded += more.discarded;
    alone += more.alone;
  }
};

struct Sample {
  Sum all;    // windows that were not discarded
  Sum alone;  // those among them in which the worker had its core to itself
};

class Meter {
 public:
  explicit Meter(Rig& rig) : rig_(rig) {}
  // About `seconds` by the wall clock. internal if what came out does not agree with what was sent.
  [[nodiscard]] Expected<Sample> measure(Source& source, Poller& poller, double seconds);
  [[nodiscard]] Sample measure_floor(Source& source, double seconds);
  [[nodiscard]] const Windows& windows() const { return windows_; }
  // TSC ticks that a line took from memory, by window; empty when there was no room for the test.
  [[nodiscard]] const std::vector<double>& memory_clocks() const { return memory_clocks_; }
  void forget_windows() {
    windows_ = {};
    memory_clocks_.clear();
  }
  [[nodiscard]] Rig& rig() { return rig_; }

 private:
  template <typename Run>
  Sample in_windows(Source& source, double seconds, Run&& run);

  Rig& rig_;
  Calibration calibration_;
  MemoryProbe memory_;
  std::vector<double> memory_clocks_;
  Windows windows_;
};

struct Summary {
  double median = 0, min = 0, iqr = 0;
};
[[nodiscard]] Summary summarise(std::vector<double> values);

// How much longer a packet takes while another CPU is busy; 0 if there is no other.
[[nodiscard]] Expected<double> neighbour_factor(Meter& meter, Source& source, uint32_t core);

// Clocks per packet of each stage, from a pass of its own.
using Stages = std::vector<std::pair<std::string_view, double>>;
[[nodiscard]] Expected<Stages> measure_stages(Meter& meter, Source& source, double seconds);

struct Residence {
  double load = 0;        // share of the highest rate
  double mean_burst = 0;  // packets
  double p50_us = 0, p99_us = 0, p999_us = 0, max_us = 0;
  uint64_t stalls = 0;  // bursts that the host held up for 250 us and more: not among the others
  double longest_stall_us = 0;
};
// Packets arrive evenly, at `load` of one per `clocks_per_packet`.
[[nodiscard]] Expected<Residence> measure_residence(RingRig& rig, Source& source, double load,
                                                    double clocks_per_packet, double seconds);

}  // namespace portcullis::bench
