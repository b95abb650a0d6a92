// The machine's clock by the CPU's counter: set when it is made, so that what workers have counted can be
// told as times.
#pragma once

#include <cstdint>

namespace portcullis {

class TscClock {
 public:
  TscClock();
  // Since 1970.
  [[nodiscard]] uint64_t nanoseconds(uint64_t tsc) const;

 private:
  uint64_t tsc_hz_;
  uint64_t tsc_;
  uint64_t nanoseconds_;  // since 1970, at tsc_
};

}  // namespace portcullis
