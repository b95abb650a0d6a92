// Addresses that no packet through the gateway carries, so that no pool and no vm may use them. The parse
// stage drops them as martian.
#pragma once

#include <array>
#include <optional>

#include "src/net/address.h"

namespace portcullis::model {

// RFC 1122, 3.2.1.3; RFC 3927; RFC 1112.
inline constexpr std::array martian_prefixes{
    Ipv4Prefix(Ipv4Addr::of(0, 0, 0, 0), 8),      Ipv4Prefix(Ipv4Addr::of(127, 0, 0, 0), 8),
    Ipv4Prefix(Ipv4Addr::of(169, 254, 0, 0), 16), Ipv4Prefix(Ipv4Addr::of(224, 0, 0, 0), 4),
    Ipv4Prefix(Ipv4Addr::of(240, 0, 0, 0), 4),
};

// RFC 4291, 2.5.2, 2.5.3, 2.5.5, 2.5.6, 2.5.7 and 2.7: unspecified, loopback and addresses that embed an IPv4
// one, then link-local, site-local and multicast.
inline constexpr std::array martian6_prefixes{
    Ipv6Prefix(Ipv6Addr::of(0, 0), 96),
    Ipv6Prefix(Ipv6Addr::of(0, uint64_t{0xffff} << 32), 96),
    Ipv6Prefix(Ipv6Addr::of(uint64_t{0xfe80} << 48, 0), 10),
    Ipv6Prefix(Ipv6Addr::of(uint64_t{0xfec0} << 48, 0), 10),
    Ipv6Prefix(Ipv6Addr::of(uint64_t{0xff00} << 48, 0), 8),
};

// What a pool's addresses may be: global unicast, or unique local (RFC 4291, 2.5.4; RFC 4193).
inline constexpr std::array ipv6_pool_space{
    Ipv6Prefix(Ipv6Addr::of(uint64_t{0x2000} << 48, 0), 3),
    Ipv6Prefix(Ipv6Addr::of(uint64_t{0xfc00} << 48, 0), 7),
};

// The martian prefix that `prefix` touches, if any.
[[nodiscard]] constexpr std::optional<IpPrefix> martian_in(const IpPrefix& prefix) {
  for (const Ipv4Prefix& martian : martian_prefixes)
    if (IpPrefix(martian).overlaps(prefix)) return martian;
  for (const Ipv6Prefix& martian : martian6_prefixes)
    if (IpPrefix(martian).overlaps(prefix)) return martian;
  return std::nullopt;
}

// One station, as far as that can be told: no martian, and of an IPv4 link the first and the last address are
// none (RFC 1122, 3.2.1.3), but for /31 (RFC 3021) and /32.
[[nodiscard]] constexpr bool is_station(const IpAddr& address, const IpPrefix& link) {
  if (martian_in(IpPrefix::of_host(address))) return false;
  return address.is_v6() || link.length() > 30 || (address != link.first() && address != link.last());
}

}  // namespace portcullis::model
