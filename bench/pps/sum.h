// What a trial adds up, and what it says of workers that polled at the same time.
#pragma once

#include <rte_cycles.h>

#include <cstdint>
#include <span>

namespace portcullis::bench {

// What went through a worker, and the worker's time for it.
struct Sum {
  uint64_t clocks = 0, packets = 0, useful = 0;
  void add(const Sum& more) {
    clocks += more.clocks;
    packets += more.packets;
    useful += more.useful;
  }
  [[nodiscard]] double clocks_per_packet() const {
    return static_cast<double>(clocks) / static_cast<double>(packets);
  }
  // Source::useful, by worker time.
  [[nodiscard]] double useful_per_second() const {
    return static_cast<double>(useful) / static_cast<double>(clocks) * static_cast<double>(rte_get_tsc_hz());
  }
};

// Of a worker, had all of them the same rate and together the one that they had: a worker's rate is the
// packets that arrived there, by the time of its polls, in which it also sees to what it takes over. 0: one
// had none.
[[nodiscard]] inline double clocks_per_packet(std::span<const Sum> workers) {
  double packets_per_clock = 0;
  for (const Sum& sum : workers) {
    if (sum.packets == 0) return 0;
    packets_per_clock += 1 / sum.clocks_per_packet();
  }
  return static_cast<double>(workers.size()) / packets_per_clock;
}

}  // namespace portcullis::bench
