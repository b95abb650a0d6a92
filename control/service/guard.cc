#include "control/service/guard.h"

#include <google/protobuf/descriptor.h>

#include <string>
#include <utility>
#include <vector>

#include "control/service/access.h"
#include "control/service/identity.h"
#include "control/service/status.h"
#include "portcullis/v1/provider_service.pb.h"

namespace portcullis::service {
namespace {

using google::protobuf::Message;

// By the conventions of the API every reply of a call that changes something has one.
uint64_t generation_of(const Message& reply) {
  const auto* field = reply.GetDescriptor()->FindFieldByName("generation");
  return field == nullptr ? 0 : reply.GetReflection()->GetUInt64(reply, field);
}

bool is_dry_run(const Message& request) {
  const auto* field = request.GetDescriptor()->FindFieldByName("dry_run");
  return field != nullptr && request.GetReflection()->GetBool(request, field);
}

// The objects that a call with many of them says it has changed: views of the reply.
std::vector<AuditedObject> objects_in(const Message& reply) {
  std::vector<AuditedObject> objects;
  const auto say = [&](const auto& changes) {
    for (const v1::ObjectChange& change : changes)
      objects.push_back({change.name(), v1::ObjectChange::Kind_Name(change.kind())});
  };
  if (const auto* applied = dynamic_cast<const v1::ApplyResponse*>(&reply)) say(applied->changes());
  if (const auto* imported = dynamic_cast<const v1::ImportResponse*>(&reply)) say(imported->changes());
  return objects;
}

}  // namespace

grpc::Status Guard::pass(const grpc::ServerContextBase& context, const Message& request, const Message& reply,
                         const std::function<grpc::Status()>& handle) {
  const v1::Access& access = access_of(*request.GetDescriptor());
  const bool records = log_ != nullptr && (access.changes() || access.acts()) && !is_dry_run(request);
  if (records)
    if (const auto ready = log_->ready(); !ready) return to_status(ready.error());

  const Expected<Identity> caller = identity_of(context);
  // Held until the call is over.
  const auto seat = caller.and_then([&](const Identity& identity) {
    return authorise(identity, request).and_then([&] { return calls_.take(identity); });
  });
  grpc::Status status = seat ? handle() : to_status(seat.error());

  if (!records) return status;
  const AuditRecord record{.who = caller ? caller->name() : "unknown",
                           .certificate = certificate_subject(context),
                           .peer = context.peer(),
                           .call = call_name(*request.GetDescriptor()),
                           .object = object_of(request),
                           .status = code_name(status.error_code()),
                           .message = status.error_message(),
                           .generation = status.ok() ? generation_of(reply) : 0};
  log_->append(record, status.ok() ? objects_in(reply) : std::vector<AuditedObject>());
  return status;
}

}  // namespace portcullis::service
