// What parts of a configuration that are right by themselves get wrong together: the addresses of tunnels,
// routers, pools and of the gateway.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/unit/config/good_lines.h"

namespace portcullis::config {
namespace {

using Mistakes = std::vector<std::string>;

// The good lines with `port` in the place of the endpoint port, and one line more.
Mistakes mistakes_with(const std::string& port, const std::string& more = "") {
  std::vector<std::string> lines = good_lines();
  lines[1] = port;
  lines.push_back(more);
  return mistakes_in(join(lines));
}

std::string port_with(const std::string& tunnel) {
  return R"(ports { name: "ep" device: "net_null1" role: ENDPOINT tunnel { )" + tunnel + " } }";
}

constexpr auto both_families =
    R"(addresses: ["192.0.2.1/24", "2001:db8:2::1/64"] next_hop: "192.0.2.254" next_hop6: "2001:db8:2::fe")";

TEST(Pools, LieApartFromTunnels) {
  EXPECT_EQ(mistakes_with(port_with(both_families)), Mistakes{});
  EXPECT_EQ(mistakes_with(port_with(both_families), R"(pools { name: "b" prefix: "192.0.2.2/31" })"),
            Mistakes{});
  EXPECT_EQ(mistakes_with(port_with(both_families), R"(pools { name: "b" prefix: "2001:db8:2:1::/64" })"),
            Mistakes{});
  EXPECT_EQ(
      mistakes_with(port_with(both_families), R"(pools { name: "b" prefix: "192.0.2.0/25" })"),
      (Mistakes{
          "c:6:19: pools[1].prefix is 192.0.2.0/25, which has 192.0.2.1 of ports[1].tunnel.addresses[0] "
          "in it, expected a pool apart from the underlay"}));
  EXPECT_EQ(
      mistakes_with(port_with(both_families),
                    R"(pools { name: "b" prefix: "192.0.2.254/32" provider: true })"),
      (Mistakes{
          "c:6:19: pools[1].prefix is 192.0.2.254/32, which has 192.0.2.254 of ports[1].tunnel.next_hop "
          "in it, expected a pool apart from the underlay"}));
  EXPECT_EQ(mistakes_with(port_with(both_families), R"(pools { name: "b" prefix: "2001:db8:2::/64" })"),
            (Mistakes{"c:6:19: pools[1].prefix is 2001:db8:2::/64, which has 2001:db8:2::1 of "
                      "ports[1].tunnel.addresses[1] in it, expected a pool apart from the underlay",
                      "c:6:19: pools[1].prefix is 2001:db8:2::/64, which has 2001:db8:2::fe of "
                      "ports[1].tunnel.next_hop6 in it, expected a pool apart from the underlay"}));
}

TEST(Pools, AreNamedByTheirPlaceInTheTextThoughOneBeforeIsNone) {
  EXPECT_EQ(
      mistakes_with(port_with(R"(addresses: "192.0.2.1/24")"),
                    "pools { name: \"b\" prefix: \"here\" }\npools { name: \"c\" prefix: \"192.0.2.0/24\" }"),
      (Mistakes{
          "c:6:19: pools[1].prefix is \"here\", expected a prefix without bits beyond its length, "
          "203.0.113.0/24 or 2001:db8::/64",
          "c:7:19: pools[2].prefix is 192.0.2.0/24, which has 192.0.2.1 of ports[1].tunnel.addresses[0] "
          "in it, expected a pool apart from the underlay"}));
}

TEST(TunnelAddresses, AreOfOnePort) {
  const auto second = [](const std::string& tunnel) {
    return R"(ports { name: "ep2" device: "net_null2" role: ENDPOINT tunnel { )" + tunnel + " } }";
  };
  EXPECT_EQ(mistakes_with(port_with(both_families), second(R"(addresses: "192.0.2.2/24")")), Mistakes{});
  EXPECT_EQ(
      mistakes_with(port_with(both_families),
                    second("addresses: \"192.0.3.1/24\"\n addresses: \"2001:db8:2::1/48\"")),
      (Mistakes{
          "c:7:2: ports[2].tunnel.addresses[1] is 2001:db8:2::1, which ports[1].tunnel.addresses[1] is, "
          "too, expected an address of this port alone"}));
}

TEST(TunnelNextHops, AreOtherRouters) {
  std::vector<std::string> lines = good_lines();
  lines[1] = port_with("addresses: \"192.0.2.1/24\"\n next_hop: \"192.0.2.7\"");
  EXPECT_EQ(mistakes_in(join(lines)), Mistakes{});
  lines[3] = R"(gateway { addresses: ["198.51.100.1/24", "192.0.2.7/24"] })";
  EXPECT_EQ(
      mistakes_in(join(lines)),
      (Mistakes{"c:3:2: ports[1].tunnel.next_hop is 192.0.2.7, which is the gateway's own address, expected "
                "another router's"}));
}

}  // namespace
}  // namespace portcullis::config
