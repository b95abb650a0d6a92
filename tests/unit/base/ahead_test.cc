#include "src/base/ahead.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <map>
#include <utility>
#include <vector>

namespace portcullis {
namespace {

using Calls = std::vector<std::pair<int, size_t>>;  // pass, item

// Each pass meets each item once, in order: sixteen by one pass, the same by the next, then the next sixteen.
TEST(InPasses, SomeItemsAtATime) {
  for (const size_t count : {0u, 1u, 16u, 17u, 33u}) {
    std::vector<size_t> items;
    for (size_t i = 0; i < count; ++i) items.push_back(i);
    Calls made;
    in_passes(
        items, [&](size_t item) { made.emplace_back(1, item); },
        [&](size_t item) { made.emplace_back(2, item); });
    Calls expected;
    for (size_t first = 0; first < count; first += 16)
      for (const int pass : {1, 2})
        for (size_t item = first; item < count && item < first + 16; ++item)
          expected.emplace_back(pass, item);
    EXPECT_EQ(made, expected) << count << " items";
  }
}

TEST(InPasses, APassMayChangeItsItem) {
  std::map<int, int> items{{1, 0}, {2, 0}};
  in_passes(
      items, [](auto& item) { item.second = item.first; }, [](auto& item) { item.second *= 10; });
  EXPECT_EQ(items, (std::map<int, int>{{1, 10}, {2, 20}}));
}

}  // namespace
}  // namespace portcullis
