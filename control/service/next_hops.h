// The next hops of the uplink and of tunnels, and which of them answer. Thread: any but control.
#pragma once

#include "control/control.h"
#include "control/service/observe_service.h"
#include "portcullis/v1/observe_service.pb.h"
#include "portcullis/v1/provider_service.pb.h"
#include "src/base/expected.h"

namespace portcullis::service {

// invalid_argument by the request's fields; unavailable if the control thread does not run.
[[nodiscard]] Expected<v1::ListNextHopsResponse> list_next_hops(Control& control, const Sources& sources,
                                                                const v1::ListNextHopsRequest& request);

// Returns when the next hops have answered that the vms of a call have moved behind, or half a second later:
// what comes for these vms is lost as long.
void await_next_hops(Control& control, const v1::MoveVmRequest& request);
void await_next_hops(Control& control, const v1::ApplyRequest& request);

}  // namespace portcullis::service
