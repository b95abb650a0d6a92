// Where a vm may be: on which port, behind which VLAN or tunnel, and how many of those there are.
#include "tests/unit/model/fixture.h"

namespace portcullis::model {
namespace {

Encapsulation vlan(uint16_t outer, uint16_t inner = 0) {
  return VlanTags{outer, inner};
}
Encapsulation vxlan(const char* remote, uint32_t vni = 5000) {
  return Tunnel{TunnelProtocol::vxlan, *IpAddr::parse(remote), vni};
}
Encapsulation geneve(const char* remote, uint32_t vni = 5000) {
  return Tunnel{TunnelProtocol::geneve, *IpAddr::parse(remote), vni};
}
Location at(std::string port, Encapsulation encapsulation) {
  return {std::move(port), mac("02:00:00:00:00:01"), encapsulation};
}

// "vms" carries no tunnels; "both" those over either family, with a next hop for IPv4 remotes alone; "four"
// those over IPv4 without a next hop.
EndpointPorts ports() {
  const TunnelEnd ipv4{ip("192.0.2.1"), net("192.0.2.0/24"), true};
  const TunnelEnd ipv6{ip6("2001:db8:2::1"), net("2001:db8:2::/64"), false};
  const TunnelEnd alone{ip("198.18.0.1"), net("198.18.0.0/30"), false};
  return {{"vms", {}}, {"both", {ipv4, ipv6}}, {"four", {alone, std::nullopt}}};
}

class LocationTest : public ModelTest {
 protected:
  LocationTest() { limit({}); }
  void limit(Limits limits) { model_ = Model(limits, ports(), {}, {ip("198.51.100.1")}); }

  [[nodiscard]] Expected<Plan<Vm>> create(const std::string& id, Location location,
                                          const char* dip = "10.0.0.2") const {
    Vm made = vm("acme", id, dip);
    made.location = std::move(location);
    return model_.plan_create_vm(made);
  }
  [[nodiscard]] Expected<Plan<Vm>> move(const std::string& id, const Location& location) const {
    return model_.plan_move_vm({"acme", id}, location);
  }
  [[nodiscard]] testing::AssertionResult is_refused(const Location& location, ErrorCode code,
                                                    const std::string& field, const std::string& words) {
    return refused(create("web", location), code, field, "tenants/acme/vms/web", words);
  }
};

TEST_F(LocationTest, VlanIdentifiers) {
  for (const char* port : {"vms", "both"})
    for (const Encapsulation& good : {vlan(1), vlan(4094), vlan(1, 1), vlan(4094, 4094), vlan(7, 7)})
      EXPECT_TRUE(create("web", at(port, good))) << port << " " << to_string(good);
  EXPECT_TRUE(is_refused(at("vms", vlan(0)), ErrorCode::invalid_argument, "vm.location.vlan.outer",
                         "VLAN identifier 0 is none"));
  EXPECT_TRUE(is_refused(at("vms", vlan(4095)), ErrorCode::invalid_argument, "vm.location.vlan.outer",
                         "VLAN identifier 4095 is none; give one of 1 to 4094"));
  EXPECT_TRUE(is_refused(at("vms", vlan(100, 4095)), ErrorCode::invalid_argument, "vm.location.vlan.inner",
                         "VLAN identifier 4095"));
  EXPECT_TRUE(is_refused(at("vms", vlan(0, 30)), ErrorCode::invalid_argument, "vm.location.vlan.outer",
                         "an inner VLAN 30 needs an outer one"));
}

TEST_F(LocationTest, OfAPortWithTunnelsTheUntaggedFramesAreTheUnderlays) {
  for (const char* port : {"both", "four"})
    EXPECT_TRUE(is_refused(at(port, {}), ErrorCode::failed_precondition, "vm.location",
                           "what is untagged on it is the underlay's"));
  EXPECT_TRUE(create("web", at("vms", {})));
}

TEST_F(LocationTest, TunnelsEndWhereThePortHasAnAddress) {
  for (const Encapsulation& good :
       {vxlan("192.0.2.7"), geneve("192.0.2.7"), vxlan("2001:db8:2::7"), geneve("2001:db8:2::7"),
        vxlan("192.0.2.7", 0), vxlan("192.0.2.7", 0xffffff)})
    EXPECT_TRUE(create("web", at("both", good))) << to_string(good);
  EXPECT_TRUE(is_refused(at("both", vxlan("192.0.2.7", 1u << 24)), ErrorCode::invalid_argument,
                         "vm.location.vxlan.vni", "VNI 16777216 has more than 24 bits"));
  EXPECT_TRUE(is_refused(at("both", geneve("192.0.2.7", 1u << 24)), ErrorCode::invalid_argument,
                         "vm.location.geneve.vni", "more than 24 bits"));
  EXPECT_TRUE(is_refused(at("vms", vxlan("192.0.2.7")), ErrorCode::failed_precondition, "vm.location.port",
                         "port vms has no IPv4 tunnel address"));
  EXPECT_TRUE(is_refused(at("four", geneve("2001:db8:2::7")), ErrorCode::failed_precondition,
                         "vm.location.port", "port four has no IPv6 tunnel address"));
}

TEST_F(LocationTest, ARemoteIsOneOtherStation) {
  for (const char* bad : {"0.0.0.0", "127.0.0.1", "169.254.1.1", "224.0.0.1", "255.255.255.255", "192.0.2.0",
                          "192.0.2.255", "::", "::1", "fe80::7", "ff02::1", "::ffff:192.0.2.7"}) {
    EXPECT_TRUE(is_refused(at("both", vxlan(bad)), ErrorCode::invalid_argument, "vm.location.vxlan.remote",
                           IpAddr::parse(bad)->to_string()));
    EXPECT_TRUE(is_refused(at("both", geneve(bad)), ErrorCode::invalid_argument, "vm.location.geneve.remote",
                           "unicast address"));
  }
  EXPECT_TRUE(create("web", at("both", vxlan("198.51.100.255")))) << "of a link that is not the port's";
  for (const char* own : {"192.0.2.1", "2001:db8:2::1"})
    EXPECT_TRUE(is_refused(at("both", vxlan(own)), ErrorCode::invalid_argument, "vm.location.vxlan.remote",
                           std::string(own) + " is the gateway's own tunnel address on port both"));
  EXPECT_TRUE(is_refused(at("both", vxlan("198.18.0.1")), ErrorCode::invalid_argument,
                         "vm.location.vxlan.remote", "own tunnel address on port four"));
  EXPECT_TRUE(is_refused(at("both", vxlan("198.51.100.1")), ErrorCode::invalid_argument,
                         "vm.location.vxlan.remote", "198.51.100.1 is the gateway's own address"));
  ASSERT_TRUE(model_.restore(State(model_.state())));
  EXPECT_TRUE(is_refused(at("both", vxlan("198.51.100.1")), ErrorCode::invalid_argument,
                         "vm.location.vxlan.remote", "198.51.100.1 is the gateway's own address"));
}

TEST_F(LocationTest, ARemoteIsOnTheLinkOrBehindANextHop) {
  EXPECT_TRUE(create("web", at("both", vxlan("198.51.100.7"))));
  EXPECT_TRUE(is_refused(
      at("four", vxlan("198.51.100.7")), ErrorCode::failed_precondition, "vm.location.vxlan.remote",
      "198.51.100.7 is not on the link 198.18.0.0/30 of port four, which has no next hop for "
      "tunnels (tunnel.next_hop)"));
  EXPECT_TRUE(is_refused(at("both", geneve("2001:db8:3::7")), ErrorCode::failed_precondition,
                         "vm.location.geneve.remote", "(tunnel.next_hop6)"));
}

TEST_F(LocationTest, ARemoteAndAPoolAreApart) {
  carry_out(model_.plan_create_pool(pool("p", "203.0.113.0/24")));
  carry_out(model_.plan_create_pool(pool("far", "198.51.100.0/24", PoolKind::provider)));
  EXPECT_TRUE(is_refused(at("both", vxlan("203.0.113.7")), ErrorCode::failed_precondition,
                         "vm.location.vxlan.remote", "203.0.113.7 lies in pools/p"));
  EXPECT_TRUE(is_refused(at("both", geneve("198.51.100.7")), ErrorCode::failed_precondition,
                         "vm.location.geneve.remote", "lies in pools/far"));

  carry_out(create("web", at("both", vxlan("192.0.2.7"))));
  carry_out(create("db", at("both", geneve("2001:db8:2::7"))));
  EXPECT_TRUE(refused(model_.plan_create_pool(pool("q", "192.0.2.6/31")), ErrorCode::failed_precondition,
                      "pool.prefix", "pools/q", "holds 192.0.2.7, the remote end of a vm's tunnel"));
  EXPECT_TRUE(refused(model_.plan_create_pool(pool("q", "2001:db8:2::/64")), ErrorCode::failed_precondition,
                      "pool.prefix", "pools/q", "holds 2001:db8:2::7"));
  EXPECT_TRUE(model_.plan_create_pool(pool("q", "192.0.2.8/29")));
  EXPECT_TRUE(refused(model_.plan_create_pool(pool("q", "192.0.2.0/30")), ErrorCode::failed_precondition,
                      "pool.prefix", "pools/q",
                      "holds 192.0.2.1, the gateway's own tunnel address on port both"));
  EXPECT_TRUE(refused(model_.plan_update_pool("p", net("192.0.2.0/30")), ErrorCode::failed_precondition,
                      "pool.prefix", "pools/p", "holds 192.0.2.1"));
  EXPECT_TRUE(refused(model_.plan_create_pool(pool("q", "2001:db8:2::/120", PoolKind::provider)),
                      ErrorCode::failed_precondition, "pool.prefix", "pools/q", "holds 2001:db8:2::"));
  carry_out(move("web", at("vms", {})));
  EXPECT_TRUE(model_.plan_create_pool(pool("q", "192.0.2.6/31"))) << "nobody is behind it any more";
}

TEST_F(LocationTest, APrivateAddressIsUniqueOnItsLink) {
  const Location places[] = {at("vms", {}),
                             at("vms", vlan(100)),
                             at("both", vlan(100)),
                             at("both", vlan(100, 30)),
                             at("both", vlan(30, 100)),
                             at("both", vxlan("192.0.2.7")),
                             at("both", vxlan("192.0.2.7", 5001)),
                             at("both", geneve("192.0.2.7")),
                             at("both", vxlan("192.0.2.8")),
                             at("both", vxlan("2001:db8:2::7"))};
  for (size_t i = 0; i < std::size(places); ++i) carry_out(create("vm" + std::to_string(i), places[i]));
  for (size_t i = 0; i < std::size(places); ++i) {
    const std::string owner = "belongs to tenants/acme/vms/vm" + std::to_string(i);
    EXPECT_TRUE(is_refused(places[i], ErrorCode::already_exists, "vm.dip", owner));
    EXPECT_TRUE(create("web", places[i], "10.0.0.3"));
    if (i == 0) continue;
    EXPECT_TRUE(refused(move("vm0", places[i]), ErrorCode::already_exists, "location.port",
                        "tenants/acme/vms/vm0", owner));
  }
  EXPECT_TRUE(is_refused(places[3], ErrorCode::already_exists, "vm.dip",
                         "10.0.0.2 on port both behind VLAN 100.30 belongs"));
}

TEST_F(LocationTest, AMoveBetweenAnyTwo) {
  carry_out(model_.plan_create_pool(pool("p", "203.0.113.0/24")));
  const Location places[] = {at("vms", {}),
                             at("both", vlan(100)),
                             at("both", vlan(100, 30)),
                             at("both", vxlan("192.0.2.7")),
                             at("both", geneve("192.0.2.7")),
                             at("four", geneve("198.18.0.2")),
                             at("both", vxlan("2001:db8:2::7"))};
  carry_out(create("web", places[0]));
  const Eip eip = carry_out(model_.plan_request_eip({"acme", "web"}, "", now));
  for (const Location& from : places)
    for (const Location& to : places) {
      carry_out(move("web", from));
      const Generation before = generation();
      EXPECT_EQ(carry_out(move("web", to)).location, to);
      EXPECT_EQ((*model_.find_vm({"acme", "web"}))->location, to);
      EXPECT_EQ(generation(), from == to ? before : before + 1);
      EXPECT_EQ(model_.state().eips.at(eip.address).binding_generation, generation());
    }
  EXPECT_TRUE(refused(move("web", at("vms", vlan(4095))), ErrorCode::invalid_argument, "location.vlan.outer",
                      "tenants/acme/vms/web", "VLAN"));
}

TEST_F(LocationTest, LinksAreLimited) {
  limit({.links = 2});
  carry_out(create("a", at("vms", vlan(100)), "10.0.0.1"));
  carry_out(create("b", at("both", vxlan("192.0.2.7")), "10.0.0.2"));
  EXPECT_TRUE(refused(create("c", at("both", vlan(100)), "10.0.0.3"), ErrorCode::resource_exhausted,
                      "vm.location", "tenants/acme/vms/c", "all 2 VLANs and tunnels are in use"));
  carry_out(create("c", at("vms", vlan(100)), "10.0.0.3"));  // a link that is there
  carry_out(create("d", at("vms", {}), "10.0.0.4"));         // none at all
  EXPECT_TRUE(refused(move("d", at("vms", vlan(101))), ErrorCode::resource_exhausted, "location",
                      "tenants/acme/vms/d", "capacity.links"));
  EXPECT_FALSE(move("a", at("vms", vlan(101)))) << "c stays behind VLAN 100";
  carry_out(move("b", at("vms", vlan(101))));  // the tunnel that it leaves is free
  EXPECT_FALSE(create("e", at("vms", vlan(102)), "10.0.0.5"));
  carry_out(model_.plan_delete_vm({"acme", "b"}));
  carry_out(create("e", at("vms", vlan(102)), "10.0.0.5"));
  carry_out(move("e", at("vms", {})));
  carry_out(create("f", at("vms", vlan(103)), "10.0.0.6"));
  EXPECT_FALSE(create("g", at("vms", vlan(104)), "10.0.0.7"));
}

TEST_F(LocationTest, TunnelRemotesAreLimited) {
  limit({.tunnel_remotes = 2});
  carry_out(create("a", at("both", vxlan("192.0.2.7"))));
  carry_out(create("b", at("both", vxlan("192.0.2.8"))));
  EXPECT_TRUE(refused(create("c", at("four", vxlan("198.18.0.2"))), ErrorCode::resource_exhausted,
                      "vm.location", "tenants/acme/vms/c", "all 2 remotes of tunnels are in use"));
  carry_out(create("c", at("both", vxlan("192.0.2.7", 5001))));  // one that is there
  carry_out(create("d", at("both", vlan(100))));                 // none at all
  EXPECT_TRUE(refused(move("d", at("both", vxlan("192.0.2.9"))), ErrorCode::resource_exhausted, "location",
                      "tenants/acme/vms/d", "capacity.tunnel_remotes"));
  EXPECT_FALSE(move("a", at("both", vxlan("192.0.2.9")))) << "c stays behind 192.0.2.7";
  carry_out(move("b", at("both", geneve("192.0.2.8"))));  // the same remote
  carry_out(move("b", at("both", vxlan("192.0.2.9"))));   // instead of the one it leaves
  carry_out(model_.plan_delete_vm({"acme", "b"}));
  carry_out(create("e", at("both", vxlan("2001:db8:2::7"))));
  EXPECT_FALSE(create("f", at("both", vxlan("192.0.2.10"))));
}

TEST_F(LocationTest, ARestartKnowsThemAndCountsThem) {
  const Limits limits{.links = 3, .tunnel_remotes = 2};
  limit(limits);
  carry_out(create("a", at("both", vlan(100, 30))));
  carry_out(create("b", at("both", vxlan("192.0.2.7"))));
  carry_out(create("c", at("both", geneve("2001:db8:2::7"))));
  carry_out(create("d", at("vms", {})));
  const State state = model_.state();
  Model fresh(limits, ports());
  ASSERT_TRUE(fresh.restore(state));
  EXPECT_EQ(fresh.state(), state);
  model_ = fresh;
  EXPECT_TRUE(is_refused(at("both", vlan(100, 30)), ErrorCode::already_exists, "vm.dip", "vms/a"));
  EXPECT_TRUE(is_refused(at("both", vlan(101)), ErrorCode::resource_exhausted, "vm.location", "all 3 VLANs"));
  carry_out(model_.plan_delete_vm({"acme", "a"}));
  EXPECT_TRUE(is_refused(at("both", vxlan("192.0.2.8")), ErrorCode::resource_exhausted, "vm.location",
                         "all 2 remotes"));
  EXPECT_TRUE(create("web", at("both", vlan(101))));

  struct Case {
    const char* what;
    Limits limits;
    EndpointPorts ports;
    const char* object;
    const char* words;
  };
  EndpointPorts without = ports();
  without["both"] = {};
  EndpointPorts with = ports();
  with["vms"] = with["four"];
  const Case cases[] = {
      {"links", {.links = 2}, ports(), "tenants/acme/vms/c", "all 2 VLANs and tunnels"},
      {"remotes", {.tunnel_remotes = 1}, ports(), "tenants/acme/vms/c", "all 1 remotes"},
      {"no tunnels any more", {}, without, "tenants/acme/vms/b", "no IPv4 tunnel address"},
      {"tunnels now", {}, with, "tenants/acme/vms/d", "untagged"},
  };
  for (const Case& test : cases) {
    Model restarted(test.limits, test.ports);
    EXPECT_TRUE(refused(restarted.restore(state), ErrorCode::failed_precondition,
                        restarted.restore(state).error().field, test.object, test.words))
        << test.what;
  }
}

}  // namespace
}  // namespace portcullis::model
