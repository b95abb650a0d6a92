// Errors of everything that is not the packet path: Expected<T>, and an Error that says what, which object,
// and what to do. One to one with gRPC status codes (control/service turns it into one with details).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace portcullis {

enum class ErrorCode : uint8_t {
  invalid_argument,     // the request is wrong whatever the state; `field` names the offending field
  not_found,            // the named object does not exist (or is another tenant's)
  already_exists,       // the name is taken by an object with other properties
  failed_precondition,  // the state must change first; the message says how
  out_of_range,         // beyond what there is, or is still held; the message says how far that goes
  resource_exhausted,   // a limit or capacity; the message names it and its value
  unavailable,          // try again (the store's disk fails, the gateway is stopping)
  permission_denied,    // a call that is not this caller's to make, whatever the object
  unauthenticated,      // who calls is not known
  internal,             // a bug or a broken machine
};

struct Error {
  ErrorCode code = ErrorCode::internal;
  std::string message;  // a sentence: what is wrong and what to do
  std::string field;    // path of the offending field, "rules[2].remote.prefixes[0]"; empty if none
  std::string object;   // resource name, "tenants/acme/vms/web"; empty if none
};

template <typename T>
using Expected = tl::expected<T, Error>;

using Unexpected = tl::unexpected<Error>;

[[nodiscard]] inline Unexpected fail(ErrorCode code, std::string message, std::string field = {},
                                     std::string object = {}) {
  return Unexpected(Error{code, std::move(message), std::move(field), std::move(object)});
}

// The gRPC spelling: "INVALID_ARGUMENT".
constexpr std::string_view to_string(ErrorCode code) {
  switch (code) {
    case ErrorCode::invalid_argument:
      return "INVALID_ARGUMENT";
    case ErrorCode::not_found:
      return "NOT_FOUND";
    case ErrorCode::already_exists:
      return "ALREADY_EXISTS";
    case ErrorCode::failed_precondition:
      return "FAILED_PRECONDITION";
    case ErrorCode::out_of_range:
      return "OUT_OF_RANGE";
    case ErrorCode::resource_exhausted:
      return "RESOURCE_EXHAUSTED";
    case ErrorCode::unavailable:
      return "UNAVAILABLE";
    case ErrorCode::permission_denied:
      return "PERMISSION_DENIED";
    case ErrorCode::unauthenticated:
      return "UNAUTHENTICATED";
    case ErrorCode::internal:
      return "INTERNAL";
  }
  return "INTERNAL";
}

}  // namespace portcullis
