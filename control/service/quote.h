// What a client is told of a request that is wrong.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "src/base/expected.h"

namespace portcullis::service {

// What it sent. Cut where no right value goes on: an error travels in headers, which are small.
[[nodiscard]] inline std::string quoted(std::string_view text) {
  constexpr size_t longest = 64;
  return "'" + std::string(text.substr(0, longest)) + (text.size() > longest ? "…'" : "'");
}

// `field`: its path in the request.
[[nodiscard]] inline Unexpected refuse(std::string message, std::string field) {
  return fail(ErrorCode::invalid_argument, std::move(message), std::move(field));
}

}  // namespace portcullis::service
