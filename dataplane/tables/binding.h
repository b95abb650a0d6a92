// The binding table: which endpoint an EIP is, where it lives, what it permits.
//
// EIPs come from pools, so lookup is an index and not a hash: the upper 16 bits of the address choose a page,
// the lower 16 an entry of it. Two views over the same records (semantics: "PRDO bindings"):
//   edge   packets from uplinks see an EIP only while its list has a rule with an external remote
//   local  packets from endpoint ports see every EIP whose vm is behind this gateway
// An entry is also where pool membership is kept, so that one load answers "whose address is this".
//
// Records are immutable once published: a change takes a new slot, moves the index to it, and frees the old
// slot after a grace period. A slot is where a record and its counters lie; a binding id is stable for the
// life of a binding and is what quotas and flows use.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "dataplane/tables/memory.h"
#include "dataplane/tables/permit.h"
#include "src/base/expected.h"
#include "src/net/address.h"
#include "src/net/checksum.h"

namespace portcullis {

using BindingId = uint32_t;
using Slot = uint32_t;
using PortId = uint16_t;  // ethdev port id

// Line 0 is read for every packet of the endpoint, line 1 when its list is judged. Written by control only.
struct alignas(64) BindingRecord {
  Ipv4Addr eip;
  Ipv4Addr dip;
  Mac mac;  // the endpoint's; with `port` its location
  PortId port = 0;
  BindingId id = 0;
  TagSetId tags = empty_tag_set;
  // Model generations, compared for equality (kept_from: by wrapping difference). See flow.h.
  uint32_t incarnation = 0;          // when this EIP was bound: never the same for two owners of one address
  uint32_t binding_generation = 0;   // raised by set_tag, move
  uint32_t list_generation = 0;      // raised by every change of the permit list
  uint32_t kept_from = 0;            // entries with list generations from here on survive (keep_established)
  uint32_t flow_quota = 0;           // most live flow entries of this EIP on a worker
  ChecksumDelta to_public;           // DIP -> EIP
  ChecksumDelta to_private;          // EIP -> DIP
  uint32_t rule_count = 0;           // inline and beyond
  uint32_t chunk = no_permit_chunk;  // where those beyond begin (permit_room.h says in which form)
  Slot slot = 0;                     // this record's own
  RuleKinds kinds;                   // of all of them
  PermitQuad rules;                  // the first four

  [[nodiscard]] bool has_long_list() const { return rule_count > inline_permit_rules; }
};
static_assert(sizeof(BindingRecord) == 128);
static_assert(offsetof(BindingRecord, rules) == 64);

enum class View : uint8_t { edge = 0, local = 1 };

// What an address is, as the index says it: a slot, or one of the values below first_slot.
class IndexEntry {
 public:
  static constexpr uint32_t outside = 0;   // in no pool
  static constexpr uint32_t local = 1;     // in a local pool, not bound in this view
  static constexpr uint32_t provider = 2;  // in a pool that another gateway of the provider serves
  static constexpr Slot first_slot = 3;
  constexpr explicit IndexEntry(uint32_t raw) : raw_(raw) {}
  [[nodiscard]] constexpr bool is_bound() const { return raw_ >= first_slot; }
  [[nodiscard]] constexpr bool in_any_pool() const { return raw_ != outside; }
  [[nodiscard]] constexpr bool in_local_pool() const { return raw_ == local || is_bound(); }
  [[nodiscard]] constexpr Slot slot() const { return raw_; }

 private:
  uint32_t raw_;
};

class BindingTable {
 public:
  // `capacity` records (with the spare ones for changes in flight), `pages` of 65,536 addresses a view.
  [[nodiscard]] static Expected<BindingTable> create(uint32_t capacity, uint32_t pages, int numa_node);

  // --- any thread ---
  [[nodiscard]] IndexEntry find(View view, Ipv4Addr address) const {
    return may_be_pooled(address) ? load(place_of(view, address)) : IndexEntry(IndexEntry::outside);
  }
  // The same in two steps, for a burst: where the entry lies (to prefetch it), and what it says.
  [[nodiscard]] const std::atomic<uint32_t>* place_of(View view, Ipv4Addr address) const {
    const uint32_t host = address.host();
    const Page* page = root_[static_cast<size_t>(view)][host >> 16].load(std::memory_order_acquire);
    return &page->entries[host & 0xffff];
  }
  [[nodiscard]] static IndexEntry load(const std::atomic<uint32_t>* place) {
    return IndexEntry(place->load(std::memory_order_acquire));
  }
  // False: the address is in no pool, and no line of the index need be read to say so. 8 KiB for all
  // addresses, so that those of random senders cost no cache miss.
  [[nodiscard]] bool may_be_pooled(Ipv4Addr address) const {
    const uint32_t high = address.host() >> 16;
    return (pooled_[high / 64].load(std::memory_order_acquire) >> (high % 64) & 1) != 0;
  }
  [[nodiscard]] const BindingRecord& record(Slot slot) const { return records_[slot]; }

  // --- control only ---
  [[nodiscard]] bool take_slot(Slot& slot) { return free_slots_.take(slot); }
  void free_slot(Slot slot) { free_slots_.give(slot); }  // after grace
  [[nodiscard]] uint32_t free_slots() const { return free_slots_.size(); }
  [[nodiscard]] BindingRecord& writable(Slot slot) { return records_[slot]; }  // before publication only
  // Points `address` at a slot, or at IndexEntry::local, ::provider or ::outside. Its page must exist.
  void set(View view, Ipv4Addr address, uint32_t value);
  // Makes the pages under `prefix` exist; resource_exhausted (nothing taken) when there are too few.
  [[nodiscard]] Expected<void> reserve_pages(Ipv4Prefix prefix);
  // Gives up the pages that only `prefix` uses, whose entries are all `outside` by now: readers leave them at
  // once, and release_unlinked_pages() makes them usable again after a grace period.
  void unlink_pages(Ipv4Prefix prefix);
  void release_unlinked_pages();
  [[nodiscard]] uint32_t capacity() const { return records_.size(); }
  [[nodiscard]] size_t bytes() const;

 private:
  struct Page {
    std::atomic<uint32_t> entries[65536];
  };
  struct alignas(64) PageStorage : Page {};
  using Root = std::unique_ptr<std::atomic<const Page*>[]>;
  Page* page_of(View view, uint32_t high);

  TableArray<BindingRecord> records_;
  TableArray<PageStorage> pages_;  // page 0 stays empty: what addresses outside every pool share
  IndexPool free_slots_;
  IndexPool free_pages_;
  std::vector<uint32_t> page_users_;      // pools under each upper half
  std::vector<uint32_t> unlinked_pages_;  // waiting for grace
  Root root_[2];
  // Bit h: there are pages for the upper half h. Set after the pages are there, cleared before they go.
  std::unique_ptr<std::atomic<uint64_t>[]> pooled_;
};

}  // namespace portcullis
