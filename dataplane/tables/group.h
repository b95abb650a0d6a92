// SIMD behind one small interface: what tables ask of a group of adjacent elements. Every back end has the
// same operations and gives the same answers (tests/unit/dataplane/group_test.cc compares them).
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>

#include "dataplane/isa.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace portcullis {

// Bit w of a result: element w of the group.
//
// `call` runs a body - a stage, or what stages leave out of line - compiled for the back end: one function,
// with all that it calls inlined into it, so that none of it is shared with a CPU that cannot run it. Left
// out are further calls of `call`, and functions marked noinline, which are compiled for any CPU.
struct ScalarGroup {
  static constexpr Isa isa = Isa::scalar;
  template <typename Body, typename... World>
  [[gnu::flatten, gnu::noinline]] static void call(World&... world) noexcept {
    Body::template run<ScalarGroup>(world...);
  }
  // Which of 16 signatures equal `wanted`.
  static uint32_t equal16(const uint16_t* signatures, uint16_t wanted) {
    uint32_t found = 0;
    for (uint32_t way = 0; way < 16; ++way) found |= uint32_t{signatures[way] == wanted} << way;
    return found;
  }
  // Which of 16 times are not after `now`, in numbers that wrap: a difference of less than half their range
  // says which of two comes first.
  static uint32_t not_after16(const uint16_t* times, uint16_t now) {
    uint32_t found = 0;
    for (uint32_t way = 0; way < 16; ++way)
      found |= uint32_t{static_cast<int16_t>(times[way] - now) <= 0} << way;
    return found;
  }
  // Which of the 8 words from `words` on equal `wanted`. They may be written meanwhile, each word atomically:
  // a vector load reads each word whole, but a thread sanitizer takes it for a plain read, so it gets the
  // twin.
  static uint32_t equal8(const std::atomic<uint32_t>* words, uint32_t wanted) {
    uint32_t found = 0;
    for (uint32_t way = 0; way < 8; ++way)
      found |= uint32_t{words[way].load(std::memory_order_relaxed) == wanted} << way;
    return found;
  }
  // Which of 64 numbers equal `wanted`.
  static uint64_t equal64(const uint16_t* numbers, uint16_t wanted) {
    uint64_t found = 0;
    for (uint32_t i = 0; i < 64; ++i) found |= uint64_t{numbers[i] == wanted} << i;
    return found;
  }
  // Which of 64 records of sixteen bytes have `wanted` as their word number `at`. Mostly none has.
  static uint64_t equal64_words(const void* records, uint32_t at, uint32_t wanted) {
    uint64_t found = 0;
    for (uint32_t i = 0; i < 64; ++i) {
      uint32_t word;
      std::memcpy(&word, static_cast<const uint8_t*>(records) + i * record_bytes + at * sizeof word,
                  sizeof word);
      found |= uint64_t{word == wanted} << i;
    }
    return found;
  }
  static constexpr size_t record_bytes = 16;
};

#if defined(__x86_64__)
struct Avx2Group : ScalarGroup {
  static constexpr Isa isa = Isa::avx2;
  template <typename Body, typename... World>
  PORTCULLIS_AVX2 [[gnu::flatten, gnu::noinline]] static void call(World&... world) noexcept {
    Body::template run<Avx2Group>(world...);
  }
  PORTCULLIS_AVX2 static uint32_t equal16(const uint16_t* signatures, uint16_t wanted) {
    const __m256i all = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(signatures));
    const __m256i equal = _mm256_cmpeq_epi16(all, _mm256_set1_epi16(static_cast<int16_t>(wanted)));
    const auto bytes = static_cast<uint32_t>(_mm256_movemask_epi8(equal));
    return _pext_u32(bytes, 0x55555555u);
  }
  PORTCULLIS_AVX2 static uint32_t not_after16(const uint16_t* times, uint16_t now) {
    const __m256i all = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(times));
    const __m256i until = _mm256_sub_epi16(all, _mm256_set1_epi16(static_cast<int16_t>(now)));
    const __m256i after = _mm256_cmpgt_epi16(until, _mm256_setzero_si256());
    return _pext_u32(~static_cast<uint32_t>(_mm256_movemask_epi8(after)), 0x55555555u);
  }
#if !defined(__SANITIZE_THREAD__)
  PORTCULLIS_AVX2 static uint32_t equal8(const std::atomic<uint32_t>* words, uint32_t wanted) {
    const __m256i all = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words));
    const __m256i equal = _mm256_cmpeq_epi32(all, _mm256_set1_epi32(static_cast<int>(wanted)));
    return static_cast<uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(equal)));
  }
#endif
  PORTCULLIS_AVX2 static uint64_t equal64(const uint16_t* numbers, uint16_t wanted) {
    uint64_t found = 0;
    for (uint32_t i = 0; i < 64; i += 16) found |= uint64_t{equal16(numbers + i, wanted)} << i;
    return found;
  }
  PORTCULLIS_AVX2 static uint64_t equal64_words(const void* records, uint32_t at, uint32_t wanted) {
    const __m256i all = _mm256_set1_epi32(static_cast<int>(wanted));
    __m256i any = _mm256_setzero_si256();
    for (uint32_t i = 0; i < 64; i += 2) {
      const auto* two = static_cast<const uint8_t*>(records) + i * record_bytes;
      any = _mm256_or_si256(
          any, _mm256_cmpeq_epi32(all, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(two))));
    }
    const auto lanes = static_cast<uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(any)));
    if ((lanes & 0x11u << at) == 0) [[likely]]
      return 0;
    return ScalarGroup::equal64_words(records, at, wanted);
  }
};

struct Avx512Group : Avx2Group {
  static constexpr Isa isa = Isa::avx512;
  template <typename Body, typename... World>
  PORTCULLIS_AVX512 [[gnu::flatten, gnu::noinline]] static void call(World&... world) noexcept {
    Body::template run<Avx512Group>(world...);
  }
  PORTCULLIS_AVX512 static uint32_t equal16(const uint16_t* signatures, uint16_t wanted) {
    const __m256i all = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(signatures));
    return _mm256_cmpeq_epi16_mask(all, _mm256_set1_epi16(static_cast<int16_t>(wanted)));
  }
  PORTCULLIS_AVX512 static uint32_t not_after16(const uint16_t* times, uint16_t now) {
    const __m256i all = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(times));
    const __m256i until = _mm256_sub_epi16(all, _mm256_set1_epi16(static_cast<int16_t>(now)));
    return _mm256_cmple_epi16_mask(until, _mm256_setzero_si256());
  }
#if !defined(__SANITIZE_THREAD__)
  PORTCULLIS_AVX512 static uint32_t equal8(const std::atomic<uint32_t>* words, uint32_t wanted) {
    const __m256i all = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words));
    return _mm256_cmpeq_epi32_mask(all, _mm256_set1_epi32(static_cast<int>(wanted)));
  }
#endif
  PORTCULLIS_AVX512 static uint64_t equal64(const uint16_t* numbers, uint16_t wanted) {
    const __m512i all = _mm512_set1_epi16(static_cast<int16_t>(wanted));
    const uint64_t low = _mm512_cmpeq_epi16_mask(_mm512_loadu_si512(numbers), all);
    const uint64_t high = _mm512_cmpeq_epi16_mask(_mm512_loadu_si512(numbers + 32), all);
    return low | high << 32;
  }
};
#endif

}  // namespace portcullis
