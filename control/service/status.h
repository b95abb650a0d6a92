// Error -> grpc::Status, one to one. Details travel as google.rpc.Status: an ErrorInfo {reason: the code's
// name, domain: "portcullis", metadata "object": the object at fault} and, when a field is at fault, a
// BadRequest.
#pragma once

#include <grpcpp/support/status.h>

#include <string_view>

#include "src/base/expected.h"

namespace portcullis::service {

inline constexpr std::string_view error_domain = "portcullis";

[[nodiscard]] grpc::Status to_status(const Error& error);

// "OK", "NOT_FOUND"; "UNKNOWN" for what no Error becomes.
[[nodiscard]] std::string_view code_name(grpc::StatusCode code);

}  // namespace portcullis::service
