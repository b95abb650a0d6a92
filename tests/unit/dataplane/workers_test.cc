// What several workers share: who owns what, who polls which queue, and the rings between them.
#include <gtest/gtest.h>
#include <rte_byteorder.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_ring.h>
#include <rte_thash.h>

#include <array>
#include <atomic>
#include <cstring>
#include <optional>
#include <set>
#include <thread>
#include <vector>

#include "dataplane/handover.h"
#include "dataplane/owners.h"
#include "dataplane/port_queues.h"
#include "dataplane/spread.h"
#include "dataplane/worker_state.h"
#include "tests/model/ring_port.h"
#include "tests/unit/dataplane/pipeline_rows.h"

namespace portcullis {
namespace {

// The hash that a NIC with this key computes (rte_softrss), over words of the input in host order.
uint32_t toeplitz(std::vector<uint32_t> words) {
  std::array<uint8_t, 40> key{};
  for (size_t i = 0; i < key.size(); ++i)
    key[i] = static_cast<uint8_t>(i % 2 == 0 ? spread_key_word >> 8 : spread_key_word & 0xff);
  return rte_softrss(words.data(), static_cast<uint32_t>(words.size()), key.data());
}

TEST(Spread, IsTheHashOfNics) {
  for (const char* text : {"203.0.113.7", "0.0.0.0", "255.255.255.255", "198.51.100.200", "10.1.2.3"}) {
    const Ipv4Addr address = *Ipv4Addr::parse(text);
    const uint32_t hash = toeplitz({address.host()});
    EXPECT_EQ(Spread::hash(Spread::fold(address)), hash & 0xffff) << text;
    EXPECT_EQ(Spread::hash(Spread::fold(address)), hash >> 16) << text;
  }
  for (const char* text : {"2001:db8::7", "::", "fe80::1:2:3:4", "2001:db8:1234:5678:9abc:def0:1357:2468"}) {
    const Ipv6Addr address = *Ipv6Addr::parse(text);
    const uint32_t hash =
        toeplitz({static_cast<uint32_t>(address.high() >> 32), static_cast<uint32_t>(address.high()),
                  static_cast<uint32_t>(address.low() >> 32), static_cast<uint32_t>(address.low())});
    EXPECT_EQ(Spread::hash(Spread::fold(address)), hash & 0xffff) << text;
  }
}

TEST(Spread, OfAPairHasNoDirection) {
  const uint16_t a = Spread::fold(*Ipv4Addr::parse("203.0.113.7"));
  const uint16_t b = Spread::fold(*Ipv4Addr::parse("198.51.100.1"));
  EXPECT_EQ(Spread::hash(a ^ b), Spread::hash(a) ^ Spread::hash(b));
}

TEST(Spread, LosesNothingOfWhatIsHashedAndLoadsAllWorkersAlike) {
  std::set<uint16_t> hashes;
  std::array<uint32_t, 4> of_worker{};
  for (uint32_t folded = 0; folded < 65536; ++folded) {
    hashes.insert(Spread::hash(static_cast<uint16_t>(folded)));
    ++of_worker[Spread::worker_of_bucket(Spread::bucket(static_cast<uint16_t>(folded)), 4)];
  }
  EXPECT_EQ(hashes.size(), 65536u);
  for (const uint32_t share : of_worker) EXPECT_EQ(share, 16384u);
}

template <typename Group>
void expect_owners_as_spread_says() {
  if (!is_supported(Group::isa)) GTEST_SKIP() << "this CPU has no " << name_of(Group::isa);
  alignas(64) Ipv4Fields packets[burst_size];
  uint32_t number = 0;
  for (uint32_t workers = 2; workers <= max_workers; ++workers) {
    for (uint32_t round = 0; round < 40; ++round) {
      const uint64_t outward = round % 3 == 0 ? 0 : 0x9e3779b97f4a7c15 * (round + workers);
      for (Ipv4Fields& packet : packets) {
        packet.source = Ipv4Addr::from_host(++number * 0x9e3779b1);
        packet.destination = Ipv4Addr::from_host(number * 0x85ebca6b);
      }
      const uint32_t self = round % workers, count = 1 + (round * 7 + workers) % burst_size;
      uint8_t owners[burst_size];
      const uint64_t others = owners_of(Group(), {packets, count, outward, workers, self}, owners);
      for (uint32_t i = 0; i < count; ++i) {
        const Ipv4Addr remote = (outward >> i & 1) != 0 ? packets[i].destination : packets[i].source;
        const uint32_t owner = Spread::worker_of_bucket(Spread::bucket(Spread::fold(remote)), workers);
        ASSERT_EQ(owners[i], owner) << i << " of " << count << ", " << workers << " workers";
        ASSERT_EQ(others >> i & 1, uint64_t{owner != self}) << i << " of " << count;
      }
    }
  }
}

TEST(Owners, AreThoseThatSpreadGives) {
  expect_owners_as_spread_says<ScalarGroup>();
}
#if defined(__x86_64__)
TEST(Owners, OfAvx2Too) {
  expect_owners_as_spread_says<Avx2Group>();
}
#endif

TEST(PortQueues, OneForEachWorkerIsItsOwn) {
  const std::vector<WorkerQueues> queues = assign_queues({{.port = 5, .receive = 3, .transmit = 3}}, 3);
  for (uint16_t worker = 0; worker < 3; ++worker) {
    EXPECT_EQ(queues[worker][5].receive, worker);
    EXPECT_EQ(queues[worker][5].transmit, worker);
    EXPECT_EQ(queues[worker][5].receivers, 3u);
  }
}

TEST(PortQueues, FewerGoAroundAndOneWorkerTransmits) {
  const std::vector<WorkerQueues> queues =
      assign_queues({{.port = 1}, {.port = 2}, {.port = 3, .receive = 2, .transmit = 3}, {.port = 4}}, 3);
  const auto receive = [&](PortId port) {
    return std::array{queues[0][port].receive, queues[1][port].receive, queues[2][port].receive};
  };
  constexpr uint16_t none = PortQueues::none;
  EXPECT_EQ(receive(1), (std::array<uint16_t, 3>{0, none, none}));
  EXPECT_EQ(receive(2), (std::array<uint16_t, 3>{none, 0, none}));
  EXPECT_EQ(receive(3), (std::array<uint16_t, 3>{1, none, 0}));
  EXPECT_EQ(receive(4), (std::array<uint16_t, 3>{0, none, none}));
  EXPECT_EQ(queues[2][2].transmitter, 1u);
  EXPECT_EQ(queues[2][2].transmit, none);
  EXPECT_EQ(queues[1][2].transmit, 0);
  EXPECT_EQ(queues[2][3].transmit, 2);
}

TEST(Handover, WaitsForWhatIsInTheRingsAndNotForMore) {
  const auto handover = *Handover::create(2, -1);
  rte_ring* const ring = handover->to_owner(0, 1);
  handover->wait_until_taken();  // nothing to wait for
  int packet = 0;
  ASSERT_EQ(rte_ring_sp_enqueue(ring, &packet), 0);
  std::atomic<bool> has_waited{false};
  std::thread control([&] {
    handover->wait_until_taken();
    has_waited = true;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_FALSE(has_waited);
  ASSERT_EQ(rte_ring_sp_enqueue(ring, &packet), 0);
  void* taken = nullptr;
  ASSERT_EQ(rte_ring_sc_dequeue(ring, &taken), 0);
  control.join();
  EXPECT_EQ(rte_ring_count(ring), 1u);
  ASSERT_EQ(rte_ring_sc_dequeue(ring, &taken), 0);
}

TEST(Handover, TooManyWorkersForTheMemoryAreRefused) {
  const auto refused = Handover::create(2, -1, uint32_t{1} << 30);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::resource_exhausted);
}

TEST(Handover, WaitsNoLongerOnceItIsAbandoned) {
  const auto handover = *Handover::create(2, -1);
  int packet = 0;
  ASSERT_EQ(rte_ring_sp_enqueue(handover->to_owner(1, 0), &packet), 0);
  handover->abandon();
  handover->wait_until_taken();
  void* taken = nullptr;
  ASSERT_EQ(rte_ring_sc_dequeue(handover->to_owner(1, 0), &taken), 0);
}

// Workers look at the clock when their turns begin: one may be late, and what others took meanwhile counts.
TEST(ErrorRate, AWorkerWhoseClockIsBehindFindsNoMoreThanIsLeft) {
  for (const uint32_t per_second : {1u, 100u, 2000u, 64000u}) {
    auto rate = *ErrorRate::create(per_second, 2, -1);
    for (uint32_t n = 0; n < ErrorRate::burst; ++n) {
      EXPECT_TRUE(rate.has_token(1, 20'000)) << per_second;
      rate.take(1, 20'000);
    }
    for (const uint64_t late_ms : {0, 1, 11, 500, 900})
      EXPECT_FALSE(rate.has_token(1, 20'000 - late_ms))
          << per_second << " a second, " << late_ms << " ms late";
  }
}

TEST(ErrorRate, WhatAllWorkersTakeAtOnceIsNotForgotten) {
  auto rate = *ErrorRate::create(100, 2, -1);
  for (uint32_t n = 0; n < ErrorRate::burst - 1 + 2 * max_workers; ++n) rate.take(1, 1'000);
  EXPECT_FALSE(rate.has_token(1, 1'000));
  EXPECT_FALSE(rate.has_token(1, 1'010));
  EXPECT_TRUE(rate.has_token(1, 1'000 + (2 * max_workers + 1) * 10));
}

class Transmitter : public PipelineRows {};

// The link takes 64, the queue holds 512: what fits into both is not dropped, though it all comes in one
// turn.
TEST_F(Transmitter, TakesAllThatAnotherWorkerHasFinished) {
  constexpr uint32_t link = 64, frames = link + TransmitQueue::capacity;
  const auto handover = *Handover::create(2, -1);
  WorkerConfig config{.flow_capacity = 64, .ipv6_flow_capacity = 64, .handover = handover.get()};
  config.queues = assign_queues({{.port = first().id()}}, 2)[0];
  const auto transmitter = *Worker::create(config, *tables_, rcu_.get());
  const Bytes frame = build(from_client());
  for (uint32_t n = 0; n < frames; ++n) {
    rte_mbuf* const finished = ports().pool.make(frame);
    finished->port = first().id();
    ASSERT_EQ(rte_ring_sp_enqueue(handover->to_transmitter(1, 0), finished), 0);
  }
  transmitter->poll(now_ms_);
  const WorkerCounters& counters = transmitter->counters();
  EXPECT_EQ(counters.taken_over.get(), frames);
  EXPECT_EQ(counters.dropped_all(), 0u);
  EXPECT_EQ(counters.transmitted(), link);
  EXPECT_EQ(counters.held.get(), frames - link);
}

}  // namespace
}  // namespace portcullis
