// IPv6 addresses of pools: the few pools are compared one by one, then an entry lies as in the IPv4 index, on
// a page of 65,536. A pool hands out addresses from its first upwards, so only its first million have
// entries; of all others the pool itself says what they are.
//
// A page is of a block, 65,536 addresses from a multiple of that on, whichever local pools lie in it. So a
// pool that grows or shrinks keeps the entries of the addresses that it had. Entries say IndexEntry::local
// or a slot.
//
// A change of pools is one store: readers see the old ones or the new ones. Thread: control changes, any
// reads.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "dataplane/tables/index_page.h"
#include "src/base/expected.h"
#include "src/net/address.h"

namespace portcullis {

struct Ipv6PoolUse {
  Ipv6Prefix prefix;
  uint32_t unbound;  // IndexEntry::local or ::provider: what its addresses are that are not bound
  friend bool operator==(const Ipv6PoolUse&, const Ipv6PoolUse&) = default;
};

class Ipv6Index {
 public:
  // Pages of the caller's: taken one by one, given back after a grace period.
  struct PageSource {
    std::function<IndexPage*()> take;  // nullptr: none is left
    std::function<void(const IndexPage*)> give;
  };

  // Whether blocks that had none get pages. Addresses of blocks without stay what their pool says.
  enum class NewPages : uint8_t { take, none };

  Ipv6Index() : pools_(std::make_unique<Pools>()), published_(pools_.get()) {}

 private:
  struct Pool;
  struct Pools;

 public:
  // --- any thread ---
  // The pools that there are when it is made: for a burst, and no longer than its reader is in it.
  class Reader {
   public:
    [[nodiscard]] bool in_any_pool(const Ipv6Addr& address) const {
      return pools_.pool_of(address) != nullptr;
    }
    // Where the entry of an address lies. Of those without one, what their pool says.
    [[nodiscard]] const std::atomic<uint32_t>* place_of(View view, const Ipv6Addr& address) const {
      static constinit const std::atomic<uint32_t> outside{IndexEntry::outside};
      const Pool* const pool = pools_.pool_of(address);
      if (pool == nullptr) return &outside;
      const std::atomic<uint32_t>* const entry = pool->entry(view, address);
      return entry != nullptr ? entry : &pool->unbound;
    }

   private:
    friend Ipv6Index;
    explicit Reader(const Pools& pools) : pools_(pools) {}
    const Pools& pools_;
  };
  [[nodiscard]] Reader reader() const { return Reader(*published_.load(std::memory_order_acquire)); }

  // --- control only ---
  // An address without an entry stays what its pool says.
  void set(View view, const Ipv6Addr& address, uint32_t value) {
    const Pool* const pool = pools_->pool_of(address);
    std::atomic<uint32_t>* const entry = pool == nullptr ? nullptr : pool->entry(view, address);
    if (entry != nullptr) entry->store(value, std::memory_order_release);
  }
  // The pools from now on. Blocks that they had already keep their entries. On resource_exhausted nothing has
  // changed.
  [[nodiscard]] Expected<void> set_pools(std::span<const Ipv6PoolUse> next, NewPages new_pages,
                                         const PageSource& source);
  // After grace: what the pools had that are gone may be used again.
  void release_retired(const PageSource& source);

 private:
  struct Pool {
    uint64_t high = 0, low = 0;  // of the prefix, as on the wire
    uint64_t mask_high = 0, mask_low = 0;
    uint64_t first_low = 0;  // of its first block, host order
    uint64_t indexed = 0;    // addresses from there on that have entries
    std::atomic<uint32_t> unbound{IndexEntry::outside};
    std::array<std::array<IndexPage*, ipv6_pool_pages>, view_count> pages{};

    [[nodiscard]] bool contains(const Ipv6Addr& address) const {
      return (((address.wire_high() & mask_high) ^ high) | ((address.wire_low() & mask_low) ^ low)) == 0;
    }
    // nullptr: it has none.
    [[nodiscard]] std::atomic<uint32_t>* entry(View view, const Ipv6Addr& address) const {
      const uint64_t offset = address.low() - first_low;
      if (address.wire_high() != high || offset >= indexed) return nullptr;
      IndexPage* const page = pages[static_cast<uint32_t>(view)][offset / index_page_addresses];
      return page == nullptr ? nullptr : &page->entries[offset % index_page_addresses];
    }
  };
  struct Pools {
    uint32_t count = 0;
    std::array<Pool, max_ipv6_pools> of;

    [[nodiscard]] const Pool* pool_of(const Ipv6Addr& address) const {
      for (uint32_t n = 0; n < count; ++n)
        if (of[n].contains(address)) return &of[n];
      return nullptr;
    }
  };
  using Pages = std::array<IndexPage*, view_count>;
  using Blocks = std::map<Ipv6Addr, Pages>;  // by their first address
  // The blocks of `next`, as far as they have pages; those that are new get theirs, if that is wanted.
  [[nodiscard]] Expected<Blocks> blocks_of(std::span<const Ipv6PoolUse> next, NewPages new_pages,
                                           const PageSource& source) const;
  static void fill(Pool& pool, const Ipv6PoolUse& use, const Blocks& blocks);

  struct Atomic : std::atomic<const Pools*> {
    using std::atomic<const Pools*>::atomic;
    Atomic(Atomic&& other) noexcept : std::atomic<const Pools*>(other.load(std::memory_order_relaxed)) {}
    Atomic& operator=(Atomic&& other) noexcept {
      store(other.load(std::memory_order_relaxed), std::memory_order_relaxed);
      return *this;
    }
  };

  std::vector<Ipv6PoolUse> uses_;
  Blocks blocks_;
  std::unique_ptr<Pools> pools_;
  std::vector<std::unique_ptr<Pools>> retired_;
  std::vector<const IndexPage*> retired_pages_;
  Atomic published_;  // moved only before anybody reads
};

}  // namespace portcullis
