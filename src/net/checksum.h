// Internet checksums: whole (RFC 1071) and incremental (RFC 1624, equation 3). A checksum in a packet changes
// only through a ChecksumDelta.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>

#include "src/net/address.h"
#include "src/net/byte_order.h"

namespace portcullis {

// One's complement sum of ~m + m' for every 16-bit word m replaced by m', folded to 16 bits. Byte order does
// not matter to one's complement sums (RFC 1071, 2.B), so wire-order words are summed as they lie.
class ChecksumDelta {
 public:
  constexpr ChecksumDelta() = default;
  constexpr ChecksumDelta& replace(Be16 old_value, Be16 new_value) {
    add(static_cast<uint16_t>(~old_value.wire()));
    add(new_value.wire());
    return *this;
  }
  constexpr ChecksumDelta& replace(Ipv4Addr old_value, Ipv4Addr new_value) {
    replace(Be16::from_wire(static_cast<uint16_t>(old_value.wire())),
            Be16::from_wire(static_cast<uint16_t>(new_value.wire())));
    replace(Be16::from_wire(static_cast<uint16_t>(old_value.wire() >> 16)),
            Be16::from_wire(static_cast<uint16_t>(new_value.wire() >> 16)));
    return *this;
  }
  constexpr ChecksumDelta& replace(const Ipv6Addr& old_value, const Ipv6Addr& new_value) {
    for (const unsigned shift : {0u, 16u, 32u, 48u}) {
      const auto word = [shift](uint64_t half) {
        return Be16::from_wire(static_cast<uint16_t>(half >> shift));
      };
      replace(word(old_value.wire_high()), word(new_value.wire_high()));
      replace(word(old_value.wire_low()), word(new_value.wire_low()));
    }
    return *this;
  }
  // HC' = ~(~HC + ~m + m'): with s = ~m + m' that is HC - s, the borrow taken around, bit for bit.
  [[nodiscard]] constexpr Be16 apply(Be16 checksum) const {
    const uint16_t before = checksum.wire();
    return Be16::from_wire(static_cast<uint16_t>(before - sum_ - (before < sum_ ? 1 : 0)));
  }
  friend constexpr bool operator==(ChecksumDelta, ChecksumDelta) = default;

 private:
  constexpr void add(uint16_t word) {
    const uint32_t sum = uint32_t{sum_} + word;
    sum_ = static_cast<uint16_t>((sum & 0xffff) + (sum >> 16));
  }
  uint16_t sum_ = 0;
};
static_assert(sizeof(ChecksumDelta) == 2);

// RFC 1071 sum of `bytes`, folded but not complemented: 0xffff for a header whose checksum field is right.
[[nodiscard]] inline uint16_t internet_sum(std::span<const uint8_t> bytes, uint32_t initial = 0) {
  uint64_t sum = initial;
  size_t i = 0;
  for (; i + 2 <= bytes.size(); i += 2) {
    uint16_t word;
    std::memcpy(&word, bytes.data() + i, 2);
    sum += word;
  }
  if (i < bytes.size()) {
    uint16_t word = 0;
    std::memcpy(&word, bytes.data() + i, 1);
    sum += word;
  }
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}

// The sum that an ICMPv6 checksum is made of: the message under its pseudo-header (RFC 8200, 8.1). 0xffff for
// a message whose checksum is right.
[[nodiscard]] inline uint16_t icmpv6_sum(const Ipv6Addr& source, const Ipv6Addr& destination,
                                         std::span<const uint8_t> message) {
  struct {
    Ipv6Addr source, destination;
    Be32 length;
    Be32 next_header;
  } pseudo{source, destination, Be32::from_host(static_cast<uint32_t>(message.size())), Be32::from_host(58)};
  static_assert(sizeof pseudo == 40);
  const uint16_t sum = internet_sum({reinterpret_cast<const uint8_t*>(&pseudo), sizeof pseudo});
  return internet_sum(message, sum);
}

}  // namespace portcullis
