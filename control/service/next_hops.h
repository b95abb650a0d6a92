// The next hops of the uplink and of tunnels, and which of them answer. Thread: any but control.
#pragma once

#include "control/control.h"
#include "control/service/observe_service.h"
#include "portcullis/v1/observe_service.pb.h"
#include "src/base/expected.h"

namespace portcullis::service {

// invalid_argument by the request's fields; unavailable if the control thread does not run.
[[nodiscard]] Expected<v1::ListNextHopsResponse> list_next_hops(Control& control, const Sources& sources,
                                                                const v1::ListNextHopsRequest& request);

}  // namespace portcullis::service
