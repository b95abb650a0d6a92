// Four permit rules in one cache line, field by field, so that all four are compared at once and without a
// branch: where in the line the matching rule lies costs nothing and cannot be mispredicted.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <span>

#include "dataplane/tables/group.h"
#include "dataplane/tables/permit_rule.h"

namespace portcullis {

// Lane i is rule i; a lane without a rule has an empty port range and never matches. Written by control
// before publication, immutable after.
struct alignas(64) PermitQuad {
  static constexpr uint32_t lanes = 4;

  // A meta word: what is compared with the query's, which of that is compared, and the remote's host bits.
  static constexpr uint32_t outbound = 1u << 8;  // below: the protocol
  static constexpr uint32_t needs_tags = 1u
                                         << 9;  // the remote is a tag; set in a query whose remote has some
  static constexpr uint32_t compared = (1u << 10) - 1;
  static constexpr uint32_t tracked = 1u << 10;
  static constexpr uint32_t mask_shift = 16;       // bits 16..25: which of bits 0..9 must be equal
  static constexpr uint32_t host_bits_shift = 26;  // bits 26..31: 32 - prefix length, `all_bits` for a tag
  static constexpr uint32_t all_bits = 63;

  std::array<uint32_t, lanes> remote{};                                      // host order, or TagId
  std::array<uint16_t, size_t{2} * lanes> port_low{1, 1, 1, 1, 1, 1, 1, 1};  // local ports, then remote ones
  std::array<uint16_t, size_t{2} * lanes> port_high{};
  std::array<uint32_t, lanes> meta{};

  PermitQuad() = default;
  // At most `lanes` rules.
  explicit constexpr PermitQuad(std::span<const PermitRule> rules) {
    for (uint32_t lane = 0; lane < rules.size(); ++lane) put(lane, rules[lane]);
  }
  [[nodiscard]] constexpr bool is_tracked(uint32_t lane) const { return (meta[lane] & tracked) != 0; }
  [[nodiscard]] constexpr bool names_tag(uint32_t lane) const { return (meta[lane] & needs_tags) != 0; }
  // No host bits: all 32 of `remote` must be equal, and it is no tag.
  [[nodiscard]] constexpr bool compares_whole_remote(uint32_t lane) const {
    return meta[lane] >> host_bits_shift == 0;
  }
  friend constexpr bool operator==(const PermitQuad&, const PermitQuad&) = default;

 private:
  constexpr void put(uint32_t lane, const PermitRule& rule) {
    const PortRange local = rule.is_any_protocol() ? PortRange{} : rule.local_ports;
    const PortRange far = rule.is_any_protocol() ? PortRange{} : rule.remote_ports;
    port_low[lane] = local.first;
    port_high[lane] = local.last;
    port_low[lanes + lane] = far.first;
    port_high[lanes + lane] = far.last;
    remote[lane] = rule.remote;
    uint32_t value = rule.protocol;
    uint32_t mask = outbound | (rule.is_any_protocol() ? 0u : 0xffu);
    uint32_t host_bits = 32u - rule.prefix_length;
    if (rule.direction() == Direction::outbound) value |= outbound;
    if (rule.names_tag()) {
      value |= needs_tags;
      mask |= needs_tags;
      host_bits = all_bits;
    }
    if (rule.is_tracked()) value |= tracked;
    meta[lane] = value | mask << mask_shift | host_bits << host_bits_shift;
  }
};
static_assert(sizeof(PermitQuad) == 64);

constexpr uint32_t meta_of(const PermitQuery& query) {
  return query.protocol | (query.direction == Direction::outbound ? PermitQuad::outbound : 0) |
         (query.remote_tags != empty_tag_set ? PermitQuad::needs_tags : 0);
}

// Which lanes match, as bits 0..3; for a lane that names a tag: would match if the remote bore it. Without
// intrinsics; the others must be equal to it.
inline uint32_t match_quad_portable(const PermitQuad& quad, const PermitQuery& query) {
  const uint32_t wanted = meta_of(query);
  uint32_t found = 0;
  for (uint32_t lane = 0; lane < PermitQuad::lanes; ++lane) {
    const uint32_t meta = quad.meta[lane];
    const uint32_t differs = (meta ^ wanted) & (meta >> PermitQuad::mask_shift) & PermitQuad::compared;
    const uint64_t far =
        uint64_t{quad.remote[lane] ^ query.remote.host()} >> (meta >> PermitQuad::host_bits_shift);
    const bool local_port = PortRange{quad.port_low[lane], quad.port_high[lane]}.contains(query.local_port);
    const bool remote_port =
        PortRange{quad.port_low[PermitQuad::lanes + lane], quad.port_high[PermitQuad::lanes + lane]}.contains(
            query.remote_port);
    const bool matches = (differs == 0) & (far == 0) & local_port & remote_port;
    found |= uint32_t{matches} << lane;
  }
  return found;
}

#if defined(__x86_64__)
namespace detail {

inline __m128i load_lanes(const void* lanes) {
  return _mm_load_si128(static_cast<const __m128i*>(lanes));
}

// Where the meta words are not as the query wants them: 0 in a lane that may match.
inline __m128i meta_differs(const PermitQuad& quad, const PermitQuery& query) {
  const __m128i meta = load_lanes(quad.meta.data());
  const __m128i wanted = _mm_set1_epi32(static_cast<int>(meta_of(query)));
  const __m128i mask =
      _mm_and_si128(_mm_srli_epi32(meta, PermitQuad::mask_shift), _mm_set1_epi32(PermitQuad::compared));
  return _mm_and_si128(_mm_xor_si128(meta, wanted), mask);
}

// Where the remotes are not the query's, host bits included.
inline __m128i remote_differs(const PermitQuad& quad, const PermitQuery& query) {
  return _mm_xor_si128(load_lanes(quad.remote.data()), _mm_set1_epi32(static_cast<int>(query.remote.host())));
}

inline __m128i host_bits(const PermitQuad& quad) {
  return _mm_srli_epi32(load_lanes(quad.meta.data()), PermitQuad::host_bits_shift);
}

// The query's local port in lanes 0..3, its remote port in lanes 4..7.
inline __m128i quad_ports(const PermitQuery& query) {
  const __m128i both =
      _mm_cvtsi32_si128(static_cast<int>(query.local_port | uint32_t{query.remote_port} << 16));
  return _mm_shuffle_epi8(both, _mm_setr_epi8(0, 1, 0, 1, 0, 1, 0, 1, 2, 3, 2, 3, 2, 3, 2, 3));
}

inline uint32_t quad_found(const PermitQuad& quad, __m128i ports, __m128i differs) {
  const __m128i low = _mm_max_epu16(load_lanes(quad.port_low.data()), ports);
  const __m128i high = _mm_min_epu16(load_lanes(quad.port_high.data()), ports);
  const __m128i in_ranges = _mm_and_si128(_mm_cmpeq_epi16(low, ports), _mm_cmpeq_epi16(high, ports));
  const __m128i same = _mm_cmpeq_epi32(differs, _mm_setzero_si128());
  const __m128i both = _mm_and_si128(in_ranges, _mm_packs_epi32(same, same));
  const auto bits = static_cast<uint32_t>(_mm_movemask_epi8(_mm_packs_epi16(both, both)));
  return bits & bits >> PermitQuad::lanes & 0xf;
}

}  // namespace detail

// x86-64-v2 shifts all lanes alike only: the mask of each byte's host bits is looked up instead.
inline uint32_t match_quad(ScalarGroup, const PermitQuad& quad, const PermitQuery& query) {
  using namespace detail;
  const __m128i of_address =
      _mm_shuffle_epi8(host_bits(quad), _mm_setr_epi8(0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12));
  const __m128i of_byte = _mm_subs_epu8(of_address, _mm_set1_epi32(24 << 24 | 16 << 16 | 8 << 8));
  const __m128i masks =
      _mm_shuffle_epi8(_mm_setr_epi8(0, 1, 3, 7, 15, 31, 63, 127, -1, -1, -1, -1, -1, -1, -1, -1),
                       _mm_min_epu8(of_byte, _mm_set1_epi8(8)));
  const __m128i remote = _mm_andnot_si128(masks, remote_differs(quad, query));
  return quad_found(quad, quad_ports(query), _mm_or_si128(meta_differs(quad, query), remote));
}

PORTCULLIS_AVX2 inline uint32_t match_quad(Avx2Group, const PermitQuad& quad, const PermitQuery& query) {
  using namespace detail;
  const __m128i remote = _mm_srlv_epi32(remote_differs(quad, query), host_bits(quad));
  return quad_found(quad, quad_ports(query), _mm_or_si128(meta_differs(quad, query), remote));
}

PORTCULLIS_AVX512 inline uint32_t match_quad(Avx512Group, const PermitQuad& quad, const PermitQuery& query) {
  using namespace detail;
  const __m128i remote = _mm_srlv_epi32(remote_differs(quad, query), host_bits(quad));
  const __m128i differs = _mm_or_si128(meta_differs(quad, query), remote);
  const __m128i ports = quad_ports(query);
  const __mmask8 above = _mm_cmpge_epu16_mask(ports, load_lanes(quad.port_low.data()));
  const uint32_t in_ranges = _mm_mask_cmple_epu16_mask(above, ports, load_lanes(quad.port_high.data()));
  return in_ranges & in_ranges >> PermitQuad::lanes & _mm_testn_epi32_mask(differs, differs);
}
#else
inline uint32_t match_quad(ScalarGroup, const PermitQuad& quad, const PermitQuery& query) {
  return match_quad_portable(quad, query);
}
#endif

// Of the lanes that match but for their tags, those whose tag the remote bears.
[[gnu::noinline]] inline uint32_t with_tags_of(TagSetId remote_tags, const PermitQuad& quad, uint32_t found,
                                               const TagSetTable& tags) {
  for (uint32_t left = found; left != 0; left &= left - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(left));
    if (quad.names_tag(lane) && !tags.contains(remote_tags, quad.remote[lane])) found &= ~(1u << lane);
  }
  return found;
}

// Which lanes match, as bits 0..3.
template <typename Group>
inline uint32_t matching_lanes(const PermitQuad& quad, const PermitQuery& query, const TagSetTable& tags) {
  const uint32_t found = match_quad(Group{}, quad, query);
  // Rare: only remotes that are EIPs with tags. A lane that names a tag is still a candidate.
  return query.remote_tags == empty_tag_set ? found : with_tags_of(query.remote_tags, quad, found, tags);
}

}  // namespace portcullis
