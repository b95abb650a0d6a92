#include "dataplane/tables/endpoint.h"

#include <rte_random.h>

#include <algorithm>
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

size_t EndpointTable::bytes_for(uint32_t capacity) {
  return (size_t{home_buckets(capacity)} + continuation_buckets(capacity)) * sizeof(Bucket);
}

Expected<EndpointTable> EndpointTable::create(uint32_t capacity, int numa_node, uint64_t secret) {
  const uint32_t home = home_buckets(capacity);
  const uint32_t all = home + continuation_buckets(capacity);
  auto buckets = TableArray<Bucket>::create("endpoint table", all, numa_node);
  if (!buckets) return tl::unexpected(buckets.error());
  EndpointTable table;
  table.buckets_ = std::move(*buckets);
  table.free_buckets_ = IndexPool(home, all);
  table.secret_ = secret != 0 ? secret : rte_rand();
  table.multiplier_ = table.secret_ * odd | 1;
  table.mask_ = home - 1;
  table.capacity_ = capacity;
  return table;
}

bool EndpointTable::set(EndpointKey key, Slot slot) {
  Place free{.bucket = 0, .way = ways};  // none yet
  uint32_t last = bucket_of(key);
  for (uint32_t bucket = last;; bucket = buckets_[bucket].next.load(std::memory_order_relaxed)) {
    Bucket& b = buckets_[bucket];
    last = bucket;
    for (uint32_t way = 0; way < ways; ++way) {
      const Slot now = b.slot(way).load(std::memory_order_relaxed);
      if (now == is_free) {
        if (free.way == ways) free = {bucket, way};
      } else if (now != is_erased && holds(b, way, key)) {
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
  b.dip(free.way).store(key.dip.wire(), std::memory_order_relaxed);
  b.ports[free.way].store(key.port, std::memory_order_relaxed);
  b.slot(free.way).store(slot, std::memory_order_release);
  if (continues) {
    b.next.store(0, std::memory_order_relaxed);
    buckets_[last].next.store(free.bucket, std::memory_order_release);
  }
  ++used_;
  return true;
}

void EndpointTable::erase(EndpointKey key) {
  for (uint32_t bucket = bucket_of(key);;) {
    Bucket& b = buckets_[bucket];
    for (uint32_t way = 0; way < ways; ++way) {
      if (b.slot(way).load(std::memory_order_relaxed) < IndexEntry::first_slot || !holds(b, way, key))
        continue;
      b.slot(way).store(is_erased, std::memory_order_release);
      erased_.push_back({bucket, way});
      return;
    }
    bucket = b.next.load(std::memory_order_relaxed);
    if (bucket == 0) return;
  }
}

void EndpointTable::release_erased() {
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
    const EndpointKey was{.dip = Ipv4Addr::from_wire(empty.dip(place.way).load(std::memory_order_relaxed)),
                          .port = empty.ports[place.way].load(std::memory_order_relaxed)};
    uint32_t before = bucket_of(was);
    while (buckets_[before].next.load(std::memory_order_relaxed) != place.bucket)
      before = buckets_[before].next.load(std::memory_order_relaxed);
    buckets_[before].next.store(empty.next.load(std::memory_order_relaxed), std::memory_order_release);
    unlinked_.push_back(place.bucket);
  }
}

}  // namespace portcullis
