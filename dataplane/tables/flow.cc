#include "dataplane/tables/flow.h"

#include <rte_prefetch.h>

#include <bit>
#include <cstring>

namespace portcullis {
namespace {

// Never 0, which marks a free way. The bucket takes the low bits, the signature the high ones.
uint16_t signature_of(uint32_t hash) {
  return static_cast<uint16_t>((hash >> 16) | 1);
}

}  // namespace

Expected<FlowTable> FlowTable::create(uint32_t capacity, uint32_t bindings, int numa_node, uint64_t secret) {
  if (capacity < ways || !std::has_single_bit(capacity))
    return fail(ErrorCode::invalid_argument,
                "flow capacity " + std::to_string(capacity) + " is no power of two of at least 16");
  auto buckets = TableArray<Bucket>::create("flow table", capacity / ways, numa_node);
  if (!buckets) return tl::unexpected(buckets.error());
  auto owned = TableArray<Counter>::create("flow owners", bindings, numa_node);
  if (!owned) return tl::unexpected(owned.error());
  FlowTable table;
  table.buckets_ = std::move(*buckets);
  table.owned_ = std::move(*owned);
  table.secret_ = secret;
  return table;
}

uint32_t FlowTable::hash(const SideTuple& key, uint64_t secret) {
  uint64_t words[2];
  std::memcpy(words, &key, sizeof words);
  // Two keyed 64 x 64 -> 128-bit products, folded: unlike a CRC it is not linear, so without the secret there
  // is no telling which keys meet.
  const auto folded = [](uint64_t a, uint64_t b) {
    __extension__ using Wide = unsigned __int128;
    const Wide product = Wide{a} * b;
    return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
  };
  constexpr uint64_t odd = 0x9e3779b97f4a7c15u;
  const uint64_t mixed = folded(folded(words[0] ^ secret, words[1] ^ odd) ^ words[1], secret | odd);
  return static_cast<uint32_t>(mixed >> 32);
}

void FlowTable::prefetch(uint32_t hash) const {
  rte_prefetch0(&buckets_[bucket_of(hash)]);
}

void FlowTable::prefetch_entry(uint32_t hash) const {
  const Bucket& b = buckets_[bucket_of(hash)];
  const uint16_t signature = signature_of(hash);
  for (uint32_t way = 0; way < ways; ++way)
    if (b.signatures[way] == signature) return rte_prefetch0(&b.entries[way]);
}

uint32_t FlowTable::find(const SideTuple& key, uint32_t hash, uint64_t now_ms) const {
  const uint32_t bucket = bucket_of(hash);
  const Bucket& b = buckets_[bucket];
  const uint16_t signature = signature_of(hash);
  for (uint32_t way = 0; way < ways; ++way)
    if (b.signatures[way] == signature && b.entries[way].key == key)
      return b.entries[way].expires_ms > now_ms ? bucket * ways + way : none;
  return none;
}

uint32_t FlowTable::way_for(uint32_t bucket, uint64_t now_ms, const SideTuple& key) const {
  const Bucket& b = buckets_[bucket];
  uint32_t found = none;
  for (uint32_t way = 0; way < ways; ++way) {
    if (b.signatures[way] == 0) {
      if (found == none) found = way;
    } else if (b.entries[way].expires_ms <= now_ms) {
      // A dead entry of the same key goes first: a key is never there twice.
      if (b.entries[way].key == key) return way;
      if (found == none) found = way;
    }
  }
  return found;
}

uint32_t FlowTable::free_ways(uint32_t hash, uint64_t now_ms) const {
  const Bucket& b = buckets_[bucket_of(hash)];
  uint32_t count = 0;
  for (uint32_t way = 0; way < ways; ++way)
    if (b.signatures[way] == 0 || b.entries[way].expires_ms <= now_ms) ++count;
  return count;
}

uint32_t FlowTable::insert(const FlowEntry& entry, uint32_t hash, uint64_t now_ms) {
  const uint32_t bucket = bucket_of(hash);
  const uint32_t way = way_for(bucket, now_ms, entry.key);
  if (way == none) return none;
  const uint32_t index = bucket * ways + way;
  Bucket& b = buckets_[bucket];
  if (b.signatures[way] != 0) erase(index);
  b.signatures[way] = signature_of(hash);
  b.entries[way] = entry;
  owned_[entry.owner].add(1);
  size_.add(1);
  return index;
}

void FlowTable::erase(uint32_t index) {
  Bucket& b = buckets_[index / ways];
  const uint32_t way = index % ways;
  Counter& owned = owned_[b.entries[way].owner];
  owned.set(owned.get() - 1);
  size_.set(size_.get() - 1);
  b.signatures[way] = 0;
}

}  // namespace portcullis
