// All that stages read and control writes, on one NUMA node. Workers get it const.
#pragma once

#include <atomic>
#include <cstdint>

#include "dataplane/tables/binding.h"
#include "dataplane/tables/endpoint.h"
#include "dataplane/tables/flow.h"
#include "dataplane/tables/link.h"
#include "dataplane/tables/neighbor.h"
#include "dataplane/tables/next_hop.h"
#include "dataplane/tables/permit.h"
#include "dataplane/tables/port.h"
#include "dataplane/tables/tag.h"
#include "dataplane/tables/tenant.h"
#include "src/base/expected.h"

namespace portcullis {

struct Capture;

// Decided at start (config.proto, Capacity).
struct TableSizes {
  uint32_t eips = 65536;  // of IPv4
  uint32_t ipv6_eips = 65536;
  uint32_t tenants = 65536;  // that have EIPs
  // Beyond these, for changes in flight: both the records that go and those that come. With as many as a call
  // changes, all of it is placed before it is stored.
  uint32_t spare_records = 4096;  // of each family
  uint32_t spare = 256;           // tenants, tag sets and links
  uint32_t spare_chunks = 1024;   // permit chunks beyond: at least those of one longest list
  uint32_t index_pages = 64;
  uint32_t permit_chunks = 65536;
  uint32_t tag_sets = 65536;
  uint32_t links = 4096;  // VLANs and tunnels
  uint32_t tunnel_remotes = 1024;
};

struct Tables {
  BindingTable binding;
  EndpointTable endpoint;
  EndpointTable6 endpoint6;
  PermitTable permit;
  TagSetTable tags;
  TenantTable tenants;
  LinkTable links;
  NeighborTable neighbors;  // next hops of tunnels; the two below: of the uplink
  NextHopTable next_hop;
  NextHopTable next_hop6;
  PortTable ports;
  GatewayInfo gateway;
  FlowTimeouts timeouts;
  // Raised by the publisher after every update: flow entries may have ceased to count.
  std::atomic<uint64_t> changes{0};
  // What workers show of their packets (capture/capture.h); null: nothing. Taken away with a grace period.
  std::atomic<Capture*> capture{nullptr};

  // resource_exhausted, naming the table that did not fit. Ports, gateway and timeouts are the caller's to
  // fill.
  [[nodiscard]] static Expected<std::unique_ptr<Tables>> create(const TableSizes& sizes, int numa_node);
  [[nodiscard]] size_t bytes() const;
};

}  // namespace portcullis
