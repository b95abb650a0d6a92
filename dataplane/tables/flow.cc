#include "dataplane/tables/flow.h"

#include <bit>

namespace portcullis {

template <typename Tuple>
Expected<BasicFlowTable<Tuple>> BasicFlowTable<Tuple>::create(uint32_t capacity, int numa_node,
                                                              uint64_t secret, FlowCounts& counts) {
  if (capacity < ways || !std::has_single_bit(capacity))
    return fail(ErrorCode::invalid_argument,
                "flow capacity " + std::to_string(capacity) + " is no power of two of at least 16");
  auto heads = TableArray<Head>::create("flow heads", capacity / ways, numa_node);
  if (!heads) return tl::unexpected(heads.error());
  auto entries = TableArray<Entry>::create("flow table", capacity, numa_node);
  if (!entries) return tl::unexpected(entries.error());
  BasicFlowTable table;
  table.heads_ = std::move(*heads);
  table.entries_ = std::move(*entries);
  table.counts_ = &counts;
  table.secret_ = secret;
  return table;
}

template <typename Tuple>
void BasicFlowTable<Tuple>::erase(uint32_t index) {
  counts_->take(entries_[index].owner(), entries_[index].tenant);
  size_.set(size_.get() - 1);
  heads_[index / ways].signatures[index % ways] = 0;
  ++version_;
}

template class BasicFlowTable<SideTuple>;
template class BasicFlowTable<SideTuple6>;

}  // namespace portcullis
