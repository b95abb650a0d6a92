// What a device with receive-side scaling would do with what it is told: by DPDK's software form of the hash,
// and the table that it is given. The device itself is not here.
#include "dataplane/ports/receive_scaling.h"

#include <gtest/gtest.h>
#include <rte_thash.h>

#include <array>
#include <initializer_list>
#include <random>
#include <vector>

#include "dataplane/handover.h"
#include "dataplane/ports/ethdev.h"
#include "dataplane/spread.h"

namespace portcullis {
namespace {

rte_eth_dev_info device_that_hashes(uint64_t fields, uint8_t key_bytes = 40) {
  rte_eth_dev_info device{};
  device.flow_type_rss_offloads = fields;
  device.hash_key_size = key_bytes;
  return device;
}

constexpr uint64_t by_source = RTE_ETH_RSS_IP | RTE_ETH_RSS_L3_SRC_ONLY;
constexpr uint64_t by_destination = RTE_ETH_RSS_IP | RTE_ETH_RSS_L3_DST_ONLY;
constexpr uint64_t by_flow = RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_SCTP;

std::vector<uint32_t> words_of(Ipv4Addr address) {
  return {address.host()};
}
std::vector<uint32_t> words_of(const Ipv6Addr& address) {
  return {static_cast<uint32_t>(address.high() >> 32), static_cast<uint32_t>(address.high()),
          static_cast<uint32_t>(address.low() >> 32), static_cast<uint32_t>(address.low())};
}

// The queue by which a packet comes whose hashed field is `address`.
template <typename Address>
uint16_t queue_of(const ReceiveScaling& scaling, const std::vector<rte_eth_rss_reta_entry64>& table,
                  uint32_t entries, const Address& address) {
  std::vector<uint32_t> words = words_of(address);
  const uint32_t hash = rte_softrss(words.data(), static_cast<uint32_t>(words.size()), scaling.key.data());
  const uint32_t entry = hash % entries;
  const rte_eth_rss_reta_entry64& group = table[entry / RTE_ETH_RETA_GROUP_SIZE];
  EXPECT_NE(group.mask >> entry % RTE_ETH_RETA_GROUP_SIZE & 1, 0u) << "entry " << entry << " stays as it was";
  return group.reta[entry % RTE_ETH_RETA_GROUP_SIZE];
}

TEST(ReceiveScaling, WhatAWorkerOwnsComesByItsQueue) {
  std::mt19937_64 random(1);
  for (const uint8_t key_bytes : {uint8_t{40}, uint8_t{52}}) {
    const auto scaling = ReceiveScaling::of(device_that_hashes(by_source, key_bytes), true, false);
    ASSERT_TRUE(scaling.is_by_remote);
    ASSERT_EQ(scaling.key.size(), key_bytes);
    for (const uint16_t entries : std::initializer_list<uint16_t>{128, 256, 512, 2048})
      for (uint16_t workers = 2; workers <= 9; ++workers) {
        const auto handover = Handover::create(workers, -1);
        ASSERT_TRUE(handover) << handover.error().message;
        const auto table = redirection_of(entries, workers);
        for (int n = 0; n < 200; ++n) {
          const auto ipv4 = Ipv4Addr::from_host(static_cast<uint32_t>(random()));
          const auto ipv6 = Ipv6Addr::of(random(), random());
          ASSERT_EQ(queue_of(scaling, table, entries, ipv4), (*handover)->owner(Spread::fold(ipv4)));
          ASSERT_EQ(queue_of(scaling, table, entries, ipv6), (*handover)->owner(Spread::fold(ipv6)));
        }
      }
  }
}

TEST(ReceiveScaling, ASmallerTableSpreadsOverAllQueues) {
  const auto table = redirection_of(64, 4);
  ASSERT_EQ(table.size(), 1u);
  EXPECT_EQ(table[0].mask, UINT64_MAX);
  std::array<uint32_t, 4> entries{};
  for (const uint16_t queue : table[0].reta) ++entries.at(queue);
  for (const uint32_t count : entries) EXPECT_EQ(count, 16u);
}

TEST(ReceiveScaling, TheRemoteIsTheSourceAtAnUplinkAndTheDestinationAtEndpoints) {
  const auto all = device_that_hashes(by_source | by_destination | by_flow);
  EXPECT_EQ(ReceiveScaling::of(all, true, false).fields, by_source);
  EXPECT_EQ(ReceiveScaling::of(all, false, false).fields, by_destination);
  EXPECT_TRUE(ReceiveScaling::of(all, false, false).is_by_remote);
}

TEST(ReceiveScaling, WithoutOneAddressAloneFlowsAreSpread) {
  const auto plain = ReceiveScaling::of(device_that_hashes(by_flow), true, false);
  EXPECT_FALSE(plain.is_by_remote);
  EXPECT_EQ(plain.fields, by_flow);
  const auto other_end =
      ReceiveScaling::of(device_that_hashes(by_flow | RTE_ETH_RSS_L3_DST_ONLY), true, false);
  EXPECT_FALSE(other_end.is_by_remote);
  EXPECT_EQ(other_end.fields, by_flow);
  const auto tunnels = ReceiveScaling::of(device_that_hashes(by_source | by_flow), true, true);
  EXPECT_FALSE(tunnels.is_by_remote) << "outer addresses say nothing of flows";
  EXPECT_EQ(tunnels.fields, by_flow);
  EXPECT_EQ(ReceiveScaling::of(device_that_hashes(0), true, false).fields, 0u);
}

// One that hashes flows, but neither source nor destination alone.
TEST(ReceiveScaling, ADeviceOfSeveralQueuesTakesIt) {
  auto port = EthPort::probe("net_null7,no-rx=1");
  ASSERT_TRUE(port) << port.error().message;
  const auto pool = create_packet_pool("scaling", 8191, port->mtu(), port->numa_node());
  ASSERT_TRUE(pool) << pool.error().message;
  const auto configured = port->configure({.queues = 4, .remote_is_source = true}, *pool);
  ASSERT_TRUE(configured) << configured.error().message;
  EXPECT_EQ(port->receive_queues(), 4);
  EXPECT_EQ(port->transmit_queues(), 4);
  EXPECT_FALSE(port->spreads_by_remote());
  rte_eth_dev_info info{};
  ASSERT_EQ(rte_eth_dev_info_get(port->id(), &info), 0);
  EXPECT_EQ(info.nb_rx_queues, 4);
  const auto started = port->start();
  EXPECT_TRUE(started) << started.error().message;
}

}  // namespace
}  // namespace portcullis
