// SIMD behind one small interface: what tables ask of a group of adjacent elements. Every back end has the
// same operations and gives the same answers (tests/unit/dataplane/group_test.cc compares them).
#pragma once

#include <cstdint>

#include "dataplane/isa.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace portcullis {

// Bit w of a result: element w of the group.
struct ScalarGroup {
  static constexpr Isa isa = Isa::scalar;
  // Which of 16 signatures equal `wanted`.
  static uint32_t equal16(const uint16_t* signatures, uint16_t wanted) {
    uint32_t found = 0;
    for (uint32_t way = 0; way < 16; ++way) found |= uint32_t{signatures[way] == wanted} << way;
    return found;
  }
};

#if defined(__x86_64__)
struct Avx2Group : ScalarGroup {
  static constexpr Isa isa = Isa::avx2;
  PORTCULLIS_AVX2 static uint32_t equal16(const uint16_t* signatures, uint16_t wanted) {
    const __m256i all = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(signatures));
    const __m256i equal = _mm256_cmpeq_epi16(all, _mm256_set1_epi16(static_cast<int16_t>(wanted)));
    const auto bytes = static_cast<uint32_t>(_mm256_movemask_epi8(equal));
    return _pext_u32(bytes, 0x55555555u);
  }
};

struct Avx512Group : Avx2Group {
  static constexpr Isa isa = Isa::avx512;
  PORTCULLIS_AVX512 static uint32_t equal16(const uint16_t* signatures, uint16_t wanted) {
    const __m256i all = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(signatures));
    return _mm256_cmpeq_epi16_mask(all, _mm256_set1_epi16(static_cast<int16_t>(wanted)));
  }
};
#endif

}  // namespace portcullis
