// Rig B: two ports made of rings, a generator and a worker taking turns in one thread. Only the worker's
// polls are timed; the generator writes a burst's headers into recycled buffers, and what came out is counted
// or checked.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "bench/pps/workload.h"
#include "dataplane/tables/tables.h"
#include "dataplane/worker.h"
#include "src/base/expected.h"

struct rte_mempool;
struct rte_rcu_qsbr;
struct rte_ring;

namespace portcullis::bench {

struct Trial {
  double clocks_per_packet = 0;  // TSC, of the whole worker loop
  uint64_t packets = 0;
};

class Rig {
 public:
  // EAL must be up. The tables are those of the product, filled through the publisher.
  [[nodiscard]] static Expected<std::unique_ptr<Rig>> create(const Workload& workload,
                                                             uint32_t flow_capacity);
  ~Rig();

  // Sends `packets` and compares every frame that comes out, byte for byte. internal, naming the first
  // difference.
  [[nodiscard]] Expected<void> verify(uint64_t packets);
  // Runs the worker loop for about `seconds`. internal if a packet did not come out.
  [[nodiscard]] Expected<Trial> measure(double seconds);
  // The same with nothing between receive and transmit: what the rings themselves cost.
  [[nodiscard]] Trial measure_floor(double seconds);

 private:
  struct RingPort {
    PortId id = 0;
    rte_ring* to_worker = nullptr;
    rte_ring* from_worker = nullptr;
  };
  Rig() = default;
  [[nodiscard]] Expected<void> open(RingPort& port, const char* name);
  uint32_t feed(Way way);
  // Takes what left by `port` back for the next burst.
  uint32_t collect(RingPort& port);
  [[nodiscard]] RingPort& port_in(Way way) { return way == Way::in ? uplink_ : endpoint_; }
  [[nodiscard]] RingPort& port_out(Way way) { return way == Way::in ? endpoint_ : uplink_; }
  [[nodiscard]] Way next_way();

  Workload workload_;
  Macs macs_;
  RingPort uplink_, endpoint_;
  rte_mempool* pool_ = nullptr;
  std::vector<void*> buffers_;  // recycled
  uint64_t sent_in_ = 0, sent_out_ = 0;
  bool turn_ = false;
  std::unique_ptr<Tables> tables_;
  rte_rcu_qsbr* rcu_ = nullptr;
  std::unique_ptr<Worker> worker_;
};

}  // namespace portcullis::bench
