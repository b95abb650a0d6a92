#include "dataplane/mailbox.h"

#include <thread>

namespace portcullis {
namespace {

using Clock = std::chrono::steady_clock;

// A turn of a busy worker takes some microseconds, the sleep of an idle one some dozens.
constexpr std::chrono::microseconds look_again{20};

}  // namespace

Mailbox::Place* Mailbox::free_place() {
  for (Place& place : places_)
    if (!place.is_taken.load(std::memory_order_relaxed) &&
        !place.is_taken.exchange(true, std::memory_order_acquire))
      return &place;
  return nullptr;
}

bool Mailbox::ask(Errand& errand, std::chrono::milliseconds patience) {
  const auto deadline = Clock::now() + patience;
  Place* place = free_place();
  for (; place == nullptr; place = free_place()) {
    if (Clock::now() >= deadline) return false;
    std::this_thread::sleep_for(look_again);
  }
  taken_.fetch_add(1, std::memory_order_relaxed);
  const bool is_done = wait_in(*place, errand, patience);
  taken_.fetch_sub(1, std::memory_order_relaxed);
  place->is_taken.store(false, std::memory_order_release);
  return is_done;
}

bool Mailbox::wait_in(Place& place, Errand& errand, std::chrono::milliseconds patience) {
  place.is_done.store(false, std::memory_order_relaxed);
  uint64_t steps = place.steps.load(std::memory_order_relaxed);
  place.waiting.store(&errand, std::memory_order_release);
  auto deadline = Clock::now() + patience;
  while (!place.is_done.load(std::memory_order_acquire)) {
    std::this_thread::sleep_for(look_again);
    if (Clock::now() < deadline) continue;
    const uint64_t now = place.steps.load(std::memory_order_relaxed);
    if (now != steps) {
      steps = now;
      deadline = Clock::now() + patience;
      continue;
    }
    Errand* own = &errand;
    if (place.waiting.compare_exchange_strong(own, nullptr, std::memory_order_acq_rel)) return false;
  }
  return true;
}

void Mailbox::carry_out(WorkerState& worker, uint64_t now_ms) noexcept {
  for (size_t n = 0; n < places; ++n) {
    Place& place = places_[next_];
    next_ = (next_ + 1) % places;
    if (place.waiting.load(std::memory_order_relaxed) == nullptr) continue;
    Errand* const errand = place.waiting.exchange(nullptr, std::memory_order_acquire);
    if (errand == nullptr) continue;  // withdrawn meanwhile
    const bool is_done = errand->run(worker, now_ms);
    place.steps.store(place.steps.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    if (is_done)
      place.is_done.store(true, std::memory_order_release);
    else
      place.waiting.store(errand, std::memory_order_release);
    return;
  }
}

}  // namespace portcullis
