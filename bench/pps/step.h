// Threads that take every turn together, and end together what they do when the first of them says so.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace portcullis::bench {

class Step {
 public:
  // What comes after a turn: another; a look at the machine, and another; nothing.
  enum class Then : uint8_t { go_on, look, stop };

  explicit Step(uint32_t threads) : seats_(threads) {}

  // Waits until all threads have come to this turn. All return what the first one, thread 0, wanted.
  Then wait(uint32_t thread, Then wanted) noexcept {
    const uint64_t turn = seats_[thread].turn.load(std::memory_order_relaxed) + 1;
    // Two words by turns: nobody comes to the turn after the next before all have left this one.
    std::atomic<Then>& then = then_[turn % 2];
    if (thread == 0) then.store(wanted, std::memory_order_relaxed);
    // Others look at this line: the store is waited for here, or the turn would begin with it under way.
    seats_[thread].turn.store(turn, std::memory_order_seq_cst);
    // Without a pause: a hypervisor that counts them takes the CPU away. But somebody else may need the CPU
    // that is waited on.
    for (const Seat& seat : seats_)
      for (uint32_t spins = 0; seat.turn.load(std::memory_order_acquire) < turn; ++spins)
        if (spins > patience) std::this_thread::yield();
    return then.load(std::memory_order_relaxed);
  }

 private:
  static constexpr uint32_t patience = 100000;
  struct alignas(64) Seat {
    std::atomic<uint64_t> turn{0};
  };
  std::vector<Seat> seats_;
  std::array<std::atomic<Then>, 2> then_{};
};

}  // namespace portcullis::bench
