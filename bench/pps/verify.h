// Before any figure: what comes out is compared byte for byte with what an independent computation says, and
// among the packets are some that must be dropped, each for its own reason.
#pragma once

#include <span>
#include <string>

#include "bench/pps/ring_rig.h"

namespace portcullis::bench {

// `rigs`: of the worker that is alone, or of each of several, which take turns here in one thread. What comes
// out must do so at the owner's.
// Sends every flow at least once each way, an opening flow's packets from the endpoint first; flows that find
// no room in their bucket of the flow table are refused from then on (FlowSource::refuse). internal, naming
// the first packet that is wrong; resource_exhausted if more than 1 % are refused.
[[nodiscard]] Expected<void> verify_flows(std::span<RingRig* const> rigs, FlowSource& source,
                                          const Workload& workload);
// The first `turns` turns of a storm.
[[nodiscard]] Expected<void> verify_storm(RingRig& rig, StormSource& source, uint32_t turns);

// What a worker is sent while others poll beside it, each frame compared as it comes out.
class CheckedSource : public Source {
 public:
  CheckedSource(const FlowSource& flows, const Workload& workload, uint32_t worker)
      : flows_(flows), workers_(workload.workers), worker_(worker), share_(flows, workload, worker) {}
  uint32_t fill(Way way, std::span<Packet> packets) override { return share_.fill(way, packets); }
  void came_out(Way way, std::span<rte_mbuf* const> frames) override;
  // The first that was wrong; empty: none.
  [[nodiscard]] const std::string& fault() const { return fault_; }

 private:
  const FlowSource& flows_;
  uint32_t workers_;
  uint32_t worker_;
  ShareSource share_;
  std::string fault_;
};

}  // namespace portcullis::bench
