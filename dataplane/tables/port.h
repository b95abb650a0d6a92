// What the pipeline knows of each port. Fixed at start, read by workers.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "dataplane/tables/next_hop.h"
#include "dataplane/tables/permit.h"
#include "src/net/address.h"

namespace portcullis {

enum class PortRole : uint8_t { none, uplink, endpoint };

struct PortInfo {
  PortRole role = PortRole::none;
  Mac mac;
  uint16_t mtu = 1500;        // L3 bytes
  bool proxy_arp = false;     // uplink: answers for every address of the local pools, to ARP and to ND
  uint32_t punt_rate = 1000;  // packets a second
  Ipv4Addr endpoint_next_hop = link_local_next_hop;  // endpoint: a further address it answers ARP for
  Ipv4Addr next_hop;                                 // uplink: 0.0.0.0 with a fixed MAC
  Ipv6Addr endpoint_next_hop6 = link_local_next_hop6;
  Ipv6Addr next_hop6;  // uplink: :: with a fixed MAC
};

// The gateway's own addresses and the list that guards them (semantics: default-off too).
struct GatewayInfo {
  std::vector<Ipv4Addr> addresses;  // on the uplink; at most a few
  std::vector<Ipv6Addr> addresses6;
  std::vector<PermitRule> permit;  // inbound, prefixes or any
  std::vector<PermitRule6> permit6;
  uint32_t icmp_error_rate = 100;  // a second, of one EIP
};

struct PortTable {
  std::array<PortInfo, max_ports> ports{};
  PortId uplink = 0;
  std::vector<PortId> in_use;  // those a worker polls
};

}  // namespace portcullis
