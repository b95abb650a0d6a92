#include "control/service/seats.h"

namespace portcullis::service {

Expected<Seats::Seat> Seats::take(const std::string& caller) {
  const std::lock_guard lock(mutex_);
  const std::string what(terms_.what), remedy(terms_.remedy);
  if (const auto own = taken_by_.find(caller); own != taken_by_.end() && own->second == terms_.most_of_one)
    return fail(ErrorCode::resource_exhausted, caller + " has " + std::to_string(terms_.most_of_one) + " " +
                                                   what + " already, and no more may one caller; " + remedy);
  if (taken_ == terms_.most)
    return fail(ErrorCode::resource_exhausted, "there are " + std::to_string(terms_.most) + " " + what +
                                                   " already, and no more may there be; " + remedy);
  ++taken_;
  ++taken_by_[caller];
  return Seat(*this, caller);
}

void Seats::leave(const std::string& caller) {
  const std::lock_guard lock(mutex_);
  --taken_;
  const auto own = taken_by_.find(caller);
  if (--own->second == 0) taken_by_.erase(own);
}

}  // namespace portcullis::service
