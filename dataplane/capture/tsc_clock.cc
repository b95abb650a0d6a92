#include "dataplane/capture/tsc_clock.h"

#include <rte_cycles.h>

#include <chrono>

namespace portcullis {

TscClock::TscClock() : tsc_hz_(rte_get_tsc_hz()), tsc_(rte_rdtsc()) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  nanoseconds_ = static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
}

// A worker's counter may be a little behind the one that was read here.
uint64_t TscClock::nanoseconds(uint64_t tsc) const {
  const double since = static_cast<double>(static_cast<int64_t>(tsc - tsc_));
  return nanoseconds_ +
         static_cast<uint64_t>(static_cast<int64_t>(since * 1e9 / static_cast<double>(tsc_hz_)));
}

}  // namespace portcullis
