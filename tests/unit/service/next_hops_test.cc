// ListNextHops: the next hops of the uplink and of tunnels, who has answered, in pages.
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <string>
#include <vector>

#include "control/service/page.h"
#include "tests/unit/service/api_fixture.h"

namespace portcullis::service {
namespace {

constexpr Ipv4Addr router = Ipv4Addr::of(198, 51, 100, 254);
const Mac router_mac = *Mac::parse("02:00:00:00:00:fe");
const Ipv6Addr router6 = *Ipv6Addr::parse("2001:db8:f::1");

uint64_t steady_ms() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
}

class NextHops : public Api {
 protected:
  std::vector<PortFacts> port_facts() const override {
    return {{uplink, "wan", "net_ring0", 0, router, router6},
            {vm0, "vm0", "net_ring1", -1},
            {hosts, "hosts", "net_ring2", -1}};
  }
  PortInfo& wan() { return plane_.tables->ports.ports[uplink]; }

  // A vm behind a tunnel to 192.0.2.`remote`.
  void add_tunnel(const std::string& id, int remote, int vni) {
    get<v1::CreateVmResponse, v1::CreateVmRequest>(
        "ProviderService/CreateVm", "vm { name: 'tenants/acme/vms/" + id +
                                        "' location { port: 'hosts' mac: '02:00:00:00:00:07' vxlan { " +
                                        "remote: '192.0.2." + std::to_string(remote) +
                                        "' vni: " + std::to_string(vni) + " } } dip: '10.0.0.7' }");
    get<v1::RequestEipResponse, v1::RequestEipRequest>("TenantService/RequestEip",
                                                       "vm: 'tenants/acme/vms/" + id + "'");
  }
  // What the punt thread would have learnt, so long ago.
  void answer(Ipv4Addr remote, Mac mac, std::chrono::milliseconds ago) {
    NeighborTable& neighbors = plane_.tables->neighbors;
    neighbors.for_each([&](NeighborId id, const NeighborKey& key, uint32_t) {
      if (key == NeighborKey{hosts, remote})
        neighbors.set(id, mac, steady_ms() - static_cast<uint64_t>(ago.count()));
    });
  }
  v1::ListNextHopsResponse list(const std::string& request = "") {
    return get<v1::ListNextHopsResponse, v1::ListNextHopsRequest>("ObserveService/ListNextHops", request);
  }
  // Without what time it is.
  static std::string text_of(v1::NextHop next_hop) {
    next_hop.clear_answered_seconds_ago();
    return next_hop.ShortDebugString();
  }
};

TEST_F(NextHops, AnUplinksIsThereFromTheStart) {
  auto reply = list();
  ASSERT_EQ(reply.next_hops_size(), 1);
  EXPECT_EQ(text_of(reply.next_hops(0)),
            R"(port: "ports/wan" family: IPV4 address: "198.51.100.254" state: UNRESOLVED)");
  EXPECT_FALSE(reply.next_hops(0).has_answered_seconds_ago());

  plane_.tables->next_hop.set(uplink, router_mac, steady_ms() - 5000);
  reply = list();
  EXPECT_EQ(text_of(reply.next_hops(0)),
            R"(port: "ports/wan" family: IPV4 address: "198.51.100.254" state: RESOLVED )"
            R"(mac: "02:00:00:00:00:fe")");
  EXPECT_NEAR(reply.next_hops(0).answered_seconds_ago(), 5, 2);

  plane_.tables->next_hop.clear(uplink);
  reply = list();
  EXPECT_EQ(reply.next_hops(0).state(), v1::NextHop::UNRESOLVED);
  EXPECT_EQ(reply.next_hops(0).mac(), "");
  EXPECT_NEAR(reply.next_hops(0).answered_seconds_ago(), 5, 2) << "it is silent since";
}

TEST_F(NextHops, OfBothFamiliesAndOfAFixedMac) {
  wan().next_hop = Ipv4Addr();
  plane_.tables->next_hop.set(uplink, router_mac);
  wan().next_hop6 = router6;
  const auto reply = list();
  ASSERT_EQ(reply.next_hops_size(), 2);
  EXPECT_EQ(
      text_of(reply.next_hops(0)),
      R"(port: "ports/wan" family: IPV4 address: "198.51.100.254" state: FIXED mac: "02:00:00:00:00:fe")");
  EXPECT_FALSE(reply.next_hops(0).has_answered_seconds_ago());
  EXPECT_EQ(text_of(reply.next_hops(1)),
            R"(port: "ports/wan" family: IPV6 address: "2001:db8:f::1" state: UNRESOLVED)");
}

TEST_F(NextHops, OfTunnelsAreThoseOfVmsThatHaveAnEip) {
  populate();
  add_tunnel("a", 7, 1);
  add_tunnel("b", 7, 2);
  add_tunnel("c", 8, 1);
  answer(Ipv4Addr::of(192, 0, 2, 8), *Mac::parse("02:00:00:00:00:08"), std::chrono::seconds(20));
  auto reply = list();
  ASSERT_EQ(reply.next_hops_size(), 3);
  EXPECT_EQ(text_of(reply.next_hops(1)),
            R"(port: "ports/hosts" family: IPV4 address: "192.0.2.7" state: UNRESOLVED tunnels: 2 )"
            R"(remotes: "192.0.2.7")");
  EXPECT_EQ(text_of(reply.next_hops(2)),
            R"(port: "ports/hosts" family: IPV4 address: "192.0.2.8" state: RESOLVED )"
            R"(mac: "02:00:00:00:00:08" tunnels: 1 remotes: "192.0.2.8")");
  EXPECT_NEAR(reply.next_hops(2).answered_seconds_ago(), 20, 2);

  for (const std::string address : {"203.0.113.2", "203.0.113.4"})
    get<v1::ReleaseEipResponse, v1::ReleaseEipRequest>("TenantService/ReleaseEip",
                                                       "name: 'tenants/acme/eips/" + address + "'");
  reply = list();
  ASSERT_EQ(reply.next_hops_size(), 2);
  EXPECT_EQ(reply.next_hops(1).address(), "192.0.2.7");
  EXPECT_EQ(reply.next_hops(1).tunnels(), 1u);
}

// Nothing answers in these tests but answer(): a reply that comes before has not waited.
class MovesBehindTunnels : public NextHops {
 protected:
  static constexpr std::chrono::milliseconds moment{60};  // less than the longest wait
  static constexpr Mac host_mac = {{2, 0, 0, 0, 0, 8}};

  static std::string move_text(const std::string& location) {
    return "name: 'tenants/acme/vms/web' location { port: 'hosts' mac: '02:00:00:00:00:07' " + location +
           " }";
  }
  template <typename Request>
  std::future<Answer> begin(const std::string& method, const std::string& text) {
    return std::async(std::launch::async, [=, this] { return call<Request>(method, text); });
  }
  // The reply comes with the answer of 192.0.2.8.
  void expect_waits(std::future<Answer> reply) {
    EXPECT_EQ(reply.wait_for(moment), std::future_status::timeout) << "nobody has answered";
    answer(Ipv4Addr::of(192, 0, 2, 8), host_mac, std::chrono::seconds(0));
    EXPECT_TRUE(reply.get().status.ok());
  }
};

TEST_F(MovesBehindTunnels, WaitForTheNextHop) {
  populate();
  expect_waits(
      begin<v1::MoveVmRequest>("ProviderService/MoveVm", move_text("vxlan { remote: '192.0.2.8' vni: 1 }")));
}

TEST_F(MovesBehindTunnels, WaitForTheNextHopAsOneOfManyOperations) {
  populate();
  add_vm("acme", "other", 3);
  expect_waits(begin<v1::ApplyRequest>(
      "ProviderService/Apply",
      "operations { set_tag { eip: 'tenants/acme/eips/203.0.113.2' tags: 'x' } } operations { move_vm { " +
          move_text("vxlan { remote: '192.0.2.8' vni: 1 }") + " } }"));
}

TEST_F(MovesBehindTunnels, AreCarriedOutIfNobodyAnswers) {
  populate();
  get<v1::MoveVmResponse, v1::MoveVmRequest>("ProviderService/MoveVm",
                                             move_text("geneve { remote: '192.0.2.8' vni: 1 }"));
  EXPECT_EQ(list().next_hops(1).state(), v1::NextHop::UNRESOLVED);
}

TEST_F(NextHops, ComeInPages) {
  populate();
  for (int remote = 7; remote < 12; ++remote) add_tunnel("vm" + std::to_string(remote), remote, 1);
  const auto all = list();
  ASSERT_EQ(all.next_hops_size(), 6);
  EXPECT_EQ(all.next_page_token(), "");
  for (const int size : {1, 2, 3, 5, 6}) {
    v1::ListNextHopsResponse pages;
    do {
      const auto page =
          list("page_size: " + std::to_string(size) + " page_token: '" + pages.next_page_token() + "'");
      EXPECT_LE(page.next_hops_size(), size);
      pages.clear_next_page_token();
      pages.MergeFrom(page);
    } while (!pages.next_page_token().empty());
    ASSERT_EQ(pages.next_hops_size(), 6) << size;
    for (int n = 0; n < 6; ++n) EXPECT_EQ(text_of(pages.next_hops(n)), text_of(all.next_hops(n))) << size;
  }
}

TEST_F(NextHops, ATokenThatIsNoneOfTheListIsRefused) {
  // As page_token() writes them: "next-hops", then what is no key of it.
  for (const std::string key : {"x", "0", "0 ", "0 198.51.100", "99999 198.51.100.1", "-1 ::"}) {
    v1::ListNextHopsRequest request;
    request.set_page_token(page_token("next-hops", key));
    const Answer answer = call("ObserveService/ListNextHops", request);
    EXPECT_EQ(answer.status.error_code(), grpc::INVALID_ARGUMENT) << key;
    EXPECT_NE(answer.status.error_message().find("page_token"), std::string::npos) << key;
  }
}

}  // namespace
}  // namespace portcullis::service
