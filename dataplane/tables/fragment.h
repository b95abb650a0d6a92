// Datagrams whose fragments pass: what the header of their first fragment said, for those that follow it, and
// which parts have come (RFC 1858, 3128, 5722). Nothing is held back and put together.
//
// It can be filled from outside by whoever a rule lets in, so it is bounded, and so is each EIP's share: an
// EIP has its place in one bucket, and there at most `share` datagrams. A further one takes the place of that
// EIP's oldest, or where the bucket is full by others, of the oldest in it.
//
// Thread: the worker's; `size` any.
#pragma once

#include <array>
#include <cstdint>

#include "dataplane/counter.h"
#include "dataplane/tables/binding.h"
#include "dataplane/tables/memory.h"
#include "src/net/address.h"

namespace portcullis {

// RFC 791, 3.2: what the fragments of a datagram share. Addresses as the packet arrived with them.
struct FragmentKey {
  Ipv4Addr source;
  Ipv4Addr destination;
  Be16 identification;
  uint8_t protocol = 0;
  uint8_t zero = 0;
  uint32_t link = 0;  // that it came in by: endpoints of two links may have one private address
  friend constexpr bool operator==(const FragmentKey&, const FragmentKey&) = default;
};
static_assert(sizeof(FragmentKey) == 16);

// RFC 8200, 4.5. The protocol is none of it: what follows the fragment header may be a further one.
struct FragmentKey6 {
  Ipv6Addr source;
  Ipv6Addr destination;
  Be32 identification;
  uint32_t link = 0;
  friend constexpr bool operator==(const FragmentKey6&, const FragmentKey6&) = default;
};
static_assert(sizeof(FragmentKey6) == 40);

// What only the first fragment says, as parse and Burst know it.
struct TransportFields {
  Port source_port;
  Port destination_port;
  uint8_t can_be = 0;
  uint8_t tcp_flags = 0;
  uint8_t icmp_type = 0;
  uint8_t icmp_code = 0;
};

// A part of a datagram, in units of eight bytes.
struct FragmentSpan {
  uint16_t begin = 0;
  uint16_t end = 0;
  friend constexpr bool operator==(FragmentSpan, FragmentSpan) = default;
};

// The parts that have come.
class FragmentSpans {
 public:
  // False, and nothing is changed, if it overlaps one that has come, reaches beyond the end, says that the
  // end is elsewhere, or leaves more gaps than are kept track of.
  [[nodiscard]] bool add(FragmentSpan part, bool is_last) {
    if (end_ != 0 && (part.end > end_ || is_last)) return false;
    FragmentSpan merged = part;
    std::array<FragmentSpan, most> kept{};
    uint32_t count = 0;
    for (uint32_t n = 0; n < count_; ++n) {
      const FragmentSpan span = spans_[n];
      if (part.begin < span.end && span.begin < part.end) return false;
      if (is_last && span.end > part.end) return false;
      if (span.end == part.begin)
        merged.begin = span.begin;
      else if (span.begin == part.end)
        merged.end = span.end;
      else
        kept[count++] = span;
    }
    if (count == most) return false;
    kept[count++] = merged;
    spans_ = kept;
    count_ = static_cast<uint8_t>(count);
    if (is_last) end_ = part.end;
    return true;
  }
  [[nodiscard]] bool is_whole() const {
    return end_ != 0 && count_ == 1 && spans_[0] == FragmentSpan{0, end_};
  }

 private:
  static constexpr uint32_t most = 4;
  std::array<FragmentSpan, most> spans_{};
  uint16_t end_ = 0;  // 0: the last part has not come
  uint8_t count_ = 0;
};

template <typename Key>
struct alignas(64) BasicFragmentEntry {
  Key key;
  TransportFields first;
  uint64_t expires_ms = 0;  // 0: the place is free
  FragmentSpans spans;
  uint32_t serial = 0;  // the order of age; it wraps
  BindingId owner = 0;
  bool refuses = false;  // parts overlapped: no further one passes (RFC 5722)
  uint8_t protocol = 0;  // of the first fragment
};

// `Key`: FragmentKey or FragmentKey6; `Address`: that of an EIP.
template <typename Key, typename Address>
class BasicFragmentTable {
 public:
  using Entry = BasicFragmentEntry<Key>;
  static constexpr uint32_t ways = 64;
  static constexpr uint32_t share = 16;
  static constexpr uint32_t none = UINT32_MAX;

  // `capacity`: datagrams, a power of two of at least 64.
  [[nodiscard]] static Expected<BasicFragmentTable> create(uint32_t capacity, int numa_node,
                                                           uint64_t secret) {
    auto entries = TableArray<Entry>::create("fragmented datagrams", capacity, numa_node);
    if (!entries) return tl::unexpected(entries.error());
    BasicFragmentTable table;
    table.entries_ = std::move(*entries);
    table.secret_ = secret;
    return table;
  }

  [[nodiscard]] static uint32_t bucket_of(const Address& eip, uint32_t buckets, uint64_t secret) {
    const uint64_t mixed = (word_of(eip) ^ secret) * 0x9e3779b97f4a7c15u;
    return static_cast<uint32_t>(mixed >> 32) & (buckets - 1);
  }
  // The datagram of `key`, of which a fragment that passes has come in the last while, or none. `eip`: whose
  // share it has.
  [[nodiscard]] uint32_t find(const Key& key, const Address& eip, uint64_t now_ms) const {
    const uint32_t first = bucket(eip) * ways;
    for (uint32_t index = first; index < first + ways; ++index)
      if (entries_[index].expires_ms > now_ms && entries_[index].key == key) return index;
    return none;
  }
  [[nodiscard]] Entry& entry(uint32_t index) { return entries_[index]; }
  [[nodiscard]] const Entry& entry(uint32_t index) const { return entries_[index]; }
  // Its serial is given here.
  void insert(const Entry& entry, const Address& eip, uint64_t now_ms) {
    Entry& place = entries_[place_for(entry.owner, eip, now_ms)];
    if (place.expires_ms == 0) size_.add(1);
    place = entry;
    place.serial = ++serial_;
  }
  // Of one that find() has found.
  void erase(uint32_t index) {
    entries_[index].expires_ms = 0;
    size_.set(size_.get() - 1);
  }
  // Frees what has expired of the next `places`. An insert would take it anyway: this is for size().
  void age(uint32_t places, uint64_t now_ms) {
    for (uint32_t n = 0; n < places; ++n) {
      const uint32_t index = age_cursor_++ & (entries_.size() - 1);
      const uint64_t expires_ms = entries_[index].expires_ms;
      if (expires_ms != 0 && expires_ms <= now_ms) erase(index);
    }
  }
  // Datagrams under way, expired ones that ageing has not met yet among them.
  [[nodiscard]] uint64_t size() const { return size_.get(); }
  [[nodiscard]] uint32_t capacity() const { return entries_.size(); }
  [[nodiscard]] size_t bytes() const { return entries_.bytes(); }

 private:
  static uint64_t word_of(Ipv4Addr eip) { return eip.host(); }
  static uint64_t word_of(const Ipv6Addr& eip) { return eip.high() ^ eip.low(); }
  [[nodiscard]] uint32_t bucket(const Address& eip) const {
    return bucket_of(eip, entries_.size() / ways, secret_);
  }
  [[nodiscard]] uint32_t place_for(BindingId owner, const Address& eip, uint64_t now_ms) const {
    const uint32_t first = bucket(eip) * ways;
    uint32_t free = none, oldest = none, own_oldest = none, owned = 0;
    const auto is_older = [&](const Entry& entry, uint32_t than) {
      return than == none || static_cast<int32_t>(entry.serial - entries_[than].serial) < 0;
    };
    for (uint32_t index = first; index < first + ways; ++index) {
      const Entry& entry = entries_[index];
      if (entry.expires_ms <= now_ms) {
        free = index;
        continue;
      }
      if (is_older(entry, oldest)) oldest = index;
      if (entry.owner != owner) continue;
      ++owned;
      if (is_older(entry, own_oldest)) own_oldest = index;
    }
    if (owned >= share) return own_oldest;
    return free != none ? free : oldest;
  }

  TableArray<Entry> entries_;
  uint64_t secret_ = 0;
  Counter size_;
  uint32_t serial_ = 0;
  uint32_t age_cursor_ = 0;
};

using FragmentEntry = BasicFragmentEntry<FragmentKey>;
using FragmentEntry6 = BasicFragmentEntry<FragmentKey6>;
static_assert(sizeof(FragmentEntry) == 64 && sizeof(FragmentEntry6) == 128);
using FragmentTable = BasicFragmentTable<FragmentKey, Ipv4Addr>;
using FragmentTable6 = BasicFragmentTable<FragmentKey6, Ipv6Addr>;

}  // namespace portcullis
