// Flow entries of the workers, listed and cleared by errands (dataplane/flow_visit.h). Thread: any but
// control and the workers'.
#pragma once

#include "control/control.h"
#include "control/service/observe_service.h"
#include "portcullis/v1/flow.pb.h"
#include "src/base/expected.h"

namespace portcullis::service {

// invalid_argument and not_found by the request's fields; unavailable if a worker does not answer.
[[nodiscard]] Expected<v1::ListFlowsResponse> list_flows(Control& control, const Sources& sources,
                                                         const v1::ListFlowsRequest& request);
// What was cleared before a worker did not answer stays cleared.
[[nodiscard]] Expected<v1::ClearFlowsResponse> clear_flows(Control& control, const Sources& sources,
                                                           const v1::ClearFlowsRequest& request);

}  // namespace portcullis::service
