// Several workers at once, each on a CPU of its own with its rig and its generator in one thread. They step
// together: all generate, and when the last one is done all poll, so that they meet at the caches, the memory
// and the rings between them as workers do that have no generator.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "bench/pps/measure.h"

namespace portcullis::bench {

// By worker, as Sample is of one. A window counts if it was quiet on every CPU.
struct CrewSample {
  std::vector<Sum> all, alone;
  double handed_over = 0;  // share of the packets that arrived
  double overlap = 0;      // share of the time of their polls in which all polled
};

class Crew {
 public:
  // `cpus`: one of each rig's; of the first the calling thread's, of the others EAL's. Nobody moves while the
  // crew is there.
  Crew(std::vector<RingRig*> rigs, std::vector<uint32_t> cpus);
  ~Crew();
  // About `seconds` by the wall clock, a source for each worker. internal if what came out does not agree
  // with what was sent.
  [[nodiscard]] Expected<CrewSample> measure(std::span<Source* const> sources, double seconds);
  [[nodiscard]] CrewSample measure_floor(std::span<Source* const> sources, double seconds);
  [[nodiscard]] const Windows& windows() const { return windows_; }
  void forget_windows() { windows_ = {}; }

 private:
  struct Window;
  struct Polled;
  struct Seat;
  struct Run;
  [[nodiscard]] CrewSample in_windows(std::span<Source* const> sources, double seconds, bool empty);
  static void work(Run& run, Seat& seat);
  static int work_elsewhere(void* seat);
  // What lies in rings between them after the last turn.
  void finish(std::span<Source* const> sources);
  // Packets so far, by the workers' counters.
  struct Passed {
    uint64_t received = 0, handed_over = 0;
  };
  [[nodiscard]] Passed passed() const;

  std::vector<std::unique_ptr<Seat>> seats_;
  Windows windows_;
};

}  // namespace portcullis::bench
