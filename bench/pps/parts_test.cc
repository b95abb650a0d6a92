// The parts of bench-pps that a figure rests on and that no packet shows to be right.

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <map>
#include <set>
#include <vector>

#include "bench/pps/histogram.h"
#include "bench/pps/order.h"
#include "bench/pps/packet.h"
#include "bench/pps/rows.h"
#include "bench/pps/source.h"
#include "bench/pps/workload.h"
#include "src/net/checksum.h"

namespace portcullis::bench {
namespace {

class PermutationTest : public testing::TestWithParam<uint32_t> {};

TEST_P(PermutationTest, VisitsEachOnceAndBeginsAgain) {
  const Permutation permutation(GetParam());
  std::vector<bool> seen(GetParam());
  for (uint32_t n = 0; n < GetParam(); ++n) {
    const uint32_t at = permutation(n);
    ASSERT_LT(at, GetParam());
    ASSERT_FALSE(seen[at]) << at;
    seen[at] = true;
  }
  EXPECT_EQ(permutation(GetParam()), permutation(0));
}

INSTANTIATE_TEST_SUITE_P(Sizes, PermutationTest, testing::Values(1, 2, 3, 64, 100, 4096, 64512, 1032192));

TEST(Permutation, StepsByNoConstant) {
  const Permutation permutation(65536);
  std::set<uint32_t> steps;
  for (uint32_t n = 0; n < 1000; ++n) steps.insert(permutation(n + 1) - permutation(n));
  EXPECT_GT(steps.size(), 900u);
}

TEST(Zipf, FirstRanksHaveTheirShare) {
  constexpr uint32_t draws = 1 << 18;
  constexpr uint32_t size = 1000;
  std::map<uint32_t, uint32_t> counts;
  for (const uint32_t rank : zipf_ranks(size, 1.1, draws)) {
    ASSERT_LT(rank, size);
    ++counts[rank];
  }
  double sum = 0;
  for (uint32_t k = 1; k <= size; ++k) sum += std::pow(k, -1.1);
  for (const uint32_t k : {1u, 2u, 3u, 10u, 100u}) {
    const double expected = draws * std::pow(k, -1.1) / sum;
    EXPECT_NEAR(counts[k - 1], expected, 5 * std::sqrt(expected)) << k;
  }
}

TEST(Histogram, QuantilesAreAtMostOneClassTooHigh) {
  Histogram histogram;
  EXPECT_EQ(histogram.quantile(0.5), 0u);
  for (uint64_t value = 1; value <= 100000; ++value) histogram.add(value);
  for (const double q : {0.01, 0.5, 0.99, 0.999}) {
    const double exact = q * 100000;
    EXPECT_GE(static_cast<double>(histogram.quantile(q)), exact);
    EXPECT_LE(static_cast<double>(histogram.quantile(q)), exact * 1.04);
  }
  EXPECT_EQ(histogram.quantile(1), 100000u);
  EXPECT_EQ(histogram.max(), 100000u);
  histogram.add(UINT64_MAX);
  EXPECT_EQ(histogram.quantile(1), UINT64_MAX);
}

// Frames of some lengths, both ways, as they are sent and as they must come out.
template <typename Check>
void for_each_frame(bool ipv6, uint16_t smallest, Check&& check) {
  for (const uint16_t length : {smallest, static_cast<uint16_t>(smallest + 1), largest_frame})
    for (const Way way : {Way::in, Way::out})
      for (const bool expected : {false, true}) {
        const Packet packet{.eip = eip_of(7),
                            .dip = dip_of(7),
                            .remote = random_source(99),
                            .local_port = 80,
                            .remote_port = 4321,
                            .length = length,
                            .way = way,
                            .ipv6 = ipv6,
                            .number = 12345};
        std::vector<uint8_t> frame(length);
        if (expected)
          write_expected(packet, frame);
        else
          write_frame(packet, frame.data());
        EXPECT_EQ(number_of(frame.data()), 12345u);
        check(std::span<const uint8_t>(frame));
      }
}

// Of TCP from byte `at` on, under a pseudo-header with these addresses.
uint16_t tcp_sum(std::span<const uint8_t> frame, size_t at, std::span<const uint8_t> addresses) {
  const auto length = static_cast<uint16_t>(frame.size() - at);
  const std::array<uint8_t, 4> rest{0, 6, static_cast<uint8_t>(length >> 8), static_cast<uint8_t>(length)};
  return internet_sum(frame.subspan(at), internet_sum(addresses, internet_sum(rest)));
}

// Checksums added up here from the bytes alone (RFC 791, 8200, 9293).
TEST(Frame, ChecksumsAreRight) {
  for_each_frame(false, smallest_frame, [](std::span<const uint8_t> frame) {
    EXPECT_EQ(internet_sum(frame.subspan(14, 20)), 0xffff);
    EXPECT_EQ(tcp_sum(frame, 34, frame.subspan(26, 8)), 0xffff);
  });
  for_each_frame(true, smallest_ipv6_frame, [](std::span<const uint8_t> frame) {
    EXPECT_EQ(tcp_sum(frame, 54, frame.subspan(22, 32)), 0xffff);
  });
}

TEST(ShapedRules, AreDistributedAsRow9Says) {
  const std::vector<PermitRule> rules = shaped_rules(1000, 16);
  uint32_t hosts = 0, any = 0;
  std::set<std::pair<uint16_t, uint16_t>> shapes;
  for (const PermitRule& rule : rules) {
    hosts += rule.prefix_length == 32 ? 1 : 0;
    any += rule.prefix_length == 0 ? 1 : 0;
    EXPECT_EQ(rule.remote & ~Ipv4Prefix::mask(rule.prefix_length), 0u);
    shapes.emplace(rule.local_ports.first, rule.local_ports.last);
  }
  EXPECT_EQ(hosts, 300u);
  EXPECT_EQ(any, 200u);
  EXPECT_EQ(shapes.size(), 16u);
}

bool rule_matches(const PermitRule& rule, const Packet& packet) {
  return rule.local_ports.contains(packet.local_port) && rule.remote_ports.contains(packet.remote_port) &&
         ((rule.remote ^ packet.remote.host()) & Ipv4Prefix::mask(rule.prefix_length)) == 0;
}

class LongList : public testing::TestWithParam<uint32_t> {};

TEST_P(LongList, IsHitAllOverAndMissedByWhatShouldMiss) {
  Workload workload{.eips = 4, .flows = 4000, .rules = 1000, .shapes = GetParam()};
  const std::vector<PermitRule> rules = list_of(workload);
  std::set<size_t> first_hits;
  const FlowSource source(workload);
  workload.miss = true;
  const FlowSource missing(workload);
  for (uint64_t n = 0; n < source.period(); ++n) {
    const Packet packet = source.at(Way::in, n);
    EXPECT_FALSE(packet.drop);
    size_t first = 0;
    while (first < rules.size() && !rule_matches(rules[first], packet)) ++first;
    ASSERT_LT(first, rules.size());
    first_hits.insert(first);
    const Packet miss = missing.at(Way::in, n);
    EXPECT_EQ(miss.drop, Drop::destination_not_permitted);
    for (const PermitRule& rule : rules) ASSERT_FALSE(rule_matches(rule, miss));
    const Packet denied = source.denied(packet);
    for (const PermitRule& rule : rules) ASSERT_FALSE(rule_matches(rule, denied));
  }
  // Wide prefixes and rules from any hide others behind them.
  EXPECT_GT(first_hits.size(), GetParam() == 0 ? 999u : 500u);
}

INSTANTIATE_TEST_SUITE_P(Shapes, LongList, testing::Values(0, 1, 2, 16));

TEST(FlowSource, NoTwoFlowsShareAFiveTuple) {
  const FlowSource source({.work = Work::tracked, .eips = 254, .flows = 1032192});
  std::set<std::pair<uint32_t, uint32_t>> seen;
  for (uint64_t n = 0; n < source.period(); ++n) {
    const Packet packet = source.at(Way::in, n);
    seen.emplace(packet.remote.host(), uint32_t{packet.local_port} << 16 | packet.remote_port);
  }
  EXPECT_EQ(seen.size(), source.period());
}

TEST(FlowSource, RefusedFlowsAreNotSent) {
  FlowSource source({.work = Work::tracked, .flows = 64});
  for (uint32_t flow = 0; flow < 64; flow += 2) source.refuse(flow);
  std::array<Packet, 64> packets;
  ASSERT_EQ(source.fill(Way::in, packets), 64u);
  for (const Packet& packet : packets) EXPECT_EQ(packet.number % 2, 1u);
  EXPECT_EQ(source.refused(), 32u);
}

TEST(Rows, HaveNamesOfTheirOwn) {
  std::set<std::string_view> names;
  for (const Row& row : rows()) {
    EXPECT_TRUE(names.insert(row.name).second) << row.name;
    EXPECT_EQ(find_row(row.name), &row);
  }
  EXPECT_EQ(find_row("no such row"), nullptr);
}

}  // namespace
}  // namespace portcullis::bench
