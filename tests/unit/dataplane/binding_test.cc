#include "dataplane/tables/binding.h"

#include <gtest/gtest.h>

#include <optional>
#include <vector>

namespace portcullis {
namespace {

BindingTable table_of(uint32_t capacity, uint32_t pages) {
  auto table = BindingTable::create(capacity, pages, -1);
  EXPECT_TRUE(table.has_value());
  return std::move(*table);
}

Ipv4Prefix prefix(const char* text) {
  return *Ipv4Prefix::parse(text);
}

TEST(BindingTable, AnAddressOutsideEveryPoolIsOutside) {
  const BindingTable table = table_of(4, 1);
  for (const uint32_t host : {0u, 0x01020304u, 0xffffffffu}) {
    const IndexEntry entry = table.find(View::edge, Ipv4Addr::from_host(host));
    EXPECT_FALSE(entry.in_any_pool());
    EXPECT_FALSE(entry.in_local_pool());
    EXPECT_FALSE(entry.is_bound());
  }
}

TEST(BindingTable, ViewsAreIndependent) {
  BindingTable table = table_of(4, 1);
  ASSERT_TRUE(table.reserve_pages(prefix("203.0.113.0/24")));
  const Ipv4Addr eip = Ipv4Addr::of(203, 0, 113, 7);
  Slot slot = 0;
  ASSERT_TRUE(table.take_slot(IpFamily::ipv4, slot));
  EXPECT_GE(slot, IndexEntry::first_slot);
  table.set(View::local, eip, slot);
  table.set(View::edge, eip, IndexEntry::local);
  EXPECT_TRUE(table.find(View::local, eip).is_bound());
  EXPECT_EQ(table.find(View::local, eip).slot(), slot);
  EXPECT_FALSE(table.find(View::edge, eip).is_bound());
  EXPECT_TRUE(table.find(View::edge, eip).in_local_pool());
}

TEST(BindingTable, AProviderAddressIsInAPoolButNotALocalOne) {
  BindingTable table = table_of(4, 1);
  ASSERT_TRUE(table.reserve_pages(prefix("198.18.0.0/24")));
  table.set(View::edge, Ipv4Addr::of(198, 18, 0, 1), IndexEntry::provider);
  const IndexEntry entry = table.find(View::edge, Ipv4Addr::of(198, 18, 0, 1));
  EXPECT_TRUE(entry.in_any_pool());
  EXPECT_FALSE(entry.in_local_pool());
  EXPECT_FALSE(entry.is_bound());
}

TEST(BindingTable, PagesAreSharedByPoolsUnderOneUpperHalfAndBounded) {
  BindingTable table = table_of(4, 1);
  ASSERT_TRUE(table.reserve_pages(prefix("203.0.113.0/24")));
  ASSERT_TRUE(table.reserve_pages(prefix("203.0.112.0/24"))) << "same /16, no further page";
  const auto refused = table.reserve_pages(prefix("198.51.100.0/24"));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, ErrorCode::resource_exhausted);
  table.unlink_pages(prefix("203.0.113.0/24"));
  table.release_unlinked_pages();
  EXPECT_FALSE(table.reserve_pages(prefix("198.51.100.0/24"))) << "the other pool still needs the page";
  table.unlink_pages(prefix("203.0.112.0/24"));
  EXPECT_FALSE(table.reserve_pages(prefix("198.51.100.0/24"))) << "not before a grace period";
  table.release_unlinked_pages();
  EXPECT_TRUE(table.reserve_pages(prefix("198.51.100.0/24")));
}

TEST(BindingTable, ARefusedReservationTakesNothing) {
  BindingTable table = table_of(4, 2);
  EXPECT_FALSE(table.reserve_pages(prefix("10.0.0.0/14")));  // four /16s, two pages
  EXPECT_TRUE(table.reserve_pages(prefix("10.0.0.0/15")));
}

TEST(BindingTable, APageThatComesBackIsEmpty) {
  BindingTable table = table_of(4, 1);
  ASSERT_TRUE(table.reserve_pages(prefix("203.0.113.0/24")));
  table.set(View::edge, Ipv4Addr::of(203, 0, 113, 7), IndexEntry::local);
  table.unlink_pages(prefix("203.0.113.0/24"));
  EXPECT_FALSE(table.find(View::edge, Ipv4Addr::of(203, 0, 113, 7)).in_any_pool());
  table.release_unlinked_pages();
  ASSERT_TRUE(table.reserve_pages(prefix("203.0.113.0/24")));
  EXPECT_FALSE(table.find(View::edge, Ipv4Addr::of(203, 0, 113, 7)).in_any_pool());
}

TEST(BindingTable, WhichSlotsComeIsKnownBefore) {
  BindingTable table = table_of(3, 1);
  std::vector<std::optional<Slot>> coming;
  for (size_t after = 0; after < 4; ++after) coming.push_back(table.coming_slot(IpFamily::ipv4, after));
  EXPECT_EQ(coming.back(), std::nullopt);
  for (size_t i = 0; i < 3; ++i) {
    Slot slot = 0;
    ASSERT_TRUE(table.take_slot(IpFamily::ipv4, slot));
    EXPECT_EQ(coming[i], slot);
  }
  EXPECT_EQ(table.coming_slot(IpFamily::ipv4, 0), std::nullopt);
  EXPECT_EQ(table.coming_slot(IpFamily::ipv6, 0), std::nullopt);
}

TEST(BindingTable, SlotsAreBoundedAndComeBack) {
  BindingTable table = table_of(2, 1);
  Slot a = 0;
  Slot b = 0;
  Slot c = 0;
  ASSERT_TRUE(table.take_slot(IpFamily::ipv4, a));
  ASSERT_TRUE(table.take_slot(IpFamily::ipv4, b));
  EXPECT_FALSE(table.take_slot(IpFamily::ipv4, c));
  table.free_slot(a);
  ASSERT_TRUE(table.take_slot(IpFamily::ipv4, c));
  EXPECT_EQ(c, a);
}

}  // namespace
}  // namespace portcullis
