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
#include <optional>
#include <vector>

#include "dataplane/tables/index_page.h"
#include "dataplane/tables/ipv6_index.h"
#include "dataplane/tables/memory.h"
#include "dataplane/tables/permit.h"
#include "dataplane/tables/permit6.h"
#include "src/base/expected.h"
#include "src/net/address.h"
#include "src/net/checksum.h"

namespace portcullis {

using BindingId = uint32_t;
using PortId = uint16_t;  // ethdev port id
using LinkId = uint16_t;  // a port untagged, or a VLAN or tunnel on one (link.h)

// What flow entries of an EIP are held to when one opens, or when something has changed since one was judged
// (flow.h). The low halves of model generations, of which the later one is told by wrapping difference: what
// lies further back than `reach` from the record's stamp is said to lie there (compile::flow_terms).
struct FlowTerms {
  static constexpr uint32_t reach = 1u << 30;

  uint32_t incarnation = 0;         // when this EIP was bound: what was judged before was another's
  uint32_t binding_generation = 0;  // raised by set_tag, move
  uint32_t list_generation = 0;     // raised by every change of the permit list
  uint32_t kept_from = 0;           // entries judged from here on survive (keep_established)
  uint32_t flow_quota = 0;          // most live flow entries of this EIP

  // Whether what was judged at `stamp` (BindingRecord::stamp) knew of `generation`.
  [[nodiscard]] static constexpr bool is_since(uint32_t stamp, uint32_t generation) {
    return static_cast<int32_t>(stamp - generation) >= 0;
  }
  friend bool operator==(const FlowTerms&, const FlowTerms&) = default;
};

struct Ipv4Endpoint {
  Ipv4Addr eip;
  Ipv4Addr dip;
  FlowTerms terms;
};
// Its FlowTerms lie beside the records, as they are read seldom, and so does what its first four rules lack
// (permit6.h): most lists need none of it.
struct Ipv6Endpoint {
  Ipv6Addr eip;
  Ipv6Addr dip;
};

// Line 0 is read for every packet of the endpoint, line 1 when its list is judged. Written by control only.
// Which family it is of, its slot says.
struct alignas(64) BindingRecord {
  Mac mac;  // the endpoint's; with `link` its location
  LinkId link = 0;
  BindingId id = 0;
  TagSetId tags = empty_tag_set;
  uint32_t stamp = 0;                // the last change of list, tags or place: what was judged at it stands
  ChecksumDelta to_public;           // DIP -> EIP
  ChecksumDelta to_private;          // EIP -> DIP
  uint32_t chunk = no_permit_chunk;  // where rules beyond the inline ones begin; permit_room.h: in which form
  uint32_t rule_count : 24 = 0;      // inline and beyond
  RuleKinds kinds;                   // of all of them
  union {
    Ipv4Endpoint ipv4;
    Ipv6Endpoint ipv6;
  };
  PermitQuad rules;  // the first four

  constexpr BindingRecord() : ipv4{} {}
  static constexpr uint32_t most_rules = (1u << 24) - 1;
  void set_rule_count(size_t count) { rule_count = static_cast<uint32_t>(count) & most_rules; }
  [[nodiscard]] bool has_long_list() const { return rule_count > inline_permit_rules; }
};
static_assert(sizeof(BindingRecord) == 128);
static_assert(offsetof(BindingRecord, rules) == 64);
static_assert(BindingRecord::most_rules >= max_permit_rules);

class BindingTable {
 public:
  // `capacity` IPv4 records (with the spare ones for changes in flight), `pages` of 65,536 addresses a view
  // for both families, `ipv6_capacity` IPv6 records.
  [[nodiscard]] static Expected<BindingTable> create(uint32_t capacity, uint32_t pages, int numa_node,
                                                     uint32_t ipv6_capacity = 0);

  // --- any thread ---
  [[nodiscard]] IndexEntry find(View view, Ipv4Addr address) const {
    return may_be_pooled(address) ? load(place_of(view, address)) : IndexEntry(IndexEntry::outside);
  }
  // The same in two steps, for a burst: where the entry lies (to prefetch it), and what it says.
  [[nodiscard]] const std::atomic<uint32_t>* place_of(View view, Ipv4Addr address) const {
    const uint32_t host = address.host();
    const IndexPage* page = root_[static_cast<size_t>(view)][host >> 16].load(std::memory_order_acquire);
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
  [[nodiscard]] IndexEntry find(View view, const Ipv6Addr& address) const {
    return load(ipv6_.reader().place_of(view, address));
  }
  // Of IPv6 addresses the two steps, for a burst.
  [[nodiscard]] Ipv6Index::Reader ipv6_index() const { return ipv6_.reader(); }
  [[nodiscard]] const BindingRecord& record(Slot slot) const { return records_[slot]; }
  // Where a record of this table lies.
  [[nodiscard]] Slot own_slot(const BindingRecord& record) const {
    return static_cast<Slot>(&record - records_.data());
  }
  // Of an IPv6 endpoint's record.
  [[nodiscard]] const FlowTerms& ipv6_terms(const BindingRecord& record) const {
    return ipv6_terms_[own_slot(record) - first_ipv6_slot_];
  }
  // Of an IPv6 endpoint's first four rules; of meaning if RuleKinds::needs_rests().
  [[nodiscard]] const PermitRests& rests(const BindingRecord& record) const {
    return ipv6_rests_[own_slot(record) - first_ipv6_slot_];
  }
  // Of a record of either family.
  [[nodiscard]] IpAddr eip(Slot slot) const {
    return is_ipv6(slot) ? IpAddr(records_[slot].ipv6.eip) : IpAddr(records_[slot].ipv4.eip);
  }
  [[nodiscard]] const FlowTerms& terms(Slot slot) const {
    return is_ipv6(slot) ? ipv6_terms(records_[slot]) : records_[slot].ipv4.terms;
  }
  // The record of an IPv6 endpoint that is bound, by its id; IndexEntry::outside if it is not.
  [[nodiscard]] IndexEntry slot_of(BindingId id) const {
    return IndexEntry(slot_of_[id].load(std::memory_order_acquire));
  }

  // --- control only ---
  [[nodiscard]] bool take_slot(IpFamily family, Slot& slot) {
    return (family == IpFamily::ipv4 ? free_slots_ : free_ipv6_slots_).take(slot);
  }
  // That which take_slot() gives after so many others.
  [[nodiscard]] std::optional<Slot> coming_slot(IpFamily family, size_t after) const {
    return (family == IpFamily::ipv4 ? free_slots_ : free_ipv6_slots_).coming(after);
  }
  void free_slot(Slot slot) {  // after grace
    (is_ipv6(slot) ? free_ipv6_slots_ : free_slots_).give(slot);
  }
  [[nodiscard]] uint32_t free_slots() const { return free_slots_.size(); }
  [[nodiscard]] FlowTerms& writable_ipv6_terms(Slot slot) { return ipv6_terms_[slot - first_ipv6_slot_]; }
  [[nodiscard]] PermitRests& writable_rests(Slot slot) { return ipv6_rests_[slot - first_ipv6_slot_]; }
  void set_slot_of(BindingId id, uint32_t value) { slot_of_[id].store(value, std::memory_order_release); }
  [[nodiscard]] BindingRecord& writable(Slot slot) { return records_[slot]; }  // before publication only
  // Points `address` at a slot, or at IndexEntry::local, ::provider or ::outside. Its page must exist.
  void set(View view, Ipv4Addr address, uint32_t value);
  void set(View view, const Ipv6Addr& address, uint32_t value) { ipv6_.set(view, address, value); }
  // The IPv6 pools from now on (Ipv6Index::set_pools).
  [[nodiscard]] Expected<void> set_ipv6_pools(std::span<const Ipv6PoolUse> pools,
                                              Ipv6Index::NewPages new_pages = Ipv6Index::NewPages::take);
  // Makes the pages under `prefix` exist; resource_exhausted (nothing taken) when there are too few.
  [[nodiscard]] Expected<void> reserve_pages(Ipv4Prefix prefix);
  // Gives up the pages that only `prefix` uses, whose entries are all `outside` by now: readers leave them at
  // once, and release_unlinked_pages() makes them usable again after a grace period.
  void unlink_pages(Ipv4Prefix prefix);
  void release_unlinked_pages();
  [[nodiscard]] uint32_t capacity() const { return records_.size(); }
  [[nodiscard]] size_t bytes() const;

 private:
  using Root = std::unique_ptr<std::atomic<const IndexPage*>[]>;
  [[nodiscard]] bool is_ipv6(Slot slot) const { return slot >= first_ipv6_slot_; }
  IndexPage* page_of(View view, uint32_t high);
  Ipv6Index::PageSource page_source();

  TableArray<BindingRecord> records_;      // IPv4's, then IPv6's
  TableArray<FlowTerms> ipv6_terms_;       // from slot first_ipv6_slot_ on
  TableArray<PermitRests> ipv6_rests_;     // as these
  TableArray<std::atomic<Slot>> slot_of_;  // by binding id
  TableArray<IndexPageStorage> pages_;     // page 0 stays empty: what addresses outside every pool share
  Slot first_ipv6_slot_ = 0;
  IndexPool free_slots_;
  IndexPool free_ipv6_slots_;
  IndexPool free_pages_;
  std::vector<uint32_t> page_users_;      // pools under each upper half
  std::vector<uint32_t> unlinked_pages_;  // waiting for grace
  Root root_[view_count];
  // Bit h: there are pages for the upper half h. Set after the pages are there, cleared before they go.
  std::unique_ptr<std::atomic<uint64_t>[]> pooled_;
  Ipv6Index ipv6_;
};

}  // namespace portcullis
