// Calls that wait one behind another, and are stored together.
#include "control/commit_group.h"

#include <algorithm>
#include <array>
#include <future>
#include <numeric>
#include <set>
#include <stdexcept>

#include "tests/unit/control/control_fixture.h"

namespace portcullis {
namespace {

using model::Draft;

// A gateway with a vm, and calls to it that are to wait for one another.
struct Scene {
  Disk disk;
  Gateway gateway{disk};
  std::vector<std::function<void()>> calls;

  Scene() {
    gateway.start();
    gateway.populate();
    disk.appends = 0;
  }
  auto create_vm(uint8_t number) {
    return gateway.create_vm("vm" + std::to_string(number), Ipv4Addr::of(10, 0, 0, number));
  }
  // Calls that make vms of these numbers, and succeed.
  void add_vms(uint8_t first, uint8_t last) {
    for (uint8_t n = first; n <= last; ++n) calls.emplace_back([this, n] { EXPECT_TRUE(create_vm(n)); });
  }
  // Makes the calls one after another while the control thread is busy, so that they wait in their order, or
  // nearly. The disk has what the gateway has then.
  void make_while_busy() {
    std::promise<void> is_busy, may_go_on;
    std::vector<std::jthread> callers;
    callers.reserve(calls.size() + 1);
    callers.emplace_back([&] {
      EXPECT_TRUE(gateway.control.run([&](Control::View) {
        is_busy.set_value();
        may_go_on.get_future().wait();
      }));
    });
    is_busy.get_future().wait();
    for (const auto& call : calls) {
      callers.emplace_back(call);
      std::this_thread::sleep_for(5ms);
    }
    may_go_on.set_value();
    callers.clear();
    EXPECT_EQ(disk.state(), gateway.state());
  }
};

// Whether that happens which needs all of them to wait together, at the latest in the last of many rounds.
template <typename Round>
bool in_some_round(Round&& round) {
  for (int n = 0; n < 20; ++n)
    if (round()) return true;
  return false;
}

model::Vm vm_of(const std::string& id, uint8_t number) {
  return {"acme", id, {"vms", Mac{{2, 0, 0, 0, 0, 1}}}, Ipv4Addr::of(10, 0, 0, number)};
}

TEST(CommitGroup, CallsThatWaitAreStoredTogetherAndEachIsAChangeOfItsOwn) {
  EXPECT_TRUE(in_some_round([] {
    Scene scene;
    constexpr uint8_t count = 6;
    const model::Generation before = scene.gateway.state().generation;
    const auto times = [&] {
      const auto counted = scene.gateway.control.durations().storing.counted().times;
      return std::accumulate(counted.begin(), counted.end(), uint64_t{0});
    };
    const uint64_t times_before = times();
    std::array<model::Generation, count> generations{};
    for (uint8_t n = 0; n < count; ++n)
      scene.calls.emplace_back([&scene, &generation = generations[n], n] {
        const auto made = scene.create_vm(static_cast<uint8_t>(n + 2));
        ASSERT_TRUE(made) << made.error().message;
        generation = made->generation;
      });
    scene.make_while_busy();
    std::ranges::sort(generations);
    for (uint8_t n = 0; n < count; ++n) EXPECT_EQ(generations[n], before + 1 + n);
    EXPECT_EQ(scene.disk.log.size(), before + count);
    EXPECT_EQ(scene.gateway.control.history().after(before, 100, 0ms).value().size(), size_t{count});
    EXPECT_EQ(times(), times_before + count);
    return scene.disk.appends == 1;
  }));
}

// What a call of a group has drafted, the next one finds; and all are published.
TEST(CommitGroup, EachCallStandsOnThoseBeforeIt) {
  EXPECT_TRUE(in_some_round([&] {
    Scene scene;
    std::atomic<int> made = 0, refused = 0, bound = 0;
    for (uint8_t n = 2; n < 6; ++n)
      scene.calls.emplace_back([&, n] {
        const auto vm = scene.gateway.create_vm("db", Ipv4Addr::of(10, 0, 0, n));
        ++(vm ? made : refused);
        if (!vm) {
          EXPECT_EQ(vm.error().code, ErrorCode::already_exists);
        }
      });
    for (uint8_t n = 10; n < 13; ++n)
      scene.calls.emplace_back([&, n] {
        const std::string id = "vm" + std::to_string(n);
        const auto eip = scene.gateway.control.change({}, [&](Draft& draft) -> Expected<model::Eip> {
          auto vm = draft.carry_out(draft.model().plan_create_vm(vm_of(id, n)));
          if (!vm) return Unexpected(std::move(vm.error()));
          return draft.carry_out(draft.model().plan_request_eip({"acme", id}, "", 0));
        });
        ASSERT_TRUE(eip) << eip.error().message;
        if (scene.gateway.plane.find(View::local, eip->reply.address.v4()) != nullptr) ++bound;
      });
    scene.make_while_busy();
    EXPECT_EQ(made, 1);
    EXPECT_EQ(refused, 3);
    EXPECT_EQ(bound, 3) << "each EIP is another, and enforced before its call is answered";
    return scene.disk.appends == 1;
  }));
}

TEST(CommitGroup, CallsThatTheStoreRefusesTogetherAreMadeOneByOne) {
  EXPECT_TRUE(in_some_round([] {
    Scene scene;
    const model::Generation before = scene.gateway.state().generation;
    scene.disk.most_entries = 1;
    scene.add_vms(2, 5);
    scene.make_while_busy();
    EXPECT_EQ(scene.gateway.state().generation, before + 4);
    return scene.disk.appends == 5;
  }));
}

// Whether they came together or not.
TEST(CommitGroup, WhatCannotBeCompiledTakesNoneOfTheOthersWithIt) {
  for (int round = 0; round < 5; ++round) {
    Scene scene;
    const model::Generation before = scene.gateway.state().generation;
    scene.add_vms(2, 3);
    scene.calls.emplace_back([&] {
      const auto put = scene.gateway.control.change({}, put_eip_of_no_vm);
      ASSERT_FALSE(put);
      EXPECT_EQ(put.error().code, ErrorCode::internal);
    });
    scene.add_vms(4, 5);
    scene.make_while_busy();
    EXPECT_EQ(scene.gateway.state().generation, before + 4);
    EXPECT_TRUE(scene.gateway.set_permit_list({http}));
    EXPECT_NE(scene.gateway.plane.find(View::edge, web_eip), nullptr);
  }
}

TEST(CommitGroup, AFullDiskLeavesEverythingAsBefore) {
  Scene scene;
  const model::State before = scene.gateway.state();
  scene.disk.is_full = true;
  for (uint8_t n = 2; n <= 5; ++n)
    scene.calls.emplace_back([&, n] {
      const auto made = scene.create_vm(n);
      ASSERT_FALSE(made);
      EXPECT_EQ(made.error().code, ErrorCode::unavailable);
    });
  scene.calls.emplace_back([&] { EXPECT_FALSE(scene.gateway.set_permit_list({http})); });
  scene.make_while_busy();
  EXPECT_EQ(scene.gateway.state(), before);
  EXPECT_EQ(scene.gateway.plane.find(View::edge, web_eip), nullptr);
  scene.disk.is_full = false;
  const auto made = scene.create_vm(2);
  ASSERT_TRUE(made);
  EXPECT_EQ(made->generation, before.generation + 1);
  EXPECT_EQ(scene.disk.state(), scene.gateway.state());
}

TEST(CommitGroup, ARequestThatIsMadeTwiceAtOnceIsCarriedOutOnce) {
  Scene scene;
  const RequestId request{.caller = "provider", .id = "1", .fingerprint = 7};
  const RequestId another{.caller = "provider", .id = "1", .fingerprint = 8};
  std::atomic<int> carried_out = 0, refused = 0;
  const auto set_tag = [&](const RequestId& id) {
    return scene.gateway.control.change_once({}, id, [&](Draft& draft) {
      ++carried_out;
      return draft.carry_out(draft.model().plan_set_tag("acme", web_eip, {"a"})).map([&](const model::Eip&) {
        return "at " + std::to_string(draft.generation());
      });
    });
  };
  ASSERT_TRUE(set_tag(request));
  RequestId next = request;
  next.id = "2";
  std::array<std::string, 5> answers;
  for (std::string& answer : answers) scene.calls.emplace_back([&] { answer = set_tag(next).value(); });
  scene.calls.emplace_back([&] {
    if (!set_tag(another)) ++refused;
  });
  carried_out = 0;
  scene.make_while_busy();
  EXPECT_EQ(carried_out, 1);
  EXPECT_EQ(refused, 1);
  for (const std::string& answer : answers) EXPECT_EQ(answer, answers[0]);
  EXPECT_EQ(scene.disk.requests.size(), 2u);
}

// Dry runs, drafts that come to nothing and edits that throw, among others.
TEST(CommitGroup, WhatIsTakenBackLeavesTheOthersAlone) {
  Scene scene;
  const model::Generation before = scene.gateway.state().generation;
  for (uint8_t n = 10; n < 14; ++n) {
    scene.add_vms(n, n);
    scene.calls.emplace_back([&] {
      EXPECT_TRUE(scene.gateway.mutate(
          [](const model::Model& m) { return m.plan_create_vm(vm_of("try", 99)); }, {.dry_run = true}));
    });
    scene.calls.emplace_back([&] {
      EXPECT_TRUE(scene.gateway.control.change({}, [](Draft& draft) {
        EXPECT_TRUE(draft.carry_out(draft.model().plan_create_vm(vm_of("brief", 98))));
        return draft.carry_out(draft.model().plan_delete_vm({"acme", "brief"}));
      }));
    });
    scene.calls.emplace_back([&] {
      EXPECT_THROW(
          static_cast<void>(scene.gateway.control.change(
              {},
              [](Draft& draft) -> Expected<model::Vm> {
                static_cast<void>(draft.carry_out(draft.model().plan_create_vm(vm_of("thrown", 97))));
                throw std::runtime_error("broken");
              })),
          std::runtime_error);
    });
  }
  scene.make_while_busy();
  const model::State state = scene.gateway.state();
  EXPECT_EQ(state.generation, before + 4);
  EXPECT_EQ(state.vms.size(), 5u);
  EXPECT_TRUE(scene.gateway.create_vm("brief", Ipv4Addr::of(10, 0, 0, 98))) << "nothing of it is left";
}

// So that what is small is not answered as late as what is large and came after it.
TEST(CommitGroup, ALargeCallJoinsNoSmallOnes) {
  const auto appends_with = [](uint32_t operations) {
    Scene scene;
    scene.add_vms(2, 2);
    scene.calls.emplace_back([&] {
      EXPECT_TRUE(
          scene.gateway.mutate([](const model::Model& m) { return m.plan_create_vm(vm_of("large", 10)); },
                               {.operations = operations}));
    });
    scene.add_vms(3, 3);
    scene.make_while_busy();
    return scene.disk.appends.load();
  };
  EXPECT_TRUE(in_some_round([&] { return appends_with(100) == 1; }));
  EXPECT_TRUE(in_some_round([&] { return appends_with(101) == 2; })) << "the third call joins the second";
}

TEST(CommitGroup, OneOfThoseThatExpectTheSameGenerationIsCarriedOut) {
  Scene scene;
  const model::Generation generation = scene.gateway.state().generation;
  std::atomic<int> made = 0, refused = 0;
  for (int n = 0; n < 6; ++n)
    scene.calls.emplace_back([&, n] {
      const auto tagged = scene.gateway.mutate(
          [&](const model::Model& m) { return m.plan_set_tag("acme", web_eip, {"t" + std::to_string(n)}); },
          {.expected_generation = generation});
      ++(tagged ? made : refused);
    });
  scene.make_while_busy();
  EXPECT_EQ(made, 1);
  EXPECT_EQ(refused, 5);
  EXPECT_EQ(scene.gateway.state().generation, generation + 1);
}

// Taken back with the group, and carried out again: what recalls an answer does not find the first one.
TEST(CommitGroup, RequestsThatTheStoreRefusesTogetherAreCarriedOutOnceEach) {
  EXPECT_TRUE(in_some_round([] {
    Scene scene;
    const model::Generation before = scene.gateway.state().generation;
    scene.disk.most_entries = 1;
    for (uint8_t n = 2; n <= 4; ++n)
      for (int twice = 0; twice < 2; ++twice)
        scene.calls.emplace_back([&, n] {
          const std::string id = std::to_string(n);
          const auto made = scene.gateway.control.change_once(
              {}, {"provider", id, 7}, [&](Draft& draft) -> Expected<std::string> {
                return draft.carry_out(draft.model().plan_create_vm(vm_of("vm" + id, n)))
                    .map([&](const model::Vm& vm) { return vm.id; });
              });
          ASSERT_TRUE(made) << made.error().message;
          EXPECT_EQ(*made, "vm" + id);
        });
    scene.make_while_busy();
    EXPECT_EQ(scene.gateway.state().generation, before + 3);
    EXPECT_EQ(scene.disk.requests.size(), 3u);
    return scene.disk.appends == 4;
  }));
}

TEST(CommitGroup, AnExceptionOfTheStoreIsARefusal) {
  Scene scene;
  const model::State before = scene.gateway.state();
  scene.disk.on_append = [] { throw std::runtime_error("no memory"); };
  std::atomic<int> refused = 0;
  for (uint8_t n = 2; n <= 5; ++n)
    scene.calls.emplace_back([&, n] {
      const auto made = scene.create_vm(n);
      if (!made && made.error().message == "no memory") ++refused;
    });
  scene.make_while_busy();
  EXPECT_EQ(refused, 4);
  EXPECT_EQ(scene.gateway.state(), before);
  scene.disk.on_append = [] {};
  EXPECT_TRUE(scene.create_vm(2));
}

// Nothing is acknowledged then: not the others that were stored with it, not a dry run beside them.
TEST(CommitGroup, WhatIsStoredAndNotEnforcedIsAcknowledgedByNoneOfThem) {
  EXPECT_TRUE(in_some_round([] {
    Scene scene;
    std::atomic<int> internal = 0;
    const auto count = [&](const auto& answer) {
      if (!answer && answer.error().code == ErrorCode::internal) ++internal;
    };
    scene.calls.emplace_back([&] { count(scene.gateway.control.change({}, put_endpoint_of_no_port)); });
    for (uint8_t n = 2; n <= 4; ++n)
      scene.calls.emplace_back([&, n] {
        count(scene.gateway.mutate([&](const model::Model& m) { return m.plan_create_vm(vm_of("vm", n)); },
                                   {.dry_run = n == 4}));
      });
    scene.make_while_busy();
    return scene.disk.appends == 1 && internal == 4;
  }));
}

// What a job reads is durable.
TEST(CommitGroup, AReadingBetweenCallsEndsTheGroup) {
  EXPECT_TRUE(in_some_round([] {
    Scene scene;
    std::atomic<int> undurable = 0;
    scene.add_vms(2, 4);
    scene.calls.emplace_back([&] {
      EXPECT_TRUE(scene.gateway.control.run([&](Control::View view) {
        if (view.model.state() != scene.disk.state()) ++undurable;
      }));
    });
    scene.add_vms(5, 7);
    scene.make_while_busy();
    EXPECT_EQ(undurable, 0);
    return scene.disk.appends == 2;
  }));
}

// By itself: what is taken back is as it was, and what is kept is as one after another.
TEST(CommitGroup, IsTakenBackWhollyOrKeptInOrder) {
  model::Model model(model::Limits(), {{"vms", {}}});
  {
    Draft first(model, 0);
    ASSERT_TRUE(first.carry_out(model.plan_create_pool(pool)));
    first.keep();
  }
  const model::State before = model.state();
  for (const bool is_kept : {false, true}) {
    CommitGroup group(model);
    const auto make = [&](auto&& plan) {
      Draft& draft = group.begin(1000);
      ASSERT_TRUE(draft.carry_out(plan(draft.model())));
      group.add();
    };
    make([](const model::Model& m) { return m.plan_create_vm(vm_of("web", 1)); });
    make([](const model::Model& m) { return m.plan_request_eip(web, "", 0); });
    make([](const model::Model& m) { return m.plan_set_permit_list("acme", web_eip, {http}, false); });
    make([](const model::Model& m) { return m.plan_set_permit_list("acme", web_eip, {http, out}, false); });
    make([](const model::Model& m) { return m.plan_release_eip("acme", web_eip, 1000); });
    make([](const model::Model& m) { return m.plan_delete_vm(web); });
    const auto entries = group.entries();
    ASSERT_EQ(entries.size(), 6u);
    model::State stored = before;
    for (size_t i = 0; i < entries.size(); ++i) {
      EXPECT_EQ(entries[i].changes->generation, before.generation + 1 + i);
      model::apply(stored, *entries[i].changes);
    }
    EXPECT_EQ(model.state(), stored);
    // A snapshot that is under way gets the first word of what each object was.
    Disk disk;
    MemoryStore store(disk);
    group.preserve(store);
    model::State back = stored;
    std::set<std::string> seen;
    for (const model::Change& change : disk.preserved) {
      const auto* vm = std::get_if<model::DeleteVm>(&change);
      if (seen.insert(vm != nullptr ? vm->key.second : "its EIP").second) model::apply(back, {0, {change}});
    }
    back.generation = before.generation;
    EXPECT_EQ(seen.size(), 2u);
    EXPECT_EQ(back, before);
    if (!is_kept) {
      group.take_back();
      EXPECT_EQ(model.state(), before);
      continue;
    }
    EXPECT_EQ(group.changes().size(), 6u);
    const std::vector<Event> kept = group.keep();
    ASSERT_EQ(kept.size(), 6u);
    EXPECT_EQ(kept.back().generation, before.generation + 6);
    EXPECT_TRUE(group.empty());
    EXPECT_EQ(model.state(), stored);
  }
  EXPECT_EQ(model.state().generation, before.generation + 6) << "the end of the group takes nothing back";
}

}  // namespace
}  // namespace portcullis
