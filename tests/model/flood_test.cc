// Default-off is also default-cheap: what outsiders send to a permitted port, and what the vm answers, leaves
// no trace in the flow table.
#include <gtest/gtest.h>

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
        gateway_(setup_, ports_, {.flow_capacity = 65536}, 64) {
    gateway_.tables().next_hop.set(gateway_.uplink(), router);
    enforce(model().plan_create_pool(
        {"a", Ipv4Prefix(Ipv4Addr::of(198, 51, 100, 0), 24), model::PoolKind::local}));
    enforce(model().plan_create_vm({"acme", "web", {"left", vm_mac}, dip}));
    eip_ = enforce(model().plan_request_eip({"acme", "web"}, {}, now_ms)).address;
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

}  // namespace
}  // namespace portcullis::testing
