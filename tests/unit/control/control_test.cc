#include <numeric>

#include "tests/unit/control/control_fixture.h"

namespace portcullis {
namespace {

TEST(Control, CarriesACallToTheDataPlane) {
  Disk disk;
  Gateway gateway(disk);
  gateway.start();
  gateway.populate();
  const BindingRecord* record = gateway.plane.find(View::local, web_eip);
  ASSERT_NE(record, nullptr);
  EXPECT_EQ(gateway.plane.find(PortId{1}, web_dip), record);
  EXPECT_EQ(gateway.plane.find(View::edge, web_eip), nullptr);

  const auto set = gateway.set_permit_list({http});
  ASSERT_TRUE(set);
  EXPECT_EQ(set->generation, 4u);  // pool, vm, EIP, list
  EXPECT_EQ(set->reply.permit, std::vector{http});
  record = gateway.plane.find(View::edge, web_eip);
  ASSERT_NE(record, nullptr);
  EXPECT_EQ(record->rule_count, 1u);
  EXPECT_EQ(record->ipv4.terms.list_generation, 4u);
  EXPECT_EQ(disk.state(), gateway.state());
}

TEST(Control, ARepeatChangesNothingAndIsAnsweredAlike) {
  Disk disk;
  Gateway gateway(disk);
  gateway.start();
  gateway.populate();
  const auto first = gateway.set_permit_list({http});
  ASSERT_TRUE(first);
  const size_t records = disk.log.size();
  const auto second = gateway.set_permit_list({http});
  ASSERT_TRUE(second);
  EXPECT_EQ(second->generation, first->generation);
  EXPECT_EQ(second->reply, first->reply);
  EXPECT_EQ(disk.log.size(), records);
}

TEST(Control, ARefusedPlanChangesNothing) {
  Disk disk;
  Gateway gateway(disk);
  gateway.start();
  gateway.populate();
  const model::State before = gateway.state();
  const auto deleted = gateway.mutate([](const model::Model& m) { return m.plan_delete_vm(web); });
  ASSERT_FALSE(deleted);
  EXPECT_EQ(deleted.error().code, ErrorCode::failed_precondition);
  EXPECT_EQ(gateway.state(), before);
  EXPECT_EQ(disk.state(), before);
}

TEST(Control, AFailedAppendLeavesEverythingAsBefore) {
  Disk disk;
  Gateway gateway(disk);
  gateway.start();
  gateway.populate();
  ASSERT_TRUE(gateway.set_permit_list({http}));
  const model::State before = gateway.state();
  const BindingRecord* record = gateway.plane.find(View::edge, web_eip);

  disk.is_full = true;
  const auto refused = gateway.set_permit_list({});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::unavailable);
  EXPECT_EQ(gateway.state(), before);
  EXPECT_EQ(disk.state(), before);
  EXPECT_EQ(gateway.plane.find(View::edge, web_eip), record);
  EXPECT_FALSE(gateway.create_vm("db", Ipv4Addr::of(10, 0, 0, 2)));
  EXPECT_EQ(gateway.state(), before);

  // What was placed for them has gone again.
  const uint32_t room = gateway.plane.tables->binding.free_slots();
  for (uint32_t n = 0; n <= room; ++n) ASSERT_FALSE(gateway.set_permit_list({out}));
  EXPECT_EQ(gateway.plane.tables->binding.free_slots(), room);
  EXPECT_EQ(gateway.plane.find(View::edge, web_eip), record);

  disk.is_full = false;
  const auto set = gateway.set_permit_list({});
  ASSERT_TRUE(set);
  EXPECT_EQ(set->generation, before.generation + 1);
  EXPECT_EQ(gateway.plane.find(View::edge, web_eip), nullptr);
}

uint64_t times(const Durations& durations) {
  const Durations::Counted counted = durations.counted();
  return std::accumulate(counted.times.begin(), counted.times.end(), uint64_t{0});
}

// Of changes that are enforced, and of nothing else: the store's share apart from the rest.
TEST(Control, ChangesAreTimed) {
  Disk disk;
  Gateway gateway(disk);
  gateway.start();
  gateway.populate();
  const ChangeDurations& durations = gateway.control.durations();
  const uint64_t before = times(durations.storing);
  EXPECT_EQ(before, gateway.state().generation - 1) << "all but the pool, which was there at the start";
  EXPECT_EQ(times(durations.publishing), before);

  disk.on_append = [] { std::this_thread::sleep_for(30ms); };
  const auto stored_before = durations.storing.counted().total;
  ASSERT_TRUE(gateway.set_permit_list({http}));
  EXPECT_EQ(times(durations.storing), before + 1);
  EXPECT_EQ(times(durations.publishing), before + 1);
  EXPECT_GE(durations.storing.counted().total - stored_before, 30ms);
  EXPECT_GT(durations.publishing.counted().total, 0ns);

  ASSERT_TRUE(gateway.set_permit_list({http}));  // a repeat
  disk.is_full = true;
  ASSERT_FALSE(gateway.set_permit_list({}));
  EXPECT_EQ(times(durations.storing), before + 1);
  EXPECT_EQ(times(durations.publishing), before + 1);
}

TEST(Control, WhatCannotBeCompiledIsRefusedBeforeItIsStored) {
  Disk disk;
  Gateway gateway(disk);
  gateway.start();
  gateway.populate();
  const model::State before = gateway.state();
  const auto put = gateway.control.change({}, put_eip_of_no_vm);
  ASSERT_FALSE(put);
  EXPECT_EQ(put.error().code, ErrorCode::internal);
  EXPECT_EQ(gateway.state(), before);
  EXPECT_EQ(disk.state(), before);
  EXPECT_TRUE(gateway.set_permit_list({http}));
}

// What a list has replaced is free before anybody asks.
TEST(Control, WhatWasReplacedIsPutAwayBeforeTheNextJob) {
  Disk disk;
  Gateway gateway(disk);
  gateway.start();
  gateway.populate();
  std::optional<uint64_t> used;
  for (uint16_t round = 1; round <= 5; ++round) {
    std::vector<model::PermitRule> list;
    for (uint16_t n = 1; n <= 30; ++n)
      list.push_back(
          {.name = "r" + std::to_string(n),
           .remote = model::AnyRemote{},
           .protocol = 6,
           .local_ports = {static_cast<uint16_t>(100 * round + n), static_cast<uint16_t>(100 * round + n)}});
    ASSERT_TRUE(gateway.set_permit_list(list));
    const auto now = *gateway.control.run(
        [](const Control::View& view) { return view.publisher.totals().permit_chunks_used; });
    EXPECT_GT(now, 0u);
    EXPECT_EQ(now, used.value_or(now));
    used = now;
  }
}

// So it is stored, and not enforced.
TEST(Control, WhatIsStoredAndNotEnforcedIsAcknowledgedByNoCall) {
  Disk disk;
  Gateway gateway(disk);
  gateway.start();
  gateway.populate();
  const model::Generation before = gateway.state().generation;
  const auto put = gateway.control.change({}, put_endpoint_of_no_port);
  ASSERT_FALSE(put);
  EXPECT_EQ(put.error().code, ErrorCode::internal);
  EXPECT_NE(put.error().message.find("generation " + std::to_string(before + 1) +
                                     " is stored but not enforced in full; restart the gateway"),
            std::string::npos)
      << put.error().message;
  EXPECT_EQ(disk.state().generation, before + 1);

  for (const auto& next : {gateway.set_permit_list({http}), gateway.set_permit_list({})}) {
    ASSERT_FALSE(next);
    EXPECT_EQ(next.error().message, put.error().message);
  }
  EXPECT_EQ(disk.state().generation, before + 1) << "nothing else was stored";
}

TEST(Control, AnotherGenerationThanExpectedIsRefused) {
  Disk disk;
  Gateway gateway(disk);
  gateway.start();
  gateway.populate();
  const auto expecting = [&](model::Generation generation) {
    return gateway.mutate([](const model::Model& m) { return m.plan_set_tag("acme", web_eip, {"web"}); },
                          {.expected_generation = generation});
  };
  const auto refused = expecting(2);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::failed_precondition);
  EXPECT_EQ(refused.error().field, "expected_generation");
  EXPECT_NE(refused.error().message.find("generation 3, and 2"), std::string::npos);
  EXPECT_EQ(gateway.state().generation, 3u);
  EXPECT_EQ(expecting(3)->generation, 4u);
  EXPECT_FALSE(expecting(3)) << "what would change nothing, too";
}

TEST(Control, ADryRunAnswersAndChangesNothing) {
  Disk disk;
  Gateway gateway(disk);
  gateway.start();
  gateway.populate();
  const model::State before = gateway.state();
  const auto tagged = gateway.mutate(
      [](const model::Model& m) { return m.plan_set_tag("acme", web_eip, {"web"}); }, {.dry_run = true});
  ASSERT_TRUE(tagged);
  EXPECT_EQ(tagged->reply.tags, std::set<std::string>{"web"});
  EXPECT_EQ(tagged->generation, before.generation);
  EXPECT_EQ(gateway.state(), before);
  EXPECT_EQ(disk.state(), before);
}

// Many plans in one: one record, one generation, and none of them if one is refused.
TEST(Control, ADraftOfManyPlansIsOneChange) {
  Disk disk;
  Gateway gateway(disk);
  gateway.start();
  const auto make = [&](Ipv4Addr second_dip) {
    return gateway.control.change({}, [&](model::Draft& draft) -> Expected<model::Eip> {
      for (const auto& [id, dip] : {std::pair("web", web_dip), std::pair("db", second_dip)}) {
        auto made = draft.carry_out(
            draft.model().plan_create_vm({"acme", id, {"vms", Mac{{2, 0, 0, 0, 0, 1}}}, dip}));
        if (!made) return Unexpected(std::move(made.error()));
      }
      return draft.carry_out(draft.model().plan_request_eip(web, "", 0));
    });
  };
  const model::State before = gateway.state();
  EXPECT_FALSE(make(web_dip));
  EXPECT_EQ(gateway.state(), before);
  EXPECT_EQ(disk.log.size(), 1u);
  const auto made = make(Ipv4Addr::of(10, 0, 0, 2));
  ASSERT_TRUE(made);
  EXPECT_EQ(made->generation, 2u);
  EXPECT_EQ(disk.log.size(), 2u);
  EXPECT_EQ(disk.state(), gateway.state());
  EXPECT_NE(gateway.plane.find(View::local, web_eip), nullptr);
}

TEST(Control, IsDurableBeforeItIsSeen) {
  Disk disk;
  Gateway gateway(disk);
  gateway.start();
  gateway.populate();
  bool seen_before_stored = false;
  disk.on_append = [&] { seen_before_stored = gateway.plane.find(View::edge, web_eip) != nullptr; };
  ASSERT_TRUE(gateway.set_permit_list({http}));
  EXPECT_FALSE(seen_before_stored);
  disk.on_append = [] {};
}

TEST(Control, ManyChangesAreDurableBeforeTheyAreSeenAndNoneIsIfTheDiskRefuses) {
  Disk disk;
  Gateway gateway(disk);
  gateway.start();
  gateway.populate();
  constexpr uint8_t last_with_eip = 40;
  const auto make_many = [&] {
    return gateway.control.change({}, [&](model::Draft& draft) -> Expected<model::Eip> {
      for (uint8_t n = 2; n < 150; ++n) {
        auto made = draft.carry_out(draft.model().plan_create_vm(
            {"acme", "vm" + std::to_string(n), {"vms", Mac{{2, 0, 0, 0, 0, 1}}}, Ipv4Addr::of(10, 0, 0, n)}));
        if (!made) return Unexpected(std::move(made.error()));
        if (n > last_with_eip) continue;  // tables are small
        auto bound =
            draft.carry_out(draft.model().plan_request_eip({"acme", "vm" + std::to_string(n)}, "", 0));
        if (!bound) return bound;
      }
      return draft.carry_out(draft.model().plan_set_permit_list("acme", web_eip, {http}, false));
    });
  };
  const auto is_seen = [&] {
    return gateway.plane.find(View::edge, web_eip) != nullptr ||
           gateway.plane.find(View::local, Ipv4Addr::of(203, 0, 113, 2)) != nullptr;
  };
  bool seen_before_stored = false;
  disk.on_append = [&] {
    std::this_thread::sleep_for(50ms);
    seen_before_stored = seen_before_stored || is_seen();
  };
  const model::State before = gateway.state();
  disk.is_full = true;
  EXPECT_FALSE(make_many());
  EXPECT_FALSE(is_seen());
  EXPECT_EQ(gateway.state(), before);

  disk.is_full = false;
  const auto made = make_many();
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_FALSE(seen_before_stored);
  EXPECT_TRUE(is_seen());
  EXPECT_EQ(made->generation, before.generation + 1);
  EXPECT_EQ(disk.state(), gateway.state());
  for (uint8_t n = 1; n <= last_with_eip; ++n)
    EXPECT_NE(gateway.plane.find(View::local, Ipv4Addr::of(203, 0, 113, n)), nullptr) << int{n};
  disk.on_append = [] {};
}

// --- jobs ---

TEST(Control, RunCarriesValuesErrorsAndNothing) {
  Disk disk;
  Gateway gateway(disk);
  gateway.start();
  Control& control = gateway.control;
  const Expected<int> value = control.run([](const Control::View&) { return 7; });
  EXPECT_EQ(value, 7);
  const Expected<int> error = control.run(
      [](const Control::View&) -> Expected<int> { return fail(ErrorCode::not_found, "no such thing"); });
  ASSERT_FALSE(error);
  EXPECT_EQ(error.error().code, ErrorCode::not_found);
  bool ran = false;
  const Expected<void> nothing = control.run([&](const Control::View&) { ran = true; });
  EXPECT_TRUE(nothing);
  EXPECT_TRUE(ran);
}

TEST(Control, IsUnavailableBeforeAndAfter) {
  Disk disk;
  Gateway gateway(disk);
  EXPECT_EQ(gateway.create_vm("web", web_dip).error().code, ErrorCode::unavailable);
  gateway.start();
  EXPECT_TRUE(gateway.create_vm("web", web_dip));
  gateway.control.stop();
  EXPECT_EQ(gateway.create_vm("db", Ipv4Addr::of(10, 0, 0, 2)).error().code, ErrorCode::unavailable);
  gateway.control.stop();  // once more is nothing more
}

TEST(Control, CallsFromManyThreadsAreOneAfterAnother) {
  Disk disk;
  Gateway gateway(disk);
  gateway.start();
  std::atomic<int> done = 0;
  {
    std::vector<std::jthread> callers;
    for (uint32_t caller = 0; caller < 8; ++caller)
      callers.emplace_back([&, caller] {
        for (uint32_t n = 0; n < 25; ++n) {
          const uint32_t serial = caller * 25 + n;
          if (gateway.create_vm("vm" + std::to_string(serial), Ipv4Addr::from_host(0x0a000001 + serial)))
            ++done;
        }
      });
  }
  EXPECT_EQ(done, 200);
  EXPECT_EQ(gateway.state().vms.size(), 200u);
  EXPECT_EQ(gateway.state().generation, 201u);
  for (size_t n = 0; n < disk.log.size(); ++n) EXPECT_EQ(disk.log[n].generation, n + 1);
}

TEST(Control, StopAnswersWhatWasHandedOver) {
  Disk disk;
  Gateway gateway(disk);
  gateway.start();
  std::atomic<int> answered = 0, carried_out = 0;
  {
    std::vector<std::jthread> callers;
    for (uint32_t caller = 0; caller < 8; ++caller)
      callers.emplace_back([&, caller] {
        for (uint32_t n = 0; n < 50; ++n) {
          const uint32_t serial = caller * 50 + n;
          const auto made =
              gateway.create_vm("vm" + std::to_string(serial), Ipv4Addr::from_host(0x0a000001 + serial));
          ++answered;
          if (made) ++carried_out;
        }
      });
    std::this_thread::sleep_for(2ms);
    gateway.control.stop();
  }
  EXPECT_EQ(answered, 400);
  EXPECT_EQ(disk.state().vms.size(), static_cast<size_t>(carried_out)) << "acknowledged is what is stored";
}

// --- what nobody calls for ---

TEST(Control, KeptEntriesHoldTheBindingUntilTheyAreGone) {
  Disk disk;
  Gateway gateway(disk, {.pools = {pool}, .tick = 5ms});
  gateway.start();
  gateway.populate();
  ASSERT_TRUE(gateway.set_permit_list({http}));
  gateway.plane.open_flows(gateway.plane.find(View::local, web_eip)->id, 2);
  const auto kept = gateway.set_permit_list({}, true);
  ASSERT_TRUE(kept) << kept.error().message;
  std::this_thread::sleep_for(50ms);  // several ticks
  EXPECT_TRUE(gateway.state().eips.at(web_eip).keep_established);
  EXPECT_NE(gateway.plane.find(View::edge, web_eip), nullptr);

  gateway.plane.age_all_flows();
  EXPECT_TRUE(gateway.eventually([&] { return !gateway.state().eips.at(web_eip).keep_established; }));
  EXPECT_EQ(gateway.plane.find(View::edge, web_eip), nullptr);
  const model::Eip eip = gateway.state().eips.at(web_eip);
  EXPECT_EQ(eip.kept_from, eip.list_generation);
  EXPECT_EQ(disk.state(), gateway.state());
}

TEST(Control, ARestartForgetsTheEntriesAndEndsKeeping) {
  Disk disk;
  {
    Gateway gateway(disk);
    gateway.start();
    gateway.populate();
    ASSERT_TRUE(gateway.set_permit_list({http}));
    ASSERT_TRUE(gateway.set_permit_list({}, true));
  }
  Gateway gateway(disk, {.pools = {pool}, .tick = 5ms});
  gateway.start();
  EXPECT_TRUE(gateway.eventually([&] { return !gateway.state().eips.at(web_eip).keep_established; }));
}

TEST(Control, ALongLogIsCompacted) {
  Disk disk;
  Gateway gateway(disk, {.pools = {pool}, .compact_after = 10, .tick = 5ms});
  gateway.start();
  for (uint32_t n = 0; n < 12; ++n)
    ASSERT_TRUE(gateway.create_vm("vm" + std::to_string(n), Ipv4Addr::from_host(0x0a000001 + n)));
  EXPECT_TRUE(gateway.eventually([&] { return disk.compactions > 0; }));
  gateway.control.stop();
  EXPECT_EQ(disk.state().vms.size(), 12u);
  EXPECT_LE(disk.log.size(), 10u);
}

// By bytes it is no oftener than the snapshot is long.
TEST(Control, ALogOfManyBytesIsCompacted) {
  for (const uint64_t snapshot_bytes : {0, 1500}) {
    SCOPED_TRACE(snapshot_bytes);
    Disk disk;
    disk.snapshot_bytes = snapshot_bytes;
    Gateway gateway(disk, {.pools = {pool}, .compact_after_bytes = 500, .tick = 5ms});
    gateway.start();
    for (uint32_t n = 0; n < 12; ++n)
      ASSERT_TRUE(gateway.create_vm("vm" + std::to_string(n), Ipv4Addr::from_host(0x0a000001 + n)));
    std::this_thread::sleep_for(20ms);
    EXPECT_EQ(disk.compactions > 0, snapshot_bytes == 0);
  }
}

// Jobs that wait go before it, but not for ever; what their changes replace is set aside.
TEST(Control, CompactionGoesOnBetweenJobs) {
  Disk disk;
  Gateway gateway(disk, {.pools = {pool}, .compact_after = 1, .tick = 1h});
  gateway.start();
  gateway.populate();
  std::atomic<bool> is_done = false;
  std::vector<std::thread> busy(3);
  for (std::thread& thread : busy)
    thread = std::thread([&] {
      while (!is_done) static_cast<void>(gateway.state());
    });
  for (int n = 0; n < 200; ++n)
    ASSERT_TRUE(gateway.set_permit_list(n % 2 == 0 ? std::vector{http} : std::vector{out}));
  EXPECT_TRUE(gateway.eventually([&] { return disk.compactions > 1; }));
  is_done = true;
  for (std::thread& thread : busy) thread.join();
  const model::State state = gateway.state();
  gateway.control.stop();
  EXPECT_EQ(disk.state(), state);
  ASSERT_FALSE(disk.preserved.empty());
  EXPECT_TRUE(std::holds_alternative<model::PutEip>(disk.preserved.back()));
}

TEST(Control, ACompactionThatFailsRests) {
  Disk disk;
  Gateway gateway(disk, {.pools = {pool}, .tick = 1h});  // which leaves something to compact
  disk.on_append = [&] { disk.is_full = false; };
  gateway.start();
  gateway.control.stop();
  Gateway again(disk, {.pools = {pool}, .compact_after = 0, .tick = 1ms});
  disk.is_full = true;
  again.start();
  EXPECT_TRUE(again.eventually([&] { return disk.failed_compactions > 0; }));
  std::this_thread::sleep_for(50ms);
  EXPECT_EQ(disk.failed_compactions, 1);
  EXPECT_TRUE(again.create_vm("web", web_dip)) << "calls go on";
}

}  // namespace
}  // namespace portcullis
