// In which order flows are sent: a full-period pseudo-random permutation, or Zipf.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

namespace portcullis::bench {

// A bijection of 64-bit numbers that looks random (the finaliser of SplitMix64).
constexpr uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

// Visits every number below `size` once in `size` steps. A multiplication alone would step by a constant,
// which hardware prefetchers follow.
class Permutation {
 public:
  explicit Permutation(uint32_t size) : size_(size) {
    const int bits = std::max(1, static_cast<int>(std::bit_width(size - 1)));
    shift_ = std::max(1, bits / 2);
    mask_ = static_cast<uint32_t>((uint64_t{1} << bits) - 1);
  }
  [[nodiscard]] uint32_t size() const { return size_; }
  // Of the next power of two, walked until it falls below `size` (cycle walking).
  [[nodiscard]] uint32_t operator()(uint64_t n) const {
    auto x = static_cast<uint32_t>(n % size_);
    do x = step(x);
    while (x >= size_);
    return x;
  }

 private:
  // Each line is a bijection of the masked numbers: an odd factor, a sum, a xor with a right shift.
  [[nodiscard]] uint32_t step(uint32_t x) const {
    x = (x * 0x9e3779b1u + 0x7f4a7c15u) & mask_;
    x ^= x >> shift_;
    x = (x * 0x85ebca6bu) & mask_;
    x ^= x >> shift_;
    x = (x * 0xc2b2ae35u) & mask_;
    return x ^ x >> shift_;
  }

  uint32_t size_;
  int shift_ = 1;
  uint32_t mask_ = 1;
};

// `count` ranks from 0 with P(rank) ~ 1 / (rank + 1)^exponent, exponent not 1 (rejection-inversion, Hörmann
// and Derflinger 1996).
[[nodiscard]] std::vector<uint32_t> zipf_ranks(uint32_t size, double exponent, uint32_t count);

// The flow of the n-th packet.
class Order {
 public:
  Order(uint32_t flows, bool zipf);
  [[nodiscard]] uint32_t operator()(uint64_t n) const {
    return permutation_(ranks_.empty() ? n : ranks_[n % ranks_.size()]);
  }
  // Packets after which every flow has been sent that ever is.
  [[nodiscard]] uint64_t period() const { return ranks_.empty() ? permutation_.size() : ranks_.size(); }

 private:
  Permutation permutation_;
  std::vector<uint32_t> ranks_;  // drawn at start: the generator has no time for powers
};

}  // namespace portcullis::bench
