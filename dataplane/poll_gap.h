// How long a worker has not looked at its ports: the time from one turn of its loop to the next, whatever it
// went by with (packets, ageing, errands, sleep, a host that gave the core to somebody else). Written by the
// worker alone, by the clock that its loop reads anyway; read by anyone.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "dataplane/counter.h"

namespace portcullis {

class PollGap {
 public:
  struct Longest {
    std::chrono::nanoseconds ever{};    // since the worker began
    std::chrono::nanoseconds recent{};  // of the gaps that ended in this interval or the one before
  };
  // Whoever reads once in an interval misses no gap.
  static constexpr uint64_t interval_s = 60;

  explicit PollGap(uint64_t tsc_hz) : tsc_hz_(tsc_hz) {}

  // Before the first turn.
  void begin(uint64_t tsc) {
    turned_.set(tsc);
    interval_ends_ = tsc + interval_s * tsc_hz_;
  }
  // When a turn begins. `tsc` never goes back.
  void turn(uint64_t tsc) {
    const uint64_t gap = tsc - turned_.get();
    if (gap > this_interval_) [[unlikely]] {
      this_interval_ = gap;
      ever_.set(std::max(gap, ever_.get()));
      recent_.set(std::max(gap, recent_.get()));
    }
    if (tsc >= interval_ends_) [[unlikely]] {
      recent_.set(this_interval_);
      this_interval_ = 0;
      interval_ends_ = tsc + interval_s * tsc_hz_;
    }
    turned_.set_last(tsc);  // a gap that is under way no more is among those that ended
  }

  // As of `tsc`, the gap under way among them: a worker that is stuck shows while it is. Nothing before
  // begin(). Any thread.
  [[nodiscard]] Longest longest(uint64_t tsc) const {
    const uint64_t turned = turned_.get_first();
    // The worker's core may be a little ahead of the reader's.
    const uint64_t under_way = turned == 0 || tsc < turned ? 0 : tsc - turned;
    return {nanoseconds(std::max(ever_.get(), under_way)), nanoseconds(std::max(recent_.get(), under_way))};
  }

 private:
  [[nodiscard]] std::chrono::nanoseconds nanoseconds(uint64_t tsc) const {
    return std::chrono::nanoseconds(
        static_cast<int64_t>(static_cast<double>(tsc) * 1e9 / static_cast<double>(tsc_hz_)));
  }

  uint64_t tsc_hz_;
  // In turns of the clock.
  Counter turned_;  // when the last turn began; 0: none has
  Counter ever_, recent_;
  uint64_t this_interval_ = 0;  // the worker's own
  uint64_t interval_ends_ = 0;
};

}  // namespace portcullis
