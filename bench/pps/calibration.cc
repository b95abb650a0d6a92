#include "bench/pps/calibration.h"

#include <rte_malloc.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <vector>

#include "bench/pps/order.h"
#include "bench/pps/probe.h"

namespace portcullis::bench {
namespace {

constexpr size_t line_size = 64;
constexpr uint32_t line_count = 1 << 20;

constexpr uint32_t multiplications = 2048;
constexpr uint32_t core_clocks_of_one = 3;  // on every x86-64 of the last fifteen years
constexpr uint32_t branches = 4096;

uint64_t time_dependent_multiplications() {
  uint64_t product = clock_now() | 1;
  const uint64_t factor = product;
  const uint64_t begin = clock_now();
  for (uint32_t n = 0; n < multiplications; n += 16) {
    // Sixteen in a row, so that the loop around them costs nothing.
    for (uint32_t k = 0; k < 16; ++k) {
      product *= factor;
      asm volatile("" : "+r"(product));
    }
  }
  return clock_now() - begin;
}

uint64_t time_branches() {
  const uint64_t begin = clock_now();
  for (uint32_t n = branches; n != 0; --n) asm volatile("" : "+r"(n));
  return clock_now() - begin;
}

// The best of three: an interrupt in one of them says nothing about the window before.
uint64_t best_of_three(uint64_t (*time)()) {
  return std::min({time(), time(), time()});
}

uint32_t& next_of(void* lines, uint32_t line) {
  return *reinterpret_cast<uint32_t*>(static_cast<uint8_t*>(lines) + line_size * line);
}

}  // namespace

Calibration::Calibration() {
  constexpr uint32_t warm_up = 2000;  // some 5 ms: the clock rises under load
  for (uint32_t n = 0; n < warm_up; ++n) best_ = std::min(best_, time_dependent_multiplications());
}

Calibration::Core Calibration::look() {
  const uint64_t took = best_of_three(time_dependent_multiplications);
  best_ = std::min(best_, took);
  constexpr double tolerance = 1.05;
  if (static_cast<double>(took) > static_cast<double>(best_) * tolerance) return Core::slow;
  const double core_clock = static_cast<double>(took) / (multiplications * core_clocks_of_one);
  const double of_branch = static_cast<double>(best_of_three(time_branches)) / branches;
  constexpr double alone = 1.25;  // core clocks a turn
  return of_branch < alone * core_clock ? Core::alone : Core::shared;
}

void MemoryProbe::Free::operator()(void* memory) const {
  rte_free(memory);
}

// One cycle through all lines in random order (Sattolo's shuffle).
MemoryProbe::MemoryProbe() : lines_(rte_malloc("memory probe", line_size * line_count, line_size)) {
  if (!lines_) return;
  std::vector<uint32_t> order(line_count);
  std::iota(order.begin(), order.end(), 0u);
  for (uint32_t n = line_count - 1; n > 0; --n) std::swap(order[n], order[mix(n) % n]);
  for (uint32_t n = 0; n < line_count; ++n) next_of(lines_.get(), n) = order[n];
}

double MemoryProbe::clocks_per_line() {
  if (!lines_) return 0;
  constexpr uint32_t steps = 64;
  const uint64_t begin = clock_now();
  for (uint32_t n = 0; n < steps; ++n) {
    at_ = next_of(lines_.get(), at_);
    asm volatile("" : "+r"(at_));
  }
  return static_cast<double>(clock_now() - begin) / steps;
}

}  // namespace portcullis::bench
