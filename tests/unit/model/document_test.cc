#include "control/model/document.h"

#include "tests/unit/model/fixture.h"

namespace portcullis::model {
namespace {

class DocumentTest : public ModelTest {
 protected:
  void SetUp() override { use({}); }

  static DocumentEip eip(const char* address, std::string vm, std::vector<PermitRule> permit = {}) {
    return {"acme", ip(address), std::move(vm), {}, std::move(permit)};
  }
  static Document town() {
    return {.pools = {pool("p", "203.0.113.0/24")},
            .vms = {vm("acme", "web", "10.0.0.2"), vm("acme", "db", "10.0.0.3")},
            .eips = {eip("203.0.113.7", "web", {rule("http")}), eip("203.0.113.9", "db")},
            .resting = {}};
  }
  Expected<void> import(const Document& document, int64_t at = now) {
    Draft draft(model_, at);
    auto done = replace_state(draft, document);
    if (done) draft.keep();
    return done;
  }
  void take(const Document& document) {
    const auto done = import(document);
    ASSERT_TRUE(done) << done.error().field << ": " << done.error().message;
  }
  testing::AssertionResult refuses(const Document& document, ErrorCode code, const std::string& field,
                                   const std::string& words) {
    const State before = model_.state();
    const auto done = import(document);
    if (model_.state() != before) return testing::AssertionFailure() << "and yet changed";
    if (done) return testing::AssertionFailure() << "not refused";
    const Error& error = done.error();
    if (error.code == code && error.field == field && error.message.find(words) != std::string::npos)
      return testing::AssertionSuccess();
    return testing::AssertionFailure()
           << to_string(error.code) << " at " << error.field << ": " << error.message;
  }
};

TEST_F(DocumentTest, MakesAnEmptyStateWhatItSays) {
  Document document = town();
  document.eips[0].tags = {"web"};
  take(document);
  EXPECT_EQ(generation(), 1u);
  EXPECT_EQ(model_.state().vms.size(), 2u);
  const Eip& web = model_.state().eips.at(ip("203.0.113.7"));
  EXPECT_EQ(web.permit, std::vector{rule("http")});
  EXPECT_EQ(web.tags, std::set<std::string>{"web"});
  EXPECT_EQ(web.created, 1u);
}

TEST_F(DocumentTest, ARepeatChangesNothing) {
  take(town());
  const State before = model_.state();
  take(town());
  EXPECT_EQ(model_.state(), before);
}

TEST_F(DocumentTest, WhatItDoesNotNameGoes) {
  take(town());
  Document less = town();
  less.vms.pop_back();
  less.eips.pop_back();
  take(less);
  EXPECT_EQ(model_.state().vms.size(), 1u);
  EXPECT_EQ(model_.state().eips.size(), 1u);
  EXPECT_EQ(model_.state().quarantine.at(ip("203.0.113.9")).until_ms, now + 600'000);
  take({});
  EXPECT_TRUE(model_.state().pools.empty());
  EXPECT_TRUE(model_.state().vms.empty());
}

TEST_F(DocumentTest, FixedPoolsStay) {
  take(town());
  model_.fix_pools({"p"});
  take({});
  EXPECT_TRUE(model_.state().vms.empty());
  EXPECT_EQ(model_.state().pools.size(), 1u);
  Document wider = town(), other = town();
  wider.pools[0].prefix = net("203.0.112.0/23");
  EXPECT_TRUE(
      refuses(wider, ErrorCode::failed_precondition, "document.pools[0].name", "one of the configuration's"));
  other.pools[0].kind = PoolKind::provider;
  EXPECT_TRUE(refuses(other, ErrorCode::failed_precondition, "document.pools[0].prefix",
                      "one of the configuration's"));
}

TEST_F(DocumentTest, WhatIsKeptEstablishedStaysSo) {
  take(town());
  ASSERT_TRUE(model_.plan_set_permit_list("acme", ip("203.0.113.7"), {outbound("o")}, false));
  const Eip web = model_.state().eips.at(ip("203.0.113.7"));
  set_list(web, {outbound("o"), rule("http")});
  set_list(web, {rule("http")}, true);
  const Generation before = generation();
  take(town());
  EXPECT_EQ(generation(), before);
  EXPECT_TRUE(model_.state().eips.at(ip("203.0.113.7")).keep_established);
}

TEST_F(DocumentTest, VmsMayFollowEachOther) {
  take(town());
  Document next = town();
  next.vms[0].dip = ip("10.0.0.2");
  next.vms[1].dip = ip("10.0.0.3");
  next.vms[0].location.port = "more";
  take(next);
  // One goes where the other was, in either order.
  Document first;
  first.vms = {vm("acme", "a", "10.0.0.2"), vm("other", "b", "10.0.0.2", "more")};
  take(first);
  Document second = first;
  second.vms[0].location.port = "more";
  second.vms[1].location.port = "vms";
  EXPECT_TRUE(refuses(second, ErrorCode::already_exists, "document.vms[0].location.port", "belongs to"))
      << "nobody can go first";
  second.vms.pop_back();
  second.vms.push_back(vm("other", "b", "10.0.0.9", "more"));
  take(second);
}

TEST_F(DocumentTest, PoolsGrowAndShrinkInAnyOrder) {
  Document document = town();
  document.pools.push_back(pool("q", "203.0.112.0/24"));
  take(document);
  document.pools = {pool("p", "203.0.112.128/25"), pool("q", "203.0.112.0/25")};
  document.eips.clear();
  take(document);
  EXPECT_EQ(model_.state().pools.at("p").prefix, net("203.0.112.128/25"));
}

TEST_F(DocumentTest, QuotasAreAsItSays) {
  Document document = town();
  document.quotas = {{.tenant = "acme", .eips = 5, .rules = 0}, {.tenant = "idle", .eips = 0, .rules = 7}};
  document.eips[0].quota = {.rules = 3, .flows = 9};
  take(document);
  EXPECT_EQ(model_.state().quotas.size(), 2u);
  EXPECT_EQ(model_.quota_of("acme").eips.limit, 5u);
  EXPECT_EQ(model_.state().eips.at(ip("203.0.113.7")).quota, (EipQuota{.rules = 3, .flows = 9}));
  const State before = model_.state();
  take(document);
  EXPECT_EQ(model_.state(), before);
  document.quotas.pop_back();
  document.quotas[0].eips = 6;
  document.quotas[0].flows = 70;
  document.eips[0].quota = {};
  take(document);
  EXPECT_EQ(model_.state().quotas, (std::map<QuotaKey, TenantQuota>{{{"acme"}, {"acme", 6, 0, 70}}}));
  EXPECT_EQ(model_.state().eips.at(ip("203.0.113.7")).quota, EipQuota());

  Document bad = document;
  bad.quotas.push_back(bad.quotas[0]);
  EXPECT_TRUE(refuses(bad, ErrorCode::invalid_argument, "document.quotas[1].name", "twice"));
  bad = document;
  bad.quotas[0].eips = 65537;
  EXPECT_TRUE(refuses(bad, ErrorCode::resource_exhausted, "document.quotas[0].eips", "65536"));
  bad = document;
  bad.eips[1].quota.flows = 65537;
  EXPECT_TRUE(refuses(bad, ErrorCode::resource_exhausted, "document.eips[1].flow_quota", "65536"));
  bad.eips[1].quota = {.rules = 100'001, .flows = 0};
  EXPECT_TRUE(refuses(bad, ErrorCode::resource_exhausted, "document.eips[1].rule_quota", "100000"));
}

// What was above a quota when it was exported comes back, on an empty gateway too.
TEST_F(DocumentTest, StandsAboveQuotas) {
  Document document = town();
  document.quotas = {{.tenant = "acme", .eips = 1, .rules = 1}};
  document.eips[0].permit = {rule("a"), rule("b")};
  document.eips[0].quota.rules = 1;
  take(document);
  EXPECT_EQ(model_.quota_of("acme").eips.used, 2u);
  EXPECT_EQ(model_.quota_of("acme").rules.used, 2u);
}

TEST_F(DocumentTest, RestsGoOn) {
  Document document = town();
  document.resting = {{ip("203.0.113.20"), now + 5000}, {ip("203.0.113.21"), now - 1}};
  take(document);
  EXPECT_EQ(model_.state().quarantine.at(ip("203.0.113.20")).until_ms, now + 5000);
  EXPECT_FALSE(model_.state().quarantine.contains(ip("203.0.113.21")));
  const Generation before = generation();
  take(document);
  EXPECT_EQ(generation(), before);
  document.eips[1].address = ip("203.0.113.20");
  EXPECT_TRUE(
      refuses(document, ErrorCode::failed_precondition, "document.eips[1].name", "rests for another 5 s"));
}

// Its time may be of another gateway's clock.
TEST_F(DocumentTest, NoRestIsLongerThanOneThatBeginsNow) {
  Document document = town();
  document.resting = {{ip("203.0.113.20"), now + 86'400'000}};
  take(document);
  EXPECT_EQ(model_.state().quarantine.at(ip("203.0.113.20")).until_ms, now + 600'000);
  ASSERT_TRUE(import(document, now + 1000));
  EXPECT_EQ(model_.state().quarantine.at(ip("203.0.113.20")).until_ms, now + 601'000);
}

TEST_F(DocumentTest, ARefusalNamesItsPlace) {
  take(town());
  Document bad = town();
  bad.vms.push_back(bad.vms[0]);
  EXPECT_TRUE(refuses(bad, ErrorCode::invalid_argument, "document.vms[2].name", "twice"));
  bad = town();
  bad.eips[1].address = bad.eips[0].address;
  EXPECT_TRUE(refuses(bad, ErrorCode::invalid_argument, "document.eips[1].name", "twice"));
  bad = town();
  bad.eips[1].permit = {rule("a"), outbound("b"), tracked("c")};
  bad.eips[1].permit[1].tracked = true;
  EXPECT_TRUE(refuses(bad, ErrorCode::invalid_argument, "document.eips[1].rules[1].tracked", "INBOUND"));
  bad = town();
  bad.eips[1].tags = {"Bad"};
  EXPECT_TRUE(refuses(bad, ErrorCode::invalid_argument, "document.eips[1].tags", "tag"));
  bad = town();
  bad.vms[1].dip = ip("10.0.0.33");
  EXPECT_TRUE(
      refuses(bad, ErrorCode::failed_precondition, "document.vms[1].dip", "private addresses differ"));
  bad = town();
  bad.vms.pop_back();
  EXPECT_TRUE(refuses(bad, ErrorCode::failed_precondition, "document.vms", "it is not in the document"));
  bad = town();
  bad.vms[0].location.port = "none";
  EXPECT_TRUE(refuses(bad, ErrorCode::invalid_argument, "document.vms[0].location.port", "none"));
  bad = town();
  bad.pools[0].prefix = net("203.0.113.0/29");
  EXPECT_TRUE(refuses(bad, ErrorCode::failed_precondition, "document.pools[0].prefix", "eips/203.0.113.7"));
  bad.pools[0] = pool("p", "203.0.113.0/24", PoolKind::provider);
  EXPECT_TRUE(refuses(bad, ErrorCode::failed_precondition, "document.pools[0].prefix", "EIPs"));
  bad = town();
  bad.pools.push_back(pool("q", "203.0.113.0/25"));
  EXPECT_TRUE(refuses(bad, ErrorCode::already_exists, "document.pools[1].prefix", "overlaps"));
  bad = town();
  bad.eips.push_back(eip("198.51.100.1", "db"));
  EXPECT_TRUE(refuses(bad, ErrorCode::already_exists, "document.eips[2].vm", "has the EIP"));
  bad = town();
  bad.vms.push_back(vm("acme", "x", "10.0.0.4"));
  bad.eips.push_back(eip("198.51.100.1", "x"));
  EXPECT_TRUE(refuses(bad, ErrorCode::failed_precondition, "document.eips[2].name", "no local pool"));
  bad.eips[2] = eip("203.0.113.3", "nobody");
  EXPECT_TRUE(refuses(bad, ErrorCode::not_found, "document.eips[2].vm", "does not exist"));
}

// The address passes from one vm to another only after its rest.
TEST_F(DocumentTest, AnAddressOfAnotherVmRestsFirst) {
  take(town());
  Document next = town();
  std::swap(next.eips[0].vm, next.eips[1].vm);
  EXPECT_TRUE(refuses(next, ErrorCode::failed_precondition, "document.eips[0].name", "rests"));
}

}  // namespace
}  // namespace portcullis::model
