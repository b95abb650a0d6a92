// A restart: what was stored comes back with all that is derived from it, or is refused by name.
#include <chrono>
#include <functional>
#include <random>
#include <stdexcept>

#include "tests/unit/model/fixture.h"

namespace portcullis::model {
namespace {

class RestoreTest : public ModelTest {
 protected:
  // Two tenants, a list with chunks, tags, and an address at rest.
  State sample() {
    carry_out(model_.plan_create_pool(pool("p", "203.0.113.0/28")));
    carry_out(model_.plan_create_pool(pool("q", "198.51.100.0/24", PoolKind::provider)));
    const Eip web = add_eip("acme", "web");
    const Eip db = add_eip("acme", "db");
    const Eip gone = add_eip("umbrella", "gone");
    std::vector<PermitRule> rules;
    rules.reserve(20);
    for (int i = 0; i < 20; ++i) rules.push_back(rule("r-" + std::to_string(i)));
    set_list(web, rules);
    carry_out(model_.plan_set_tag("acme", db.address, {"db"}));
    carry_out(model_.plan_release_eip("umbrella", gone.address, now));
    return model_.state();
  }
  Expected<void> restore(const State& state, Limits limits = {},
                         EndpointPorts ports = {{"vms", {}}, {"more", {}}}, std::set<IpAddr> reserved = {}) {
    Model fresh(limits, std::move(ports), std::move(reserved));
    auto restored = fresh.restore(state);
    if (restored) {
      EXPECT_EQ(fresh.state(), state);
    } else {
      EXPECT_EQ(fresh.state(), State()) << "a refused state was taken over";
    }
    return restored;
  }
};

TEST_F(RestoreTest, Empty) {
  EXPECT_TRUE(restore({}));
}

TEST_F(RestoreTest, SameStateAndSameAnswers) {
  const State state = sample();
  Model fresh(Limits(), {{"vms", {}}, {"more", {}}});
  ASSERT_TRUE(fresh.restore(state));
  EXPECT_EQ(fresh.state(), state);
  for (const Model* model : {&model_, &fresh}) {
    const auto next = model->plan_request_eip({"umbrella", "gone"}, "", now);
    ASSERT_TRUE(next);
    EXPECT_EQ(next->reply.address, ip("203.0.113.4")) << ".3 rests";
    EXPECT_EQ(next->reply.created, state.generation + 1);
    EXPECT_EQ(model->plan_request_eip({"umbrella", "gone"}, "", now + 600'000)->reply.address,
              ip("203.0.113.3"));
    EXPECT_FALSE(model->plan_delete_vm({"acme", "web"}));
    EXPECT_FALSE(model->plan_delete_pool("p"));
    EXPECT_FALSE(model->plan_create_vm(vm("stark", "x", "10.0.0.2")));
    EXPECT_EQ(model->pool_use("p", now).used, 2U);
    EXPECT_EQ(model->pool_use("p", now).free, 11U);
  }
}

TEST_F(RestoreTest, WhatDoesNotFit) {
  const State state = sample();
  struct Case {
    const char* what;
    Limits limits;
    EndpointPorts ports;
    std::set<IpAddr> reserved;
    const char* object;
    const char* words;
  };
  const EndpointPorts ports{{"vms", {}}};
  const Case cases[] = {
      {"port", {}, {{"more", {}}}, {}, "tenants/acme/vms/db", "no endpoint port 'vms'"},
      {"vms", {.vms = 2}, ports, {}, "tenants/umbrella/vms/gone", "all 2 vms"},
      {"pages", {.index_pages = 1}, ports, {}, "pools/q", "1 further /16s, and 0 of 1"},
      {"EIPs", {.eips = 1}, ports, {}, "tenants/acme/eips/203.0.113.2", "all 1 EIPs"},
      {"tenants", {.tenants = 0}, ports, {}, "tenants/acme/eips/203.0.113.1", "all 0 tenants"},
      {"rules", {.rules_per_eip = 19}, ports, {}, "tenants/acme/eips/203.0.113.1", "20 rules"},
      {"chunks", {.permit_chunks = 0}, ports, {}, "tenants/acme/eips/203.0.113.1", "needs 1 permit chunks"},
      {"tag sets", {.tag_sets = 0}, ports, {}, "tenants/acme/eips/203.0.113.2", "tag sets"},
      {"tags", {.tags_per_eip = 0}, ports, {}, "tenants/acme/eips/203.0.113.2", "1 tags"},
      {"gateway's address",
       {},
       ports,
       {ip("203.0.113.2")},
       "tenants/acme/eips/203.0.113.2",
       "for the gateway itself"},
  };
  for (const Case& test : cases) {
    const auto restored = restore(state, test.limits, test.ports, test.reserved);
    ASSERT_FALSE(restored) << test.what;
    EXPECT_EQ(restored.error().code, ErrorCode::failed_precondition) << test.what;
    EXPECT_EQ(restored.error().object, test.object) << test.what;
    EXPECT_NE(restored.error().message.find(test.words), std::string::npos) << restored.error().message;
    EXPECT_NE(restored.error().message.find(test.object), std::string::npos) << restored.error().message;
  }
  EXPECT_TRUE(restore(state,
                      {.eips = 2,
                       .vms = 3,
                       .index_pages = 2,
                       .rules_per_eip = 20,
                       .permit_chunks = 1,
                       .tags_per_eip = 1,
                       .tag_sets = 1},
                      ports))
      << "what just fits";
}

TEST_F(RestoreTest, WhatNoCallCouldHaveMade) {
  const State good = sample();
  const auto refusal = [&](const std::function<void(State&)>& spoil) {
    State bad = good;
    spoil(bad);
    const auto restored = restore(bad);
    return restored ? std::string() : restored.error().message;
  };
  const Ipv4Addr web = ip("203.0.113.1");
  EXPECT_NE(
      refusal([&](State& s) { s.eips.at(web).vm = "none"; }).find("tenants/acme/vms/none does not exist"),
      std::string::npos);
  EXPECT_NE(refusal([&](State& s) { s.eips.at(ip("203.0.113.2")).vm = "web"; }).find("has another EIP"),
            std::string::npos);
  EXPECT_NE(refusal([&](State& s) { s.pools.erase("p"); }).find("no local pool hands this address out"),
            std::string::npos);
  EXPECT_NE(refusal([&](State& s) { s.pools.at("q").prefix = net("203.0.0.0/16"); }).find("overlaps"),
            std::string::npos);
  EXPECT_NE(refusal([&](State& s) {
              s.vms.at({"acme", "web"}).dip = s.vms.at({"acme", "db"}).dip;
            }).find("private address"),
            std::string::npos);
  EXPECT_NE(
      refusal([&](State& s) { s.eips.at(web).permit = {{.name = "a", .protocol = 59}}; }).find("protocol 59"),
      std::string::npos);
}

// Any history and a restart after it: both models give the same answers to the same further calls.
TEST_F(RestoreTest, RandomHistories) {
  const EndpointPorts ports{
      {"vms", {}},
      {"hosts", {.ipv4 = TunnelEnd{ip("203.0.113.200"), net("203.0.113.0/24"), false}, .ipv6 = {}}}};
  for (uint32_t seed = 1; seed <= 20; ++seed) {
    std::mt19937 generator(seed);
    const auto pick = [&](uint32_t count) { return static_cast<uint32_t>(generator() % count); };
    const Limits limits{.eips = 12,
                        .vms = 14,
                        .permit_chunks = 6,
                        .links = 4,
                        .tunnel_remotes = 2,
                        .tag_sets = 4,
                        .quarantine_ms = 50};
    Model model(limits, ports);
    int64_t clock = now;
    // One random call; an error is an answer, too.
    const auto call = [&](const Model& on, std::mt19937 choices) -> std::pair<ChangeSet, std::string> {
      const auto choose = [&](uint32_t count) { return static_cast<uint32_t>(choices() % count); };
      const VmKey key{choose(2) == 0 ? "acme" : "umbrella", "vm-" + std::to_string(choose(9))};
      const Ipv4Addr address = Ipv4Addr::from_host(0xcb007100 + choose(16));
      const auto answer = [](const auto& plan) -> std::pair<ChangeSet, std::string> {
        if (!plan) return {{}, plan.error().message};
        return {plan->changes, ""};
      };
      const auto location = [&]() -> Location {
        const auto number = static_cast<uint16_t>(1 + choose(3));
        switch (choose(3)) {
          case 0:
            return {"vms", mac("02:00:00:00:00:01"), {}};
          case 1:
            return {choose(2) == 0 ? "vms" : "hosts", mac("02:00:00:00:00:01"), VlanTags{number, 0}};
          default: {
            const auto remote = Ipv4Addr::from_host(0xcb007100 + 5 * choose(4));  // pools may hold it
            return {"hosts", mac("02:00:00:00:00:01"), Tunnel{TunnelProtocol::vxlan, remote, number}};
          }
        }
      };
      switch (choose(10)) {
        case 9:
          return answer(on.plan_move_vm(key, location()));
        case 0: {
          Vm next = vm(key.first, key.second);
          next.location = location();
          next.dip = Ipv4Addr::from_host(0x0a000000 + choose(12));
          if (choose(3) == 0) next.dip = Ipv4Addr::from_host(0xcb007100 + choose(16));  // of a pool
          if (choose(2) == 0) next.dip6 = Ipv6Addr::of(0x20010db800000000, choose(16));
          return answer(on.plan_create_vm(next));
        }
        case 1:
          return answer(on.plan_delete_vm(key));
        case 2: {
          const uint32_t part = choose(4);
          return answer(on.plan_create_pool(
              {"p-" + std::to_string(part),
               Ipv4Prefix(Ipv4Addr::from_host(0xcb007100 + 4 * part), static_cast<uint8_t>(29 + choose(3))),
               PoolKind::local}));
        }
        case 3:
          return answer(on.plan_delete_pool("p-" + std::to_string(choose(6))));
        case 4:
          return answer(
              on.plan_request_eip(key, "", clock, choose(2) == 0 ? IpFamily::ipv4 : IpFamily::ipv6));
        case 5: {
          const Ipv6Addr address6 = Ipv6Addr::of(0x20010db800000000, choose(16));
          return answer(on.plan_release_eip(key.first, choose(2) == 0 ? IpAddr(address) : address6, clock));
        }
        case 8: {
          const uint32_t part = choose(2);
          return answer(on.plan_create_pool(
              {"p-" + std::to_string(4 + part),
               Ipv6Prefix(Ipv6Addr::of(0x20010db800000000, uint64_t{8} * part), 125), PoolKind::local}));
        }
        case 6: {
          std::vector<PermitRule> rules;
          for (uint32_t i = 9 * choose(6); i > 0; --i) rules.push_back(tracked("r-" + std::to_string(i)));
          return answer(on.plan_set_permit_list(key.first, address, rules, choose(2) == 0));
        }
        default: {
          std::set<std::string> tags;
          for (uint32_t i = choose(3); i > 0; --i) tags.insert("t-" + std::to_string(i));
          return answer(on.plan_set_tag(key.first, address, tags));
        }
      }
    };
    State replayed;
    for (int step = 0; step < 400; ++step) {
      clock += pick(10);
      const std::mt19937 choices(generator());
      const auto [changes, refusal] = call(model, choices);
      if (step % 7 == 0) {
        Model restarted(limits, ports);
        const auto restored = restarted.restore(model.state());
        ASSERT_TRUE(restored) << "seed " << seed << " step " << step << ": " << restored.error().message;
        const auto [changes_after, refusal_after] = call(restarted, choices);
        ASSERT_EQ(refusal_after, refusal) << "seed " << seed << " step " << step;
        ASSERT_EQ(changes_after, changes) << "seed " << seed << " step " << step;
      }
      model.apply(changes);
      apply(replayed, changes);
      ASSERT_EQ(replayed, model.state());
    }
    EXPECT_GT(model.state().generation, 50U);
  }
}

TEST_F(RestoreTest, LargeStateIsCheap) {
  const Limits limits{.eips = 200'000, .vms = 200'000};
  State state;
  state.pools["p"] = pool("p", "100.64.0.0/12");
  state.generation = 1;
  for (uint32_t i = 0; i < 100'000; ++i) {
    Vm next = vm("acme", "vm-" + std::to_string(i));
    next.dip = Ipv4Addr::from_host(0x0a000000 + i);
    Eip eip;
    eip.address = Ipv4Addr::from_host(0x64400001 + i);
    eip.tenant = "acme";
    eip.vm = next.id;
    eip.permit = {outbound("out"), rule("web")};
    state.vms.emplace(VmKey{next.tenant, next.id}, next);
    state.eips.emplace(eip.address, eip);
  }
  Model fresh(limits, {{"vms", {}}});
  const auto start = std::chrono::steady_clock::now();
  ASSERT_TRUE(fresh.restore(std::move(state)));
  EXPECT_LT(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), 10);
  EXPECT_EQ(fresh.state().eips.size(), 100'000U);
}

TEST_F(RestoreTest, TheStateIsLookedAtMeanwhile) {
  const State state = sample();
  for (const bool is_bad : {false, true}) {
    State next = state;
    if (is_bad) next.vms.begin()->second.location.port = "none";
    State seen;
    Model fresh(Limits(), {{"vms", {}}, {"more", {}}});
    EXPECT_EQ(fresh.restore(next, [&](const State& checked) { seen = checked; }).has_value(), !is_bad);
    EXPECT_EQ(seen, next);
    EXPECT_EQ(fresh.state(), is_bad ? State() : next);
    const auto broken = [](const State&) { throw std::runtime_error("broken"); };
    if (is_bad) continue;
    EXPECT_THROW(static_cast<void>(fresh.restore(next, broken)), std::runtime_error);
  }
}

}  // namespace
}  // namespace portcullis::model
