// Where packets come from: each kind of work as a stream of packets for each port.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "bench/pps/order.h"
#include "bench/pps/workload.h"

struct rte_mbuf;

namespace portcullis::bench {

class Source {
 public:
  virtual ~Source() = default;
  // The next packets for the port by which `way` arrives; returns how many, at most packets.size().
  virtual uint32_t fill(Way way, std::span<Packet> packets) = 0;
  // Frames that came out, in order.
  virtual void came_out(Way, std::span<rte_mbuf* const>) {}
  // What a storm and a flood are measured by: flows opened, packets of open flows that came out.
  [[nodiscard]] virtual uint64_t useful() const { return 0; }
  // The least worker clocks, since the first packet, in which what was filled so far may have arrived.
  [[nodiscard]] virtual uint64_t due_clocks() const { return 0; }
};

// Flows that are there from the start: listed, tracked, unbound, not_permitted.
class FlowSource : public Source {
 public:
  explicit FlowSource(const Workload& workload);
  uint32_t fill(Way way, std::span<Packet> packets) override;

  // The n-th packet of a way, whether refused or not; packet.number is its flow.
  [[nodiscard]] Packet at(Way way, uint64_t n) const;
  // The packet of a flow: at(), but for sources that are random.
  [[nodiscard]] Packet of_flow(Way way, uint32_t flow) const;
  // One like it that must be dropped, and is told from it by one port only.
  [[nodiscard]] Packet denied(Packet packet) const;
  [[nodiscard]] uint64_t period() const { return order_.period(); }
  // The flow found no room in its bucket of the flow table: it is not sent any more.
  void refuse(uint32_t flow);
  [[nodiscard]] bool is_refused(uint32_t flow) const { return refused_count_ != 0 && refused_[flow]; }
  [[nodiscard]] uint64_t refused() const { return refused_count_; }

 private:
  void aim_at_rule(Packet& packet, uint32_t flow) const;

  Workload workload_;
  Order order_;
  std::vector<PermitRule> shaped_;
  std::array<uint64_t, 2> sent_{};  // by way
  std::vector<bool> refused_;
  uint64_t refused_count_ = 0;
};

// Which of so many workers a packet belongs to.
[[nodiscard]] uint32_t owner_of(const Packet& packet, uint32_t workers);
// Where it arrives: at its owner, or, unspread, at any: always the same for a flow's packets of one way, as
// with devices that hash something else.
[[nodiscard]] uint32_t arrives_at(const Packet& packet, uint32_t workers, bool unspread);

// What of the flows arrives at one of several workers. Unspread, the owners take turns: a worker takes over a
// burst from each other in a turn and no more, and at random that many would not always be enough.
class ShareSource : public Source {
 public:
  // `flows` outlives it, and is read only: each worker's thread has a source of its own.
  ShareSource(const FlowSource& flows, const Workload& workload, uint32_t worker);
  uint32_t fill(Way way, std::span<Packet> packets) override;

 private:
  const FlowSource& flows_;
  uint32_t workers_;
  uint32_t worker_;
  bool unspread_;
  uint32_t turn_ = 0;
  std::array<std::vector<uint64_t>, 2> sent_;  // by way and owner
};

// New flows all the time: a SYN from the endpoint, and for each that came out a SYN+ACK from outside.
class StormSource : public Source {
 public:
  StormSource(const Workload& workload, uint64_t tsc_hz);
  uint32_t fill(Way way, std::span<Packet> packets) override;
  void came_out(Way way, std::span<rte_mbuf* const> frames) override;
  [[nodiscard]] uint64_t useful() const override { return opened_; }
  [[nodiscard]] uint64_t due_clocks() const override;
  [[nodiscard]] uint64_t attempts() const { return attempts_; }

 private:
  [[nodiscard]] Packet packet_of(Way way, uint32_t flow) const;

  Workload workload_;
  double clocks_per_flow_;  // of the pace; 0: none
  uint64_t attempts_ = 0;
  uint64_t opened_ = 0;
  std::deque<uint32_t> to_answer_;
};

// Half the packets of `flows`, which must be open; half SYNs from random sources, each its own flow.
class FloodSource : public Source {
 public:
  FloodSource(const Workload& workload, FlowSource& flows);
  uint32_t fill(Way way, std::span<Packet> packets) override;
  void came_out(Way way, std::span<rte_mbuf* const> frames) override;
  [[nodiscard]] uint64_t useful() const override { return established_out_; }
  // The other half goes to a port that no rule names, and is dropped: what the flood is compared with.
  void set_unmatched(bool unmatched) { unmatched_ = unmatched; }
  // Packets of open flows that were sent: as many must have come out.
  [[nodiscard]] uint64_t established_sent() const { return established_sent_; }

 private:
  Workload workload_;
  FlowSource& flows_;
  bool unmatched_ = false;
  uint64_t sent_ = 0;
  uint64_t established_sent_ = 0;
  uint64_t established_out_ = 0;
};

}  // namespace portcullis::bench
