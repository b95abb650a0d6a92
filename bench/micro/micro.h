// What the micro-benchmarks of tables share: sizes and cases, the order of keys, the table that is measured,
// DPDK.
#pragma once

#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <typeindex>
#include <typeinfo>
#include <utility>

#include "src/base/expected.h"

namespace portcullis::micro {

// Keys asked for at once, as in the pipeline.
inline constexpr uint32_t burst = 64;

// Numbers of keys in a table.
inline constexpr int64_t k64 = 1 << 16, million = 1 << 20;
inline constexpr std::array<int64_t, 5> sizes{1, 1 << 12, k64, million, 16 * million};

// Every number below `size`, a power of two, once in so many steps, in an order that no prefetcher guesses: a
// multiplication alone would step by a constant.
class Scatter {
 public:
  explicit Scatter(uint32_t size)
      : mask_(size - 1), shift_(std::max(1u, static_cast<uint32_t>(std::bit_width(mask_)) / 2)) {}
  uint32_t next() {
    uint32_t x = n_++ * 0x9e3779b1u & mask_;
    x ^= x >> shift_;
    return x * 0x85ebca6bu & mask_;
  }

 private:
  uint32_t mask_;
  uint32_t shift_;
  uint32_t n_ = 0;
};

// Which of the keys that are asked for are in the table: `percent` is 100, 0 or 50, the latter at random.
class Known {
 public:
  explicit Known(int64_t percent) : always_(percent == 100), never_(percent == 0) {}
  bool next() {
    uint64_t x = n_++ * 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 32) * 0xbf58476d1ce4e5b9u;
    return ((static_cast<uint32_t>(x >> 63) | always_) & ~never_ & 1) != 0;
  }

 private:
  uint32_t always_, never_;
  uint64_t n_ = 0;
};

// Arguments: number of keys in the table; percent of those asked for that are in it.
inline void cases(benchmark::internal::Benchmark* benchmark, int64_t size) {
  benchmark->ArgNames({"keys", "known"});
  for (const int64_t known : {100, 0, 50}) benchmark->Args({size, known});
}

inline void skip(benchmark::State& state, const Error& error) {
  state.SkipWithError(error.message.c_str());
}

// The table of the last case. To fill a large one takes longer than to measure it, and a case is begun
// several times until it has run for long enough. Only one is kept, so that memory need hold only one.
struct Kept {
  std::type_index type = typeid(void);
  int64_t size = 0;
  const void* kind = nullptr;
  std::shared_ptr<void> table;
};
inline Kept kept;

// `make(size)` gives Expected<std::unique_ptr<Table>>. `kind` tells apart what has the same type and size.
template <typename Table, typename Make>
Expected<Table*> keep(int64_t size, Make&& make, const void* kind = nullptr) {
  if (!kept.table || kept.type != typeid(Table) || kept.size != size || kept.kind != kind) {
    kept = {};
    Expected<std::unique_ptr<Table>> made = make(static_cast<uint32_t>(size));
    if (!made) return tl::unexpected(made.error());
    kept = {
        .type = typeid(Table), .size = size, .kind = kind, .table = std::shared_ptr<Table>(std::move(*made))};
  }
  return static_cast<Table*>(kept.table.get());
}

// Starts DPDK on the CPU that this runs on, with hugepages if there are `megabytes` free, as the product has
// them. Without, figures of large tables are those of page walks, and the largest tables find no room; the
// context "pages" of the output says which. Ends the process when DPDK does not start.
void start_eal(uint32_t megabytes, std::initializer_list<const char*> more = {});

// main() from there on.
int run(int argc, char** argv);

}  // namespace portcullis::micro
