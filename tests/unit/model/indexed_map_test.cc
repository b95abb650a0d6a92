#include "control/model/indexed_map.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>

#include "control/model/permit_list.h"

namespace portcullis::model {
namespace {

using Map = IndexedMap<int, std::string>;

// Beside a plain map: what it holds, in its order, and what is found.
TEST(IndexedMap, IsAMap) {
  std::mt19937 random(4);
  std::map<int, std::string> plain;
  Map indexed;
  for (int step = 0; step < 20'000; ++step) {
    const int key = static_cast<int>(random() % 200);
    const std::string value = std::to_string(step);
    switch (random() % 4) {
      case 0:
        EXPECT_EQ(indexed.emplace(key, value).second, plain.emplace(key, value).second);
        break;
      case 1:
        indexed.insert_or_assign(indexed.end(), key, value);
        plain.insert_or_assign(key, value);
        break;
      case 2:
        EXPECT_EQ(indexed.erase(key), plain.erase(key));
        break;
      default:
        indexed[key] += "x";
        plain[key] += "x";
    }
    ASSERT_EQ(indexed.contains(key), plain.contains(key));
    ASSERT_EQ(indexed.find(key) == indexed.end(), plain.find(key) == plain.end());
    ASSERT_EQ(indexed.size(), plain.size());
  }
  EXPECT_TRUE(std::ranges::equal(indexed, plain));
  for (const auto& [key, value] : plain) EXPECT_EQ(indexed.at(key), value);
  EXPECT_THROW(static_cast<void>(indexed.at(-1)), std::out_of_range);
}

TEST(IndexedMap, ACopyFindsItsOwn) {
  Map first{{1, "a"}, {2, "b"}};
  Map second = first;
  first.at(1) = "changed";
  first.erase(2);
  EXPECT_EQ(second.at(1), "a");
  EXPECT_EQ(second.at(2), "b");
  EXPECT_FALSE(first == second);
  Map third = std::move(second);
  EXPECT_EQ(third.at(2), "b");
  first = third;
  third.erase(1);
  EXPECT_TRUE(first.contains(1));
}

TEST(IndexedMap, WhatIsFetchedAheadStaysAsItIs) {
  const Map nothing;
  nothing.prefetch_value(1);
  Map map{{1, "a"}, {2, "b"}};
  for (const int key : {1, 2, 3}) {
    map.prefetch(key);
    map.prefetch_value(key);
  }
  EXPECT_EQ(map, (Map{{1, "a"}, {2, "b"}}));
  PermitList().prefetch();
}

TEST(PermitList, IsSharedAndNeverChanges) {
  const PermitList empty;
  EXPECT_EQ(empty, PermitList(std::vector<PermitRule>()));
  EXPECT_EQ(empty.begin(), empty.end());
  const PermitList list{{.name = "a"}, {.name = "b"}};
  const PermitList copy = list;  // NOLINT(performance-unnecessary-copy-initialization): it is what is tested
  EXPECT_EQ(&copy[0], &list[0]);
  EXPECT_EQ(copy, PermitList({{.name = "a"}, {.name = "b"}}));
  EXPECT_FALSE(copy == PermitList({{.name = "a"}}));
  std::vector<PermitRule> rules = list.rules();
  rules[0].name = "c";
  EXPECT_EQ(list[0].name, "a");
}

}  // namespace
}  // namespace portcullis::model
