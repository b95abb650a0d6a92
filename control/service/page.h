// Pages of a list: how many objects, and from which key on. A token is opaque to clients: it holds which list
// it is of and the last key of the page before, so that objects which come or go meanwhile disturb no others.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "src/base/expected.h"

namespace portcullis::service {

inline constexpr size_t default_page_size = 1000;
inline constexpr size_t max_page_size = 10000;

struct Page {
  size_t size = default_page_size;
  std::string after;  // key; empty on the first page
};

// `list`: which list, with its parent. A token of another one is refused.
[[nodiscard]] Expected<Page> page_of(int32_t page_size, const std::string& page_token, std::string_view list);
[[nodiscard]] std::string page_token(std::string_view list, std::string_view last_key);

// Shows the objects from `begin`, which comes after page.after, to `end`: `show(object)` adds one to the
// reply and gives its key. Answers with the next page's token, empty on the last page.
template <typename Iterator, typename Show>
[[nodiscard]] std::string fill_page(const Page& page, std::string_view list, Iterator begin, Iterator end,
                                    Show&& show) {
  std::string last_key;
  size_t shown = 0;
  for (Iterator object = begin; object != end; ++object) {
    if (shown++ == page.size) return page_token(list, last_key);
    last_key = show(*object);
  }
  return {};
}

}  // namespace portcullis::service
