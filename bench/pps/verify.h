// Before any figure: what comes out is compared byte for byte with what an independent computation says, and
// among the packets are some that must be dropped, each for its own reason.
#pragma once

#include "bench/pps/ring_rig.h"

namespace portcullis::bench {

// Sends every flow at least once each way, an opening flow's packets from the endpoint first; flows that find
// no room in their bucket of the flow table are refused from then on (FlowSource::refuse). internal, naming
// the first packet that is wrong.
[[nodiscard]] Expected<void> verify_flows(RingRig& rig, FlowSource& source, const Workload& workload);
// The first `turns` turns of a storm.
[[nodiscard]] Expected<void> verify_storm(RingRig& rig, StormSource& source, uint32_t turns);

}  // namespace portcullis::bench
