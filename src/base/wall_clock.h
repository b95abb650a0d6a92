// The machine's idea of the date, which may jump in either direction at any moment.
#pragma once

#include <chrono>
#include <cstdint>

namespace portcullis {

// Unix milliseconds.
[[nodiscard]] inline int64_t wall_clock_ms() {
  using std::chrono::duration_cast, std::chrono::milliseconds, std::chrono::system_clock;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

}  // namespace portcullis
