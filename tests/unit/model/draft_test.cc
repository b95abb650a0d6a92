// What a draft does not keep leaves no trace, in the state or in what is counted beside it.
#include "control/model/draft.h"

#include <array>
#include <random>

#include "tests/unit/model/fixture.h"

namespace portcullis::model {
namespace {

class DraftTest : public ModelTest {
 protected:
  void SetUp() override {
    use({});
    carry_out(model_.plan_create_pool(pool("p", "203.0.113.0/28")));
    web_ = add_eip("acme", "web");
  }
  // What the model makes of the same state without a past, but for the addresses that rest.
  Model without_past() const {
    Model fresh({}, {{"vms", {}}, {"more", {}}});
    EXPECT_TRUE(fresh.restore(model_.state()));
    return fresh;
  }

  Eip web_;
};

TEST_F(DraftTest, PlansBuildOnEachOtherAndBecomeOneChangeSet) {
  const Generation before = generation();
  Draft draft(model_, now);
  ASSERT_TRUE(draft.carry_out(draft.model().plan_create_vm(vm("acme", "db", "10.0.0.9"))));
  const auto eip = draft.carry_out(draft.model().plan_request_eip({"acme", "db"}, "", now));
  ASSERT_TRUE(eip);
  EXPECT_EQ(eip->address, ip("203.0.113.2"));
  const auto tagged = draft.carry_out(draft.model().plan_set_tag("acme", eip->address, {"db"}));
  ASSERT_TRUE(tagged);
  ASSERT_TRUE(draft.carry_out(draft.model().plan_set_tag("acme", eip->address, {"db"})));
  EXPECT_EQ(draft.steps(), 3u) << "a repeat is none";
  const std::vector<ChangedObject> changed{{"tenants/acme/vms/db", ChangeKind::created},
                                           {"tenants/acme/eips/203.0.113.2", ChangeKind::created}};
  EXPECT_EQ(draft.changed_objects(), changed);
  EXPECT_EQ(generation(), before);
  EXPECT_EQ(draft.close(), (ChangeSet{before + 1, {PutVm{vm("acme", "db", "10.0.0.9")}, PutEip{*tagged}}}));
  EXPECT_EQ(generation(), before + 1);
  EXPECT_EQ(draft.changed_objects(), changed) << "by name, also when the changes are gone";
  EXPECT_EQ(draft.keep(), changed);
  EXPECT_EQ(generation(), before + 1);
  EXPECT_EQ(tagged->binding_generation, before + 1);
}

TEST_F(DraftTest, WhatIsNotKeptIsTakenBack) {
  const State before = model_.state();
  {
    Draft draft(model_, now);
    ASSERT_TRUE(
        draft.carry_out(draft.model().plan_set_permit_list("acme", web_.address, {rule("a")}, false)));
    ASSERT_TRUE(draft.carry_out(draft.model().plan_release_eip("acme", web_.address, now)));
    ASSERT_TRUE(draft.carry_out(draft.model().plan_delete_vm({"acme", "web"})));
    ASSERT_TRUE(draft.carry_out(draft.model().plan_delete_pool("p")));
    EXPECT_EQ(draft.changed_objects().size(), 3u);
    for (const ChangedObject& object : draft.changed_objects())
      EXPECT_EQ(object.kind, ChangeKind::deleted) << object.name;
    EXPECT_NE(model_.state(), before);
  }
  EXPECT_EQ(model_.state(), before);
  EXPECT_EQ(model_.pool_use("p", now).used, 1u);
  EXPECT_EQ(add_eip("acme", "next").address, ip("203.0.113.2"));
}

TEST_F(DraftTest, WhatCameAndWentIsNoChange) {
  Draft draft(model_, now);
  ASSERT_TRUE(draft.carry_out(draft.model().plan_create_vm(vm("acme", "db", "10.0.0.9"))));
  ASSERT_TRUE(draft.carry_out(draft.model().plan_delete_vm({"acme", "db"})));
  EXPECT_TRUE(draft.changed_objects().empty());
  const Generation before = generation();
  EXPECT_TRUE(draft.close().changes.empty());
  EXPECT_TRUE(draft.keep().empty());
  EXPECT_EQ(generation(), before);
}

TEST_F(DraftTest, AnEipThatCameAndWentRests) {
  carry_out(model_.plan_create_vm(vm("acme", "db", "10.0.0.9")));
  const Generation before = generation();
  Draft draft(model_, now);
  const auto eip = draft.carry_out(draft.model().plan_request_eip({"acme", "db"}, "", now));
  ASSERT_TRUE(eip);
  ASSERT_TRUE(draft.carry_out(draft.model().plan_release_eip("acme", eip->address, now)));
  EXPECT_TRUE(draft.changed_objects().empty());
  EXPECT_EQ(draft.close().changes.size(), 1u);
  EXPECT_TRUE(draft.keep().empty()) << "an address that rests is no object";
  EXPECT_EQ(generation(), before + 1);
}

TEST_F(DraftTest, CountsTheRulesThatItWrites) {
  const State before = model_.state();
  {
    Draft draft(model_, now);
    ASSERT_TRUE(draft.carry_out(
        draft.model().plan_set_permit_list("acme", web_.address, {rule("a"), outbound("b")}, false)));
    for (const char* tag : {"x", "y", "z"})
      ASSERT_TRUE(draft.carry_out(draft.model().plan_set_tag("acme", web_.address, {tag})));
    EXPECT_EQ(draft.written_rules(), 8u);
    EXPECT_EQ(draft.steps(), 4u);
  }
  EXPECT_EQ(model_.state(), before) << "taken back to what it was first";
}

TEST_F(DraftTest, AnEmptyOneKeepsTheGeneration) {
  const Generation before = generation();
  Draft draft(model_, now);
  EXPECT_EQ(draft.close(), (ChangeSet{before, {}}));
  EXPECT_TRUE(draft.keep().empty());
  EXPECT_EQ(generation(), before);
}

// Random calls, some kept and most taken back: after each the model is as one that was made of its state.
TEST_F(DraftTest, LeavesNoTrace) {
  std::minstd_rand random(1);
  const auto below = [&](uint32_t count) { return static_cast<uint32_t>(random() % count); };
  const auto name = [&] { return "v" + std::to_string(below(6)); };
  int64_t time = now;
  for (int turn = 0; turn < 2000; ++turn, time += 50'000) {
    const State before = model_.state();
    bool kept = false;
    {
      Draft draft(model_, time);
      for (uint32_t step = below(6); step > 0; --step) {
        const VmKey key{"acme", name()};
        const Ipv4Addr host = Ipv4Addr::from_host(ip("203.0.113.1").host() + below(12));
        static_cast<void>(draft.carry_out(draft.model().plan_create_vm(
            vm("acme", key.second,
               below(2) == 0 ? host.to_string().c_str() : ("10.0.0." + key.second.substr(1)).c_str()))));
        switch (below(7)) {
          case 0:
            static_cast<void>(draft.carry_out(draft.model().plan_delete_vm(key)));
            break;
          case 1:
          case 2:
            static_cast<void>(draft.carry_out(draft.model().plan_request_eip(key, "", time)));
            break;
          case 3:
            static_cast<void>(draft.carry_out(draft.model().plan_release_eip("acme", host, time)));
            break;
          case 4:
            static_cast<void>(draft.carry_out(
                draft.model().plan_set_permit_list("acme", host, {rule("a"), outbound("b")}, false)));
            break;
          case 5:
            static_cast<void>(draft.carry_out(draft.model().plan_set_tag("acme", host, {"t"})));
            break;
          default:
            static_cast<void>(
                draft.carry_out(draft.model().plan_move_vm(key, {"more", mac("02:00:00:00:00:02")})));
        }
      }
      if (below(4) == 0) {
        draft.keep();
        kept = true;
      }
    }
    if (!kept) {
      ASSERT_EQ(model_.state(), before) << turn;
    }
    const Model fresh = without_past();
    ASSERT_EQ(model_.pool_use("p", time).free, fresh.pool_use("p", time).free) << turn;
    ASSERT_EQ(model_.pool_use("p", time).used, fresh.pool_use("p", time).used) << turn;
  }
}

}  // namespace
}  // namespace portcullis::model
