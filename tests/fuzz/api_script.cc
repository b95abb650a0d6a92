#include "tests/fuzz/api_script.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>

#include "portcullis/v1/observe_service.pb.h"
#include "portcullis/v1/provider_service.pb.h"
#include "portcullis/v1/tenant_service.pb.h"

namespace portcullis::fuzz {
namespace {

using google::protobuf::MethodDescriptor;

// A call: who, method, two bytes of length, the request.
constexpr size_t head = 4;
constexpr size_t longest_request = 65535;

}  // namespace

const std::vector<const MethodDescriptor*>& methods() {
  static const std::vector<const MethodDescriptor*> all = [] {
    std::vector<const MethodDescriptor*> found;
    for (const auto* file : {v1::GetEipRequest::descriptor()->file(), v1::GetVmRequest::descriptor()->file(),
                             v1::ListDropsRequest::descriptor()->file()})
      for (int s = 0; s < file->service_count(); ++s)
        for (int m = 0; m < file->service(s)->method_count(); ++m)
          found.push_back(file->service(s)->method(m));
    return found;
  }();
  return all;
}

Call call_of(Caller caller, const MethodDescriptor& method) {
  const auto* prototype =
      google::protobuf::MessageFactory::generated_factory()->GetPrototype(method.input_type());
  return {caller, &method, std::unique_ptr<google::protobuf::Message>(prototype->New())};
}

Script decode(std::string_view input) {
  Script script;
  while (input.size() >= head) {
    const auto byte = [&](size_t at) { return static_cast<uint8_t>(input[at]); };
    Call call = call_of(static_cast<Caller>(byte(0) % callers), *methods()[byte(1) % methods().size()]);
    const size_t length = std::min<size_t>(byte(2) | size_t{byte(3)} << 8, input.size() - head);
    if (!call.request->ParseFromArray(input.data() + head, static_cast<int>(length))) break;
    script.push_back(std::move(call));
    input.remove_prefix(head + length);
  }
  return script;
}

std::string encode(const Script& script) {
  std::string input;
  for (const Call& call : script) {
    const std::string request = call.request->SerializeAsString();
    if (request.size() > longest_request) continue;
    input += static_cast<char>(call.caller);
    input += static_cast<char>(std::ranges::find(methods(), call.method) - methods().begin());
    input += static_cast<char>(request.size());
    input += static_cast<char>(request.size() >> 8);
    input += request;
  }
  return input;
}

}  // namespace portcullis::fuzz
