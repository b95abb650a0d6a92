// What a device is told, so that it spreads what it receives as workers own it (spread.h): which fields it
// hashes, by which key, and which queue has which hash. Thread: control.
#pragma once

#include <rte_ethdev.h>

#include <cstdint>
#include <vector>

namespace portcullis {

struct ReceiveScaling {
  uint64_t fields = 0;        // RTE_ETH_RSS_…; 0: the device hashes nothing
  std::vector<uint8_t> key;   // as long as the device has it
  bool is_by_remote = false;  // the remote's address alone decides: each packet comes to its owner

  // Of a device with several queues. `remote_is_source`: of what the port receives. `has_tunnels`: the outer
  // headers have no remote of a flow in them.
  [[nodiscard]] static ReceiveScaling of(const rte_eth_dev_info& device, bool remote_is_source,
                                         bool has_tunnels);
};

// A redirection table of so many entries: what worker n owns comes by queue n. With fewer entries than
// Spread::buckets some comes by another.
[[nodiscard]] std::vector<rte_eth_rss_reta_entry64> redirection_of(uint16_t entries, uint16_t queues);

}  // namespace portcullis
