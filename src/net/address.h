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

// IPv6 address, network order in memory. Ordered by its numeric value. Text is that of RFC 5952.
class Ipv6Addr {
 public:
  constexpr Ipv6Addr() = default;  // ::
  // The upper and the lower half, host order.
  static constexpr Ipv6Addr of(uint64_t high, uint64_t low) {
    Ipv6Addr address;
    address.words_ = {Be64::from_host(high), Be64::from_host(low)};
    return address;
  }
  static std::optional<Ipv6Addr> parse(std::string_view text);  // no zone
  [[nodiscard]] std::string to_string() const;
  [[nodiscard]] constexpr uint64_t high() const { return words_[0].host(); }
  [[nodiscard]] constexpr uint64_t low() const { return words_[1].host(); }
  // The halves as they lie in memory: to be compared, hashed and summed.
  [[nodiscard]] constexpr uint64_t wire_high() const { return words_[0].wire(); }
  [[nodiscard]] constexpr uint64_t wire_low() const { return words_[1].wire(); }
  [[nodiscard]] constexpr bool is_multicast() const { return high() >> 56 == 0xff; }
  [[nodiscard]] constexpr bool is_link_local() const { return high() >> 54 == 0xfe80 >> 6; }
  friend constexpr bool operator==(const Ipv6Addr&, const Ipv6Addr&) = default;
  friend constexpr auto operator<=>(const Ipv6Addr& a, const Ipv6Addr& b) {
    return a.high() != b.high() ? a.high() <=> b.high() : a.low() <=> b.low();
  }

 private:
  std::array<Be64, 2> words_{};
};
static_assert(sizeof(Ipv6Addr) == 16);

// An IPv6 prefix in canonical form: no bit is set beyond `length`.
class Ipv6Prefix {
 public:
  constexpr Ipv6Prefix() = default;  // ::/0
  // Bits beyond the length are cleared; length is at most 128.
  constexpr Ipv6Prefix(const Ipv6Addr& address, uint8_t length)
      : address_(masked(address, length)), length_(length) {}
  // "2001:db8::/32", or a bare address for /128. Refuses bits beyond the length.
  static std::optional<Ipv6Prefix> parse(std::string_view text);
  [[nodiscard]] std::string to_string() const;
  [[nodiscard]] constexpr const Ipv6Addr& address() const { return address_; }
  [[nodiscard]] constexpr uint8_t length() const { return length_; }
  [[nodiscard]] constexpr const Ipv6Addr& first() const { return address_; }
  [[nodiscard]] constexpr Ipv6Addr last() const {
    return Ipv6Addr::of(address_.high() | ~mask(length_).high(), address_.low() | ~mask(length_).low());
  }
  [[nodiscard]] constexpr bool contains(const Ipv6Addr& a) const { return masked(a, length_) == address_; }
  [[nodiscard]] constexpr bool contains(const Ipv6Prefix& p) const {
    return p.length_ >= length_ && contains(p.address_);
  }
  [[nodiscard]] constexpr bool overlaps(const Ipv6Prefix& p) const {
    return contains(p) || p.contains(*this);
  }
  friend constexpr bool operator==(const Ipv6Prefix&, const Ipv6Prefix&) = default;
  friend constexpr auto operator<=>(const Ipv6Prefix&, const Ipv6Prefix&) = default;

  static constexpr Ipv6Addr mask(uint8_t length) {
    const auto half = [](unsigned bits) { return bits == 0 ? 0 : ~uint64_t{0} << (64 - bits); };
    return Ipv6Addr::of(half(length < 64 ? length : 64), half(length < 64 ? 0 : length - 64u));
  }

 private:
  static constexpr Ipv6Addr masked(const Ipv6Addr& a, uint8_t length) {
    return Ipv6Addr::of(a.high() & mask(length).high(), a.low() & mask(length).low());
  }
  Ipv6Addr address_;
  uint8_t length_ = 0;
};

enum class IpFamily : uint8_t { ipv4 = 4, ipv6 = 6 };

// An address of either family. IPv4 comes before IPv6 in order.
class IpAddr {
 public:
  constexpr IpAddr() = default;  // 0.0.0.0
  // Not explicit: an address of one family is one of either.
  constexpr IpAddr(Ipv4Addr address) : low_(address.host()) {}
  constexpr IpAddr(const Ipv6Addr& address)
      : family_(IpFamily::ipv6), high_(address.high()), low_(address.low()) {}
  static std::optional<IpAddr> parse(std::string_view text);
  [[nodiscard]] std::string to_string() const { return is_v4() ? v4().to_string() : v6().to_string(); }
  [[nodiscard]] constexpr IpFamily family() const { return family_; }
  [[nodiscard]] constexpr bool is_v4() const { return family_ == IpFamily::ipv4; }
  [[nodiscard]] constexpr bool is_v6() const { return family_ == IpFamily::ipv6; }
  // Of that family, which it must be.
  [[nodiscard]] constexpr Ipv4Addr v4() const { return Ipv4Addr::from_host(static_cast<uint32_t>(low_)); }
  [[nodiscard]] constexpr Ipv6Addr v6() const { return Ipv6Addr::of(high_, low_); }
  friend constexpr bool operator==(const IpAddr&, const IpAddr&) = default;
  friend constexpr auto operator<=>(const IpAddr&, const IpAddr&) = default;

 private:
  IpFamily family_ = IpFamily::ipv4;
  uint64_t high_ = 0;
  uint64_t low_ = 0;
};

// A prefix of either family. IPv4 comes before IPv6 in order.
class IpPrefix {
 public:
  constexpr IpPrefix() = default;  // 0.0.0.0/0
  constexpr IpPrefix(Ipv4Prefix prefix) : address_(prefix.address()), length_(prefix.length()) {}
  constexpr IpPrefix(const Ipv6Prefix& prefix) : address_(prefix.address()), length_(prefix.length()) {}
  // Of one address alone, /32 or /128.
  static constexpr IpPrefix of_host(const IpAddr& address) {
    return address.is_v4() ? IpPrefix(Ipv4Prefix(address.v4(), 32)) : IpPrefix(Ipv6Prefix(address.v6(), 128));
  }
  static std::optional<IpPrefix> parse(std::string_view text);
  [[nodiscard]] std::string to_string() const { return is_v4() ? v4().to_string() : v6().to_string(); }
  [[nodiscard]] constexpr IpFamily family() const { return address_.family(); }
  [[nodiscard]] constexpr bool is_v4() const { return address_.is_v4(); }
  [[nodiscard]] constexpr bool is_v6() const { return address_.is_v6(); }
  [[nodiscard]] constexpr const IpAddr& address() const { return address_; }
  [[nodiscard]] constexpr uint8_t length() const { return length_; }
  // Of that family, which it must be.
  [[nodiscard]] constexpr Ipv4Prefix v4() const { return {address_.v4(), length_}; }
  [[nodiscard]] constexpr Ipv6Prefix v6() const { return {address_.v6(), length_}; }
  [[nodiscard]] constexpr const IpAddr& first() const { return address_; }
  [[nodiscard]] constexpr IpAddr last() const { return is_v4() ? IpAddr(v4().last()) : IpAddr(v6().last()); }
  // False across families.
  [[nodiscard]] constexpr bool contains(const IpAddr& a) const {
    return a.family() == family() && (is_v4() ? v4().contains(a.v4()) : v6().contains(a.v6()));
  }
  [[nodiscard]] constexpr bool contains(const IpPrefix& p) const {
    return p.length_ >= length_ && contains(p.address_);
  }
  [[nodiscard]] constexpr bool overlaps(const IpPrefix& p) const { return contains(p) || p.contains(*this); }
  friend constexpr bool operator==(const IpPrefix&, const IpPrefix&) = default;
  friend constexpr auto operator<=>(const IpPrefix&, const IpPrefix&) = default;

 private:
  IpAddr address_;
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

// The same for IPv6: every endpoint port answers Neighbor Solicitations for it.
inline constexpr Ipv6Addr link_local_next_hop6 = Ipv6Addr::of(0xfe80000000000000, 1);

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

template <>
struct std::hash<portcullis::Ipv6Addr> {
  size_t operator()(const portcullis::Ipv6Addr& a) const noexcept {
    return std::hash<uint64_t>{}(a.wire_high() * 0x9e3779b97f4a7c15u ^ a.wire_low());
  }
};

template <>
struct std::hash<portcullis::IpAddr> {
  size_t operator()(const portcullis::IpAddr& a) const noexcept {
    return a.is_v4() ? std::hash<portcullis::Ipv4Addr>{}(a.v4()) : std::hash<portcullis::Ipv6Addr>{}(a.v6());
  }
};
