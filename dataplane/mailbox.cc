#include "dataplane/mailbox.h"

#include <thread>

namespace portcullis {
namespace {

using Clock = std::chrono::steady_clock;

// A turn of a busy worker takes some microseconds, the sleep of an idle one some dozens.
constexpr std::chrono::microseconds look_again{20};

}  // namespace

bool Mailbox::ask(Errand& errand, std::chrono::milliseconds patience) {
  auto deadline = Clock::now() + patience;
  while (is_asked_.exchange(true, std::memory_order_acquire)) {
    if (Clock::now() >= deadline) return false;
    std::this_thread::sleep_for(look_again);
  }
  is_done_.store(false, std::memory_order_relaxed);
  uint64_t steps = steps_.load(std::memory_order_relaxed);
  waiting_.store(&errand, std::memory_order_release);
  deadline = Clock::now() + patience;
  bool is_done = true;
  while (!is_done_.load(std::memory_order_acquire)) {
    std::this_thread::sleep_for(look_again);
    if (Clock::now() < deadline) continue;
    const uint64_t now = steps_.load(std::memory_order_relaxed);
    if (now != steps) {
      steps = now;
      deadline = Clock::now() + patience;
      continue;
    }
    Errand* own = &errand;
    if (!waiting_.compare_exchange_strong(own, nullptr, std::memory_order_acq_rel)) continue;
    is_done = false;
    break;
  }
  is_asked_.store(false, std::memory_order_release);
  return is_done;
}

void Mailbox::carry_out(WorkerState& worker, uint64_t now_ms) noexcept {
  Errand* const errand = waiting_.exchange(nullptr, std::memory_order_acquire);
  if (errand == nullptr) return;  // withdrawn meanwhile
  const bool is_done = errand->run(worker, now_ms);
  steps_.store(steps_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  if (is_done)
    is_done_.store(true, std::memory_order_release);
  else
    waiting_.store(errand, std::memory_order_release);
}

}  // namespace portcullis
