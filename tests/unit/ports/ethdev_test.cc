#include "dataplane/ports/ethdev.h"

#include <gtest/gtest.h>
#include <rte_ethdev.h>
#include <rte_mempool.h>

#include <fstream>

#include "dataplane/ports/host_stack.h"
#include "dataplane/ports/numa.h"
#include "tests/unit/ports/own_network.h"

namespace portcullis {
namespace {

using testing::output_of;

// A pair of interfaces for as long as it lives.
struct Veth {
  Veth() {
    (void)output_of("ip link add pcv0 type veth peer name pcv1");
    (void)output_of("ip link set pcv0 mtu 1300 address 02:00:00:00:00:33 up");
    (void)output_of("ip link set pcv1 up");
  }
  ~Veth() { (void)output_of("ip link del pcv0"); }
};

std::string first_word_of(const std::string& path) {
  std::string word;
  std::ifstream(path) >> word;
  return word;
}

TEST(EthPort, ReceivesNothingBeforeItIsStarted) {
  auto port = EthPort::probe("net_null0");
  ASSERT_TRUE(port) << port.error().message;
  const auto pool = create_packet_pool("null", 2047, port->mtu(), port->numa_node());
  ASSERT_TRUE(pool) << pool.error().message;
  // Sizes that no device has are brought to what this one allows.
  ASSERT_TRUE(port->configure({.mtu = 0, .rx_descriptors = 333, .tx_descriptors = 333}, *pool));
  rte_eth_dev_info info{};
  ASSERT_EQ(rte_eth_dev_info_get(port->id(), &info), 0);
  EXPECT_EQ(info.nb_rx_queues, 1);
  EXPECT_EQ(info.nb_tx_queues, 1);
  rte_mbuf* packets[4];
  EXPECT_EQ(rte_eth_rx_burst(port->id(), 0, packets, 4), 0);
  const auto started = port->start();
  ASSERT_TRUE(started) << started.error().message;
  EXPECT_EQ(rte_eth_rx_burst(port->id(), 0, packets, 4), 4);
  for (rte_mbuf* packet : packets) rte_pktmbuf_free(packet);
  EXPECT_TRUE(link_is_up(port->id()));
  EXPECT_EQ(missed_frames(port->id()), 0u);
}

TEST(EthPort, ADeviceThatIsNotThereIsNamed) {
  const auto port = EthPort::probe("net_nonsense0");
  ASSERT_FALSE(port);
  EXPECT_NE(port.error().message.find("device net_nonsense0 cannot be opened"), std::string::npos);
}

TEST(EthPort, KnowsTheInterfaceBeneathIt) {
  NEEDS_OWN_NETWORK();
  const Veth veth;
  auto port = EthPort::probe("net_af_packet0,iface=pcv0");
  ASSERT_TRUE(port) << port.error().message;
  EXPECT_TRUE(port->interface_index());
  EXPECT_EQ(port->mtu(), 1300);
  EXPECT_EQ(port->mac(), (Mac{{2, 0, 0, 0, 0, 0x33}}));
  const auto pool = create_packet_pool("veth", 8191, port->mtu(), port->numa_node());
  ASSERT_TRUE(pool);
  EXPECT_FALSE(port->configure({.mtu = 9000}, *pool)) << "its frames hold less";
  ASSERT_TRUE(port->configure({.mtu = 1400}, *pool));
  EXPECT_EQ(port->mtu(), 1400);
  EXPECT_NE(output_of("ip link show pcv0").find("mtu 1400"), std::string::npos);
}

TEST(PacketPool, HoldsWholeFramesOfTheMtu) {
  const auto pool = create_packet_pool("large", 1023, 9000, -1);
  ASSERT_TRUE(pool) << pool.error().message;
  EXPECT_GE(rte_pktmbuf_data_room_size(*pool), 9000 + 18 + RTE_PKTMBUF_HEADROOM);
  EXPECT_GE(packet_pool_bytes(1023, 9000), 1023u * 9000u);
  const auto too_large = create_packet_pool("too_large", 10'000'000, 1500, -1);
  ASSERT_FALSE(too_large);
  EXPECT_EQ(too_large.error().code, ErrorCode::resource_exhausted);
  rte_mempool_free(*pool);
}

TEST(HostStackGuard, MutesTheKernelAndPutsBackWhatWas) {
  NEEDS_OWN_NETWORK();
  const Veth veth;
  const std::string arp_ignore = "/proc/sys/net/ipv4/conf/pcv0/arp_ignore";
  const std::string rp_filter = "/proc/sys/net/ipv4/conf/pcv0/rp_filter";
  std::ofstream(rp_filter) << "2";
  {
    HostStackGuard guard;
    const auto port = EthPort::probe("net_af_packet1,iface=pcv0");
    ASSERT_TRUE(port);
    EXPECT_EQ(guard.protect(*port->interface_index()), "");
    EXPECT_EQ(first_word_of(arp_ignore), "1");
    EXPECT_EQ(first_word_of(rp_filter), "1");
  }
  EXPECT_EQ(first_word_of(arp_ignore), "0");
  EXPECT_EQ(first_word_of(rp_filter), "2");
}

TEST(Placement, WarnsOnlyWhenBothNodesAreKnownAndDiffer) {
  EXPECT_EQ(placement_warning("up", 0, 1, 0), std::nullopt);
  EXPECT_EQ(placement_warning("up", -1, 1, 0), std::nullopt);
  EXPECT_EQ(placement_warning("up", 1, 1, -1), std::nullopt);
  EXPECT_EQ(
      placement_warning("up", 1, 4, 0),
      "port up is on NUMA node 1, but the worker's core 4 is on node 0: every packet crosses between them; "
      "choose a core of node 1 in workers.cores");
}

}  // namespace
}  // namespace portcullis
