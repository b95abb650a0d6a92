// What the fuzzer makes of its bytes: calls of the API, one after another, each by somebody.
#pragma once

#include <google/protobuf/message.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace portcullis::fuzz {

enum class Caller : uint8_t { provider, acme, other };
inline constexpr uint8_t callers = 3;

struct Call {
  Caller caller = Caller::provider;
  const google::protobuf::MethodDescriptor* method = nullptr;
  std::unique_ptr<google::protobuf::Message> request;
};

using Script = std::vector<Call>;

// Every method of portcullis.v1, in the order of its files.
[[nodiscard]] const std::vector<const google::protobuf::MethodDescriptor*>& methods();
// A call with an empty request.
[[nodiscard]] Call call_of(Caller caller, const google::protobuf::MethodDescriptor& method);

// Bytes in, whatever they are; what cannot be read ends the script. encode() writes what decode() reads.
[[nodiscard]] Script decode(std::string_view input);
[[nodiscard]] std::string encode(const Script& script);

}  // namespace portcullis::fuzz
