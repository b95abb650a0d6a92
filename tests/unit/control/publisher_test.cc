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
#include "tests/unit/control/data_plane.h"

namespace portcullis::publish {
namespace {

using compile::CompiledBinding;
using compile::CompiledPool;
using compile::CompiledRule;
using compile::Update;
using model::PoolKind;
using model::TagKey;

constexpr PortId port_a = 1;
constexpr PortId port_b = 2;
constexpr uint32_t flow_quota = 77;
constexpr uint32_t eips = 100;
constexpr uint32_t spare = 4;

Ipv4Prefix prefix(const char* text) {
  return *Ipv4Prefix::parse(text);
}
Ipv4Addr eip_at(uint32_t n) {
  return Ipv4Addr::from_host(0xcb007100 + n);
}  // 203.0.113.n
Ipv4Addr dip_at(uint32_t n) {
  return Ipv4Addr::from_host(0x0a000000 + n);
}

std::map<IpAddr, CompiledPool> pools(const std::vector<CompiledPool>& list) {
  std::map<IpAddr, CompiledPool> by_address;
  for (const CompiledPool& pool : list) by_address.emplace(pool.prefix.first(), pool);
  return by_address;
}

// A rule whose match is told apart by `mark`.
CompiledRule rule(const std::string& name, uint16_t mark) {
  return {.rule = {.protocol = 6, .local_ports = {mark, mark}}, .tag = std::nullopt, .name = name};
}
CompiledRule tag_rule(const std::string& name, const TagKey& tag) {
  return {.rule = {.flags = PermitRule::remote_tag, .protocol = 6}, .tag = tag, .name = name};
}
// The nth of a list whose rules are each for one remote, next to the last one's.
PermitRule nth_rule(uint32_t n, uint16_t mark) {
  return {.remote = 0x0a010000 + n, .prefix_length = 32, .protocol = 6, .local_ports = {mark, mark}};
}
// `count` of them, of names of their own.
std::vector<CompiledRule> rules(uint32_t count, uint16_t mark = 1) {
  std::vector<CompiledRule> list;
  for (uint32_t n = 0; n < count; ++n)
    list.push_back({.rule = nth_rule(n, mark), .tag = std::nullopt, .name = "r" + std::to_string(1000 + n)});
  return list;
}

PermitQuery query_of(const PermitRule& rule) {
  return {.direction = rule.direction(),
          .protocol = rule.protocol,
          .local_port = rule.local_ports.first,
          .remote_port = rule.remote_ports.first,
          .remote = Ipv4Addr::from_host(rule.remote),
          .remote_tags = empty_tag_set};
}
// The inline part of a list.
PermitQuad first_rules(const CompiledBinding& binding) {
  std::vector<PermitRule> first;
  for (const CompiledRule& compiled : binding.rules)
    if (first.size() < inline_permit_rules) first.push_back(compiled.rule);
  return PermitQuad(first);
}

class PublisherTest : public testing::Test {
 protected:
  PublisherTest() {
    publisher.add_worker(plane.worker.get());
    publish_pools({{prefix("203.0.113.0/24"), PoolKind::local}});
  }

  // Generations rise with each binding that is made, as the model's do.
  CompiledBinding binding(uint32_t n, std::vector<CompiledRule> list = {}) {
    ++generation_;
    return {.eip = eip_at(n),
            .dip = dip_at(n),
            .port = "a",
            .mac = Mac{{2, 0, 0, 0, 0, static_cast<uint8_t>(n)}},
            .edge = true,
            .incarnation = generation_,
            .binding_generation = generation_,
            .list_generation = generation_,
            .kept_from = generation_,
            .tags = {},
            .rules = std::move(list)};
  }
  // The same binding with another list.
  CompiledBinding relist(CompiledBinding before, std::vector<CompiledRule> list) {
    before.list_generation = before.kept_from = ++generation_;
    before.rules = std::move(list);
    return before;
  }

  void publish(const std::vector<CompiledBinding>& bindings) {
    Update update;
    for (const CompiledBinding& b : bindings) update.bindings[b.eip] = b;
    publish(update);
  }
  void publish(const Update& update) {
    const auto done = publisher.publish(update);
    ASSERT_TRUE(done) << done.error().message;
    for (const auto& [eip, binding] : update.bindings)
      if (binding) published_[eip] = *binding;
  }
  void publish_pools(const std::vector<CompiledPool>& list) {
    publish(Update{.pools = pools(list), .bindings = {}});
  }
  static void take_away(Update& update, uint32_t n) { update.bindings[eip_at(n)] = std::nullopt; }

  void expect_published(const CompiledBinding& b, PortId port) {
    const BindingRecord* record = plane.find(View::local, b.eip.v4());
    ASSERT_NE(record, nullptr);
    EXPECT_EQ(plane.find(View::edge, b.eip.v4()), b.edge ? record : nullptr);
    EXPECT_EQ(plane.find(port, b.dip.v4()), record);
    EXPECT_EQ(record->eip, b.eip);
    EXPECT_EQ(record->dip, b.dip);
    EXPECT_EQ(record->mac, b.mac);
    EXPECT_EQ(record->link, port);
    EXPECT_EQ(record->incarnation, b.incarnation);
    EXPECT_EQ(record->binding_generation, b.binding_generation);
    EXPECT_EQ(record->list_generation, b.list_generation);
    EXPECT_EQ(record->kept_from, b.kept_from);
    EXPECT_EQ(record->flow_quota, flow_quota);
    EXPECT_EQ(record->rule_count, b.rules.size());
    EXPECT_EQ(&plane.tables->binding.record(record->slot), record);
    EXPECT_EQ(record->rules, first_rules(b));
    std::set<std::pair<bool, uint32_t>> hits;
    for (uint32_t i = 0; i < b.rules.size(); ++i) {
      const RuleHit hit = find(*record, b.rules[i].rule);
      EXPECT_TRUE(hit.is_one());
      hits.emplace(hit.is_inline(), hit.counter());
    }
    EXPECT_EQ(hits.size(), b.rules.size()) << "each rule has a counter of its own";
    EXPECT_FALSE(find(*record, {.remote = 0xffffffff, .protocol = 6, .local_ports = {1, 1}}).is_one());
  }

  // Where a packet's hit is counted that a rule lets in, if none before it does.
  RuleHit find(const BindingRecord& record, const PermitRule& rule) const {
    return stages::find_rule<ScalarGroup>(record, query_of(rule), *plane.tables).hit;
  }

  // Counts hits of compiled rule `i` of a binding, as a worker's commit would.
  void hit(uint32_t n, uint32_t i, uint64_t packets) {
    const BindingRecord& record = *plane.find(View::local, eip_at(n));
    const RuleHit rule = find(record, published_.at(eip_at(n)).rules.at(i).rule);
    ASSERT_TRUE(rule.is_one());
    if (rule.is_inline())
      plane.counters().slots[record.slot].rule_hits[rule.counter()].add(packets);
    else
      plane.counters().chunk_hits[rule.counter()].add(packets);
  }
  uint64_t hits(uint32_t n, const std::string& name) {
    for (const RuleHits& counted : publisher.statistics(eip_at(n)).rules)
      if (counted.rule == name) return counted.packets;
    ADD_FAILURE() << "no rule " << name;
    return 0;
  }

  struct Free {
    uint32_t slots, chunks;
    friend bool operator==(const Free&, const Free&) = default;
  };
  Free free_room() { return {plane.tables->binding.free_slots(), plane.tables->permit.free_chunks()}; }

  DataPlane plane{{.eips = eips,
                   .ipv6_eips = 4,
                   .spare = spare,
                   .spare_chunks = 8,
                   .index_pages = 2,
                   .permit_chunks = 2 * eips,
                   .tag_sets = eips}};
  Publisher publisher{*plane.tables, plane.rcu.get(), {{"a", port_a}, {"b", port_b}}, flow_quota};
  uint32_t generation_ = 0;
  std::map<IpAddr, CompiledBinding> published_;
};

TEST_F(PublisherTest, ABindingIsFoundInBothViewsAndAtItsLocation) {
  const CompiledBinding b = binding(1, rules(3));
  publish({b});
  expect_published(b, port_a);
  EXPECT_EQ(plane.find(View::local, b.eip.v4())->to_public, ChecksumDelta{}.replace(b.dip.v4(), b.eip.v4()));
  EXPECT_EQ(plane.find(View::local, b.eip.v4())->to_private, ChecksumDelta{}.replace(b.eip.v4(), b.dip.v4()));
  EXPECT_EQ(plane.find(port_b, b.dip.v4()), nullptr);
  EXPECT_TRUE(plane.is(View::local, eip_at(2), IndexEntry::local));
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

TEST_F(PublisherTest, ReleaseLeavesNothing) {
  const Free before = free_room();
  publish({binding(1, rules(20))});
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
  CompiledBinding listener = binding(1, {tag_rule("a", red)});
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
  const CompiledBinding listener = binding(1, {tag_rule("a", red)});
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
  publish({relist(listener, {tag_rule("b", red)})});
  EXPECT_EQ(plane.find(View::local, eip_at(1))->rules.remote[0], number);
}

TEST_F(PublisherTest, NumbersOfForgottenTagsAreUsedAgain) {
  CompiledBinding b = binding(1);
  for (int n = 0; n < 100; ++n) {
    const std::string text = std::to_string(n);
    b = relist(b, {tag_rule("a", {"acme", "x" + text}), tag_rule("b", {"acme", "y" + text})});
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

// --- statistics ---

TEST_F(PublisherTest, TrafficBeginsWithTheBinding) {
  publish({binding(1)});
  const auto count = [&] {
    SlotCounters& counters = plane.counters().slots[plane.find(View::local, eip_at(1))->slot];
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
  std::vector<CompiledRule> list{rule("first", 1), rule("goes", 2)};
  for (uint16_t mark = 10; mark < 40; ++mark) list.push_back(rule("many", mark));
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
  list.pop_back();
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

// --- IPv6 ---

class Ipv6PublisherTest : public PublisherTest {
 protected:
  static IpAddr six(uint32_t n) { return Ipv6Addr::of(0x20010db800000000, n); }
  Ipv6PublisherTest() {
    publish_pools(
        {{prefix("203.0.113.0/24"), PoolKind::local}, {*IpPrefix::parse("2001:db8::/112"), PoolKind::local}});
  }

  CompiledBinding binding6(uint32_t n, uint32_t rules = 0) {
    CompiledBinding made = binding(n);
    made.eip = six(n);
    made.dip = Ipv6Addr::of(0xfd00000000000000, n);
    for (uint32_t i = 0; i < rules; ++i)
      made.rules.push_back(
          {.rule = {.protocol = 6}, .tag = std::nullopt, .name = "r", .remote = Ipv6Prefix()});
    return made;
  }
  IndexEntry index(View view, const IpAddr& eip) { return plane.tables->binding.find(view, eip.v6()); }
  Slot at(PortId port, const IpAddr& dip) {
    const EndpointKey6 key{.dip = dip.v6(), .link = port};
    return plane.tables->endpoint6.find<ScalarGroup>(key, plane.tables->endpoint6.bucket_of(key));
  }
};

TEST_F(Ipv6PublisherTest, ABindingIsFoundMovesAndGoes) {
  CompiledBinding b = binding6(1, 6);
  publish({b});
  const IndexEntry entry = index(View::local, b.eip);
  ASSERT_TRUE(entry.is_bound());
  EXPECT_EQ(index(View::edge, b.eip).slot(), entry.slot());
  EXPECT_EQ(at(port_a, b.dip), entry.slot());
  const BindingRecord& record = plane.tables->binding.record(entry.slot());
  EXPECT_EQ(record.rule_count, 6u);
  EXPECT_EQ(plane.tables->binding.ipv6(record).eip, b.eip.v6());
  EXPECT_EQ(plane.tables->binding.ipv6(record).dip, b.dip.v6());
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

TEST_F(Ipv6PublisherTest, RecordsAndChunksComeBack) {
  const uint32_t chunks = plane.tables->permit.free_chunks();
  for (int round = 0; round < 50; ++round) {
    publish({binding6(1, max_ipv6_permit_rules), binding6(2)});
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
    const auto mark = static_cast<uint16_t>(record.list_generation);
    bool whole = record.eip == eip_at(1) && record.rule_count >= 25;
    for (uint32_t lane = 0; lane < PermitQuad::lanes; ++lane)
      whole = whole && record.rules.port_low[lane] == mark;
    for (uint32_t n = 0; n < 25; ++n)
      whole = whole &&
              stages::find_rule<ScalarGroup>(record, query_of(nth_rule(n, mark)), *plane.tables).is_one();
    if (!whole) ++torn;
    if (record.list_generation < oldest) ++stale;
  }

  std::jthread thread_;
};

TEST_F(PublisherTest, ReadersSeeWholeRecordsAndNoOldOneAfterPublication) {
  const auto marked = [&](CompiledBinding b) {
    b.list_generation = ++generation_;
    b.rules = rules(25 + generation_ % 20, static_cast<uint16_t>(generation_));
    return b;
  };
  CompiledBinding b = marked(binding(1));
  publish({b});
  std::atomic<uint32_t> announced = b.list_generation;
  Reader reader(plane, announced);
  while (reader.rounds == 0) std::this_thread::yield();
  for (int n = 0; n < 2000; ++n) {
    b = marked(b);
    publish({b});
    announced.store(b.list_generation, std::memory_order_release);
  }
  EXPECT_GT(reader.rounds, 2000u);
  EXPECT_EQ(reader.torn, 0u);
  EXPECT_EQ(reader.stale, 0u);
}

TEST_F(PublisherTest, PublishAllIsWhatStepsWouldHaveMade) {
  DataPlane other{{.eips = eips, .spare = spare, .spare_chunks = 8, .index_pages = 2, .permit_chunks = 200}};
  Publisher second{*other.tables, other.rcu.get(), {{"a", port_a}}, flow_quota};
  compile::Image image{.pools = pools({{prefix("203.0.113.0/24"), PoolKind::local}}), .bindings = {}};
  for (uint32_t n = 1; n <= eips; ++n) image.bindings[eip_at(n)] = binding(n, rules(n % 30));
  ASSERT_TRUE(second.publish_all(image));
  EXPECT_EQ(second.totals().local, eips);
  for (uint32_t n = 1; n <= eips; ++n) {
    ASSERT_NE(other.find(View::edge, eip_at(n)), nullptr);
    EXPECT_EQ(other.find(View::edge, eip_at(n))->list_generation, image.bindings[eip_at(n)].list_generation);
  }
}

}  // namespace
}  // namespace portcullis::publish
