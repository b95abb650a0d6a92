// Endpoints by where their packets come from: (port, DIP) -> slot of the binding record.
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
#include <vector>

#include "dataplane/tables/binding.h"
#include "dataplane/tables/group.h"
#include "dataplane/tables/memory.h"
#include "src/base/expected.h"

namespace portcullis {

struct EndpointKey {
  Ipv4Addr dip;
  PortId port = 0;  // a VLAN or tunnel number will join the key
  friend constexpr bool operator==(const EndpointKey&, const EndpointKey&) = default;
};

class EndpointTable {
 public:
  // `secret`: keys the hash; 0: a random one.
  [[nodiscard]] static Expected<EndpointTable> create(uint32_t capacity, int numa_node, uint64_t secret = 0);

  // --- any thread ---
  // Where a look-up of the key begins. For a burst: prefetch(bucket_of(key)) for all, then find() for each.
  [[nodiscard]] uint32_t bucket_of(EndpointKey key) const {
    // Two keyed products, folded: one alone spreads DIPs that lie side by side as a lattice, which fills some
    // buckets and leaves others empty.
    __extension__ using Wide = unsigned __int128;
    const auto folded = [](uint64_t a, uint64_t b) {
      const Wide product = Wide{a} * b;
      return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
    };
    const uint64_t word = uint64_t{key.dip.wire()} << 16 | key.port;
    return static_cast<uint32_t>(folded(folded(word ^ secret_, odd), multiplier_)) & mask_;
  }
  void prefetch(uint32_t bucket) const { prefetch_line(&buckets_[bucket]); }
  // 0 when the key is unknown. `bucket` is bucket_of(key).
  template <typename Group>
  [[nodiscard]] Slot find(EndpointKey key, uint32_t bucket) const {
    for (const Bucket* b = &buckets_[bucket];;) {
      for (uint32_t found = Group::equal8(b->words, key.dip.wire()) & all_ways; found != 0;
           found &= found - 1) {
        const auto way = static_cast<uint32_t>(std::countr_zero(found));
        const Slot slot = b->slot(way).load(std::memory_order_acquire);
        if (slot >= IndexEntry::first_slot && holds(*b, way, key)) return slot;
      }
      const uint32_t next = b->next.load(std::memory_order_acquire);
      if (next == 0) return 0;
      b = &buckets_[next];
    }
  }

  // --- control only ---
  // Adds a key or points it at another slot. False when there is no room.
  [[nodiscard]] bool set(EndpointKey key, Slot slot);
  void erase(EndpointKey key);  // readers may still find it until a grace period has passed
  void release_erased();        // after grace: room of erased keys may be used again
  [[nodiscard]] uint32_t capacity() const { return capacity_; }
  [[nodiscard]] size_t bytes() const { return buckets_.bytes(); }
  // What create() takes for each key of `capacity`, in bytes.
  [[nodiscard]] static size_t bytes_for(uint32_t capacity);

 private:
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
    std::atomic<PortId> ports[ways];
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

  static bool holds(const Bucket& b, uint32_t way, EndpointKey key) {
    return b.dip(way).load(std::memory_order_relaxed) == key.dip.wire() &&
           b.ports[way].load(std::memory_order_relaxed) == key.port;
  }

  TableArray<Bucket> buckets_;  // home buckets, then those that continue them
  IndexPool free_buckets_;
  std::vector<Place> erased_;       // waiting for grace
  std::vector<uint32_t> unlinked_;  // empty continuations that readers may still walk through
  uint64_t secret_ = 0;
  uint64_t multiplier_ = 0;  // of the secret, odd: no secret gives a weak one
  uint32_t mask_ = 0;
  uint32_t capacity_ = 0;
  uint32_t used_ = 0;  // keys, erased ones that wait among them
};

}  // namespace portcullis
