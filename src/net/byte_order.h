// Network-order integers as types: a Be16 cannot be added to, compared with or assigned from a host integer.
#pragma once

#include <bit>
#include <compare>
#include <cstdint>

namespace portcullis {

template <typename Host>
class BigEndian {
 public:
  constexpr BigEndian() = default;
  static constexpr BigEndian from_host(Host value) { return BigEndian(swap(value)); }
  // The value as it lies in a packet, for hashing and checksums only.
  static constexpr BigEndian from_wire(Host raw) { return BigEndian(raw); }
  [[nodiscard]] constexpr Host host() const { return swap(raw_); }
  [[nodiscard]] constexpr Host wire() const { return raw_; }
  friend constexpr bool operator==(BigEndian, BigEndian) = default;

 private:
  explicit constexpr BigEndian(Host raw) : raw_(raw) {}
  static constexpr Host swap(Host value) {
    if constexpr (std::endian::native == std::endian::big) return value;
    if constexpr (sizeof(Host) == 2) return __builtin_bswap16(value);
    if constexpr (sizeof(Host) == 4) return __builtin_bswap32(value);
    if constexpr (sizeof(Host) == 8) return __builtin_bswap64(value);
  }
  Host raw_ = 0;
};

using Be16 = BigEndian<uint16_t>;
using Be32 = BigEndian<uint32_t>;
using Be64 = BigEndian<uint64_t>;

static_assert(sizeof(Be16) == 2 && sizeof(Be32) == 4 && sizeof(Be64) == 8);

}  // namespace portcullis
