#include "control/service/patience.h"

#include <spdlog/spdlog.h>

namespace portcullis::service {

Patience::Patience(Clock::duration limit)
    : limit_(limit), thread_([this](const std::stop_token& stop) { watch(stop); }) {}

Patience::~Patience() = default;

uint64_t Patience::begin(std::string caller, GiveUp give_up) {
  const std::scoped_lock lock(mutex_);
  waiting_.emplace_hint(waiting_.end(), ++last_,
                        Waiting{Clock::now() + limit_, std::move(caller), std::move(give_up)});
  if (waiting_.size() == 1) changed_.notify_one();
  return last_;
}

void Patience::end(uint64_t number) {
  const std::scoped_lock lock(mutex_);
  waiting_.erase(number);
}

// give_up() is called with the lock held, so that what it is about is still there; the log may take its time,
// and is written without it. A wait that ends wakes nobody: the thread looks again when that would have been
// given up.
void Patience::watch(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    if (waiting_.empty()) {
      changed_.wait(lock, stop, [&] { return !waiting_.empty(); });
    } else if (const auto first = waiting_.begin(); Clock::now() >= first->second.end) {
      first->second.give_up();
      const std::string caller = std::move(first->second.caller);
      waiting_.erase(first);
      lock.unlock();
      spdlog::warn("{} does not read: what is sent finds no room for {:.0f} s, the call is cancelled", caller,
                   std::chrono::duration<double>(limit_).count());
      lock.lock();
    } else {
      changed_.wait_until(lock, stop, Clock::time_point(first->second.end), [] { return false; });
    }
  }
}

}  // namespace portcullis::service
