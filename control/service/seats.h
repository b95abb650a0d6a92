// Who watches, captures or traces: each takes a thread, as long as its caller is not gone, whether it reads
// or not. So there are few, and one caller has but some of them. Thread: any.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "src/base/expected.h"

namespace portcullis::service {

class Seats {
 public:
  static constexpr uint32_t most = 100;
  static constexpr uint32_t most_of_one = 8;

  // Held by a watcher; leaves with it.
  class Seat {
   public:
    Seat(Seats& seats, std::string caller) : seats_(&seats), caller_(std::move(caller)) {}
    ~Seat() {
      if (seats_ != nullptr) seats_->leave(caller_);
    }
    Seat(Seat&& other) noexcept
        : seats_(std::exchange(other.seats_, nullptr)), caller_(std::move(other.caller_)) {}
    Seat& operator=(Seat&&) = delete;

   private:
    Seats* seats_;
    std::string caller_;
  };

  // `caller`: Identity::name(). resource_exhausted when all seats are taken, or all that one caller may have.
  // The seats outlive the seat.
  [[nodiscard]] Expected<Seat> take(const std::string& caller);

 private:
  void leave(const std::string& caller);

  std::mutex mutex_;
  uint32_t taken_ = 0;
  std::map<std::string, uint32_t> taken_by_;
};

}  // namespace portcullis::service
