#include "dataplane/tables/ipv6_index.h"

#include <algorithm>
#include <utility>

namespace portcullis {
namespace {

Ipv6Addr block_of(const Ipv6Addr& address) {
  return Ipv6Addr::of(address.high(), address.low() & ~uint64_t{index_page_addresses - 1});
}

// The first addresses of the blocks in which addresses of a pool have entries.
std::vector<Ipv6Addr> indexed_blocks(const Ipv6PoolUse& use) {
  std::vector<Ipv6Addr> blocks;
  if (use.unbound != IndexEntry::local) return blocks;
  const Ipv6Addr first = block_of(use.prefix.address());
  for (uint64_t n = 0; n < ipv6_pool_pages_of(use.prefix); ++n)
    blocks.push_back(Ipv6Addr::of(first.high(), first.low() + n * index_page_addresses));
  return blocks;
}

// One for each view, filled; false if there are too few, and none is taken.
template <typename Pages>
bool take(Pages& pages, const Ipv6Index::PageSource& source) {
  for (IndexPage*& page : pages) {
    page = source.take();
    if (page == nullptr) {
      for (const IndexPage* taken : pages)
        if (taken != nullptr) source.give(taken);
      return false;
    }
    for (auto& entry : page->entries) entry.store(IndexEntry::local, std::memory_order_relaxed);
  }
  return true;
}

}  // namespace

Expected<Ipv6Index::Blocks> Ipv6Index::blocks_of(std::span<const Ipv6PoolUse> next, NewPages new_pages,
                                                 const PageSource& source) const {
  Blocks blocks;
  for (const Ipv6PoolUse& use : next) {
    for (const Ipv6Addr& block : indexed_blocks(use)) {
      if (const auto known = blocks_.find(block); known != blocks_.end()) {
        blocks.insert(*known);
      } else if (new_pages == NewPages::take && !blocks.contains(block)) {
        Pages pages{};
        if (!take(pages, source)) {
          for (const auto& [taken, back] : blocks)
            if (!blocks_.contains(taken))
              for (const IndexPage* page : back) source.give(page);
          return fail(ErrorCode::resource_exhausted, "the binding index has no pages left for " +
                                                         use.prefix.to_string() +
                                                         "; raise capacity.index_pages");
        }
        blocks.emplace(block, pages);
      }
    }
  }
  return blocks;
}

void Ipv6Index::fill(Pool& pool, const Ipv6PoolUse& use, const Blocks& blocks) {
  const Ipv6Addr first = use.prefix.address();
  const Ipv6Addr mask = Ipv6Prefix::mask(use.prefix.length());
  pool.high = first.wire_high();
  pool.low = first.wire_low();
  pool.mask_high = mask.wire_high();
  pool.mask_low = mask.wire_low();
  pool.first_low = block_of(first).low();
  pool.unbound.store(use.unbound, std::memory_order_relaxed);
  if (use.unbound != IndexEntry::local) return;
  pool.indexed = first.low() - pool.first_low + ipv6_pool_addresses(use.prefix);
  uint32_t n = 0;
  for (const Ipv6Addr& block : indexed_blocks(use)) {
    if (const auto known = blocks.find(block); known != blocks.end())
      for (uint32_t view = 0; view < view_count; ++view) pool.pages[view][n] = known->second[view];
    ++n;
  }
}

Expected<void> Ipv6Index::set_pools(std::span<const Ipv6PoolUse> next, NewPages new_pages,
                                    const PageSource& source) {
  if (next.size() > max_ipv6_pools)
    return fail(ErrorCode::resource_exhausted,
                "there is room for " + std::to_string(max_ipv6_pools) + " IPv6 pools only");
  auto blocks = blocks_of(next, new_pages, source);
  if (!blocks) return Unexpected(blocks.error());
  if (std::ranges::equal(uses_, next) && blocks->size() == blocks_.size()) return {};
  auto made = std::make_unique<Pools>();
  for (const Ipv6PoolUse& use : next) fill(made->of[made->count++], use, *blocks);
  for (const auto& [block, pages] : blocks_)
    if (!blocks->contains(block)) retired_pages_.insert(retired_pages_.end(), pages.begin(), pages.end());
  published_.store(made.get(), std::memory_order_release);
  retired_.push_back(std::exchange(pools_, std::move(made)));
  uses_.assign(next.begin(), next.end());
  blocks_ = std::move(*blocks);
  return {};
}

void Ipv6Index::release_retired(const PageSource& source) {
  for (const IndexPage* page : retired_pages_) source.give(page);
  retired_pages_.clear();
  retired_.clear();
}

}  // namespace portcullis
