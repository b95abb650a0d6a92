// Which NUMA node things are on (libnuma), and what to say when a worker is far from its ports. -1: the
// machine has one node only, or the device does not say.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace portcullis {

[[nodiscard]] int numa_node_of_core(uint32_t core);

// A warning when a worker on `core_node` polls a port on `port_node` and both are known and differ.
[[nodiscard]] std::optional<std::string> placement_warning(const std::string& port, int port_node,
                                                           uint32_t core, int core_node);

}  // namespace portcullis
