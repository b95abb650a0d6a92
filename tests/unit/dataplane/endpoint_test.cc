#include "dataplane/tables/endpoint.h"

#include <gtest/gtest.h>

namespace portcullis {
namespace {

Slot find(const EndpointTable& table, EndpointKey key) {
  const EndpointKey* keys[] = {&key};
  Slot slot = 0;
  table.find(keys, 1, &slot);
  return slot;
}

TEST(EndpointTable, FindsByPortAndDipTogether) {
  auto table = EndpointTable::create(64, -1);
  ASSERT_TRUE(table.has_value());
  const EndpointKey key{.dip = Ipv4Addr::of(10, 0, 0, 1), .port = 1};
  EXPECT_EQ(find(*table, key), 0u);
  ASSERT_TRUE(table->set(key, 7));
  EXPECT_EQ(find(*table, key), 7u);
  EXPECT_EQ(find(*table, {.dip = key.dip, .port = 2}), 0u) << "the same DIP may live on another port";
  EXPECT_EQ(find(*table, {.dip = Ipv4Addr::of(10, 0, 0, 2), .port = 1}), 0u);
  ASSERT_TRUE(table->set(key, 9)) << "the record moved to another slot";
  EXPECT_EQ(find(*table, key), 9u);
  table->erase(key);
  EXPECT_EQ(find(*table, key), 0u);
}

TEST(EndpointTable, HoldsItsCapacityAgainAndAgain) {
  constexpr uint32_t capacity = 1024;
  auto table = EndpointTable::create(capacity, -1);
  ASSERT_TRUE(table.has_value());
  for (int round = 0; round < 3; ++round) {
    for (uint32_t n = 0; n < capacity; ++n)
      ASSERT_TRUE(table->set({.dip = Ipv4Addr::from_host(0x0a000000 + n), .port = 1}, n + 3)) << n;
    for (uint32_t n = 0; n < capacity; ++n)
      ASSERT_EQ(find(*table, {.dip = Ipv4Addr::from_host(0x0a000000 + n), .port = 1}), n + 3);
    for (uint32_t n = 0; n < capacity; ++n)
      table->erase({.dip = Ipv4Addr::from_host(0x0a000000 + n), .port = 1});
    table->release_erased();
  }
}

}  // namespace
}  // namespace portcullis
