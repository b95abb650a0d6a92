// The flow table of one worker: entries that an endpoint's own packets opened (or a `tracked` inbound rule
// did), one cache line each, keyed by the side's public five-tuple so that one entry serves both directions.
//
// Layout: buckets of 16 ways. A bucket is one head line (16-bit signatures and coarse expiry times) and 16
// entries, so a lookup touches the head and, on a match, one entry. Heads lie side by side in an array of
// their own, a seventeenth of all, so that caches and TLB hold what they can of them. Insertion takes a free
// or expired way of its one bucket or is refused: bounded work, whatever arrives; the coarse times say which
// ways of a full bucket may have expired without a look at their entries. Ageing walks a few buckets a poll.
//
// An entry is alive until `expires_ms`. Whether it still *counts* is judged when a packet needs it
// (judge_entry in stages/entry_judge.h). An entry holds the stamps of its owner's and its remote's record
// when it was last judged: while both are as they were, it counts. Else FlowTerms say what has changed since:
// if either address was bound anew it counts no more, and when the owner's list or the remote's tags or place
// moved, the entry is judged again in the direction that opened it.
//
// Thread: its worker; `size` any.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "dataplane/counter.h"
#include "dataplane/tables/binding.h"
#include "dataplane/tables/flow_counts.h"
#include "dataplane/tables/group.h"
#include "dataplane/tables/memory.h"
#include "src/base/expected.h"
#include "src/net/five_tuple.h"
#include "src/net/headers.h"

namespace portcullis {

// Idle times in milliseconds (RFC 5382 REQ-5, RFC 4787 REQ-5, RFC 5508 REQ-2).
struct FlowTimeouts {
  uint32_t tcp_established_ms = 7'440'000;
  uint32_t tcp_transitory_ms = 240'000;
  uint32_t udp_ms = 120'000;
  uint32_t icmp_ms = 60'000;
  uint32_t other_ms = 600'000;    // SCTP and what has no ports; no RFC says, this is what Linux does
  uint32_t fragment_ms = 15'000;  // from its first fragment on, for a datagram to come whole (RFC 791, 3.2)
  friend bool operator==(const FlowTimeouts&, const FlowTimeouts&) = default;
};

enum class FlowState : uint8_t { none, opening, established, closing };
inline constexpr size_t flow_state_count = 4;

// What a TCP packet says, by who sent it: the end that opened the entry, or the other.
enum class FlowEvent : uint8_t {
  opener_syn,
  opener_ack,
  opener_fin,
  opener_rst,
  reply_syn_ack,
  reply_ack,
  reply_fin,
  reply_rst
};
inline constexpr size_t flow_event_count = 8;

// RFC 5382, 2.1 and 5: established only once the other end has answered; partly closed is transitory again. A
// reset only shortens the idle time (RFC 5961: it may be forged). none = no transition.
inline constexpr auto tcp_transition = [] {
  // clang-format off
  constexpr FlowState no = FlowState::none, opening = FlowState::opening, established = FlowState::established,
                      closing = FlowState::closing;
  return std::array<std::array<FlowState, flow_event_count>, flow_state_count>{{
      //            opener: SYN      ACK      FIN      RST      | other: SYN-ACK  ACK          FIN      RST
      /* none        */  {{opening, opening, no,      no,                no,          no,          no,      no}},
      /* opening     */  {{no,      no,      closing, closing,           established, established, closing, closing}},
      /* established */  {{no,      no,      closing, closing,           no,          no,          closing, closing}},
      /* closing     */  {{opening, no,      no,      no,                no,          no,          no,      no}},
  }};
  // clang-format on
}();

constexpr FlowState next_state(FlowState state, FlowEvent event) {
  // No transition: the state stays.
  constexpr auto next = [] {
    auto table = tcp_transition;
    for (size_t from = 0; from < flow_state_count; ++from)
      for (FlowState& to : table[from])
        if (to == FlowState::none) to = static_cast<FlowState>(from);
    return table;
  }();
  return next[static_cast<size_t>(state)][static_cast<size_t>(event)];
}

// RST before FIN before SYN before the rest. By a table: which flags come next cannot be predicted.
constexpr FlowEvent classify_tcp(uint8_t flags, bool from_opener) {
  constexpr uint8_t looked_at = tcp_flag::fin | tcp_flag::syn | tcp_flag::rst;
  constexpr auto events = [] {
    std::array<std::array<FlowEvent, looked_at + 1>, 2> table{};
    for (uint8_t f = 0; f <= looked_at; ++f) {
      const bool rst = (f & tcp_flag::rst) != 0, fin = (f & tcp_flag::fin) != 0,
                 syn = (f & tcp_flag::syn) != 0;
      table[0][f] = rst   ? FlowEvent::reply_rst
                    : fin ? FlowEvent::reply_fin
                    : syn ? FlowEvent::reply_syn_ack
                          : FlowEvent::reply_ack;
      table[1][f] = rst   ? FlowEvent::opener_rst
                    : fin ? FlowEvent::opener_fin
                    : syn ? FlowEvent::opener_syn
                          : FlowEvent::opener_ack;
    }
    return table;
  }();
  static_assert(looked_at == 7);
  return events[from_opener ? 1 : 0][flags & looked_at];
}

constexpr uint32_t idle_ms(const FlowTimeouts& t, uint8_t protocol, FlowState state) {
  if (protocol == ip_protocol::udp) return t.udp_ms;
  if (protocol == ip_protocol::icmp || protocol == ip_protocol::icmpv6) return t.icmp_ms;
  if (protocol != ip_protocol::tcp) return t.other_ms;
  return state == FlowState::established ? t.tcp_established_ms : t.tcp_transitory_ms;
}

template <typename Tuple>
struct alignas(64) BasicFlowEntry {
  Tuple key;
  uint64_t expires_ms = 0;
  // Its owner, which the key of an IPv6 entry names: there is no room to say it twice.
  struct InKey {};
  [[no_unique_address]] std::conditional_t<std::is_same_v<Tuple, SideTuple>, BindingId, InKey> owned_by{};
  TenantNumber tenant = 0;    // the owner's, while the entry lives
  uint32_t owner_stamp = 0;   // BindingRecord::stamp when last judged
  uint32_t remote_stamp = 0;  // the same of the remote, if it was an endpoint of this gateway
  FlowState state = FlowState::none;
  Direction opened = Direction::outbound;
  uint8_t icmp_code = 0;            // of the query that opened it, to judge it again
  bool remote_is_endpoint = false;  // a stamp may be any number, so none says this

  [[nodiscard]] BindingId owner() const {
    if constexpr (std::is_same_v<Tuple, SideTuple>)
      return owned_by;
    else
      return key.local;
  }
};
using FlowEntry = BasicFlowEntry<SideTuple>;
using FlowEntry6 = BasicFlowEntry<SideTuple6>;
static_assert(sizeof(FlowEntry) == 64 && sizeof(FlowEntry6) == 64);

// `Tuple`: SideTuple or SideTuple6.
template <typename Tuple>
class BasicFlowTable {
 public:
  using Entry = BasicFlowEntry<Tuple>;
  static constexpr uint32_t ways = 16;
  static constexpr uint32_t none = UINT32_MAX;

  // `capacity`: entries, a power of two of at least 16. `secret`: keys the hash, so that nobody can choose
  // five-tuples that crowd one bucket. `counts`: where entries are counted by owner, with those of the other
  // family; it outlives the table.
  [[nodiscard]] static Expected<BasicFlowTable> create(uint32_t capacity, int numa_node, uint64_t secret,
                                                       FlowCounts& counts);

  [[nodiscard]] static uint32_t hash(const Tuple& key, uint64_t secret);
  [[nodiscard]] uint32_t hash(const Tuple& key) const { return hash(key, secret_); }
  // The bucket's head; and, once that is there, the entry that it leads to.
  void prefetch(uint32_t hash) const { prefetch_line(&heads_[bucket_of(hash)]); }
  // Which entry that is, to be given to find_at(); none if the head names none. With `may_open` the entry
  // that an insert would take is asked for then, and not returned.
  template <typename Group>
  [[nodiscard]] uint32_t prefetch_entry(uint32_t hash, bool may_open, uint64_t now_ms) const;
  // Before an insert, and after prefetch_entry(): the counts of the entry's owner, and of the owner of the
  // one that gives way to it.
  template <typename Group>
  void prefetch_owners(BindingId owner, uint32_t hash, uint64_t now_ms) const;
  // The entry of `key` that is alive at `now_ms`, or none, by what prefetch_entry() said of it.
  template <typename Group>
  [[nodiscard]] uint32_t find_at(uint32_t candidate, const Tuple& key, uint32_t hash, uint64_t now_ms) const;
  // The entry of `key` that is alive at `now_ms`, or none.
  template <typename Group = ScalarGroup>
  [[nodiscard]] uint32_t find(const Tuple& key, uint32_t hash, uint64_t now_ms) const;
  [[nodiscard]] uint32_t bucket_of(uint32_t hash) const { return hash & (heads_.size() - 1); }
  // Whether the bucket has at least `wanted` ways that inserts could take now.
  template <typename Group>
  [[nodiscard]] bool has_room(uint32_t hash, uint32_t wanted, uint64_t now_ms) const;
  // Takes a way for entry.key: that of an entry of the same key, which counts no more; else a free one, else
  // an expired one; none when the bucket is full.
  template <typename Group = ScalarGroup>
  uint32_t insert(const Entry& entry, uint32_t hash, uint64_t now_ms);
  void erase(uint32_t index);
  // Everything but the expiry may be written through it.
  [[nodiscard]] Entry& entry(uint32_t index) { return entries_[index]; }
  [[nodiscard]] const Entry& entry(uint32_t index) const { return entries_[index]; }
  // Whether there is an entry, be it dead.
  [[nodiscard]] bool holds(uint32_t index) const {
    return heads_[index / ways].signatures[index % ways] != 0;
  }
  void set_expiry(uint32_t index, uint64_t expires_ms, uint64_t now_ms);
  // Raised by every insert and erase: while it stands, what find() said holds.
  [[nodiscard]] uint64_t version() const { return version_; }
  [[nodiscard]] uint64_t size() const { return size_.get(); }
  [[nodiscard]] uint32_t capacity() const { return entries_.size(); }
  [[nodiscard]] size_t bytes() const { return heads_.bytes() + entries_.bytes(); }

  // Visits entries of the next `buckets` buckets and erases those for which `dead(entry)` holds: all of them,
  // or only those that may have expired, which the heads say.
  enum class Visit : uint8_t { all, expired };
  template <typename Dead>
  void age(uint32_t buckets, Visit visit, uint64_t now_ms, Dead&& dead) {
    for (uint32_t n = 0; n < buckets; ++n) {
      const uint32_t bucket = age_cursor_++ & (heads_.size() - 1);
      prefetch_line(&heads_[(bucket + age_prefetch) & (heads_.size() - 1)]);
      const Head& b = heads_[bucket];
      for (uint32_t way = 0; way < ways; ++way) {
        if (b.signatures[way] == 0) continue;
        if (visit == Visit::expired && is_alive(b.expiry[way], now_ms)) continue;
        const uint32_t index = bucket * ways + way;
        if (dead(entry(index)))
          erase(index);
        else
          note_expiry(index, now_ms);  // it may lie nearer than the head could say
      }
    }
  }
  [[nodiscard]] uint32_t bucket_count() const { return heads_.size(); }

  // Every entry that is in the table, dead ones too. The worker's thread, or with the worker at rest.
  template <typename Visit>
  void for_each(Visit&& visit) const {
    for (uint32_t index = 0; index < entries_.size(); ++index)
      if (holds(index)) visit(entries_[index]);
  }

 private:
  static constexpr uint32_t age_prefetch = 4;

  struct alignas(64) Head {
    uint16_t signatures[ways];  // 0: the way is free
    uint16_t expiry[ways];      // coarse times of the entries' expires_ms, for ways in use
  };
  static_assert(sizeof(Head) == 64);

  // In units of 1.024 s, compared by wrapping difference. What lies farther ahead than nine hours is said to
  // lie there: a coarse time is never later than the time that it stands for.
  static constexpr uint64_t farthest_ms = uint64_t{9} * 3600 * 1000;
  static constexpr uint16_t coarse(uint64_t ms) { return static_cast<uint16_t>(ms >> 10); }
  static constexpr uint16_t coarse_expiry(uint64_t expires_ms, uint64_t now_ms) {
    return coarse(expires_ms < now_ms + farthest_ms ? expires_ms : now_ms + farthest_ms);
  }
  // Certainly alive: what has the same coarse time as now may have expired in it.
  static constexpr bool is_alive(uint16_t expiry, uint64_t now_ms) {
    return static_cast<int16_t>(expiry - coarse(now_ms)) > 0;
  }
  // Ways in use whose entries may have expired.
  template <typename Group>
  [[nodiscard]] static uint32_t maybe_expired(const Head& b, uint64_t now_ms) {
    return Group::not_after16(b.expiry, coarse(now_ms)) & ~Group::equal16(b.signatures, 0);
  }
  // Never 0, which marks a free way. The bucket takes the low bits, the signature the high ones.
  static constexpr uint16_t signature_of(uint32_t hash) { return static_cast<uint16_t>((hash >> 16) | 1); }
  // In the head, what the entry says.
  void note_expiry(uint32_t index, uint64_t now_ms);
  template <typename Group>
  [[nodiscard]] uint32_t index_for(uint32_t hash, uint64_t now_ms, const Tuple& key) const;

  TableArray<Head> heads_;
  TableArray<Entry> entries_;  // of bucket b from b * ways on
  FlowCounts* counts_ = nullptr;
  uint64_t secret_ = 0;
  uint64_t version_ = 0;
  Counter size_;
  uint32_t age_cursor_ = 0;
};

template <typename Tuple>
inline uint32_t BasicFlowTable<Tuple>::hash(const Tuple& key, uint64_t secret) {
  uint64_t words[sizeof(Tuple) / sizeof(uint64_t)];
  std::memcpy(words, &key, sizeof words);
  // Two keyed 64 x 64 -> 128-bit products, folded: unlike a CRC it is not linear, so without the secret there
  // is no telling which keys meet.
  const auto folded = [](uint64_t a, uint64_t b) {
    __extension__ using Wide = unsigned __int128;
    const Wide product = Wide{a} * b;
    return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
  };
  constexpr uint64_t odd = 0x9e3779b97f4a7c15u;
  uint64_t inner = folded(words[0] ^ secret, words[1] ^ odd);
  if constexpr (sizeof(Tuple) == sizeof(SideTuple6)) inner ^= folded(words[2] ^ ~secret, words[3] ^ odd);
  const uint64_t mixed = folded(inner ^ words[1], secret | odd);
  return static_cast<uint32_t>(mixed >> 32);
}

template <typename Tuple>
inline void BasicFlowTable<Tuple>::set_expiry(uint32_t index, uint64_t expires_ms, uint64_t now_ms) {
  entry(index).expires_ms = expires_ms;
  note_expiry(index, now_ms);
}

template <typename Tuple>
inline void BasicFlowTable<Tuple>::note_expiry(uint32_t index, uint64_t now_ms) {
  uint16_t& noted = heads_[index / ways].expiry[index % ways];
  // Mostly the same: the head is then not written.
  const uint16_t expiry = coarse_expiry(entries_[index].expires_ms, now_ms);
  if (noted != expiry) noted = expiry;
}

template <typename Tuple>
template <typename Group>
inline uint32_t BasicFlowTable<Tuple>::prefetch_entry(uint32_t hash, bool may_open, uint64_t now_ms) const {
  const uint32_t bucket = bucket_of(hash);
  const Head& b = heads_[bucket];
  uint32_t way = Group::equal16(b.signatures, signature_of(hash));
  const bool is_candidate = way != 0;
  if (way == 0) {
    if (!may_open) return none;
    way = Group::equal16(b.signatures, 0);
    if (way == 0) way = maybe_expired<Group>(b, now_ms);
    if (way == 0) return none;
  }
  const uint32_t index = bucket * ways + static_cast<uint32_t>(std::countr_zero(way));
  prefetch_line(&entries_[index]);
  return is_candidate ? index : none;
}

template <typename Tuple>
template <typename Group>
inline void BasicFlowTable<Tuple>::prefetch_owners(BindingId owner, uint32_t hash, uint64_t now_ms) const {
  counts_->prefetch(owner);
  const uint32_t bucket = bucket_of(hash);
  const Head& b = heads_[bucket];
  if (Group::equal16(b.signatures, 0) != 0) return;
  const uint32_t expired = maybe_expired<Group>(b, now_ms);
  if (expired != 0)
    counts_->prefetch(entries_[bucket * ways + static_cast<uint32_t>(std::countr_zero(expired))].owner());
}

template <typename Tuple>
template <typename Group>
inline uint32_t BasicFlowTable<Tuple>::find_at(uint32_t candidate, const Tuple& key, uint32_t hash,
                                               uint64_t now_ms) const {
  if (candidate == none) return none;
  const Entry& first = entries_[candidate];
  if (first.key == key) [[likely]]
    return first.expires_ms > now_ms ? candidate : none;
  return find<Group>(key, hash, now_ms);  // another entry of the bucket has the same signature
}

template <typename Tuple>
template <typename Group>
inline uint32_t BasicFlowTable<Tuple>::find(const Tuple& key, uint32_t hash, uint64_t now_ms) const {
  const uint32_t bucket = bucket_of(hash);
  const Head& b = heads_[bucket];
  for (uint32_t found = Group::equal16(b.signatures, signature_of(hash)); found != 0; found &= found - 1) {
    const uint32_t index = bucket * ways + static_cast<uint32_t>(std::countr_zero(found));
    if (entries_[index].key == key) return entries_[index].expires_ms > now_ms ? index : none;
  }
  return none;
}

template <typename Tuple>
template <typename Group>
inline uint32_t BasicFlowTable<Tuple>::index_for(uint32_t hash, uint64_t now_ms, const Tuple& key) const {
  const uint32_t bucket = bucket_of(hash);
  const Head& b = heads_[bucket];
  const auto index_of = [&](uint32_t found) {
    return bucket * ways + static_cast<uint32_t>(std::countr_zero(found));
  };
  // An entry of the same key goes first: a key is never there twice.
  for (uint32_t found = Group::equal16(b.signatures, signature_of(hash)); found != 0; found &= found - 1)
    if (entries_[index_of(found)].key == key) return index_of(found);
  const uint32_t free = Group::equal16(b.signatures, 0);
  if (free != 0) return index_of(free);
  for (uint32_t expired = maybe_expired<Group>(b, now_ms); expired != 0; expired &= expired - 1)
    if (entries_[index_of(expired)].expires_ms <= now_ms) return index_of(expired);
  return none;
}

template <typename Tuple>
template <typename Group>
inline bool BasicFlowTable<Tuple>::has_room(uint32_t hash, uint32_t wanted, uint64_t now_ms) const {
  const uint32_t bucket = bucket_of(hash);
  const Head& b = heads_[bucket];
  auto room = static_cast<uint32_t>(std::popcount(Group::equal16(b.signatures, 0)));
  if (room >= wanted) return true;
  for (uint32_t expired = maybe_expired<Group>(b, now_ms); room < wanted && expired != 0;
       expired &= expired - 1) {
    const uint32_t index = bucket * ways + static_cast<uint32_t>(std::countr_zero(expired));
    room += entries_[index].expires_ms <= now_ms ? 1 : 0;
  }
  return room >= wanted;
}

template <typename Tuple>
template <typename Group>
inline uint32_t BasicFlowTable<Tuple>::insert(const Entry& entry, uint32_t hash, uint64_t now_ms) {
  const uint32_t index = index_for<Group>(hash, now_ms, entry.key);
  if (index == none) return none;
  Head& b = heads_[index / ways];
  const uint32_t way = index % ways;
  if (b.signatures[way] != 0) erase(index);
  b.signatures[way] = signature_of(hash);
  b.expiry[way] = coarse_expiry(entry.expires_ms, now_ms);
  entries_[index] = entry;
  counts_->add(entry.owner(), entry.tenant);
  size_.add(1);
  ++version_;
  return index;
}

using FlowTable = BasicFlowTable<SideTuple>;
using FlowTable6 = BasicFlowTable<SideTuple6>;
extern template class BasicFlowTable<SideTuple>;
extern template class BasicFlowTable<SideTuple6>;

}  // namespace portcullis
