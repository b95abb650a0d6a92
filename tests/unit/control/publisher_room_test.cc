// Updates of tables that are nearly full: whatever the model has accepted is published.
#include <atomic>
#include <thread>

#include "tests/unit/control/publisher_fixture.h"

namespace portcullis::publish {
namespace {

TEST_F(PublisherTest, AllOfTheCapacityCanBeUsedAndReplacedAgainAndAgain) {
  const Free before = free_room();
  for (int round = 0; round < 30; ++round) {
    SCOPED_TRACE(round);
    std::vector<CompiledBinding> all;
    for (uint32_t n = 1; n <= eips; ++n) {
      // Two chunks each: every chunk is used. A tag set each: every set is used.
      CompiledBinding b = binding(n, rules(30, static_cast<uint16_t>(round)));
      b.tags = {{"acme", "t" + std::to_string(round) + "-" + std::to_string(n)}};
      all.push_back(std::move(b));
    }
    publish(all);  // new owners of every EIP
    EXPECT_EQ(plane.tables->binding.free_slots(), spare);
    EXPECT_EQ(publisher.totals().permit_chunks_used, 2u * eips);
    for (CompiledBinding& b : all) b = relist(b, rules(30, static_cast<uint16_t>(round + 1000)));
    publish(all);  // every list replaced, with room for four at a time
    for (const CompiledBinding& b : all) expect_published(b, port_a);
    EXPECT_EQ(publisher.totals().local, eips);
    if (round % 2 == 0) continue;
    Update gone;
    for (uint32_t n = 1; n <= eips; ++n) take_away(gone, n);
    publish(gone);
    EXPECT_EQ(free_room(), before);
  }
}

TEST_F(PublisherTest, BeyondTheCapacityTheOthersHold) {
  std::vector<CompiledBinding> all;
  for (uint32_t n = 1; n <= eips; ++n) all.push_back(binding(n, rules(19)));
  publish(all);
  const uint32_t free_chunks = plane.tables->permit.free_chunks();

  // One list that does not fit, between two that do.
  const CompiledBinding first = relist(all[0], rules(2));
  const CompiledBinding too_long = relist(all[1], rules(4 + 16 * (free_chunks + 4)));
  const CompiledBinding last = relist(all[2], rules(3));
  Update update;
  for (const CompiledBinding& b : {first, too_long, last}) update.bindings[b.eip] = b;
  const auto done = publisher.publish(update);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, ErrorCode::internal);
  EXPECT_EQ(done.error().object, too_long.eip.to_string());
  expect_published(first, port_a);
  expect_published(all[1], port_a);
  expect_published(last, port_a);
  EXPECT_EQ(plane.tables->permit.free_chunks(), free_chunks + 2) << "nothing leaked";
  EXPECT_EQ(plane.tables->binding.free_slots(), spare);

  const CompiledBinding fits = relist(all[1], rules(5));
  publish({fits});
  expect_published(fits, port_a);
}

TEST_F(PublisherTest, RoomThatABatchGivesIsFoundByIt) {
  std::vector<CompiledBinding> now;
  for (uint32_t n = 1; n <= 20; ++n) now.push_back(binding(n));
  uint32_t most = 0;  // long lists that there is room for, with what is spare
  for (uint32_t n = 11; n <= 20; ++n) {
    now[n - 1] = relist(now[n - 1], rules(100));
    if (!publisher.publish(Update{.pools = {}, .bindings = {{now[n - 1].eip, now[n - 1]}}})) break;
    ++most;
  }
  ASSERT_GT(most, 0u);
  Update swap;
  for (uint32_t n = 1; n <= most; ++n) {
    now[n - 1] = relist(now[n - 1], rules(100));
    now[n + 9] = relist(now[n + 9], {});
    swap.bindings[now[n - 1].eip] = now[n - 1];
    swap.bindings[now[n + 9].eip] = now[n + 9];
  }
  publish(swap);
  for (uint32_t n = 1; n <= most; ++n) expect_published(now[n - 1], port_a);
}

// Its bindings have room there whatever they are, so the table is filled with keys of nobody's.
class FullEndpointTableTest : public PublisherTest {
 protected:
  void fill() {
    while (plane.tables->endpoint.set(foreign_key(keys_), IndexEntry::first_slot)) ++keys_;
    ASSERT_GT(keys_, 0U);
  }
  void clear() {
    while (keys_ > 0) plane.tables->endpoint.erase(foreign_key(--keys_));
    plane.tables->endpoint.release_erased();
  }
  void expect_refused(const Update& update, const CompiledBinding& refused) {
    const auto done = publisher.publish(update);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, ErrorCode::internal);
    EXPECT_EQ(done.error().object, refused.eip.to_string());
    EXPECT_NE(done.error().message.find("the endpoint table is full"), std::string::npos)
        << done.error().message;
    // Nothing is left half there.
    for (const View view : {View::edge, View::local}) EXPECT_EQ(plane.find(view, refused.eip.v4()), nullptr);
    EXPECT_EQ(plane.find(port_a, refused.dip.v4()), nullptr);
  }

 private:
  static EndpointKey foreign_key(uint32_t n) {
    return {.dip = Ipv4Addr::from_host(0x64400000 + n), .link = 9};
  }
  uint32_t keys_ = 0;
};

TEST_F(FullEndpointTableTest, ANewBindingIsRefusedAndComesWhenThereIsRoom) {
  const CompiledBinding first = binding(1, rules(30));
  publish({first});
  fill();
  const Free before = free_room();
  const CompiledBinding second = binding(2, rules(30));
  expect_refused(Update{.pools = {}, .bindings = {{second.eip, second}}}, second);
  EXPECT_EQ(publisher.totals().local, 1U);
  EXPECT_EQ(free_room(), before) << "nothing leaked";
  expect_published(first, port_a);

  clear();
  publish({second});
  expect_published(second, port_a);
  expect_published(first, port_a);
}

TEST_F(FullEndpointTableTest, AMoveTakesThePlaceOfTheOldKey) {
  CompiledBinding moved = binding(1, rules(3));
  publish({moved});
  fill();
  moved.port = "b";
  moved.binding_generation = ++generation_;
  publish({moved});
  expect_published(moved, port_b);
  EXPECT_EQ(plane.find(port_a, moved.dip.v4()), nullptr);
}

TEST_F(FullEndpointTableTest, OfAMoveAndANewBindingTheMoveComes) {
  CompiledBinding moved = binding(1);
  publish({moved});
  fill();
  moved.port = "b";
  moved.binding_generation = ++generation_;
  const CompiledBinding more = binding(2);
  expect_refused(Update{.pools = {}, .bindings = {{moved.eip, moved}, {more.eip, more}}}, more);
  expect_published(moved, port_b);
  EXPECT_EQ(plane.find(port_a, moved.dip.v4()), nullptr);
  EXPECT_EQ(publisher.totals().local, 1U);
}

TEST_F(PublisherTest, PagesAreUsedAgain) {
  // Two /16s are all there is room for; each step needs the pages of the one before.
  for (uint8_t n = 1; n < 20; ++n) {
    SCOPED_TRACE(int{n});
    publish_pools({{Ipv4Prefix(Ipv4Addr::of(100, n, 0, 0), 16), PoolKind::local},
                   {Ipv4Prefix(Ipv4Addr::of(101, n, 0, 0), 16), PoolKind::provider}});
    EXPECT_TRUE(plane.is(View::local, Ipv4Addr::of(100, n, 255, 255), IndexEntry::local));
    EXPECT_TRUE(plane.is(View::edge, Ipv4Addr::of(101, n, 0, 0), IndexEntry::provider));
    EXPECT_TRUE(
        plane.is(View::local, Ipv4Addr::of(100, static_cast<uint8_t>(n - 1), 0, 7), IndexEntry::outside));
  }
}

TEST_F(PublisherTest, APoolMayTakeThePlaceOfAnother) {
  publish_pools({{prefix("203.0.112.0/23"), PoolKind::provider}});
  EXPECT_TRUE(plane.is(View::edge, eip_at(1), IndexEntry::provider));
  EXPECT_TRUE(plane.is(View::edge, Ipv4Addr::of(203, 0, 112, 1), IndexEntry::provider));
  publish_pools({{prefix("203.0.113.0/25"), PoolKind::local}});
  EXPECT_TRUE(plane.is(View::edge, eip_at(1), IndexEntry::local));
  EXPECT_TRUE(plane.is(View::edge, eip_at(128), IndexEntry::outside));
}

TEST_F(PublisherTest, APoolThatGrowsAroundABindingLeavesItAlone) {
  CompiledBinding internal = binding(2);
  internal.edge = false;
  const CompiledBinding b = binding(1);
  publish({b, internal});
  publish_pools({{prefix("203.0.112.0/23"), PoolKind::local}});
  expect_published(b, port_a);
  expect_published(internal, port_a);
  EXPECT_TRUE(plane.is(View::edge, internal.eip.v4(), IndexEntry::local));
  EXPECT_TRUE(plane.is(View::local, Ipv4Addr::of(203, 0, 112, 1), IndexEntry::local));
}

TEST_F(PublisherTest, APoolWithoutPagesIsRefused) {
  const auto done = publisher.publish(Update{.pools = pools({{prefix("203.0.113.0/24"), PoolKind::local},
                                                             {prefix("100.64.0.0/14"), PoolKind::local}}),
                                             .bindings = {}});
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, ErrorCode::internal);
  EXPECT_EQ(done.error().object, "100.64.0.0/14");
  EXPECT_TRUE(plane.is(View::local, eip_at(1), IndexEntry::local));
  EXPECT_TRUE(plane.is(View::local, Ipv4Addr::of(100, 64, 0, 1), IndexEntry::outside));
}

TEST_F(PublisherTest, APoolThatGrowsOrShrinksKeepsItsBindings) {
  const CompiledBinding b = binding(1);
  publish({b});
  publish_pools({{prefix("203.0.112.0/23"), PoolKind::local}});
  expect_published(b, port_a);
  EXPECT_TRUE(plane.is(View::edge, Ipv4Addr::of(203, 0, 112, 9), IndexEntry::local));
  publish_pools({{prefix("203.0.113.0/30"), PoolKind::local}});
  expect_published(b, port_a);
  EXPECT_TRUE(plane.is(View::edge, Ipv4Addr::of(203, 0, 112, 9), IndexEntry::outside));
  EXPECT_TRUE(plane.is(View::edge, eip_at(2), IndexEntry::local));
  EXPECT_TRUE(plane.is(View::edge, eip_at(9), IndexEntry::outside));
}

TEST_F(Ipv6PublisherTest, RecordsAndChunksComeBack) {
  const uint32_t chunks = plane.tables->permit.free_chunks();
  for (int round = 0; round < 50; ++round) {
    publish({binding6(1, 600), binding6(2)});
    Update gone;
    gone.bindings[six(1)] = gone.bindings[six(2)] = std::nullopt;
    publish(gone);
  }
  EXPECT_EQ(plane.tables->permit.free_chunks(), chunks);
}

TEST_F(Ipv6PublisherTest, PoolsWithoutPagesLeaveThoseThatAreThere) {
  publish({binding6(1)});
  const auto done =
      publisher.publish(Update{.pools = pools({{prefix("203.0.113.0/24"), PoolKind::local},
                                               {*IpPrefix::parse("2001:db8::/112"), PoolKind::local},
                                               {*IpPrefix::parse("2001:db8:1::/64"), PoolKind::local}}),
                               .bindings = {}});
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, ErrorCode::internal);
  EXPECT_TRUE(index(View::local, six(1)).is_bound());
  EXPECT_FALSE(index(View::edge, *IpAddr::parse("2001:db8:1::1")).in_any_pool());
  // One that is refused more addresses keeps those that it has.
  EXPECT_FALSE(
      publisher.publish(Update{.pools = pools({{prefix("203.0.113.0/24"), PoolKind::local},
                                               {*IpPrefix::parse("2001:db8::/64"), PoolKind::local}}),
                               .bindings = {}}));
  EXPECT_TRUE(index(View::local, six(1)).is_bound());
  EXPECT_TRUE(index(View::edge, six(2)).in_local_pool());
  EXPECT_FALSE(index(View::edge, six(0x10001)).in_any_pool());
}

TEST_F(PublisherTest, ListsThatShrinkMakeRoomBeforeThoseThatGrow) {
  // Compiled rules of a list that takes so many chunks.
  const auto rules_in = [&](uint32_t chunks) {
    for (uint32_t count = 0;; ++count) {
      publish({binding(eips, rules(count))});
      if (publisher.totals().permit_chunks_used == chunks) return count;
    }
  };
  constexpr uint32_t lists = 2 * eips / 8;
  const uint32_t one = rules_in(1), seven = rules_in(7), eight = rules_in(8);
  publish({binding(eips)});
  std::vector<CompiledBinding> all;
  for (uint32_t n = 1; n <= 2 * lists; ++n) all.push_back(binding(n, rules(n <= lists ? 0 : eight)));
  publish(all);
  ASSERT_EQ(publisher.totals().permit_chunks_used, 2 * eips) << "all that the model hands out";
  for (uint32_t n = 1; n <= 2 * lists; ++n)
    all[n - 1] = relist(all[n - 1], rules(n <= lists ? one : seven, 2));
  publish(all);
  for (const CompiledBinding& b : all) expect_published(b, port_a);
  EXPECT_EQ(publisher.totals().permit_chunks_used, 2 * eips);
}

TEST_F(PublisherTest, LinksThatAreSharedOtherwiseComeInThePlaceOfTheOldOnes) {
  DataPlane small({.eips = 8,
                   .spare_records = 1,
                   .spare = 1,
                   .spare_chunks = 8,
                   .index_pages = 2,
                   .permit_chunks = 8,
                   .tag_sets = 8,
                   .links = 2});
  Publisher of_small(*small.tables, small.rcu.get(), {{"a", port_a}}, flow_quota);
  of_small.add_worker(small.worker.get());
  std::vector<CompiledBinding> vms;
  const auto publish_at = [&](const std::vector<uint16_t>& vlans) {
    Update update{.pools = pools({{prefix("203.0.113.0/24"), PoolKind::local}}), .bindings = {}};
    for (uint32_t n = 0; n < vms.size(); ++n) {
      vms[n].encapsulation = VlanTags{.outer = vlans[n]};
      vms[n].binding_generation = ++generation_;
      update.bindings[vms[n].eip] = vms[n];
    }
    const auto done = of_small.publish(update);
    ASSERT_TRUE(done) << done.error().message;
  };
  for (uint32_t n = 1; n <= 4; ++n) vms.push_back(binding(n, rules(2)));
  publish_at({10, 10, 20, 20});
  std::vector<BindingId> ids;
  for (const CompiledBinding& vm : vms) {
    const BindingRecord& record = *small.find(View::local, vm.eip.v4());
    ids.push_back(record.id);
    small.counters().slots[small.tables->binding.own_slot(record)].in_packets.add(5);
    small.counters().slots[small.tables->binding.own_slot(record)].rule_hits[0].add(3);
  }
  // Each old link is kept by one vm until both of its have left.
  publish_at({30, 40, 30, 40});
  for (uint32_t n = 0; n < vms.size(); ++n) {
    const BindingRecord* record = small.find(View::local, vms[n].eip.v4());
    ASSERT_NE(record, nullptr);
    EXPECT_EQ(small.find(View::edge, vms[n].eip.v4()), record);
    EXPECT_EQ(record->id, ids[n]) << "its flow entries go on";
    EXPECT_EQ(record->ipv4.terms.binding_generation, vms[n].binding_generation);
    EXPECT_EQ(of_small.statistics(vms[n].eip).in_packets, 5u);
    EXPECT_EQ(of_small.statistics(vms[n].eip).rules.front().packets, 3u);
  }
}

TEST_F(PublisherTest, APoolThatShrinksGivesItsPagesToOneThatComes) {
  publish_pools({
      {prefix("203.0.0.0/15"), PoolKind::local},
  });
  publish_pools({{prefix("203.0.0.0/16"), PoolKind::local}, {prefix("100.64.0.0/16"), PoolKind::local}});
  EXPECT_TRUE(plane.is(View::edge, Ipv4Addr::of(203, 0, 113, 1), IndexEntry::local));
  EXPECT_TRUE(plane.is(View::edge, Ipv4Addr::of(203, 1, 0, 1), IndexEntry::outside));
  EXPECT_TRUE(plane.is(View::edge, Ipv4Addr::of(100, 64, 1, 1), IndexEntry::local));
  // The other way round, and a pool around the other half.
  publish_pools({{prefix("100.64.0.0/15"), PoolKind::provider}});
  EXPECT_TRUE(plane.is(View::edge, Ipv4Addr::of(203, 0, 113, 1), IndexEntry::outside));
  EXPECT_TRUE(plane.is(View::edge, Ipv4Addr::of(100, 65, 1, 1), IndexEntry::provider));
  publish_pools({{prefix("203.0.112.0/24"), PoolKind::local},
                 {prefix("203.0.113.0/24"), PoolKind::local},
                 {prefix("100.65.0.0/16"), PoolKind::local}});
  EXPECT_TRUE(plane.is(View::edge, Ipv4Addr::of(100, 64, 1, 1), IndexEntry::outside));
  EXPECT_TRUE(plane.is(View::local, Ipv4Addr::of(100, 65, 1, 1), IndexEntry::local));
}

TEST_F(Ipv6PublisherTest, APoolTakesThePagesOfOneThatGoes) {
  const CompiledPool four{prefix("203.0.113.0/24"), PoolKind::local};
  const CompiledPool other{*IpPrefix::parse("2001:db8:1::/112"), PoolKind::local};
  publish({binding(1)});
  publish_pools({four, other});
  EXPECT_FALSE(index(View::edge, six(1)).in_any_pool());
  EXPECT_TRUE(index(View::edge, *IpAddr::parse("2001:db8:1::1")).in_local_pool());
  // Of the other family, both ways.
  publish_pools({four, {prefix("100.64.0.0/16"), PoolKind::local}});
  EXPECT_FALSE(index(View::edge, *IpAddr::parse("2001:db8:1::1")).in_any_pool());
  EXPECT_TRUE(plane.is(View::edge, Ipv4Addr::of(100, 64, 0, 1), IndexEntry::local));
  publish_pools({four, other});
  EXPECT_TRUE(index(View::edge, *IpAddr::parse("2001:db8:1::1")).in_local_pool());
  EXPECT_TRUE(plane.is(View::edge, Ipv4Addr::of(100, 64, 0, 1), IndexEntry::outside));
  EXPECT_NE(plane.find(View::edge, eip_at(1)), nullptr);
}

// Watches that an address is bound in both views, from the first look to the last.
class BoundAllAlong {
 public:
  BoundAllAlong(const DataPlane& plane, const Ipv6Addr& eip)
      : thread_([this, &plane, eip](const std::stop_token& stop) {
          rte_rcu_qsbr_thread_register(plane.rcu.get(), 1);
          rte_rcu_qsbr_thread_online(plane.rcu.get(), 1);
          while (!stop.stop_requested()) {
            for (const View view : {View::edge, View::local})
              if (!plane.tables->binding.find(view, eip).is_bound()) ++missed_;
            rte_rcu_qsbr_quiescent(plane.rcu.get(), 1);
          }
          rte_rcu_qsbr_thread_offline(plane.rcu.get(), 1);
          rte_rcu_qsbr_thread_unregister(plane.rcu.get(), 1);
        }) {}
  uint64_t missed() {
    thread_.request_stop();
    thread_.join();
    return missed_;
  }

 private:
  std::atomic<uint64_t> missed_{0};
  std::jthread thread_;
};

TEST_F(Ipv6PublisherTest, APoolGrowsAndShrinksAroundWhatIsBound) {
  const auto local = [](const char* text) { return CompiledPool{*IpPrefix::parse(text), PoolKind::local}; };
  const IpAddr in_second_block = six(0x10001);
  publish({binding6(1)});
  const Slot slot = index(View::local, six(1)).slot();
  BoundAllAlong reader(plane, six(1).v6());
  // All pages are in use: 203.0.113.0/24 has the other one.
  for (const auto& [prefix, holds_four] :
       {std::pair{"2001:db8::/120", true}, {"2001:db8::/126", false}, {"2001:db8::/112", true}}) {
    publish_pools({local("203.0.113.0/24"), local(prefix)});
    EXPECT_EQ(index(View::edge, six(1)).slot(), slot) << prefix;
    EXPECT_EQ(index(View::edge, six(4)).in_any_pool(), holds_four) << prefix;
  }
  // Pages pass between the families.
  for (int round = 0; round < 3; ++round) {
    publish_pools({local("2001:db8::/111")});
    EXPECT_EQ(index(View::local, six(1)).slot(), slot);
    CompiledBinding second = binding6(2);
    second.eip = in_second_block;
    publish({second});
    EXPECT_TRUE(index(View::edge, in_second_block).is_bound());
    publish(Update{.pools = pools({local("2001:db8::/112"), local("100.64.0.0/16")}),
                   .bindings = {{in_second_block, std::nullopt}}});
    EXPECT_EQ(index(View::local, six(1)).slot(), slot);
    EXPECT_FALSE(index(View::edge, in_second_block).in_any_pool());
    EXPECT_TRUE(plane.is(View::edge, Ipv4Addr::of(100, 64, 1, 1), IndexEntry::local));
  }
  // One grows into the block of another that goes, and back.
  publish_pools({local("2001:db8::/112"), local("2001:db8::1:0/112")});
  publish_pools({local("2001:db8::/111")});
  publish_pools({local("2001:db8::/112"), local("2001:db8:9::/112")});
  EXPECT_TRUE(index(View::edge, *IpAddr::parse("2001:db8:9::1")).in_local_pool());
  EXPECT_EQ(index(View::local, six(1)).slot(), slot);
  EXPECT_EQ(reader.missed(), 0u);
}

}  // namespace
}  // namespace portcullis::publish
