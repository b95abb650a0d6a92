#include "dataplane/tables/neighbor.h"

namespace portcullis {

Expected<NeighborTable> NeighborTable::create(uint32_t capacity, int numa_node) {
  NeighborTable table;
  auto macs = TableArray<std::atomic<uint64_t>>::create("MACs of next hops of tunnels", capacity, numa_node);
  if (!macs) return tl::unexpected(macs.error());
  table.macs_ = std::move(*macs);
  auto answered = TableArray<Counter>::create("answers of next hops of tunnels", capacity, numa_node);
  if (!answered) return tl::unexpected(answered.error());
  table.answered_ms_ = std::move(*answered);
  auto states = TableArray<std::atomic<uint32_t>>::create("next hops of tunnels", capacity, numa_node);
  if (!states) return tl::unexpected(states.error());
  table.states_ = std::move(*states);
  auto keys = TableArray<NeighborKey>::create("addresses of next hops of tunnels", capacity, numa_node);
  if (!keys) return tl::unexpected(keys.error());
  table.keys_ = std::move(*keys);
  table.free_ = IndexPool(0, capacity);
  return table;
}

bool NeighborTable::take(const NeighborKey& key, NeighborId& id) {
  uint32_t index = 0;
  if (!free_.take(index)) return false;
  id = static_cast<NeighborId>(index);
  clear(id);
  answered_ms_[id].set(0);
  keys_[index] = key;
  states_[index].fetch_add(in_use, std::memory_order_release);
  return true;
}

void NeighborTable::retire(NeighborId id) {
  states_[id].fetch_add(in_use, std::memory_order_release);
}

void NeighborTable::free(NeighborId id) {
  free_.give(id);
}

}  // namespace portcullis
