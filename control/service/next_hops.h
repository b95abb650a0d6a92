// The next hops of the uplink and of tunnels, and which of them answer. Thread: any but control.
#pragma once

#include <chrono>
#include <vector>

#include "control/control.h"
#include "control/service/observe_service.h"
#include "portcullis/v1/observe_service.pb.h"
#include "src/base/expected.h"

namespace portcullis::service {

// invalid_argument by the request's fields; unavailable if the control thread does not run.
[[nodiscard]] Expected<v1::ListNextHopsResponse> list_next_hops(Control& control, const Sources& sources,
                                                                const v1::ListNextHopsRequest& request);

// Returns when the tunnels that these vms are behind have next hops that answer. Who does not answer is
// waited for until `patience` after the first endpoint has come behind it, and not again: what comes for the
// vms is lost as long.
void await_next_hops(Control& control, std::vector<model::VmKey> vms, std::chrono::milliseconds patience);

}  // namespace portcullis::service
