// Who may make which call on which object, as access.proto says it of each request.
#pragma once

#include <google/protobuf/message.h>

#include <string>

#include "control/service/identity.h"
#include "portcullis/v1/access.pb.h"
#include "src/base/expected.h"

namespace portcullis::service {

// Of a request without the option: nothing, so the provider's alone.
[[nodiscard]] const v1::Access& access_of(const google::protobuf::Descriptor& request);

// "SetTagRequest" -> "SetTag".
[[nodiscard]] std::string call_name(const google::protobuf::Descriptor& request);

// The name in the field that `access.object` leads to; empty if there is none.
[[nodiscard]] std::string object_of(const google::protobuf::Message& request);

// The call that an element of a list of calls (`access.calls`) holds; null if none.
[[nodiscard]] const google::protobuf::FieldDescriptor* call_in(const google::protobuf::Message& element);

// permission_denied when the call is not for tenants. not_found when its object is not the tenant's own,
// whether there is such a one or not: nobody learns what others have.
[[nodiscard]] Expected<void> authorise(const Identity& caller, const google::protobuf::Message& request);

}  // namespace portcullis::service
