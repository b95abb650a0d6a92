// The names and numbers that random worlds are made of, for the files of Scenario: few, so that they meet.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/model/world.h"

namespace portcullis::testing {

inline constexpr reference::PortNumber uplink = 0;
inline constexpr Mac router_mac{{0x02, 0xee, 0, 0, 0, 1}};
inline constexpr std::array families{IpFamily::ipv4, IpFamily::ipv6};
inline constexpr std::array<uint16_t, 6> ports{22, 80, 443, 5000, 5001, 40000};

// Of each family the `number`th: of the outside, of the first local pool, of private addresses.
inline IpAddr outside(IpFamily family, uint8_t number) {
  if (family == IpFamily::ipv4) return Ipv4Addr::of(203, 0, 113, number);
  return Ipv6Addr::of(0x20010db800ff0000, number);
}
inline IpAddr pooled(IpFamily family, uint8_t number) {
  if (family == IpFamily::ipv4) return Ipv4Addr::of(198, 51, 100, number);
  return Ipv6Addr::of(0x20010db800010000, number);
}
// Of IPv6 four at a time end alike: the endpoint table looks at the end first.
inline IpAddr private_one(IpFamily family, uint8_t number) {
  if (family == IpFamily::ipv4) return Ipv4Addr::of(10, 0, 0, number);
  return Ipv6Addr::of(0xfd0a000000000000 | number % 4, number / 4);
}

inline constexpr Ipv4Addr gateway_address = Ipv4Addr::of(192, 0, 2, 1);
inline constexpr Ipv6Addr gateway_address6 = Ipv6Addr::of(0x20010db8000f0000, 1);
inline constexpr Ipv4Addr router = Ipv4Addr::of(192, 0, 2, 254);
inline constexpr Ipv6Addr router6 = Ipv6Addr::of(0xfe80000000000000, 0x99);
inline constexpr Ipv4Addr router_in_pool = Ipv4Addr::of(198, 51, 100, 6);
inline constexpr Ipv6Addr router6_in_pool = Ipv6Addr::of(0x20010db800010000, 6);
inline constexpr Ipv4Addr configured_next_hop = Ipv4Addr::of(10, 0, 0, 1);
inline constexpr Ipv6Addr configured_next_hop6 = Ipv6Addr::of(0xfd0a000000000000, 1);

inline IpAddr gateway_of(IpFamily family) {
  return family == IpFamily::ipv4 ? IpAddr(gateway_address) : gateway_address6;
}

// Bits beyond the length are cleared.
inline IpPrefix prefix_of(const IpAddr& address, unsigned length) {
  const auto bits = static_cast<uint8_t>(length);
  return address.is_v4() ? IpPrefix(Ipv4Prefix(address.v4(), bits)) : Ipv6Prefix(address.v6(), bits);
}

inline uint8_t icmp_of(IpFamily family) {
  return family == IpFamily::ipv4 ? icmp : icmpv6;
}

}  // namespace portcullis::testing
