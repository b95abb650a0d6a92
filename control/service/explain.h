// Explain: what the gateway would do with one packet now (explain.proto). The packet is rehearsed by the
// workers (dataplane/rehearsal.h); what they say of slots and counters is told by the names that people know.
// Thread: control, so that nothing is published between the rehearsal and its telling.
#pragma once

#include "control/control.h"
#include "control/service/observe_service.h"
#include "portcullis/v1/explain.pb.h"
#include "src/base/expected.h"

namespace portcullis::service {

// invalid_argument and not_found by the request's fields; unavailable if a worker does not answer.
[[nodiscard]] Expected<v1::Explanation> explain(const Control::View& view, const Sources& sources,
                                                const v1::ExplainRequest& request);

}  // namespace portcullis::service
