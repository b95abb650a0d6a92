// ListNextHops: the next hops of the uplink and of tunnels, who has answered, in pages.
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <string>
#include <thread>
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

// Nobody answers in these tests but answer(), and what waits would do so for longer than any test.
class NewNextHops : public NextHops {
 protected:
  static constexpr std::chrono::milliseconds moment{60};
  static constexpr std::chrono::seconds long_enough{30};

  std::chrono::milliseconds next_hop_patience() const override { return 4 * long_enough; }
  void SetUp() override {
    NextHops::SetUp();
    populate();
  }

  template <typename Request>
  std::future<Answer> begin(const std::string& method, const std::string& text) {
    return std::async(std::launch::async, [=, this] { return call<Request>(method, text); });
  }
  std::future<Answer> begin_apply(const std::string& text) {
    return begin<v1::ApplyRequest>("ProviderService/Apply", text);
  }
  // The reply comes with the answer of 192.0.2.8, and not before.
  void expect_waits(std::future<Answer> reply) {
    EXPECT_EQ(reply.wait_for(moment), std::future_status::timeout) << "nobody has answered";
    for (int tries = 0; list().next_hops_size() < 2 && tries < 500; ++tries)
      std::this_thread::sleep_for(moment);
    answer(Ipv4Addr::of(192, 0, 2, 8), host_mac, std::chrono::seconds(0));
    expect_comes(std::move(reply));
  }
  void expect_comes(std::future<Answer> reply, grpc::StatusCode code = grpc::OK) {
    ASSERT_EQ(reply.wait_for(long_enough), std::future_status::ready);
    EXPECT_EQ(reply.get().status.error_code(), code);
  }

  static std::string location_of(int vni) {
    return "location { port: 'hosts' mac: '02:00:00:00:00:07' vxlan { remote: '192.0.2.8' vni: " +
           std::to_string(vni) + " } }";
  }
  static std::string move_text(const std::string& vm, int vni) {
    return "name: 'tenants/acme/vms/" + vm + "' " + location_of(vni);
  }
  const Mac host_mac = *Mac::parse("02:00:00:00:00:08");
  const std::string new_vm = "vm { name: 'tenants/acme/vms/new' dip: '10.0.0.9' " + location_of(7) + " }";
  const std::string new_eip = "vm: 'tenants/acme/vms/new'";
};

TEST_F(NewNextHops, AMoveWaitsForIts) {
  expect_waits(begin<v1::MoveVmRequest>("ProviderService/MoveVm", move_text("web", 1)));
  expect_comes(begin<v1::MoveVmRequest>("ProviderService/MoveVm", move_text("web", 2)));
}

TEST_F(NewNextHops, ARequestForAnEipWaitsForIts) {
  get<v1::CreateVmResponse, v1::CreateVmRequest>("ProviderService/CreateVm", new_vm);
  expect_waits(begin<v1::RequestEipRequest>("TenantService/RequestEip", new_eip));
}

TEST_F(NewNextHops, BothWaitInAnApply) {
  expect_waits(
      begin_apply("operations { set_tag { eip: 'tenants/acme/eips/203.0.113.1' tags: 'x' } } "
                  "operations { move_vm { " +
                  move_text("web", 1) + " } }"));
}

TEST_F(NewNextHops, AnEipThatIsRequestedInAnApplyWaits) {
  expect_waits(begin_apply("operations { create_vm { " + new_vm + " } } operations { request_eip { " +
                           new_eip + " } }"));
}

TEST_F(NewNextHops, WhatReachesNobodyWaitsForNone) {
  get<v1::CreateVmResponse, v1::CreateVmRequest>(
      "ProviderService/CreateVm",
      "vm { name: 'tenants/acme/vms/mute' dip: '10.0.0.8' location { "
      "port: 'vm0' mac: '02:00:00:00:00:01' } }");
  expect_comes(begin<v1::MoveVmRequest>("ProviderService/MoveVm", move_text("mute", 1)));
  expect_comes(begin<v1::MoveVmRequest>("ProviderService/MoveVm", move_text("absent", 1)), grpc::NOT_FOUND);
  expect_comes(begin_apply("dry_run: true operations { move_vm { " + move_text("web", 1) + " } }"));
}

class SilentNextHops : public NewNextHops {
 protected:
  std::chrono::milliseconds next_hop_patience() const override { return moment; }
};

TEST_F(SilentNextHops, AreWaitedForAWhile) {
  const auto began = std::chrono::steady_clock::now();
  get<v1::MoveVmResponse, v1::MoveVmRequest>("ProviderService/MoveVm", move_text("web", 1));
  EXPECT_GE(std::chrono::steady_clock::now() - began, moment);
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
