#include "control/compile/compile.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>
#include <set>
#include <string>
#include <utility>

#include "control/model/model.h"
#include "src/net/headers.h"

namespace portcullis::compile {
namespace {

using model::AnyRemote;
using model::Direction;
using model::PoolKind;
using model::TagKey;

IpPrefix prefix(const char* text) {
  return *IpPrefix::parse(text);
}

const Ipv4Addr web_eip = Ipv4Addr::of(203, 0, 113, 1);

// One local pool, 203.0.113.0/24, and one vm with an EIP in it.
model::State one_eip(std::vector<model::PermitRule> permit = {}) {
  model::State state;
  state.generation = 9;
  state.pools["p"] = {"p", prefix("203.0.113.0/24"), PoolKind::local};
  state.vms[{"acme", "web"}] = {"acme", "web", {"vms", Mac{{2, 0, 0, 0, 0, 1}}}, Ipv4Addr::of(10, 0, 0, 1)};
  state.eips[web_eip] = {.address = web_eip,
                         .tenant = "acme",
                         .vm = "web",
                         .permit = std::move(permit),
                         .tags = {"front", "blue"},
                         .created = 3,
                         .binding_generation = 5,
                         .list_generation = 7,
                         .kept_from = 6};
  return state;
}

CompiledBinding binding_with(std::vector<model::PermitRule> permit) {
  const model::State state = one_eip(std::move(permit));
  return compile_binding(state, state.eips.at(web_eip));
}

std::vector<PermitRule> rules_of(std::vector<model::PermitRule> permit) {
  std::vector<PermitRule> rules;
  const model::PermitList list = std::move(permit);
  for (const CompiledRule& compiled : compile_rules(list, IpFamily::ipv4)) rules.push_back(compiled.rule);
  return rules;
}

TEST(CompileBinding, TakesPlaceTagsAndGenerations) {
  const CompiledBinding binding = binding_with({});
  EXPECT_EQ(binding.eip, web_eip);
  EXPECT_EQ(binding.dip, Ipv4Addr::of(10, 0, 0, 1));
  EXPECT_EQ(binding.port, "vms");
  EXPECT_EQ(binding.mac, (Mac{{2, 0, 0, 0, 0, 1}}));
  EXPECT_EQ(binding.incarnation, 3u);
  EXPECT_EQ(binding.binding_generation, 5u);
  EXPECT_EQ(binding.list_generation, 7u);
  EXPECT_EQ(binding.kept_from, 6u);
  EXPECT_EQ(binding.tags, (std::vector<TagKey>{{"acme", "blue"}, {"acme", "front"}}));
  EXPECT_EQ(binding.tenant, "acme");
  EXPECT_TRUE(binding.permit.empty());
  EXPECT_FALSE(binding.edge);
}

TEST(CompileBinding, TakesTheEncapsulation) {
  model::State state = one_eip();
  for (const Encapsulation& encapsulation :
       {Encapsulation(), Encapsulation(VlanTags{100, 30}),
        Encapsulation(Tunnel{TunnelProtocol::geneve, Ipv4Addr::of(192, 0, 2, 7), 5000})}) {
    state.vms.at({"acme", "web"}).location.encapsulation = encapsulation;
    EXPECT_EQ(compile_binding(state, state.eips.at(web_eip)).encapsulation, encapsulation);
  }
}

TEST(CompileRule, TcpFromAny) {
  EXPECT_EQ(
      rules_of({{.name = "a",
                 .remote = AnyRemote{},
                 .protocol = ip_protocol::tcp,
                 .local_ports = {80, 443},
                 .remote_ports = {1024, 65535}}}),
      (std::vector<PermitRule>{{.protocol = 6, .local_ports = {80, 443}, .remote_ports = {1024, 65535}}}));
}

TEST(CompileRule, OnePerPrefixInTheGivenOrder) {
  const model::PermitList list{{.name = "a",
                                .direction = Direction::outbound,
                                .remote = std::vector{prefix("10.9.0.0/16"), prefix("10.1.2.3/32")},
                                .protocol = ip_protocol::udp}};
  const CompiledRules rules = compile_rules(list, IpFamily::ipv4);
  ASSERT_EQ(rules.size(), 2u);
  EXPECT_EQ(
      rules[0].rule,
      (PermitRule{.remote = 0x0a090000, .prefix_length = 16, .flags = PermitRule::outbound, .protocol = 17}));
  EXPECT_EQ(
      rules[1].rule,
      (PermitRule{.remote = 0x0a010203, .prefix_length = 32, .flags = PermitRule::outbound, .protocol = 17}));
  EXPECT_EQ(rules[0].of, &list[0]);
  EXPECT_EQ(rules[1].of, &list[0]);
  EXPECT_EQ(rules[0].tag, nullptr);
}

TEST(CompileRule, TagsAreTheTenantsOwn) {
  const CompiledBinding binding =
      binding_with({{.name = "a", .remote = std::vector<std::string>{"db", "cache"}, .protocol = 6}});
  EXPECT_EQ(binding.tenant, "acme");
  const CompiledRules rules = compile_rules(binding.permit, IpFamily::ipv4);
  ASSERT_EQ(rules.size(), 2u);
  EXPECT_EQ(*rules[0].tag, "db");
  EXPECT_EQ(*rules[1].tag, "cache");
  EXPECT_EQ(rules[0].rule, (PermitRule{.flags = PermitRule::remote_tag, .protocol = 6}));
}

TEST(CompileRule, IcmpTypeAndCodeAreRanges) {
  const auto compiled = [](std::optional<uint8_t> type, std::optional<uint8_t> code) {
    return rules_of({{.name = "a",
                      .remote = AnyRemote{},
                      .protocol = ip_protocol::icmp,
                      .icmp_type = type,
                      .icmp_code = code}})
        .at(0);
  };
  EXPECT_EQ(compiled({}, {}), (PermitRule{.protocol = 1}));
  EXPECT_EQ(compiled(8, {}), (PermitRule{.protocol = 1, .local_ports = {8, 8}}));
  EXPECT_EQ(compiled(8, 0), (PermitRule{.protocol = 1, .local_ports = {8, 8}, .remote_ports = {0, 0}}));
}

TEST(CompileRule, AnyProtocolIsAFlag) {
  EXPECT_EQ(rules_of({{.name = "a", .remote = AnyRemote{}}}),
            (std::vector<PermitRule>{{.flags = PermitRule::any_protocol}}));
}

TEST(CompileRule, RulesThatTrackNothingComeFirstThenByName) {
  const model::PermitList list{{.name = "a", .remote = AnyRemote{}, .tracked = true},
                               {.name = "b", .remote = AnyRemote{}},
                               {.name = "c", .remote = AnyRemote{}, .tracked = true},
                               {.name = "d", .direction = Direction::outbound}};
  std::vector<std::string> names;
  for (const CompiledRule& rule : compile_rules(list, IpFamily::ipv4))
    names.push_back(rule.of->name + (rule.rule.is_tracked() ? "!" : ""));
  EXPECT_EQ(names, (std::vector<std::string>{"b", "d", "a!", "c!"}));
}

// --- edge membership ---

bool is_edge(const model::Remote& remote, model::Direction direction = Direction::inbound) {
  return binding_with({{.name = "a", .direction = direction, .remote = remote}}).edge;
}

TEST(Edge, FollowsFromExternalRemotes) {
  EXPECT_TRUE(is_edge(AnyRemote{}));
  EXPECT_TRUE(is_edge(AnyRemote{}, Direction::outbound));
  EXPECT_TRUE(is_edge(std::vector{prefix("198.51.100.0/24")}));
  EXPECT_TRUE(is_edge(std::vector{prefix("203.0.113.0/32"), prefix("198.51.100.7/32")}));
  EXPECT_TRUE(is_edge(std::vector{prefix("203.0.112.0/23")})) << "reaches out of the pool";
  EXPECT_FALSE(is_edge(std::vector{prefix("203.0.113.0/24")}));
  EXPECT_FALSE(is_edge(std::vector{prefix("203.0.113.255/32")}));
  EXPECT_FALSE(is_edge(std::vector<std::string>{"db"}));
  EXPECT_FALSE(binding_with({}).edge);
}

TEST(Edge, LastsWhileEntriesAreKept) {
  model::State state = one_eip();
  state.eips.at(web_eip).keep_established = true;
  EXPECT_TRUE(compile_binding(state, state.eips.at(web_eip)).edge);
}

TEST(Edge, APrefixMayLieInSeveralLocalPools) {
  model::State state = one_eip({{.name = "a", .remote = std::vector{prefix("203.0.112.0/22")}}});
  const auto edge = [&] { return compile(state).bindings.at(web_eip).edge; };
  EXPECT_TRUE(edge());
  state.pools["q"] = {"q", prefix("203.0.112.0/24"), PoolKind::local};
  state.pools["r"] = {"r", prefix("203.0.114.0/23"), PoolKind::local};
  EXPECT_FALSE(edge());
  state.pools["q"].kind = PoolKind::provider;
  EXPECT_TRUE(edge()) << "a provider pool is outside";
  state.pools["q"] = {"q", prefix("203.0.112.0/25"), PoolKind::local};
  EXPECT_TRUE(edge()) << "a gap of 128 addresses";
}

TEST(Edge, LastAddressOfTheAddressSpace) {
  model::State state = one_eip({{.name = "a", .remote = std::vector{prefix("255.255.255.255/32")}}});
  state.pools["top"] = {"top", prefix("255.255.0.0/16"), PoolKind::local};
  EXPECT_FALSE(compile(state).bindings.at(web_eip).edge);
}

// --- the incremental form ---

TEST(CompileChange, APoolMayFlipThousands) {
  model::State state = one_eip();
  constexpr uint32_t count = 3000;
  state.pools["big"] = {"big", prefix("192.168.0.0/16"), PoolKind::local};
  for (uint32_t n = 0; n < count; ++n) {
    const std::string vm = "vm" + std::to_string(n);
    const Ipv4Addr eip = Ipv4Addr::from_host(0xc0a80001 + n);
    state.vms[{"acme", vm}] = {"acme", vm, {"vms", {}}, Ipv4Addr::from_host(0x0a010000 + n)};
    state.eips[eip] = {.address = eip,
                       .tenant = "acme",
                       .vm = vm,
                       .permit = {{.name = "a", .remote = std::vector{prefix("100.64.0.0/16")}}}};
  }
  Image image = compile(state);
  const auto edges = [&] {
    return std::ranges::count_if(image.bindings, [](const auto& b) { return b.second.edge; });
  };
  EXPECT_EQ(edges(), count);

  const model::Pool pool{"new", prefix("100.64.0.0/16"), PoolKind::local};
  state.pools["new"] = pool;
  Update update = compile_change(state, {10, {model::PutPool{pool}}});
  EXPECT_FALSE(update.bindings.contains(web_eip)) << "an empty list does not depend on pools";
  apply(image, update);
  EXPECT_EQ(edges(), 0);
  EXPECT_EQ(image, compile(state));

  state.pools.erase("new");
  apply(image, compile_change(state, {11, {model::DeletePool{"new"}}}));
  EXPECT_EQ(edges(), count);
  EXPECT_EQ(image, compile(state));
}

TEST(Compile, ThePartsAreTheImage) {
  for (const uint32_t count : {0u, 1u, 999u, 1000u, 1001u, 2500u}) {
    model::State state;
    state.pools["big"] = {"big", prefix("192.168.0.0/16"), PoolKind::local};
    for (uint32_t n = 0; n < count; ++n) {
      const std::string vm = "vm" + std::to_string(n);
      const Ipv4Addr eip = Ipv4Addr::from_host(0xc0a80001 + n);
      state.vms[{"acme", vm}] = {"acme", vm, {"vms", {}}, Ipv4Addr::from_host(0x0a010000 + n)};
      state.eips[eip] = {.address = eip, .tenant = "acme", .vm = vm, .list_generation = n};
      if (n % 3 == 0) state.eips[eip].permit = {{.name = "a", .remote = AnyRemote{}}};
    }
    ImageParts parts(state);
    EXPECT_EQ(parts.bindings(), count);
    Image image{.pools = parts.pools(), .bindings = {}};
    uint32_t of_parts = 0;
    for (auto part = parts.next(); !part.empty(); part = parts.next())
      for (CompiledBinding& binding : part) {
        ++of_parts;
        image.bindings.emplace(binding.eip, std::move(binding));
      }
    EXPECT_EQ(of_parts, count);
    EXPECT_EQ(image, compile(state));
    EXPECT_TRUE(parts.next().empty()) << "also when asked once more";
  }
}

TEST(CompileChange, AMovedVmTakesItsBindingAlong) {
  model::State state = one_eip();
  Image image = compile(state);
  model::Vm& vm = state.vms.at({"acme", "web"});
  vm.location.port = "vms2";
  vm.location.encapsulation = VlanTags{100, 0};
  vm.dip = Ipv4Addr::of(10, 0, 0, 2);
  state.eips.at(web_eip).binding_generation = 10;
  apply(image, compile_change(state, {10, {model::PutVm{vm}, model::PutEip{state.eips.at(web_eip)}}}));
  EXPECT_EQ(image.bindings.at(web_eip).port, "vms2");
  EXPECT_EQ(image.bindings.at(web_eip).encapsulation, Encapsulation(VlanTags{100, 0}));
  EXPECT_EQ(image, compile(state));
}

CompiledBinding binding_of(model::Generation created, model::Generation bound, model::Generation listed) {
  CompiledBinding binding;
  binding.incarnation = created;
  binding.binding_generation = bound;
  binding.list_generation = binding.kept_from = listed;
  return binding;
}

TEST(CompileFlowTerms, TheStampIsTheLastChange) {
  EXPECT_EQ(flow_terms(binding_of(3, 7, 5), 0).stamp, 7u);
  EXPECT_EQ(flow_terms(binding_of(3, 7, 8), 0).stamp, 8u);
  EXPECT_EQ(flow_terms(binding_of(3, 3, 3), 0).stamp, 3u);
  const auto [terms, stamp] = flow_terms(binding_of(3, 7, 5), 9);
  EXPECT_EQ(terms, (FlowTerms{3, 7, 5, 5, 9}));
  CompiledBinding own = binding_of(3, 7, 5);
  own.flow_quota = 4;
  EXPECT_EQ(flow_terms(own, 9).terms.flow_quota, 4u);
}

// However far apart the changes of an EIP lie, each is told from the one before it.
TEST(CompileFlowTerms, WhatLiesFarBackIsStillEarlier) {
  constexpr model::Generation long_ago = 100;
  for (const model::Generation gap :
       {model::Generation{1} << 29, model::Generation{1} << 30, model::Generation{1} << 31,
        (model::Generation{1} << 31) + 5, model::Generation{1} << 32, (model::Generation{1} << 32) + 5,
        model::Generation{1} << 40}) {
    SCOPED_TRACE(gap);
    const uint32_t before = flow_terms(binding_of(long_ago, long_ago, long_ago + gap), 0).stamp;
    const auto [terms, stamp] = flow_terms(binding_of(long_ago, long_ago + gap + 1, long_ago + gap + 2), 0);
    EXPECT_NE(stamp, before);
    EXPECT_TRUE(FlowTerms::is_since(before, terms.incarnation)) << "an entry of the same owner";
    EXPECT_FALSE(FlowTerms::is_since(before, terms.list_generation)) << "its list has changed";
    EXPECT_FALSE(FlowTerms::is_since(before, terms.binding_generation)) << "its tags have";
    EXPECT_TRUE(FlowTerms::is_since(stamp, terms.list_generation));
  }
}

// What was judged a thousand million changes before an EIP's last one counts no more.
TEST(CompileFlowTerms, WhatWasJudgedFarBackIsNotTakenForLater) {
  constexpr model::Generation long_ago = 100;
  for (const model::Generation gap : {FlowTerms::reach + model::Generation{1}, model::Generation{1} << 31,
                                      3 * model::Generation{FlowTerms::reach} - 1}) {
    SCOPED_TRACE(gap);
    const uint32_t entry = flow_terms(binding_of(long_ago, long_ago, long_ago), 0).stamp;
    const auto [terms, stamp] = flow_terms(binding_of(long_ago, long_ago, long_ago + gap), 0);
    EXPECT_NE(stamp, entry);
    EXPECT_FALSE(FlowTerms::is_since(entry, terms.incarnation)) << "asked first";
  }
}

TEST(CompileChange, ARuleChangeTouchesOneBinding) {
  model::State state = one_eip();
  state.eips.at(web_eip).permit = {{.name = "a", .remote = AnyRemote{}}};
  const Update update = compile_change(state, {10, {model::PutEip{state.eips.at(web_eip)}}});
  EXPECT_FALSE(update.pools);
  EXPECT_EQ(update.bindings.size(), 1u);
}

TEST(CompileChange, AnEipsFlowQuotaIsItsBindingsAndATenantsStandsApart) {
  model::State state = one_eip();
  Image image = compile(state);
  EXPECT_EQ(image.bindings.at(web_eip).flow_quota, 0u) << "the default";
  state.eips.at(web_eip).quota = {.rules = 3, .flows = 7};
  apply(image, compile_change(state, {10, {model::PutEip{state.eips.at(web_eip)}}}));
  EXPECT_EQ(image.bindings.at(web_eip).flow_quota, 7u);
  const auto change = [&](const model::Change& what) {
    model::apply(state, what);
    const Update update = compile_change(state, {11, {what}});
    EXPECT_TRUE(update.bindings.empty());
    apply(image, update);
    EXPECT_EQ(image, compile(state));
  };
  change(model::PutTenantQuota{{"acme", 1, 1}});
  EXPECT_TRUE(image.flow_quotas.empty()) << "of EIPs and rules calls alone are asked";
  change(model::PutTenantQuota{{"acme", 1, 1, 50}});
  change(model::PutTenantQuota{{"other", 0, 0, 60}});
  EXPECT_EQ(image.flow_quotas, (std::map<model::TenantId, uint32_t>{{"acme", 50}, {"other", 60}}));
  change(model::PutTenantQuota{{"acme", 1, 0, 0}});
  change(model::DeleteTenantQuota{"other"});
  EXPECT_TRUE(image.flow_quotas.empty());
}

// Random calls on a model; after each, the image that was brought up to date step by step must be the
// compiled one.
class RandomCalls {
 public:
  explicit RandomCalls(uint32_t seed)
      : random_(seed),
        model_({.vms = 40, .rules_per_eip = 64, .quarantine_ms = 5},
               {{"one", {}}, {"two", {}}, {"three", tunnels()}}) {}

  void step() {
    now_ms_ += 1;
    switch (below(11)) {
      case 10:
        return done(model_.plan_set_tenant_quota(below(2) == 0 ? "acme" : "umbrella",
                                                 {.eips = {}, .rules = 500 + below(2), .flows = below(3)}));
      case 9:
        return with_eip([&](const model::Eip& eip) {
          done(model_.plan_set_eip_quota(eip.tenant, eip.address, {.rules = {}, .flows = below(3)}));
        });
      case 8:
        return done(model_.plan_move_vm(random_vm_key(), random_vm().location));
      case 0:
        return done(model_.plan_create_vm(random_vm()));
      case 1:
        return done(model_.plan_delete_vm(random_vm_key()));
      case 2:
        return done(model_.plan_create_pool(random_pool()));
      case 3:
        return done(model_.plan_delete_pool(pool_ids_[below(4)]));
      case 4:
        return done(model_.plan_request_eip(random_vm_key(), "", now_ms_,
                                            below(2) == 0 ? IpFamily::ipv4 : IpFamily::ipv6));
      case 5:
        if (below(3) != 0) return;  // most stay for a while
        return with_eip(
            [&](const model::Eip& eip) { done(model_.plan_release_eip(eip.tenant, eip.address, now_ms_)); });
      case 6:
        return with_eip([&](const model::Eip& eip) {
          if (eip.keep_established && below(2) == 0)
            return apply_changes(model_.plan_end_keep(eip.address).changes);
          done(model_.plan_set_permit_list(eip.tenant, eip.address, random_list(eip.address.family()),
                                           below(4) == 0));
        });
      default:
        return with_eip([&](const model::Eip& eip) {
          done(model_.plan_set_tag(eip.tenant, eip.address, random_tags()));
        });
    }
  }

  [[nodiscard]] const model::State& state() const { return model_.state(); }
  [[nodiscard]] const Image& image() const { return image_; }
  uint32_t applied = 0;

 private:
  uint32_t below(uint32_t n) { return static_cast<uint32_t>(random_() % n); }

  template <typename Planned>
  void done(const Planned& planned) {
    if (planned) apply_changes(planned->changes);
  }
  void apply_changes(const model::ChangeSet& changes) {
    if (changes.changes.empty()) return;
    model_.apply(changes);
    apply(image_, compile_change(model_.state(), changes));
    ++applied;
  }

  model::VmKey random_vm_key() {
    return {below(2) == 0 ? "acme" : "umbrella", "vm" + std::to_string(below(12))};
  }
  model::Vm random_vm() {
    const model::VmKey key = random_vm_key();
    return {key.first, key.second, random_location(), Ipv4Addr::from_host(0x0a000000 + below(40) + 1),
            Ipv6Addr::of(0xfd00000000000000, below(40) + 1)};
  }
  static model::EndpointPort tunnels() {
    return {.ipv4 = model::TunnelEnd{Ipv4Addr::of(192, 0, 2, 1), prefix("192.0.2.0/24"), false}, .ipv6 = {}};
  }
  model::Location random_location() {
    const Mac mac{{2, 0, 0, 0, 0, static_cast<uint8_t>(below(200))}};
    const std::string port = below(2) == 0 ? "one" : "two";
    const auto number = static_cast<uint16_t>(1 + below(3));
    switch (below(4)) {
      case 0:
        return {port, mac, VlanTags{number, static_cast<uint16_t>(below(3))}};
      case 1:
        return {"three", mac,
                Tunnel{below(2) == 0 ? TunnelProtocol::vxlan : TunnelProtocol::geneve,
                       Ipv4Addr::of(192, 0, 2, static_cast<uint8_t>(2 + below(3))), number}};
      default:
        return {port, mac, {}};
    }
  }
  // Of the 256 addresses that pools share out; by `longer` bits longer than those.
  static IpPrefix prefix_of(IpFamily family, uint32_t host, uint32_t longer) {
    if (family == IpFamily::ipv4)
      return Ipv4Prefix(Ipv4Addr::from_host(0xcb007100 + host), static_cast<uint8_t>(24 + longer));
    return Ipv6Prefix(Ipv6Addr::of(0x20010db800000000, host), static_cast<uint8_t>(120 + longer));
  }
  model::Pool random_pool() {
    const IpFamily family = below(3) == 0 ? IpFamily::ipv6 : IpFamily::ipv4;
    return {pool_ids_[below(4)], prefix_of(family, 16 * below(16), 2 + below(4)),
            below(4) == 0 ? PoolKind::provider : PoolKind::local};
  }
  std::set<std::string> random_tags() {
    std::set<std::string> tags;
    for (uint32_t n = below(4); n > 0; --n) tags.insert(tag_names_[below(3)]);
    return tags;
  }
  model::Remote random_remote(IpFamily family) {
    switch (below(5)) {
      case 0:
        return AnyRemote{};
      case 1:
        return std::vector<std::string>{tag_names_[below(3)]};
      default: {
        std::vector<IpPrefix> prefixes;
        for (uint32_t n = below(3) + 1; n > 0; --n)
          prefixes.push_back(prefix_of(family, below(256), 2 + below(7)));
        return prefixes;
      }
    }
  }
  std::vector<model::PermitRule> random_list(IpFamily family) {
    std::vector<model::PermitRule> list;
    const uint8_t icmp = family == IpFamily::ipv4 ? ip_protocol::icmp : ip_protocol::icmpv6;
    for (uint32_t n = below(10) == 0 ? below(30) : below(4); n > 0; --n) {
      model::PermitRule rule;
      rule.name = "r" + std::to_string(n);
      rule.direction = below(2) == 0 ? Direction::inbound : Direction::outbound;
      rule.remote = random_remote(family);
      if (below(3) != 0) rule.protocol = below(2) == 0 ? ip_protocol::tcp : icmp;
      if (rule.protocol == ip_protocol::tcp) rule.local_ports.first = static_cast<uint16_t>(below(1000));
      if (rule.protocol == icmp && below(2) == 0) rule.icmp_type = family == IpFamily::ipv4 ? 8 : 128;
      rule.tracked = rule.direction == Direction::inbound && below(2) == 0;
      list.push_back(std::move(rule));
    }
    return list;
  }
  template <typename Use>
  void with_eip(Use&& use) {
    if (model_.state().eips.empty()) return;
    const auto eip =
        std::next(model_.state().eips.begin(), below(static_cast<uint32_t>(model_.state().eips.size())));
    use(model::Eip(eip->second));
  }

  std::mt19937 random_;
  model::Model model_;
  Image image_;
  int64_t now_ms_ = 0;
  const std::array<std::string, 4> pool_ids_{"a", "b", "c", "d"};
  const std::array<std::string, 3> tag_names_{"red", "green", "blue"};
};

TEST(CompileChange, AgreesWithTheWholeCompile) {
  for (uint32_t seed = 1; seed <= 20; ++seed) {
    RandomCalls calls(seed);
    for (int n = 0; n < 600; ++n) {
      calls.step();
      ASSERT_EQ(calls.image(), compile(calls.state())) << "seed " << seed << ", step " << n;
    }
    EXPECT_GT(calls.applied, 100u) << "seed " << seed << ": too few calls were carried out to show anything";
  }
}

}  // namespace
}  // namespace portcullis::compile
