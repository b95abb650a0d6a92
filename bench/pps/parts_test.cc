// The parts of bench-pps that a figure rests on and that no packet shows to be right.

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cmath>
#include <map>
#include <set>
#include <thread>
#include <tuple>
#include <vector>

#include "bench/pps/histogram.h"
#include "bench/pps/ledger.h"
#include "bench/pps/order.h"
#include "bench/pps/packet.h"
#include "bench/pps/rows.h"
#include "bench/pps/source.h"
#include "bench/pps/step.h"
#include "bench/pps/sum.h"
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

// What two workers are sent in some bursts, by the worker.
std::array<std::vector<Packet>, 2> shares_of(const FlowSource& flows, const Workload& workload, Way way) {
  std::array<std::vector<Packet>, 2> shares;
  for (uint32_t worker = 0; worker < 2; ++worker) {
    ShareSource source(flows, workload, worker);
    for (uint64_t sent = 0; sent < 2 * flows.period(); sent += 64) {
      std::vector<Packet> burst(64);
      EXPECT_EQ(source.fill(way, burst), 64u);
      shares[worker].insert(shares[worker].end(), burst.begin(), burst.end());
    }
  }
  return shares;
}

std::set<uint32_t> numbers_of(const std::vector<Packet>& packets) {
  std::set<uint32_t> numbers;
  for (const Packet& packet : packets) numbers.insert(packet.number);
  return numbers;
}

class ShareTest : public testing::TestWithParam<std::tuple<bool, bool>> {};

TEST_P(ShareTest, EachFlowArrivesAtOneWorker) {
  const auto [unspread, ipv6] = GetParam();
  const Workload workload{
      .flows = 4096, .ways = {Way::in, Way::out}, .ipv6 = ipv6, .workers = 2, .unspread = unspread};
  const FlowSource flows(workload);
  for (const Way way : workload.ways) {
    const auto shares = shares_of(flows, workload, way);
    std::set<uint32_t> all;
    for (uint32_t worker = 0; worker < 2; ++worker) {
      const std::set<uint32_t> numbers = numbers_of(shares[worker]);
      EXPECT_NEAR(static_cast<double>(numbers.size()), 2048, 200);
      for (const uint32_t number : numbers) EXPECT_TRUE(all.insert(number).second) << number;
    }
    EXPECT_EQ(all.size(), workload.flows);
  }
}

TEST_P(ShareTest, ArrivesAtItsOwnerOrAtAnyByTurns) {
  const auto [unspread, ipv6] = GetParam();
  const Workload workload{.flows = 4096, .ipv6 = ipv6, .workers = 2, .unspread = unspread};
  const FlowSource flows(workload);
  const auto shares = shares_of(flows, workload, Way::in);
  for (uint32_t worker = 0; worker < 2; ++worker)
    for (size_t n = 0; n < shares[worker].size(); ++n)
      ASSERT_EQ(owner_of(shares[worker][n], 2), unspread ? n % 2 : worker) << n;
}

INSTANTIATE_TEST_SUITE_P(Kinds, ShareTest, testing::Combine(testing::Bool(), testing::Bool()));

TEST(ShareSource, RefusedFlowsAreNotSent) {
  const Workload workload{.work = Work::tracked, .flows = 1024, .workers = 2, .unspread = true};
  FlowSource flows(workload);
  for (uint32_t flow = 0; flow < 1024; flow += 2) flows.refuse(flow);
  for (const auto& share : shares_of(flows, workload, Way::out))
    for (const Packet& packet : share) ASSERT_EQ(packet.number % 2, 1u);
}

// A thread counts what it has done in each turn and finds, behind the next meeting, that the other has too.
TEST(Step, NobodyIsATurnAheadAndAllStopTogether) {
  constexpr uint64_t turns = 20000;
  Step step(2);
  std::array<std::atomic<uint64_t>, 2> done{};
  std::array<uint64_t, 2> looks{}, wrong{};
  const auto work = [&](uint32_t self) {
    for (uint64_t turn = 1;; ++turn) {
      done[self].store(turn, std::memory_order_relaxed);
      const Step::Then then = step.wait(self, turn == turns     ? Step::Then::stop
                                              : turn % 100 == 0 ? Step::Then::look
                                                                : Step::Then::go_on);
      const uint64_t others = done[1 - self].load(std::memory_order_relaxed);
      wrong[self] += others < turn || others > turn + 1 ? 1 : 0;
      looks[self] += then == Step::Then::look ? 1 : 0;
      if (then == Step::Then::stop) {
        wrong[self] += turn == turns ? 0 : 1;
        return;
      }
    }
  };
  std::thread other(work, 1);
  work(0);
  other.join();
  for (const uint32_t self : {0u, 1u}) {
    EXPECT_EQ(wrong[self], 0u) << self;
    EXPECT_EQ(looks[self], turns / 100 - 1) << self;
  }
}

TEST(Sum, RatesOfWorkersAddUp) {
  const std::array<Sum, 2> alike{Sum{.clocks = 5000, .packets = 100}, Sum{.clocks = 10000, .packets = 200}};
  EXPECT_DOUBLE_EQ(clocks_per_packet(alike), 50);
  // 1/40 + 1/60 packets a clock are 2/48.
  const std::array<Sum, 2> apart{Sum{.clocks = 40, .packets = 1}, Sum{.clocks = 60, .packets = 1}};
  EXPECT_DOUBLE_EQ(clocks_per_packet(apart), 48);
  const std::array<Sum, 2> idle{Sum{.clocks = 40, .packets = 1}, Sum{.clocks = 60}};
  EXPECT_DOUBLE_EQ(clocks_per_packet(idle), 0);
}

TEST(Ledger, WhatOneWasSentMayComeOutOfAnother) {
  const std::array<WorkerCounters, 2> counters{};
  std::array<Ledger, 2> ledgers{Ledger(counters[0]), Ledger(counters[1])};
  const std::vector<Packet> packets(10);
  ledgers[0].sent(packets);
  ledgers[1].came_out(9);
  EXPECT_FALSE(Ledger::balance(ledgers));
  ledgers[1].came_out(1);
  EXPECT_TRUE(Ledger::balance(ledgers));
  EXPECT_FALSE(ledgers[0].balance());
  EXPECT_FALSE(ledgers[1].balance());
}

TEST(Ledger, ADropElsewhereCountsToo) {
  std::array<WorkerCounters, 2> counters{};
  std::array<Ledger, 2> ledgers{Ledger(counters[0]), Ledger(counters[1])};
  ledgers[0].sent(std::vector<Packet>(10));
  ledgers[1].came_out(9);
  counters[1].dropped[static_cast<size_t>(Drop::handover_full)].add(1);
  EXPECT_FALSE(Ledger::balance(ledgers));
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
