#include "dataplane/tables/flow.h"

#include <bit>

namespace portcullis {

Expected<FlowTable> FlowTable::create(uint32_t capacity, uint32_t bindings, int numa_node, uint64_t secret) {
  if (capacity < ways || !std::has_single_bit(capacity))
    return fail(ErrorCode::invalid_argument,
                "flow capacity " + std::to_string(capacity) + " is no power of two of at least 16");
  auto buckets = TableArray<Bucket>::create("flow table", capacity / ways, numa_node);
  if (!buckets) return tl::unexpected(buckets.error());
  auto owned = TableArray<Counter>::create("flow owners", bindings, numa_node);
  if (!owned) return tl::unexpected(owned.error());
  FlowTable table;
  table.buckets_ = std::move(*buckets);
  table.owned_ = std::move(*owned);
  table.secret_ = secret;
  return table;
}

void FlowTable::erase(uint32_t index) {
  Bucket& b = buckets_[index / ways];
  const uint32_t way = index % ways;
  Counter& owned = owned_[b.entries[way].owner];
  owned.set(owned.get() - 1);
  size_.set(size_.get() - 1);
  b.signatures[way] = 0;
  ++version_;
}

}  // namespace portcullis
