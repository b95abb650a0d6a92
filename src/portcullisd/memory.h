// What the tables and buffers of a configuration take, before any of it is taken: how much memory EAL needs,
// and the table that is printed at start.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/settings.h"
#include "dataplane/tables/tables.h"

namespace portcullis {

// Rings between a worker and the punt thread, each way.
inline constexpr uint32_t punt_ring_size = 1024;

[[nodiscard]] TableSizes table_sizes(const config::Settings& settings);
// Packet buffers that can be away at once: in queues, held for them, in rings, in bursts and caches.
[[nodiscard]] uint32_t packet_buffers(const config::Settings& settings);
// The largest L3 packet of any port that the configuration names; a device's own MTU is taken for 1500.
[[nodiscard]] uint16_t largest_mtu(const config::Settings& settings);

struct MemoryRow {
  std::string what;
  uint64_t capacity = 0;
  uint64_t bytes = 0;
};

struct MemoryPlan {
  std::vector<MemoryRow> rows;
  [[nodiscard]] uint64_t bytes() const;
  // For EAL, with room for what it adds to each allocation and needs for itself.
  [[nodiscard]] uint32_t eal_megabytes() const;
};

[[nodiscard]] MemoryPlan plan_memory(const config::Settings& settings);

}  // namespace portcullis
