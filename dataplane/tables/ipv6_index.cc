#include "dataplane/tables/ipv6_index.h"

#include <algorithm>

namespace portcullis {

void Ipv6Index::Pool::copy(const Pool& other) {
  high = other.high;
  low = other.low;
  mask_high = other.mask_high;
  mask_low = other.mask_low;
  first_low = other.first_low;
  indexed = other.indexed;
  unbound.store(other.unbound.load(std::memory_order_relaxed), std::memory_order_relaxed);
  pages = other.pages;
  prefix = other.prefix;
}

bool Ipv6Index::make(Pool& pool, const Ipv6PoolUse& use, const PageSource& source) {
  const Ipv6Addr mask = Ipv6Prefix::mask(use.prefix.length());
  pool.prefix = use.prefix;
  pool.high = use.prefix.address().wire_high();
  pool.low = use.prefix.address().wire_low();
  pool.mask_high = mask.wire_high();
  pool.mask_low = mask.wire_low();
  pool.first_low = use.prefix.address().low();
  pool.unbound.store(use.unbound, std::memory_order_relaxed);
  if (use.unbound != IndexEntry::local) return true;
  pool.indexed = ipv6_pool_addresses(use.prefix);
  for (auto& view : pool.pages)
    for (uint32_t n = 0; n < ipv6_pool_pages_of(use.prefix); ++n) {
      view[n] = source.take();
      if (view[n] == nullptr) {
        give_pages(pool, source);
        return false;
      }
      for (auto& entry : view[n]->entries) entry.store(use.unbound, std::memory_order_relaxed);
    }
  return true;
}

void Ipv6Index::give_pages(const Pool& pool, const PageSource& source) {
  for (const auto& view : pool.pages)
    for (const IndexPage* page : view)
      if (page != nullptr) source.give(page);
}

Expected<void> Ipv6Index::set_pools(std::span<const Ipv6PoolUse> next, const PageSource& source) {
  if (next.size() > max_ipv6_pools)
    return fail(ErrorCode::resource_exhausted,
                "there is room for " + std::to_string(max_ipv6_pools) + " IPv6 pools only");
  auto made = std::make_unique<Pools>();
  std::vector<bool> stays(pools_->count, false);
  std::vector<const Pool*> taken;
  for (const Ipv6PoolUse& use : next) {
    Pool& pool = made->of[made->count++];
    const std::span before = std::span(pools_->of).first(pools_->count);
    const auto same = std::ranges::find_if(before, [&](const Pool& p) { return p.is(use); });
    if (same != before.end()) {
      pool.copy(*same);
      stays[static_cast<size_t>(same - before.begin())] = true;
    } else if (make(pool, use, source)) {
      taken.push_back(&pool);
    } else {
      for (const Pool* back : taken) give_pages(*back, source);
      return fail(ErrorCode::resource_exhausted, "the binding index has no pages left for " +
                                                     use.prefix.to_string() + "; raise capacity.index_pages");
    }
  }
  for (uint32_t n = 0; n < pools_->count; ++n) {
    if (stays[n]) continue;
    for (const auto& view : pools_->of[n].pages)
      for (const IndexPage* page : view)
        if (page != nullptr) retired_pages_.push_back(page);
  }
  published_.store(made.get(), std::memory_order_release);
  retired_.push_back(std::exchange(pools_, std::move(made)));
  return {};
}

void Ipv6Index::release_retired(const PageSource& source) {
  for (const IndexPage* page : retired_pages_) source.give(page);
  retired_pages_.clear();
  retired_.clear();
}

}  // namespace portcullis
