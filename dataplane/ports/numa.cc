#include "dataplane/ports/numa.h"

#include <numa.h>

namespace portcullis {

int numa_node_of_core(uint32_t core) {
  if (numa_available() < 0 || numa_num_configured_nodes() < 2) return -1;
  return numa_node_of_cpu(static_cast<int>(core));
}

std::optional<std::string> placement_warning(const std::string& port, int port_node, uint32_t core,
                                             int core_node) {
  if (port_node < 0 || core_node < 0 || port_node == core_node) return std::nullopt;
  return "port " + port + " is on NUMA node " + std::to_string(port_node) + ", but the worker's core " +
         std::to_string(core) + " is on node " + std::to_string(core_node) +
         ": every packet crosses between them; choose a core of node " + std::to_string(port_node) +
         " in workers.cores";
}

}  // namespace portcullis
