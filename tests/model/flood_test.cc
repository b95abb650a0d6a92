// Default-off is also default-cheap: what outsiders send to a permitted port, and what the vm answers, leaves
// no trace in the flow table.
#include <gtest/gtest.h>
#include <malloc.h>
#include <rte_malloc.h>

#include <random>

#include "tests/model/frames.h"
#include "tests/model/gateway_under_test.h"
#include "tests/model/world.h"

namespace portcullis::testing {
namespace {

using model::Direction;
using model::PermitRule;

constexpr Mac router{{0x02, 0xee, 0, 0, 0, 1}};
constexpr Mac vm_mac{{0x02, 0x55, 0, 0, 0, 1}};
constexpr Ipv4Addr dip = Ipv4Addr::of(10, 0, 0, 10);
constexpr uint64_t now_ms = 1'000'000;
constexpr size_t uplink = 0, endpoints = 1;
constexpr uint32_t burst = 64;

class Flood : public ::testing::Test {
 protected:
  static reference::Setup setup() {
    reference::Setup setup;
    setup.ports = {{.name = "uplink", .uplink = true, .mac = {{0x02, 0xaa, 0, 0, 0, 0}}},
                   {.name = "left", .mac = {{0x02, 0xaa, 0, 0, 0, 1}}}};
    setup.flow_quota = 1'000'000;
    return setup;
  }

  Flood()
      : ports_(Bench::instance().ports(2)),
        setup_(setup()),
        gateway_(setup_, ports_, {.flow_capacity = capacity}, 64) {
    gateway_.tables().next_hop.set(gateway_.uplink(), router);
    enforce(model().plan_create_pool(
        {"a", Ipv4Prefix(Ipv4Addr::of(198, 51, 100, 0), 24), model::PoolKind::local}));
    enforce(model().plan_create_vm({"acme", "web", {"left", vm_mac}, dip}));
    eip_ = enforce(model().plan_request_eip({"acme", "web"}, {}, now_ms)).address.v4();
  }

  template <typename Reply>
  Reply enforce(const Expected<model::Plan<Reply>>& plan) {
    gateway_.set_online(false);
    Reply reply = gateway_.enforce(plan.value());
    gateway_.set_online(true);
    return reply;
  }

  const model::Model& model() const { return gateway_.model(); }

  // Both directions of the service are what a busy public server has: anyone in, anything out.
  void permit(bool tracked) {
    const PermitRule any_out{.name = "out", .direction = Direction::outbound};
    const PermitRule http{.name = "http",
                          .direction = Direction::inbound,
                          .protocol = tcp,
                          .local_ports = {80, 80},
                          .tracked = tracked};
    const PermitRule dns{.name = "dns",
                         .direction = Direction::inbound,
                         .protocol = udp,
                         .local_ports = {53, 53},
                         .tracked = tracked};
    enforce(model().plan_set_permit_list("acme", eip_, {any_out, http, dns}, false));
  }

  Ipv4Addr random_source() {
    for (;;) {
      const Ipv4Addr address = Ipv4Addr::from_host(static_cast<uint32_t>(random_()));
      const uint32_t first = address.host() >> 24;
      if (first != 0 && first != 127 && first != 169 && first < 224 && first != 198) return address;
    }
  }

  Bytes attack() {
    Packet packet{
        .to = setup_.ports[uplink].mac, .from = router, .source = random_source(), .destination = eip_};
    packet.protocol = random_() % 2 == 0 ? tcp : udp;
    packet.flags = syn;
    packet.source_port = static_cast<uint16_t>(random_());
    packet.destination_port = packet.protocol == tcp ? 80 : 53;
    return build(packet);
  }

  Bytes answer(const Bytes& frame) const {
    Packet packet{
        .to = get_mac(frame, 6), .from = vm_mac, .source = dip, .destination = get_address(frame, 26)};
    packet.protocol = frame[ip_at + 9];
    packet.flags = syn | ack;
    packet.source_port = get16(frame, transport_at + 2);
    packet.destination_port = get16(frame, transport_at);
    return build(packet);
  }

  // A burst of attackers, and of the vm's answers to those that reached it; how many answers went out.
  size_t one_burst() {
    for (uint32_t i = 0; i < burst; ++i) EXPECT_TRUE(ports_[uplink]->feed(attack()));
    gateway_.worker().poll(now_ms);
    for (const Bytes& frame : ports_[endpoints]->collect())
      EXPECT_TRUE(ports_[endpoints]->feed(answer(frame)));
    gateway_.worker().poll(now_ms);
    return ports_[uplink]->collect().size();
  }

  // What is allocated now, from DPDK's heap and from the process's own.
  static std::pair<size_t, size_t> allocated() {
    size_t from_dpdk = 0;
    for (int node = 0; node < RTE_MAX_NUMA_NODES; ++node) {
      rte_malloc_socket_stats stats;
      if (rte_malloc_get_socket_stats(node, &stats) == 0) from_dpdk += stats.heap_allocsz_bytes;
    }
    return {from_dpdk, mallinfo2().uordblks};
  }

  static constexpr uint32_t capacity = 65536;  // flow entries
  std::vector<RingPort*> ports_;
  reference::Setup setup_;
  GatewayUnderTest gateway_;
  Ipv4Addr eip_;
  std::mt19937_64 random_{4711};
};

TEST_F(Flood, AMillionSourcesOpenNoFlow) {
  permit(false);
  constexpr uint32_t bursts = 1'000'000 / burst;
  for (uint32_t n = 0; n < bursts; ++n) {
    ASSERT_EQ(one_burst(), burst) << "in burst " << n;
    ASSERT_EQ(gateway_.worker().flows().size(), 0u) << "after burst " << n;
  }
  const WorkerCounters& counters = gateway_.worker().counters();
  EXPECT_EQ(counters.dropped_all(), 0u);
  EXPECT_EQ(counters.transmitted(), 2u * bursts * burst);
  // The list does permit everything outward: the vm's own packet passes, and opens a flow.
  Packet own{
      .to = setup_.ports[endpoints].mac, .from = vm_mac, .source = dip, .destination = random_source()};
  ASSERT_TRUE(ports_[endpoints]->feed(build(own)));
  gateway_.worker().poll(now_ms);
  EXPECT_EQ(ports_[uplink]->collect().size(), 1u);
  EXPECT_EQ(gateway_.worker().flows().size(), 1u);
}

// The same flood does open flows where the tenant asked for state: the test above can fail.
TEST_F(Flood, TrackedRulesDoOpenFlows) {
  permit(true);
  one_burst();
  EXPECT_EQ(gateway_.worker().flows().size(), burst);
}

// A full table refuses by name, keeps what is open, takes no memory more, and room comes back with time.
TEST_F(Flood, AFullTableRefusesAndNoMemoryGrows) {
  permit(true);
  Packet opened{.to = setup_.ports[uplink].mac,
                .from = router,
                .source = random_source(),
                .destination = eip_,
                .protocol = tcp,
                .source_port = 999,
                .destination_port = 80,
                .flags = syn};
  const auto passes = [&](const Packet& packet, uint64_t at_ms) {
    EXPECT_TRUE(ports_[uplink]->feed(build(packet)));
    gateway_.worker().poll(at_ms);
    return ports_[endpoints]->collect().size() == 1;
  };
  ASSERT_TRUE(passes(opened, now_ms));
  one_burst();
  const auto [dpdk_before, own_before] = allocated();
  constexpr uint32_t bursts = 16 * capacity / burst;
  for (uint32_t n = 0; n < bursts; ++n) one_burst();
  const auto [dpdk_after, own_after] = allocated();
  EXPECT_EQ(dpdk_after, dpdk_before);
  // Nothing a packet, of a million; the test's own threads may take something.
  EXPECT_LT(own_after, own_before + 4096);
  EXPECT_EQ(gateway_.worker().flows().size(), capacity);
  const WorkerCounters& counters = gateway_.worker().counters();
  const uint64_t refused = counters.dropped[static_cast<size_t>(Drop::flow_table_full)].get();
  EXPECT_EQ(refused, 1 + (bursts + 1) * burst - capacity);
  EXPECT_EQ(counters.dropped_all(), refused);
  opened.flags = ack;
  EXPECT_TRUE(passes(opened, now_ms)) << "an open flow is not refused";
  opened.source_port = 998;
  EXPECT_FALSE(passes(opened, now_ms));
  EXPECT_TRUE(passes(opened, now_ms + FlowTimeouts().tcp_established_ms)) << "all others have expired";
}

}  // namespace
}  // namespace portcullis::testing
