// What the process holds in memory: to show that nothing grows under load.
#pragma once

#include <cstdint>

namespace portcullis::bench {

struct Footprint {
  int64_t heap = 0;      // bytes allocated from DPDK's heaps: tables, buffers, rings
  int64_t resident = 0;  // bytes of pages in memory, hugepages apart

  [[nodiscard]] static Footprint now();
  friend Footprint operator-(Footprint a, Footprint b) {
    return {.heap = a.heap - b.heap, .resident = a.resident - b.resident};
  }
};

}  // namespace portcullis::bench
