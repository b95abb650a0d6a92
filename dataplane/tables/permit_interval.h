// From an IPv6 address to a number that says as much to one list. The prefixes of all its rules cut the
// addresses into intervals, and each rule covers an interval as a whole or not at all. So the trees of its
// shapes (permit_tree.h) have the numbers of intervals for keys, and are those of an IPv4 list. However many
// families match, the address is searched once; and if no rule covers its interval, they are not asked.
//
// A static B+tree. Nodes are whole chunks. Written by control before publication, immutable after; read by
// workers.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "dataplane/tables/group.h"
#include "dataplane/tables/permit_room.h"
#include "src/net/address.h"

namespace portcullis {

__extension__ using Uint128 = unsigned __int128;

constexpr Uint128 wide(const Ipv6Addr& address) {
  return Uint128{address.high()} << 64 | address.low();
}

class PermitInterval {
 public:
  // `is_covered`: by the remote of some rule of the list, of whatever shape.
  constexpr PermitInterval(uint32_t number, bool is_covered) : raw_(number | (is_covered ? 0 : uncovered)) {}
  constexpr explicit PermitInterval(uint32_t raw) : raw_(raw) {}
  [[nodiscard]] constexpr uint32_t raw() const { return raw_; }
  [[nodiscard]] constexpr uint32_t number() const { return raw_ & ~uncovered; }
  [[nodiscard]] constexpr bool is_covered() const { return (raw_ & uncovered) == 0; }

 private:
  static constexpr uint32_t uncovered = uint32_t{1} << 31;
  uint32_t raw_;
};

struct alignas(64) PermitIntervalNode {
  // Addresses, ascending, by their halves; the rest is all ones.
  std::array<uint64_t, permit_interval_cuts> high, low;
  // Before the first cut, and from each cut on: of a leaf PermitInterval, else the chunk of the node below.
  // The rest repeats the last.
  std::array<uint32_t, permit_interval_cuts + 1> value;
  uint32_t zero[3];
};
static_assert(sizeof(PermitIntervalNode) == 256);

// How many cuts of a node are not above `address`. All are compared: less than it takes to mispredict one.
inline uint32_t cuts_up_to(ScalarGroup, const PermitIntervalNode& node, const Ipv6Addr& address) {
  const Uint128 wanted = wide(address);
  uint32_t count = 0;
  for (uint32_t n = 0; n < permit_interval_cuts; ++n)
    count += uint32_t{(Uint128{node.high[n]} << 64 | node.low[n]) <= wanted};
  return count;
}

#if defined(__x86_64__)
namespace detail {
// Comparisons of AVX2 are signed: what is unsigned is moved down by half.
PORTCULLIS_AVX2 inline __m256i moved_down(__m256i values) {
  return _mm256_xor_si256(values, _mm256_set1_epi64x(INT64_MIN));
}
PORTCULLIS_AVX2 inline __m256i load_four(const uint64_t* values) {
  return _mm256_load_si256(reinterpret_cast<const __m256i*>(values));
}
// Which of four cuts are above an address, whose halves are given four times.
PORTCULLIS_AVX2 inline uint32_t cuts_above(const uint64_t* cut_high, const uint64_t* cut_low, __m256i high,
                                           __m256i low) {
  const __m256i is_high = _mm256_cmpgt_epi64(moved_down(load_four(cut_high)), moved_down(high));
  const __m256i is_low = _mm256_cmpgt_epi64(moved_down(load_four(cut_low)), moved_down(low));
  const __m256i is_level = _mm256_cmpeq_epi64(load_four(cut_high), high);
  const __m256i found = _mm256_or_si256(is_high, _mm256_and_si256(is_level, is_low));
  return static_cast<uint32_t>(_mm256_movemask_pd(_mm256_castsi256_pd(found)));
}
}  // namespace detail

PORTCULLIS_AVX2 inline uint32_t cuts_up_to(Avx2Group, const PermitIntervalNode& node,
                                           const Ipv6Addr& address) {
  const __m256i high = _mm256_set1_epi64x(static_cast<long long>(address.high()));
  const __m256i low = _mm256_set1_epi64x(static_cast<long long>(address.low()));
  uint32_t above = 0;
  for (uint32_t n = 0; n < permit_interval_cuts; n += 4)
    above |= detail::cuts_above(&node.high[n], &node.low[n], high, low) << n;
  return permit_interval_cuts - static_cast<uint32_t>(std::popcount(above));
}

PORTCULLIS_AVX512 inline uint32_t cuts_up_to(Avx512Group, const PermitIntervalNode& node,
                                             const Ipv6Addr& address) {
  static_assert(permit_interval_cuts == 12);
  const auto high = static_cast<long long>(address.high());
  const auto low = static_cast<long long>(address.low());
  const __m512i high8 = _mm512_set1_epi64(high);
  const __m512i cut8 = _mm512_loadu_si512(&node.high[0]);
  const uint32_t not_below8 = _mm512_cmpge_epu64_mask(high8, cut8);
  const uint32_t not_above8 = _mm512_cmpge_epu64_mask(cut8, high8);
  const uint32_t low8 = _mm512_cmpge_epu64_mask(_mm512_set1_epi64(low), _mm512_loadu_si512(&node.low[0]));
  const __m256i high4 = _mm256_set1_epi64x(high);
  const __m256i cut4 = detail::load_four(&node.high[8]);
  const uint32_t not_below4 = _mm256_cmpge_epu64_mask(high4, cut4);
  const uint32_t not_above4 = _mm256_cmpge_epu64_mask(cut4, high4);
  const uint32_t low4 = _mm256_cmpge_epu64_mask(_mm256_set1_epi64x(low), detail::load_four(&node.low[8]));
  const uint32_t not_below = not_below8 | not_below4 << 8;
  const uint32_t not_above = not_above8 | not_above4 << 8;
  return static_cast<uint32_t>(std::popcount(not_below & (~not_above | low8 | low4 << 8)));
}
#endif

}  // namespace portcullis
