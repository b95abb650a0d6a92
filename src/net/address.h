// Addresses as they lie on the wire. Text forms are those of inet_pton(3) and of EUI-48 with colons.
#pragma once

#include <array>
#include <bit>
#include <compare>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "src/net/byte_order.h"

namespace portcullis {

// IPv4 address, network order in memory. Ordered by its numeric (host-order) value.
class Ipv4Addr {
 public:
  constexpr Ipv4Addr() = default;
  static constexpr Ipv4Addr from_host(uint32_t value) { return Ipv4Addr(Be32::from_host(value)); }
  static constexpr Ipv4Addr from_wire(uint32_t raw) { return Ipv4Addr(Be32::from_wire(raw)); }
  static constexpr Ipv4Addr of(uint8_t a, uint8_t b, uint8_t c, uint8_t d) {
    return from_host(uint32_t{a} << 24 | uint32_t{b} << 16 | uint32_t{c} << 8 | d);
  }
  static std::optional<Ipv4Addr> parse(std::string_view text);
  [[nodiscard]] std::string to_string() const;
  [[nodiscard]] constexpr uint32_t host() const { return value_.host(); }
  [[nodiscard]] constexpr uint32_t wire() const { return value_.wire(); }
  friend constexpr bool operator==(Ipv4Addr, Ipv4Addr) = default;
  friend constexpr auto operator<=>(Ipv4Addr a, Ipv4Addr b) { return a.host() <=> b.host(); }

 private:
  explicit constexpr Ipv4Addr(Be32 value) : value_(value) {}
  Be32 value_;
};
static_assert(sizeof(Ipv4Addr) == 4);

// An IPv4 prefix in canonical form: no bit is set beyond `length`.
class Ipv4Prefix {
 public:
  constexpr Ipv4Prefix() = default;  // 0.0.0.0/0
  // Bits beyond the length are cleared; length is at most 32.
  constexpr Ipv4Prefix(Ipv4Addr address, uint8_t length)
      : address_(Ipv4Addr::from_host(address.host() & mask(length))), length_(length) {}
  // "10.0.0.0/8", or a bare address for /32. Refuses bits beyond the length.
  static std::optional<Ipv4Prefix> parse(std::string_view text);
  [[nodiscard]] std::string to_string() const;
  [[nodiscard]] constexpr Ipv4Addr address() const { return address_; }
  [[nodiscard]] constexpr uint8_t length() const { return length_; }
  [[nodiscard]] constexpr uint64_t size() const { return uint64_t{1} << (32 - length_); }
  [[nodiscard]] constexpr Ipv4Addr first() const { return address_; }
  [[nodiscard]] constexpr Ipv4Addr last() const {
    return Ipv4Addr::from_host(address_.host() | ~mask(length_));
  }
  [[nodiscard]] constexpr bool contains(Ipv4Addr a) const {
    return (a.host() & mask(length_)) == address_.host();
  }
  [[nodiscard]] constexpr bool contains(Ipv4Prefix p) const {
    return p.length_ >= length_ && contains(p.address_);
  }
  [[nodiscard]] constexpr bool overlaps(Ipv4Prefix p) const { return contains(p) || p.contains(*this); }
  friend constexpr bool operator==(Ipv4Prefix, Ipv4Prefix) = default;
  friend constexpr auto operator<=>(Ipv4Prefix, Ipv4Prefix) = default;

  static constexpr uint32_t mask(uint8_t length) { return length == 0 ? 0 : ~uint32_t{0} << (32 - length); }

 private:
  Ipv4Addr address_;
  uint8_t length_ = 0;
};

// EUI-48.
struct Mac {
  std::array<uint8_t, 6> bytes{};
  static std::optional<Mac> parse(std::string_view text);
  [[nodiscard]] std::string to_string() const;
  [[nodiscard]] constexpr bool is_multicast() const { return (bytes[0] & 1) != 0; }
  [[nodiscard]] constexpr bool is_zero() const { return bytes == std::array<uint8_t, 6>{}; }
  friend constexpr bool operator==(Mac, Mac) = default;
  friend constexpr auto operator<=>(const Mac&, const Mac&) = default;
};
static_assert(sizeof(Mac) == 6);

// A MAC as one number, to be compared and stored by words.
class MacWord {
 public:
  constexpr MacWord() = default;
  constexpr explicit MacWord(const Mac& mac) {
    if (std::is_constant_evaluated()) {
      const auto parts = std::bit_cast<std::array<uint16_t, 3>>(mac);
      value_ = parts[0] | uint64_t{parts[1]} << 16 | uint64_t{parts[2]} << 32;
    } else {  // GCC 12 takes ten instructions for the other form
      uint32_t first;
      uint16_t rest;
      std::memcpy(&first, mac.bytes.data(), sizeof first);
      std::memcpy(&rest, mac.bytes.data() + sizeof first, sizeof rest);
      value_ = first | uint64_t{rest} << 32;
    }
  }
  // Of the eight bytes as they lie in memory, the first six.
  static constexpr MacWord of_load(uint64_t bytes) {
    MacWord word;
    word.value_ = bytes & mask;
    return word;
  }
  // The two MACs of an Ethernet header, as they lie in memory: bytes 0 to 7, and 8 to 11.
  [[nodiscard]] constexpr uint64_t before(MacWord source) const { return value_ | source.value_ << 48; }
  [[nodiscard]] constexpr uint32_t rest() const { return static_cast<uint32_t>(value_ >> 16); }
  friend constexpr bool operator==(MacWord, MacWord) = default;
  // 0: they are equal. To be or-ed with further differences, for one branch.
  [[nodiscard]] constexpr uint64_t differs(MacWord other) const { return value_ ^ other.value_; }

 private:
  static_assert(std::endian::native == std::endian::little);
  static constexpr uint64_t mask = (uint64_t{1} << 48) - 1;
  uint64_t value_ = 0;
};

inline constexpr Mac broadcast_mac{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

// RFC 3927 next hop that every endpoint port answers ARP for (semantics: a vm has one default route to it).
inline constexpr Ipv4Addr link_local_next_hop = Ipv4Addr::of(169, 254, 1, 1);

// A transport port (or an ICMP identifier), network order in memory.
using Port = Be16;

// An inclusive range of host-order ports.
struct PortRange {
  uint16_t first = 0;
  uint16_t last = 65535;
  [[nodiscard]] constexpr bool contains(uint16_t port) const { return port >= first && port <= last; }
  [[nodiscard]] constexpr bool is_any() const { return first == 0 && last == 65535; }
  friend constexpr bool operator==(PortRange, PortRange) = default;
  friend constexpr auto operator<=>(PortRange, PortRange) = default;
};

}  // namespace portcullis

template <>
struct std::hash<portcullis::Ipv4Addr> {
  size_t operator()(portcullis::Ipv4Addr a) const noexcept { return std::hash<uint32_t>{}(a.wire()); }
};
