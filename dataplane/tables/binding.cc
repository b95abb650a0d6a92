#include "dataplane/tables/binding.h"

namespace portcullis {
namespace {

constexpr uint32_t root_size = 65536;

}  // namespace

Expected<BindingTable> BindingTable::create(uint32_t capacity, uint32_t pages, int numa_node,
                                            uint32_t ipv6_capacity) {
  const Slot first_ipv6_slot = capacity + IndexEntry::first_slot;
  const Slot end = first_ipv6_slot + ipv6_capacity;
  auto records = TableArray<BindingRecord>::create("binding records", end, numa_node);
  if (!records) return tl::unexpected(records.error());
  auto ipv6_terms =
      TableArray<FlowTerms>::create("IPv6 binding records, terms of flows", ipv6_capacity, numa_node);
  if (!ipv6_terms) return tl::unexpected(ipv6_terms.error());
  auto ipv6_rests = TableArray<PermitRests>::create("IPv6 binding records, rules", ipv6_capacity, numa_node);
  if (!ipv6_rests) return tl::unexpected(ipv6_rests.error());
  auto slot_of = TableArray<std::atomic<Slot>>::create("slots by binding id", end, numa_node);
  if (!slot_of) return tl::unexpected(slot_of.error());
  const auto page_count = static_cast<uint32_t>(1 + pages * view_count);
  auto storage = TableArray<IndexPageStorage>::create("binding index", page_count, numa_node);
  if (!storage) return tl::unexpected(storage.error());
  BindingTable table;
  table.records_ = std::move(*records);
  table.pages_ = std::move(*storage);
  table.ipv6_terms_ = std::move(*ipv6_terms);
  table.ipv6_rests_ = std::move(*ipv6_rests);
  table.slot_of_ = std::move(*slot_of);
  table.first_ipv6_slot_ = first_ipv6_slot;
  table.free_slots_ = IndexPool(IndexEntry::first_slot, first_ipv6_slot);
  table.free_ipv6_slots_ = IndexPool(first_ipv6_slot, end);
  table.free_pages_ = IndexPool(1, page_count);
  table.page_users_.assign(root_size, 0);
  table.pooled_ = std::make_unique<std::atomic<uint64_t>[]>(root_size / 64);
  for (Root& root : table.root_) {
    root = std::make_unique<std::atomic<const IndexPage*>[]>(root_size);
    for (uint32_t high = 0; high < root_size; ++high)
      root[high].store(&table.pages_[0], std::memory_order_relaxed);
  }
  return table;
}

IndexPage* BindingTable::page_of(View view, uint32_t high) {
  const IndexPage* page = root_[static_cast<size_t>(view)][high].load(std::memory_order_relaxed);
  return const_cast<IndexPage*>(page);  // our own storage: readers get it const, control writes it
}

void BindingTable::set(View view, Ipv4Addr address, uint32_t value) {
  page_of(view, address.host() >> 16)
      ->entries[address.host() & 0xffff]
      .store(value, std::memory_order_release);
}

Expected<void> BindingTable::reserve_pages(Ipv4Prefix prefix) {
  const uint32_t first = prefix.first().host() >> 16;
  const uint32_t last = prefix.last().host() >> 16;
  uint32_t needed = 0;
  for (uint32_t high = first; high <= last; ++high)
    if (page_users_[high] == 0) needed += view_count;
  if (needed > free_pages_.size())
    return fail(ErrorCode::resource_exhausted, "the binding index has no pages left for " +
                                                   prefix.to_string() + "; raise capacity.index_pages");
  for (uint32_t high = first; high <= last; ++high) {
    if (page_users_[high]++ != 0) continue;
    for (Root& root : root_) {
      uint32_t index = 0;
      if (!free_pages_.take(index)) break;  // cannot happen: counted above
      IndexPage& page = pages_[index];
      for (auto& entry : page.entries) entry.store(IndexEntry::outside, std::memory_order_relaxed);
      root[high].store(&page, std::memory_order_release);
    }
    pooled_[high / 64].fetch_or(uint64_t{1} << (high % 64), std::memory_order_release);
  }
  return {};
}

void BindingTable::unlink_pages(Ipv4Prefix prefix) {
  const uint32_t last = prefix.last().host() >> 16;
  for (uint32_t high = prefix.first().host() >> 16; high <= last; ++high) {
    if (--page_users_[high] != 0) continue;
    pooled_[high / 64].fetch_and(~(uint64_t{1} << (high % 64)), std::memory_order_release);
    for (Root& root : root_) {
      const auto* page = static_cast<const IndexPageStorage*>(root[high].load(std::memory_order_relaxed));
      root[high].store(&pages_[0], std::memory_order_release);
      unlinked_pages_.push_back(static_cast<uint32_t>(page - pages_.data()));
    }
  }
}

Ipv6Index::PageSource BindingTable::page_source() {
  return {.take = [this]() -> IndexPage* {
            uint32_t index = 0;
            return free_pages_.take(index) ? &pages_[index] : nullptr;
          },
          .give =
              [this](const IndexPage* page) {
                free_pages_.give(
                    static_cast<uint32_t>(static_cast<const IndexPageStorage*>(page) - pages_.data()));
              }};
}

Expected<void> BindingTable::set_ipv6_pools(std::span<const Ipv6PoolUse> pools,
                                            Ipv6Index::NewPages new_pages) {
  return ipv6_.set_pools(pools, new_pages, page_source());
}

void BindingTable::release_unlinked_pages() {
  ipv6_.release_retired(page_source());
  for (const uint32_t page : unlinked_pages_) free_pages_.give(page);
  unlinked_pages_.clear();
}

size_t BindingTable::bytes() const {
  return records_.bytes() + ipv6_terms_.bytes() + ipv6_rests_.bytes() + slot_of_.bytes() + pages_.bytes() +
         size_t{view_count} * root_size * sizeof(std::atomic<const IndexPage*>);
}

}  // namespace portcullis
