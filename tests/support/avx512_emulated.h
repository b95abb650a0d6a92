// Force-included into a second build of dataplane/ and its tests on a CPU without AVX-512: the AVX-512 back
// end with each of its instructions done by SIMDe's portable twin, so that what the back end computes is
// tested on any machine. What this cannot show is the compiler's code for the real instructions.
#pragma once

#define ALLOW_EXPERIMENTAL_API  // as some sources do before their headers, which is too late here

#include <immintrin.h>
#include <rte_cpuflags.h>
#include <simde/x86/avx512.h>

#include "dataplane/isa.h"

// What emulates the back end runs on AVX2.
#undef PORTCULLIS_AVX512
#define PORTCULLIS_AVX512 PORTCULLIS_AVX2
#define RTE_CPUFLAG_AVX512F RTE_CPUFLAG_AVX2
#define RTE_CPUFLAG_AVX512BW RTE_CPUFLAG_AVX2
#define RTE_CPUFLAG_AVX512DQ RTE_CPUFLAG_AVX2
#define RTE_CPUFLAG_AVX512VL RTE_CPUFLAG_AVX2

// Of what the back end uses, SIMDe 0.7.4 lacks the comparisons for equality that give a mask, and vptestnm.
namespace portcullis::emulated {

inline __mmask32 equal512_16(simde__m512i a, simde__m512i b) {
  const simde__m512i_private x = simde__m512i_to_private(a);
  const simde__m512i_private y = simde__m512i_to_private(b);
  __mmask32 mask = 0;
  for (unsigned lane = 0; lane < 32; ++lane) mask |= __mmask32{x.i16[lane] == y.i16[lane]} << lane;
  return mask;
}
inline __mmask16 equal256_16(simde__m256i a, simde__m256i b) {
  return static_cast<__mmask16>(simde_mm256_cmple_epu16_mask(a, b) & simde_mm256_cmpge_epu16_mask(a, b));
}
inline __mmask8 equal256_32(simde__m256i a, simde__m256i b) {
  return static_cast<__mmask8>(simde_mm256_cmple_epu32_mask(a, b) & simde_mm256_cmpge_epu32_mask(a, b));
}
inline __mmask8 no_common_bit128_32(simde__m128i a, simde__m128i b) {
  const simde__m128i common = simde_mm_and_si128(a, b);
  return simde_mm_cmple_epu32_mask(common, simde_mm_setzero_si128());
}

}  // namespace portcullis::emulated

#define __m512i simde__m512i
#define _mm512_loadu_si512 simde_mm512_loadu_si512
#define _mm512_load_si512 simde_mm512_load_si512
#define _mm512_set1_epi16 simde_mm512_set1_epi16
#define _mm512_set1_epi32 simde_mm512_set1_epi32
#define _mm512_set1_epi64 simde_mm512_set1_epi64
#define _mm512_cmpge_epu64_mask simde_mm512_cmpge_epu64_mask
#define _mm256_cmpge_epu64_mask simde_mm256_cmpge_epu64_mask
#define _mm512_cmple_epu32_mask simde_mm512_cmple_epu32_mask
#define _mm512_cmpeq_epi16_mask portcullis::emulated::equal512_16
#define _mm256_cmpeq_epi16_mask portcullis::emulated::equal256_16
#define _mm256_cmpeq_epi32_mask portcullis::emulated::equal256_32
#define _mm256_cmple_epi16_mask simde_mm256_cmple_epi16_mask
#define _mm256_cmpge_epu16_mask simde_mm256_cmpge_epu16_mask
#define _mm256_mask_cmple_epu16_mask simde_mm256_mask_cmple_epu16_mask
#define _mm_cmpge_epu16_mask simde_mm_cmpge_epu16_mask
#define _mm_mask_cmple_epu16_mask simde_mm_mask_cmple_epu16_mask
#define _mm_testn_epi32_mask portcullis::emulated::no_common_bit128_32
