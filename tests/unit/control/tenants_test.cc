// Numbers of tenants, their quotas and counts of flow entries, as the publisher gives them.
#include "control/publish/tenants.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

#include "tests/unit/control/publisher_fixture.h"

namespace portcullis::publish {
namespace {

class TenantNumbers : public PublisherTest {
 protected:
  CompiledBinding of(const char* tenant, uint32_t n) {
    CompiledBinding b = binding(n);
    b.tenant = tenant;
    return b;
  }
  [[nodiscard]] BindingId id_of(uint32_t n) const { return plane.find(View::local, eip_at(n))->id; }
  [[nodiscard]] TenantNumber number_of(uint32_t n) const { return plane.tables->tenants.of(id_of(n)); }
  [[nodiscard]] uint32_t quota_of(uint32_t n) const { return plane.tables->tenants.flow_quota(number_of(n)); }
  void release(uint32_t n) {
    Update update;
    take_away(update, n);
    publish(update);
  }
  void set_quotas(std::map<model::TenantId, uint32_t> quotas) {
    publish(Update{.pools = std::nullopt, .bindings = {}, .flow_quotas = std::move(quotas)});
  }
};

TEST_F(TenantNumbers, EachTenantHasOneAndItsQuota) {
  set_quotas({{"acme", 9}});
  publish({of("acme", 1), of("acme", 2), of("other", 3)});
  EXPECT_EQ(number_of(1), number_of(2));
  EXPECT_NE(number_of(1), number_of(3));
  EXPECT_EQ(quota_of(1), 9u) << "set before it had a binding";
  EXPECT_EQ(quota_of(3), TenantTable::no_bound);
  set_quotas({{"acme", 0}, {"other", 4}, {"nobody", 5}});
  EXPECT_EQ(quota_of(1), TenantTable::no_bound);
  EXPECT_EQ(quota_of(3), 4u);
}

TEST_F(TenantNumbers, EntriesAreThoseOfAllItsBindingsAndOfThoseThatItHad) {
  publish({of("acme", 1), of("acme", 2), of("other", 3)});
  plane.open_flows(id_of(1), 2);
  plane.open_flows(id_of(2), 3);
  plane.open_flows(id_of(3), 4);
  EXPECT_EQ(publisher.flows_of_tenant("acme"), 5u);
  EXPECT_EQ(publisher.flows_of_tenant("other"), 4u);
  EXPECT_EQ(publisher.flows_of_tenant("nobody"), 0u);
  release(1);
  EXPECT_EQ(publisher.flows_of_tenant("acme"), 5u) << "until they have aged away";
  release(2);
  publish({of("acme", 4)});
  EXPECT_EQ(publisher.flows_of_tenant("acme"), 5u) << "it had no binding in between";
  plane.age_all_flows();
  EXPECT_EQ(publisher.flows_of_tenant("acme"), 0u);
}

TEST_F(TenantNumbers, ComeRoundAgainWithoutTheEntriesAndQuotaOfTheLast) {
  publish({of("last", 1)});
  const TenantNumber number = number_of(1);
  set_quotas({{"last", 3}});
  plane.open_flows(id_of(1), 2);
  release(1);
  for (int n = 0; n < 300; ++n) {
    const std::string tenant = "t" + std::to_string(n);
    publish({of(tenant.c_str(), 2)});
    ASSERT_NE(number_of(2), number) << "entries are left";
    ASSERT_EQ(quota_of(2), TenantTable::no_bound);
    release(2);
  }
  plane.age_all_flows();
  bool seen = false;
  for (int n = 0; n < 300 && !seen; ++n) {
    const std::string tenant = "u" + std::to_string(n);
    publish({of(tenant.c_str(), 2)});
    seen = number_of(2) == number;
    ASSERT_EQ(quota_of(2), TenantTable::no_bound);
    release(2);
  }
  EXPECT_TRUE(seen);
  publish({of("last", 1)});
  EXPECT_EQ(quota_of(1), 3u) << "its quota is its own, whatever its number";
}

TEST_F(TenantNumbers, OneThatLosesItsLastBindingAndHasAnotherAtOnceKeepsItsOwn) {
  publish({of("acme", 1)});
  const TenantNumber number = number_of(1);
  publish({of("acme", 1)});  // another incarnation, in the place of the first
  EXPECT_EQ(number_of(1), number);
  publish({of("other", 2)});
  EXPECT_NE(number_of(2), number);
  EXPECT_EQ(number_of(1), number);
}

TEST_F(TenantNumbers, OneThatComesBackRestsNoMore) {
  publish({of("acme", 1)});
  release(1);
  publish({of("acme", 1)});
  publish({of("other", 2)});
  publish({of("third", 3)});
  const std::set<TenantNumber> numbers{number_of(1), number_of(2), number_of(3)};
  EXPECT_EQ(numbers.size(), 3u);
}

TEST_F(TenantNumbers, OfABindingThatFindsNoRoomIsGivenBack) {
  DataPlane small({.eips = 8,
                   .tenants = 2,
                   .spare_records = 1,
                   .spare = 1,
                   .spare_chunks = 8,
                   .index_pages = 2,
                   .permit_chunks = 8,
                   .tag_sets = 8,
                   .links = 1});
  Publisher of_small(*small.tables, small.rcu.get(), {{"a", port_a}}, flow_quota);
  of_small.add_worker(small.worker.get());
  ASSERT_TRUE(
      of_small.publish({.pools = pools({{prefix("203.0.113.0/24"), PoolKind::local}}), .bindings = {}}));
  // Three tenants, one after another, have bindings behind more links than there are: refused.
  for (uint32_t n = 1; n <= 6; ++n) {
    CompiledBinding b = of(("t" + std::to_string(n)).c_str(), n);
    b.encapsulation = VlanTags{.outer = static_cast<uint16_t>(10 + n)};
    const auto done = of_small.publish({.pools = std::nullopt, .bindings = {{b.eip, b}}});
    EXPECT_EQ(done.has_value(), n <= 2) << n << ": a link and a spare one";
  }
  // What was refused holds no number: of three the third is still to be had.
  const CompiledBinding last = of("last", 7);
  ASSERT_TRUE(of_small.publish({.pools = std::nullopt, .bindings = {{last.eip, last}}}));
  EXPECT_NE(small.find(View::local, eip_at(7)), nullptr);
}

TEST_F(TenantNumbers, AllMayPassToOthersInOneChange) {
  DataPlane small({.eips = 8,
                   .tenants = 3,
                   .spare_records = 0,
                   .spare = 0,
                   .spare_chunks = 8,
                   .index_pages = 2,
                   .tag_sets = 8});
  Publisher of_small(*small.tables, small.rcu.get(), {{"a", port_a}}, flow_quota);
  of_small.add_worker(small.worker.get());
  const auto number_of_eip = [&](uint32_t n) {
    return small.tables->tenants.of(small.find(View::local, eip_at(n))->id);
  };
  for (uint32_t round = 0; round < 3; ++round) {
    Update update{.pools = pools({{prefix("203.0.113.0/24"), PoolKind::local}}), .bindings = {}};
    std::set<TenantNumber> numbers;
    for (uint32_t n = 1; n <= 3; ++n) {
      CompiledBinding b = binding(n);  // another tenant's than in the round before
      b.tenant = "t" + std::to_string(round * 3 + n);
      update.bindings[b.eip] = b;
      update.flow_quotas[b.tenant] = round * 3 + n;
    }
    const auto done = of_small.publish(update);
    ASSERT_TRUE(done) << done.error().message;
    for (uint32_t n = 1; n <= 3; ++n) {
      numbers.insert(number_of_eip(n));
      EXPECT_EQ(small.tables->tenants.flow_quota(number_of_eip(n)), round * 3 + n);
      small.open_flows(small.find(View::local, eip_at(n))->id,
                       n);  // of them some are left when it is another's
    }
    EXPECT_EQ(numbers.size(), 3u);
  }
  EXPECT_EQ(of_small.flows_of_tenant("t7") + of_small.flows_of_tenant("t8") + of_small.flows_of_tenant("t9"),
            18u)
      << "with what earlier ones of their numbers had left";
  small.age_all_flows();
  for (const char* tenant : {"t7", "t8", "t9"}) EXPECT_EQ(of_small.flows_of_tenant(tenant), 0u);
}

}  // namespace
}  // namespace portcullis::publish
