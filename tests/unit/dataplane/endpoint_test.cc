#include "dataplane/tables/endpoint.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace portcullis {
namespace {

Slot find(const EndpointTable& table, EndpointKey key) {
  return table.find<ScalarGroup>(key, table.bucket_of(key));
}

EndpointKey key_of(uint32_t n) {
  return {.dip = Ipv4Addr::from_host(0x0a000000 + n), .link = 1};
}

TEST(EndpointTable, FindsByPortAndDipTogether) {
  auto table = EndpointTable::create(64, -1);
  ASSERT_TRUE(table.has_value());
  const EndpointKey key{.dip = Ipv4Addr::of(10, 0, 0, 1), .link = 1};
  EXPECT_EQ(find(*table, key), 0u);
  ASSERT_TRUE(table->set(key, 7));
  EXPECT_EQ(find(*table, key), 7u);
  EXPECT_EQ(find(*table, {.dip = key.dip, .link = 2}), 0u) << "the same DIP may live on another port";
  EXPECT_EQ(find(*table, {.dip = Ipv4Addr::of(10, 0, 0, 2), .link = 1}), 0u);
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
      ASSERT_TRUE(table->set({.dip = Ipv4Addr::from_host(0x0a000000 + n), .link = 1}, n + 3)) << n;
    for (uint32_t n = 0; n < capacity; ++n)
      ASSERT_EQ(find(*table, {.dip = Ipv4Addr::from_host(0x0a000000 + n), .link = 1}), n + 3);
    for (uint32_t n = 0; n < capacity; ++n)
      table->erase({.dip = Ipv4Addr::from_host(0x0a000000 + n), .link = 1});
    table->release_erased();
  }
}

// Few homes for many keys: most buckets are continued.
TEST(EndpointTable, ContinuedBucketsComeAndGo) {
  constexpr uint32_t capacity = 4096;
  auto table = EndpointTable::create(capacity, -1, 7);
  ASSERT_TRUE(table.has_value());
  for (uint32_t round = 0; round < 20; ++round) {
    const uint32_t first = round * 100'000;
    for (uint32_t n = 0; n < capacity; ++n) ASSERT_TRUE(table->set(key_of(first + n), n + 3)) << round;
    ASSERT_FALSE(table->set(key_of(first + capacity), 3)) << "its capacity is its bound";
    for (uint32_t n = 0; n < capacity; n += 2) table->erase(key_of(first + n));
    ASSERT_FALSE(table->set(key_of(first), 3)) << "erased room is not to be had before a grace period";
    for (uint32_t n = 0; n < capacity; ++n)
      ASSERT_EQ(find(*table, key_of(first + n)), n % 2 == 0 ? 0 : n + 3) << round;
    table->release_erased();
    for (uint32_t n = 1; n < capacity; n += 2) ASSERT_EQ(find(*table, key_of(first + n)), n + 3) << round;
    for (uint32_t n = 1; n < capacity; n += 2) table->erase(key_of(first + n));
    table->release_erased();
  }
}

// DIPs that lie side by side, as real ones do, under many secrets: the continuations always suffice.
TEST(EndpointTable, HoldsConsecutiveDipsWhateverTheSecret) {
  constexpr uint32_t capacity = 16384;
  std::vector<uint64_t> secrets{1, 2, 3, 0xffff, uint64_t{1} << 63, UINT64_MAX};
  std::mt19937_64 random(1);
  while (secrets.size() < 150) secrets.push_back(random());
  for (const uint64_t secret : secrets) {
    auto table = EndpointTable::create(capacity, -1, secret);
    ASSERT_TRUE(table.has_value());
    for (uint32_t n = 0; n < capacity; ++n) ASSERT_TRUE(table->set(key_of(n), n + 3)) << secret << " " << n;
  }
}

TEST(EndpointTable, AKeyWhoseWayIsTakenAgainIsNotFound) {
  auto table = EndpointTable::create(64, -1, 7);
  ASSERT_TRUE(table.has_value());
  for (uint32_t n = 0; n < 10'000; ++n) {
    ASSERT_TRUE(table->set(key_of(n), n + 3));
    table->erase(key_of(n));
    table->release_erased();
    ASSERT_EQ(find(*table, key_of(n)), 0u);
  }
}

TEST(EndpointTable, TheSecretChangesWhoMeets) {
  const auto one = EndpointTable::create(65536, -1, 1);
  const auto other = EndpointTable::create(65536, -1, 2);
  ASSERT_TRUE(one.has_value() && other.has_value());
  int met_in_both = 0, met = 0;
  for (uint32_t n = 0; n < 100'000; n += 2) {
    if (one->bucket_of(key_of(n * 7919)) != one->bucket_of(key_of(n * 7919 + 104729))) continue;
    ++met;
    if (other->bucket_of(key_of(n * 7919)) == other->bucket_of(key_of(n * 7919 + 104729))) ++met_in_both;
  }
  EXPECT_LE(met_in_both, met / 10);
}

}  // namespace
}  // namespace portcullis
