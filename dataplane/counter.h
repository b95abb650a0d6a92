// One counter: written by one thread (a relaxed load and store, never a locked add), read by any.
#pragma once

#include <atomic>
#include <cstdint>

namespace portcullis {

template <typename Value>
class BasicCounter {
 public:
  BasicCounter() = default;
  // For tables on the move before any thread shares them.
  BasicCounter(const BasicCounter& other) : value_(other.get()) {}
  BasicCounter& operator=(const BasicCounter& other) {
    set(other.get());
    return *this;
  }
  void add(Value n) { value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed); }
  void set(Value n) { value_.store(n, std::memory_order_relaxed); }
  [[nodiscard]] Value get() const { return value_.load(std::memory_order_relaxed); }
  // Who reads it by get_first() and then others sees in them what was written before it.
  void set_last(Value n) { value_.store(n, std::memory_order_release); }
  [[nodiscard]] Value get_first() const { return value_.load(std::memory_order_acquire); }

 private:
  std::atomic<Value> value_{0};
};
using Counter = BasicCounter<uint64_t>;
using Level = BasicCounter<uint32_t>;  // how many there are of what a table has room for
static_assert(sizeof(Counter) == 8 && sizeof(Level) == 4);

}  // namespace portcullis
