#include "control/service/access.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "control/service/quote.h"

namespace portcullis::service {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// The tenant itself, as the parent of a list, or something below it.
bool is_of(std::string_view object, const std::string& tenant) {
  return object == tenant || object.starts_with(tenant + "/");
}

// `list`: the field with the calls.
Expected<void> authorise_each(const Identity& caller, const Message& request, const std::string& list) {
  const auto& reflection = *request.GetReflection();
  const FieldDescriptor* field = request.GetDescriptor()->FindFieldByName(list);
  for (int i = 0; i < reflection.FieldSize(request, field); ++i) {
    const Message& element = reflection.GetRepeatedMessage(request, field, i);
    const FieldDescriptor* call = call_in(element);
    if (call == nullptr) continue;  // to be refused as what is no call
    auto allowed = authorise(caller, element.GetReflection()->GetMessage(element, call));
    if (allowed) continue;
    Error& error = allowed.error();
    error.field =
        list + "[" + std::to_string(i) + "]." + call->name() + (error.field.empty() ? "" : "." + error.field);
    return allowed;
  }
  return {};
}

}  // namespace

const v1::Access& access_of(const google::protobuf::Descriptor& request) {
  return request.options().GetExtension(v1::access);
}

std::string call_name(const google::protobuf::Descriptor& request) {
  return request.name().substr(0, request.name().rfind("Request"));
}

std::string object_of(const Message& request) {
  std::string_view path = access_of(*request.GetDescriptor()).object();
  const Message* message = &request;
  while (!path.empty()) {
    const std::string_view step = path.substr(0, path.find('.'));
    path.remove_prefix(std::min(path.size(), step.size() + 1));
    const FieldDescriptor* field = message->GetDescriptor()->FindFieldByName(std::string(step));
    if (field == nullptr || field->is_repeated()) break;
    if (path.empty())
      return field->cpp_type() == FieldDescriptor::CPPTYPE_STRING
                 ? message->GetReflection()->GetString(*message, field)
                 : std::string();
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) break;
    message = &message->GetReflection()->GetMessage(*message, field);
  }
  return {};
}

const FieldDescriptor* call_in(const Message& element) {
  const auto& type = *element.GetDescriptor();
  return type.oneof_decl_count() == 0
             ? nullptr
             : element.GetReflection()->GetOneofFieldDescriptor(element, type.oneof_decl(0));
}

Expected<void> authorise(const Identity& caller, const Message& request) {
  if (!caller.tenant) return {};
  const v1::Access& access = access_of(*request.GetDescriptor());
  if (!access.tenant())
    return fail(ErrorCode::permission_denied, call_name(*request.GetDescriptor()) +
                                                  " is the provider's call, and this certificate is of " +
                                                  caller.name() + "; call as the provider");
  if (!access.calls().empty()) return authorise_each(caller, request, access.calls());
  if (const std::string object = object_of(request); !is_of(object, caller.name()))
    return fail(ErrorCode::not_found, caller.name() + ", whose certificate this is, has no " + quoted(object),
                access.object());
  return {};
}

}  // namespace portcullis::service
