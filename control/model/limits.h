// What the data plane has room for and what a tenant may use; fixed at start (config.proto, Capacity).
#pragma once

#include <cstdint>

#include "dataplane/tables/index_room.h"
#include "dataplane/tables/permit_room.h"

namespace portcullis::model {

struct Limits {
  uint32_t eips = 65536;       // bindings
  uint32_t ipv6_eips = 65536;  // those of IPv6 among them
  uint32_t vms = 65536;
  uint32_t tenants = 65536;              // that have EIPs
  uint32_t index_pages = 64;             // /16s that IPv4 pools touch, and 65,536s of local IPv6 pools
  uint32_t ipv6_pools = max_ipv6_pools;  // of both kinds
  uint32_t rules_per_eip = 100'000;      // compiled: (rule, prefix or tag) pairs
  uint32_t permit_chunks = 65536;        // for compiled rules beyond the inline ones, all EIPs together
  uint32_t links = 4096;                 // different (port, VLAN tags) and (port, tunnel) of all vms
  uint32_t tunnel_remotes = 1024;        // different (port, remote) of all vms behind tunnels
  uint32_t tags_per_eip = 15;
  uint32_t tag_sets = 65536;        // EIPs with at least one tag
  uint32_t flows = 65536;           // flow entries of a worker
  uint32_t tenant_quotas = 65536;   // tenants with a quota of their own
  int64_t quarantine_ms = 600'000;  // a released address rests this long

  // Quotas where none is set.
  uint32_t eips_per_tenant = 65536;
  uint32_t rules_per_tenant = UINT32_MAX;       // compiled, of all lists together
  uint32_t default_rules_per_eip = UINT32_MAX;  // never more than rules_per_eip
  uint32_t flows_per_eip = 4096;
  uint32_t flows_per_tenant = UINT32_MAX;
};

}  // namespace portcullis::model
