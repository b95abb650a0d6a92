// Lists of every length, as find_rule finds them on each back end, against the definition: rules in their
// order, one by one.
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <random>
#include <set>
#include <vector>

#include "dataplane/tables/permit_build.h"
#include "tests/unit/dataplane/permit_cases.h"
#include "tests/unit/dataplane/stored_list.h"

namespace portcullis {
namespace {

using testing::find_on;
using testing::RandomPermits;

struct OwnRecord {
  BindingRecord own;
};

class Listed : private OwnRecord, public testing::StoredList<PermitRule> {
 public:
  Listed(PermitTable& table, const std::vector<PermitRule>& rules) : StoredList(table, rules, own) {
    record.rules = PermitQuad(std::span(rules).first(std::min<size_t>(rules.size(), inline_permit_rules)));
  }
};

class PermitListOn : public ::testing::TestWithParam<Isa> {
 protected:
  void SetUp() override {
    if (!is_supported(GetParam())) GTEST_SKIP() << "not on this CPU";
    tables_ = *Tables::create({.eips = 16, .permit_chunks = 20'000, .tag_sets = 16}, -1);
    tables_->tags = std::move(random_.tags());
  }

  // Asks `times` questions near the list's rules; returns how many found a rule.
  uint32_t ask(const Listed& list, int times) {
    uint32_t hits = 0;
    for (int n = 0; n < times; ++n) {
      const PermitQuery query = random_.query(list.rules());
      expect_as_defined(list, query);
      hits += list.first_by_definition(query, tables_->tags) < list.rules().size() ? 1 : 0;
    }
    return hits;
  }
  void expect_as_defined(const Listed& list, const PermitQuery& query) {
    const size_t expected = list.first_by_definition(query, tables_->tags);
    const auto found = find_on(GetParam(), list.record, query, *tables_);
    ASSERT_EQ(found.is_one(), expected < list.rules().size());
    if (!found.is_one()) return;
    ASSERT_EQ(found.hit, list.hit_of(static_cast<uint32_t>(expected))) << "rule " << expected;
    ASSERT_EQ(found.tracked, list.rules()[expected].is_tracked());
  }

  RandomPermits random_{11};
  std::unique_ptr<Tables> tables_;
};

TEST_P(PermitListOn, FindsWhatTheDefinitionFinds) {
  const uint32_t all_chunks = tables_->permit.free_chunks();
  for (int round = 0; round < 600 && !HasFatalFailure(); ++round) {
    SCOPED_TRACE(round);
    const uint32_t count =
        round < 60 ? static_cast<uint32_t>(round) : random_.below(round % 10 == 0 ? 2000 : 150);
    const uint32_t shapes = round % 3 == 0       ? 1 + random_.below(6)
                            : random_.chance(50) ? 1 + random_.below(60)
                                                 : 0;
    const std::vector<PermitRule> rules = random_.rules(count, shapes, random_.chance(50) ? 15 : 0);
    if (permit_families_of(permit_shapes_of(rules).shapes).size() > max_permit_families) continue;
    const Listed list(tables_->permit, rules);
    EXPECT_LE(list.place().chunks.size(), most_ipv4_permit_chunks(count));
    ask(list, 300);
  }
  EXPECT_EQ(tables_->permit.free_chunks(), all_chunks);
}

TEST_P(PermitListOn, FindsOneOfAHundredThousand) {
  const std::vector<PermitRule> rules = random_.rules(100'000, 16, 5);
  const auto before = std::chrono::steady_clock::now();
  const Listed list(tables_->permit, rules);
  const auto took = std::chrono::steady_clock::now() - before;
  RecordProperty("store_us", std::to_string(took / std::chrono::microseconds(1)));
  EXPECT_GT(ask(list, 2000), 500u);
}

TEST_P(PermitListOn, EveryEndOfEveryRemoteIsExact) {
  std::vector<PermitRule> rules;
  // Nested from the whole of the space down to its lowest and its highest address, the innermost first.
  for (int length = 32; length >= 1; --length)
    for (const uint32_t end : {0u, UINT32_MAX}) {
      const auto bits = static_cast<uint8_t>(length);
      rules.push_back({.remote = end & Ipv4Prefix::mask(bits), .prefix_length = bits, .protocol = 6});
    }
  const Listed list(tables_->permit, rules);
  for (int length = 0; length <= 32; ++length) {
    const uint32_t host_bits = ~Ipv4Prefix::mask(static_cast<uint8_t>(length));
    for (const uint32_t remote : {host_bits, ~host_bits, host_bits + 1, ~host_bits - 1}) {
      PermitQuery query{.direction = Direction::inbound,
                        .protocol = 6,
                        .local_port = 0,
                        .remote_port = 65535,
                        .remote = Ipv4Addr::from_host(remote),
                        .remote_tags = empty_tag_set};
      expect_as_defined(list, query);
      query.protocol = 17;
      expect_as_defined(list, query);
    }
  }
}

// Ports that no two rules share, next to each other or apart, at both ends of all ports, in both directions.
TEST_P(PermitListOn, ManyPortsAreOneFamily) {
  std::vector<PermitRule> rules;
  for (uint32_t n = 0; n < 3000; ++n) {
    const auto first = static_cast<uint16_t>(n < 1500 ? n : 65535 - (n - 1500) * 3);
    const PortRange ports{first, static_cast<uint16_t>(n % 5 == 0 && n > 1500 ? first + 1 : first)};
    PermitRule rule{
        .remote = n << 12, .prefix_length = static_cast<uint8_t>(n % 3 == 0 ? 0 : 24), .protocol = 6};
    if (n % 2 == 0) rule.flags |= PermitRule::outbound;
    (n % 2 == 0 ? rule.remote_ports : rule.local_ports) = ports;
    if (rule.prefix_length == 0) rule.remote = 0;
    rules.push_back(rule);
  }
  const PermitShapes shapes = permit_shapes_of(rules);
  EXPECT_EQ(shapes.shapes.size(), 3000u);
  EXPECT_EQ(permit_families_of(shapes.shapes).size(), 2u);
  const Listed list(tables_->permit, rules);
  EXPECT_LE(list.place().chunks.size(), most_ipv4_permit_chunks(rules.size()));
  EXPECT_GT(ask(list, 5000), 1000u);
}

TEST_P(PermitListOn, AsManyFamiliesAsAllowed) {
  std::vector<PermitRule> rules;
  for (uint32_t n = 0; n < max_permit_families; ++n) {
    const auto first = static_cast<uint16_t>(n);
    rules.push_back({.remote = n << 8, .prefix_length = 24, .protocol = 6, .local_ports = {first, 40000}});
  }
  {
    const Listed list(tables_->permit, rules);
    EXPECT_GT(ask(list, 3000), 1000u);
    EXPECT_EQ(list.place().chunks.size(), max_permit_families / permit_header_families +
                                              max_permit_families * permit_slice_keys / permit_node_keys);
  }
  const uint32_t all_chunks = tables_->permit.free_chunks();
  rules.push_back({.protocol = 17});
  const auto refused = tables_->permit.store(rules);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::resource_exhausted);
  EXPECT_NE(refused.error().message.find("1025 families"), std::string::npos) << refused.error().message;
  EXPECT_EQ(tables_->permit.free_chunks(), all_chunks);
}

INSTANTIATE_TEST_SUITE_P(Isa, PermitListOn, ::testing::ValuesIn(all_isas),
                         [](const auto& test) { return std::string(name_of(test.param)); });

TEST(PermitChunk, WithoutIntrinsicsTheSameFamiliesAndKeysAreFound) {
  RandomPermits random(12);
  auto table = *PermitTable::create(1000, -1);
  for (int round = 0; round < 300; ++round) {
    const std::vector<PermitRule> rules = random.rules(21 + random.below(200), 1 + random.below(16));
    const Listed list(table, rules);
    const PermitHeader& header = table.chunk(list.record.chunk).header;
    for (int n = 0; n < 100; ++n) {
      const PermitQuery query = random.query(rules);
      for (const uint16_t kind : {uint16_t{0}, PermitShape::tag})
        ASSERT_EQ(match_families_portable(header, query, kind),
                  match_families(ScalarGroup{}, header, query, kind));
      const PermitNode& node = table.chunk(PermitNodeRef(header.root[0]).chunk()).node;
      const uint32_t key = random.chance(50) ? query.remote.host() : node.key[random.below(permit_node_keys)];
      ASSERT_EQ(keys_up_to_portable(node, key), keys_up_to(ScalarGroup{}, node, key));
    }
  }
}

TEST(PermitTable, AFullTableRefusesAndTakesNothing) {
  auto table = *PermitTable::create(4, -1);
  RandomPermits random(13);
  std::vector<PermitRule> rules = random.rules(plain_permit_rules);
  const auto plain = table.store(rules);
  ASSERT_TRUE(plain);
  EXPECT_EQ(table.free_chunks(), 3u);
  const std::vector<PermitRule> long_list = random.rules(4 + 3 * permit_chunk_rules + 1, 2);
  const auto refused = table.store(long_list);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("4 chunks needed, 3 free"), std::string::npos)
      << refused.error().message;
  EXPECT_EQ(table.free_chunks(), 3u);
  table.free(*plain);
  EXPECT_TRUE(table.store(long_list));
}

// --- room ---

TEST(PermitRoom, TreesTakeTheirKeysLevelByLevel) {
  const std::pair<uint64_t, uint64_t> expected[] = {{1, 4},
                                                    {4, 4},
                                                    {5, 8},
                                                    {9, 16},
                                                    {17, 32},
                                                    {32, 32},
                                                    {33, 36 + 4},
                                                    {64, 64 + 4},
                                                    {65, 68 + 4},
                                                    {1024, 1024 + 32},
                                                    {1025, 1028 + 36 + 4}};
  for (const auto& [entries, keys] : expected) EXPECT_EQ(permit_tree_keys(entries), keys) << entries;
  for (uint64_t entries = 1; entries < 70'000; ++entries)
    ASSERT_LE(permit_tree_keys(entries), permit_tree_keys(entries + 1)) << "validation reserves for the most";
}

// What most_ipv4_permit_chunks says, in 32nds of a chunk.
TEST(PermitRoom, NoShapeAndNoFamilyTakesMoreThanTheMost) {
  constexpr uint64_t in_header = permit_node_keys / permit_header_families;
  for (uint64_t n = 1; n < 1'100'000; n += n < 70'000 ? 1 : 997) {
    ASSERT_LE(permit_tree_keys(2 * n), 4 * n) << "a shape of so many rules";
    ASSERT_LE((n == 1 ? 0 : permit_tree_keys(2 * n)) + in_header, 4 * n) << "a family of so many shapes";
  }
}

TEST(PermitRoom, ShapesOfAFamilyHaveNoPortInCommon) {
  RandomPermits random(15);
  for (int round = 0; round < 300; ++round) {
    const std::vector<PermitShape> shapes = permit_shapes_of(random.rules(random.below(300))).shapes;
    size_t members = 0;
    for (const PermitFamily& family : permit_families_of(shapes)) {
      members += family.members.size();
      EXPECT_EQ(family.hull.ports().first, shapes[family.members.front()].ports().first);
      EXPECT_EQ(family.hull.ports().last, shapes[family.members.back()].ports().last);
      for (size_t m = 1; m < family.members.size(); ++m) {
        PermitShape before = shapes[family.members[m - 1]];
        const PermitShape shape = shapes[family.members[m]];
        EXPECT_LT(before.ports().last, shape.ports().first);
        before.ports() = shape.ports();
        EXPECT_EQ(before, shape) << "nothing but these ports differs";
      }
    }
    EXPECT_EQ(members, shapes.size());
  }
}

TEST(PermitRoom, WhatIsReservedIsEnough) {
  RandomPermits random(14);
  for (int round = 0; round < 300; ++round) {
    const std::vector<PermitRule> rules =
        random.rules(random.below(400), random.chance(50) ? 1 + random.below(40) : 0);
    const PermitShapes list = permit_shapes_of(rules);
    const std::vector<PermitFamily> families = permit_families_of(list.shapes);
    std::vector<uint64_t> reserved, taken;
    for (size_t s = 0; s < list.shapes.size(); ++s) {
      uint64_t ranges = 0, any = 0;
      for (const PermitRule& rule : rules)
        if (permit_shapes_of(std::span(&rule, 1)).shapes.front() == list.shapes[s])
          (rule.prefix_length == 0 && !rule.names_tag() ? any : ranges) += 1;
      reserved.push_back(2 * ranges + std::min<uint64_t>(any, 1));
      taken.push_back(list.boundaries[s].size());
      EXPECT_LE(taken.back(), reserved.back());
    }
    const uint64_t most = permit_chunks_for(rules.size(), families, list.shapes, reserved, 0);
    EXPECT_LE(permit_chunks_for(rules.size(), families, list.shapes, taken, 0), most);
    EXPECT_LE(most, most_ipv4_permit_chunks(rules.size()));
  }
}

}  // namespace
}  // namespace portcullis
