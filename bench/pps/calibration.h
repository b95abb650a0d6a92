// How fast the machine is between windows: its core, and its memory.
#pragma once

#include <cstdint>
#include <memory>

namespace portcullis::bench {

// Whether the CPU is as it should be.
class Calibration {
 public:
  enum class Core : uint8_t {
    slow,    // its clock is lower than it has been seen to be, or somebody else ran on it
    shared,  // another hardware thread of it is busy: on a shared host that may be anybody's
    alone,
  };
  Calibration();
  // Two loops, some microseconds long. A chain of multiplications says how long a core clock is, whoever
  // shares the core. A loop of nothing but its branch takes one core clock a turn, but two when hardware
  // threads take turns at fetching.
  [[nodiscard]] Core look();

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
