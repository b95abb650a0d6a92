#include <functional>

#include "tests/unit/model/fixture.h"

namespace portcullis::model {
namespace {

class PermitTest : public ModelTest {
 protected:
  void SetUp() override {
    use({});
    prepare();
  }
  void prepare() {
    carry_out(model_.plan_create_pool(pool("p", "203.0.113.0/24")));
    eip_ = add_eip("acme", "web");
  }
  Expected<Plan<Eip>> plan(std::vector<PermitRule> rules, bool keep = false) {
    return model_.plan_set_permit_list("acme", eip_.address, std::move(rules), keep);
  }
  static std::vector<PermitRule> many(size_t count) {
    std::vector<PermitRule> rules;
    for (size_t i = 0; i < count; ++i) rules.push_back(rule("r-" + std::to_string(i)));
    return rules;
  }

  Eip eip_;
  const std::string name_ = "tenants/acme/eips/203.0.113.1";
};

TEST_F(PermitTest, ReplacesTheList) {
  const auto first = plan({rule("http"), outbound("dns")});
  ASSERT_TRUE(first);
  Eip expected = eip_;
  expected.permit = {outbound("dns"), rule("http")};  // by name
  expected.list_generation = expected.kept_from = generation() + 1;
  EXPECT_EQ(first->reply, expected);
  EXPECT_EQ(first->changes, (ChangeSet{generation() + 1, {PutEip{expected}}}));
  carry_out(first);

  const Eip second = set_list(eip_, {rule("ssh")});
  EXPECT_EQ(second.permit, std::vector{rule("ssh")});
  EXPECT_EQ(second.list_generation, generation());
  EXPECT_EQ(second.kept_from, generation());
  EXPECT_EQ(second.binding_generation, eip_.binding_generation);
  EXPECT_EQ(second.created, eip_.created);
  EXPECT_TRUE(set_list(eip_, {}).permit.empty());
}

TEST_F(PermitTest, EqualListsChangeNothing) {
  EXPECT_TRUE(is_unchanged(plan({}), generation()));
  PermitRule prefixes = rule("a");
  prefixes.remote = std::vector{net("10.0.0.0/8"), net("192.0.2.0/24")};
  PermitRule tags = rule("b");
  tags.remote = std::vector<std::string>{"db", "web"};
  set_list(eip_, {prefixes, tags});
  EXPECT_TRUE(is_unchanged(plan({prefixes, tags}), generation()));
  EXPECT_TRUE(is_unchanged(plan({tags, prefixes}), generation())) << "a set of rules has no order";
  EXPECT_TRUE(is_unchanged(plan({tags, prefixes}, true), generation())) << "nothing to keep";
  prefixes.remote = std::vector{net("192.0.2.0/24"), net("10.0.0.0/8"), net("192.0.2.0/24")};
  tags.remote = std::vector<std::string>{"web", "db", "web"};
  EXPECT_TRUE(is_unchanged(plan({prefixes, tags}), generation())) << "nor have its remotes";
  prefixes.tracked = true;
  EXPECT_FALSE(plan({prefixes, tags})->changes.changes.empty());
}

TEST_F(PermitTest, TheSameListWithoutKeepingCutsWhatWasKept) {
  PermitRule ssh = rule("ssh");
  ssh.direction = Direction::outbound;
  set_list(eip_, {ssh});
  const auto kept = plan({}, true);
  ASSERT_TRUE(kept);
  model_.apply(kept->changes);
  EXPECT_TRUE(is_unchanged(plan({}, true), generation())) << "asking again for the same";
  const auto cut = plan({}, false);
  ASSERT_TRUE(cut);
  ASSERT_FALSE(cut->changes.changes.empty());
  EXPECT_FALSE(cut->reply.keep_established);
  EXPECT_EQ(cut->reply.list_generation, generation() + 1);
  EXPECT_EQ(cut->reply.kept_from, cut->reply.list_generation);
}

TEST_F(PermitTest, OnlyItsTenantSetsIt) {
  EXPECT_TRUE(refused(model_.plan_set_permit_list("umbrella", eip_.address, {}, false), ErrorCode::not_found,
                      "eip", "tenants/umbrella/eips/203.0.113.1", "does not exist"));
  EXPECT_TRUE(refused(model_.plan_set_permit_list("acme", ip("203.0.113.9"), {}, false), ErrorCode::not_found,
                      "eip", "tenants/acme/eips/203.0.113.9", "does not exist"));
}

// --- each rule ---

struct RuleCase {
  const char* what;
  std::function<void(PermitRule&)> change;
  const char* field;  // null: allowed
  const char* words;
};

const RuleCase rule_cases[] = {
    {"TCP from anywhere", [](PermitRule&) {}, nullptr, nullptr},
    {"no name", [](PermitRule& r) { r.name = ""; }, ".name", "rule name ''"},
    {"bad name", [](PermitRule& r) { r.name = "a b"; }, ".name", "rule name 'a b'"},
    {"any protocol", [](PermitRule& r) { r.protocol.reset(); }, nullptr, nullptr},
    {"UDP", [](PermitRule& r) { r.protocol = 17; }, nullptr, nullptr},
    {"ICMP", [](PermitRule& r) { r.protocol = 1; }, nullptr, nullptr},
    {"SCTP", [](PermitRule& r) { r.protocol = 132; }, nullptr, nullptr},
    {"a port of SCTP",
     [](PermitRule& r) {
       r.protocol = 132, r.local_ports = {2905, 2905};
     },
     nullptr, nullptr},
    {"GRE", [](PermitRule& r) { r.protocol = 47; }, nullptr, nullptr},
    {"a port of GRE",
     [](PermitRule& r) {
       r.protocol = 47, r.local_ports = {80, 80};
     },
     ".local_ports", "only TCP, UDP and SCTP"},
    {"ICMPv6", [](PermitRule& r) { r.protocol = 58; }, ".protocol", "the EIP is of IPv4; name icmp"},
    {"destination options", [](PermitRule& r) { r.protocol = 60; }, ".protocol", "protocol 60"},
    {"IPv6 prefix",
     [](PermitRule& r) {
       r.remote = std::vector{net("192.0.2.0/24"), net("2001:db8::/32")};
     },
     ".remote.prefixes[1]", "rule 'second' names 2001:db8::/32, and the EIP is of IPv4"},
    {"reserved", [](PermitRule& r) { r.protocol = 255; }, ".protocol", "protocol 255"},
    {"HOPOPT", [](PermitRule& r) { r.protocol = 0; }, ".protocol", "protocol 0"},
    {"prefixes",
     [](PermitRule& r) {
       r.remote = std::vector{net("0.0.0.0/0"), net("192.0.2.7/32")};
     },
     nullptr, nullptr},
    {"no prefix", [](PermitRule& r) { r.remote = std::vector<IpPrefix>{}; }, ".remote.prefixes",
     "names no prefix"},
    {"tags",
     [](PermitRule& r) {
       r.remote = std::vector<std::string>{"web", "db"};
     },
     nullptr, nullptr},
    {"no tag", [](PermitRule& r) { r.remote = std::vector<std::string>{}; }, ".remote.tags", "names no tag"},
    {"bad tag",
     [](PermitRule& r) {
       r.remote = std::vector<std::string>{"web", "tag:db"};
     },
     ".remote.tags[1]", "'tag:db'"},
    {"one port",
     [](PermitRule& r) {
       r.local_ports = {443, 443};
     },
     nullptr, nullptr},
    {"UDP ports",
     [](PermitRule& r) {
       r.protocol = 17, r.remote_ports = {53, 54};
     },
     nullptr, nullptr},
    {"ports reversed",
     [](PermitRule& r) {
       r.local_ports = {444, 443};
     },
     ".local_ports", "444-443"},
    {"remote ports reversed",
     [](PermitRule& r) {
       r.remote_ports = {1, 0};
     },
     ".remote_ports", "1-0"},
    {"ports reversed of any",
     [](PermitRule& r) {
       r.protocol.reset(), r.local_ports = {2, 1};
     },
     ".local_ports", "2-1"},
    {"ports of any",
     [](PermitRule& r) {
       r.protocol.reset(), r.local_ports = {80, 80};
     },
     ".local_ports", "only TCP, UDP and SCTP"},
    {"remote ports of any",
     [](PermitRule& r) {
       r.protocol.reset(), r.remote_ports = {80, 80};
     },
     ".remote_ports", "only TCP, UDP and SCTP"},
    {"ports of ICMP",
     [](PermitRule& r) {
       r.protocol = 1, r.local_ports = {0, 0};
     },
     ".local_ports", "only TCP, UDP and SCTP"},
    {"echo", [](PermitRule& r) { r.protocol = 1, r.icmp_type = 8; }, nullptr, nullptr},
    {"echo with code", [](PermitRule& r) { r.protocol = 1, r.icmp_type = 8, r.icmp_code = 0; }, nullptr,
     nullptr},
    {"echo reply", [](PermitRule& r) { r.protocol = 1, r.icmp_type = 0; }, nullptr, nullptr},
    {"timestamp", [](PermitRule& r) { r.protocol = 1, r.icmp_type = 13; }, nullptr, nullptr},
    {"timestamp reply", [](PermitRule& r) { r.protocol = 1, r.icmp_type = 14; }, nullptr, nullptr},
    {"redirect", [](PermitRule& r) { r.protocol = 1, r.icmp_type = 5; }, ".icmp_type", "ICMP type 5"},
    {"type of TCP", [](PermitRule& r) { r.icmp_type = 8; }, ".icmp_type", "only ICMP has types"},
    {"type of any", [](PermitRule& r) { r.protocol.reset(), r.icmp_type = 8; }, ".icmp_type",
     "only ICMP has types"},
    {"code alone", [](PermitRule& r) { r.protocol = 1, r.icmp_code = 0; }, ".icmp_code",
     "needs its ICMP type"},
    {"tracked", [](PermitRule& r) { r.tracked = true; }, nullptr, nullptr},
    {"outbound", [](PermitRule& r) { r.direction = Direction::outbound; }, nullptr, nullptr},
    {"outbound, tracked", [](PermitRule& r) { r.direction = Direction::outbound, r.tracked = true; },
     ".tracked", "only an INBOUND rule"},
};

TEST_F(PermitTest, EachRule) {
  for (const RuleCase& test : rule_cases) {
    PermitRule changed = rule("second");
    test.change(changed);
    const auto result = plan({rule("first"), changed, rule("third")});
    if (test.field == nullptr) {
      EXPECT_TRUE(result) << test.what;
    } else {
      EXPECT_TRUE(refused(result, ErrorCode::invalid_argument, std::string("rules[1]") + test.field, name_,
                          test.words))
          << test.what;
    }
  }
}

const RuleCase ipv6_rule_cases[] = {
    {"IPv6 prefixes",
     [](PermitRule& r) {
       r.remote = std::vector{net("2001:db8::/32"), net("::/0")};
     },
     nullptr, nullptr},
    {"IPv4 prefix",
     [](PermitRule& r) {
       r.remote = std::vector{net("2001:db8::/32"), net("192.0.2.0/24")};
     },
     ".remote.prefixes[1]", "rule 'second' names 192.0.2.0/24, and the EIP is of IPv6"},
    {"tags", [](PermitRule& r) { r.remote = std::vector<std::string>{"web"}; }, nullptr, nullptr},
    {"UDP ports",
     [](PermitRule& r) {
       r.protocol = 17, r.remote_ports = {53, 54};
     },
     nullptr, nullptr},
    {"any protocol", [](PermitRule& r) { r.protocol.reset(); }, nullptr, nullptr},
    {"ESP", [](PermitRule& r) { r.protocol = 50; }, nullptr, nullptr},
    {"AH", [](PermitRule& r) { r.protocol = 51; }, nullptr, nullptr},
    {"ICMPv6", [](PermitRule& r) { r.protocol = 58; }, nullptr, nullptr},
    {"echo", [](PermitRule& r) { r.protocol = 58, r.icmp_type = 128, r.icmp_code = 0; }, nullptr, nullptr},
    {"echo reply", [](PermitRule& r) { r.protocol = 58, r.icmp_type = 129; }, nullptr, nullptr},
    {"echo of IPv4", [](PermitRule& r) { r.protocol = 58, r.icmp_type = 8; }, ".icmp_type",
     "ICMPv6 type 8 is not carried by rule; name 128"},
    {"neighbor solicitation", [](PermitRule& r) { r.protocol = 58, r.icmp_type = 135; }, ".icmp_type",
     "ICMPv6 type 135"},
    {"ICMP", [](PermitRule& r) { r.protocol = 1; }, ".protocol", "the EIP is of IPv6; name icmpv6"},
    {"type of TCP", [](PermitRule& r) { r.icmp_type = 128; }, ".icmp_type", "only ICMP has types"},
    {"ports of ICMPv6",
     [](PermitRule& r) {
       r.protocol = 58, r.local_ports = {0, 0};
     },
     ".local_ports", "only TCP, UDP and SCTP"},
    {"hop by hop", [](PermitRule& r) { r.protocol = 0; }, ".protocol", "protocol 0"},
    {"routing", [](PermitRule& r) { r.protocol = 43; }, ".protocol", "protocol 43"},
    {"fragment", [](PermitRule& r) { r.protocol = 44; }, ".protocol", "protocol 44"},
    {"no next header", [](PermitRule& r) { r.protocol = 59; }, ".protocol", "protocol 59"},
    {"destination options", [](PermitRule& r) { r.protocol = 60; }, ".protocol", "protocol 60"},
    {"mobility", [](PermitRule& r) { r.protocol = 135; }, ".protocol", "protocol 135"},
    {"reserved", [](PermitRule& r) { r.protocol = 255; }, ".protocol", "protocol 255"},
};

class Ipv6PermitTest : public PermitTest {
 protected:
  void SetUp() override {
    use({});
    prepare();
  }
  void prepare() {
    carry_out(model_.plan_create_pool(pool("p", "2001:db8::/64")));
    carry_out(model_.plan_create_vm(vm6("acme", "web")));
    eip_ = carry_out(model_.plan_request_eip({"acme", "web"}, "", now));
  }
  const std::string name_ = "tenants/acme/eips/2001:db8::1";
};

TEST_F(Ipv6PermitTest, EachRule) {
  for (const RuleCase& test : ipv6_rule_cases) {
    PermitRule changed = rule("second");
    test.change(changed);
    const auto result = plan({rule("first"), changed, rule("third")});
    if (test.field == nullptr) {
      EXPECT_TRUE(result) << test.what << ": " << result.error().message;
    } else {
      EXPECT_TRUE(refused(result, ErrorCode::invalid_argument, std::string("rules[1]") + test.field, name_,
                          test.words))
          << test.what;
    }
  }
}

TEST_F(Ipv6PermitTest, RulesOfAnEip) {
  const uint32_t most = Limits{}.rules_per_eip;
  EXPECT_TRUE(plan(many(most)));
  EXPECT_TRUE(refused(plan(many(most + 1)), ErrorCode::resource_exhausted, "rules", name_,
                      "has 100001 rules, one for each prefix or tag; an EIP may have 100000"));
  use({.rules_per_eip = 6});
  prepare();
  EXPECT_TRUE(plan(many(6)));
  EXPECT_TRUE(refused(plan(many(7)), ErrorCode::resource_exhausted, "rules", name_, "an EIP may have 6"));
}

TEST_F(Ipv6PermitTest, AChunkForEachEightRulesBeyondFour) {
  use({.permit_chunks = 2});
  prepare();
  EXPECT_TRUE(plan(many(20)));
  EXPECT_TRUE(refused(plan(many(21)), ErrorCode::resource_exhausted, "rules", name_,
                      "needs 3 permit chunks, and 2 of 2 are free"));
  set_list(eip_, many(13));
  EXPECT_TRUE(plan(many(20))) << "its own chunks count as free";
  carry_out(model_.plan_create_vm(vm6("acme", "db", "fd00::3")));
  const Eip other = carry_out(model_.plan_request_eip({"acme", "db"}, "", now));
  EXPECT_TRUE(model_.plan_set_permit_list("acme", other.address, many(4), false)) << "inline";
  EXPECT_FALSE(model_.plan_set_permit_list("acme", other.address, many(5), false));
  set_list(eip_, many(12));
  EXPECT_TRUE(model_.plan_set_permit_list("acme", other.address, many(12), false)) << "one was given back";
}

// What an IPv4 list takes (a header, 208 keys) and the tree over 200 cuts: 17 nodes, 2, and 1.
TEST_F(Ipv6PermitTest, LongListsTakeWhatTheirPrefixesCutToo) {
  use({.permit_chunks = 27});
  prepare();
  const auto of_prefixes = [](uint64_t count) {
    PermitRule made = rule("r");
    std::vector<IpPrefix> prefixes;
    for (uint64_t n = 0; n < count; ++n)
      prefixes.emplace_back(Ipv6Prefix(Ipv6Addr::of(0x20010db900000000 + n, 0), 64));
    made.remote = std::move(prefixes);
    return std::vector{made};
  };
  EXPECT_TRUE(plan(of_prefixes(90)));
  EXPECT_TRUE(refused(plan(of_prefixes(100)), ErrorCode::resource_exhausted, "rules", name_,
                      "needs 28 permit chunks, and 27 of 27 are free"));
  EXPECT_EQ(permit_room_of(of_prefixes(100), IpFamily::ipv4).chunks, 8U) << "no cuts";
}

TEST_F(Ipv6PermitTest, FamiliesOfPortsAreBounded) {
  std::vector<PermitRule> rules = many(max_permit_families + 1);
  for (size_t n = 0; n < rules.size(); ++n) rules[n].local_ports = {static_cast<uint16_t>(n), 40000};
  EXPECT_TRUE(refused(plan(rules), ErrorCode::resource_exhausted, "rules", name_,
                      "overlap in 1025 ways that are searched apart"));
  rules.pop_back();
  EXPECT_TRUE(plan(rules));
}

// The gateway's own list guards addresses of both families.
TEST(GatewayRules, AreOfEitherFamily) {
  const auto of = [](std::optional<uint8_t> protocol, std::vector<IpPrefix> prefixes) {
    PermitRule made = rule("r");
    made.protocol = protocol;
    made.remote = std::move(prefixes);
    return check_rules(std::vector{made}, std::nullopt);
  };
  EXPECT_TRUE(of(6, {net("192.0.2.0/24"), net("2001:db8::/32")}));
  EXPECT_TRUE(of(std::nullopt, {net("192.0.2.0/24"), net("2001:db8::/32")}));
  EXPECT_TRUE(of(1, {net("192.0.2.0/24")}));
  EXPECT_TRUE(of(58, {net("2001:db8::/32")}));
  EXPECT_TRUE(refused(of(1, {net("192.0.2.0/24"), net("2001:db8::/32")}), ErrorCode::invalid_argument,
                      "rules[0].remote.prefixes[1]", "", "the protocol is of IPv4"));
  EXPECT_TRUE(refused(of(58, {net("192.0.2.0/24")}), ErrorCode::invalid_argument,
                      "rules[0].remote.prefixes[0]", "", "the protocol is of IPv6"));
  EXPECT_TRUE(refused(of(44, {net("2001:db8::/32")}), ErrorCode::invalid_argument, "rules[0].protocol", "",
                      "protocol 44"));
  EXPECT_TRUE(refused(of(135, {net("2001:db8::/32")}), ErrorCode::invalid_argument, "rules[0].protocol", "",
                      "protocol 135"));
}

TEST_F(PermitTest, NamesAreUnique) {
  EXPECT_TRUE(refused(plan({rule("b"), rule("a"), outbound("b")}), ErrorCode::invalid_argument,
                      "rules[2].name", name_, "two rules 'b'"));
}

// --- capacity ---

TEST_F(PermitTest, WhatAListSaysWithoutItsRules) {
  PermitRule prefixes = rule("a");
  prefixes.remote = std::vector{net("10.0.0.0/8"), net("192.0.2.0/24"), net("198.51.100.0/24")};
  PermitRule tags = rule("b");
  tags.remote = std::vector<std::string>{"db", "web"};
  EXPECT_EQ(PermitList().compiled_rules(), 0U);
  EXPECT_EQ(PermitList({rule("any")}).compiled_rules(), 1U);
  EXPECT_EQ(PermitList({prefixes, tags, rule("any")}).compiled_rules(), 6U);
  const auto remotes = [](const PermitList& list) { return std::pair(list.has_any(), list.has_prefixes()); };
  EXPECT_EQ(remotes({}), std::pair(false, false));
  EXPECT_EQ(remotes({tags}), std::pair(false, false));
  EXPECT_EQ(remotes({tags, prefixes}), std::pair(false, true));
  EXPECT_EQ(remotes({rule("any"), tags}), std::pair(true, false));
  EXPECT_EQ(remotes({prefixes, rule("any"), tags}), std::pair(true, true));

  PermitList from{prefixes, rule("any")};
  const PermitList to = std::move(from);
  EXPECT_TRUE(from.empty());  // NOLINT(bugprone-use-after-move): that it is
  EXPECT_EQ(from.size(), 0U);
  EXPECT_EQ(from.begin(), from.end());
  EXPECT_EQ(to.size(), 2U);
  EXPECT_EQ(to.compiled_rules(), 4U);
  EXPECT_EQ(remotes(to), std::pair(true, true));
  from = PermitList({tags});
  EXPECT_EQ(from.compiled_rules(), 2U);
  PermitList taken;
  taken = std::move(from);
  EXPECT_EQ(from.size(), 0U);  // NOLINT(bugprone-use-after-move): as above
  EXPECT_EQ(taken.size(), 1U);
  EXPECT_EQ(taken.compiled_rules(), 2U);
  from = {};
  EXPECT_EQ(remotes(from), std::pair(false, false));
  EXPECT_EQ(from.compiled_rules(), 0U);
}

TEST_F(PermitTest, RulesOfAnEip) {
  use({.rules_per_eip = 6});
  prepare();
  PermitRule wide = rule("wide");
  wide.remote = std::vector{net("10.0.0.0/8"), net("192.0.2.0/24"), net("198.51.100.0/24")};
  auto rules = many(3);
  rules.push_back(wide);
  EXPECT_TRUE(plan(rules));
  rules.push_back(rule("more"));
  EXPECT_TRUE(refused(plan(rules), ErrorCode::resource_exhausted, "rules", name_,
                      "has 7 rules, one for each prefix or tag; an EIP may have 6"));
}

TEST_F(PermitTest, ChunksAreReserved) {
  use({.permit_chunks = 3, .quarantine_ms = 0});
  prepare();
  const Eip other = add_eip("acme", "db");
  set_list(other, many(4));  // inline
  set_list(other, many(5));  // one chunk
  EXPECT_TRUE(plan(many(36))) << "two chunks are left";
  EXPECT_TRUE(refused(plan(many(37)), ErrorCode::resource_exhausted, "rules", name_,
                      "needs 3 permit chunks, and 2 of 3 are free"));
  set_list(eip_, many(36));
  EXPECT_TRUE(plan(many(21))) << "its own chunks count as free";
  EXPECT_FALSE(plan(many(37)));
  EXPECT_FALSE(model_.plan_set_permit_list("acme", other.address, many(21), false));
  set_list(eip_, many(20));
  EXPECT_TRUE(model_.plan_set_permit_list("acme", other.address, many(21), false)) << "one was given back";
  carry_out(model_.plan_release_eip("acme", eip_.address, now));
  EXPECT_TRUE(model_.plan_set_permit_list("acme", other.address, many(52), false))
      << "a released EIP's are free";
}

// --- rules by name ---

TEST_F(PermitTest, RulesAreAddedByName) {
  set_list(eip_, {rule("b")});
  const auto added = model_.plan_add_permit_rules("acme", eip_.address, {rule("c"), rule("a"), rule("b")});
  ASSERT_TRUE(added);
  EXPECT_EQ(added->reply.permit, (std::vector{rule("a"), rule("b"), rule("c")}));
  EXPECT_EQ(added->reply.list_generation, generation() + 1);
  EXPECT_EQ(added->reply.kept_from, generation() + 1);
  carry_out(added);
  PermitRule twice = rule("d");
  twice.remote = std::vector{net("192.0.2.0/24"), net("10.0.0.0/8"), net("192.0.2.0/24")};
  carry_out(model_.plan_add_permit_rules("acme", eip_.address, {twice}));
  EXPECT_TRUE(
      is_unchanged(model_.plan_add_permit_rules("acme", eip_.address, {twice, rule("a")}), generation()))
      << "what it says counts, not how";
  EXPECT_TRUE(refused(model_.plan_add_permit_rules("acme", eip_.address, {rule("e"), outbound("a")}),
                      ErrorCode::already_exists, "rules[1].name", name_, "another rule 'a'"));
  EXPECT_TRUE(refused(model_.plan_add_permit_rules("acme", eip_.address, {rule("e"), rule("e")}),
                      ErrorCode::invalid_argument, "rules[1].name", name_, "two rules 'e'"));
  EXPECT_TRUE(refused(model_.plan_add_permit_rules("acme", eip_.address, {}), ErrorCode::invalid_argument,
                      "rules", name_, "no rule is given"));
}

TEST_F(PermitTest, RulesAreRemovedByName) {
  set_list(eip_, {rule("a"), rule("b"), rule("c")});
  const auto removed = model_.plan_remove_permit_rules("acme", eip_.address, {"c", "none", "a", "c"}, false);
  ASSERT_TRUE(removed);
  EXPECT_EQ(removed->reply.permit, std::vector{rule("b")});
  carry_out(removed);
  EXPECT_TRUE(
      is_unchanged(model_.plan_remove_permit_rules("acme", eip_.address, {"c", "a"}, false), generation()));
  EXPECT_TRUE(refused(model_.plan_remove_permit_rules("acme", eip_.address, {"b"}, true),
                      ErrorCode::failed_precondition, "keep_established", name_, "rule 'b' is INBOUND"));
  EXPECT_TRUE(refused(model_.plan_remove_permit_rules("acme", eip_.address, {"b", "B"}, false),
                      ErrorCode::invalid_argument, "names[1]", name_, "rule name"));
  EXPECT_TRUE(refused(model_.plan_remove_permit_rules("acme", eip_.address, {}, false),
                      ErrorCode::invalid_argument, "names", name_, "no rule is named"));
}

TEST_F(PermitTest, AddingRulesKeepsWhatIsKeptAndRemovingCutsIt) {
  set_list(eip_, {outbound("out"), rule("web")});
  const Eip kept = carry_out(model_.plan_remove_permit_rules("acme", eip_.address, {"out"}, true));
  EXPECT_TRUE(kept.keep_established);
  const Eip added = carry_out(model_.plan_add_permit_rules("acme", eip_.address, {rule("ssh")}));
  EXPECT_TRUE(added.keep_established);
  EXPECT_EQ(added.kept_from, kept.kept_from);
  const Eip cut = carry_out(model_.plan_remove_permit_rules("acme", eip_.address, {"ssh"}, false));
  EXPECT_FALSE(cut.keep_established);
  EXPECT_EQ(cut.kept_from, generation());
}

TEST_F(PermitTest, AddedRulesNeedRoomWithTheOthers) {
  Limits limits;
  limits.rules_per_eip = 20;
  use(limits);
  prepare();
  set_list(eip_, many(20));
  EXPECT_TRUE(refused(model_.plan_add_permit_rules("acme", eip_.address, {rule("more")}),
                      ErrorCode::resource_exhausted, "rules", name_, "20 (capacity.rules_per_eip)"));
}

// --- keep_established ---

TEST_F(PermitTest, KeepEstablished) {
  const Eip before = set_list(eip_, {tracked("in"), outbound("out"), rule("web")});
  EXPECT_FALSE(before.keep_established);
  const Eip kept = set_list(eip_, {rule("web")}, true);
  EXPECT_TRUE(kept.keep_established);
  EXPECT_EQ(kept.list_generation, generation());
  EXPECT_EQ(kept.kept_from, before.kept_from) << "entries of the old list live on";

  const Eip again = set_list(eip_, {rule("web"), rule("ssh")}, true);
  EXPECT_TRUE(again.keep_established);
  EXPECT_EQ(again.kept_from, before.kept_from);
  EXPECT_EQ(again.list_generation, generation());

  const Eip cut = set_list(eip_, {rule("ssh")});
  EXPECT_FALSE(cut.keep_established);
  EXPECT_EQ(cut.kept_from, generation());
}

TEST_F(PermitTest, KeepEstablishedNeedsEntries) {
  PermitRule narrow = rule("web");
  narrow.remote = std::vector{net("192.0.2.0/24")};
  PermitRule strict = rule("web");
  strict.tracked = true;
  const auto refusal = [&](std::vector<PermitRule> rules) {
    return refused(plan(std::move(rules), true), ErrorCode::failed_precondition, "keep_established", name_,
                   "rule 'web' is INBOUND and not tracked");
  };
  set_list(eip_, {rule("web"), tracked("strict"), outbound("out")});
  EXPECT_TRUE(refusal({}));
  EXPECT_TRUE(refusal({tracked("strict"), outbound("out")}));
  EXPECT_TRUE(refusal({narrow}));
  EXPECT_TRUE(refusal({strict}));
  EXPECT_TRUE(refusal({outbound("web")}));
  EXPECT_TRUE(plan({rule("web")}, true)) << "the tracked and the outbound one may go";
  EXPECT_TRUE(plan({rule("renamed")}, true)) << "the match counts, not the name";
  EXPECT_TRUE(plan({narrow, tracked("strict"), rule("zzz")}, true));
  EXPECT_TRUE(plan({}, false)) << "without it nothing is asked";
}

TEST_F(PermitTest, EndKeep) {
  EXPECT_TRUE(model_.plan_end_keep(ip("203.0.113.99")).changes.changes.empty());
  EXPECT_TRUE(model_.plan_end_keep(eip_.address).changes.changes.empty());
  set_list(eip_, {outbound("out")});
  const Eip kept = set_list(eip_, {}, true);
  const auto end = model_.plan_end_keep(eip_.address);
  Eip expected = kept;
  expected.keep_established = false;
  expected.kept_from = kept.list_generation;
  EXPECT_EQ(end.changes, (ChangeSet{generation() + 1, {PutEip{expected}}}));
  model_.apply(end.changes);
  EXPECT_TRUE(model_.plan_end_keep(eip_.address).changes.changes.empty());
}

}  // namespace
}  // namespace portcullis::model
