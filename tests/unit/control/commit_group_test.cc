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
using Calls = std::vector<std::function<void()>>;

// Makes the calls while the control thread is busy, so that they wait.
void make_while_busy(Gateway& gateway, const Calls& calls) {
  std::promise<void> is_busy, may_go_on;
  std::jthread job([&] {
    EXPECT_TRUE(gateway.control.run([&](Control::View) {
      is_busy.set_value();
      may_go_on.get_future().wait();
    }));
  });
  is_busy.get_future().wait();
  std::atomic<size_t> begun = 0;
  std::vector<std::jthread> callers;
  callers.reserve(calls.size());
  for (const auto& call : calls)
    callers.emplace_back([&] {
      ++begun;
      call();
    });
  EXPECT_TRUE(gateway.eventually([&] { return begun == calls.size(); }));
  std::this_thread::sleep_for(20ms);  // until all wait, or nearly
  may_go_on.set_value();
}

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
  constexpr uint8_t count = 6;
  EXPECT_TRUE(in_some_round([&] {
    Disk disk;
    Gateway gateway(disk);
    gateway.start();
    const auto timed_before = gateway.control.durations().storing.counted().times;
    std::array<model::Generation, count> generations{};
    Calls calls;
    for (uint8_t n = 0; n < count; ++n)
      calls.emplace_back([&, n] {
        const auto made = gateway.create_vm("vm" + std::to_string(n), Ipv4Addr::of(10, 0, 0, n + 1));
        ASSERT_TRUE(made) << made.error().message;
        generations[n] = made->generation;
      });
    disk.appends = 0;
    make_while_busy(gateway, calls);
    std::ranges::sort(generations);
    for (uint8_t n = 0; n < count; ++n) EXPECT_EQ(generations[n], 2u + n);
    EXPECT_EQ(gateway.state().vms.size(), count);
    EXPECT_EQ(disk.state(), gateway.state());
    EXPECT_EQ(disk.log.size(), 1u + count);
    const auto events = gateway.control.history().after(1, 100, 0ms);
    EXPECT_EQ(events.value().size(), count);
    const auto timed = gateway.control.durations().storing.counted().times;
    EXPECT_EQ(std::accumulate(timed.begin(), timed.end(), uint64_t{0}),
              std::accumulate(timed_before.begin(), timed_before.end(), uint64_t{count}));
    return disk.appends == 1;
  }));
}

// What a call of a group has drafted, the next one finds; and all are published.
TEST(CommitGroup, EachCallStandsOnThoseBeforeIt) {
  EXPECT_TRUE(in_some_round([&] {
    Disk disk;
    Gateway gateway(disk);
    gateway.start();
    gateway.populate();
    std::atomic<int> made = 0, refused = 0, bound = 0;
    Calls calls;
    for (uint8_t n = 2; n < 6; ++n)
      calls.emplace_back([&, n] {
        const auto vm = gateway.create_vm("db", Ipv4Addr::of(10, 0, 0, n));
        ++(vm ? made : refused);
        if (!vm) {
          EXPECT_EQ(vm.error().code, ErrorCode::already_exists);
        }
      });
    for (uint8_t n = 10; n < 13; ++n)
      calls.emplace_back([&, n] {
        const std::string id = "vm" + std::to_string(n);
        const auto eip = gateway.control.change({}, [&](Draft& draft) -> Expected<model::Eip> {
          auto vm = draft.carry_out(draft.model().plan_create_vm(vm_of(id, n)));
          if (!vm) return Unexpected(std::move(vm.error()));
          return draft.carry_out(draft.model().plan_request_eip({"acme", id}, "", 0));
        });
        ASSERT_TRUE(eip) << eip.error().message;
        if (gateway.plane.find(View::local, eip->reply.address.v4()) != nullptr) ++bound;
      });
    disk.appends = 0;
    make_while_busy(gateway, calls);
    EXPECT_EQ(made, 1);
    EXPECT_EQ(refused, 3);
    EXPECT_EQ(bound, 3) << "each EIP is another, and enforced before its call is answered";
    EXPECT_EQ(disk.state(), gateway.state());
    return disk.appends == 1;
  }));
}

TEST(CommitGroup, CallsThatTheStoreRefusesTogetherAreMadeOneByOne) {
  EXPECT_TRUE(in_some_round([&] {
    Disk disk;
    Gateway gateway(disk);
    gateway.start();
    disk.most_entries = 1;
    disk.appends = 0;
    Calls calls;
    for (uint8_t n = 1; n <= 4; ++n)
      calls.emplace_back(
          [&, n] { EXPECT_TRUE(gateway.create_vm("vm" + std::to_string(n), Ipv4Addr::of(10, 0, 0, n))); });
    make_while_busy(gateway, calls);
    EXPECT_EQ(gateway.state().vms.size(), 4u);
    EXPECT_EQ(gateway.state().generation, 5u);
    EXPECT_EQ(disk.state(), gateway.state());
    return disk.appends == 5;
  }));
}

TEST(CommitGroup, AFullDiskLeavesEverythingAsBefore) {
  Disk disk;
  Gateway gateway(disk);
  gateway.start();
  gateway.populate();
  const model::State before = gateway.state();
  disk.is_full = true;
  Calls calls;
  for (uint8_t n = 2; n <= 5; ++n)
    calls.emplace_back([&, n] {
      const auto made = gateway.create_vm("vm" + std::to_string(n), Ipv4Addr::of(10, 0, 0, n));
      ASSERT_FALSE(made);
      EXPECT_EQ(made.error().code, ErrorCode::unavailable);
    });
  calls.emplace_back([&] { EXPECT_FALSE(gateway.set_permit_list({http})); });
  make_while_busy(gateway, calls);
  EXPECT_EQ(gateway.state(), before);
  EXPECT_EQ(gateway.plane.find(View::edge, web_eip), nullptr);
  disk.is_full = false;
  const auto made = gateway.create_vm("db", Ipv4Addr::of(10, 0, 0, 2));
  ASSERT_TRUE(made);
  EXPECT_EQ(made->generation, before.generation + 1);
  EXPECT_EQ(disk.state(), gateway.state());
}

TEST(CommitGroup, ARequestThatIsMadeTwiceAtOnceIsCarriedOutOnce) {
  Disk disk;
  Gateway gateway(disk);
  gateway.start();
  gateway.populate();
  const RequestId request{.caller = "provider", .id = "1", .fingerprint = 7};
  const RequestId another{.caller = "provider", .id = "1", .fingerprint = 8};
  std::atomic<int> carried_out = 0, refused = 0;
  const auto set_tag = [&](const RequestId& id) {
    return gateway.control.change_once({}, id, [&](Draft& draft) {
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
  Calls calls;
  for (std::string& answer : answers) calls.emplace_back([&] { answer = set_tag(next).value(); });
  calls.emplace_back([&] {
    if (!set_tag(another)) ++refused;
  });
  carried_out = 0;
  make_while_busy(gateway, calls);
  EXPECT_EQ(carried_out, 1);
  EXPECT_EQ(refused, 1);
  for (const std::string& answer : answers) EXPECT_EQ(answer, answers[0]);
  EXPECT_EQ(disk.requests.size(), 2u);
}

// Dry runs, drafts that come to nothing and edits that throw, among others.
TEST(CommitGroup, WhatIsTakenBackLeavesTheOthersAlone) {
  Disk disk;
  Gateway gateway(disk);
  gateway.start();
  gateway.populate();
  const model::Generation before = gateway.state().generation;
  Calls calls;
  for (uint8_t n = 10; n < 14; ++n) {
    calls.emplace_back(
        [&, n] { EXPECT_TRUE(gateway.create_vm("vm" + std::to_string(n), Ipv4Addr::of(10, 0, 0, n))); });
    calls.emplace_back([&] {
      EXPECT_TRUE(gateway.mutate([](const model::Model& m) { return m.plan_create_vm(vm_of("try", 99)); },
                                 {.dry_run = true}));
    });
    calls.emplace_back([&] {
      EXPECT_TRUE(gateway.control.change({}, [](Draft& draft) {
        EXPECT_TRUE(draft.carry_out(draft.model().plan_create_vm(vm_of("brief", 98))));
        return draft.carry_out(draft.model().plan_delete_vm({"acme", "brief"}));
      }));
    });
    calls.emplace_back([&] {
      EXPECT_THROW(
          static_cast<void>(gateway.control.change({},
                                                   [](Draft& draft) -> Expected<model::Vm> {
                                                     static_cast<void>(draft.carry_out(
                                                         draft.model().plan_create_vm(vm_of("thrown", 97))));
                                                     throw std::runtime_error("broken");
                                                   })),
          std::runtime_error);
    });
  }
  make_while_busy(gateway, calls);
  const model::State state = gateway.state();
  EXPECT_EQ(state.generation, before + 4);
  EXPECT_EQ(state.vms.size(), 5u);
  EXPECT_EQ(disk.state(), state);
  EXPECT_TRUE(gateway.create_vm("brief", Ipv4Addr::of(10, 0, 0, 98))) << "nothing of it is left";
}

// So that what is small is not answered as late as what is large and came after it.
TEST(CommitGroup, ALargeCallJoinsNoSmallOnes) {
  const auto appends_with = [](uint32_t operations) {
    Disk disk;
    Gateway gateway(disk);
    gateway.start();
    disk.appends = 0;
    std::promise<void> is_busy, may_go_on;
    std::vector<std::jthread> callers;
    callers.emplace_back([&] {
      EXPECT_TRUE(gateway.control.run([&](Control::View) {
        is_busy.set_value();
        may_go_on.get_future().wait();
      }));
    });
    is_busy.get_future().wait();
    for (uint8_t n = 1; n <= 3; ++n) {
      callers.emplace_back([&, n] {
        EXPECT_TRUE(gateway.mutate(
            [&](const model::Model& m) { return m.plan_create_vm(vm_of("vm" + std::to_string(n), n)); },
            {.operations = n == 2 ? operations : 1}));
      });
      std::this_thread::sleep_for(20ms);  // until it waits, or nearly
    }
    may_go_on.set_value();
    callers.clear();
    EXPECT_EQ(disk.state(), gateway.state());
    return disk.appends.load();
  };
  EXPECT_TRUE(in_some_round([&] { return appends_with(100) == 1; }));
  EXPECT_TRUE(in_some_round([&] { return appends_with(101) == 2; })) << "the third call joins the second";
}

TEST(CommitGroup, OneOfThoseThatExpectTheSameGenerationIsCarriedOut) {
  Disk disk;
  Gateway gateway(disk);
  gateway.start();
  gateway.populate();
  const model::Generation generation = gateway.state().generation;
  std::atomic<int> made = 0, refused = 0;
  Calls calls;
  for (int n = 0; n < 6; ++n)
    calls.emplace_back([&, n] {
      const auto tagged = gateway.mutate(
          [&](const model::Model& m) { return m.plan_set_tag("acme", web_eip, {"t" + std::to_string(n)}); },
          {.expected_generation = generation});
      ++(tagged ? made : refused);
    });
  make_while_busy(gateway, calls);
  EXPECT_EQ(made, 1);
  EXPECT_EQ(refused, 5);
  EXPECT_EQ(gateway.state().generation, generation + 1);
}

// Taken back with the group, and carried out again: what recalls an answer does not find the first one.
TEST(CommitGroup, RequestsThatTheStoreRefusesTogetherAreCarriedOutOnceEach) {
  EXPECT_TRUE(in_some_round([] {
    Disk disk;
    Gateway gateway(disk);
    gateway.start();
    disk.most_entries = 1;
    disk.appends = 0;
    Calls calls;
    for (uint8_t n = 1; n <= 3; ++n)
      for (int twice = 0; twice < 2; ++twice)
        calls.emplace_back([&, n] {
          const std::string id = std::to_string(n);
          const auto made = gateway.control.change_once(
              {}, {"provider", id, 7}, [&](Draft& draft) -> Expected<std::string> {
                return draft.carry_out(draft.model().plan_create_vm(vm_of("vm" + id, n)))
                    .map([&](const model::Vm& vm) { return vm.id; });
              });
          ASSERT_TRUE(made) << made.error().message;
          EXPECT_EQ(*made, "vm" + id);
        });
    make_while_busy(gateway, calls);
    EXPECT_EQ(gateway.state().generation, 4u);
    EXPECT_EQ(disk.requests.size(), 3u);
    EXPECT_EQ(disk.state(), gateway.state());
    return disk.appends == 4;
  }));
}

TEST(CommitGroup, AnExceptionOfTheStoreIsARefusal) {
  Disk disk;
  Gateway gateway(disk);
  gateway.start();
  const model::State before = gateway.state();
  disk.on_append = [] { throw std::runtime_error("no memory"); };
  std::atomic<int> refused = 0;
  Calls calls;
  for (uint8_t n = 1; n <= 4; ++n)
    calls.emplace_back([&, n] {
      const auto made = gateway.create_vm("vm" + std::to_string(n), Ipv4Addr::of(10, 0, 0, n));
      if (!made && made.error().message == "no memory") ++refused;
    });
  make_while_busy(gateway, calls);
  EXPECT_EQ(refused, 4);
  EXPECT_EQ(gateway.state(), before);
  disk.on_append = [] {};
  EXPECT_TRUE(gateway.create_vm("vm", Ipv4Addr::of(10, 0, 0, 1)));
}

// Nothing is acknowledged then: not the others that were stored with it, not a dry run beside them.
TEST(CommitGroup, WhatIsStoredAndNotEnforcedIsAcknowledgedByNoneOfThem) {
  EXPECT_TRUE(in_some_round([] {
    Disk disk;
    Gateway gateway(disk);
    gateway.start();
    gateway.populate();
    disk.appends = 0;
    std::atomic<int> internal = 0;
    const auto count = [&](const auto& answer) {
      if (!answer && answer.error().code == ErrorCode::internal) ++internal;
    };
    // An EIP of a vm that there is not cannot be compiled.
    Calls calls;
    calls.emplace_back([&] {
      count(gateway.control.change({}, [](Draft& draft) -> Expected<model::Nothing> {
        model::Eip eip{.address = Ipv4Addr::of(203, 0, 113, 77), .tenant = "acme", .vm = "none"};
        draft.make(model::PutEip{std::move(eip)});
        return model::Nothing();
      }));
    });
    for (uint8_t n = 2; n <= 4; ++n)
      calls.emplace_back([&, n] {
        count(gateway.mutate([&](const model::Model& m) { return m.plan_create_vm(vm_of("vm", n)); },
                             {.dry_run = n == 4}));
      });
    make_while_busy(gateway, calls);
    return disk.appends == 1 && internal == 4;
  }));
}

// What a job reads is durable.
TEST(CommitGroup, AReadingBetweenCallsEndsTheGroup) {
  EXPECT_TRUE(in_some_round([&] {
    Disk disk;
    Gateway gateway(disk);
    gateway.start();
    disk.appends = 0;
    std::atomic<int> undurable = 0;
    Calls calls;
    for (uint8_t n = 1; n <= 6; ++n) {
      calls.emplace_back(
          [&, n] { EXPECT_TRUE(gateway.create_vm("vm" + std::to_string(n), Ipv4Addr::of(10, 0, 0, n))); });
      calls.emplace_back([&] {
        EXPECT_TRUE(gateway.control.run([&](Control::View view) {
          if (view.model.state() != disk.state()) ++undurable;
        }));
      });
    }
    make_while_busy(gateway, calls);
    EXPECT_EQ(undurable, 0);
    return disk.appends < 6;  // some calls did follow one another
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
    const auto kept = group.keep();
    EXPECT_EQ(kept.events.size(), 6u);
    EXPECT_EQ(kept.changes.generation, before.generation + 6);
    EXPECT_TRUE(group.empty());
    EXPECT_EQ(model.state(), stored);
  }
  EXPECT_EQ(model.state().generation, before.generation + 6) << "the end of the group takes nothing back";
}

}  // namespace
}  // namespace portcullis
