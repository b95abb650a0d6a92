// Who does what takes much for long: a thread, as long as its caller is not gone, or a place in a worker's
// mailbox. So there are few seats, and one caller has but some of them. Thread: any.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "control/service/identity.h"
#include "src/base/expected.h"

namespace portcullis::service {

class Seats {
 public:
  struct Terms {
    uint32_t most = 0;
    uint32_t most_of_one = 0;
    std::string_view what;    // takes a seat, in the plural
    std::string_view remedy;  // for who gets none: "end one"
  };
  explicit Seats(const Terms& terms) : terms_(terms) {}

  // Held by a call; leaves with it.
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

  const Terms terms_;
  std::mutex mutex_;
  uint32_t taken_ = 0;
  std::map<std::string, uint32_t> taken_by_;
};

// Of calls that end by themselves, or of which nobody is told: the provider's apart from those of tenants,
// who cannot take them from it.
class SeatsApart {
 public:
  struct Most {
    uint32_t of_provider = 0;
    uint32_t of_tenants = 0;  // all together
    uint32_t of_tenant = 0;   // each
  };
  // `what`: as Seats::Terms::what.
  SeatsApart(const Most& most, std::string_view what)
      : provider_({most.of_provider, most.of_provider, what, remedy}),
        tenants_({most.of_tenants, most.of_tenant, what, remedy}) {}
  // As Seats::take().
  [[nodiscard]] Expected<Seats::Seat> take(const Identity& caller) {
    return (caller.tenant ? tenants_ : provider_).take(caller.name());
  }

 private:
  static constexpr std::string_view remedy = "wait until one has ended";
  Seats provider_, tenants_;
};

}  // namespace portcullis::service
