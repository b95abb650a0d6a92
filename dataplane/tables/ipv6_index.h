// IPv6 addresses of pools: the few pools are compared one by one, then an entry lies as in the IPv4 index, on
// a page of 65,536. A pool hands out addresses from its first upwards, so only its first million have
// entries; of all others the pool itself says what they are.
//
// A change of pools is one store: readers see the old ones or the new ones. Thread: control changes, any
// reads.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
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
  // Of both views. Pages of the caller's: taken one by one, given back after a grace period.
  struct PageSource {
    std::function<IndexPage*()> take;  // nullptr: none is left
    std::function<void(const IndexPage*)> give;
  };

  Ipv6Index() : pools_(std::make_unique<Pools>()), published_(pools_.get()) {}

  // --- any thread ---
  // Where the entry of an address lies. Of those without one, what their pool says.
  [[nodiscard]] const std::atomic<uint32_t>* place_of(View view, const Ipv6Addr& address) const {
    static constinit const std::atomic<uint32_t> outside{IndexEntry::outside};
    const Pool* const pool = pool_of(address);
    if (pool == nullptr) return &outside;
    const std::atomic<uint32_t>* const entry = pool->entry(view, address);
    return entry != nullptr ? entry : &pool->unbound;
  }

  // --- control only ---
  // An address without an entry stays what its pool says.
  void set(View view, const Ipv6Addr& address, uint32_t value) {
    const Pool* const pool = pool_of(address);
    std::atomic<uint32_t>* const entry = pool == nullptr ? nullptr : pool->entry(view, address);
    if (entry != nullptr) entry->store(value, std::memory_order_release);
  }
  // The pools from now on. Those that stay keep their entries, of others all entries say `unbound`. On
  // resource_exhausted nothing has changed.
  [[nodiscard]] Expected<void> set_pools(std::span<const Ipv6PoolUse> next, const PageSource& source);
  // After grace: what the pools had that are gone may be used again.
  void release_retired(const PageSource& source);

 private:
  struct Pool {
    uint64_t high = 0, low = 0;  // of the prefix, as on the wire
    uint64_t mask_high = 0, mask_low = 0;
    uint64_t first_low = 0;  // host order
    uint64_t indexed = 0;
    std::atomic<uint32_t> unbound{IndexEntry::outside};
    std::array<std::array<IndexPage*, ipv6_pool_pages>, view_count> pages{};
    Ipv6Prefix prefix;

    [[nodiscard]] bool contains(const Ipv6Addr& address) const {
      return (((address.wire_high() & mask_high) ^ high) | ((address.wire_low() & mask_low) ^ low)) == 0;
    }
    // nullptr: it has none.
    [[nodiscard]] std::atomic<uint32_t>* entry(View view, const Ipv6Addr& address) const {
      const uint64_t offset = address.low() - first_low;
      if (address.wire_high() != high || offset >= indexed) return nullptr;
      return &pages[static_cast<uint32_t>(view)][offset / index_page_addresses]
                  ->entries[offset % index_page_addresses];
    }
    void copy(const Pool& other);
    [[nodiscard]] bool is(const Ipv6PoolUse& use) const {
      return prefix == use.prefix && unbound.load(std::memory_order_relaxed) == use.unbound;
    }
  };
  struct Pools {
    uint32_t count = 0;
    std::array<Pool, max_ipv6_pools> of;
  };
  [[nodiscard]] const Pool* pool_of(const Ipv6Addr& address) const {
    const Pools& pools = *published_.load(std::memory_order_acquire);
    for (uint32_t n = 0; n < pools.count; ++n)
      if (pools.of[n].contains(address)) return &pools.of[n];
    return nullptr;
  }
  // With its pages, filled; false if there are too few, and none is taken.
  static bool make(Pool& pool, const Ipv6PoolUse& use, const PageSource& source);
  static void give_pages(const Pool& pool, const PageSource& source);

  struct Atomic : std::atomic<const Pools*> {
    using std::atomic<const Pools*>::atomic;
    Atomic(Atomic&& other) noexcept : std::atomic<const Pools*>(other.load(std::memory_order_relaxed)) {}
    Atomic& operator=(Atomic&& other) noexcept {
      store(other.load(std::memory_order_relaxed), std::memory_order_relaxed);
      return *this;
    }
  };

  std::unique_ptr<Pools> pools_;
  std::vector<std::unique_ptr<Pools>> retired_;
  std::vector<const IndexPage*> retired_pages_;
  Atomic published_;  // moved only before anybody reads
};

}  // namespace portcullis
