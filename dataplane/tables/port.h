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

// The gateway's own end of the tunnels of an endpoint port. All zero: it has none of the family.
struct TunnelEnd {
  Ipv4Addr ipv4;
  Ipv6Addr ipv6;
  uint8_t ipv4_length = 0;  // of the prefixes on the link
  uint8_t ipv6_length = 0;
  Ipv4Addr next_hop;  // for remotes that are not on it
  Ipv6Addr next_hop6;
  bool strip_inner_vlan = false;
  bool zero_udp_checksum = false;  // over IPv6

  [[nodiscard]] bool is_any() const { return ipv4 != Ipv4Addr() || ipv6 != Ipv6Addr(); }
  [[nodiscard]] bool is_on_link(Ipv4Addr address) const {
    return ipv4 != Ipv4Addr() && Ipv4Prefix(ipv4, ipv4_length).contains(address);
  }
  [[nodiscard]] bool is_on_link(const Ipv6Addr& address) const {
    return ipv6 != Ipv6Addr() && (address.is_link_local() || Ipv6Prefix(ipv6, ipv6_length).contains(address));
  }
  // To whom frames for `remote` go.
  [[nodiscard]] IpAddr next_hop_to(const IpAddr& remote) const {
    if (remote.is_v4()) return is_on_link(remote.v4()) ? remote : IpAddr(next_hop);
    return is_on_link(remote.v6()) ? remote : IpAddr(next_hop6);
  }
};

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
  TunnelEnd tunnel;    // endpoint
};

// The gateway's own addresses and the list that guards them (semantics: default-off too).
struct GatewayInfo {
  std::vector<Ipv4Addr> addresses;  // on the uplink; at most a few
  std::vector<Ipv6Addr> addresses6;
  std::vector<PermitRule> permit;  // inbound, prefixes or any
  std::vector<PermitRule6> permit6;
  uint32_t icmp_error_rate = 100;  // a second, of one EIP
};

inline constexpr uint32_t max_workers = 32;

struct PortTable {
  std::array<PortInfo, max_ports> ports{};
  PortId uplink = 0;
  std::vector<PortId> in_use;  // those that workers poll
};

}  // namespace portcullis
