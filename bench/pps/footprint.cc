#include "bench/pps/footprint.h"

#include <rte_malloc.h>
#include <unistd.h>

#include <fstream>

namespace portcullis::bench {

Footprint Footprint::now() {
  Footprint sum;
  for (int node = 0; node < RTE_MAX_NUMA_NODES; ++node) {
    rte_malloc_socket_stats stats;
    if (rte_malloc_get_socket_stats(node, &stats) == 0)
      sum.heap += static_cast<int64_t>(stats.heap_allocsz_bytes);
  }
  std::ifstream statm("/proc/self/statm");
  int64_t size = 0, resident = 0;
  if (statm >> size >> resident) sum.resident = resident * sysconf(_SC_PAGESIZE);
  return sum;
}

}  // namespace portcullis::bench
