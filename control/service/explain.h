// Explain: what the gateway would do with one packet now (explain.proto). The packet is rehearsed by the
// workers (dataplane/rehearsal.h); what they say of slots and counters is told by the names that people know.
// Thread: any but control and the workers'. Control makes the frame, and tells what became of it; it does not
// wait for a worker. If the state changes in between they are asked again, some times.
#pragma once

#include "control/control.h"
#include "control/service/observe_service.h"
#include "portcullis/v1/explain.pb.h"
#include "src/base/expected.h"

namespace portcullis::service {

// invalid_argument and not_found by the request's fields; unavailable if a worker does not answer.
[[nodiscard]] Expected<v1::Explanation> explain(Control& control, const Sources& sources,
                                                const v1::ExplainRequest& request);

}  // namespace portcullis::service
