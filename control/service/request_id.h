// Ids that callers give their requests, so that a repeat is known for one.
#pragma once

#include <google/protobuf/message.h>
#include <grpcpp/server_context.h>

#include <optional>

#include "control/control.h"
#include "src/base/expected.h"

namespace portcullis::service {

// Of a request with the field `request_id`; none if that is empty. `context` null: the provider calls.
// invalid_argument if it is too long, or not printable.
[[nodiscard]] Expected<std::optional<RequestId>> request_id_of(const grpc::ServerContextBase* context,
                                                               const google::protobuf::Message& request);

}  // namespace portcullis::service
