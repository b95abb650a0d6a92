#include "control/service/guard.h"

#include <google/protobuf/descriptor.h>

#include "control/service/access.h"
#include "control/service/identity.h"
#include "control/service/status.h"

namespace portcullis::service {
namespace {

using google::protobuf::Message;

// By the conventions of the API every reply of a call that changes something has one.
uint64_t generation_of(const Message& reply) {
  const auto* field = reply.GetDescriptor()->FindFieldByName("generation");
  return field == nullptr ? 0 : reply.GetReflection()->GetUInt64(reply, field);
}

}  // namespace

grpc::Status Guard::pass(const grpc::ServerContextBase& context, const Message& request, const Message& reply,
                         const std::function<grpc::Status()>& handle) const {
  const bool records = log_ != nullptr && access_of(*request.GetDescriptor()).changes();
  if (records)
    if (const auto ready = log_->ready(); !ready) return to_status(ready.error());

  const Expected<Identity> caller = identity_of(context);
  const auto allowed =
      caller.and_then([&](const Identity& identity) { return authorise(identity, request); });
  grpc::Status status = allowed ? handle() : to_status(allowed.error());

  if (records)
    log_->append({.who = caller ? caller->name() : "unknown",
                  .certificate = certificate_subject(context),
                  .peer = context.peer(),
                  .call = call_name(*request.GetDescriptor()),
                  .object = object_of(request),
                  .status = code_name(status.error_code()),
                  .message = status.error_message(),
                  .generation = status.ok() ? generation_of(reply) : 0});
  return status;
}

}  // namespace portcullis::service
