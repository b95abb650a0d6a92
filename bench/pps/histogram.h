// Clocks in classes of 1/32 of their value: a quantile is at most 3 % too high.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

namespace portcullis::bench {

class Histogram {
 public:
  void add(uint64_t value) {
    ++counts_[class_of(value)];
    ++total_;
    most_ = std::max(most_, value);
  }
  void clear() { *this = Histogram(); }
  [[nodiscard]] uint64_t count() const { return total_; }
  [[nodiscard]] uint64_t max() const { return most_; }
  // The upper end of the class that holds it; 0 of nothing.
  [[nodiscard]] uint64_t quantile(double q) const {
    const double wanted = q * static_cast<double>(total_);
    uint64_t seen = 0;
    for (size_t at = 0; at < counts_.size(); ++at) {
      seen += counts_[at];
      if (seen != 0 && static_cast<double>(seen) >= wanted) return std::min(most_, upper_end(at));
    }
    return most_;
  }

 private:
  static constexpr int sub_bits = 5;
  static constexpr uint64_t sub = uint64_t{1} << sub_bits;
  static constexpr size_t classes = (64 - sub_bits + 1) << sub_bits;

  // Below `sub` each value is a class; above, the leading bit and the `sub_bits` that follow it.
  static constexpr size_t class_of(uint64_t value) {
    if (value < sub) return value;
    const int shift = static_cast<int>(std::bit_width(value)) - 1 - sub_bits;
    return (static_cast<size_t>(shift + 1) << sub_bits) + ((value >> shift) - sub);
  }
  static constexpr uint64_t upper_end(size_t at) {
    if (at < sub) return at;
    const auto shift = static_cast<int>(at >> sub_bits) - 1;
    return ((sub + (at & (sub - 1)) + 1) << shift) - 1;
  }

  std::array<uint64_t, classes> counts_{};
  uint64_t total_ = 0;
  uint64_t most_ = 0;
};

}  // namespace portcullis::bench
