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

TEST_F(PoolTest, Ipv6Prefixes) {
  for (const char* good :
       {"2001:db8::/32", "2001:db8::/64", "2001:db8::1/128", "2000::/16", "fd00::/16", "fdff:ffff::/48"}) {
    EXPECT_TRUE(model_.plan_create_pool(pool("p", good))) << good;
  }
  for (const auto& [bad, words] : {std::pair{"2000::/3", "too short"},
                                   {"2002::/15", "too short"},
                                   {"::/0", "overlaps"},
                                   {"::/64", "overlaps"},
                                   {"::ffff:0:0/96", "overlaps"},
                                   {"fe80::/64", "overlaps"},
                                   {"ff00::/16", "overlaps"},
                                   {"64:ff9b::/96", "neither 2000::/3 nor fc00::/7"},
                                   {"4000::/16", "neither 2000::/3 nor fc00::/7"},
                                   {"fbff::/16", "neither 2000::/3 nor fc00::/7"}}) {
    EXPECT_TRUE(refused(model_.plan_create_pool(pool("p", bad)), ErrorCode::invalid_argument, "pool.prefix",
                        "pools/p", words))
        << bad;
  }
  carry_out(model_.plan_create_pool(pool("p", "2001:db8:5::/48")));
  EXPECT_TRUE(refused(model_.plan_create_pool(pool("q", "2001:db8:5:7::/64")), ErrorCode::already_exists,
                      "pool.prefix", "pools/q", "overlaps 2001:db8:5::/48 of pools/p"));
  EXPECT_TRUE(refused(model_.plan_create_pool(pool("q", "2001:db8::/32")), ErrorCode::already_exists,
                      "pool.prefix", "pools/q", "overlaps 2001:db8:5::/48 of pools/p"));
  EXPECT_TRUE(model_.plan_create_pool(pool("q", "2001:db8:6::/48")));
}

TEST_F(PoolTest, Ipv6PoolsTakePagesOfTheirOwn) {
  use({.index_pages = 19});
  carry_out(model_.plan_create_pool(pool("a", "2001:db8:0::/64")));  // 16
  carry_out(model_.plan_create_pool(pool("b", "2001:db8:1::/64", PoolKind::provider)));
  carry_out(model_.plan_create_pool(pool("c", "2001:db8:2::/128")));  // 1
  EXPECT_TRUE(model_.plan_create_pool(pool("d", "2001:db8:3::/111"))) << "2: 131,072 addresses";
  EXPECT_TRUE(refused(model_.plan_create_pool(pool("d", "2001:db8:3::/110")), ErrorCode::resource_exhausted,
                      "pool.prefix", "pools/d", "takes 4 further index pages, and 2 of 19 are free"));
  carry_out(model_.plan_create_pool(pool("e", "203.0.113.0/24")));
  EXPECT_TRUE(refused(model_.plan_create_pool(pool("d", "2001:db8:3::/111")), ErrorCode::resource_exhausted,
                      "pool.prefix", "pools/d", "takes 2 further index pages, and 1 of 19 are free"));
  EXPECT_TRUE(model_.plan_create_pool(pool("d", "2001:db8:3::/112"))) << "1";
  carry_out(model_.plan_delete_pool("a"));
  EXPECT_TRUE(model_.plan_create_pool(pool("d", "2001:db8:3::/108")));
}

TEST_F(PoolTest, Ipv6PoolsAreFew) {
  use({.ipv6_pools = 2});
  carry_out(model_.plan_create_pool(pool("a", "2001:db8:0::/112")));
  carry_out(model_.plan_create_pool(pool("b", "2001:db8:1::/112", PoolKind::provider)));
  for (const PoolKind kind : {PoolKind::local, PoolKind::provider}) {
    EXPECT_TRUE(refused(model_.plan_create_pool(pool("c", "2001:db8:2::/112", kind)),
                        ErrorCode::resource_exhausted, "pool.prefix", "pools/c", "all 2 IPv6 pools"));
  }
  EXPECT_TRUE(model_.plan_create_pool(pool("c", "203.0.113.0/24"))) << "IPv4 ones do not count";
  carry_out(model_.plan_delete_pool("b"));
  EXPECT_TRUE(model_.plan_create_pool(pool("c", "2001:db8:2::/112")));
}

TEST_F(PoolTest, UseOfAnIpv6Pool) {
  carry_out(model_.plan_create_pool(pool("p", "2001:db8::/64")));
  EXPECT_EQ(model_.pool_use("p", now).free, (1u << 20) - 1) << "all but the first of the first 2^20";
  carry_out(model_.plan_create_vm(vm6("acme", "own", "2001:db8::7")));
  carry_out(model_.plan_create_vm(vm6("acme", "far", "2001:db8::10:0")));
  EXPECT_EQ(model_.pool_use("p", now).free, (1u << 20) - 2) << "one is kept for the vm that has it";
  carry_out(model_.plan_request_eip({"acme", "own"}, "", now));
  EXPECT_EQ(model_.pool_use("p", now).used, 1u);
  EXPECT_EQ(model_.pool_use("p", now).free, (1u << 20) - 2);
  carry_out(model_.plan_release_eip("acme", ip6("2001:db8::7"), now));
  EXPECT_EQ(model_.pool_use("p", now + 600'000).free, (1u << 20) - 2) << "it rested, and is the vm's";
  carry_out(model_.plan_delete_vm({"acme", "own"}));
  EXPECT_EQ(model_.pool_use("p", now).free, (1u << 20) - 2);
  EXPECT_EQ(model_.pool_use("p", now + 600'000).free, (1u << 20) - 1);
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

// --- another prefix ---

class ResizedPool : public ModelTest {
 protected:
  void SetUp() override {
    use({});
    carry_out(model_.plan_create_pool(pool("p", "203.0.113.0/29")));
    eip_ = add_eip("acme", "web");
  }
  Eip eip_;
};

TEST_F(ResizedPool, GrowsAndShrinksAroundItsEips) {
  EXPECT_TRUE(is_unchanged(model_.plan_update_pool("p", net("203.0.113.0/29")), generation()));
  carry_out(model_.plan_update_pool("p", net("203.0.113.0/24")));
  EXPECT_EQ(model_.pool_use("p", now).used, 1u);
  EXPECT_EQ(model_.pool_use("p", now).free, 253u);
  EXPECT_EQ(add_eip("acme", "two").address, ip("203.0.113.2"));
  carry_out(model_.plan_update_pool("p", net("203.0.112.0/23")));
  EXPECT_EQ(model_.pool_use("p", now).used, 2u);
  EXPECT_EQ(add_eip("acme", "three").address, ip("203.0.112.1")) << "the lowest that is free";
  EXPECT_TRUE(refused(model_.plan_update_pool("p", net("203.0.113.0/24")), ErrorCode::failed_precondition,
                      "pool.prefix", "pools/p", "does not hand out tenants/acme/eips/203.0.112.1"));
  carry_out(model_.plan_release_eip("acme", ip("203.0.112.1"), now));
  carry_out(model_.plan_update_pool("p", net("203.0.113.0/30")));
  EXPECT_EQ(model_.pool_use("p", now).free, 0u);
  EXPECT_TRUE(refused(model_.plan_update_pool("p", net("203.0.113.2/31")), ErrorCode::failed_precondition,
                      "pool.prefix", "pools/p", "203.0.113.1"));
  carry_out(model_.plan_release_eip("acme", ip("203.0.113.2"), now));
  carry_out(model_.plan_update_pool("p", net("203.0.113.1/32")));
  EXPECT_EQ(model_.pool_use("p", now).used, 1u);
}

TEST_F(ResizedPool, WhatRestedOutsideRestsOn) {
  const Eip two = add_eip("acme", "two");
  carry_out(model_.plan_release_eip("acme", two.address, now));
  carry_out(model_.plan_update_pool("p", net("203.0.113.1/32")));
  carry_out(model_.plan_update_pool("p", net("203.0.113.0/29")));
  EXPECT_EQ(add_eip("acme", "three").address, ip("203.0.113.3"));
}

TEST_F(ResizedPool, KeepsToItsPlaceAmongOthers) {
  carry_out(model_.plan_create_pool(pool("q", "203.0.113.16/28")));
  EXPECT_TRUE(refused(model_.plan_update_pool("p", net("203.0.113.0/27")), ErrorCode::already_exists,
                      "pool.prefix", "pools/p", "of pools/q"));
  EXPECT_TRUE(refused(model_.plan_update_pool("p", net("2001:db8::/64")), ErrorCode::failed_precondition,
                      "pool.prefix", "pools/p", "is of IPv6, and pools/p is an IPv4 pool"));
  EXPECT_TRUE(refused(model_.plan_update_pool("p", net("0.0.0.0/8")), ErrorCode::invalid_argument,
                      "pool.prefix", "pools/p", "unicast"));
  EXPECT_TRUE(refused(model_.plan_update_pool("none", net("203.0.113.0/27")), ErrorCode::not_found,
                      "pool.name", "pools/none", "does not exist"));
  EXPECT_TRUE(refused(model_.plan_update_pool("p", net("203.0.0.0/8")), ErrorCode::already_exists,
                      "pool.prefix", "pools/p", "of pools/q"));
  carry_out(model_.plan_delete_pool("q"));
  EXPECT_TRUE(refused(model_.plan_update_pool("p", net("203.0.0.0/8")), ErrorCode::resource_exhausted,
                      "pool.prefix", "pools/p", "capacity.index_pages"));
}

class ResizedIpv6Pool : public ModelTest {
 protected:
  void SetUp() override {
    use({.index_pages = 17});
    carry_out(model_.plan_create_pool(pool("p", "2001:db8:5::/120")));
    first_ = add_eip6("web");
  }
  Eip add_eip6(const std::string& id) {
    carry_out(model_.plan_create_vm(vm6("acme", id, ("fd00::" + std::to_string(++vms_)).c_str())));
    return carry_out(model_.plan_request_eip({"acme", id}, "", now));
  }
  Eip first_;

 private:
  int vms_ = 0;
};

TEST_F(ResizedIpv6Pool, GrowsAndShrinksAroundItsEips) {
  EXPECT_TRUE(is_unchanged(model_.plan_update_pool("p", net("2001:db8:5::/120")), generation()));
  EXPECT_EQ(model_.pool_use("p", now).free, 254u);
  carry_out(model_.plan_update_pool("p", net("2001:db8:5::/64")));
  EXPECT_EQ(model_.pool_use("p", now).used, 1u);
  EXPECT_EQ(model_.pool_use("p", now).free, (1u << 20) - 2);
  const Eip second = add_eip6("two");
  EXPECT_EQ(second.address, ip6("2001:db8:5::2"));
  carry_out(model_.plan_update_pool("p", net("2001:db8:5::/48")));
  EXPECT_EQ(model_.pool_use("p", now).used, 2u);
  EXPECT_TRUE(refused(model_.plan_update_pool("p", net("2001:db8:4::/47")), ErrorCode::failed_precondition,
                      "pool.prefix", "pools/p", "does not hand out tenants/acme/eips/2001:db8:5::1"));
  EXPECT_TRUE(refused(model_.plan_update_pool("p", net("2001:db8:4::/47")), ErrorCode::failed_precondition,
                      "pool.prefix", "pools/p", "hands out its first 1,048,576 addresses"));
  carry_out(model_.plan_update_pool("p", net("2001:db8:5::/126")));
  EXPECT_EQ(model_.pool_use("p", now).free, 1u);
  EXPECT_TRUE(refused(model_.plan_update_pool("p", net("2001:db8:5::/127")), ErrorCode::failed_precondition,
                      "pool.prefix", "pools/p", "does not hand out tenants/acme/eips/2001:db8:5::2"));
  carry_out(model_.plan_release_eip("acme", second.address, now));
  carry_out(model_.plan_update_pool("p", net("2001:db8:5::/127")));
  EXPECT_EQ(model_.pool_use("p", now).free, 1u) << "::, which a /127 hands out";
  carry_out(model_.plan_update_pool("p", net("2001:db8:5::/112")));
  EXPECT_EQ(add_eip6("three").address, ip6("2001:db8:5::3")) << "the second rests on";
}

TEST_F(ResizedIpv6Pool, GrowsToTheFrontAsFarAsItHandsOutWhatItHas) {
  carry_out(model_.plan_create_pool(pool("q", "2001:db8:6::43a0/124")));
  carry_out(model_.plan_update_pool("p", net("2001:db8:5::1/128")));
  const Eip eip = add_eip6("two");
  EXPECT_EQ(eip.address, ip6("2001:db8:6::43a1"));
  carry_out(model_.plan_update_pool("q", net("2001:db8:6::4000/116")));
  EXPECT_EQ(add_eip6("three").address, ip6("2001:db8:6::4001")) << "the lowest that is free";
  carry_out(model_.plan_release_eip("acme", ip6("2001:db8:6::4001"), now));
  carry_out(model_.plan_update_pool("q", net("2001:db8:6::43a1/128")));
  EXPECT_EQ(model_.pool_use("q", now).used, 1u);
}

TEST_F(ResizedIpv6Pool, TakesPagesAndGivesThemBack) {
  carry_out(model_.plan_create_pool(pool("a", "2001:db8:7::/64")));
  EXPECT_TRUE(refused(model_.plan_update_pool("p", net("2001:db8:5::/111")), ErrorCode::resource_exhausted,
                      "pool.prefix", "pools/p", "takes 1 further index pages, and 0 of 17 are free"));
  EXPECT_TRUE(model_.plan_update_pool("p", net("2001:db8:5::/112"))) << "it has this one";
  EXPECT_TRUE(model_.plan_update_pool("a", net("2001:db8:8::/64"))) << "nothing is in it";
  carry_out(model_.plan_update_pool("a", net("2001:db8:7::/109")));
  carry_out(model_.plan_update_pool("p", net("2001:db8:5::/111")));
  EXPECT_TRUE(refused(model_.plan_update_pool("a", net("2001:db8:7::/64")), ErrorCode::resource_exhausted,
                      "pool.prefix", "pools/a", "takes 8 further index pages, and 7 of 17 are free"));
}

TEST_F(ResizedIpv6Pool, KeepsToItsPlaceAmongOthers) {
  carry_out(model_.plan_create_pool(pool("q", "2001:db8:5::1:0/112")));
  carry_out(model_.plan_create_pool(pool("far", "2001:db8:6::/48", PoolKind::provider)));
  EXPECT_TRUE(refused(model_.plan_update_pool("p", net("2001:db8:5::/64")), ErrorCode::already_exists,
                      "pool.prefix", "pools/p", "of pools/q"));
  EXPECT_TRUE(refused(model_.plan_update_pool("p", net("203.0.113.0/24")), ErrorCode::failed_precondition,
                      "pool.prefix", "pools/p", "is of IPv4, and pools/p is an IPv6 pool"));
  EXPECT_TRUE(refused(model_.plan_update_pool("p", net("2000::/8")), ErrorCode::invalid_argument,
                      "pool.prefix", "pools/p", "too short"));
  EXPECT_TRUE(refused(model_.plan_update_pool("p", net("fe80::/64")), ErrorCode::invalid_argument,
                      "pool.prefix", "pools/p", "unicast"));
  carry_out(model_.plan_update_pool("far", net("2001:db8:8000::/33")));
}

TEST_F(ResizedPool, AFixedOneStaysAsItIs) {
  carry_out(model_.plan_create_pool(pool("q", "203.0.113.16/28")));
  model_.fix_pools({"q"});
  EXPECT_TRUE(refused(model_.plan_update_pool("q", net("203.0.113.16/29")), ErrorCode::failed_precondition,
                      "pool.name", "pools/q", "one of the configuration's"));
  EXPECT_TRUE(refused(model_.plan_delete_pool("q"), ErrorCode::failed_precondition, "name", "pools/q",
                      "change it there"));
  EXPECT_TRUE(is_unchanged(model_.plan_create_pool(pool("q", "203.0.113.16/28")), generation()));
  EXPECT_TRUE(is_unchanged(model_.plan_update_pool("q", net("203.0.113.16/28")), generation()));
  EXPECT_TRUE(model_.plan_update_pool("p", net("203.0.113.0/28")));
}

}  // namespace
}  // namespace portcullis::model
