// An address that is handed out again inherits nothing: no flow of its old owner admits a packet to the new
// one, and no flow that others had with the old owner admits a packet of the new one.
#include <gtest/gtest.h>

#include "tests/model/world.h"

namespace portcullis::testing {
namespace {

using model::Direction;
using reference::Fate;

constexpr Mac router{{0x02, 0xee, 0, 0, 0, 1}};
constexpr Ipv4Addr client = Ipv4Addr::of(203, 0, 113, 7);
constexpr reference::PortNumber uplink = 0, left = 1;
constexpr uint16_t vm_port = 5000, remote_port = 443;
constexpr int64_t quarantine_ms = 10'000;

model::Vm vm(const std::string& id, uint8_t number) {
  return {"acme", id, {"left", {{0x02, 0x55, 0, 0, 0, number}}}, Ipv4Addr::of(10, 0, 0, number)};
}

class Reissue : public ::testing::Test {
 protected:
  static reference::Setup setup() {
    reference::Setup setup;
    setup.ports = {{.name = "uplink", .uplink = true, .mac = {{0x02, 0xaa, 0, 0, 0, 0}}},
                   {.name = "left", .mac = {{0x02, 0xaa, 0, 0, 0, 1}}}};
    setup.flow_quota = 100;
    return setup;
  }

  Reissue() : world_(setup(), {.quarantine_ms = quarantine_ms}) {
    world_.set_neighbour(router);
    // One address to hand out, and so the same one again; and another for the peer.
    world_.create_pool({"one", Ipv4Prefix(Ipv4Addr::of(198, 51, 100, 1), 32), model::PoolKind::local});
    world_.create_pool({"two", Ipv4Prefix(Ipv4Addr::of(198, 51, 100, 2), 32), model::PoolKind::local});
    for (const model::Vm& made : {old_owner_, new_owner_, peer_}) world_.create_vm(made);
    eip_ = world_.request_eip({"acme", "old"}, "one").value().v4();
    peer_eip_ = world_.request_eip({"acme", "peer"}, "two").value().v4();
  }
  ~Reissue() override {
    world_.finish();
    EXPECT_TRUE(world_.differences().empty()) << world_.report();
  }

  static std::vector<model::PermitRule> anything_out() {
    return {{.name = "out", .direction = Direction::outbound}};
  }

  Bytes leaving(const model::Vm& from, Ipv4Addr to, uint8_t protocol, uint16_t source_port,
                uint16_t destination_port) {
    return build(Packet{.to = world_.reference().setup().ports[left].mac,
                        .from = from.location.mac,
                        .source = *from.dip,
                        .destination = to,
                        .protocol = protocol,
                        .source_port = source_port,
                        .destination_port = destination_port,
                        .flags = ack});
  }

  Bytes reply_from_outside(uint8_t protocol) {
    return build(Packet{.to = world_.reference().setup().ports[uplink].mac,
                        .from = router,
                        .source = client,
                        .destination = eip_,
                        .protocol = protocol,
                        .source_port = remote_port,
                        .destination_port = vm_port,
                        .flags = ack});
  }

  void hand_on() {
    ASSERT_TRUE(world_.release_eip(eip_));
    EXPECT_FALSE(world_.request_eip({"acme", "new"}, "one")) << "handed out during quarantine";
    world_.advance(quarantine_ms);
    ASSERT_EQ(world_.request_eip({"acme", "new"}, "one"), eip_);
  }

  const model::Vm old_owner_ = vm("old", 10), new_owner_ = vm("new", 11), peer_ = vm("peer", 12);
  World world_;
  Ipv4Addr eip_, peer_eip_;
};

TEST_F(Reissue, RepliesToTheOldOwnerDoNotReachTheNewOne) {
  for (const uint8_t protocol : {tcp, udp}) {
    SCOPED_TRACE(protocol == tcp ? "tcp" : "udp");
    world_.set_permit_list(eip_, anything_out());
    EXPECT_EQ(world_.feed(left, leaving(old_owner_, client, protocol, vm_port, remote_port)).fate,
              Fate::transmitted);
    EXPECT_EQ(world_.feed(uplink, reply_from_outside(protocol)).fate, Fate::transmitted);
    hand_on();
    ASSERT_EQ(world_.reference().flows().size(), 1u) << "the entry has not been aged: the case to be tested";
    EXPECT_EQ(world_.feed(uplink, reply_from_outside(protocol)).reason, "unbound");
    world_.set_permit_list(eip_, anything_out());
    EXPECT_EQ(world_.feed(uplink, reply_from_outside(protocol)).reason, "destination_not_permitted");
    // The new owner's own flow of the same tuple is its own.
    EXPECT_EQ(world_.feed(left, leaving(new_owner_, client, protocol, vm_port, remote_port)).fate,
              Fate::transmitted);
    EXPECT_EQ(world_.feed(uplink, reply_from_outside(protocol)).fate, Fate::transmitted);
    // And back, for the next protocol.
    world_.release_eip(eip_);
    world_.advance(quarantine_ms);
    world_.age_all();
    EXPECT_EQ(world_.reference().flows().size(), 0u);
    ASSERT_EQ(world_.request_eip({"acme", "old"}, "one"), eip_);
  }
}

TEST_F(Reissue, FlowsWithTheOldOwnerDoNotAdmitTheNewOne) {
  // Only the old owner's tag let it talk to the peer.
  world_.set_tag(eip_, {"friend"});
  world_.set_permit_list(
      peer_eip_,
      {{.name = "friends", .direction = Direction::outbound, .remote = std::vector<std::string>{"friend"}}});
  world_.set_permit_list(eip_, {{.name = "in", .direction = Direction::inbound},
                                {.name = "out", .direction = Direction::outbound}});
  EXPECT_EQ(world_.feed(left, leaving(peer_, eip_, udp, vm_port, remote_port)).fate, Fate::transmitted);
  EXPECT_EQ(world_.feed(left, leaving(old_owner_, peer_eip_, udp, remote_port, vm_port)).fate,
            Fate::transmitted);
  hand_on();
  world_.set_permit_list(eip_, anything_out());
  EXPECT_EQ(world_.feed(left, leaving(new_owner_, peer_eip_, udp, remote_port, vm_port)).reason,
            "destination_not_permitted");
}

TEST_F(Reissue, FlowsWithTheOldOwnerDoNotAdmitTheNewOneThoughOneToItMayOpen) {
  world_.set_permit_list(peer_eip_, anything_out());
  world_.set_permit_list(eip_, {{.name = "in", .direction = Direction::inbound},
                                {.name = "out", .direction = Direction::outbound}});
  EXPECT_EQ(world_.feed(left, leaving(peer_, eip_, udp, vm_port, remote_port)).fate, Fate::transmitted);
  hand_on();
  world_.set_permit_list(eip_, {{.name = "in", .direction = Direction::inbound},
                                {.name = "out", .direction = Direction::outbound}});
  const Bytes unasked = leaving(new_owner_, peer_eip_, udp, remote_port, vm_port);
  EXPECT_EQ(world_.feed(left, unasked).reason, "destination_not_permitted");
  EXPECT_EQ(world_.feed(left, leaving(peer_, eip_, udp, vm_port, remote_port)).fate, Fate::transmitted);
  EXPECT_EQ(world_.feed(left, unasked).fate, Fate::transmitted) << "now it is an answer";
}

}  // namespace
}  // namespace portcullis::testing
