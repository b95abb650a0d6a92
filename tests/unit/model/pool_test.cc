#include "tests/unit/model/fixture.h"

namespace portcullis::model {
namespace {

class PoolTest : public ModelTest {};

TEST_F(PoolTest, CreateRepeatAndConflict) {
  const auto plan = model_.plan_create_pool(pool("p", "203.0.113.0/24"));
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->changes, (ChangeSet{1, {PutPool{pool("p", "203.0.113.0/24")}}}));
  carry_out(plan);
  EXPECT_TRUE(is_unchanged(model_.plan_create_pool(pool("p", "203.0.113.0/24")), 1));
  EXPECT_TRUE(refused(model_.plan_create_pool(pool("p", "203.0.113.0/25")), ErrorCode::already_exists,
                      "pool.name", "pools/p", "another prefix or kind"));
  EXPECT_TRUE(refused(model_.plan_create_pool(pool("p", "203.0.113.0/24", PoolKind::provider)),
                      ErrorCode::already_exists, "pool.name", "pools/p", "another prefix or kind"));
}

TEST_F(PoolTest, IdAndPrefix) {
  EXPECT_TRUE(refused(model_.plan_create_pool(pool("P", "203.0.113.0/24")), ErrorCode::invalid_argument,
                      "pool.name", "pools/P", "pool id 'P'"));
  for (const char* bad : {"0.0.0.0/0", "0.0.0.0/8", "127.0.0.1/32", "169.254.0.0/24", "168.0.0.0/6",
                          "224.0.0.0/24", "192.0.0.0/2", "240.0.0.0/8", "255.255.255.255/32"}) {
    EXPECT_TRUE(refused(model_.plan_create_pool(pool("p", bad)), ErrorCode::invalid_argument, "pool.prefix",
                        "pools/p", std::string("prefix ") + bad));
  }
}

TEST_F(PoolTest, PoolsAreDisjoint) {
  carry_out(model_.plan_create_pool(pool("b", "203.0.113.64/26")));
  carry_out(model_.plan_create_pool(pool("a", "198.51.100.0/24", PoolKind::provider)));
  for (const char* bad :
       {"203.0.113.64/26", "203.0.113.64/27", "203.0.113.127/32", "203.0.113.0/24", "203.0.0.0/16"}) {
    EXPECT_TRUE(refused(model_.plan_create_pool(pool("c", bad)), ErrorCode::already_exists, "pool.prefix",
                        "pools/c", "overlaps 203.0.113.64/26 of pools/b"));
  }
  EXPECT_TRUE(refused(model_.plan_create_pool(pool("c", "198.51.100.128/25")), ErrorCode::already_exists,
                      "pool.prefix", "pools/c", "of pools/a"));
  for (const char* good : {"203.0.113.0/26", "203.0.113.128/25", "203.0.113.63/32", "203.0.112.0/24"}) {
    EXPECT_TRUE(model_.plan_create_pool(pool("c", good))) << good;
  }
}

TEST_F(PoolTest, IndexPagesAreReserved) {
  use({.index_pages = 4});
  EXPECT_TRUE(refused(model_.plan_create_pool(pool("p", "10.0.0.0/13")), ErrorCode::resource_exhausted,
                      "pool.prefix", "pools/p", "touches 8 further /16s, and 4 of 4 are free"));
  carry_out(model_.plan_create_pool(pool("p", "10.0.0.0/15")));
  carry_out(model_.plan_create_pool(pool("q", "203.0.113.0/25")));
  carry_out(model_.plan_create_pool(pool("r", "203.0.113.128/25", PoolKind::provider)));  // in the same /16
  EXPECT_TRUE(model_.plan_create_pool(pool("s", "10.2.0.0/16"))) << "the fourth";
  EXPECT_TRUE(refused(model_.plan_create_pool(pool("s", "10.2.0.0/15")), ErrorCode::resource_exhausted,
                      "pool.prefix", "pools/s", "touches 2 further /16s, and 1 of 4 are free"));
  carry_out(model_.plan_delete_pool("q"));
  EXPECT_FALSE(model_.plan_create_pool(pool("s", "10.2.0.0/15"))) << "r still holds the page";
  carry_out(model_.plan_delete_pool("r"));
  EXPECT_TRUE(model_.plan_create_pool(pool("s", "10.2.0.0/15")));
}

TEST_F(PoolTest, DeleteOnlyWithoutEips) {
  carry_out(model_.plan_create_pool(pool("p", "203.0.113.0/24")));
  const Eip eip = add_eip("acme", "web");
  EXPECT_TRUE(refused(model_.plan_delete_pool("p"), ErrorCode::failed_precondition, "name", "pools/p",
                      "has 1 EIPs, tenants/acme/eips/203.0.113.1 the first"));
  EXPECT_TRUE(
      refused(model_.plan_delete_pool("q"), ErrorCode::not_found, "name", "pools/q", "does not exist"));
  carry_out(model_.plan_release_eip("acme", eip.address, now));
  const auto plan = model_.plan_delete_pool("p");
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->changes, (ChangeSet{generation() + 1, {DeletePool{"p"}}}));
  carry_out(plan);
  EXPECT_TRUE(model_.state().pools.empty());
}

TEST_F(PoolTest, Use) {
  use({.quarantine_ms = 1000}, {ip("203.0.113.2")});
  carry_out(model_.plan_create_pool(pool("p", "203.0.113.0/29")));
  carry_out(model_.plan_create_pool(pool("q", "198.51.100.0/24", PoolKind::provider)));
  const auto use_of = [&](const char* id, int64_t at) {
    const auto found = model_.pool_use(id, at);
    return std::pair(found.used, found.free);
  };
  EXPECT_EQ(use_of("p", now), std::pair(uint64_t{0}, uint64_t{5}));  // .1 and .3 to .6
  const Eip eip = add_eip("acme", "a");
  add_eip("acme", "b");
  EXPECT_EQ(use_of("p", now), std::pair(uint64_t{2}, uint64_t{3}));
  carry_out(model_.plan_release_eip("acme", eip.address, now));
  EXPECT_EQ(use_of("p", now), std::pair(uint64_t{1}, uint64_t{3})) << "it rests";
  EXPECT_EQ(use_of("p", now + 1000), std::pair(uint64_t{1}, uint64_t{4}));
  EXPECT_EQ(use_of("q", now), std::pair(uint64_t{0}, uint64_t{0}));
  EXPECT_EQ(use_of("none", now), std::pair(uint64_t{0}, uint64_t{0}));
}

}  // namespace
}  // namespace portcullis::model
