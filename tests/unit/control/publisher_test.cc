#include "control/publish/publisher.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "dataplane/stages/permit_match.h"
#include "tests/support/first_match.h"
#include "tests/unit/control/publisher_fixture.h"

namespace portcullis::publish {
namespace {

TEST_F(PublisherTest, ABindingIsFoundInBothViewsAndAtItsLocation) {
  const CompiledBinding b = binding(1, rules(3));
  publish({b});
  expect_published(b, port_a);
  EXPECT_EQ(plane.find(View::local, b.eip.v4())->to_public, ChecksumDelta{}.replace(b.dip.v4(), b.eip.v4()));
  EXPECT_EQ(plane.find(View::local, b.eip.v4())->to_private, ChecksumDelta{}.replace(b.eip.v4(), b.dip.v4()));
  EXPECT_EQ(plane.find(port_b, b.dip.v4()), nullptr);
  EXPECT_TRUE(plane.is(View::local, eip_at(2), IndexEntry::local));
}

TEST_F(PublisherTest, AnEipsOwnFlowQuotaStandsInItsRecord) {
  CompiledBinding b = binding(1, rules(1));
  b.flow_quota = flow_quota + 5;
  publish({b, binding(2, rules(1))});
  expect_published(b, port_a);
  const BindingId id = plane.find(View::local, b.eip.v4())->id;
  b.flow_quota = 1;
  publish({b});
  expect_published(b, port_a);
  EXPECT_EQ(plane.find(View::local, b.eip.v4())->id, id) << "its entries stay its own";
  EXPECT_EQ(plane.find(View::local, eip_at(2))->ipv4.terms.flow_quota, flow_quota);
}

TEST_F(PublisherTest, LongListsGoOnInChunks) {
  for (const uint32_t count : {0u, 4u, 5u, 19u, 20u, 21u, 34u, 35u, 600u}) {
    const CompiledBinding b = binding(1, rules(count, static_cast<uint16_t>(count)));
    publish({b});
    expect_published(b, port_a);
    EXPECT_EQ(publisher.totals().permit_chunks_used == 0, count <= inline_permit_rules);
    EXPECT_LE(publisher.totals().permit_chunks_used, most_permit_chunks(count));
  }
}

TEST_F(Ipv6PublisherTest, ListsOfEveryLengthCountEachRule) {
  for (const uint32_t count :
       {0u, 4u, 5u, plain_ipv6_permit_rules, plain_ipv6_permit_rules + 1, 100u, 400u}) {
    publish({binding6(1, count)});
    std::set<std::pair<bool, uint32_t>> counters;
    for (uint32_t n = 0; n < count; ++n) {
      const RuleHit hit = find6(1, remote6(n).address());
      ASSERT_TRUE(hit.is_one()) << count << " rules, rule " << n;
      counters.emplace(hit.is_inline(), hit.counter());
      EXPECT_EQ(publisher.rule_at(six(1), hit), "r" + std::to_string(n)) << count << " rules";
    }
    EXPECT_EQ(counters.size(), count) << "each rule has a counter of its own";
    EXPECT_FALSE(find6(1, remote6(count).address()).is_one());
    EXPECT_LE(publisher.totals().permit_chunks_used, most_permit_chunks(count));
  }
}

TEST_F(PublisherTest, ReleaseLeavesNothing) {
  const Free before = free_room();
  CompiledBinding bound = binding(1, rules(20));
  bound.edge = true;
  publish({bound});
  EXPECT_EQ(publisher.totals().edge, 1u);
  Update gone;
  take_away(gone, 1);
  publish(gone);
  EXPECT_TRUE(plane.is(View::local, eip_at(1), IndexEntry::local));
  EXPECT_TRUE(plane.is(View::edge, eip_at(1), IndexEntry::local));
  EXPECT_EQ(plane.find(port_a, dip_at(1)), nullptr);
  EXPECT_EQ(free_room(), before);
  publish(gone);  // once more is nothing more
  EXPECT_EQ(free_room(), before);
}

TEST_F(PublisherTest, EdgeMembershipFollowsTheBinding) {
  CompiledBinding b = binding(1);
  for (const bool edge : {false, true, false}) {
    b.edge = edge;
    publish({b});
    expect_published(b, port_a);
    EXPECT_EQ(publisher.totals().edge, edge ? 1u : 0u);
    EXPECT_EQ(publisher.totals().local, 1u);
  }
  EXPECT_TRUE(plane.is(View::edge, b.eip.v4(), IndexEntry::local));
}

TEST_F(PublisherTest, AnUnchangedBindingStaysWhereItIs) {
  const CompiledBinding b = binding(1, rules(3));
  publish({b});
  const BindingRecord* record = plane.find(View::local, b.eip.v4());
  publish({b});
  EXPECT_EQ(plane.find(View::local, b.eip.v4()), record);
}

TEST_F(PublisherTest, TheIdIsStableForOneOwnerAndAnotherForTheNext) {
  CompiledBinding b = binding(1, rules(1));
  publish({b});
  const BindingId id = plane.find(View::local, b.eip.v4())->id;
  b = relist(b, rules(2));
  publish({b});
  EXPECT_EQ(plane.find(View::local, b.eip.v4())->id, id);
  const CompiledBinding next = binding(1, rules(2));
  publish({next});
  expect_published(next, port_a);
  EXPECT_NE(plane.find(View::local, b.eip.v4())->id, id);
}

// --- capacity ---

TEST_F(PublisherTest, AnUnknownPortIsRefusedWithoutLeak) {
  const Free before = free_room();
  CompiledBinding b = binding(1, rules(20));
  b.port = "nowhere";
  const auto done = publisher.publish(Update{.pools = {}, .bindings = {{b.eip, b}}});
  ASSERT_FALSE(done);
  EXPECT_NE(done.error().message.find("'nowhere'"), std::string::npos);
  EXPECT_TRUE(plane.is(View::local, b.eip.v4(), IndexEntry::local));
  EXPECT_EQ(free_room(), before);
}

TEST_F(PublisherTest, AnAddressOfNoLocalPoolIsRefusedWithoutLeak) {
  const Free before = free_room();
  CompiledBinding b = binding(1, rules(20));
  b.eip = Ipv4Addr::of(198, 51, 100, 1);
  const auto done = publisher.publish(Update{.pools = {}, .bindings = {{b.eip, b}}});
  ASSERT_FALSE(done);
  EXPECT_NE(done.error().message.find("no local pool"), std::string::npos);
  EXPECT_EQ(free_room(), before);
}

// --- locations ---

TEST_F(PublisherTest, AMoveLeavesOneKey) {
  CompiledBinding b = binding(1);
  publish({b});
  b.port = "b";
  b.dip = dip_at(200);
  publish({b});
  expect_published(b, port_b);
  EXPECT_EQ(plane.find(port_a, dip_at(1)), nullptr);
  b.dip = dip_at(201);
  publish({b});
  expect_published(b, port_b);
  EXPECT_EQ(plane.find(port_b, dip_at(200)), nullptr);
}

TEST_F(PublisherTest, TwoEndpointsMaySwapTheirPlaces) {
  CompiledBinding one = binding(1);
  CompiledBinding two = binding(2);
  publish({one, two});
  std::swap(one.dip, two.dip);
  publish({one, two});
  expect_published(one, port_a);
  expect_published(two, port_a);
}

TEST_F(PublisherTest, APlacePassesFromOneEipToAnother) {
  CompiledBinding low = binding(1);
  publish({low});
  CompiledBinding high = binding(2);
  high.dip = low.dip;
  Update up{.pools = {}, .bindings = {{high.eip, high}}};
  take_away(up, 1);
  publish(up);
  expect_published(high, port_a);
  EXPECT_TRUE(plane.is(View::local, low.eip.v4(), IndexEntry::local));

  low = binding(1);
  Update down{.pools = {}, .bindings = {{low.eip, low}}};
  take_away(down, 2);
  publish(down);
  expect_published(low, port_a);
}

// --- tags ---

TEST_F(PublisherTest, ARuleMeetsTheSetsOfItsTag) {
  const TagKey red{"acme", "red"}, blue{"acme", "blue"}, foreign{"umbrella", "red"};
  CompiledBinding listener = binding(1, {tag_rule("a", "red")});
  CompiledBinding both = binding(2), only_blue = binding(3), other_tenant = binding(4);
  both.tags = {blue, red};
  only_blue.tags = {blue};
  other_tenant.tags = {foreign};
  publish({listener, both, only_blue, other_tenant});
  const auto admits = [&](uint32_t n) {
    const PermitQuery query{.direction = Direction::inbound,
                            .protocol = 6,
                            .local_port = 1,
                            .remote_port = 1,
                            .remote = eip_at(n),
                            .remote_tags = plane.find(View::local, eip_at(n))->tags};
    return first_match<ScalarGroup>(plane.find(View::local, eip_at(1))->rules, query, plane.tables->tags) ==
           0;
  };
  EXPECT_TRUE(admits(2));
  EXPECT_FALSE(admits(3));
  EXPECT_FALSE(admits(4)) << "another tenant's tag of the same name";

  both.tags = {blue};
  only_blue.tags = {blue, red};
  publish({both, only_blue});
  EXPECT_FALSE(admits(2));
  EXPECT_TRUE(admits(3));
}

TEST_F(PublisherTest, EqualSetsAreOne) {
  CompiledBinding one = binding(1), two = binding(2), three = binding(3);
  one.tags = two.tags = {{"acme", "x"}, {"acme", "y"}};
  three.tags = {{"acme", "x"}};
  publish({one, two, three});
  const auto set_of = [&](uint32_t n) { return plane.find(View::local, eip_at(n))->tags; };
  EXPECT_EQ(set_of(1), set_of(2));
  EXPECT_NE(set_of(1), set_of(3));
  EXPECT_NE(set_of(1), empty_tag_set);
  const TagSetId shared = set_of(1);
  one.tags = {};
  publish({one});
  EXPECT_EQ(set_of(1), empty_tag_set);
  EXPECT_EQ(set_of(2), shared);
  EXPECT_TRUE(plane.tables->tags.contains(shared, 1)) << "still whole for the other";
}

TEST_F(PublisherTest, ATagKeepsItsNumberWhileAnythingNamesIt) {
  const TagKey red{"acme", "red"};
  const CompiledBinding listener = binding(1, {tag_rule("a", "red")});
  publish({listener});
  const TagId number = plane.find(View::local, eip_at(1))->rules.remote[0];
  for (uint32_t n = 2; n < 50; ++n) {  // others come and go, and use up numbers
    CompiledBinding b = binding(n);
    b.tags = {{"acme", "t" + std::to_string(n)}};
    publish({b});
  }
  CompiledBinding carrier = binding(60);
  carrier.tags = {red};
  publish({carrier});
  publish({relist(listener, {})});
  EXPECT_TRUE(plane.tables->tags.contains(plane.find(View::local, eip_at(60))->tags, number));
  publish({relist(listener, {tag_rule("b", "red")})});
  EXPECT_EQ(plane.find(View::local, eip_at(1))->rules.remote[0], number);
}

TEST_F(PublisherTest, NumbersOfForgottenTagsAreUsedAgain) {
  CompiledBinding b = binding(1);
  for (int n = 0; n < 100; ++n) {
    const std::string text = std::to_string(n);
    b = relist(b, {tag_rule("a", "x" + text), tag_rule("b", "y" + text)});
    b.tags = {{"acme", "s" + text}, {"acme", "t" + text}, {"acme", "u" + text}};
    publish({b});
    const BindingRecord& record = *plane.find(View::local, b.eip.v4());
    ASSERT_LE(std::max(record.rules.remote[0], record.rules.remote[1]), 10u)
        << "of the old record and the new one";
    uint32_t in_set = 0;
    for (TagId tag = 1; tag <= 10; ++tag) in_set += plane.tables->tags.contains(record.tags, tag) ? 1 : 0;
    ASSERT_EQ(in_set, 3u);
  }
}

// --- pools ---

TEST_F(PublisherTest, PoolsSayWhoseAnAddressIs) {
  publish({binding(1)});
  publish_pools(
      {{prefix("203.0.113.0/24"), PoolKind::local}, {prefix("198.51.100.0/25"), PoolKind::provider}});
  for (const View view : {View::edge, View::local}) {
    EXPECT_TRUE(plane.is(view, Ipv4Addr::of(198, 51, 100, 0), IndexEntry::provider));
    EXPECT_TRUE(plane.is(view, Ipv4Addr::of(198, 51, 100, 127), IndexEntry::provider));
    EXPECT_TRUE(plane.is(view, Ipv4Addr::of(198, 51, 100, 128), IndexEntry::outside));
    EXPECT_TRUE(plane.is(view, Ipv4Addr::of(203, 0, 113, 255), IndexEntry::local));
    EXPECT_TRUE(plane.is(view, Ipv4Addr::of(203, 0, 114, 0), IndexEntry::outside));
    EXPECT_NE(plane.find(view, eip_at(1)), nullptr);
  }
  Update all_gone{.pools = pools({}), .bindings = {}};
  take_away(all_gone, 1);
  publish(all_gone);
  for (const View view : {View::edge, View::local})
    for (const Ipv4Addr address : {Ipv4Addr::of(198, 51, 100, 1), eip_at(1), eip_at(2)})
      EXPECT_TRUE(plane.is(view, address, IndexEntry::outside));
}

// --- statistics ---

TEST_F(PublisherTest, NextHopsOfTunnelsAreToldWithWhomTheyServe) {
  const Ipv4Addr near = Ipv4Addr::of(192, 0, 2, 7), router = Ipv4Addr::of(192, 0, 2, 254);
  const Ipv4Addr far = Ipv4Addr::of(198, 18, 0, 1), farther = Ipv4Addr::of(198, 18, 0, 2);
  plane.tables->ports.ports[port_a].tunnel = {
      .ipv4 = Ipv4Addr::of(192, 0, 2, 1), .ipv4_length = 24, .next_hop = router};
  std::vector<CompiledBinding> vms;
  for (const Ipv4Addr remote : {near, farther, far, far}) {
    CompiledBinding vm = binding(static_cast<uint32_t>(vms.size() + 1));
    vm.encapsulation = Tunnel{TunnelProtocol::vxlan, remote, vms.size() < 3 ? 1u : 2u};
    vms.push_back(vm);
  }
  publish(vms);
  const NeighborKey of_near{port_a, near}, of_router{port_a, router};
  auto told = publisher.tunnel_next_hops(std::nullopt, 9);
  ASSERT_EQ(told.size(), 2u);
  EXPECT_EQ(told[0].key, of_near);
  EXPECT_EQ(told[0].tunnels, 1u);
  EXPECT_EQ(told[0].mac, std::nullopt);
  EXPECT_EQ(told[1].key, of_router);
  EXPECT_EQ(told[1].tunnels, 3u);
  EXPECT_EQ(told[1].remotes, (std::vector<IpAddr>{far, farther}));

  const Mac mac{{2, 0, 0, 0, 0, 9}};
  plane.tables->neighbors.for_each([&](NeighborId id, const NeighborKey& key, uint32_t) {
    if (key == of_router) plane.tables->neighbors.set(id, mac, 1234);
  });
  told = publisher.tunnel_next_hops(of_near, 9);
  ASSERT_EQ(told.size(), 1u) << "from there on";
  EXPECT_EQ(told[0].mac, mac);
  EXPECT_EQ(told[0].answered_ms, 1234u);
  EXPECT_EQ(publisher.tunnel_next_hops(std::nullopt, 1).size(), 1u);

  Update gone{.pools = pools({{prefix("203.0.113.0/24"), PoolKind::local}}), .bindings = {}};
  for (const uint32_t n : {1, 3, 4}) take_away(gone, n);
  publish(gone);
  told = publisher.tunnel_next_hops(std::nullopt, 9);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].key, of_router);
  EXPECT_EQ(told[0].tunnels, 1u);
  EXPECT_EQ(told[0].remotes, (std::vector<IpAddr>{farther}));
}

TEST_F(PublisherTest, TrafficBeginsWithTheBinding) {
  publish({binding(1)});
  const auto count = [&] {
    SlotCounters& counters =
        plane.counters().slots[plane.tables->binding.own_slot(*plane.find(View::local, eip_at(1)))];
    counters.in_packets.add(1);
    counters.in_bytes.add(20);
    counters.out_packets.add(3);
    counters.out_bytes.add(400);
  };
  for (int owner = 0; owner < 500; ++owner) {  // ids come round again
    count();
    count();
    const EipStatistics statistics = publisher.statistics(eip_at(1));
    ASSERT_EQ(statistics.in_packets, 2u);
    ASSERT_EQ(statistics.in_bytes, 40u);
    ASSERT_EQ(statistics.out_packets, 6u);
    ASSERT_EQ(statistics.out_bytes, 800u);
    publish({binding(1)});
  }
  EXPECT_EQ(publisher.statistics(eip_at(1)).in_packets, 0u);
  EXPECT_EQ(publisher.statistics(eip_at(9)).rules.size(), 0u);
}

TEST_F(PublisherTest, HitsCarryOverForARuleThatStays) {
  // "many" is compiled into several rules, inline and beyond.
  std::vector<IpPrefix> remotes;
  for (uint32_t n = 0; n < 30; ++n) remotes.push_back(IpPrefix::of_host(Ipv4Addr::from_host(0x0a010000 + n)));
  std::vector<model::PermitRule> list{rule("first", 1), rule("goes", 2), rule("many", 3)};
  list[2].remote = remotes;
  CompiledBinding b = binding(1, list);
  publish({b});
  hit(1, 0, 5);
  hit(1, 1, 7);
  hit(1, 3, 10);
  hit(1, 4, 20);
  hit(1, 31, 30);
  EXPECT_EQ(hits(1, "first"), 5u);
  EXPECT_EQ(hits(1, "goes"), 7u);
  EXPECT_EQ(hits(1, "many"), 60u);

  // Another rule in front: the compiled ones lie elsewhere now.
  list[1] = rule("aaa", 9);
  std::swap(list[0], list[1]);
  publish({b = relist(b, list)});
  EXPECT_EQ(hits(1, "aaa"), 0u);
  EXPECT_EQ(hits(1, "first"), 5u);
  EXPECT_EQ(hits(1, "many"), 60u);
  EXPECT_EQ(publisher.statistics(eip_at(1)).rules.size(), 3u);
  hit(1, 1, 1);
  hit(1, 20, 4);
  EXPECT_EQ(hits(1, "first"), 6u);
  EXPECT_EQ(hits(1, "many"), 64u);

  // The same name for another match counts from zero; so does a name that comes back.
  remotes.pop_back();
  list[2].remote = remotes;
  publish({b = relist(b, list)});
  EXPECT_EQ(hits(1, "first"), 6u);
  EXPECT_EQ(hits(1, "many"), 0u);
  publish({b = relist(b, {})});
  publish({b = relist(b, {rule("first", 1)})});
  EXPECT_EQ(hits(1, "first"), 0u);
}

TEST_F(PublisherTest, HitsOfOneOwnerAreNotTheNextOnes) {
  const auto expect_all = [&](uint32_t count, uint64_t packets) {
    const EipStatistics statistics = publisher.statistics(eip_at(1));
    EXPECT_EQ(statistics.rules.size(), count);
    for (const RuleHits& counted : statistics.rules) EXPECT_EQ(counted.packets, packets) << counted.rule;
  };
  for (int owner = 0; owner < 300; ++owner) {  // slots and chunks come round again
    const uint32_t count = owner % 2 == 0 ? 20 : 40;
    CompiledBinding b = binding(1, rules(count));
    publish({b});
    expect_all(count, 0);
    for (uint32_t i = 0; i < count; ++i) hit(1, i, 3);
    expect_all(count, 3);
    publish({b = relist(b, rules(count))});
    expect_all(count, 3);
  }
}

TEST_F(PublisherTest, FlowsAreCountedByOwner) {
  publish({binding(1), binding(2)});
  plane.open_flows(plane.find(View::local, eip_at(1))->id, 3);
  EXPECT_EQ(publisher.flows_of(eip_at(1)), 3u);
  EXPECT_EQ(publisher.statistics(eip_at(1)).flow_entries, 3u);
  EXPECT_EQ(publisher.flows_of(eip_at(2)), 0u);
  EXPECT_EQ(publisher.flows_of(eip_at(3)), 0u);
}

TEST_F(PublisherTest, AnIdRestsWhileEntriesOfItsLastOwnerAreLeft) {
  publish({binding(1)});
  const BindingId id = plane.find(View::local, eip_at(1))->id;
  plane.open_flows(id, 2);
  for (int owner = 0; owner < 300; ++owner) {
    publish({binding(1)});
    ASSERT_NE(plane.find(View::local, eip_at(1))->id, id);
  }
  plane.age_all_flows();
  bool seen = false;
  for (int owner = 0; owner < 300 && !seen; ++owner) {
    publish({binding(1)});
    seen = plane.find(View::local, eip_at(1))->id == id;
  }
  EXPECT_TRUE(seen);
}

// A batch that gives room only after it was asked for: the lists that grow come before those that shrink.
// --- IPv6 ---

TEST_F(Ipv6PublisherTest, ABindingIsFoundMovesAndGoes) {
  CompiledBinding b = binding6(1, 6);
  publish({b});
  const IndexEntry entry = index(View::local, b.eip);
  ASSERT_TRUE(entry.is_bound());
  EXPECT_EQ(index(View::edge, b.eip).slot(), entry.slot());
  EXPECT_EQ(at(port_a, b.dip), entry.slot());
  const BindingRecord& record = plane.tables->binding.record(entry.slot());
  EXPECT_EQ(record.rule_count, 6u);
  EXPECT_EQ(record.ipv6.eip, b.eip.v6());
  EXPECT_EQ(record.ipv6.dip, b.dip.v6());
  EXPECT_EQ(plane.tables->binding.slot_of(record.id).slot(), entry.slot());
  const BindingId id = record.id;

  b.port = "b";
  b.edge = false;
  publish({b});
  EXPECT_EQ(at(port_a, b.dip), 0u);
  EXPECT_EQ(at(port_b, b.dip), index(View::local, b.eip).slot());
  EXPECT_FALSE(index(View::edge, b.eip).is_bound());
  EXPECT_TRUE(index(View::edge, b.eip).in_local_pool());

  publish(Update{.pools = std::nullopt, .bindings = {{b.eip, std::nullopt}}});
  EXPECT_FALSE(index(View::local, b.eip).is_bound());
  EXPECT_EQ(at(port_b, b.dip), 0u);
  EXPECT_FALSE(plane.tables->binding.slot_of(id).is_bound());
}

// --- readers ---

// A reader that does what a worker does: looks records up, judges by all of them, reports.
class Reader {
 public:
  Reader(const DataPlane& plane, const std::atomic<uint32_t>& announced)
      : thread_([this, &plane, &announced](const std::stop_token& stop) {
          rte_rcu_qsbr_thread_register(plane.rcu.get(), 1);
          rte_rcu_qsbr_thread_online(plane.rcu.get(), 1);
          while (!stop.stop_requested()) {
            const uint32_t oldest = announced.load(std::memory_order_acquire);
            for (const BindingRecord* record :
                 {plane.find(View::edge, eip_at(1)), plane.find(View::local, eip_at(1)),
                  plane.find(port_a, dip_at(1))})
              look(plane, *record, oldest);
            ++rounds;
            rte_rcu_qsbr_quiescent(plane.rcu.get(), 1);
          }
          rte_rcu_qsbr_thread_offline(plane.rcu.get(), 1);
          rte_rcu_qsbr_thread_unregister(plane.rcu.get(), 1);
        }) {}

  std::atomic<uint64_t> rounds = 0, torn = 0, stale = 0;

 private:
  // All rules of list generation g carry the mark g, and there are at least 25 of them.
  void look(const DataPlane& plane, const BindingRecord& record, uint32_t oldest) {
    const auto mark = static_cast<uint16_t>(record.ipv4.terms.list_generation);
    bool whole = record.ipv4.eip == eip_at(1) && record.rule_count >= 25;
    for (uint32_t lane = 0; lane < PermitQuad::lanes; ++lane)
      whole = whole && record.rules.port_low[lane] == mark;
    for (uint32_t n = 0; n < 25; ++n)
      whole = whole &&
              stages::find_rule<ScalarGroup>(record, query_of(nth_rule(n, mark)), *plane.tables).is_one();
    if (!whole) ++torn;
    if (record.ipv4.terms.list_generation < oldest) ++stale;
  }

  std::jthread thread_;
};

TEST_F(PublisherTest, ReadersSeeWholeRecordsAndNoOldOneAfterPublication) {
  const auto marked = [&](CompiledBinding b) {
    b.list_generation = ++generation_;
    b.permit = rules(25 + generation_ % 20, static_cast<uint16_t>(generation_));
    return b;
  };
  CompiledBinding b = marked(binding(1));
  publish({b});
  std::atomic<uint32_t> announced = compile::flow_terms(b, 0).stamp;
  Reader reader(plane, announced);
  while (reader.rounds == 0) std::this_thread::yield();
  for (int n = 0; n < 2000; ++n) {
    b = marked(b);
    publish({b});
    announced.store(compile::flow_terms(b, 0).stamp, std::memory_order_release);
  }
  EXPECT_GT(reader.rounds, 2000u);
  EXPECT_EQ(reader.torn, 0u);
  EXPECT_EQ(reader.stale, 0u);
}

TEST_F(PublisherTest, PublishAllIsWhatStepsWouldHaveMade) {
  DataPlane other{{.eips = eips,
                   .spare_records = spare,
                   .spare = spare,
                   .spare_chunks = 8,
                   .index_pages = 2,
                   .permit_chunks = 200}};
  Publisher second{*other.tables, other.rcu.get(), {{"a", port_a}}, flow_quota};
  model::State state;
  state.pools["p"] = {"p", prefix("203.0.113.0/24"), PoolKind::local};
  for (uint32_t n = 1; n <= eips; ++n) {
    const std::string vm = "vm" + std::to_string(n);
    state.vms[{"acme", vm}] = {"acme", vm, {"a", {}}, dip_at(n)};
    state.eips[eip_at(n)] = {
        .address = eip_at(n), .tenant = "acme", .vm = vm, .permit = rules(n % 30), .list_generation = n};
  }
  ASSERT_TRUE(second.publish_all(compile::ImageParts(state)));
  EXPECT_EQ(second.totals().local, eips);
  publish(compile::update_of(compile::compile(state)));
  EXPECT_EQ(publisher.totals().permit_chunks_used, second.totals().permit_chunks_used);
  for (uint32_t n = 1; n <= eips; ++n)
    for (const View view : {View::edge, View::local}) {
      const BindingRecord* const whole = other.find(view, eip_at(n));
      const BindingRecord* const step = plane.find(view, eip_at(n));
      ASSERT_EQ(whole == nullptr, step == nullptr);
      if (whole == nullptr) continue;
      EXPECT_EQ(whole->ipv4.terms.list_generation, n);
      EXPECT_EQ(whole->rule_count, n % 30);
      EXPECT_EQ(whole->rules, step->rules);
      EXPECT_EQ(whole, other.find(port_a, dip_at(n)));
    }
}

}  // namespace
}  // namespace portcullis::publish
