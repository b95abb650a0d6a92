// What the data plane has room for and what a tenant may use; fixed at start (config.proto, Capacity).
#pragma once

#include <cstdint>

namespace portcullis::model {

// Of a local IPv6 pool, from its first address on: those that the binding index has room for.
inline constexpr uint64_t ipv6_pool_addresses = uint64_t{1} << 20;
// Of one page of the binding index.
inline constexpr uint64_t index_page_addresses = uint64_t{1} << 16;

struct Limits {
  uint32_t eips = 65536;       // bindings
  uint32_t ipv6_eips = 65536;  // those of IPv6 among them
  uint32_t eips_per_tenant = 65536;
  uint32_t vms = 65536;
  uint32_t index_pages = 64;         // /16s that IPv4 pools touch, and 65,536s of local IPv6 pools
  uint32_t ipv6_pools = 16;          // of both kinds: every packet is compared with each
  uint32_t rules_per_eip = 100'000;  // compiled: (rule, prefix or tag) pairs
  uint32_t ipv6_rules_per_eip = 64;  // the same of an IPv6 EIP, whose list is searched rule by rule
  uint32_t permit_chunks = 65536;    // for compiled rules beyond the inline ones, all EIPs together
  uint32_t tags_per_eip = 15;
  uint32_t tag_sets = 65536;        // EIPs with at least one tag
  int64_t quarantine_ms = 600'000;  // a released address rests this long
};

}  // namespace portcullis::model
