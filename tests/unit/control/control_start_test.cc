// What a start makes of the store and of the configuration.
#include <sched.h>

#include "tests/unit/control/control_fixture.h"

namespace portcullis {
namespace {

TEST(Control, ARestartPublishesWhatTheStoreHas) {
  Disk disk;
  model::State before;
  {
    Gateway gateway(disk);
    gateway.start();
    gateway.populate();
    ASSERT_TRUE(gateway.set_permit_list({http, out}));
    before = gateway.state();
  }
  Gateway gateway(disk);
  gateway.start();
  EXPECT_EQ(gateway.state(), before);
  const BindingRecord* record = gateway.plane.find(View::edge, web_eip);
  ASSERT_NE(record, nullptr);
  EXPECT_EQ(record->rule_count, 2u);
  EXPECT_EQ(record->ipv4.terms.incarnation, 3u);
}

// Pools that the configuration changes come first, and then everything is published.
TEST(Control, ARestartWithOtherPoolsPublishesWhatTheStoreHas) {
  Disk disk;
  {
    Gateway gateway(disk);
    gateway.start();
    gateway.populate();
    ASSERT_TRUE(gateway.set_permit_list({http, out}));
  }
  const model::Pool smaller{"public", *Ipv4Prefix::parse("203.0.113.0/25"), PoolKind::local};
  const model::Pool another{"another", *Ipv4Prefix::parse("203.0.113.128/25"), PoolKind::provider};
  Gateway gateway(disk, {.pools = {another, smaller}, .tick = 1h});
  gateway.start();
  EXPECT_NE(gateway.plane.find(View::edge, web_eip), nullptr);
  EXPECT_TRUE(gateway.plane.is(View::local, Ipv4Addr::of(203, 0, 113, 200), IndexEntry::provider));
  EXPECT_EQ(gateway.state().pools.size(), 2u);
}

TEST(Control, ConfiguredPoolsExistOnce) {
  Disk disk;
  Gateway(disk).start();
  EXPECT_EQ(disk.log.size(), 1u);
  Gateway(disk).start();
  EXPECT_EQ(disk.log.size(), 1u);
}

TEST(Control, PoolsFollowTheConfigurationAsFarAsTheirEipsAllow) {
  Disk disk;
  const auto start_with = [&](const char* prefix, PoolKind kind, const char* other = nullptr) {
    std::vector<model::Pool> pools{{"public", *IpPrefix::parse(prefix), kind}};
    if (other != nullptr) pools.push_back({"other", *IpPrefix::parse(other), PoolKind::local});
    Gateway gateway(disk, {.pools = pools});
    if (auto started = gateway.control.start(); !started) return std::string(started.error().message);
    return gateway.state().pools.at("public").prefix.to_string();
  };
  for (const char* prefix : {"2001:db8::/112", "2001:db8::/111", "2001:db8::/112"})
    EXPECT_EQ(start_with(prefix, PoolKind::local), prefix);
  EXPECT_EQ(start_with("198.51.100.0/24", PoolKind::provider), "198.51.100.0/24") << "nothing is in it";
  EXPECT_EQ(start_with("203.0.113.0/24", PoolKind::local), "203.0.113.0/24");
  {
    Gateway gateway(disk);
    gateway.start();
    gateway.populate();
  }
  EXPECT_EQ(start_with("203.0.113.0/30", PoolKind::local), "203.0.113.0/30");
  EXPECT_EQ(start_with("203.0.112.0/23", PoolKind::local), "203.0.112.0/23");
  // One grows into what another, that is named after it, gives up.
  EXPECT_EQ(start_with("203.0.113.0/24", PoolKind::local, "203.0.112.0/24"), "203.0.113.0/24");
  EXPECT_EQ(start_with("203.0.112.0/23", PoolKind::local, "203.0.114.0/24"), "203.0.112.0/23");
  const size_t log = disk.log.size();
  EXPECT_NE(start_with("203.0.113.128/25", PoolKind::local).find("release that first"), std::string::npos);
  EXPECT_NE(start_with("203.0.112.0/23", PoolKind::provider).find("release them first"), std::string::npos);
  EXPECT_EQ(disk.log.size(), log);
}

TEST(Control, ConfiguredPoolsAreNotTheApis) {
  Disk disk;
  Gateway gateway(disk);
  gateway.start();
  const auto refused = [&](auto plan) {
    const auto done = gateway.control.change({}, [&](model::Draft& draft) {
      return draft.carry_out(plan(draft.model())).map([](const auto&) { return model::Nothing{}; });
    });
    return !done && done.error().code == ErrorCode::failed_precondition;
  };
  EXPECT_TRUE(refused([](const model::Model& model) {
    return model.plan_update_pool("public", *Ipv4Prefix::parse("203.0.112.0/23"));
  }));
  EXPECT_TRUE(refused([](const model::Model& model) { return model.plan_delete_pool("public"); }));
  const auto unchanged = gateway.control.change({}, [](model::Draft& draft) {
    return draft.carry_out(draft.model().plan_update_pool("public", pool.prefix));
  });
  EXPECT_TRUE(unchanged);
}

TEST(Control, AStateThatDoesNotFitStopsTheStart) {
  Disk disk;
  {
    Gateway gateway(disk);
    gateway.start();
    gateway.populate();
    ASSERT_TRUE(gateway.create_vm("db", Ipv4Addr::of(10, 0, 0, 2)));
  }
  Gateway gateway(disk, {.pools = {pool}}, {.vms = 1});
  const auto started = gateway.control.start();
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, ErrorCode::failed_precondition);
  EXPECT_EQ(gateway.control.run([](const Control::View&) {}).error().code, ErrorCode::unavailable);
}

// What is stored is published while it is checked, and must not hurt where it would not pass.
TEST(Control, AStateThatNoCallCouldHaveMadeStopsTheStart) {
  const auto put = [](model::Vm vm, const IpAddr& address) {
    model::Eip eip{.address = address, .tenant = vm.tenant, .vm = vm.id, .permit = {http}};
    return std::vector<model::Change>{model::PutPool{pool}, model::PutVm{std::move(vm)},
                                      model::PutEip{std::move(eip)}};
  };
  const model::Vm vm{"acme", "web", {"vms", Mac{{2, 0, 0, 0, 0, 1}}}, web_dip};
  model::Vm elsewhere = vm, of_another = vm;
  elsewhere.location.port = "none";
  std::vector<model::Change> without_vm = put(vm, web_eip);
  without_vm.erase(without_vm.begin() + 1);
  std::vector<model::Change> twice = put(vm, web_eip);
  of_another.id = "db";
  for (const model::Change& change : put(of_another, Ipv4Addr::of(203, 0, 113, 2))) twice.push_back(change);
  for (const auto& [what, changes] :
       {std::pair("outside the pools", put(vm, Ipv4Addr::of(198, 51, 100, 1))),
        std::pair("of a family that its vm has not", put(vm, *Ipv6Addr::parse("2001:db8::1"))),
        std::pair("on a port that is not there", put(elsewhere, web_eip)), std::pair("of no vm", without_vm),
        std::pair("two vms at one place", twice)}) {
    Disk disk;
    disk.log.push_back({1, changes});
    Gateway gateway(disk);
    const auto started = gateway.control.start();
    ASSERT_FALSE(started) << what;
    EXPECT_EQ(started.error().code, ErrorCode::failed_precondition) << what;
    EXPECT_EQ(disk.log.size(), 1u) << what;
  }
}

TEST(Control, TheWorkersCpusAreOnlyTheStarts) {
  const auto affinity = [] {
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    EXPECT_EQ(sched_getaffinity(0, sizeof cpus, &cpus), 0);
    return cpus;
  };
  const cpu_set_t all = affinity();
  if (CPU_COUNT(&all) < 2) GTEST_SKIP() << "one CPU";
  std::vector<uint32_t> cpus;
  for (uint32_t cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &all)) cpus.push_back(cpu);
  cpu_set_t own;
  CPU_ZERO(&own);
  CPU_SET(cpus[0], &own);
  ASSERT_EQ(sched_setaffinity(0, sizeof own, &own), 0);
  Disk disk;
  int count_while_reading = 0;
  disk.on_load = [&] {
    const cpu_set_t now = affinity();
    count_while_reading = CPU_COUNT(&now);
  };
  Gateway gateway(disk, {.pools = {pool}, .tick = 1h, .start_cpus = {cpus[1]}});
  gateway.start();
  const auto of_control = gateway.control.run([&](Control::View) { return affinity(); });
  const cpu_set_t after = affinity();
  EXPECT_EQ(sched_setaffinity(0, sizeof all, &all), 0);
  EXPECT_EQ(count_while_reading, 2);
  EXPECT_TRUE(CPU_EQUAL(&after, &own));
  ASSERT_TRUE(of_control);
  EXPECT_TRUE(CPU_EQUAL(&*of_control, &own)) << "the control thread stays where it belongs";
}

}  // namespace
}  // namespace portcullis
