#include "bench/pps/measure.h"

#include <rte_cycles.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <thread>

namespace portcullis::bench {
namespace {

// A thread that keeps another CPU busy: arithmetic and its own L1.
class Neighbour {
 public:
  explicit Neighbour(uint32_t cpu) : thread_([this, cpu] { work(cpu); }) {}
  ~Neighbour() {
    stop_ = true;
    thread_.join();
  }
  Neighbour(const Neighbour&) = delete;
  Neighbour& operator=(const Neighbour&) = delete;

 private:
  void work(uint32_t cpu) {
    cpu_set_t own;
    CPU_ZERO(&own);
    CPU_SET(cpu, &own);
    sched_setaffinity(0, sizeof own, &own);
    std::array<uint64_t, 1024> words{};
    while (!stop_)
      for (size_t n = 0; n < words.size(); ++n) {
        words[n] = mix(words[n] + n);
        asm volatile("" : : "r"(words.data()) : "memory");
      }
  }

  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

}  // namespace

uint64_t clocks_of(double seconds) {
  return static_cast<uint64_t>(seconds * static_cast<double>(rte_get_tsc_hz()));
}

uint32_t cpu_of_worker(uint32_t core, uint32_t n) {
  return (core + n) % std::max(1u, std::thread::hardware_concurrency());
}

template <typename Run>
Sample Meter::in_windows(Source& source, double seconds, Run&& run) {
  using Core = Calibration::Core;
  Sample sample;
  Sum discarded;
  const uint64_t stall = stall_clocks();
  const uint64_t window = clocks_of(window_seconds);
  Core before = calibration_.look();
  const uint64_t end = rte_rdtsc() + clocks_of(seconds);
  while (rte_rdtsc() < end) {
    Sum sum;
    bool stalled = false;
    const uint64_t useful_before = source.useful();
    for (const uint64_t until = rte_rdtsc() + window; rte_rdtsc() < until;) {
      const Turn turn = run();
      sum.clocks += turn.clocks;
      sum.packets += turn.packets;
      stalled |= turn.clocks > stall;
    }
    sum.useful = source.useful() - useful_before;
    ++windows_.all;
    if (const double clocks = memory_.clocks_per_line(); clocks > 0) memory_clocks_.push_back(clocks);
    const Core after = calibration_.look();
    if (after == Core::slow || stalled) {
      ++windows_.discarded;
      discarded.add(sum);
    } else {
      sample.all.add(sum);
      if (before == Core::alone && after == Core::alone) {
        ++windows_.alone;
        sample.alone.add(sum);
      }
    }
    before = after;
  }
  // With no quiet window at all the figure is of the others, and Windows says that they were disturbed.
  if (sample.all.packets == 0) sample.all = discarded;
  return sample;
}

Expected<Sample> Meter::measure(Source& source, Poller& poller, double seconds) {
  rig_.reset_balance();
  const Sample sample = in_windows(source, seconds, [&] { return rig_.turn(source, poller, burst_size); });
  if (auto done = rig_.balance(); !done) return Unexpected(done.error());
  return sample;
}

Sample Meter::measure_floor(Source& source, double seconds) {
  return in_windows(source, seconds, [&] { return rig_.empty_turn(source); });
}

Summary summarise(std::vector<double> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  const auto at = [&](double q) {
    return values[static_cast<size_t>(std::lround(q * static_cast<double>(values.size() - 1)))];
  };
  return {.median = at(0.5), .min = values.front(), .iqr = at(0.75) - at(0.25)};
}

Expected<double> neighbour_factor(Meter& meter, Source& source, uint32_t core) {
  const uint32_t other = cpu_of_worker(core, 1);
  if (other == core) return 0.0;
  constexpr double seconds = 0.15;
  constexpr uint32_t rounds = 3;
  PlainPoller poller;
  std::vector<double> alone, beside;
  for (uint32_t round = 0; round < rounds; ++round) {
    auto sample = meter.measure(source, poller, seconds);
    if (!sample) return Unexpected(sample.error());
    alone.push_back(sample->all.clocks_per_packet());
    const Neighbour neighbour(other);
    sample = meter.measure(source, poller, seconds);
    if (!sample) return Unexpected(sample.error());
    beside.push_back(sample->all.clocks_per_packet());
  }
  return summarise(beside).median / summarise(alone).median;
}

Expected<Stages> measure_stages(Meter& meter, Source& source, double seconds) {
  ProbingPoller poller;
  Rig& rig = meter.rig();
  rig.reset_balance();
  uint64_t packets = 0;
  for (const uint64_t end = rte_rdtsc() + clocks_of(seconds); rte_rdtsc() < end;)
    packets += rig.turn(source, poller, burst_size).packets;
  if (auto done = rig.balance(); !done) return Unexpected(done.error());
  Stages stages = poller.stages();
  for (auto& [name, clocks] : stages) clocks /= static_cast<double>(packets);
  return stages;
}

Expected<Residence> measure_residence(RingRig& rig, Source& source, double load, double clocks_per_packet,
                                      double seconds) {
  ResidencePoller poller;
  rig.reset_balance();
  const double interval = clocks_per_packet / load;
  const uint64_t begin = rig.clock();
  uint64_t sent = 0;
  const double ways = static_cast<double>(rig.ways());
  for (const uint64_t end = rte_rdtsc() + clocks_of(seconds); rte_rdtsc() < end;) {
    const double arrived = static_cast<double>(rig.clock() - begin) / interval;
    const double waiting = std::max(0.0, arrived - static_cast<double>(sent));
    sent += rig.turn(source, poller, std::min(burst_size, static_cast<uint32_t>(waiting / ways))).packets;
  }
  if (auto done = rig.balance(); !done) return Unexpected(done.error());
  const Histogram& residence = poller.residence();
  const double us = 1e6 / static_cast<double>(rte_get_tsc_hz());
  const auto at = [&](double q) { return static_cast<double>(residence.quantile(q)) * us; };
  return Residence{
      .load = load,
      .mean_burst = static_cast<double>(sent) / static_cast<double>(std::max<uint64_t>(1, residence.count())),
      .p50_us = at(0.5),
      .p99_us = at(0.99),
      .p999_us = at(0.999),
      .max_us = static_cast<double>(residence.max()) * us,
      .stalls = poller.stalls().count(),
      .longest_stall_us = static_cast<double>(poller.stalls().max()) * us};
}

}  // namespace portcullis::bench
