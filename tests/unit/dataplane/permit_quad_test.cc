#include "dataplane/tables/permit_quad.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "tests/support/first_match.h"
#include "tests/unit/dataplane/permit_cases.h"

namespace portcullis {
namespace {

using testing::RandomPermits;

// The definition: rules in their order, one by one.
uint32_t first_by_definition(const std::vector<PermitRule>& rules, const PermitQuery& query,
                             const TagSetTable& tags) {
  for (uint32_t lane = 0; lane < rules.size(); ++lane)
    if (matches(rules[lane], query, tags)) return lane;
  return PermitQuad::lanes;
}

uint32_t first_on(Isa isa, const PermitQuad& quad, const PermitQuery& query, const TagSetTable& tags) {
#if defined(__x86_64__)
  if (isa == Isa::avx2) return first_match<Avx2Group>(quad, query, tags);
  if (isa == Isa::avx512) return first_match<Avx512Group>(quad, query, tags);
#endif
  return first_match<ScalarGroup>(quad, query, tags);
}

class PermitQuadOn : public ::testing::TestWithParam<Isa> {};

TEST_P(PermitQuadOn, FindsWhatTheDefinitionFinds) {
  if (!is_supported(GetParam())) GTEST_SKIP() << "not on this CPU";
  RandomPermits random(7);
  uint32_t met[PermitQuad::lanes + 1] = {};
  for (int round = 0; round < 20'000; ++round) {
    const std::vector<PermitRule> rules = random.rules(random.below(PermitQuad::lanes + 1));
    const PermitQuad quad(rules);
    for (int n = 0; n < 10; ++n) {
      const PermitQuery query = random.query(rules);
      const uint32_t expected = first_by_definition(rules, query, random.tags());
      ASSERT_EQ(first_on(GetParam(), quad, query, random.tags()), expected) << "round " << round;
      ++met[expected];
    }
  }
  for (const uint32_t times : met) EXPECT_GT(times, 2'000u);
}

INSTANTIATE_TEST_SUITE_P(Isa, PermitQuadOn, ::testing::ValuesIn(all_isas),
                         [](const auto& test) { return std::string(name_of(test.param)); });

TEST(PermitQuad, WithoutIntrinsicsTheSameLanesAreFound) {
  RandomPermits random(8);
  for (int round = 0; round < 100'000; ++round) {
    const std::vector<PermitRule> rules = random.rules(random.below(PermitQuad::lanes + 1));
    const PermitQuad quad(rules);
    const PermitQuery query = random.query(rules);
    ASSERT_EQ(match_quad_portable(quad, query), match_quad(ScalarGroup{}, quad, query)) << "round " << round;
  }
}

TEST(PermitQuad, ALaneWithoutARuleNeverMatches) {
  TagSetTable tags = *TagSetTable::create(1, -1);
  for (const uint16_t port : {uint16_t{0}, uint16_t{1}, uint16_t{65535}})
    for (const Ipv4Addr remote : {Ipv4Addr(), Ipv4Addr::of(255, 255, 255, 255)}) {
      const PermitQuery query{.direction = Direction::inbound,
                              .protocol = 0,
                              .local_port = port,
                              .remote_port = port,
                              .remote = remote,
                              .remote_tags = empty_tag_set};
      EXPECT_EQ(first_match<ScalarGroup>(PermitQuad(), query, tags), PermitQuad::lanes);
    }
}

}  // namespace
}  // namespace portcullis
