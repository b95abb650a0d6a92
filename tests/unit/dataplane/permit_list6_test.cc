// IPv6 lists of every length, as find_rule finds them on each back end, against the definition: rules in
// their order, one by one. What they share with IPv4's (families of ports, tags, trees of numbers)
// permit_list_test.cc tests.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "dataplane/tables/permit_build.h"
#include "tests/unit/dataplane/permit_cases.h"
#include "tests/unit/dataplane/stored_list.h"

namespace portcullis {
namespace {

using testing::find_on;
using testing::RandomPermits;

constexpr Uint128 highest = ~Uint128{0};

Ipv6Addr address_at(Uint128 value) {
  return Ipv6Addr::of(static_cast<uint64_t>(value >> 64), static_cast<uint64_t>(value));
}

// Rules of RandomPermits with their remotes widened: the same bits, somewhere in an IPv6 address.
class RandomPermits6 {
 public:
  explicit RandomPermits6(uint64_t seed) : random_(seed) {}
  [[nodiscard]] RandomPermits& narrow() { return random_; }

  [[nodiscard]] std::vector<PermitRule6> rules(uint32_t count, uint32_t shapes = 0,
                                               uint32_t tag_percent = 15) {
    std::vector<PermitRule6> wide;
    for (const PermitRule& rule : random_.rules(count, shapes, tag_percent)) {
      if (rule.names_tag() || rule.prefix_length == 0) {
        wide.push_back({rule, Ipv6Prefix()});
        continue;
      }
      const uint32_t depth = random_.below(97);
      wide.push_back(
          {rule, Ipv6Prefix(place(rule.remote, depth), static_cast<uint8_t>(rule.prefix_length + depth))});
    }
    return wide;
  }
  // Near one of `rules`, if there are any.
  [[nodiscard]] PermitQuery6 query(const std::vector<PermitRule6>& rules) {
    if (rules.empty()) return of(random_.query({}), place(random_.below(UINT32_MAX), 0));
    const PermitRule6& rule = rules[random_.below(static_cast<uint32_t>(rules.size()))];
    return of(random_.query({rule.match}), near(rule.remote));
  }

 private:
  static PermitQuery6 of(const PermitQuery& base, const Ipv6Addr& remote) {
    return PermitQuery6::of(base.direction, base.protocol, base.local_port, base.remote_port, remote,
                            base.remote_tags);
  }
  // 32 bits from bit `depth` on, behind bits that are all alike.
  static Ipv6Addr place(uint32_t bits, uint32_t depth) {
    const Uint128 before = depth == 0 ? 0 : (Uint128{0x2001} << 112 >> (128 - depth)) << (128 - depth);
    return address_at(before | Uint128{bits} << (96 - depth));
  }
  Ipv6Addr near(const Ipv6Prefix& prefix) {
    const Uint128 first = wide(prefix.first()), last = wide(prefix.last());
    const uint32_t kind = random_.below(10);
    if (kind == 0) return address_at(first - 1);
    if (kind == 1) return address_at(last + 1);
    if (kind < 4) return prefix.first();
    if (kind < 6) return prefix.last();
    const Uint128 somewhere = Uint128{random_.below(UINT32_MAX)} << 96 |
                              Uint128{random_.below(UINT32_MAX)} << 64 |
                              Uint128{random_.below(UINT32_MAX)} << 32 | random_.below(UINT32_MAX);
    return address_at(first | (somewhere & (last - first)));
  }

  RandomPermits random_;
};

// Behind a record of `tables`, which has the rest of its rules beside it.
class Listed6 : public testing::StoredList<PermitRule6> {
 public:
  Listed6(Tables& tables, const std::vector<PermitRule6>& rules)
      : StoredList(tables.permit, rules, taken_of(tables.binding)), binding_(tables.binding) {
    put_rules(rules, record.rules, binding_.writable_rests(binding_.own_slot(record)));
  }
  ~Listed6() { binding_.free_slot(binding_.own_slot(record)); }

 private:
  static BindingRecord& taken_of(BindingTable& binding) {
    Slot slot = 0;
    EXPECT_TRUE(binding.take_slot(IpFamily::ipv6, slot));
    return binding.writable(slot);
  }
  BindingTable& binding_;
};

class PermitList6On : public ::testing::TestWithParam<Isa> {
 protected:
  void SetUp() override {
    if (!is_supported(GetParam())) GTEST_SKIP() << "not on this CPU";
    tables_ = *Tables::create({.eips = 16, .ipv6_eips = 16, .permit_chunks = 50'000, .tag_sets = 16}, -1);
    tables_->tags = std::move(random_.narrow().tags());
  }

  // Asks `times` questions near the list's rules; returns how many found a rule.
  uint32_t ask(const Listed6& list, int times) {
    uint32_t hits = 0;
    for (int n = 0; n < times; ++n) hits += expect_as_defined(list, random_.query(list.rules())) ? 1 : 0;
    return hits;
  }
  // Whether the definition finds a rule.
  bool expect_as_defined(const Listed6& list, const PermitQuery6& query) {
    const size_t expected = list.first_by_definition(query, tables_->tags);
    const bool is_one = expected < list.rules().size();
    const auto found = find_on(GetParam(), list.record, query, *tables_);
    EXPECT_EQ(found.is_one(), is_one) << query.whole.to_string() << " rule " << expected;
    if (!found.is_one() || !is_one) return is_one;
    EXPECT_EQ(found.hit, list.hit_of(static_cast<uint32_t>(expected)))
        << query.whole.to_string() << " rule " << expected;
    EXPECT_EQ(found.tracked, list.rules()[expected].match.is_tracked());
    return true;
  }

  RandomPermits6 random_{11};
  std::unique_ptr<Tables> tables_;
};

TEST_P(PermitList6On, FindsWhatTheDefinitionFinds) {
  const uint32_t all_chunks = tables_->permit.free_chunks();
  uint32_t hits = 0;
  for (int round = 0; round < 800 && !HasFailure(); ++round) {
    SCOPED_TRACE(round);
    RandomPermits& random = random_.narrow();
    const uint32_t count =
        round < 200 ? static_cast<uint32_t>(round % 66) : random.below(round % 10 == 0 ? 2000 : 150);
    const uint32_t shapes = round % 3 == 0      ? 1 + random.below(6)
                            : random.chance(50) ? 1 + random.below(60)
                                                : 0;
    const std::vector<PermitRule6> rules = random_.rules(count, shapes, random.chance(50) ? 15 : 0);
    if (permit_families_of(permit_shapes_of(rules).shapes).size() > max_permit_families) continue;
    const Listed6 list(*tables_, rules);
    EXPECT_LE(list.place().chunks.size(), most_permit_chunks(count));
    hits += ask(list, 300);
  }
  EXPECT_GT(hits, 50'000u);
  EXPECT_EQ(tables_->permit.free_chunks(), all_chunks);
}

TEST_P(PermitList6On, FindsOneOfAHundredThousand) {
  const std::vector<PermitRule6> rules = random_.rules(100'000, 16, 5);
  const Listed6 list(*tables_, rules);
  EXPECT_GT(ask(list, 1000), 500u);
}

TEST_P(PermitList6On, EveryEndOfEveryRemoteIsExact) {
  std::vector<PermitRule6> rules;
  // Nested from the whole of the space down to its lowest and its highest address, the innermost first.
  for (uint32_t length = 128; length >= 1; --length)
    for (const Uint128 end : {Uint128{0}, highest})
      rules.push_back({{.protocol = 6}, Ipv6Prefix(address_at(end), static_cast<uint8_t>(length))});
  const Listed6 list(*tables_, rules);
  for (uint32_t length = 0; length <= 128; ++length) {
    const Uint128 host_bits = length == 128 ? 0 : highest >> length;
    for (const Uint128 remote : {host_bits, ~host_bits, host_bits + 1, ~host_bits - 1})
      for (const uint8_t protocol : {uint8_t{6}, uint8_t{17}})
        expect_as_defined(list, PermitQuery6::of(Direction::inbound, protocol, 0, 65535, address_at(remote),
                                                 empty_tag_set));
  }
}

// Trees of each height, and of each number of cuts around it, by every end of every interval.
TEST_P(PermitList6On, EveryIntervalIsFoundWhateverTheTree) {
  constexpr uint32_t leaf = permit_interval_cuts, node = permit_interval_cuts + 1;
  for (const uint32_t around :
       {plain_ipv6_permit_rules + 2, leaf * 4, leaf * node, leaf * node * 2, leaf * node * node})
    for (uint32_t cuts = around - 2; cuts <= around + 2 && !HasFailure(); ++cuts) {
      SCOPED_TRACE(cuts);
      // One prefix next to another, the last one up to the highest address: each is cut from the one before.
      std::vector<PermitRule6> rules;
      for (uint32_t n = 1; n < cuts; ++n)
        rules.push_back({{.protocol = 6}, Ipv6Prefix(address_at(Uint128{n} << 100), 28)});
      rules.push_back({{.protocol = 6}, Ipv6Prefix(address_at(highest), 1)});
      ASSERT_EQ(permit_shapes_of(rules).cuts.size(), cuts + 1);
      const Listed6 list(*tables_, rules);
      uint32_t hits = 0;
      for (uint32_t n = 0; n <= cuts; ++n)
        for (const Uint128 offset : {highest, Uint128{0}, Uint128{1}}) {
          const Ipv6Addr remote = address_at((Uint128{n} << 100) + offset);
          hits +=
              expect_as_defined(list, PermitQuery6::of(Direction::inbound, 6, 1, 1, remote, empty_tag_set))
                  ? 1
                  : 0;
        }
      EXPECT_GE(hits, 3 * (cuts - 1));
    }
}

// What is in no rule's remote is known by its interval: nested prefixes count until the outer one ends, and
// tags cover none.
TEST(PermitShapes6, IntervalsAreCoveredWhereSomeRuleIs) {
  const auto rule = [](const char* prefix) {
    return PermitRule6{{.protocol = 6}, *Ipv6Prefix::parse(prefix)};
  };
  PermitRule6 tag{{.protocol = 6}, Ipv6Prefix()};
  tag.match.flags |= PermitRule::remote_tag;
  tag.match.remote = 3;
  const auto covered = [](std::vector<PermitRule6> rules) {
    std::string text;
    const PermitShapes list = permit_shapes_of(rules);
    EXPECT_EQ(list.is_covered.size(), list.cuts.size() + 1);
    for (const bool is_covered : list.is_covered) text += is_covered ? 'x' : '.';
    return text;
  };
  EXPECT_EQ(covered({tag}), ".");
  EXPECT_EQ(covered({tag, rule("::/0")}), "x");
  EXPECT_EQ(covered({rule("2001:db8::/32"), tag}), ".x.");
  EXPECT_EQ(covered({rule("2001:db8:1::/48"), rule("2001:db8::/32")}), ".xxx.");
  EXPECT_EQ(covered({rule("2001:db8::/48"), rule("2001:db8::/32"), rule("2001:db8::/48")}), ".xx.");
  EXPECT_EQ(covered({rule("::/1"), rule("c000::/2")}), "x.x");
  EXPECT_EQ(covered({rule("ffff::/16"), rule("::/0"), rule("::/128")}), "xxx");
}

// Without a prefix there is no cut: all addresses are alike.
TEST_P(PermitList6On, AListOfTagsAndAnyHasNoIntervals) {
  std::vector<PermitRule6> rules;
  for (uint16_t port = 1; port <= 100; ++port) {
    PermitRule6 rule{{.protocol = 6, .local_ports = {port, port}}, Ipv6Prefix()};
    if (port % 2 == 0) {
      rule.match.flags |= PermitRule::remote_tag;
      rule.match.remote = 1 + port % 14;
    }
    rules.push_back(rule);
  }
  EXPECT_TRUE(permit_shapes_of(rules).cuts.empty());
  const Listed6 list(*tables_, rules);
  EXPECT_GT(ask(list, 2000), 500u);
}

// An endpoint that a rule names by its tag is found wherever its address is.
TEST_P(PermitList6On, ATagIsFoundWhereNoPrefixIs) {
  std::vector<PermitRule6> rules;
  for (uint32_t n = 1; n <= 2 * plain_ipv6_permit_rules; ++n)
    rules.push_back({{.protocol = 6}, Ipv6Prefix(address_at(Uint128{n} << 100), 28)});
  PermitRule6 tag{{.protocol = 6}, Ipv6Prefix()};
  tag.match.flags |= PermitRule::remote_tag;
  tag.match.remote = 3;
  rules.push_back(tag);
  const TagSetId tagged = *tables_->tags.store(std::vector<TagId>{3});
  const TagSetId other = *tables_->tags.store(std::vector<TagId>{4});
  const Listed6 list(*tables_, rules);
  for (const TagSetId tags : {tagged, other, empty_tag_set})
    EXPECT_EQ(
        expect_as_defined(list, PermitQuery6::of(Direction::inbound, 6, 1, 1, address_at(highest), tags)),
        tags == tagged);
}

INSTANTIATE_TEST_SUITE_P(Isa, PermitList6On, ::testing::ValuesIn(all_isas),
                         [](const auto& test) { return std::string(name_of(test.param)); });

TEST(PermitList6, AFullTableRefusesAndTakesNothing) {
  PermitTable table = *PermitTable::create(8, -1);
  RandomPermits6 random(13);
  const std::vector<PermitRule6> rules = random.rules(1000, 2);
  const std::span<const PermitRule6> list(rules);
  const auto refused = table.store(list);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, ErrorCode::resource_exhausted);
  EXPECT_EQ(table.free_chunks(), 8u);
  const auto plain = table.store(list.first(plain_ipv6_permit_rules));
  ASSERT_TRUE(plain.has_value());
  EXPECT_EQ(table.free_chunks(), 8 - plain_ipv6_permit_chunks(plain_ipv6_permit_rules));
  table.free(*plain);  // NOLINT(clang-analyzer-unix.Malloc): a member, not free(3)
  EXPECT_EQ(table.free_chunks(), 8u);
}

TEST(PermitList6, TooManyFamiliesAreRefused) {
  PermitTable table = *PermitTable::create(5000, -1);
  std::vector<PermitRule6> rules;
  for (uint32_t n = 0; n <= max_permit_families; ++n)
    rules.push_back({{.protocol = 6, .local_ports = {static_cast<uint16_t>(n), 40000}}, Ipv6Prefix()});
  const auto refused = table.store(std::span<const PermitRule6>(rules));
  ASSERT_FALSE(refused.has_value());
  EXPECT_NE(refused.error().message.find("1025 families"), std::string::npos) << refused.error().message;
  EXPECT_EQ(table.free_chunks(), 5000u);
}

// --- room ---

TEST(PermitRoom6, IntervalsTakeTheirNodesLevelByLevel) {
  const std::pair<uint64_t, uint64_t> expected[] = {
      {0, 0},           {1, 1},           {12, 1},
      {13, 2 + 1},      {156, 13 + 1},    {157, 14 + 2 + 1},
      {2028, 169 + 14}, {2029, 170 + 17}, {200'000, 16'667 + 1'283 + 99 + 8 + 1}};
  for (const auto& [cuts, chunks] : expected) EXPECT_EQ(permit_interval_chunks(cuts), chunks) << cuts;
  for (uint64_t cuts = 0; cuts < 70'000; ++cuts)
    ASSERT_LE(permit_interval_chunks(cuts), permit_interval_chunks(cuts + 1))
        << "validation reserves for the most";
}

TEST(PermitRoom6, TheMostRisesWithTheRulesAndHoldsThoseWithin) {
  for (uint64_t rules = 0; rules < 300'000; ++rules) {
    ASSERT_LE(most_permit_chunks(rules), most_permit_chunks(rules + 1)) << rules;
    ASSERT_LE(most_ipv4_permit_chunks(rules), most_permit_chunks(rules)) << rules;
  }
  for (uint64_t chunks = 0; chunks < 500'000; chunks += chunks < 10'000 ? 1 : 997)
    ASSERT_LE(most_permit_chunks(permit_rules_within(chunks)), chunks) << chunks;
}

TEST(PermitRoom6, WhatIsReservedIsEnough) {
  RandomPermits6 random(14);
  for (int round = 0; round < 300; ++round) {
    const std::vector<PermitRule6> rules =
        random.rules(plain_ipv6_permit_rules + 1 + random.narrow().below(400),
                     random.narrow().chance(50) ? 1 + random.narrow().below(40) : 0);
    const PermitShapes list = permit_shapes_of(rules);
    const std::vector<PermitFamily> families = permit_families_of(list.shapes);
    std::vector<uint64_t> reserved(list.shapes.size()), taken;
    uint64_t prefixes = 0;
    for (size_t s = 0; s < list.shapes.size(); ++s) taken.push_back(list.boundaries[s].size());
    std::set<size_t> with_any;
    for (const PermitRule6& rule : rules) {
      const auto shape = std::find(list.shapes.begin(), list.shapes.end(),
                                   permit_shapes_of(std::span(&rule, 1)).shapes.front()) -
                         list.shapes.begin();
      const bool is_any = rule.remote.length() == 0 && !rule.match.names_tag();
      if (is_any)
        with_any.insert(static_cast<size_t>(shape));
      else
        reserved[static_cast<size_t>(shape)] += 2;
      if (!is_any && !rule.match.names_tag()) ++prefixes;
    }
    for (const size_t shape : with_any) ++reserved[shape];
    for (size_t s = 0; s < taken.size(); ++s) EXPECT_LE(taken[s], reserved[s]);
    EXPECT_LE(list.cuts.size(), 2 * prefixes);
    const uint64_t most = permit_chunks_for(rules.size(), families, list.shapes, reserved, 2 * prefixes);
    EXPECT_LE(permit_chunks_for(rules.size(), families, list.shapes, taken, list.cuts.size()), most);
    EXPECT_LE(most, most_permit_chunks(rules.size()));
  }
}

}  // namespace
}  // namespace portcullis
