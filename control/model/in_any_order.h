// Changes of which one may need what another gives up.
#pragma once

#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include "src/base/expected.h"

namespace portcullis::model {

// `put(i)` of all 0 <= i < count, in whatever order works: those that find no place try again when others
// have found theirs. The first error of those that never do.
template <typename Put>
Expected<void> in_any_order(size_t count, Put&& put) {
  std::vector<size_t> waiting(count);
  for (size_t i = 0; i < count; ++i) waiting[i] = i;
  while (!waiting.empty()) {
    std::vector<size_t> left;
    std::optional<Error> first;
    for (const size_t i : waiting) {
      auto done = put(i);
      if (done) continue;
      if (!first) first = std::move(done.error());
      left.push_back(i);
    }
    if (left.size() == waiting.size()) return Unexpected(std::move(*first));
    waiting = std::move(left);
  }
  return {};
}

}  // namespace portcullis::model
