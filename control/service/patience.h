// How long a call that sends a stream waits for a caller who does not read: what it holds, a seat or the
// place of captures, others wait for. One thread for all calls. Thread: any.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>

namespace portcullis::service {

class Patience {
 public:
  using Clock = std::chrono::steady_clock;
  using GiveUp = std::function<void()>;

  explicit Patience(Clock::duration limit);
  ~Patience();
  Patience(const Patience&) = delete;
  Patience& operator=(const Patience&) = delete;

  // Somebody is waited for while it lives.
  class Wait {
   public:
    Wait(Patience& patience, uint64_t number) : patience_(patience), number_(number) {}
    ~Wait() { patience_.end(number_); }
    Wait(const Wait&) = delete;
    Wait& operator=(const Wait&) = delete;

   private:
    Patience& patience_;
    const uint64_t number_;
  };

  // `give_up`: called once the limit has passed, by the thread; not after ~Wait. It waits for no caller
  // itself. The log has a line then, of `caller`.
  [[nodiscard]] Wait wait(std::string caller, GiveUp give_up) {
    return {*this, begin(std::move(caller), std::move(give_up))};
  }

 private:
  struct Waiting {
    Clock::time_point end;
    std::string caller;
    GiveUp give_up;
  };

  [[nodiscard]] uint64_t begin(std::string caller, GiveUp give_up);
  void end(uint64_t number);
  void watch(const std::stop_token& stop);

  const Clock::duration limit_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  uint64_t last_ = 0;
  std::map<uint64_t, Waiting> waiting_;  // by number, and so by end: all wait equally long
  std::jthread thread_;
};

}  // namespace portcullis::service
