#include "control/service/status.h"

#include <string>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace portcullis::service {
namespace {

grpc::StatusCode code_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::invalid_argument:
      return grpc::INVALID_ARGUMENT;
    case ErrorCode::not_found:
      return grpc::NOT_FOUND;
    case ErrorCode::already_exists:
      return grpc::ALREADY_EXISTS;
    case ErrorCode::failed_precondition:
      return grpc::FAILED_PRECONDITION;
    case ErrorCode::out_of_range:
      return grpc::OUT_OF_RANGE;
    case ErrorCode::resource_exhausted:
      return grpc::RESOURCE_EXHAUSTED;
    case ErrorCode::unavailable:
      return grpc::UNAVAILABLE;
    case ErrorCode::permission_denied:
      return grpc::PERMISSION_DENIED;
    case ErrorCode::unauthenticated:
      return grpc::UNAUTHENTICATED;
    case ErrorCode::internal:
      return grpc::INTERNAL;
  }
  return grpc::INTERNAL;
}

}  // namespace

std::string_view code_name(grpc::StatusCode code) {
  if (code == grpc::OK) return "OK";
  for (auto known = ErrorCode{}; known <= ErrorCode::internal;
       known = static_cast<ErrorCode>(static_cast<uint8_t>(known) + 1)) {
    if (code_of(known) == code) return to_string(known);
  }
  return "UNKNOWN";
}

grpc::Status to_status(const Error& error) {
  const grpc::StatusCode code = code_of(error.code);
  google::rpc::Status details;
  details.set_code(code);
  details.set_message(error.message);

  google::rpc::ErrorInfo info;
  info.set_reason(std::string(to_string(error.code)));
  info.set_domain(std::string(error_domain));
  if (!error.object.empty()) (*info.mutable_metadata())["object"] = error.object;
  details.add_details()->PackFrom(info);

  if (!error.field.empty()) {
    google::rpc::BadRequest bad_request;
    auto* violation = bad_request.add_field_violations();
    violation->set_field(error.field);
    violation->set_description(error.message);
    details.add_details()->PackFrom(bad_request);
  }
  return {code, error.message, details.SerializeAsString()};
}

}  // namespace portcullis::service
