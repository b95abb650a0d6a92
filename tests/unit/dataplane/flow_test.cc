#include "dataplane/tables/flow.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <vector>

namespace portcullis {
namespace {

constexpr uint64_t secret = 0x1234567890abcdef;

SideTuple tuple(uint32_t n) {
  return {.local = Ipv4Addr::of(203, 0, 113, 1),
          .remote = Ipv4Addr::from_host(0xc6336400 + n),
          .local_port = Port::from_host(40000),
          .remote_port = Port::from_host(443),
          .protocol = 6};
}

FlowEntry entry_of(uint32_t n, uint64_t expires_ms, BindingId owner = 1, TenantNumber tenant = 0) {
  return {.key = tuple(n),
          .expires_ms = expires_ms,
          .owned_by = owner,
          .tenant = tenant,
          .state = FlowState::opening};
}

// Of 8 bindings and 4 tenants, for all tables here one after another.
FlowCounts& counts() {
  static auto* const one = new FlowCounts(*FlowCounts::create(8, 4, -1));
  return *one;
}

FlowTable table_of(uint32_t capacity) {
  counts() = *FlowCounts::create(8, 4, -1);
  auto table = FlowTable::create(capacity, -1, secret, counts());
  EXPECT_TRUE(table.has_value());
  return std::move(*table);
}

uint64_t pick(std::mt19937_64& random, std::vector<uint64_t> values) {
  return values[random() % values.size()];
}

TEST(FlowTable, FindsWhatWasInsertedUntilItExpires) {
  FlowTable table = table_of(64);
  const uint32_t hash = table.hash(tuple(1));
  EXPECT_EQ(table.find(tuple(1), hash, 0), FlowTable::none);
  const uint32_t index = table.insert(entry_of(1, 100), hash, 0);
  ASSERT_NE(index, FlowTable::none);
  EXPECT_EQ(table.find(tuple(1), hash, 99), index);
  EXPECT_EQ(table.find(tuple(1), hash, 100), FlowTable::none) << "alive until expires_ms, not at it";
  EXPECT_EQ(table.find(tuple(2), table.hash(tuple(2)), 0), FlowTable::none);
}

// Signatures are 15 bits: two keys of a bucket may share one, and the first entry that has it is then not the
// right one.
TEST(FlowTable, FindsTheRightOneOfTwoWithTheSameSignature) {
  FlowTable table = table_of(FlowTable::ways);  // one bucket
  std::map<uint32_t, uint32_t> with_signature;
  uint32_t n = 0, other = 0;
  for (;; ++n) {
    const auto [at, is_new] = with_signature.try_emplace(table.hash(tuple(n)) >> 17, n);
    other = at->second;
    if (!is_new) break;
  }
  const uint32_t first = table.insert(entry_of(other, 100), table.hash(tuple(other)), 0);
  const auto find = [&](uint32_t key) {
    const uint32_t hash = table.hash(tuple(key));
    return table.find_at<ScalarGroup>(table.prefetch_entry<ScalarGroup>(hash, false, 0), tuple(key), hash, 0);
  };
  EXPECT_EQ(find(other), first);
  EXPECT_EQ(find(n), FlowTable::none) << "the entry of another key";
  const uint32_t second = table.insert(entry_of(n, 100), table.hash(tuple(n)), 0);
  EXPECT_NE(first, second);
  EXPECT_EQ(find(other), first);
  EXPECT_EQ(find(n), second);
}

TEST(FlowTable, CountsEntriesPerOwnerUntilTheyAreErased) {
  FlowTable table = table_of(64);
  const uint32_t first = table.insert(entry_of(1, 100, 3), table.hash(tuple(1)), 0);
  table.insert(entry_of(2, 100, 3), table.hash(tuple(2)), 0);
  table.insert(entry_of(3, 100, 4), table.hash(tuple(3)), 0);
  EXPECT_EQ(counts().of_binding(3), 2u);
  EXPECT_EQ(counts().of_binding(4), 1u);
  EXPECT_EQ(table.size(), 3u);
  table.erase(first);
  EXPECT_EQ(counts().of_binding(3), 1u);
  EXPECT_EQ(table.size(), 2u);
}

TEST(FlowTable, AFullBucketRefusesAndAnExpiredWayIsTaken) {
  FlowTable table = table_of(FlowTable::ways);  // one bucket
  for (uint32_t n = 0; n < FlowTable::ways; ++n)
    ASSERT_NE(table.insert(entry_of(n, n == 5 ? 50 : 100), table.hash(tuple(n)), 0), FlowTable::none);
  const uint32_t hash = table.hash(tuple(99));
  EXPECT_FALSE(table.has_room<ScalarGroup>(hash, 1, 0));
  EXPECT_EQ(table.insert(entry_of(99, 200), hash, 0), FlowTable::none);
  EXPECT_EQ(table.size(), FlowTable::ways);
  EXPECT_TRUE(table.has_room<ScalarGroup>(hash, 1, 50));
  EXPECT_FALSE(table.has_room<ScalarGroup>(hash, 2, 50));
  EXPECT_EQ(table.insert(entry_of(99, 200), hash, 50), 5u);
  EXPECT_EQ(table.size(), FlowTable::ways);
  EXPECT_EQ(table.find(tuple(5), table.hash(tuple(5)), 0), FlowTable::none);
}

TEST(FlowTable, AKeyIsNeverThereTwice) {
  FlowTable table = table_of(FlowTable::ways);
  const uint32_t hash = table.hash(tuple(7));
  table.insert(entry_of(1, 1000), table.hash(tuple(1)), 0);
  const uint32_t dead = table.insert(entry_of(7, 10), hash, 0);
  EXPECT_EQ(table.insert(entry_of(7, 1000), hash, 20), dead) << "its own dead entry is replaced, not joined";
  uint32_t seen = 0;
  table.for_each([&](const FlowEntry& entry) { seen += entry.key == tuple(7) ? 1 : 0; });
  EXPECT_EQ(seen, 1u);
}

TEST(FlowTable, AgeingVisitsEveryBucketInTurn) {
  FlowTable table = table_of(256);
  std::set<uint32_t> inserted;
  for (uint32_t n = 0; n < 40; ++n)
    if (table.insert(entry_of(n, 10), table.hash(tuple(n)), 0) != FlowTable::none) inserted.insert(n);
  ASSERT_EQ(table.size(), inserted.size());
  for (uint32_t step = 0; step < table.bucket_count(); ++step)
    table.age(1, FlowTable::Visit::all, 10, [](const FlowEntry& entry) { return entry.expires_ms <= 10; });
  EXPECT_EQ(table.size(), 0u);
  EXPECT_EQ(counts().of_binding(1), 0u);
}

// The head's coarse times decide nothing by themselves: a way is taken, and aged, exactly when its entry has
// expired, whatever the time of day and however often the expiry moved.
TEST(FlowTable, CoarseTimesAgreeWithExactOnes) {
  std::mt19937_64 random(3);
  for (int round = 0; round < 300; ++round) {
    FlowTable table = table_of(FlowTable::ways);
    uint64_t now = random() % (uint64_t{1} << 40);
    std::vector<uint64_t> expiry(FlowTable::ways);
    for (uint32_t n = 0; n < FlowTable::ways; ++n) {
      expiry[n] = now + 1 + random() % 7'440'000;
      ASSERT_EQ(table.insert(entry_of(n, expiry[n]), table.hash(tuple(n)), now), n);
    }
    for (int step = 0; step < 50; ++step) {
      const auto n = static_cast<uint32_t>(random() % FlowTable::ways);
      expiry[n] = now + 1 + random() % pick(random, {5'000, 120'000, 7'440'000, 400'000'000});
      table.set_expiry(n, expiry[n], now);
    }
    now += random() % pick(random, {5'000, 120'000, 7'440'000});
    const auto expired =
        static_cast<uint32_t>(std::ranges::count_if(expiry, [&](uint64_t at) { return at <= now; }));
    const uint32_t hash = table.hash(tuple(99));
    EXPECT_TRUE(table.has_room<ScalarGroup>(hash, expired, now));
    EXPECT_FALSE(table.has_room<ScalarGroup>(hash, expired + 1, now));
    uint32_t asked = 0;
    table.age(1, FlowTable::Visit::expired, now, [&](const FlowEntry& entry) {
      ++asked;
      return entry.expires_ms <= now;
    });
    EXPECT_EQ(table.size(), FlowTable::ways - expired);
    EXPECT_LE(asked, FlowTable::ways);
    EXPECT_GE(asked, expired);
  }
}

// An expiry farther ahead than a head can say is said later, by ageing.
TEST(FlowTable, AgeingFollowsAnExpiryThatIsDaysAhead) {
  FlowTable table = table_of(FlowTable::ways);
  constexpr uint64_t hour = 3'600'000, expires = 100 * hour;
  ASSERT_NE(table.insert(entry_of(1, expires), table.hash(tuple(1)), 0), FlowTable::none);
  const auto expired = [](uint64_t now) {
    return [now](const FlowEntry& entry) { return entry.expires_ms <= now; };
  };
  for (uint64_t now = 0; now < expires; now += hour) {
    table.age(1, FlowTable::Visit::expired, now, expired(now));
    ASSERT_EQ(table.size(), 1u) << now;
  }
  table.age(1, FlowTable::Visit::expired, expires + 2'000, expired(expires + 2'000));
  EXPECT_EQ(table.size(), 0u);
}

TEST(FlowTable, ItsVersionMovesWithEveryInsertAndErase) {
  FlowTable table = table_of(64);
  const uint64_t before = table.version();
  const uint32_t index = table.insert(entry_of(1, 100), table.hash(tuple(1)), 0);
  EXPECT_NE(table.version(), before);
  const uint64_t with_it = table.version();
  table.set_expiry(index, 200, 0);
  EXPECT_EQ(table.version(), with_it) << "what was found is still there";
  table.erase(index);
  EXPECT_NE(table.version(), with_it);
}

TEST(FlowTable, CountsEntriesByTenantAsLongAsTheyAreThere) {
  FlowTable table = table_of(16);
  const auto insert = [&](const FlowEntry& entry, uint64_t now_ms) {
    return table.insert(entry, table.hash(entry.key), now_ms);
  };
  const auto of_tenants = [&] { return std::pair(counts().of_tenant(1), counts().of_tenant(2)); };
  const uint32_t index = insert(entry_of(1, 100, 3, 1), 0);
  insert(entry_of(2, 100, 4, 1), 0);
  insert(entry_of(3, 100, 5, 2), 0);
  EXPECT_EQ(of_tenants(), std::pair(uint32_t{2}, uint32_t{1}));
  insert(entry_of(1, 200, 5, 2), 150);
  EXPECT_EQ(of_tenants(), std::pair(uint32_t{1}, uint32_t{2})) << "the same key, another tenant's";
  table.erase(index);
  EXPECT_EQ(of_tenants(), std::pair(uint32_t{1}, uint32_t{1}));
  for (uint32_t n = 0; n < 13; ++n) insert(entry_of(100 + n, 300, 3, 1), 150);
  EXPECT_EQ(of_tenants(), std::pair(uint32_t{14}, uint32_t{1}));
  ASSERT_NE(insert(entry_of(200, 300, 5, 2), 150), FlowTable::none);
  ASSERT_NE(insert(entry_of(201, 300, 5, 2), 150), FlowTable::none);
  EXPECT_EQ(of_tenants().first + of_tenants().second, 16u) << "one took the way of an expired one";
  table.age(table.bucket_count(), FlowTable::Visit::all, 1000, [](const FlowEntry&) { return true; });
  EXPECT_EQ(of_tenants(), std::pair(uint32_t{0}, uint32_t{0}));
}

TEST(FlowTable, RefusesACapacityThatIsNoPowerOfTwo) {
  for (const uint32_t capacity : {0u, 8u, 17u, 48u}) {
    const auto table = FlowTable::create(capacity, -1, secret, counts());
    ASSERT_FALSE(table.has_value()) << capacity;
    EXPECT_EQ(table.error().code, ErrorCode::invalid_argument);
  }
}

TEST(FlowTable, WhichKeysShareABucketDependsOnTheSecret) {
  uint32_t together = 0;
  for (uint32_t n = 0; n < 4096; ++n) {
    const bool meet_here = ((FlowTable::hash(tuple(n), 1) ^ FlowTable::hash(tuple(n + 1), 1)) & 63) == 0;
    const bool meet_there = ((FlowTable::hash(tuple(n), 2) ^ FlowTable::hash(tuple(n + 1), 2)) & 63) == 0;
    together += meet_here && meet_there ? 1 : 0;
  }
  EXPECT_LT(together, 16u) << "of 64 pairs that meet under one secret, one or so meets under another";
}

TEST(FlowTable, HashSpreadsPortsAndAddressesOverBucketsAndSignatures) {
  const FlowTable table = table_of(64);
  std::set<uint32_t> hashes;
  for (uint32_t n = 0; n < 4096; ++n) hashes.insert(table.hash(tuple(n)));
  EXPECT_GT(hashes.size(), 4090u);
  std::array<uint32_t, 64> buckets{};
  for (uint32_t n = 0; n < 4096; ++n) ++buckets[table.hash(tuple(n)) & 63];
  for (const uint32_t load : buckets) EXPECT_LT(load, 64u * 2);
}

// Every cell of the state machine, written out a second time as what RFC 5382 and 5961 ask for.
TEST(TcpState, EveryCell) {
  using S = FlowState;
  using E = FlowEvent;
  struct Row {
    S from;
    E event;
    S to;
  };
  const Row rows[] = {
      {S::none, E::opener_syn, S::opening},
      {S::none, E::opener_ack, S::opening},
      {S::none, E::opener_fin, S::none},
      {S::none, E::opener_rst, S::none},
      {S::none, E::reply_syn_ack, S::none},
      {S::none, E::reply_ack, S::none},
      {S::none, E::reply_fin, S::none},
      {S::none, E::reply_rst, S::none},
      {S::opening, E::opener_syn, S::opening},
      {S::opening, E::opener_ack, S::opening},
      {S::opening, E::opener_fin, S::closing},
      {S::opening, E::opener_rst, S::closing},
      {S::opening, E::reply_syn_ack, S::established},
      {S::opening, E::reply_ack, S::established},
      {S::opening, E::reply_fin, S::closing},
      {S::opening, E::reply_rst, S::closing},
      {S::established, E::opener_syn, S::established},
      {S::established, E::opener_ack, S::established},
      {S::established, E::opener_fin, S::closing},
      {S::established, E::opener_rst, S::closing},
      {S::established, E::reply_syn_ack, S::established},
      {S::established, E::reply_ack, S::established},
      {S::established, E::reply_fin, S::closing},
      {S::established, E::reply_rst, S::closing},
      {S::closing, E::opener_syn, S::opening},
      {S::closing, E::opener_ack, S::closing},
      {S::closing, E::opener_fin, S::closing},
      {S::closing, E::opener_rst, S::closing},
      {S::closing, E::reply_syn_ack, S::closing},
      {S::closing, E::reply_ack, S::closing},
      {S::closing, E::reply_fin, S::closing},
      {S::closing, E::reply_rst, S::closing},
  };
  EXPECT_EQ(std::size(rows), flow_state_count * flow_event_count);
  for (const Row& row : rows)
    EXPECT_EQ(next_state(row.from, row.event), row.to)
        << static_cast<int>(row.from) << " on " << static_cast<int>(row.event);
}

TEST(TcpState, ClassifiesResetBeforeFinBeforeSyn) {
  constexpr uint8_t fin = 1, syn = 2, rst = 4, ack = 16;
  EXPECT_EQ(classify_tcp(rst | ack | fin, true), FlowEvent::opener_rst);
  EXPECT_EQ(classify_tcp(rst, false), FlowEvent::reply_rst);
  EXPECT_EQ(classify_tcp(fin | ack, true), FlowEvent::opener_fin);
  EXPECT_EQ(classify_tcp(fin | ack, false), FlowEvent::reply_fin);
  EXPECT_EQ(classify_tcp(syn, true), FlowEvent::opener_syn);
  EXPECT_EQ(classify_tcp(syn | ack, false), FlowEvent::reply_syn_ack);
  EXPECT_EQ(classify_tcp(ack, true), FlowEvent::opener_ack);
  EXPECT_EQ(classify_tcp(ack, false), FlowEvent::reply_ack);
}

TEST(FlowTimeouts, AreThoseOfTheRfcs) {
  const FlowTimeouts t;
  EXPECT_EQ(idle_ms(t, 6, FlowState::established), 7'440'000u);  // RFC 5382 REQ-5
  EXPECT_EQ(idle_ms(t, 6, FlowState::opening), 240'000u);
  EXPECT_EQ(idle_ms(t, 6, FlowState::closing), 240'000u);
  EXPECT_EQ(idle_ms(t, 17, FlowState::opening), 120'000u);  // RFC 4787 REQ-5
  EXPECT_EQ(idle_ms(t, 1, FlowState::opening), 60'000u);    // RFC 5508 REQ-2
}

}  // namespace
}  // namespace portcullis
