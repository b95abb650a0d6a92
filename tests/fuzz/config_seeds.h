// Two configurations without a mistake: one that says least, and one that says something in every part.
#pragma once

namespace portcullis::fuzz {

inline constexpr char least[] = R"(
ports { name: "up" device: "net_null0" role: UPLINK next_hop { mac: "02:00:00:00:00:02" } }
ports { name: "ep" device: "net_null1" role: ENDPOINT }
workers { cores: 1 }
)";

inline constexpr char most[] = R"(
eal { no_huge: true memory_mb: 256 file_prefix: "lab" main_core: 0 }
ports {
  name: "uplink" device: "net_null0" role: UPLINK mtu: 1500 rx_descriptors: 512 tx_descriptors: 512 punt_rate: 10
  next_hop { address: "198.51.100.2" } next_hop6 { address: "fe80::1" } proxy_arp: true
}
ports {
  name: "ep0" device: "0000:3b:00.0" role: ENDPOINT endpoint_next_hop: "10.0.0.1" endpoint_next_hop6: "fe80::2"
}
workers { cores: [1] idle_polls: 256 idle_sleep_us: 50 }
gateway {
  addresses: "198.51.100.1/24" addresses: "2001:db8::1/64" tap: "gw0" icmp_error_rate: 5
  permit { name: "ping" direction: INBOUND remote { any: true } protocol: "icmp" icmp_type: 8 icmp_code: 0 }
  permit {
    name: "bgp" direction: INBOUND remote { prefixes { prefixes: "198.51.100.254" prefixes: "2001:db8::/64" } }
    protocol: "tcp" local_ports { first: 179 last: 179 } remote_ports { first: 1024 last: 65535 }
  }
}
pools { name: "public" prefix: "203.0.113.0/24" }
pools { name: "six" prefix: "2001:db8:1::/64" provider: true }
capacity {
  eips: 64 index_pages: 32 rules_per_eip: 16 permit_chunks: 64 flows: 1024 flows_per_eip: 16 tag_sets: 8
  eips_per_tenant: 4 packet_buffers: 4096 vms: 64 fragments: 64 ipv6_flows: 64 ipv6_eips: 8
  rules_per_tenant: 64 flows_per_tenant: 64 tenants: 4 default_rules_per_eip: 8
}
flows { tcp_established: 1 tcp_transitory: 2 udp: 3 icmp: 4 other: 5 fragment: 6 quarantine: 7 }
api {
  socket: "/run/api.sock" audit_log: "/var/audit"
  tls { listen: "192.0.2.1:8443" certificate: "/gw.pem" key: "/gw.key" client_ca: "/gw.pem" }
}
store { path: "/var/state.db" }
metrics { listen: "127.0.0.1:9464" }
denied_log { packets_a_second: 5 }
)";

}  // namespace portcullis::fuzz
