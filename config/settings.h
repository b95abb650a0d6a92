// Start-up configuration as plain values, checked and with every default filled in. config.proto documents
// the fields; loader.h makes this of a text file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "control/model/objects.h"
#include "dataplane/tables/flow.h"
#include "dataplane/tables/port.h"
#include "src/net/address.h"
#include "src/net/interface_address.h"

namespace portcullis::config {

struct Settings {
  struct Eal {
    bool no_huge = false;
    uint32_t memory_mb = 0;  // 0: what the tables and buffers need
    std::string file_prefix = "portcullis";
    uint32_t main_core = 0;
    friend bool operator==(const Eal&, const Eal&) = default;
  };

  // The gateway's end of the tunnels of a port.
  struct TunnelEnd {
    std::optional<InterfaceAddress> ipv4;
    std::optional<InterfaceAddress> ipv6;
    std::optional<Ipv4Addr> next_hop;  // for remotes that are not on the link
    std::optional<Ipv6Addr> next_hop6;
    bool strip_inner_vlan = false;   // else a frame that has one is dropped
    bool zero_udp_checksum = false;  // over IPv6 (RFC 6935): send none
    friend bool operator==(const TunnelEnd&, const TunnelEnd&) = default;
  };

  struct Port {
    std::string name;
    std::string device;
    PortRole role = PortRole::none;
    uint16_t mtu = 0;  // L3 bytes; 0: the device's own
    uint16_t rx_descriptors = 1024;
    uint16_t tx_descriptors = 1024;
    uint16_t queues = 1;                         // each way
    uint32_t punt_rate = 1000;                   // packets a second
    std::optional<Ipv4Addr> next_hop;            // uplink
    std::optional<Mac> next_hop_mac;             // uplink: fixed, not resolved by ARP
    bool proxy_arp = false;                      // uplink
    std::optional<Ipv4Addr> endpoint_next_hop;   // endpoint
    std::optional<Ipv6Addr> next_hop6;           // uplink
    std::optional<Mac> next_hop6_mac;            // uplink: fixed, not resolved by Neighbor Discovery
    std::optional<Ipv6Addr> endpoint_next_hop6;  // endpoint
    std::optional<TunnelEnd> tunnel;             // endpoint
    friend bool operator==(const Port&, const Port&) = default;
  };

  struct Workers {
    std::vector<uint32_t> cores;
    uint32_t idle_polls = 0;
    uint32_t idle_sleep_us = 50;
    friend bool operator==(const Workers&, const Workers&) = default;
  };

  struct Gateway {
    std::vector<InterfaceAddress> addresses;  // of both families
    // Those of one, in their order.
    [[nodiscard]] std::vector<IpAddr> addresses_of(IpFamily family) const {
      std::vector<IpAddr> found;
      for (const InterfaceAddress& address : addresses)
        if (address.address.family() == family) found.push_back(address.address);
      return found;
    }
    std::vector<model::PermitRule> permit;  // inbound, prefixes or any, not tracked
    std::string tap = "portcullis0";
    uint32_t icmp_error_rate = 100;  // a second, of one EIP
    friend bool operator==(const Gateway&, const Gateway&) = default;
  };

  struct Capacity {
    uint32_t eips = 65536;
    uint32_t index_pages = 64;
    uint32_t rules_per_eip = 100'000;
    uint32_t permit_chunks = 65536;
    uint32_t flows = 65536;
    uint32_t flows_per_eip = 4096;
    uint32_t tag_sets = 65536;
    uint32_t eips_per_tenant = 65536;
    uint32_t packet_buffers = 0;  // 0: as many as queues and bursts need
    uint32_t vms = 65536;
    uint32_t tenants = 65536;
    uint32_t fragments = 4096;
    uint32_t ipv6_flows = 65536;
    uint32_t ipv6_eips = 65536;
    uint32_t links = 4096;  // VLANs and tunnels, different (port, remote, VNI)
    uint32_t tunnel_remotes = 1024;
    // Quotas where none is set.
    uint32_t rules_per_tenant = UINT32_MAX;
    uint32_t flows_per_tenant = UINT32_MAX;
    uint32_t default_rules_per_eip = 100'000;
    friend bool operator==(const Capacity&, const Capacity&) = default;
  };

  // PEM files, and where the API listens with them.
  struct Tls {
    std::string listen;
    std::string certificate;
    std::string key;
    std::string client_ca;
    friend bool operator==(const Tls&, const Tls&) = default;
  };

  struct Api {
    std::string socket = "/run/portcullis/api.sock";
    std::optional<Tls> tls;
    std::string audit_log;  // given, or beside the store
    friend bool operator==(const Api&, const Api&) = default;
  };

  Eal eal;
  std::vector<Port> ports;
  Workers workers;
  Gateway gateway;
  std::vector<model::Pool> pools;
  Capacity capacity;
  FlowTimeouts timeouts;
  int64_t quarantine_ms = 600'000;
  Api api;
  std::string metrics_listen;            // empty: no page
  uint32_t denied_packets_a_second = 0;  // in the log, of each reason; 0: none
  std::string store_path = "/var/lib/portcullis/state.db";
  uint32_t compact_after = 100'000;  // change sets
  uint32_t compact_after_mb = 64;
  friend bool operator==(const Settings&, const Settings&) = default;
};

}  // namespace portcullis::config
