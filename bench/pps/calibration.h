// How fast the machine is between windows: its core, and its memory.
#pragma once

#include <cstdint>
#include <memory>

namespace portcullis::bench {

// Whether the CPU runs as fast as it has been seen to run.
class Calibration {
 public:
  Calibration();
  // A chain of dependent additions, some microseconds long; true if it took longer than the best one seen by
  // more than the tolerance.
  [[nodiscard]] bool is_slow();

 private:
  uint64_t best_ = UINT64_MAX;
};

// What a line takes that is in no cache: a chain of loads through more lines than any cache holds. On a
// shared host it depends on what others do and varies by half within a second, so it discards nothing: it is
// printed, and says how far two figures of large tables can be compared.
class MemoryProbe {
 public:
  MemoryProbe();
  // TSC ticks a line, over a few dozen; 0 without memory for the test.
  [[nodiscard]] double clocks_per_line();

 private:
  struct Free {
    void operator()(void* memory) const;
  };
  std::unique_ptr<void, Free> lines_;
  uint32_t at_ = 0;
};

}  // namespace portcullis::bench
