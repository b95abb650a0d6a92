// Whose the IPv4 packets of a burst are (spread.h), many at a time: asked of every packet where there are
// several workers. Every back end gives the same answers (tests/unit/dataplane/workers_test.cc compares
// them).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "dataplane/burst.h"
#include "dataplane/spread.h"
#include "dataplane/tables/group.h"

namespace portcullis {

// What owners_of() is asked. Each packet's remote is its source or, by a bit of `outward`, its destination.
struct OwnersQuery {
  const Ipv4Fields* packets;  // of a burst
  uint32_t count;
  uint64_t outward;
  uint32_t workers;
  uint32_t self;
};

// Writes the owner of each packet, and tells of whom it is not `self`. Behind `count` both mean nothing.
inline uint64_t owners_of(ScalarGroup, const OwnersQuery& query, uint8_t (&owners)[burst_size]) {
  uint64_t others = 0;
  for (uint32_t i = 0; i < query.count; ++i) {
    const Ipv4Fields& packet = query.packets[i];
    const Ipv4Addr remote = (query.outward >> i & 1) != 0 ? packet.destination : packet.source;
    const uint32_t owner = Spread::worker_of_bucket(Spread::bucket(Spread::fold(remote)), query.workers);
    owners[i] = static_cast<uint8_t>(owner);
    others |= uint64_t{owner != query.self} << i;
  }
  return others;
}

#if defined(__x86_64__)
namespace detail {

// Spread::bucket is linear: that of a number is the exclusive or of those of its nibbles, each with zeroes
// beside it.
alignas(16) inline constexpr std::array<std::array<uint8_t, 16>, 4> buckets_of_nibble = [] {
  std::array<std::array<uint8_t, 16>, 4> tables{};
  for (uint32_t at = 0; at < 4; ++at)
    for (uint32_t value = 0; value < 16; ++value)
      tables[at][value] = static_cast<uint8_t>(Spread::bucket(static_cast<uint16_t>(value << 4 * at)));
  return tables;
}();

PORTCULLIS_AVX2 inline __m256i broadcast(const std::array<uint8_t, 16>& table) {
  return _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(table.data())));
}

// Two packets each.
PORTCULLIS_AVX2 inline __m256 load2(const Ipv4Fields* packets) {
  return _mm256_loadu_ps(reinterpret_cast<const float*>(packets));
}

// Spread::bucket of the remotes of eight packets, the even ones and then the odd ones, by the four nibbles of
// what counts of an address.
PORTCULLIS_AVX2 inline __m256i buckets8(const Ipv4Fields* packets, uint32_t outward) {
  static_assert(sizeof(Ipv4Fields) == 16 && offsetof(Ipv4Fields, source) == 4 &&
                offsetof(Ipv4Fields, destination) == 8);
  constexpr int both_addresses = 0b10'01'10'01;
  const __m256 low_four = _mm256_shuffle_ps(load2(packets), load2(packets + 2), both_addresses);
  const __m256 high_four = _mm256_shuffle_ps(load2(packets + 4), load2(packets + 6), both_addresses);
  const __m256 sources = _mm256_shuffle_ps(low_four, high_four, 0b10'00'10'00);
  const __m256 destinations = _mm256_shuffle_ps(low_four, high_four, 0b11'01'11'01);
  // Which to take is asked of the sign.
  const __m256i up = _mm256_setr_epi32(31, 29, 27, 25, 30, 28, 26, 24);
  const __m256i is_outward = _mm256_sllv_epi32(_mm256_set1_epi32(static_cast<int>(outward)), up);
  const __m256i remotes =
      _mm256_castps_si256(_mm256_blendv_ps(sources, destinations, _mm256_castsi256_ps(is_outward)));
  // Spread::fold, as the address lies: the high octet first.
  const __m256i folded = _mm256_xor_si256(remotes, _mm256_srli_epi32(remotes, 16));
  const __m256i nibble = _mm256_set1_epi8(0x0f);
  const __m256i low = _mm256_and_si256(folded, nibble);
  const __m256i high = _mm256_and_si256(_mm256_srli_epi16(folded, 4), nibble);
  const auto& of = buckets_of_nibble;
  const __m256i by_high_octet = _mm256_xor_si256(_mm256_shuffle_epi8(broadcast(of[3]), high),
                                                 _mm256_shuffle_epi8(broadcast(of[2]), low));
  const __m256i by_low_octet = _mm256_xor_si256(_mm256_shuffle_epi8(broadcast(of[1]), high),
                                                _mm256_shuffle_epi8(broadcast(of[0]), low));
  return _mm256_and_si256(_mm256_xor_si256(by_high_octet, _mm256_srli_epi32(by_low_octet, 8)),
                          _mm256_set1_epi32(Spread::buckets - 1));
}

// The owners of sixteen, those of four in turn: buckets modulo `workers`, whose inverse is in 1/65536.
PORTCULLIS_AVX2 inline __m256i owners16(const Ipv4Fields* packets, uint64_t outward, __m256i workers,
                                        __m256i inverse) {
  const __m256i buckets = _mm256_packus_epi32(buckets8(packets, static_cast<uint32_t>(outward)),
                                              buckets8(packets + 8, static_cast<uint32_t>(outward >> 8)));
  return _mm256_sub_epi16(buckets, _mm256_mullo_epi16(_mm256_mulhi_epu16(buckets, inverse), workers));
}

}  // namespace detail

PORTCULLIS_AVX2 inline uint64_t owners_of(Avx2Group, const OwnersQuery& query,
                                          uint8_t (&owners)[burst_size]) {
  const __m256i workers = _mm256_set1_epi16(static_cast<int16_t>(query.workers));
  const __m256i inverse =
      _mm256_set1_epi16(static_cast<int16_t>((65536 + query.workers - 1) / query.workers));
  const __m256i self = _mm256_set1_epi8(static_cast<int8_t>(query.self));
  // Packing takes the halves of two vectors in turn; of eight owners the even ones come first.
  const __m256i fours_in_order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  const __m256i in_order =
      _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15));
  uint64_t others = 0;
  for (uint32_t i = 0; i < query.count; i += 32) {
    const __m256i first = detail::owners16(query.packets + i, query.outward >> i, workers, inverse);
    const __m256i second =
        detail::owners16(query.packets + i + 16, query.outward >> (i + 16), workers, inverse);
    const __m256i fours = _mm256_permutevar8x32_epi32(_mm256_packus_epi16(first, second), fours_in_order);
    const __m256i all = _mm256_shuffle_epi8(fours, in_order);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(owners + i), all);
    const auto own = static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(all, self)));
    others |= uint64_t{~own} << i;
  }
  return others;
}
#endif

}  // namespace portcullis
