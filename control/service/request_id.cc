#include "control/service/request_id.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <string>
#include <utility>

#include "control/service/identity.h"
#include "src/base/fnv.h"

namespace portcullis::service {
namespace {

constexpr size_t longest_id = 64;

bool is_printable(char c) {
  return c > ' ' && c <= '~';
}

}  // namespace

Expected<std::optional<RequestId>> request_id_of(const grpc::ServerContextBase* context,
                                                 const google::protobuf::Message& request) {
  const auto& type = *request.GetDescriptor();
  std::string id = request.GetReflection()->GetString(request, type.FindFieldByName("request_id"));
  if (id.empty()) return std::nullopt;
  if (id.size() > longest_id || !std::ranges::all_of(id, is_printable))
    return fail(ErrorCode::invalid_argument,
                "a request id is 1 to " + std::to_string(longest_id) +
                    " printable ASCII characters without spaces, a UUID for example; this one is not",
                "request_id");
  const Expected<Identity> caller = context == nullptr ? Identity() : identity_of(*context);
  if (!caller) return Unexpected(caller.error());
  return RequestId{.caller = caller->name(),
                   .id = std::move(id),
                   .fingerprint = fnv1a(type.full_name() + "\n" + request.SerializeAsString())};
}

}  // namespace portcullis::service
