#include "dataplane/tables/endpoint.h"

#include <rte_random.h>

#include <algorithm>
#include <array>
#include <bit>
#include <string>

namespace portcullis {
namespace {

// Home buckets so that at most half of their ways are in use.
uint32_t home_buckets(uint32_t capacity) {
  return std::bit_ceil(std::max<uint32_t>((capacity + 2) / 3, 16));
}
// With three keys a bucket on average (Poisson), one bucket in 30 has more than six, which is one for 90
// keys. Four times as many are kept, so that to run out of them is beyond what a keyed hash does.
uint32_t continuation_buckets(uint32_t capacity) {
  return capacity / 20 + 16;
}

}  // namespace

template <typename Key>
size_t BasicEndpointTable<Key>::bytes_for(uint32_t capacity) {
  return (size_t{home_buckets(capacity)} + continuation_buckets(capacity)) *
         (sizeof(Bucket) + (has_wide_keys ? sizeof(Dips) : 0));
}

template <typename Key>
Expected<BasicEndpointTable<Key>> BasicEndpointTable<Key>::create(uint32_t capacity, int numa_node,
                                                                  uint64_t secret) {
  const uint32_t home = home_buckets(capacity);
  const uint32_t all = home + continuation_buckets(capacity);
  auto buckets = TableArray<Bucket>::create("endpoint table", all, numa_node);
  if (!buckets) return tl::unexpected(buckets.error());
  auto dips = TableArray<Dips>::create("endpoint addresses", has_wide_keys ? all : 0, numa_node);
  if (!dips) return tl::unexpected(dips.error());
  BasicEndpointTable table;
  table.dips_ = std::move(*dips);
  table.buckets_ = std::move(*buckets);
  table.free_buckets_ = IndexPool(home, all);
  table.secret_ = secret != 0 ? secret : rte_rand();
  table.multiplier_ = table.secret_ * odd | 1;
  table.mask_ = home - 1;
  table.capacity_ = capacity;
  return table;
}

template <typename Key>
bool BasicEndpointTable<Key>::set(const Key& key, Slot slot) {
  Place free{.bucket = 0, .way = ways};  // none yet
  uint32_t last = bucket_of(key);
  for (uint32_t bucket = last;; bucket = buckets_[bucket].next.load(std::memory_order_relaxed)) {
    Bucket& b = buckets_[bucket];
    last = bucket;
    for (uint32_t way = 0; way < ways; ++way) {
      const Slot now = b.slot(way).load(std::memory_order_relaxed);
      if (now == is_free) {
        if (free.way == ways) free = {bucket, way};
      } else if (now != is_erased && holds(bucket, way, key)) {
        b.slot(way).store(slot, std::memory_order_release);
        return true;
      }
    }
    if (b.next.load(std::memory_order_relaxed) == 0) break;
  }
  if (used_ == capacity_) return false;
  const bool continues = free.way == ways;
  if (continues && !free_buckets_.take(free.bucket)) return false;
  if (continues) free.way = 0;
  Bucket& b = buckets_[free.bucket];
  write_key(free.bucket, free.way, key);
  b.slot(free.way).store(slot, std::memory_order_release);
  if (continues) {
    b.next.store(0, std::memory_order_relaxed);
    buckets_[last].next.store(free.bucket, std::memory_order_release);
  }
  ++used_;
  return true;
}

template <typename Key>
Key BasicEndpointTable<Key>::key_at(uint32_t bucket, uint32_t way) const {
  const LinkId link = buckets_[bucket].links[way].load(std::memory_order_relaxed);
  if constexpr (has_wide_keys) {
    const std::array<uint64_t, 2> halves{dips_[bucket].high[way].load(std::memory_order_relaxed),
                                         dips_[bucket].low[way].load(std::memory_order_relaxed)};
    return {.dip = std::bit_cast<Ipv6Addr>(halves), .link = link};
  } else {
    return {.dip = Ipv4Addr::from_wire(buckets_[bucket].dip(way).load(std::memory_order_relaxed)),
            .link = link};
  }
}

template <typename Key>
void BasicEndpointTable<Key>::write_key(uint32_t bucket, uint32_t way, const Key& key) {
  buckets_[bucket].dip(way).store(key.group_word(), std::memory_order_relaxed);
  buckets_[bucket].links[way].store(key.link, std::memory_order_relaxed);
  if constexpr (has_wide_keys) {
    dips_[bucket].high[way].store(key.dip.wire_high(), std::memory_order_relaxed);
    dips_[bucket].low[way].store(key.dip.wire_low(), std::memory_order_relaxed);
  }
}

template <typename Key>
void BasicEndpointTable<Key>::erase(const Key& key) {
  for (uint32_t bucket = bucket_of(key);;) {
    Bucket& b = buckets_[bucket];
    for (uint32_t way = 0; way < ways; ++way) {
      if (b.slot(way).load(std::memory_order_relaxed) < IndexEntry::first_slot || !holds(bucket, way, key))
        continue;
      b.slot(way).store(is_erased, std::memory_order_release);
      erased_.push_back({bucket, way});
      return;
    }
    bucket = b.next.load(std::memory_order_relaxed);
    if (bucket == 0) return;
  }
}

template <typename Key>
void BasicEndpointTable<Key>::release_erased() {
  for (const uint32_t bucket : unlinked_) free_buckets_.give(bucket);
  unlinked_.clear();
  used_ -= static_cast<uint32_t>(erased_.size());
  for (const Place& place : erased_)
    buckets_[place.bucket].slot(place.way).store(is_free, std::memory_order_relaxed);
  for (const Place& place : std::exchange(erased_, {})) {
    if (place.bucket <= mask_) continue;
    const Bucket& empty = buckets_[place.bucket];
    bool in_use = false;
    for (uint32_t way = 0; way < ways; ++way)
      in_use = in_use || empty.slot(way).load(std::memory_order_relaxed) != is_free;
    if (in_use || std::find(unlinked_.begin(), unlinked_.end(), place.bucket) != unlinked_.end()) continue;
    uint32_t before = bucket_of(key_at(place.bucket, place.way));
    while (buckets_[before].next.load(std::memory_order_relaxed) != place.bucket)
      before = buckets_[before].next.load(std::memory_order_relaxed);
    buckets_[before].next.store(empty.next.load(std::memory_order_relaxed), std::memory_order_release);
    unlinked_.push_back(place.bucket);
  }
}

template class BasicEndpointTable<EndpointKey>;
template class BasicEndpointTable<EndpointKey6>;

}  // namespace portcullis
