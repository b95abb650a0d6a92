#include "control/model/draft.h"
#include "tests/unit/model/fixture.h"

namespace portcullis::model {
namespace {

class QuotaTest : public ModelTest {
 protected:
  // Quotas of 2 EIPs and 6 rules a tenant, 4 rules and 50 flows an EIP where none is set; room for more.
  void SetUp() override {
    use({.eips = 10,
         .rules_per_eip = 20,
         .flows = 1000,
         .tenant_quotas = 2,
         .quarantine_ms = 0,
         .eips_per_tenant = 2,
         .rules_per_tenant = 6,
         .default_rules_per_eip = 4,
         .flows_per_eip = 50});
    carry_out(model_.plan_create_pool(pool("p", "203.0.113.0/24")));
  }
  Expected<Plan<Eip>> request(const std::string& id) {
    return model_.plan_request_eip({"acme", id}, "", now);
  }
  void set(const TenantQuotaChange& change, const std::string& tenant = "acme") {
    carry_out(model_.plan_set_tenant_quota(tenant, change));
  }
  static std::vector<PermitRule> rules(int count) {
    std::vector<PermitRule> list;
    for (int i = 0; i < count; ++i) list.push_back(rule("r" + std::to_string(i)));
    return list;
  }
  Expected<Plan<Eip>> list(const Eip& eip, int count) {
    return model_.plan_set_permit_list(eip.tenant, eip.address, rules(count), false);
  }
  [[nodiscard]] const Eip& now_of(const Eip& eip) const { return model_.state().eips.at(eip.address); }
};

testing::AssertionResult is(const QuotaUse& quota, uint32_t set, uint32_t limit, uint64_t used) {
  if (quota.set == set && quota.limit == limit && quota.used == used) return testing::AssertionSuccess();
  return testing::AssertionFailure() << quota.set << " set, " << quota.used << " of " << quota.limit;
}

TEST_F(QuotaTest, TheDefaultsHoldWhereNoneIsSet) {
  const Eip eip = add_eip("acme", "a");
  set_list(eip, rules(3));
  EXPECT_TRUE(is(model_.quota_of("acme").eips, 0, 2, 1));
  EXPECT_TRUE(is(model_.quota_of("acme").rules, 0, 6, 3));
  EXPECT_TRUE(is(model_.quota_of("nobody").eips, 0, 2, 0));
  EXPECT_TRUE(is(model_.quota_of(now_of(eip)).rules, 0, 4, 3));
  EXPECT_TRUE(is(model_.quota_of(now_of(eip)).flows, 0, 50, 0));
}

TEST_F(QuotaTest, OfEipsRefusesAndAdmitsOnceItIsRaised) {
  add_eip("acme", "a");
  add_eip("acme", "b");
  add_vm("acme", "c");
  EXPECT_TRUE(refused(request("c"), ErrorCode::resource_exhausted, "vm", "tenants/acme/vms/c",
                      "tenants/acme has 2 EIPs, and its quota is 2 (the default, capacity.eips_per_tenant); "
                      "release one, or let the provider raise the quota"));
  EXPECT_TRUE(is_unchanged(request("a"), generation())) << "a repeat needs no room";
  set({.eips = 3, .rules = {}});
  carry_out(request("c"));
  add_vm("acme", "d");
  EXPECT_TRUE(refused(request("d"), ErrorCode::resource_exhausted, "vm", "tenants/acme/vms/d",
                      "tenants/acme has 3 EIPs, and its quota is 3; release one"));
  add_eip("other", "a");
  set({.eips = 0, .rules = {}});
  EXPECT_TRUE(is(model_.quota_of("acme").eips, 0, 2, 3));
  EXPECT_TRUE(model_.state().quotas.empty());
}

TEST_F(QuotaTest, LoweredTakesNothingAwayAndAdmitsNothingUntilItIsBelow) {
  const Eip a = add_eip("acme", "a");
  const Eip b = add_eip("acme", "b");
  set({.eips = 1, .rules = {}});
  EXPECT_EQ(model_.state().eips.size(), 2u);
  add_vm("acme", "c");
  EXPECT_FALSE(request("c"));
  carry_out(model_.plan_release_eip("acme", a.address, now));
  EXPECT_FALSE(request("c"));
  carry_out(model_.plan_release_eip("acme", b.address, now));
  carry_out(request("c"));
}

TEST_F(QuotaTest, OfRulesOfATenantCountsAllItsLists) {
  const Eip a = add_eip("acme", "a");
  const Eip b = add_eip("acme", "b");
  set_list(add_eip("other", "a"), rules(4));
  set_list(a, rules(3));
  EXPECT_TRUE(
      refused(list(b, 4), ErrorCode::resource_exhausted, "rules", "tenants/acme/eips/203.0.113.2",
              "all those of tenants/acme would have 7 rules, one for each prefix or tag; they have 3, "
              "and its quota is 6 (the default, capacity.rules_per_tenant)"));
  carry_out(list(b, 3));
  EXPECT_TRUE(refused(model_.plan_add_permit_rules("acme", b.address, {rule("x")}),
                      ErrorCode::resource_exhausted, "rules", "tenants/acme/eips/203.0.113.2", "7 rules"));
  PermitRule two = rule("two");
  two.remote = std::vector<IpPrefix>{net("192.0.2.0/25"), net("198.51.100.0/24")};
  carry_out(model_.plan_set_permit_list("acme", b.address, {rule("r0"), two}, false));
  EXPECT_TRUE(is(model_.quota_of("acme").rules, 0, 6, 6)) << "a rule counts once for each prefix";
  set({.eips = {}, .rules = 7});
  carry_out(list(b, 4));
  EXPECT_TRUE(is(model_.quota_of("acme").rules, 7, 7, 7));
  carry_out(model_.plan_release_eip("acme", a.address, now));
  EXPECT_TRUE(is(model_.quota_of("acme").rules, 7, 7, 4));
}

TEST_F(QuotaTest, OfRulesOfAnEip) {
  set({.eips = {}, .rules = 100});
  const Eip a = add_eip("acme", "a");
  const Eip b = add_eip("acme", "b");
  const auto too_long = [&](const Eip& eip, int count, const std::string& words) {
    return refused(list(eip, count), ErrorCode::resource_exhausted, "rules",
                   "tenants/acme/eips/" + eip.address.to_string(), words);
  };
  EXPECT_TRUE(too_long(a, 5,
                       "the list has 5 rules, one for each prefix or tag; the EIP has 0, and its quota is 4 "
                       "(the default, capacity.default_rules_per_eip); shorten the list"));
  carry_out(model_.plan_set_eip_quota("acme", a.address, {.rules = 20, .flows = {}}));
  carry_out(list(a, 20));
  EXPECT_TRUE(too_long(a, 21, "20 (capacity.rules_per_eip)")) << "what the tables are made for";
  EXPECT_TRUE(too_long(b, 5, "its quota is 4"));
  carry_out(model_.plan_set_eip_quota("acme", a.address, {.rules = 2, .flows = {}}));
  EXPECT_TRUE(is(model_.quota_of(now_of(a)).rules, 2, 2, 20)) << "nothing is taken away";
  carry_out(list(a, 19));
  EXPECT_TRUE(too_long(a, 20, "the EIP has 19, and its quota is 2; shorten"));
  EXPECT_FALSE(model_.plan_add_permit_rules("acme", a.address, {rule("x")}));
  carry_out(model_.plan_remove_permit_rules("acme", a.address, {"r0"}, false));
}

TEST_F(QuotaTest, OfFlowsIsTheEipsAndGoesWithIt) {
  const Eip a = add_eip("acme", "a");
  carry_out(model_.plan_set_eip_quota("acme", a.address, {.rules = {}, .flows = 7}));
  EXPECT_EQ(now_of(a).quota, (EipQuota{.rules = 0, .flows = 7}));
  EXPECT_TRUE(is(model_.quota_of(now_of(a)).flows, 7, 7, 0));
  EXPECT_EQ(now_of(a).list_generation, a.list_generation) << "its entries are not judged anew";
  EXPECT_EQ(now_of(a).binding_generation, a.binding_generation);
  carry_out(model_.plan_set_eip_quota("acme", a.address, {.rules = 3, .flows = {}}));
  EXPECT_EQ(now_of(a).quota, (EipQuota{.rules = 3, .flows = 7})) << "what is not given stays";
  carry_out(model_.plan_release_eip("acme", a.address, now));
  EXPECT_EQ(carry_out(request("a")).quota, EipQuota());
}

TEST_F(QuotaTest, OfATenantsFlowsHasNoBoundUntilOneIsSet) {
  EXPECT_TRUE(is(model_.quota_of("acme").flows, 0, UINT32_MAX, 0));
  set({.eips = {}, .rules = {}, .flows = 500});
  EXPECT_TRUE(is(model_.quota_of("acme").flows, 500, 500, 0));
  set({.eips = 2, .rules = {}, .flows = {}});
  EXPECT_TRUE(is(model_.quota_of("acme").flows, 500, 500, 0)) << "what is not given stays";
  EXPECT_TRUE(is(model_.quota_of("other").flows, 0, UINT32_MAX, 0));
  use({.flows_per_tenant = 80});
  EXPECT_TRUE(is(model_.quota_of("acme").flows, 0, 80, 0)) << "the configuration's";
}

TEST_F(QuotaTest, ARepeatChangesNothing) {
  const Eip a = add_eip("acme", "a");
  EXPECT_TRUE(
      is_unchanged(model_.plan_set_tenant_quota("acme", {.eips = 0, .rules = 0, .flows = 0}), generation()));
  EXPECT_TRUE(
      is_unchanged(model_.plan_set_eip_quota("acme", a.address, {.rules = 0, .flows = {}}), generation()));
  set({.eips = 3, .rules = 9, .flows = 30});
  EXPECT_TRUE(is_unchanged(model_.plan_set_tenant_quota("acme", {.eips = 3, .rules = {}}), generation()));
  EXPECT_TRUE(is_unchanged(model_.plan_set_tenant_quota("acme", {.eips = {}, .rules = {}, .flows = 30}),
                           generation()));
  carry_out(model_.plan_set_eip_quota("acme", a.address, {.rules = {}, .flows = 7}));
  EXPECT_TRUE(
      is_unchanged(model_.plan_set_eip_quota("acme", a.address, {.rules = {}, .flows = 7}), generation()));
}

TEST_F(QuotaTest, WhatIsRefused) {
  const Eip a = add_eip("acme", "a");
  const auto set_tenant = [&](const TenantQuotaChange& change) {
    return model_.plan_set_tenant_quota("acme", change);
  };
  const auto set_eip = [&](const EipQuotaChange& change) {
    return model_.plan_set_eip_quota("acme", a.address, change);
  };
  const std::string tenant = "tenants/acme/quota", eip = "tenants/acme/eips/203.0.113.1";
  EXPECT_TRUE(refused(set_tenant({}), ErrorCode::invalid_argument, "eips", tenant, "no quota is given"));
  EXPECT_TRUE(refused(set_tenant({.eips = 11, .rules = {}}), ErrorCode::resource_exhausted, "eips", tenant,
                      "more than the gateway has room for, 10; give less, or raise capacity.eips"));
  EXPECT_TRUE(refused(set_eip({}), ErrorCode::invalid_argument, "rules", eip, "no quota is given"));
  EXPECT_TRUE(refused(set_eip({.rules = 21, .flows = {}}), ErrorCode::resource_exhausted, "rules", eip,
                      "capacity.rules_per_eip"));
  EXPECT_TRUE(refused(set_eip({.rules = {}, .flows = 1001}), ErrorCode::resource_exhausted, "flows", eip,
                      "room for, 1000; give less, or raise capacity.flows"));
  EXPECT_TRUE(refused(model_.plan_set_eip_quota("other", a.address, {.rules = 1, .flows = {}}),
                      ErrorCode::not_found, "eip", "tenants/other/eips/203.0.113.1", "does not exist"));
  set({.eips = 1, .rules = {}}, "one");
  set({.eips = 1, .rules = {}}, "two");
  EXPECT_TRUE(refused(set_tenant({.eips = 1, .rules = {}}), ErrorCode::resource_exhausted, "tenant", tenant,
                      "all 2 tenants"));
  set({.eips = 2, .rules = {}}, "two");
}

TEST_F(QuotaTest, ADraftSeesAndTakesBackQuotas) {
  add_vm("acme", "a");
  const State with_vm = model_.state();
  {
    Draft draft(model_, now);
    ASSERT_TRUE(draft.carry_out(model_.plan_set_tenant_quota("acme", {.eips = 1, .rules = {}})));
    ASSERT_TRUE(draft.carry_out(request("a")));
    EXPECT_EQ(draft.changed_objects(),
              (std::vector<ChangedObject>{{"tenants/acme/quota", ChangeKind::created},
                                          {"tenants/acme/eips/203.0.113.1", ChangeKind::created}}));
  }
  EXPECT_EQ(model_.state(), with_vm);
  EXPECT_TRUE(is(model_.quota_of("acme").eips, 0, 2, 0));
  set({.eips = 1, .rules = {}});
  Draft draft(model_, now);
  ASSERT_TRUE(draft.carry_out(model_.plan_set_tenant_quota("acme", {.eips = 0, .rules = {}})));
  EXPECT_EQ(draft.changed_objects(),
            (std::vector<ChangedObject>{{"tenants/acme/quota", ChangeKind::deleted}}));
}

// Quotas may have been lowered since, there or in the configuration.
TEST_F(QuotaTest, AreNotAskedOfWhatIsRestored) {
  const Eip a = add_eip("acme", "a");
  add_eip("acme", "b");
  set_list(a, rules(4));
  set({.eips = 1, .rules = 2});
  carry_out(model_.plan_set_eip_quota("acme", a.address, {.rules = 1, .flows = 900}));
  const State state = model_.state();
  use({.flows = 100, .eips_per_tenant = 1, .rules_per_tenant = 1, .default_rules_per_eip = 1});
  ASSERT_TRUE(model_.restore(state));
  EXPECT_EQ(model_.state(), state);
  EXPECT_TRUE(is(model_.quota_of("acme").eips, 1, 1, 2));
  EXPECT_TRUE(is(model_.quota_of("acme").rules, 2, 2, 4));
  EXPECT_TRUE(is(model_.quota_of(now_of(a)).flows, 900, 100, 0)) << "no more than there is room for";
}

}  // namespace
}  // namespace portcullis::model
