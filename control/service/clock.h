// The time that outlives a restart, for what the store keeps.
#pragma once

#include <chrono>
#include <cstdint>

namespace portcullis::service {

[[nodiscard]] inline int64_t unix_ms() {
  using std::chrono::duration_cast, std::chrono::milliseconds, std::chrono::system_clock;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

}  // namespace portcullis::service
