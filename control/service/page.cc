#include "control/service/page.h"

#include <optional>

namespace portcullis::service {
namespace {

constexpr char separator = '\n';  // in no name
constexpr std::string_view digits = "0123456789abcdef";

std::string to_hex(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) {
    const auto byte = static_cast<uint8_t>(c);
    text += digits[byte >> 4];
    text += digits[byte & 15];
  }
  return text;
}

std::optional<std::string> from_hex(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  std::string bytes;
  for (size_t i = 0; i < text.size(); i += 2) {
    const size_t high = digits.find(text[i]);
    const size_t low = digits.find(text[i + 1]);
    if (high == std::string_view::npos || low == std::string_view::npos) return std::nullopt;
    bytes += static_cast<char>(high << 4 | low);
  }
  return bytes;
}

}  // namespace

Expected<Page> page_of(int32_t page_size, const std::string& page_token, std::string_view list) {
  if (page_size < 0 || static_cast<size_t>(page_size) > max_page_size) {
    return fail(ErrorCode::invalid_argument,
                "page_size is " + std::to_string(page_size) + "; give 1 to " + std::to_string(max_page_size) +
                    ", or 0 for " + std::to_string(default_page_size),
                "page_size");
  }
  Page page;
  if (page_size != 0) page.size = static_cast<size_t>(page_size);
  if (page_token.empty()) return page;
  const std::optional<std::string> token = from_hex(page_token);
  const std::string prefix = std::string(list) + separator;
  if (!token.has_value() || !token->starts_with(prefix) || token->size() == prefix.size()) {
    return fail(
        ErrorCode::invalid_argument,
        "page_token is not of this list; repeat the next_page_token of the page before, or leave it empty",
        "page_token");
  }
  page.after = token->substr(prefix.size());
  return page;
}

std::string page_token(std::string_view list, std::string_view last_key) {
  return to_hex(std::string(list) + separator + std::string(last_key));
}

}  // namespace portcullis::service
