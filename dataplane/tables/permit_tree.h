// Lists of more than plain_permit_rules rules. A header has up to 16 families of shapes, which are compared
// with a query at once. In each that matches, a tree leads from the port to the shape that has it, and from
// there one from the remote to the first rule of that shape that covers it. Over the families that match the
// lowest rule wins, which is the first of the list that matches. An IPv6 remote is first told by its interval
// (permit_interval.h), which is the key of these trees.
//
// A tree is a static B+tree over boundaries: entry i holds from key i up to where the next one begins. Nodes
// have up to 32 keys and are slices of chunks, so that small trees share one. Tags are looked up by number in
// trees of their own, under shapes of their own.
//
// Written by control before publication, immutable after; read by workers.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "dataplane/tables/group.h"
#include "dataplane/tables/permit_quad.h"
#include "dataplane/tables/permit_room.h"

namespace portcullis {

// What the tree of a shape says of a remote: the lower, the earlier in the list. Rules are numbered by their
// hit counters, which a list takes in ascending order: 0..3 inline, then those of its chunks.
class PermitVerdict {
 public:
  constexpr PermitVerdict() = default;  // no rule
  constexpr PermitVerdict(uint32_t hit, bool tracked) : raw_(hit << 1 | uint32_t{tracked}) {}
  constexpr explicit PermitVerdict(uint32_t raw) : raw_(raw) {}
  [[nodiscard]] constexpr uint32_t raw() const { return raw_; }
  [[nodiscard]] constexpr bool is_rule() const { return raw_ != UINT32_MAX; }
  [[nodiscard]] constexpr bool is_tracked() const { return (raw_ & 1) != 0; }
  [[nodiscard]] constexpr bool is_inline() const { return hit() < inline_permit_rules; }
  // Of the record's inline hits, or, less inline_permit_rules, of WorkerCounters::chunk_hits.
  [[nodiscard]] constexpr uint32_t hit() const { return raw_ >> 1; }
  static constexpr uint32_t hit_in_chunk(uint32_t chunk, uint32_t rule) {
    return inline_permit_rules + chunk * permit_chunk_rules + rule;
  }
  friend constexpr auto operator<=>(PermitVerdict, PermitVerdict) = default;

 private:
  uint32_t raw_ = UINT32_MAX;
};

// Where a node lies: its chunk, and the slice of its keys.
class PermitNodeRef {
 public:
  constexpr PermitNodeRef(uint32_t chunk, uint32_t first, uint32_t keys, bool leaf)
      : raw_(chunk << 6 | first / permit_slice_keys << 3 |
             static_cast<uint32_t>(std::countr_zero(keys / permit_slice_keys)) << 1 | uint32_t{leaf}) {}
  constexpr explicit PermitNodeRef(uint32_t raw) : raw_(raw) {}
  [[nodiscard]] constexpr uint32_t raw() const { return raw_; }
  [[nodiscard]] constexpr bool is_leaf() const { return (raw_ & 1) != 0; }
  [[nodiscard]] constexpr uint32_t chunk() const { return raw_ >> 6; }
  // Bit k: key k of the chunk is in the slice.
  [[nodiscard]] constexpr uint32_t keys() const {
    const uint32_t count = permit_slice_keys << (raw_ >> 1 & 3);
    return static_cast<uint32_t>((uint64_t{1} << count) - 1) << (raw_ >> 3 & 7) * permit_slice_keys;
  }

 private:
  uint32_t raw_;
};

struct alignas(64) PermitNode {
  std::array<uint32_t, permit_node_keys>
      key;  // ascending within a slice; the rest of one repeats its last entry
  std::array<uint32_t, permit_node_keys>
      value;  // in a leaf PermitVerdict, or the root of a shape; else PermitNodeRef
};

// Of each family `key` (of PermitShape) and the hull of its ports.
struct alignas(64) PermitHeader {
  template <typename T>
  using Each = std::array<T, permit_header_families>;
  Each<uint16_t> key, local_low, local_high, remote_low, remote_high;
  Each<uint32_t> root;  // PermitNodeRef
  uint32_t next;        // chunk of the header of further families, or no_permit_chunk
  uint32_t by_port;     // bit f: the root of family f is asked for the port first
  // In the first header of an IPv6 list: the root of the tree from an address to its interval
  // (permit_interval.h), a chunk, and how many levels it has; without any the one interval itself.
  uint32_t intervals;
  uint32_t interval_levels;
  uint32_t zero[4];
};

static_assert(sizeof(PermitNode) == 256 && sizeof(PermitHeader) == 256);

// The key that a shape must have, unless it has that of any protocol.
constexpr uint16_t shape_key(Direction direction, uint8_t protocol) {
  return static_cast<uint16_t>(PermitShape::used | protocol |
                               (direction == Direction::outbound ? PermitShape::outbound : 0));
}
constexpr uint16_t shape_key_of_any(Direction direction) {
  return static_cast<uint16_t>(shape_key(direction, 0) | PermitShape::any_protocol);
}

// Which shapes of a header match, as bits 0..15: those of addresses, or with `kind` PermitShape::tag those
// of tags. Without intrinsics; the others must be equal to it.
inline uint32_t match_families_portable(const PermitHeader& header, const PermitQuery& query, uint16_t kind) {
  const uint32_t exact = shape_key(query.direction, query.protocol) | kind;
  const uint32_t any = shape_key_of_any(query.direction) | kind;
  uint32_t found = 0;
  for (uint32_t s = 0; s < permit_header_families; ++s) {
    const uint32_t matches =
        (uint32_t{header.key[s] == exact} | uint32_t{header.key[s] == any}) &
        uint32_t{PortRange{header.local_low[s], header.local_high[s]}.contains(query.local_port)} &
        uint32_t{PortRange{header.remote_low[s], header.remote_high[s]}.contains(query.remote_port)};
    found |= matches << s;
  }
  return found;
}

// Which keys of a chunk are not above `key`, as bits 0..31.
inline uint32_t keys_up_to_portable(const PermitNode& node, uint32_t key) {
  uint32_t found = 0;
  for (uint32_t k = 0; k < permit_node_keys; ++k) found |= uint32_t{node.key[k] <= key} << k;
  return found;
}

#if defined(__x86_64__)
inline uint32_t match_families(ScalarGroup, const PermitHeader& header, const PermitQuery& query,
                               uint16_t kind) {
  const auto all = [](uint16_t value) { return _mm_set1_epi16(static_cast<int16_t>(value)); };
  const __m128i exact = all(shape_key(query.direction, query.protocol) | kind);
  const __m128i any = all(shape_key_of_any(query.direction) | kind);
  const __m128i local = all(query.local_port);
  const __m128i remote = all(query.remote_port);
  const auto eight = [&](uint32_t from) {
    const auto load = [&](const PermitHeader::Each<uint16_t>& field) {
      return detail::load_lanes(&field[from]);
    };
    const auto within = [&](__m128i port, __m128i low, __m128i high) {
      return _mm_and_si128(_mm_cmpeq_epi16(_mm_max_epu16(low, port), port),
                           _mm_cmpeq_epi16(_mm_min_epu16(high, port), port));
    };
    const __m128i keys = load(header.key);
    const __m128i same = _mm_or_si128(_mm_cmpeq_epi16(keys, exact), _mm_cmpeq_epi16(keys, any));
    return _mm_and_si128(same,
                         _mm_and_si128(within(local, load(header.local_low), load(header.local_high)),
                                       within(remote, load(header.remote_low), load(header.remote_high))));
  };
  return static_cast<uint32_t>(_mm_movemask_epi8(_mm_packs_epi16(eight(0), eight(8))));
}

inline uint32_t keys_up_to(ScalarGroup, const PermitNode& node, uint32_t key) {
  const __m128i wanted = _mm_set1_epi32(static_cast<int>(key));
  uint32_t found = 0;
  for (uint32_t k = 0; k < permit_node_keys; k += 8) {
    const auto four = [&](uint32_t from) {
      return _mm_cmpeq_epi32(_mm_max_epu32(detail::load_lanes(&node.key[from]), wanted), wanted);
    };
    const __m128i eight = _mm_packs_epi32(four(k), four(k + 4));
    found |= static_cast<uint32_t>(_mm_movemask_epi8(_mm_packs_epi16(eight, _mm_setzero_si128()))) << k;
  }
  return found;
}

PORTCULLIS_AVX2 inline uint32_t match_families(Avx2Group, const PermitHeader& header,
                                               const PermitQuery& query, uint16_t kind) {
  const __m256i exact =
      _mm256_set1_epi16(static_cast<int16_t>(shape_key(query.direction, query.protocol) | kind));
  const __m256i any = _mm256_set1_epi16(static_cast<int16_t>(shape_key_of_any(query.direction) | kind));
  const __m256i local = _mm256_set1_epi16(static_cast<int16_t>(query.local_port));
  const __m256i remote = _mm256_set1_epi16(static_cast<int16_t>(query.remote_port));
  const auto* field = reinterpret_cast<const __m256i*>(header.key.data());
  const __m256i keys = _mm256_load_si256(field);
  __m256i found = _mm256_or_si256(_mm256_cmpeq_epi16(keys, exact), _mm256_cmpeq_epi16(keys, any));
  found = _mm256_and_si256(found,
                           _mm256_cmpeq_epi16(_mm256_max_epu16(_mm256_load_si256(field + 1), local), local));
  found = _mm256_and_si256(found,
                           _mm256_cmpeq_epi16(_mm256_min_epu16(_mm256_load_si256(field + 2), local), local));
  found = _mm256_and_si256(
      found, _mm256_cmpeq_epi16(_mm256_max_epu16(_mm256_load_si256(field + 3), remote), remote));
  found = _mm256_and_si256(
      found, _mm256_cmpeq_epi16(_mm256_min_epu16(_mm256_load_si256(field + 4), remote), remote));
  return _pext_u32(static_cast<uint32_t>(_mm256_movemask_epi8(found)), 0x55555555u);
}

PORTCULLIS_AVX2 inline uint32_t keys_up_to(Avx2Group, const PermitNode& node, uint32_t key) {
  const __m256i wanted = _mm256_set1_epi32(static_cast<int>(key));
  uint32_t found = 0;
  for (uint32_t k = 0; k < permit_node_keys; k += 8) {
    const __m256i keys = _mm256_load_si256(reinterpret_cast<const __m256i*>(&node.key[k]));
    const __m256i up_to = _mm256_cmpeq_epi32(_mm256_max_epu32(keys, wanted), wanted);
    found |= static_cast<uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(up_to))) << k;
  }
  return found;
}

PORTCULLIS_AVX512 inline uint32_t match_families(Avx512Group, const PermitHeader& header,
                                                 const PermitQuery& query, uint16_t kind) {
  const __m256i local = _mm256_set1_epi16(static_cast<int16_t>(query.local_port));
  const __m256i remote = _mm256_set1_epi16(static_cast<int16_t>(query.remote_port));
  const auto* field = reinterpret_cast<const __m256i*>(header.key.data());
  const __m256i keys = _mm256_load_si256(field);
  const __mmask16 exact = _mm256_cmpeq_epi16_mask(
      keys, _mm256_set1_epi16(static_cast<int16_t>(shape_key(query.direction, query.protocol) | kind)));
  const __mmask16 any = _mm256_cmpeq_epi16_mask(
      keys, _mm256_set1_epi16(static_cast<int16_t>(shape_key_of_any(query.direction) | kind)));
  const __mmask16 in_local = _mm256_mask_cmple_epu16_mask(
      _mm256_cmpge_epu16_mask(local, _mm256_load_si256(field + 1)), local, _mm256_load_si256(field + 2));
  const __mmask16 in_remote = _mm256_mask_cmple_epu16_mask(
      _mm256_cmpge_epu16_mask(remote, _mm256_load_si256(field + 3)), remote, _mm256_load_si256(field + 4));
  return uint32_t{static_cast<uint16_t>((exact | any) & in_local & in_remote)};
}

PORTCULLIS_AVX512 inline uint32_t keys_up_to(Avx512Group, const PermitNode& node, uint32_t key) {
  const __m512i wanted = _mm512_set1_epi32(static_cast<int>(key));
  const uint32_t low = _mm512_cmple_epu32_mask(_mm512_load_si512(&node.key[0]), wanted);
  const uint32_t high = _mm512_cmple_epu32_mask(_mm512_load_si512(&node.key[16]), wanted);
  return low | high << 16;
}
#else
inline uint32_t match_families(ScalarGroup, const PermitHeader& header, const PermitQuery& query,
                               uint16_t kind) {
  return match_families_portable(header, query, kind);
}
inline uint32_t keys_up_to(ScalarGroup, const PermitNode& node, uint32_t key) {
  return keys_up_to_portable(node, key);
}
#endif

}  // namespace portcullis
