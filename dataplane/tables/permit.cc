#include "dataplane/tables/permit.h"

#include <algorithm>

namespace portcullis {

Expected<PermitTable> PermitTable::create(uint32_t chunk_capacity, int numa_node) {
  auto chunks = TableArray<PermitChunk>::create("permit chunks", chunk_capacity, numa_node);
  if (!chunks) return tl::unexpected(chunks.error());
  PermitTable table;
  table.chunks_ = std::move(*chunks);
  table.free_ = IndexPool(0, chunk_capacity);
  return table;
}

Expected<uint32_t> PermitTable::store(std::span<const PermitRule> rules) {
  const auto needed = static_cast<uint32_t>((rules.size() + permit_chunk_rules - 1) / permit_chunk_rules);
  if (needed > free_.size())
    return fail(ErrorCode::resource_exhausted, "permit table: " + std::to_string(needed) +
                                                   " chunks needed, " + std::to_string(free_.size()) +
                                                   " free; raise capacity.permit_chunks");
  // Built from the tail, so that each chunk is whole before one that points at it exists.
  uint32_t head = no_permit_chunk;
  for (uint32_t n = needed; n > 0; --n) {
    uint32_t index = 0;
    if (!free_.take(index)) break;  // cannot happen: counted above
    const auto part = rules.subspan((n - 1) * size_t{permit_chunk_rules});
    PermitChunk& chunk = chunks_[index];
    chunk = PermitChunk{};
    std::copy_n(part.begin(), std::min<size_t>(part.size(), permit_chunk_rules), chunk.rules);
    chunk.next = head;
    head = index;
  }
  return head;
}

void PermitTable::free_chain(uint32_t head) {
  while (head != no_permit_chunk) {
    const uint32_t next = chunks_[head].next;
    free_.give(head);
    head = next;
  }
}

}  // namespace portcullis
