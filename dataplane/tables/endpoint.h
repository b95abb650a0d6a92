// Endpoints by where their packets come from: (link, DIP) -> slot of the binding record. One table for each
// address family.
//
// Layout: buckets of one cache line, six ways each, chosen by a keyed hash (tenants choose DIPs); at most
// half of the ways are in use, so that nearly every look-up reads one line. A bucket that is full is
// continued in another from a small pool. DIPs lie side by side to be compared as a group.
//
// One writer, any number of readers without locks. The writer stores a way's key before its slot (release),
// and gives an erased way to another key only after a grace period. A reader takes the slot (acquire) and
// then compares the key, so it never pairs a slot with another's key.
#pragma once

#include <atomic>
#include <bit>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "dataplane/tables/binding.h"
#include "dataplane/tables/group.h"
#include "dataplane/tables/memory.h"
#include "src/base/expected.h"

namespace portcullis {

struct EndpointKey {
  Ipv4Addr dip;
  LinkId link = 0;
  friend constexpr bool operator==(const EndpointKey&, const EndpointKey&) = default;

  // What is compared as a group, and the two words that are hashed.
  [[nodiscard]] constexpr uint32_t group_word() const { return dip.wire(); }
  [[nodiscard]] constexpr uint64_t hashed() const { return uint64_t{dip.wire()} << 16 | link; }
  [[nodiscard]] static constexpr uint64_t hashed_too() { return 0; }
};

struct EndpointKey6 {
  Ipv6Addr dip;
  LinkId link = 0;
  friend constexpr bool operator==(const EndpointKey6&, const EndpointKey6&) = default;

  [[nodiscard]] constexpr uint32_t group_word() const { return static_cast<uint32_t>(dip.wire_low() >> 32); }
  [[nodiscard]] constexpr uint64_t hashed() const {
    return dip.wire_low() ^ uint64_t { link } << 16;
  }
  [[nodiscard]] constexpr uint64_t hashed_too() const { return dip.wire_high(); }
};

// `Key`: EndpointKey, or EndpointKey6, of which the bucket holds four bytes and an array beside it all.
template <typename Key>
class BasicEndpointTable {
 public:
  // `secret`: keys the hash; 0: a random one.
  [[nodiscard]] static Expected<BasicEndpointTable> create(uint32_t capacity, int numa_node,
                                                           uint64_t secret = 0);

  // --- any thread ---
  // Where a look-up of the key begins. For a burst: prefetch(bucket_of(key)) for all, then find() for each.
  [[nodiscard]] uint32_t bucket_of(const Key& key) const {
    // Two keyed products, folded: one alone spreads DIPs that lie side by side as a lattice, which fills some
    // buckets and leaves others empty.
    __extension__ using Wide = unsigned __int128;
    const auto folded = [](uint64_t a, uint64_t b) {
      const Wide product = Wide{a} * b;
      return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
    };
    uint64_t mixed = folded(key.hashed() ^ secret_, odd);
    if constexpr (has_wide_keys) mixed = folded(mixed ^ key.hashed_too(), secret_ | odd);
    return static_cast<uint32_t>(folded(mixed, multiplier_)) & mask_;
  }
  void prefetch(uint32_t bucket) const { prefetch_line(&buckets_[bucket]); }
  // 0 when the key is unknown. `bucket` is bucket_of(key).
  template <typename Group>
  [[nodiscard]] Slot find(const Key& key, uint32_t bucket) const {
    return find_if<Group>(key, bucket, [&](uint32_t at, uint32_t way) { return holds(at, way, key); });
  }
  // By what lies in the bucket, and no further line is read: 0 when the key is unknown, else mostly its slot.
  // Whether it is, the record of the slot tells; if it is not, find() does.
  template <typename Group>
  [[nodiscard]] Slot find_likely(const Key& key, uint32_t bucket) const {
    return find_if<Group>(key, bucket, [&](uint32_t at, uint32_t way) { return resembles(at, way, key); });
  }

  // --- control only ---
  // Adds a key or points it at another slot. False when there is no room.
  [[nodiscard]] bool set(const Key& key, Slot slot);
  void erase(const Key& key);  // readers may still find it until a grace period has passed
  void release_erased();       // after grace: room of erased keys may be used again
  [[nodiscard]] uint32_t capacity() const { return capacity_; }
  [[nodiscard]] size_t bytes() const { return buckets_.bytes() + dips_.bytes(); }
  // What create() takes for each key of `capacity`, in bytes.
  [[nodiscard]] static size_t bytes_for(uint32_t capacity);

 private:
  static constexpr bool has_wide_keys = std::is_same_v<Key, EndpointKey6>;
  static constexpr uint32_t ways = 6;
  static constexpr uint32_t all_ways = (1u << ways) - 1;
  static constexpr uint64_t odd = 0x9e3779b97f4a7c15u;  // 2^64 / the golden ratio
  // What a way says that has no slot.
  static constexpr Slot is_free = 0;
  static constexpr Slot is_erased = 1;  // its key may still be compared with, until a grace period has passed
  static_assert(is_erased < IndexEntry::first_slot);

  struct alignas(64) Bucket {
    // DIPs of all ways, then their slots: the group of eight that begins with the DIPs lies within one array.
    std::atomic<uint32_t> words[2 * ways];
    std::atomic<LinkId> links[ways];
    std::atomic<uint32_t> next;  // bucket that continues this one; 0: none

    [[nodiscard]] std::atomic<uint32_t>& dip(uint32_t way) { return words[way]; }
    [[nodiscard]] const std::atomic<uint32_t>& dip(uint32_t way) const { return words[way]; }
    [[nodiscard]] std::atomic<Slot>& slot(uint32_t way) { return words[ways + way]; }
    [[nodiscard]] const std::atomic<Slot>& slot(uint32_t way) const { return words[ways + way]; }
  };
  static_assert(sizeof(Bucket) == 64);

  struct Place {
    uint32_t bucket;
    uint32_t way;
  };

  // Whole DIPs of the ways of a bucket.
  struct Dips {
    std::atomic<uint64_t> high[ways];
    std::atomic<uint64_t> low[ways];
  };

  [[nodiscard]] bool resembles(uint32_t bucket, uint32_t way, const Key& key) const {
    const Bucket& b = buckets_[bucket];
    return b.dip(way).load(std::memory_order_relaxed) == key.group_word() &&
           b.links[way].load(std::memory_order_relaxed) == key.link;
  }
  [[nodiscard]] bool holds(uint32_t bucket, uint32_t way, const Key& key) const {
    if (!resembles(bucket, way, key)) return false;
    if constexpr (has_wide_keys)
      return dips_[bucket].high[way].load(std::memory_order_relaxed) == key.dip.wire_high() &&
             dips_[bucket].low[way].load(std::memory_order_relaxed) == key.dip.wire_low();
    return true;
  }
  template <typename Group, typename Is>
  [[nodiscard]] Slot find_if(const Key& key, uint32_t bucket, Is&& is) const {
    for (;;) {
      const Bucket* b = &buckets_[bucket];
      for (uint32_t found = Group::equal8(b->words, key.group_word()) & all_ways; found != 0;
           found &= found - 1) {
        const auto way = static_cast<uint32_t>(std::countr_zero(found));
        const Slot slot = b->slot(way).load(std::memory_order_acquire);
        if (slot >= IndexEntry::first_slot && is(bucket, way)) return slot;
      }
      const uint32_t next = b->next.load(std::memory_order_acquire);
      if (next == 0) return 0;
      bucket = next;
    }
  }

  [[nodiscard]] Key key_at(uint32_t bucket, uint32_t way) const;
  void write_key(uint32_t bucket, uint32_t way, const Key& key);

  TableArray<Bucket> buckets_;  // home buckets, then those that continue them
  TableArray<Dips> dips_;       // by bucket, of wide keys only
  IndexPool free_buckets_;
  std::vector<Place> erased_;       // waiting for grace
  std::vector<uint32_t> unlinked_;  // empty continuations that readers may still walk through
  uint64_t secret_ = 0;
  uint64_t multiplier_ = 0;  // of the secret, odd: no secret gives a weak one
  uint32_t mask_ = 0;
  uint32_t capacity_ = 0;
  uint32_t used_ = 0;  // keys, erased ones that wait among them
};

using EndpointTable = BasicEndpointTable<EndpointKey>;
using EndpointTable6 = BasicEndpointTable<EndpointKey6>;
extern template class BasicEndpointTable<EndpointKey>;
extern template class BasicEndpointTable<EndpointKey6>;

}  // namespace portcullis
