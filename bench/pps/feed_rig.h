// Rig A: frames from a capture file that net_pcap repeats for ever, out by net_null. Any DPDK program can be
// fed so, which is what it is for: the peers were. The figure includes both drivers; the floor is the same
// loop empty.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "bench/pps/rig.h"

struct rte_mempool;
struct rte_mbuf;

namespace portcullis::bench {

class FeedRig : public Rig {
 public:
  // Most flows that a capture file holds: each takes a packet buffer.
  static constexpr uint64_t most_packets = 1u << 20;

  [[nodiscard]] static Expected<std::unique_ptr<FeedRig>> create(const Workload& workload,
                                                                 const FlowSource& source, Isa isa);
  ~FeedRig() override;

  // Compares what is handed to the transmitting drivers, byte for byte, for the whole file. Flows are open
  // after.
  [[nodiscard]] Expected<void> verify();

  [[nodiscard]] std::string_view name() const override { return "A"; }
  [[nodiscard]] Gateway& gateway() override { return *gateway_; }
  // Neither asks `source`: the files are what they are.
  Turn turn(Source& source, Poller& poller, uint32_t limit) override;
  Turn empty_turn(Source& source) override;
  [[nodiscard]] Expected<void> balance() override;
  void reset_balance() override;
  [[nodiscard]] uint64_t refused() override { return 0; }

 private:
  struct FeedPort {
    std::string device;  // its name among vdevs; empty: not made
    PortId id = 0;
    std::vector<Packet> packets;  // of the file, in order
  };
  // The comparison as a transmit callback sees it.
  struct Comparison {
    const std::vector<Packet>* packets;
    uint64_t compared = 0;
    size_t next = SIZE_MAX;  // of packets; SIZE_MAX: the first frame decides
    std::string fault;
    void look_at(const rte_mbuf* mbuf);
  };
  FeedRig() = default;
  [[nodiscard]] Expected<void> open(FeedPort& port, const char* device, const std::string& arguments);
  [[nodiscard]] FeedPort& port_in(Way way) { return ports_[static_cast<size_t>(way)]; }
  [[nodiscard]] FeedPort& port_out(Way way) { return ports_[1 - static_cast<size_t>(way)]; }
  void poll(Poller& poller);
  [[nodiscard]] uint64_t dropped() const;

  std::vector<Way> ways_;
  std::optional<Drop> drop_;  // why each packet must be dropped; absent: each must pass
  rte_mempool* pool_ = nullptr;
  std::array<FeedPort, 2> ports_;  // uplink, endpoint
  std::unique_ptr<Gateway> gateway_;
  uint64_t received_before_ = 0, transmitted_before_ = 0, dropped_before_ = 0, drop_before_ = 0;
};

}  // namespace portcullis::bench
