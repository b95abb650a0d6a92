#include "dataplane/capture/tsc_clock.h"

#include <rte_cycles.h>

#include <chrono>

namespace portcullis {

namespace {

struct Moment {
  std::chrono::steady_clock::time_point time = std::chrono::steady_clock::now();
  uint64_t tsc = rte_rdtsc();
};
const Moment program_start;

double tsc_hz() {
  const Moment now;
  const std::chrono::duration<double> passed = now.time - program_start.time;
  // Both are read one after the other, within a microsecond or so.
  constexpr std::chrono::milliseconds long_enough{100};
  return passed < long_enough ? static_cast<double>(rte_get_tsc_hz())
                              : static_cast<double>(now.tsc - program_start.tsc) / passed.count();
}

}  // namespace

TscClock::TscClock() : tsc_hz_(tsc_hz()), tsc_(rte_rdtsc()) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  nanoseconds_ = static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
}

// A worker's counter may be a little behind the one that was read here.
uint64_t TscClock::nanoseconds(uint64_t tsc) const {
  const double since = static_cast<double>(static_cast<int64_t>(tsc - tsc_));
  return nanoseconds_ + static_cast<uint64_t>(static_cast<int64_t>(since * 1e9 / tsc_hz_));
}

}  // namespace portcullis
