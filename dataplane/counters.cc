#include "dataplane/counters.h"

namespace portcullis {

Expected<WorkerCounters> WorkerCounters::create(const BindingTable& binding, const PermitTable& permit,
                                                int numa_node) {
  auto eips = TableArray<EipCounters>::create("EIP counters", binding.capacity(), numa_node);
  if (!eips) return tl::unexpected(eips.error());
  auto inline_hits =
      TableArray<Counter>::create("rule counters", binding.capacity() * inline_permit_rules, numa_node);
  if (!inline_hits) return tl::unexpected(inline_hits.error());
  auto chunk_hits =
      TableArray<Counter>::create("rule counters", permit.capacity() * permit_chunk_rules, numa_node);
  if (!chunk_hits) return tl::unexpected(chunk_hits.error());
  WorkerCounters counters;
  counters.eips = std::move(*eips);
  counters.inline_hits = std::move(*inline_hits);
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
