// Rows: a configuration with one thing wrong, and all that must be said about it. Places and words are exact,
// since they are what an operator sees.
#include "config/loader.h"

#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <vector>

#include "tests/unit/config/good_lines.h"
#include "tests/unit/config/pem.h"

namespace portcullis::config {
namespace {

struct Row {
  const char* what;
  int line;  // to replace; 6 is a line after the good ones
  std::string text;
  std::vector<std::string> mistakes;
};

void PrintTo(const Row& row, std::ostream* out) {
  *out << row.what;
}

class BadConfig : public testing::TestWithParam<Row> {};

TEST_P(BadConfig, EveryMistakeIsNamedAtItsPlace) {
  auto lines = good_lines();
  lines.resize(6);
  lines[static_cast<size_t>(GetParam().line - 1)] = GetParam().text;
  EXPECT_EQ(mistakes_in(join(lines)), GetParam().mistakes);
}

const Row rows[] = {
    // --- syntax ---
    {"unknown_field",
     3,
     "workers { cores: 1 idle_poll: 5 }",
     {"c:3:20: unknown field \"idle_poll\" in Workers, expected one of cores, idle_polls, idle_sleep_us"}},
    {"two_unknown_fields",
     3,
     "workers { core: 1 cores: 1 naps: 2 }",
     {"c:3:11: unknown field \"core\" in Workers, expected one of cores, idle_polls, idle_sleep_us",
      "c:3:28: unknown field \"naps\" in Workers, expected one of cores, idle_polls, idle_sleep_us"}},
    {"unknown_value",
     2,
     R"(ports { name: "ep" device: "net_null1" role: ENDPOIN })",
     {"c:2:46: \"ENDPOIN\" is no value of role, expected one of UPLINK, ENDPOINT"}},
    {"wrong_type", 3, "workers { cores: \"one\" }", {"c:3:18: Expected integer, got: \"one\""}},
    {"open_brace", 6, "api {", {"c:7:1: the file ends inside a message, expected a field or }"}},
    {"twice", 6, "workers { }", {"c:6:1: field \"workers\" stands here again, expected it once"}},

    // --- eal, workers ---
    {"main_core_does_not_exist",
     6,
     "eal { main_core: 7 }",
     {"c:6:7: eal.main_core is 7, but this process may not run on such a core, expected one of 0, 1"}},
    {"file_prefix",
     6,
     "eal { file_prefix: \"a/b\" }",
     {"c:6:7: eal.file_prefix is \"a/b\", expected 1 to 64 letters, digits, '_', '.', '-', with a letter or "
      "digit "
      "first"}},
    {"no_worker", 3, "", {"c:1:1: workers.cores names 0 worker cores, expected 1..32"}},
    {"too_many_workers",
     3,
     "workers { cores: [ 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, "
     "1, 1, 1, 1, "
     "1 ] idle_polls: 1 }",
     {"c:3:11: workers.cores names 33 worker cores, expected 1..32"}},
    {"two_workers_on_one_core",
     3,
     "workers { cores: 1 cores: 1 }",
     {"c:3:20: workers.cores[1] is 1, which another worker has, expected another core: a worker polls and "
      "leaves no time to others, unless workers.idle_polls lets it sleep"}},
    {"more_queues_than_workers",
     1,
     "ports { name: \"up\" device: \"net_null0\" role: UPLINK queues: 2 next_hop { mac: "
     "\"02:00:00:00:00:01\" } }",
     {"c:1:53: ports[0].queues is 2, expected 1..1, or 0 for 1"}},
    {"worker_core_does_not_exist",
     3,
     "workers { cores: [ 2 ] }",
     {"c:3:11: workers.cores[0] is 2, but this process may not run on such a core, expected one of 0, 1"}},
    {"worker_on_main_core",
     3,
     "workers {\n  cores: 0\n}",
     {"c:4:3: workers.cores[0] is 0, which is eal.main_core, expected another core: a worker polls and "
      "leaves no "
      "time to others, unless workers.idle_polls lets it sleep"}},
    {"idle_sleep",
     3,
     "workers { cores: 1 idle_sleep_us: 20000 }",
     {"c:3:20: workers.idle_sleep_us is 20000, expected 1..10000, or 0 for 50"}},

    // --- ports ---
    {"no_uplink", 1, "", {"c:1:1: no port has the role UPLINK, expected exactly one"}},
    {"no_endpoint", 2, "", {"c:1:1: no port has the role ENDPOINT, expected at least one"}},
    {"two_uplinks",
     6,
     R"(ports { name: "up2" device: "net_null2" role: UPLINK next_hop { mac: "02:00:00:00:00:02" } })",
     {"c:6:41: ports[2].role is UPLINK, but so is ports[0], expected exactly one uplink"}},
    {"no_role",
     2,
     R"(ports { name: "ep" device: "net_null1" })",
     {"c:1:1: no port has the role ENDPOINT, expected at least one",
      "c:2:1: ports[1].role is not given, expected UPLINK or ENDPOINT"}},
    {"port_name",
     2,
     R"(ports { name: "Ep_0" device: "net_null1" role: ENDPOINT })",
     {"c:2:9: ports[1].name is \"Ep_0\", expected 1 to 63 of a-z, 0-9 and -, with a letter or digit first "
      "and last"}},
    {"port_name_taken",
     2,
     R"(ports { name: "up" device: "net_null1" role: ENDPOINT })",
     {"c:2:9: ports[1].name \"up\" is taken by ports[0].name, expected another name"}},
    {"device",
     2,
     R"(ports { name: "ep" device: "eth0" role: ENDPOINT })",
     {"c:2:20: ports[1].device is \"eth0\", expected a PCI address (0000:3b:00.0) or a vdev "
      "(net_af_packet0,iface=veth0)"}},
    {"device_taken",
     2,
     R"(ports { name: "ep" device: "net_null0,size=64" role: ENDPOINT })",
     {"c:2:20: ports[1].device names the device net_null0, which is taken by ports[0].device, expected "
      "another"}},
    {"mtu",
     2,
     R"(ports { name: "ep" device: "net_null1" role: ENDPOINT mtu: 20 })",
     {"c:2:55: ports[1].mtu is 20, expected 576..9216 bytes, or 0 for the device's own"}},
    {"descriptors_and_punt_rate",
     2,
     "ports {\n  name: \"ep\" device: \"net_null1\" role: ENDPOINT\n  rx_descriptors: 1\n  tx_descriptors: "
     "40000\n"
     "  punt_rate: 9000000\n}",
     {"c:4:3: ports[1].rx_descriptors is 1, expected 64..32768, or 0 for 1024",
      "c:5:3: ports[1].tx_descriptors is 40000, expected 64..32768, or 0 for 1024",
      "c:6:3: ports[1].punt_rate is 9000000, expected 1..1000000, or 0 for 1000"}},
    {"next_hop_missing",
     1,
     R"(ports { name: "up" device: "net_null0" role: UPLINK })",
     {"c:1:1: ports[0].next_hop is not given, expected an address to resolve by ARP, or a fixed mac"}},
    {"next_hop_address",
     1,
     R"(ports { name: "up" device: "net_null0" role: UPLINK next_hop { address: "router" } })",
     {"c:1:64: ports[0].next_hop.address is \"router\", expected an IPv4 address such as 198.51.100.254"}},
    {"next_hop_multicast_mac",
     1,
     R"(ports { name: "up" device: "net_null0" role: UPLINK next_hop { mac: "01:00:5e:00:00:01" } })",
     {"c:1:64: ports[0].next_hop.mac is \"01:00:5e:00:00:01\", expected the MAC of one station, "
      "02:00:00:00:00:01"}},
    {"next_hop_is_gateway",
     1,
     R"(ports { name: "up" device: "net_null0" role: UPLINK next_hop { address: "198.51.100.1" } })",
     {"c:1:64: ports[0].next_hop.address is 198.51.100.1, which is the gateway's own address, expected "
      "another "
      "router's"}},
    {"nothing_to_ask_from",
     4,
     "",
     {"c:1:64: ports[0].next_hop.address is to be resolved by ARP, but gateway.addresses has no IPv4 address "
      "to "
      "ask from, "
      "expected one there, or a fixed mac here"}},
    {"no_ipv6_address_to_ask_from",
     1,
     R"(ports { name: "up" device: "net_null0" role: UPLINK next_hop { address: "198.51.100.2" } next_hop6 { address: "fe80::2" } })",
     {"c:1:102: ports[0].next_hop6.address is to be resolved by Neighbor Discovery, but gateway.addresses "
      "has "
      "no IPv6 address to ask from, expected one there, or a fixed mac here"}},
    {"next_hop6_is_of_ipv4",
     1,
     R"(ports { name: "up" device: "net_null0" role: UPLINK next_hop { address: "198.51.100.2" } next_hop6 { address: "192.0.2.1" mac: "02:00:00:00:00:02" } })",
     {"c:1:102: ports[0].next_hop6.address is \"192.0.2.1\", expected the IPv6 address of one station, "
      "fe80::1"}},
    {"next_hop6_of_nothing",
     1,
     R"(ports { name: "up" device: "net_null0" role: UPLINK next_hop { address: "198.51.100.2" } next_hop6 { } })",
     {"c:1:90: ports[0].next_hop6 says nothing, expected an address to resolve by Neighbor Discovery, or a "
      "fixed mac"}},
    {"next_hop6_on_endpoint",
     2,
     R"(ports { name: "ep" device: "net_null1" role: ENDPOINT next_hop6 { mac: "02:00:00:00:00:02" } })",
     {"c:2:55: ports[1].next_hop6 is given, expected it on the UPLINK only"}},
    {"endpoint_next_hop6_on_uplink",
     1,
     R"(ports { name: "up" device: "net_null0" role: UPLINK next_hop { address: "198.51.100.2" } endpoint_next_hop6: "fd00::1" })",
     {"c:1:90: ports[0].endpoint_next_hop6 is given, expected it on ENDPOINT ports only"}},
    {"more_ipv6_eips_than_eips",
     6,
     "capacity { eips: 10 ipv6_eips: 11 }",
     {"c:6:21: capacity.ipv6_eips is 11, expected 1..10, or 0 for 10"}},
    {"more_tenants_than_eips",
     6,
     "capacity { eips: 10 tenants: 11 }",
     {"c:6:21: capacity.tenants is 11, expected 1..10, or 0 for 10"}},
    {"ipv6_flows_no_power_of_two",
     6,
     "capacity { ipv6_flows: 5000 }",
     {"c:6:12: capacity.ipv6_flows is 5000, expected a power of two: 4096 or 8192"}},
    {"pages_of_an_ipv6_pool",
     6,
     "capacity { index_pages: 16 } pools { name: \"six\" prefix: \"2001:db8::/64\" }",
     {"c:6:12: capacity.index_pages is 16, but the pools touch 17 /16s, expected at least as many"}},
    {"endpoint_next_hop_on_uplink",
     1,
     R"(ports { name: "up" device: "net_null0" role: UPLINK next_hop { address: "198.51.100.2" } endpoint_next_hop: "10.0.0.1" })",
     {"c:1:90: ports[0].endpoint_next_hop is given, expected it on ENDPOINT ports only"}},
    {"uplink_fields_on_endpoint",
     2,
     "ports { name: \"ep\" device: \"net_null1\" role: ENDPOINT\n  proxy_arp: true\n  next_hop { } }",
     {"c:3:3: ports[1].proxy_arp is true, expected it on the UPLINK only",
      "c:4:3: ports[1].next_hop is given, expected it on the UPLINK only"}},
    {"endpoint_next_hop",
     2,
     R"(ports { name: "ep" device: "net_null1" role: ENDPOINT endpoint_next_hop: "127.0.0.1" })",
     {"c:2:55: ports[1].endpoint_next_hop is 127.0.0.1, expected an address that a host can have"}},

    // --- tunnels ---
    {"tunnel_on_uplink",
     1,
     R"(ports { name: "up" device: "net_null0" role: UPLINK next_hop { address: "198.51.100.2" } tunnel { addresses: "192.0.2.1/24" } })",
     {"c:1:90: ports[0].tunnel is given, expected it on ENDPOINT ports only"}},
    {"tunnel_without_address",
     2,
     R"(ports { name: "ep" device: "net_null1" role: ENDPOINT tunnel { strip_inner_vlan: true } })",
     {"c:2:55: ports[1].tunnel.addresses is not given, expected an address of one family, or of each"}},
    {"tunnel_addresses",
     2,
     "ports { name: \"ep\" device: \"net_null1\" role: ENDPOINT tunnel {\n  addresses: \"192.0.2.1\"\n"
     "  addresses: \"127.0.0.1/8\"\n  addresses: \"fe80::1/64\"\n  addresses: \"here/24\"\n"
     "  addresses: \"192.0.2.1/33\" } }",
     {"c:3:3: ports[1].tunnel.addresses[0] is \"192.0.2.1\", expected an address and the length of its "
      "prefix, "
      "198.51.100.1/24 or 2001:db8::1/64",
      "c:4:3: ports[1].tunnel.addresses[1] is 127.0.0.1/8, expected an address that a host can have",
      "c:5:3: ports[1].tunnel.addresses[2] is fe80::1/64, expected an address that a host can have",
      "c:6:3: ports[1].tunnel.addresses[3] is \"here/24\", expected an address and the length of its prefix, "
      "198.51.100.1/24 or 2001:db8::1/64",
      "c:7:3: ports[1].tunnel.addresses[4] is \"192.0.2.1/33\", expected an address and the length of its "
      "prefix, 198.51.100.1/24 or 2001:db8::1/64"}},
    {"tunnel_addresses_of_one_family",
     2,
     "ports { name: \"ep\" device: \"net_null1\" role: ENDPOINT tunnel { addresses: \"192.0.2.1/24\"\n"
     "  addresses: \"2001:db8:2::1/64\"\n  addresses: \"192.0.3.1/24\" } }",
     {"c:4:3: ports[1].tunnel.addresses[2] is 192.0.3.1/24, expected at most one of each family"}},
    {"tunnel_next_hops_off_the_link",
     2,
     "ports { name: \"ep\" device: \"net_null1\" role: ENDPOINT tunnel {\n  addresses: \"192.0.2.1/24\"\n"
     "  addresses: \"2001:db8:2::1/64\"\n  next_hop: \"192.0.3.1\"\n  next_hop6: \"2001:db8:3::1\" } }",
     {"c:5:3: ports[1].tunnel.next_hop is 192.0.3.1, expected another station on the link of the tunnel "
      "address "
      "of its family",
      "c:6:3: ports[1].tunnel.next_hop6 is 2001:db8:3::1, expected another station on the link of the tunnel "
      "address of its family"}},
    {"tunnel_next_hop_is_the_gateway",
     2,
     R"(ports { name: "ep" device: "net_null1" role: ENDPOINT tunnel { addresses: "192.0.2.1/24" next_hop: "192.0.2.1" } })",
     {"c:2:90: ports[1].tunnel.next_hop is 192.0.2.1, expected another station on the link of the tunnel "
      "address "
      "of its family"}},
    {"tunnel_next_hop_is_no_station",
     2,
     "ports { name: \"ep\" device: \"net_null1\" role: ENDPOINT tunnel {\n  addresses: \"192.0.2.1/24\"\n"
     "  addresses: \"2001:db8:2::1/64\"\n  next_hop: \"192.0.2.255\"\n  next_hop6: \"ff02::2\" } }",
     {"c:5:3: ports[1].tunnel.next_hop is 192.0.2.255, expected another station on the link of the tunnel "
      "address of its family",
      "c:6:3: ports[1].tunnel.next_hop6 is ff02::2, expected another station on the link of the tunnel "
      "address "
      "of its family"}},
    {"tunnel_next_hop_of_a_family_without_address",
     2,
     R"(ports { name: "ep" device: "net_null1" role: ENDPOINT tunnel { addresses: "192.0.2.1/24" next_hop6: "fe80::2" } })",
     {"c:2:90: ports[1].tunnel.next_hop6 is fe80::2, expected another station on the link of the tunnel "
      "address "
      "of its family"}},
    {"tunnel_next_hops_of_the_other_family",
     2,
     "ports { name: \"ep\" device: \"net_null1\" role: ENDPOINT tunnel { addresses: \"192.0.2.1/24\"\n"
     "  next_hop: \"fe80::2\"\n  next_hop6: \"192.0.2.254\" } }",
     {"c:3:3: ports[1].tunnel.next_hop is \"fe80::2\", expected an address such as 192.0.2.254",
      "c:4:3: ports[1].tunnel.next_hop6 is \"192.0.2.254\", expected an address such as fe80::1"}},
    {"tunnel_unknown_field",
     2,
     R"(ports { name: "ep" device: "net_null1" role: ENDPOINT tunnel { address: "192.0.2.1/24" } })",
     {"c:2:55: ports[1].tunnel.addresses is not given, expected an address of one family, or of each",
      "c:2:64: unknown field \"address\" in TunnelEnd, expected one of addresses, next_hop, next_hop6, "
      "strip_inner_vlan, zero_udp_checksum"}},
    {"links_and_remotes",
     6,
     "capacity { links: 65001\n tunnel_remotes: 70000 }",
     {"c:6:12: capacity.links is 65001, expected 1..65000, or 0 for 4096",
      "c:7:2: capacity.tunnel_remotes is 70000, expected 1..65000, or 0 for 1024"}},

    // --- gateway ---
    {"gateway_address_without_length",
     4,
     R"(gateway { addresses: "198.51.100.1" })",
     {"c:1:64: ports[0].next_hop.address is to be resolved by ARP, but gateway.addresses has no IPv4 address "
      "to "
      "ask from, "
      "expected one there, or a fixed mac here",
      "c:4:11: gateway.addresses[0] is \"198.51.100.1\", expected an address and the length of its "
      "prefix, "
      "198.51.100.1/24 or 2001:db8::1/64"}},
    {"gateway_address_twice",
     4,
     R"(gateway { addresses: "198.51.100.1/24" addresses: "198.51.100.1/32" })",
     {"c:4:40: gateway.addresses[1] is 198.51.100.1/32 once more, expected each address once"}},
    {"gateway_address_martian",
     4,
     R"(gateway { addresses: "198.51.100.1/24" addresses: "224.0.0.1/24" })",
     {"c:4:40: gateway.addresses[1] is 224.0.0.1/24, expected an address that a host can have"}},
    {"tap",
     4,
     R"(gateway { addresses: "198.51.100.1/24" tap: "a-name-too-long-for-linux" })",
     {"c:4:40: gateway.tap is \"a-name-too-long-for-linux\", expected an interface name: 1 to 15 letters, "
      "digits, "
      "'_', '.', '-', with a letter or digit first"}},
    {"permit_outbound",
     4,
     "gateway { addresses: \"198.51.100.1/24\"\n permit { name: \"r\" remote { any: true }\n  direction: "
     "OUTBOUND } }",
     {"c:6:3: gateway.permit[0].direction is OUTBOUND, expected INBOUND: what the gateway sends is not "
      "judged"}},
    {"permit_tags",
     4,
     "gateway { addresses: \"198.51.100.1/24\"\n permit { name: \"r\" direction: INBOUND\n  remote { tags { "
     "tags: \"t\" } } } }",
     {"c:6:3: gateway.permit[0].remote names tags, expected prefixes or any: the gateway belongs to no "
      "tenant"}},
    {"permit_tracked",
     4,
     "gateway { addresses: \"198.51.100.1/24\"\n permit { name: \"r\" direction: INBOUND remote { any: true "
     "}\n  tracked: true } }",
     {"c:6:3: gateway.permit[0].tracked is true, expected false: the gateway's own traffic has no flow "
      "entries"}},
    {"permit_names",
     4,
     "gateway { addresses: \"198.51.100.1/24\"\n permit { name: \"r\" direction: INBOUND remote { any: true "
     "} }\n"
     " permit { name: \"r\" direction: INBOUND remote { any: true } } }",
     {"c:6:11: gateway.permit[1].name \"r\" is taken by gateway.permit[0].name, expected another name"}},
    {"permit_prefix",
     4,
     "gateway { addresses: \"198.51.100.1/24\"\n permit { name: \"r\" direction: INBOUND\n"
     "  remote { prefixes {\n   prefixes: \"10.0.0.0/8\"\n   prefixes: \"10.0.0.1/8\" } } } }",
     {"c:8:4: gateway.permit[0].remote.prefixes[1] is wrong: '10.0.0.1/8' is no prefix; give "
      "198.51.100.0/24, 2001:db8:1::/48 or a bare "
      "address, with no bit set beyond the length"}},
    {"permit_ports_of_icmp",
     4,
     "gateway { addresses: \"198.51.100.1/24\"\n permit { name: \"r\" direction: INBOUND remote { any: true "
     "}\n"
     "  protocol: \"icmp\"\n  local_ports { first: 1 last: 2 } } }",
     {"c:7:3: gateway.permit[0].local_ports is wrong: only TCP, UDP and SCTP have ports; name one of them as "
      "the "
      "protocol, "
      "or leave "
      "the ports out"}},

    // --- pools ---
    {"pool_prefix",
     5,
     R"(pools { name: "public" prefix: "203.0.113.1/24" })",
     {"c:5:24: pools[0].prefix is \"203.0.113.1/24\", expected a prefix without bits beyond its "
      "length, "
      "203.0.113.0/24 or 2001:db8::/64"}},
    {"pools_overlap",
     6,
     R"(pools { name: "more" prefix: "203.0.112.0/23" provider: true })",
     {"c:6:22: pools[1].prefix is 203.0.112.0/23, which overlaps 203.0.113.0/24 of pool public, expected "
      "pools "
      "apart"}},
    {"pool_martian",
     6,
     R"(pools { name: "all" prefix: "120.0.0.0/5" })",
     {"c:1:1: capacity.index_pages is 64, but the pools touch 2049 /16s, expected at least as many",
      "c:6:21: pools[1].prefix is 120.0.0.0/5, expected addresses that hosts can have"}},
    {"pool_name_taken",
     6,
     R"(pools { name: "public" prefix: "192.0.2.0/24" })",
     {"c:6:9: pools[1].name \"public\" is taken by pools[0].name, expected another name"}},

    // --- capacity, flows ---
    {"flows_no_power_of_two",
     6,
     "capacity { flows: 5000 }",
     {"c:6:12: capacity.flows is 5000, expected a power of two: 4096 or 8192"}},
    {"flows_beyond_any_power_of_two",
     6,
     "capacity { flows: 4294967295 }",
     {"c:6:12: capacity.flows is 4294967295, expected 16..268435456, or 0 for 65536"}},
    {"flows_too_few",
     6,
     "capacity { flows: 8 }",
     {"c:6:12: capacity.flows is 8, expected 16..268435456, or 0 for 65536"}},
    {"default_rules_per_eip",
     6,
     "capacity { rules_per_eip: 64\n default_rules_per_eip: 65 }",
     {"c:7:2: capacity.default_rules_per_eip is 65, expected 1..64, or 0 for 64"}},
    {"flows_per_eip",
     6,
     "capacity { flows: 1024\n flows_per_eip: 2048 }",
     {"c:7:2: capacity.flows_per_eip is 2048, expected 1..1024, or 0 for 1024"}},
    {"chunks_for_one_list",
     6,
     "capacity { permit_chunks: 10 rules_per_eip: 1024 }",
     {"c:6:12: capacity.permit_chunks is 10, but one list of capacity.rules_per_eip rules takes up to 447, "
      "expected at least as many"}},
    {"index_pages",
     6,
     "capacity { index_pages: 1 }\npools { name: \"b\" prefix: \"192.0.2.0/24\" }",
     {"c:6:12: capacity.index_pages is 1, but the pools touch 2 /16s, expected at least as many"}},
    {"packet_buffers",
     6,
     "capacity { packet_buffers: 10 }",
     {"c:6:12: capacity.packet_buffers is 10, expected 1024..16777216, or 0 for as many as queues and bursts "
      "need"}},
    {"idle_time",
     6,
     "flows { udp: 3000000 }",
     {"c:6:9: flows.udp is 3000000, expected 1..2592000, or 0 for 120"}},

    // --- api, store ---
    {"relative_paths",
     6,
     "store { path: \"state.db\" }\n\tapi { socket: \"api.sock\" }",
     {"c:6:9: store.path is \"state.db\", expected an absolute path",
      "c:7:15: api.socket is \"api.sock\", expected an absolute path of at most 107 bytes"}},
    {"compaction",
     6,
     "store { compact_after: 10000001 compact_after_mb: 65537 }",
     {"c:6:9: store.compact_after is 10000001, expected 1..10000000, or 0 for 100000",
      "c:6:33: store.compact_after_mb is 65537, expected 1..65536, or 0 for 64"}},
    {"relative_audit_log",
     6,
     R"(api { audit_log: "audit.log" })",
     {"c:6:7: api.audit_log is \"audit.log\", expected an absolute path"}},
    {"tls_without_anything",
     6,
     "api { tls { } }",
     {"c:6:7: api.tls.listen is \"\", expected an address of this machine and a port, 192.0.2.1:8443 or "
      "[2001:db8::1]:8443",
      "c:6:7: api.tls.certificate is \"\", expected the absolute path of a PEM file",
      "c:6:7: api.tls.key is \"\", expected the absolute path of a PEM file",
      "c:6:7: api.tls.client_ca is \"\", expected the absolute path of a PEM file"}},
    {"metrics_nowhere",
     6,
     "metrics { }",
     {"c:6:1: metrics.listen is \"\", expected an address of this machine and a port, 192.0.2.1:8443 or "
      "[2001:db8::1]:8443"}},
    {"too_many_denied",
     6,
     "denied_log { packets_a_second: 1001 }",
     {"c:6:14: denied_log.packets_a_second is 1001, expected 1..1000, or 0 for 10"}},
    {"tls_files",
     6,
     "api { tls {\n  listen: \"[::]:8443\"\n  certificate: \"/none.pem\"\n  key: \"/note\"\n  client_ca: "
     "\"gw.pem\"\n} }",
     {"c:8:3: api.tls.certificate is \"/none.pem\", which cannot be read",
      "c:9:3: api.tls.key is \"/note\", which holds no private key in PEM, without a passphrase",
      "c:10:3: api.tls.client_ca is \"gw.pem\", expected the absolute path of a PEM file"}},
    {"tls_key_of_another_certificate",
     6,
     R"(api { tls { listen: "192.0.2.1:8443" certificate: "/gw.pem" key: "/other.key" client_ca: "/gw.key" } })",
     {"c:6:61: api.tls.key is \"/other.key\", which holds a key that is not that of the certificate",
      "c:6:79: api.tls.client_ca is \"/gw.key\", which holds no certificate in PEM"}},
};

INSTANTIATE_TEST_SUITE_P(Rows, BadConfig, testing::ValuesIn(rows),
                         [](const auto& row) { return row.param.what; });

}  // namespace
}  // namespace portcullis::config
