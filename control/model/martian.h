// IPv4 addresses that no packet through the gateway carries (RFC 1122, 3.2.1.3; RFC 3927; RFC 1112), so that
// no pool and no vm may use them. The parse stage drops them as martian.
#pragma once

#include <array>

#include "src/net/address.h"

namespace portcullis::model {

inline constexpr std::array martian_prefixes{
    Ipv4Prefix(Ipv4Addr::of(0, 0, 0, 0), 8),      Ipv4Prefix(Ipv4Addr::of(127, 0, 0, 0), 8),
    Ipv4Prefix(Ipv4Addr::of(169, 254, 0, 0), 16), Ipv4Prefix(Ipv4Addr::of(224, 0, 0, 0), 4),
    Ipv4Prefix(Ipv4Addr::of(240, 0, 0, 0), 4),
};

// The martian prefix that `prefix` touches; null if none.
[[nodiscard]] constexpr const Ipv4Prefix* martian_in(Ipv4Prefix prefix) {
  for (const Ipv4Prefix& martian : martian_prefixes) {
    if (martian.overlaps(prefix)) return &martian;
  }
  return nullptr;
}

}  // namespace portcullis::model
