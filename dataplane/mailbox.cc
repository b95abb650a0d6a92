#include "dataplane/mailbox.h"

#include <thread>

namespace portcullis {

bool Mailbox::ask(Errand& errand, std::chrono::milliseconds patience) {
  // A turn of a busy worker takes some microseconds, the sleep of an idle one some dozens.
  constexpr std::chrono::microseconds look_again{20};
  const std::scoped_lock lock(asking_);
  is_done_.store(false, std::memory_order_relaxed);
  waiting_.store(&errand, std::memory_order_release);
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (!is_done_.load(std::memory_order_acquire)) {
    std::this_thread::sleep_for(look_again);
    if (std::chrono::steady_clock::now() < deadline) continue;
    Errand* own = &errand;
    if (waiting_.compare_exchange_strong(own, nullptr, std::memory_order_acq_rel)) return false;
  }
  return true;
}

void Mailbox::carry_out(WorkerState& worker, uint64_t now_ms) noexcept {
  Errand* const errand = waiting_.exchange(nullptr, std::memory_order_acquire);
  if (errand == nullptr) return;  // withdrawn meanwhile
  if (errand->run(worker, now_ms))
    is_done_.store(true, std::memory_order_release);
  else
    waiting_.store(errand, std::memory_order_release);
}

}  // namespace portcullis
