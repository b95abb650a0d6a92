// One counter: written by one thread (a relaxed load and store, never a locked add), read by any.
#pragma once

#include <atomic>
#include <cstdint>

namespace portcullis {

class Counter {
 public:
  Counter() = default;
  // For tables on the move before any thread shares them.
  Counter(const Counter& other) : value_(other.get()) {}
  Counter& operator=(const Counter& other) {
    set(other.get());
    return *this;
  }
  void add(uint64_t n) {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  void set(uint64_t n) { value_.store(n, std::memory_order_relaxed); }
  [[nodiscard]] uint64_t get() const { return value_.load(std::memory_order_relaxed); }
  // Who reads it by get_first() and then others sees in them what was written before it.
  void set_last(uint64_t n) { value_.store(n, std::memory_order_release); }
  [[nodiscard]] uint64_t get_first() const { return value_.load(std::memory_order_acquire); }

 private:
  std::atomic<uint64_t> value_{0};
};
static_assert(sizeof(Counter) == 8);

}  // namespace portcullis
