// How much room pools take in the binding index: what the model reserves when it validates a pool, and what
// the index never exceeds. Numbers only, so that both can ask.
#pragma once

#include <algorithm>
#include <cstdint>

#include "src/net/address.h"

namespace portcullis {

inline constexpr uint32_t index_page_addresses = 65536;

inline constexpr uint32_t max_ipv6_pools = 16;   // of all kinds: every packet is compared with each
inline constexpr uint32_t ipv6_pool_pages = 16;  // of a local one, at most

// Addresses of a local IPv6 pool that have an entry, from its first on: only these are ever bound.
constexpr uint64_t ipv6_pool_addresses(const Ipv6Prefix& prefix) {
  constexpr uint64_t most = uint64_t{ipv6_pool_pages} * index_page_addresses;
  const unsigned host_bits = 128u - prefix.length();
  return host_bits >= 64 ? most : std::min(uint64_t{1} << host_bits, most);
}

// Pages that they take, if the pool shares none.
constexpr uint32_t ipv6_pool_pages_of(const Ipv6Prefix& prefix) {
  return static_cast<uint32_t>((ipv6_pool_addresses(prefix) + index_page_addresses - 1) /
                               index_page_addresses);
}

}  // namespace portcullis
