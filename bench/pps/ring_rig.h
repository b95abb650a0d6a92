// Rig B: two ports made of rings; generator and worker take turns in one thread. The rings cost about two
// clocks a packet, so this is the sharpest measure of what the gateway itself takes.
#pragma once

#include <algorithm>
#include <array>
#include <memory>
#include <span>
#include <vector>

#include "bench/pps/rig.h"
#include "dataplane/burst.h"

struct rte_mempool;
struct rte_mbuf;
struct rte_ring;

namespace portcullis::bench {

class RingRig : public Rig {
 public:
  // `cold`: the headers that the generator wrote are in no cache when the worker polls.
  [[nodiscard]] static Expected<std::unique_ptr<RingRig>> create(const Workload& workload, Isa isa,
                                                                 bool cold);
  ~RingRig() override;

  [[nodiscard]] std::string_view name() const override { return "B"; }
  [[nodiscard]] Gateway& gateway() override { return *gateway_; }
  Turn turn(Source& source, Poller& poller, uint32_t limit) override;
  Turn empty_turn(Source& source) override;
  [[nodiscard]] Expected<void> balance() override { return ledger_->balance(); }
  void reset_balance() override { ledger_->open(); }
  [[nodiscard]] uint64_t refused() override { return ledger_->refused(); }
  [[nodiscard]] size_t ways() const { return ways_.size(); }

  // The parts of a turn, for verification and for a load below the most.
  void send(Way way, std::span<const Packet> packets);
  uint64_t poll(Poller& poller);
  // What came out for packets of `way`; good until release().
  std::span<rte_mbuf* const> collect(Way way);
  [[nodiscard]] std::span<rte_mbuf* const> collected() const { return std::span(out_).first(out_count_); }
  void release();
  // Clocks that the worker has had, and time that passed it by. Its milliseconds are made of these, so that
  // it ages as much a packet as if the generator took no time.
  [[nodiscard]] uint64_t clock() const { return clock_; }
  void advance_to(uint64_t clock) { clock_ = std::max(clock_, clock); }

 private:
  struct RingPort {
    PortId id = 0;
    bool is_open = false;
    rte_ring* to_worker = nullptr;
    rte_ring* from_worker = nullptr;
  };
  static constexpr uint32_t most_out = 1024;
  RingRig() = default;
  [[nodiscard]] Expected<void> open(RingPort& port, const char* name);
  [[nodiscard]] RingPort& port_in(Way way) { return ports_[static_cast<size_t>(way)]; }
  [[nodiscard]] RingPort& port_out(Way way) { return ports_[1 - static_cast<size_t>(way)]; }

  std::vector<Way> ways_;
  bool cold_ = false;
  bool drops_ = false;  // nothing is meant to come out
  rte_mempool* pool_ = nullptr;
  std::array<RingPort, 2> ports_;  // uplink, endpoint: by the way that arrives there
  std::unique_ptr<Gateway> gateway_;
  std::unique_ptr<Ledger> ledger_;
  uint64_t clock_ = 0;
  std::array<rte_mbuf*, most_out> out_{};
  uint32_t out_count_ = 0;
};

}  // namespace portcullis::bench
