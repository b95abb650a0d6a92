// The machine's clock by the CPU's counter: set when it is made, so that what workers have counted can be
// told as times. How fast the counter runs is measured since the program's start: what DPDK says may be
// rounded to 10 MHz, a second in ten minutes.
#pragma once

#include <cstdint>

namespace portcullis {

class TscClock {
 public:
  TscClock();
  // Since 1970.
  [[nodiscard]] uint64_t nanoseconds(uint64_t tsc) const;

 private:
  double tsc_hz_;
  uint64_t tsc_;
  uint64_t nanoseconds_;  // since 1970, at tsc_
};

}  // namespace portcullis
