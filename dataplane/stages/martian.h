// Addresses that parse refuses as source and as destination.
#pragma once

#include <array>
#include <cstdint>

#include "src/net/address.h"

namespace portcullis::stages {

// RFC 6890: never the address of a host that this gateway forwards for or to.
constexpr bool is_martian(Ipv4Addr address) {
  const uint32_t host = address.host();
  const uint32_t high = host >> 24;
  return high == 0 || high == 127 || high >= 224 || host >> 16 == (169u << 8 | 254u);
}

// The same of IPv6: unspecified, loopback, IPv4 in IPv6 (RFC 4291, 2.5.5), multicast, and what is of one link
// only.
constexpr bool is_martian(const Ipv6Addr& address) {
  const uint64_t middle = address.low() >> 32;
  return (address.high() == 0 && (middle == 0 || middle == 0xffff)) || address.is_multicast() ||
         address.high() >> 55 == 0xfe80 >> 7;  // link-local, and site-local (RFC 3879)
}

// First octets under which there are martians.
inline constexpr std::array<uint8_t, 256> martian_octets = [] {
  std::array<uint8_t, 256> table{};
  for (uint32_t high = 0; high < table.size(); ++high) {
    const auto begins = static_cast<uint8_t>(high);
    table[high] = is_martian(Ipv4Addr::of(begins, 0, 0, 0)) || is_martian(Ipv4Addr::of(begins, 254, 0, 0));
  }
  return table;
}();
inline constexpr std::array<uint8_t, 256> martian_octets6 = [] {
  std::array<uint8_t, 256> table{};
  for (uint64_t high = 0; high < table.size(); ++high)
    table[high] = is_martian(Ipv6Addr::of(high << 56, 0)) ||
                  is_martian(Ipv6Addr::of(high << 56 | uint64_t{0xff} << 48, 0));
  return table;
}();

}  // namespace portcullis::stages
