// What a configuration without a mistake says, and how mistakes are reported.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "config/loader.h"
#include "tests/unit/config/good_lines.h"
#include "tests/unit/config/pem.h"

namespace portcullis::config {
namespace {

TEST(Config, DefaultsAreThoseOfTheSchema) {
  const auto settings = parse("c", join(good_lines()), two_cores);
  ASSERT_TRUE(settings);
  EXPECT_EQ(settings->eal.file_prefix, "portcullis");
  EXPECT_FALSE(settings->eal.no_huge);
  ASSERT_EQ(settings->ports.size(), 2u);
  EXPECT_EQ(settings->ports[0].role, PortRole::uplink);
  EXPECT_EQ(settings->ports[0].next_hop, Ipv4Addr::of(198, 51, 100, 2));
  EXPECT_EQ(settings->ports[0].next_hop_mac, std::nullopt);
  EXPECT_EQ(settings->ports[1].device, "0000:3b:00.0");
  EXPECT_EQ(settings->ports[1].mtu, 0);
  EXPECT_EQ(settings->ports[1].rx_descriptors, 1024);
  EXPECT_EQ(settings->ports[1].punt_rate, 1000u);
  EXPECT_EQ(settings->workers.cores, std::vector<uint32_t>{1});
  EXPECT_EQ(settings->workers.idle_polls, 0u);
  EXPECT_EQ(settings->workers.idle_sleep_us, 50u);
  EXPECT_EQ(settings->gateway.addresses,
            (std::vector<InterfaceAddress>{{Ipv4Addr::of(198, 51, 100, 1), 24}}));
  EXPECT_EQ(settings->gateway.tap, "portcullis0");
  EXPECT_EQ(settings->pools,
            (std::vector<model::Pool>{
                {"public", Ipv4Prefix(Ipv4Addr::of(203, 0, 113, 0), 24), model::PoolKind::local}}));
  EXPECT_EQ(settings->capacity.eips, 65536u);
  EXPECT_EQ(settings->capacity.index_pages, 64u);
  EXPECT_EQ(settings->capacity.rules_per_eip, 100'000u);
  EXPECT_EQ(settings->capacity.permit_chunks, 65536u);
  EXPECT_EQ(settings->capacity.flows, 65536u);
  EXPECT_EQ(settings->capacity.flows_per_eip, 4096u);
  EXPECT_EQ(settings->capacity.rules_per_tenant, UINT32_MAX);
  EXPECT_EQ(settings->capacity.flows_per_tenant, UINT32_MAX);
  EXPECT_EQ(settings->capacity.tenants, 65536u);
  EXPECT_EQ(settings->capacity.default_rules_per_eip, 100'000u);
  EXPECT_EQ(settings->capacity.tag_sets, 65536u);
  EXPECT_EQ(settings->capacity.links, 4096u);
  EXPECT_EQ(settings->capacity.tunnel_remotes, 1024u);
  EXPECT_FALSE(settings->ports[1].tunnel);
  EXPECT_EQ(settings->timeouts.tcp_established_ms, 7'440'000u);
  EXPECT_EQ(settings->timeouts.tcp_transitory_ms, 240'000u);
  EXPECT_EQ(settings->timeouts.udp_ms, 120'000u);
  EXPECT_EQ(settings->timeouts.icmp_ms, 60'000u);
  EXPECT_EQ(settings->timeouts.other_ms, 600'000u);
  EXPECT_EQ(settings->quarantine_ms, 600'000);
  EXPECT_EQ(settings->api.socket, "/run/portcullis/api.sock");
  EXPECT_FALSE(settings->api.tls);
  EXPECT_EQ(settings->metrics_listen, "");
  EXPECT_EQ(settings->denied_packets_a_second, 0u);
  EXPECT_EQ(settings->api.audit_log, "/var/lib/portcullis/audit.log");
  EXPECT_EQ(settings->store_path, "/var/lib/portcullis/state.db");
  EXPECT_EQ(settings->compact_after, 100'000u);
  EXPECT_EQ(settings->compact_after_mb, 64u);
}

TEST(Config, WhatIsGivenIsTaken) {
  auto lines = good_lines();
  lines.emplace_back(
      "capacity { eips: 100 flows: 1024 rules_per_eip: 64 rules_per_tenant: 9 flows_per_tenant: 11 } flows { "
      "udp: 5 other: 7 "
      "quarantine: 2 } denied_log { }");
  lines[3] = R"(gateway { addresses: "198.51.100.1/24" tap: "gw0"
                 permit { name: "ping" direction: INBOUND remote { any: true } protocol: "icmp" icmp_type: 8 } })";
  const auto settings = parse("c", join(lines), two_cores);
  ASSERT_TRUE(settings);
  EXPECT_EQ(settings->capacity.eips, 100u);
  EXPECT_EQ(settings->capacity.tag_sets, 100u);
  EXPECT_EQ(settings->capacity.vms, 100u);
  EXPECT_EQ(settings->capacity.eips_per_tenant, 100u);
  EXPECT_EQ(settings->capacity.flows_per_eip, 1024u);
  EXPECT_EQ(settings->capacity.rules_per_tenant, 9u);
  EXPECT_EQ(settings->capacity.flows_per_tenant, 11u);
  EXPECT_EQ(settings->capacity.tenants, 100u);
  EXPECT_EQ(settings->capacity.default_rules_per_eip, 64u);
  EXPECT_EQ(settings->timeouts.udp_ms, 5'000u);
  EXPECT_EQ(settings->timeouts.other_ms, 7'000u);
  EXPECT_EQ(settings->quarantine_ms, 2'000);
  EXPECT_EQ(settings->denied_packets_a_second, 10u);
  EXPECT_EQ(settings->gateway.tap, "gw0");
  ASSERT_EQ(settings->gateway.permit.size(), 1u);
  EXPECT_EQ(settings->gateway.permit[0].protocol, 1);
  EXPECT_EQ(settings->gateway.permit[0].icmp_type, 8);
}

TEST(Config, Ipv6IsTaken) {
  auto lines = good_lines();
  lines[0] =
      R"(ports { name: "up" device: "net_null0" role: UPLINK next_hop { address: "198.51.100.2" } next_hop6 { address: "fe80::2" } })";
  lines[1] = R"(ports { name: "ep" device: "0000:3b:00.0" role: ENDPOINT endpoint_next_hop6: "fe80::ff" })";
  lines[3] = R"(gateway { addresses: "2001:db8::1/64" addresses: "198.51.100.1/24" })";
  lines.emplace_back(R"(pools { name: "six" prefix: "2001:db8:1::/64" })");
  const auto settings = parse("c", join(lines), two_cores);
  ASSERT_TRUE(settings.has_value());
  EXPECT_EQ(settings->ports[0].next_hop6, Ipv6Addr::parse("fe80::2"));
  EXPECT_FALSE(settings->ports[0].next_hop6_mac);
  EXPECT_EQ(settings->ports[1].endpoint_next_hop6, Ipv6Addr::parse("fe80::ff"));
  EXPECT_EQ(settings->gateway.addresses_of(IpFamily::ipv6), std::vector{*IpAddr::parse("2001:db8::1")});
  EXPECT_EQ(settings->gateway.addresses_of(IpFamily::ipv4), std::vector{*IpAddr::parse("198.51.100.1")});
  EXPECT_EQ(settings->pools[1].prefix, *IpPrefix::parse("2001:db8:1::/64"));
  EXPECT_EQ(settings->capacity.ipv6_eips, settings->capacity.eips);
  EXPECT_EQ(settings->capacity.ipv6_flows, settings->capacity.flows);
}

TEST(Config, TunnelsAreTaken) {
  auto lines = good_lines();
  lines[1] =
      R"(ports { name: "ep" device: "0000:3b:00.0" role: ENDPOINT tunnel {
           addresses: "2001:db8:2::1/64" addresses: "192.0.2.1/24" next_hop: "192.0.2.254" next_hop6: "fe80::2"
           strip_inner_vlan: true zero_udp_checksum: true } }
         ports { name: "plain" device: "net_null2" role: ENDPOINT tunnel { addresses: "192.0.2.129/31" next_hop: "192.0.2.128" } })";
  lines.emplace_back("capacity { links: 65000 tunnel_remotes: 7 }");
  EXPECT_EQ(mistakes_in(join(lines)), std::vector<std::string>());
  const auto settings = parse("c", join(lines), two_cores);
  ASSERT_TRUE(settings.has_value());
  EXPECT_FALSE(settings->ports[0].tunnel);
  ASSERT_TRUE(settings->ports[1].tunnel);
  const Settings::TunnelEnd& both = *settings->ports[1].tunnel;
  EXPECT_EQ(both.ipv4, (InterfaceAddress{Ipv4Addr::of(192, 0, 2, 1), 24}));
  EXPECT_EQ(both.ipv6, (InterfaceAddress{*Ipv6Addr::parse("2001:db8:2::1"), 64}));
  EXPECT_EQ(both.next_hop, Ipv4Addr::of(192, 0, 2, 254));
  EXPECT_EQ(both.next_hop6, Ipv6Addr::parse("fe80::2"));
  EXPECT_TRUE(both.strip_inner_vlan);
  EXPECT_TRUE(both.zero_udp_checksum);
  ASSERT_TRUE(settings->ports[2].tunnel);
  const Settings::TunnelEnd& plain = *settings->ports[2].tunnel;
  EXPECT_EQ(plain.next_hop, Ipv4Addr::of(192, 0, 2, 128));
  EXPECT_FALSE(plain.ipv6);
  EXPECT_FALSE(plain.next_hop6);
  EXPECT_FALSE(plain.strip_inner_vlan);
  EXPECT_FALSE(plain.zero_udp_checksum);
  EXPECT_EQ(settings->capacity.links, 65000u);
  EXPECT_EQ(settings->capacity.tunnel_remotes, 7u);
}

TEST(Config, WhereTlsListens) {
  const auto tls_on = [](const std::string& listen) {
    auto lines = good_lines();
    lines.push_back("api { audit_log: \"/var/log/audit\" tls { listen: \"" + listen +
                    "\" certificate: \"/gw.pem\" key: \"/gw.key\" client_ca: \"/gw.pem\" } }");
    return parse("c", join(lines), two_cores);
  };
  for (const char* good : {"192.0.2.1:8443", "0.0.0.0:1", "[::]:65535", "[2001:db8::1]:8443"}) {
    const auto settings = tls_on(good);
    ASSERT_TRUE(settings.has_value()) << good;
    EXPECT_EQ(settings->api.tls->listen, good);
    EXPECT_EQ(settings->api.tls->key, "/gw.key");
    EXPECT_EQ(settings->api.audit_log, "/var/log/audit");
  }
  for (const char* bad : {"8443", ":8443", "192.0.2.1", "192.0.2.1:", "192.0.2.1:0", "192.0.2.1:65536",
                          "192.0.2.1:84x", "192.0.2.1:-1", "gw.example.net:8443", "2001:db8::1:8443",
                          "[192.0.2.1]:8443", "[]:8443", "unix:/x:1", "192.0.2.1:8443 "})
    EXPECT_FALSE(tls_on(bad).has_value()) << bad;
}

TEST(Config, AFixedMacMayComeWithAnAddressAndNeedsNone) {
  auto lines = good_lines();
  lines[0] = R"(ports { name: "up" device: "net_null0" role: UPLINK next_hop { mac: "02:00:00:00:00:02" } })";
  lines[3] = "";
  const auto settings = parse("c", join(lines), two_cores);
  ASSERT_TRUE(settings);
  EXPECT_EQ(settings->ports[0].next_hop, std::nullopt);
  EXPECT_EQ(settings->ports[0].next_hop_mac, (Mac{{2, 0, 0, 0, 0, 2}}));
}

TEST(Config, OneCoreIsSharedWhereThereIsNoOther) {
  auto lines = good_lines();
  lines[2] = "workers { cores: 0 }";
  EXPECT_EQ(mistakes_in(join(lines), Machine{{0}}), std::vector<std::string>{});
}

TEST(Config, MistakesOfAllPartsAreReportedInOrder) {
  EXPECT_EQ(
      mistakes_in("store { path: \"x\" }\nworkers { cores: 9 nap: 1 }\n"),
      (std::vector<std::string>{
          "c:1:1: no port has the role UPLINK, expected exactly one",
          "c:1:1: no port has the role ENDPOINT, expected at least one",
          "c:1:9: store.path is \"x\", expected an absolute path",
          "c:2:11: workers.cores[0] is 9, but this process may not run on such a core, expected one of 0, 1",
          "c:2:20: unknown field \"nap\" in Workers, expected one of cores, idle_polls, idle_sleep_us",
      }));
}

TEST(Config, AFileThatIsNotThereIsAMistake) {
  const auto settings = load("/nonexistent/portcullisd.txtpb", two_cores);
  ASSERT_FALSE(settings);
  ASSERT_EQ(settings.error().size(), 1u);
  EXPECT_EQ(
      settings.error()[0].to_string(),
      "/nonexistent/portcullisd.txtpb:1:1: cannot be read, expected a configuration in Protobuf text format");
}

class Example : public testing::TestWithParam<const char*> {};

TEST_P(Example, IsValid) {
  const auto settings = load(std::string(EXAMPLES) + "/" + GetParam(), two_cores);
  std::string mistakes;
  if (!settings)
    for (const Mistake& mistake : settings.error()) mistakes += mistake.to_string() + "\n";
  EXPECT_EQ(mistakes, "");
}

INSTANTIATE_TEST_SUITE_P(Files, Example, testing::Values("lab.txtpb", "appliance.txtpb", "tunnels.txtpb"),
                         [](const auto& file) {
                           return std::string(file.param, std::string(file.param).find('.'));
                         });

}  // namespace
}  // namespace portcullis::config
