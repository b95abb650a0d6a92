#include "dataplane/tables/flow.h"

#include <bit>

namespace portcullis {

template <typename Tuple>
Expected<BasicFlowTable<Tuple>> BasicFlowTable<Tuple>::create(uint32_t capacity, uint32_t bindings,
                                                              int numa_node, uint64_t secret,
                                                              std::span<Counter> of_tenants) {
  if (capacity < ways || !std::has_single_bit(capacity))
    return fail(ErrorCode::invalid_argument,
                "flow capacity " + std::to_string(capacity) + " is no power of two of at least 16");
  auto heads = TableArray<Head>::create("flow heads", capacity / ways, numa_node);
  if (!heads) return tl::unexpected(heads.error());
  auto entries = TableArray<Entry>::create("flow table", capacity, numa_node);
  if (!entries) return tl::unexpected(entries.error());
  auto owned = TableArray<Counter>::create("flow owners", bindings, numa_node);
  if (!owned) return tl::unexpected(owned.error());
  BasicFlowTable table;
  table.heads_ = std::move(*heads);
  table.entries_ = std::move(*entries);
  table.owned_ = std::move(*owned);
  table.of_tenants_ = of_tenants;
  table.secret_ = secret;
  return table;
}

template <typename Tuple>
void BasicFlowTable<Tuple>::erase(uint32_t index) {
  const Entry& gone = entries_[index];
  for (Counter* count : {&owned_[gone.owner()], &of_tenants_[gone.tenant]}) count->set(count->get() - 1);
  size_.set(size_.get() - 1);
  heads_[index / ways].signatures[index % ways] = 0;
  ++version_;
}

template class BasicFlowTable<SideTuple>;
template class BasicFlowTable<SideTuple6>;

}  // namespace portcullis
