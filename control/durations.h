// How long something took, time after time: how often up to which duration. Thread: one adds, any reads.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace portcullis {

class Durations {
 public:
  // Up to which, ascending; what takes longer has a place of its own behind them.
  static constexpr std::array<std::chrono::microseconds, 15> bounds = [] {
    using namespace std::chrono_literals;
    return std::array<std::chrono::microseconds, 15>{50us, 100us, 200us, 500us, 1ms,   2ms, 5ms, 10ms,
                                                     20ms, 50ms,  100ms, 200ms, 500ms, 1s,  5s};
  }();

  struct Counted {
    std::array<uint64_t, bounds.size() + 1> times{};  // each time in one place only
    std::chrono::nanoseconds total{};
  };

  void add(std::chrono::nanoseconds duration) {
    const auto place = std::ranges::lower_bound(bounds, duration) - bounds.begin();
    raise(times_[static_cast<size_t>(place)], 1);
    raise(total_, static_cast<uint64_t>(duration.count()));
  }

  // What is added meanwhile may be in one of the two and not in the other.
  [[nodiscard]] Counted counted() const {
    Counted counted;
    for (size_t i = 0; i < times_.size(); ++i) counted.times[i] = times_[i].load(std::memory_order_relaxed);
    counted.total = std::chrono::nanoseconds(total_.load(std::memory_order_relaxed));
    return counted;
  }

 private:
  static void raise(std::atomic<uint64_t>& count, uint64_t by) {
    count.store(count.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
  }

  std::array<std::atomic<uint64_t>, bounds.size() + 1> times_{};
  std::atomic<uint64_t> total_{};  // nanoseconds
};

// Of change sets that change something, since the process began.
struct ChangeDurations {
  Durations storing;     // until one is durable
  Durations publishing;  // from then on until every worker enforces it
};

}  // namespace portcullis
