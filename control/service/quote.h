// What a client sent, in a message to it.
#pragma once

#include <string>
#include <string_view>

namespace portcullis::service {

// Cut where no right value goes on: an error travels in headers, which are small.
[[nodiscard]] inline std::string quoted(std::string_view text) {
  constexpr size_t longest = 64;
  return "'" + std::string(text.substr(0, longest)) + (text.size() > longest ? "…'" : "'");
}

}  // namespace portcullis::service
