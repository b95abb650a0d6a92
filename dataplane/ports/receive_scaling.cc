#include "dataplane/ports/receive_scaling.h"

#include "dataplane/spread.h"

namespace portcullis {

ReceiveScaling ReceiveScaling::of(const rte_eth_dev_info& device, bool remote_is_source, bool has_tunnels) {
  const uint64_t only = remote_is_source ? RTE_ETH_RSS_L3_SRC_ONLY : RTE_ETH_RSS_L3_DST_ONLY;
  ReceiveScaling scaling;
  scaling.is_by_remote = !has_tunnels && (device.flow_type_rss_offloads & only) != 0;
  const uint64_t wanted = scaling.is_by_remote
                              ? RTE_ETH_RSS_IP | only
                              : RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_SCTP;
  scaling.fields = wanted & device.flow_type_rss_offloads;
  scaling.key.resize(device.hash_key_size);
  for (size_t i = 0; i < scaling.key.size(); ++i)
    scaling.key[i] = static_cast<uint8_t>(i % 2 == 0 ? spread_key_word >> 8 : spread_key_word & 0xff);
  return scaling;
}

std::vector<rte_eth_rss_reta_entry64> redirection_of(uint16_t entries, uint16_t queues) {
  std::vector<rte_eth_rss_reta_entry64> table((entries + RTE_ETH_RETA_GROUP_SIZE - 1u) /
                                              RTE_ETH_RETA_GROUP_SIZE);
  for (uint16_t i = 0; i < entries; ++i) {
    rte_eth_rss_reta_entry64& group = table[i / RTE_ETH_RETA_GROUP_SIZE];
    group.mask |= uint64_t{1} << i % RTE_ETH_RETA_GROUP_SIZE;
    group.reta[i % RTE_ETH_RETA_GROUP_SIZE] =
        static_cast<uint16_t>(Spread::worker_of_bucket(i % Spread::buckets, queues));
  }
  return table;
}

}  // namespace portcullis
