// Rig B: two ports made of rings; generator and worker take turns in one thread. The rings cost about two
// clocks a packet, so this is the sharpest measure of what the gateway itself takes.
#pragma once

#include <algorithm>
#include <array>
#include <memory>
#include <span>
#include <vector>

#include "bench/pps/rig.h"
#include "bench/pps/ring_ports.h"
#include "dataplane/burst.h"

struct rte_mbuf;

namespace portcullis::bench {

class RingRig : public Rig {
 public:
  // Of the worker that is alone. `cold`: the headers that the generator wrote are in no cache when the worker
  // polls.
  [[nodiscard]] static Expected<std::unique_ptr<RingRig>> create(const Workload& workload, Isa isa,
                                                                 bool cold);
  // Of the `n`-th of workload.workers, with queues of its own at the same ports of the same gateway.
  [[nodiscard]] std::unique_ptr<RingRig> of_worker(uint32_t n) const;
  ~RingRig() override;

  [[nodiscard]] std::string_view name() const override { return "B"; }
  [[nodiscard]] Gateway& gateway() override { return *gateway_; }
  [[nodiscard]] Worker& worker() { return worker_; }
  Turn turn(Source& source, Poller& poller, uint32_t limit) override;
  Turn empty_turn(Source& source) override;
  [[nodiscard]] Expected<void> balance() override { return ledger_.balance(); }
  void reset_balance() override { ledger_.open(); }
  [[nodiscard]] uint64_t refused() override { return ledger_.refused(); }
  [[nodiscard]] const Ledger& ledger() const { return ledger_; }
  [[nodiscard]] size_t ways() const { return ways_.size(); }

  // The parts of a turn, for verification, for a load below the most, and for workers that poll side by side.
  // Packets that were sent.
  uint32_t feed(Source& source, uint32_t limit);
  void send(Way way, std::span<const Packet> packets);
  // These two return the clocks that they took.
  uint64_t poll(Poller& poller);
  uint64_t poll_empty();
  // Shows the source what came out.
  void take_back(Source& source);
  void discard();
  // What came out for packets of `way`; good until release().
  std::span<rte_mbuf* const> collect(Way way);
  [[nodiscard]] std::span<rte_mbuf* const> collected() const { return std::span(out_).first(out_count_); }
  void release();
  // Clocks that the worker has had, and time that passed it by. Its milliseconds are made of these, so that
  // it ages as much a packet as if the generator took no time.
  [[nodiscard]] uint64_t clock() const { return clock_; }
  void advance_to(uint64_t clock) { clock_ = std::max(clock_, clock); }

 private:
  static constexpr uint32_t most_out = 1024;
  RingRig(const Workload& workload, bool cold, std::shared_ptr<RingPorts> ports,
          std::shared_ptr<Gateway> gateway, Worker& worker, uint16_t queue);

  Workload workload_;
  std::vector<Way> ways_;
  bool cold_;
  bool drops_;  // nothing is meant to come out
  std::shared_ptr<RingPorts> ports_;
  std::shared_ptr<Gateway> gateway_;  // gone before the ports are
  Worker& worker_;
  uint16_t queue_;
  Ledger ledger_;
  uint64_t clock_ = 0;
  std::array<rte_mbuf*, most_out> out_{};
  uint32_t out_count_ = 0;
};

}  // namespace portcullis::bench
