#include "dataplane/counters.h"

namespace portcullis {

Expected<WorkerCounters> WorkerCounters::create(const BindingTable& binding, const PermitTable& permit,
                                                int numa_node) {
  auto slots = TableArray<SlotCounters>::create("EIP counters", binding.capacity(), numa_node);
  if (!slots) return tl::unexpected(slots.error());
  auto chunk_hits =
      TableArray<Counter>::create("rule counters", permit.capacity() * permit_chunk_rules, numa_node);
  if (!chunk_hits) return tl::unexpected(chunk_hits.error());
  WorkerCounters counters;
  counters.slots = std::move(*slots);
  counters.chunk_hits = std::move(*chunk_hits);
  return counters;
}

uint64_t WorkerCounters::received() const {
  uint64_t sum = 0;
  for (const PortCounters& port : ports) sum += port.received_packets.get();
  return sum;
}

uint64_t WorkerCounters::transmitted() const {
  uint64_t sum = 0;
  for (const PortCounters& port : ports) sum += port.transmitted_packets.get();
  return sum;
}

uint64_t WorkerCounters::dropped_all() const {
  uint64_t sum = 0;
  for (const Counter& reason : dropped) sum += reason.get();
  return sum;
}

}  // namespace portcullis
