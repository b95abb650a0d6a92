// What tables do for IPv6 that they do not for IPv4.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <memory>
#include <set>
#include <span>
#include <vector>

#include "dataplane/tables/binding.h"
#include "dataplane/tables/endpoint.h"
#include "dataplane/tables/flow.h"

namespace portcullis {
namespace {

Ipv6Addr address(const char* text) {
  return *Ipv6Addr::parse(text);
}
Ipv6Prefix prefix6(const char* text) {
  return *Ipv6Prefix::parse(text);
}

BindingTable binding_table(uint32_t pages) {
  auto table = BindingTable::create(4, pages, -1, 4);
  EXPECT_TRUE(table.has_value());
  return std::move(*table);
}

TEST(Ipv6Index, SaysOfAnAddressWhatItsPoolIs) {
  BindingTable table = binding_table(32);
  EXPECT_FALSE(table.find(View::edge, address("2001:db8::1")).in_any_pool());
  const std::vector<Ipv6PoolUse> pools{{prefix6("2001:db8:1::/64"), IndexEntry::local},
                                       {prefix6("2001:db8:2::/120"), IndexEntry::local},
                                       {prefix6("2001:db8:f000::/36"), IndexEntry::provider}};
  ASSERT_TRUE(table.set_ipv6_pools(pools));
  for (const char* local : {"2001:db8:1::", "2001:db8:1::f:ffff", "2001:db8:1::10:0",
                            "2001:db8:1:0:ffff:ffff:ffff:ffff", "2001:db8:2::ff"}) {
    EXPECT_TRUE(table.find(View::local, address(local)).in_local_pool()) << local;
    EXPECT_FALSE(table.find(View::edge, address(local)).is_bound()) << local;
  }
  for (const char* outside :
       {"2001:db8:1:1::", "2001:db8:0:ffff::", "2001:db8:2::100", "2001:db8:e000::1", "::"})
    EXPECT_FALSE(table.find(View::edge, address(outside)).in_any_pool()) << outside;
  const IndexEntry provided = table.find(View::edge, address("2001:db8:ffff::1"));
  EXPECT_TRUE(provided.in_any_pool());
  EXPECT_FALSE(provided.in_local_pool());
}

TEST(Ipv6Index, ViewsAreIndependentAndEntriesOutliveAChangeOfOtherPools) {
  BindingTable table = binding_table(32);
  const Ipv6PoolUse stays{prefix6("2001:db8:1::/64"), IndexEntry::local};
  ASSERT_TRUE(table.set_ipv6_pools(std::vector{stays}));
  Slot slot = 0;
  ASSERT_TRUE(table.take_slot(IpFamily::ipv6, slot));
  table.set(View::local, address("2001:db8:1::5"), slot);
  EXPECT_EQ(table.find(View::local, address("2001:db8:1::5")).slot(), slot);
  EXPECT_FALSE(table.find(View::edge, address("2001:db8:1::5")).is_bound());
  ASSERT_TRUE(table.set_ipv6_pools(
      std::vector<Ipv6PoolUse>{{prefix6("2001:db8:2::/112"), IndexEntry::local}, stays}));
  table.release_unlinked_pages();
  EXPECT_EQ(table.find(View::local, address("2001:db8:1::5")).slot(), slot);
  EXPECT_TRUE(table.find(View::local, address("2001:db8:2::5")).in_local_pool());
  ASSERT_TRUE(table.set_ipv6_pools({}));
  EXPECT_FALSE(table.find(View::local, address("2001:db8:1::5")).in_any_pool());
}

TEST(Ipv6Index, PagesAreBoundedAndComeBackAfterGrace) {
  BindingTable table = binding_table(2);
  const std::vector<Ipv6PoolUse> two{{prefix6("2001:db8:1::/112"), IndexEntry::local},
                                     {prefix6("2001:db8:2::/120"), IndexEntry::local}};
  ASSERT_TRUE(table.set_ipv6_pools(two));
  const auto refused =
      table.set_ipv6_pools(std::vector<Ipv6PoolUse>{{prefix6("2001:db8:3::/112"), IndexEntry::local}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::resource_exhausted);
  EXPECT_TRUE(table.find(View::edge, address("2001:db8:1::1")).in_local_pool()) << "nothing has changed";
  EXPECT_FALSE(table.find(View::edge, address("2001:db8:3::1")).in_any_pool());
  ASSERT_TRUE(table.set_ipv6_pools({}));
  table.release_unlinked_pages();
  EXPECT_TRUE(table.set_ipv6_pools(two));
  const std::vector<Ipv6PoolUse> many(max_ipv6_pools + 1, {prefix6("2001:db8:f::/48"), IndexEntry::provider});
  EXPECT_EQ(table.set_ipv6_pools(many).error().code, ErrorCode::resource_exhausted);
}

// Binds the address in both views; the slot.
Slot bind(BindingTable& table, const char* text) {
  Slot slot = 0;
  EXPECT_TRUE(table.take_slot(IpFamily::ipv6, slot));
  for (const View view : {View::edge, View::local}) table.set(view, address(text), slot);
  return slot;
}
void expect_bound(const BindingTable& table, const char* text, Slot slot) {
  for (const View view : {View::edge, View::local})
    EXPECT_EQ(table.find(view, address(text)).slot(), slot) << text;
}
Expected<void> set_local(BindingTable& table, const std::vector<const char*>& prefixes) {
  std::vector<Ipv6PoolUse> uses;
  uses.reserve(prefixes.size());
  for (const char* text : prefixes) uses.push_back({prefix6(text), IndexEntry::local});
  auto set = table.set_ipv6_pools(uses);
  table.release_unlinked_pages();
  return set;
}

TEST(Ipv6Index, APoolThatGrowsOrShrinksKeepsItsEntries) {
  BindingTable table = binding_table(16);
  ASSERT_TRUE(set_local(table, {"2001:db8:1::/112"}));
  const Slot five = bind(table, "2001:db8:1::5");
  ASSERT_TRUE(set_local(table, {"2001:db8:1::/64"})) << "to all 16 pages";
  expect_bound(table, "2001:db8:1::5", five);
  const Slot second = bind(table, "2001:db8:1::1:7");
  for (const char* narrower : {"2001:db8:1::/108", "2001:db8:1::/111"}) {
    ASSERT_TRUE(set_local(table, {narrower}));
    expect_bound(table, "2001:db8:1::5", five);
    expect_bound(table, "2001:db8:1::1:7", second);
  }
  ASSERT_TRUE(set_local(table, {"2001:db8:1::/48"}));
  expect_bound(table, "2001:db8:1::1:7", second);
  for (const View view : {View::edge, View::local})
    table.set(view, address("2001:db8:1::1:7"), IndexEntry::local);
  ASSERT_TRUE(set_local(table, {"2001:db8:1::/125"}));
  expect_bound(table, "2001:db8:1::5", five);
  EXPECT_FALSE(table.find(View::edge, address("2001:db8:1::8")).in_any_pool());
  EXPECT_FALSE(table.find(View::edge, address("2001:db8:1::1:7")).in_any_pool());
  ASSERT_TRUE(set_local(table, {"2001:db8:1::/111", "2001:db8:2::/109"})) << "2 pages and 8";
  expect_bound(table, "2001:db8:1::5", five);
  EXPECT_FALSE(table.find(View::edge, address("2001:db8:1::1:7")).is_bound()) << "as on the day before";
  EXPECT_FALSE(set_local(table, {"2001:db8:1::/64", "2001:db8:2::/109"}));
  expect_bound(table, "2001:db8:1::5", five);
}

TEST(Ipv6Index, APoolMayGrowToTheFront) {
  BindingTable table = binding_table(4);
  ASSERT_TRUE(set_local(table, {"2001:db8::43a0/124"}));
  const Slot slot = bind(table, "2001:db8::43ab");
  for (const char* pool : {"2001:db8::4300/120", "2001:db8::4000/116", "2001:db8::/112", "2001:db8::/110",
                           "2001:db8::43ab/128"}) {
    ASSERT_TRUE(set_local(table, {pool})) << pool;
    expect_bound(table, "2001:db8::43ab", slot);
  }
  EXPECT_FALSE(table.find(View::edge, address("2001:db8::43aa")).in_any_pool());
}

TEST(Ipv6Index, PoolsOfOneBlockAreApart) {
  BindingTable table = binding_table(1);
  ASSERT_TRUE(set_local(table, {"2001:db8::4300/120", "2001:db8::4400/120"})) << "on one page";
  const Slot first = bind(table, "2001:db8::43ff"), next = bind(table, "2001:db8::4400");
  ASSERT_TRUE(set_local(table, {"2001:db8::4400/124", "2001:db8::4300/121"}));
  EXPECT_FALSE(table.find(View::edge, address("2001:db8::43ff")).in_any_pool());
  expect_bound(table, "2001:db8::4400", next);
  ASSERT_TRUE(
      table.set_ipv6_pools(std::vector<Ipv6PoolUse>{{prefix6("2001:db8::4300/120"), IndexEntry::local},
                                                    {prefix6("2001:db8::4400/120"), IndexEntry::provider}}));
  expect_bound(table, "2001:db8::43ff", first);
  EXPECT_EQ(table.find(View::edge, address("2001:db8::4400")).slot(), IndexEntry::provider);
}

TEST(Ipv6Index, PagesThatAreGivenUpFirstMakeRoom) {
  BindingTable table = binding_table(2);
  ASSERT_TRUE(set_local(table, {"2001:db8:1::/111"}));
  const Slot slot = bind(table, "2001:db8:1::5");
  const std::vector<Ipv6PoolUse> next{{prefix6("2001:db8:1::/112"), IndexEntry::local},
                                      {prefix6("2001:db8:2::/112"), IndexEntry::local}};
  EXPECT_FALSE(table.set_ipv6_pools(next));
  ASSERT_TRUE(table.set_ipv6_pools(next, Ipv6Index::NewPages::none));
  expect_bound(table, "2001:db8:1::5", slot);
  EXPECT_EQ(table.find(View::edge, address("2001:db8:2::5")).slot(), IndexEntry::local);
  table.set(View::edge, address("2001:db8:2::5"), slot);  // nowhere
  EXPECT_FALSE(table.find(View::edge, address("2001:db8:2::5")).is_bound());
  table.release_unlinked_pages();
  ASSERT_TRUE(table.set_ipv6_pools(next));
  expect_bound(table, "2001:db8:1::5", slot);
  bind(table, "2001:db8:2::5");
  EXPECT_TRUE(table.find(View::edge, address("2001:db8:2::5")).is_bound());
}

TEST(BindingTable, SlotsOfFamiliesAreApart) {
  BindingTable table = binding_table(1);
  std::set<Slot> slots;
  Slot slot = 0;
  for (int n = 0; n < 4; ++n) {
    ASSERT_TRUE(table.take_slot(IpFamily::ipv6, slot));
    slots.insert(slot);
    std::construct_at(&table.writable(slot).ipv6, Ipv6Endpoint{.eip = Ipv6Addr::of(1, slot), .dip = {}});
  }
  EXPECT_FALSE(table.take_slot(IpFamily::ipv6, slot));
  for (int n = 0; n < 4; ++n) {
    ASSERT_TRUE(table.take_slot(IpFamily::ipv4, slot));
    slots.insert(slot);
  }
  EXPECT_FALSE(table.take_slot(IpFamily::ipv4, slot));
  EXPECT_EQ(slots.size(), 8u);
  const Slot last = *slots.rbegin();
  EXPECT_EQ(table.record(last).ipv6.eip, Ipv6Addr::of(1, last));
  table.free_slot(last);
  EXPECT_FALSE(table.take_slot(IpFamily::ipv4, slot));
  EXPECT_TRUE(table.take_slot(IpFamily::ipv6, slot));
  EXPECT_FALSE(table.slot_of(3).is_bound());
  table.set_slot_of(3, last);
  EXPECT_EQ(table.slot_of(3).slot(), last);
}

TEST(EndpointTable6, FindsWholeKeysOnly) {
  EndpointTable6 table = *EndpointTable6::create(4096, -1, 7);
  const auto find = [&](const EndpointKey6& key) {
    return table.find<ScalarGroup>(key, table.bucket_of(key));
  };
  // All alike in the four bytes that a bucket compares.
  std::vector<EndpointKey6> keys;
  for (uint64_t n = 0; n < 4000; ++n)
    keys.push_back({.dip = Ipv6Addr::of(0xfd00000000000000 + n % 50, n << 32 | 9), .link = PortId(n % 3)});
  for (Slot n = 0; n < keys.size(); ++n) ASSERT_TRUE(table.set(keys[n], IndexEntry::first_slot + n));
  for (Slot n = 0; n < keys.size(); ++n) ASSERT_EQ(find(keys[n]), IndexEntry::first_slot + n);
  EXPECT_EQ(find({.dip = keys[5].dip, .link = PortId(keys[5].link + 1)}), 0u);
  EXPECT_EQ(find({.dip = Ipv6Addr::of(keys[5].dip.high() + 1, keys[5].dip.low()), .link = keys[5].link}), 0u);
  for (Slot n = 0; n < keys.size(); n += 2) table.erase(keys[n]);
  table.release_erased();
  for (Slot n = 0; n < keys.size(); ++n)
    ASSERT_EQ(find(keys[n]), n % 2 == 0 ? 0 : IndexEntry::first_slot + n);
}

TEST(FlowTable6, KeepsKeysApartByEachField) {
  FlowCounts counts = *FlowCounts::create(8, 3, -1);
  FlowTable6 table = *FlowTable6::create(64, -1, 3, counts);
  const Ipv6Addr remote = address("2001:db8:ffff::1");
  const Port local_port = Port::from_host(1000), remote_port = Port::from_host(443);
  const SideTuple6 key = SideTuple6::of(1, remote, local_port, remote_port, 6, 0);
  FlowEntry6 entry{.key = key, .expires_ms = 100, .tenant = 2};
  ASSERT_NE(table.insert(entry, table.hash(key), 0), FlowTable6::none);
  EXPECT_NE(table.find(key, table.hash(key), 50), FlowTable6::none);
  EXPECT_EQ(table.find(key, table.hash(key), 100), FlowTable6::none) << "expired";
  for (const SideTuple6& other :
       {SideTuple6::of(2, remote, local_port, remote_port, 6, 0),
        SideTuple6::of(1, address("2001:db8:ffff::2"), local_port, remote_port, 6, 0),
        SideTuple6::of(1, address("2001:db8:fffe::1"), local_port, remote_port, 6, 0),
        SideTuple6::of(1, remote, remote_port, local_port, 6, 0),
        SideTuple6::of(1, remote, local_port, local_port, 6, 0),
        SideTuple6::of(1, remote, local_port, remote_port, 17, 0),
        SideTuple6::of(1, remote, local_port, remote_port, 6, 128)}) {
    EXPECT_NE(table.hash(other), table.hash(key));
    EXPECT_EQ(table.find(other, table.hash(key), 50), FlowTable6::none);
  }
  EXPECT_EQ(counts.of_binding(1), 1u) << "its key names its owner";
  EXPECT_EQ(counts.of_tenant(2), 1u);
  table.erase(table.find(key, table.hash(key), 50));
  EXPECT_EQ(counts.of_binding(1), 0u);
  EXPECT_EQ(counts.of_tenant(2), 0u);
}

}  // namespace
}  // namespace portcullis
