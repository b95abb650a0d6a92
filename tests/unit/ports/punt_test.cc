// The punt thread turn by turn: frames in by the worker's ring and the kernel, frames out by the other ring.
#include "dataplane/ports/punt.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_rcu_qsbr.h>
#include <rte_ring.h>

#include <array>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tests/model/frames.h"
#include "tests/unit/ports/own_network.h"

namespace portcullis {
namespace {

using testing::Bytes;
using testing::gateway;
using testing::outside;

constexpr PortId uplink = 3;
constexpr PortId endpoint = 4;
constexpr Mac uplink_mac{{0x02, 0, 0, 0, 0, 1}};
constexpr Mac router_mac{{0x02, 0, 0, 0, 0, 2}};
constexpr Mac tap_mac{{0x02, 0x50, 0x43, 0, 0, 1}};
const Ipv4Addr router = Ipv4Addr::of(198, 51, 100, 2);
const Ipv4Addr in_pool = Ipv4Addr::of(203, 0, 113, 5);
constexpr unsigned ring_size = 8;

class PuntTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto tables =
        Tables::create({.eips = 16, .index_pages = 1, .permit_chunks = 16, .tag_sets = 16}, SOCKET_ID_ANY);
    ASSERT_TRUE(tables) << tables.error().message;
    tables_ = std::move(*tables);
    tables_->ports.uplink = uplink;
    tables_->ports.ports[uplink].role = PortRole::uplink;
    tables_->ports.ports[uplink].mac = uplink_mac;
    tables_->ports.ports[uplink].next_hop = router;
    const Ipv4Prefix pool(Ipv4Addr::of(203, 0, 113, 0), 24);
    ASSERT_TRUE(tables_->binding.reserve_pages(pool));
    tables_->binding.set(View::local, in_pool, IndexEntry::provider);

    rcu_ = static_cast<rte_rcu_qsbr*>(rte_zmalloc("rcu", rte_rcu_qsbr_get_memsize(1), RTE_CACHE_LINE_SIZE));
    ASSERT_EQ(rte_rcu_qsbr_init(rcu_, 1), 0);
    from_worker_ = rte_ring_create("from_worker", ring_size, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
    to_worker_ = rte_ring_create("to_worker", ring_size, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
    buffers_ = rte_pktmbuf_pool_create("punt", buffer_count, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
    ASSERT_NE(buffers_, nullptr);
  }

  void TearDown() override {
    punt_.reset();
    void* rest = nullptr;
    while (rte_ring_dequeue(to_worker_, &rest) == 0) rte_pktmbuf_free(static_cast<rte_mbuf*>(rest));
    EXPECT_EQ(rte_mempool_avail_count(buffers_), buffer_count) << "packet buffers leaked";
    rte_mempool_free(buffers_);
    rte_ring_free(to_worker_);
    rte_ring_free(from_worker_);
    rte_free(rcu_);
  }

  void start(bool with_tap = false) {
    PuntConfig config;
    config.from_worker = from_worker_;
    config.to_worker = to_worker_;
    config.buffers = buffers_;
    config.arp_source = gateway;
    config.neighbor_source = *Ipv6Addr::parse("2001:db8::1");
    if (with_tap) config.tap = TapConfig{"pctap0", tap_mac, 1500, {{gateway, 24}}};
    auto punt = PuntThread::create(std::move(config), *tables_, rcu_);
    ASSERT_TRUE(punt) << punt.error().message;
    punt_ = std::move(*punt);
  }

  rte_mbuf* packet(const Bytes& bytes, PortId port) {
    rte_mbuf* made = rte_pktmbuf_alloc(buffers_);
    std::memcpy(rte_pktmbuf_append(made, static_cast<uint16_t>(bytes.size())), bytes.data(), bytes.size());
    made->port = port;
    return made;
  }

  void punt(const Bytes& bytes, PortId port = uplink) {
    ASSERT_EQ(rte_ring_enqueue(from_worker_, packet(bytes, port)), 0);
  }

  // What was handed to the worker since the last call, all of it for one port.
  std::vector<Bytes> sent(PortId port = uplink) {
    std::vector<Bytes> frames;
    void* object = nullptr;
    while (rte_ring_dequeue(to_worker_, &object) == 0) {
      auto* frame = static_cast<rte_mbuf*>(object);
      EXPECT_EQ(frame->port, port);
      const auto* bytes = rte_pktmbuf_mtod(frame, const uint8_t*);
      frames.emplace_back(bytes, bytes + rte_pktmbuf_pkt_len(frame));
      rte_pktmbuf_free(frame);
    }
    return frames;
  }

  // Outcomes since the last call that are not zero.
  std::map<std::string, uint64_t> outcomes() {
    std::map<std::string, uint64_t> moved;
    for (size_t i = 0; i < punt_outcomes.size(); ++i) {
      const uint64_t now = punt_->counters()[i].get();
      if (now != seen_[i]) moved[punt_outcomes[i].name] = now - seen_[i];
      seen_[i] = now;
    }
    return moved;
  }

  using Outcomes = std::map<std::string, uint64_t>;

  [[nodiscard]] static Bytes arp_reply(Ipv4Addr sender = router, Mac mac = router_mac) {
    return build(testing::Arp{.to = uplink_mac,
                              .from = mac,
                              .operation = 2,
                              .sender_mac = mac,
                              .sender = sender,
                              .target_mac = uplink_mac,
                              .target = gateway});
  }

  [[nodiscard]] std::optional<Mac> next_hop() const {
    Mac mac;
    if (!tables_->next_hop.find(uplink, mac)) return std::nullopt;
    return mac;
  }

  static constexpr unsigned buffer_count = 31;
  std::unique_ptr<Tables> tables_;
  rte_rcu_qsbr* rcu_ = nullptr;
  rte_ring* from_worker_ = nullptr;
  rte_ring* to_worker_ = nullptr;
  rte_mempool* buffers_ = nullptr;
  std::unique_ptr<PuntThread> punt_;
  std::array<uint64_t, punt_outcomes.size()> seen_{};
};

TEST_F(PuntTest, AsksForTheNextHop) {
  start();
  punt_->turn(0);
  const Bytes request = build(testing::Arp{.to = broadcast_mac,
                                           .from = uplink_mac,
                                           .operation = 1,
                                           .sender_mac = uplink_mac,
                                           .sender = gateway,
                                           .target_mac = {},
                                           .target = router});
  EXPECT_EQ(sent(), std::vector<Bytes>{request});
  EXPECT_EQ(outcomes(), (Outcomes{{"arp_asked", 1}}));
  EXPECT_EQ(next_hop(), std::nullopt);
  punt_->turn(999);
  EXPECT_EQ(sent(), std::vector<Bytes>{});
  punt_->turn(1000);
  EXPECT_EQ(sent(), std::vector<Bytes>{request});
}

TEST_F(PuntTest, LearnsItFromAReplyAndForgetsItWhenSilent) {
  start();
  punt(arp_reply());
  punt_->turn(0);
  EXPECT_EQ(next_hop(), router_mac);
  EXPECT_EQ(outcomes(), (Outcomes{{"arp_learned", 1}}));
  for (const uint64_t now : {30'000, 60'000, 90'000}) {
    punt_->turn(now);
    EXPECT_EQ(outcomes(), (Outcomes{{"arp_asked", 1}}));
    EXPECT_EQ(next_hop(), router_mac);
  }
  punt_->turn(120'000);
  EXPECT_EQ(outcomes(), (Outcomes{{"arp_asked", 1}, {"next_hop_lost", 1}}));
  EXPECT_EQ(next_hop(), std::nullopt);
}

TEST_F(PuntTest, SaysWhenItHasLastAnswered) {
  start();
  EXPECT_EQ(tables_->next_hop.answered_ms(uplink), 0u);
  for (const uint64_t now : {1'000, 31'000}) {
    punt(arp_reply());
    punt_->turn(now);
    EXPECT_EQ(tables_->next_hop.answered_ms(uplink), now);
  }
  punt_->turn(61'000);
  EXPECT_EQ(tables_->next_hop.answered_ms(uplink), 31'000u) << "asked again, and silent";
  for (const uint64_t now : {91'000, 121'000, 151'000}) punt_->turn(now);
  ASSERT_EQ(next_hop(), std::nullopt);
  EXPECT_EQ(tables_->next_hop.answered_ms(uplink), 31'000u) << "and forgotten";
}

TEST_F(PuntTest, LearnsFromNothingElse) {
  start();
  punt_->turn(0);
  (void)outcomes();
  Bytes request = arp_reply();
  request[21] = 1;  // the operation
  Bytes cut = arp_reply();
  cut.resize(40);
  punt(arp_reply(outside));
  punt(arp_reply(router, broadcast_mac));
  punt(arp_reply(router, Mac{}));
  punt(arp_reply(), endpoint);
  punt(request);
  punt(cut);
  punt_->turn(1);
  EXPECT_EQ(next_hop(), std::nullopt);
  EXPECT_EQ(outcomes(), (Outcomes{{"arp_unusable", 6}}));
}

// --- the IPv6 next hop ---

const Ipv6Addr gateway6 = *Ipv6Addr::parse("2001:db8::1");
const Ipv6Addr router6 = *Ipv6Addr::parse("fe80::12:3456");

// A message of Neighbor Discovery with one option.
Bytes neighbor(testing::Packet6 packet, uint8_t type, uint16_t flags, const Ipv6Addr& target, uint8_t option,
               Mac mac) {
  packet.protocol = testing::icmpv6;
  packet.icmp_type = type;
  packet.icmp_id = flags;
  packet.icmp_sequence = 0;
  packet.hop_limit = 255;
  packet.payload.resize(16);
  testing::put_address6(packet.payload, 0, target);
  packet.payload.insert(packet.payload.end(), {option, 1});
  packet.payload.insert(packet.payload.end(), mac.bytes.begin(), mac.bytes.end());
  return build(packet);
}

class Ipv6PuntTest : public PuntTest {
 protected:
  void SetUp() override {
    PuntTest::SetUp();
    tables_->ports.ports[uplink].next_hop = Ipv4Addr();
    tables_->ports.ports[uplink].next_hop6 = router6;
    start();
  }
  static Bytes advertisement(const Ipv6Addr& target = router6, Mac mac = router_mac, uint8_t option = 2) {
    return neighbor({.to = uplink_mac, .from = mac, .source = target, .destination = gateway6}, 136, 0xe000,
                    target, option, mac);
  }
  [[nodiscard]] std::optional<Mac> next_hop6() const {
    Mac mac;
    if (!tables_->next_hop6.find(uplink, mac)) return std::nullopt;
    return mac;
  }
};

TEST_F(Ipv6PuntTest, AsksByMulticastAndLearnsFromTheAnswer) {
  punt_->turn(0);
  const Bytes request = neighbor({.to = *Mac::parse("33:33:ff:12:34:56"),
                                  .from = uplink_mac,
                                  .source = gateway6,
                                  .destination = *Ipv6Addr::parse("ff02::1:ff12:3456")},
                                 135, 0, router6, 1, uplink_mac);
  EXPECT_EQ(sent(), std::vector<Bytes>{request});
  EXPECT_EQ(outcomes(), (Outcomes{{"neighbor_asked", 1}}));
  EXPECT_EQ(next_hop6(), std::nullopt);
  punt(advertisement());
  punt_->turn(1);
  EXPECT_EQ(next_hop6(), router_mac);
  EXPECT_EQ(outcomes(), (Outcomes{{"neighbor_learned", 1}}));
}

TEST_F(Ipv6PuntTest, LearnsFromNothingElse) {
  punt_->turn(0);
  (void)outcomes();
  punt(advertisement(*Ipv6Addr::parse("fe80::1")));
  punt(advertisement(router6, broadcast_mac));
  punt(advertisement(router6, Mac{}));
  punt(advertisement(router6, router_mac, 1));  // says where the asker is
  punt(advertisement(), endpoint);
  punt_->turn(1);
  EXPECT_EQ(next_hop6(), std::nullopt);
  EXPECT_EQ(outcomes(), (Outcomes{{"neighbor_unusable", 5}}));
}

// --- next hops of tunnels ---

constexpr Mac endpoint_mac{{0x02, 0, 0, 0, 0, 3}};
constexpr Mac remote_mac{{0x02, 0, 0, 0, 0, 4}};
const Ipv4Addr tunnel_address = Ipv4Addr::of(192, 0, 2, 1), remote = Ipv4Addr::of(192, 0, 2, 9);
const Ipv6Addr tunnel_address6 = *Ipv6Addr::parse("2001:db8:7::1");
const Ipv6Addr remote6 = *Ipv6Addr::parse("2001:db8:7::9");

class TunnelPuntTest : public PuntTest {
 protected:
  void SetUp() override {
    PuntTest::SetUp();
    tables_->ports.ports[uplink].next_hop = Ipv4Addr();
    PortInfo& port = tables_->ports.ports[endpoint];
    port.role = PortRole::endpoint;
    port.mac = endpoint_mac;
    port.tunnel = {.ipv4 = tunnel_address, .ipv6 = tunnel_address6, .ipv4_length = 24, .ipv6_length = 64};
    start();
  }
  NeighborId take(const IpAddr& address) {
    NeighborId id = 0;
    EXPECT_TRUE(tables_->neighbors.take({endpoint, address}, id));
    return id;
  }
  [[nodiscard]] std::optional<MacWord> mac_of(NeighborId id) const {
    MacWord mac;
    if (!tables_->neighbors.find(id, mac)) return std::nullopt;
    return mac;
  }
  static Bytes reply(Ipv4Addr sender = remote, Mac mac = remote_mac) {
    return build(testing::Arp{.to = endpoint_mac,
                              .from = mac,
                              .operation = 2,
                              .sender_mac = mac,
                              .sender = sender,
                              .target_mac = endpoint_mac,
                              .target = tunnel_address});
  }
};

TEST_F(TunnelPuntTest, EachIsAskedForByItsPortAndLearned) {
  const NeighborId id = take(remote);
  punt_->turn(0);
  EXPECT_EQ(sent(endpoint), std::vector<Bytes>{build(testing::Arp{.to = broadcast_mac,
                                                                  .from = endpoint_mac,
                                                                  .operation = 1,
                                                                  .sender_mac = endpoint_mac,
                                                                  .sender = tunnel_address,
                                                                  .target_mac = {},
                                                                  .target = remote})});
  EXPECT_EQ(mac_of(id), std::nullopt);
  punt(reply(), endpoint);
  punt_->turn(1);
  EXPECT_EQ(mac_of(id), MacWord(remote_mac));
  EXPECT_EQ(outcomes(), (Outcomes{{"arp_asked", 1}, {"arp_learned", 1}}));

  const NeighborId id6 = take(remote6);
  punt_->turn(2);
  EXPECT_EQ(sent(endpoint), std::vector<Bytes>{neighbor({.to = *Mac::parse("33:33:ff:00:00:09"),
                                                         .from = endpoint_mac,
                                                         .source = tunnel_address6,
                                                         .destination = *Ipv6Addr::parse("ff02::1:ff00:9")},
                                                        135, 0, remote6, 1, endpoint_mac)});
  punt(neighbor({.to = endpoint_mac, .from = remote_mac, .source = remote6, .destination = tunnel_address6},
                136, 0x6000, remote6, 2, remote_mac),
       endpoint);
  punt_->turn(3);
  EXPECT_EQ(mac_of(id6), MacWord(remote_mac));
}

TEST_F(TunnelPuntTest, LearnsFromNobodyElseAndForgetsWhoIsSilent) {
  const NeighborId id = take(remote);
  punt_->turn(0);
  punt(reply(Ipv4Addr::of(192, 0, 2, 8)), endpoint);
  punt(reply(remote, broadcast_mac), endpoint);
  punt(reply(), uplink);
  punt_->turn(1);
  EXPECT_EQ(mac_of(id), std::nullopt);
  EXPECT_EQ(outcomes(), (Outcomes{{"arp_asked", 1}, {"arp_unusable", 3}}));
  punt(reply(), endpoint);
  punt_->turn(2);
  ASSERT_EQ(mac_of(id), MacWord(remote_mac));
  for (const uint64_t now : {30'002, 60'002, 90'002}) punt_->turn(now);
  EXPECT_EQ(mac_of(id), MacWord(remote_mac));
  punt_->turn(120'002);
  EXPECT_EQ(mac_of(id), std::nullopt);
}

// A number that another next hop gets begins anew.
TEST_F(TunnelPuntTest, WhoIsGoneIsAskedForNoMore) {
  const NeighborId id = take(remote);
  punt_->turn(0);
  punt(reply(), endpoint);
  punt_->turn(1);
  ASSERT_EQ(mac_of(id), MacWord(remote_mac));
  EXPECT_EQ(tables_->neighbors.answered_ms(id), 1u);
  tables_->neighbors.retire(id);
  (void)sent(endpoint);
  punt(reply(), endpoint);
  punt_->turn(60'000);
  EXPECT_EQ(sent(endpoint), std::vector<Bytes>{});
  tables_->neighbors.free(id);
  const NeighborId next = take(Ipv4Addr::of(192, 0, 2, 10));
  ASSERT_EQ(next, id);
  EXPECT_EQ(mac_of(next), std::nullopt);
  EXPECT_EQ(tables_->neighbors.answered_ms(next), 0u);
  punt_->turn(60'001);
  EXPECT_EQ(sent(endpoint).size(), 1u) << "at once";
}

TEST_F(PuntTest, AFixedMacIsNeitherAskedForNorOverwritten) {
  tables_->ports.ports[uplink].next_hop = Ipv4Addr{};
  tables_->next_hop.set(uplink, router_mac);
  start();
  punt(arp_reply(Ipv4Addr{}, uplink_mac));
  punt_->turn(0);
  EXPECT_EQ(sent(), std::vector<Bytes>{});
  EXPECT_EQ(next_hop(), router_mac);
  EXPECT_EQ(outcomes(), (Outcomes{{"arp_unusable", 1}}));
}

TEST_F(PuntTest, WithoutATapPacketsForTheGatewayAreCountedAndFreed) {
  start();
  punt_->turn(0);
  (void)outcomes();
  punt(build(
      testing::Packet{.to = uplink_mac, .from = router_mac, .source = outside, .destination = gateway}));
  punt(Bytes(60, 0));
  punt(Bytes(5, 0));
  punt_->turn(1);
  EXPECT_EQ(outcomes(), (Outcomes{{"kernel_refused", 1}, {"unknown_ether_type", 2}}));
}

TEST_F(PuntTest, AFullRingAndNoBufferAreCounted) {
  start();
  std::vector<rte_mbuf*> filling;
  while (rte_mbuf* filler = rte_pktmbuf_alloc(buffers_)) filling.push_back(filler);
  punt_->turn(0);
  EXPECT_EQ(outcomes(), (Outcomes{{"no_buffer", 1}}));
  for (rte_mbuf* filler : filling) {
    filler->port = uplink;
    if (rte_ring_enqueue(to_worker_, filler) != 0) rte_pktmbuf_free(filler);
  }
  punt_->turn(1'000);
  EXPECT_EQ(outcomes(), (Outcomes{{"ring_full", 1}}));
}

// --- with the kernel ---

class PuntTapTest : public PuntTest {
 protected:
  void SetUp() override {
    NEEDS_OWN_NETWORK();
    PuntTest::SetUp();
    start(true);
    punt(arp_reply());
    punt_->turn(0);
    (void)outcomes();
    (void)sent();
  }
  void TearDown() override {
    if (testing::has_own_network()) PuntTest::TearDown();
  }

  // Turns until the kernel has had its say; the first outcome that moves ends it.
  void turn_until_something_happens() {
    for (int n = 0; n < 200; ++n) {
      punt_->turn(1);
      for (size_t i = 0; i < punt_outcomes.size(); ++i)
        if (punt_->counters()[i].get() != seen_[i]) return;
      (void)poll(nullptr, 0, 10);
    }
  }

  static Bytes ping() {
    return build(testing::Packet{.to = uplink_mac,
                                 .from = router_mac,
                                 .source = outside,
                                 .destination = gateway,
                                 .protocol = testing::icmp,
                                 .icmp_id = 9});
  }

  static std::string send_from_gateway(const std::string& to) {
    return testing::output_of(
        "python3 -c \"import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); "
        "s.bind(('198.51.100.1', 4000)); s.sendto(b'x', ('" +
        to + "', 5000))\"");
  }
};

TEST_F(PuntTapTest, TheKernelAnswersAPingByTheUplink) {
  punt(ping());
  turn_until_something_happens();
  EXPECT_EQ(outcomes()["kernel_received"], 1u);
  std::vector<Bytes> frames = sent();
  for (int n = 0; n < 200 && frames.empty(); ++n) {
    (void)poll(nullptr, 0, 10);
    punt_->turn(1);
    frames = sent();
  }
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_EQ(testing::get_mac(frames[0], 0), router_mac);
  EXPECT_EQ(testing::get_mac(frames[0], 6), uplink_mac);
  EXPECT_EQ(testing::get_address(frames[0], 26), gateway);
  EXPECT_EQ(testing::get_address(frames[0], 30), outside);
  EXPECT_EQ(frames[0][testing::transport_at], 0) << "echo reply";
  EXPECT_TRUE(testing::header_checksum_right(frames[0]));
  EXPECT_TRUE(testing::transport_checksum_right(frames[0]));
}

TEST_F(PuntTapTest, WhatTheKernelSendsIntoAPoolIsDropped) {
  ASSERT_EQ(send_from_gateway(in_pool.to_string()), "");
  turn_until_something_happens();
  EXPECT_EQ(outcomes(), (Outcomes{{"to_pool", 1}}));
  EXPECT_EQ(sent(), std::vector<Bytes>{});
}

TEST_F(PuntTapTest, WithoutANextHopNothingGoesOut) {
  tables_->next_hop.clear(uplink);
  ASSERT_EQ(send_from_gateway(outside.to_string()), "");
  turn_until_something_happens();
  EXPECT_EQ(outcomes(), (Outcomes{{"next_hop_unresolved", 1}}));
  EXPECT_EQ(sent(), std::vector<Bytes>{});
}

TEST_F(PuntTapTest, TheThreadDoesItByItself) {
  punt_->start();
  punt(ping());
  std::optional<Bytes> answer;
  for (int n = 0; n < 200 && !answer; ++n) {
    (void)poll(nullptr, 0, 10);
    for (const Bytes& frame : sent())  // among them requests for the next hop
      if (testing::is_ipv4(frame)) answer = frame;
  }
  punt_->stop();
  ASSERT_TRUE(answer);
  EXPECT_EQ(testing::get_address(*answer, 30), outside);
}

}  // namespace
}  // namespace portcullis
