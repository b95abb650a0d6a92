#include "control/store/snapshot.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace portcullis::store {
namespace {

using Random = std::mt19937;

IpAddr address(uint32_t number) {
  return Ipv4Addr::from_host(0xcb007100 + number);
}

// Of few objects, so that they come, change and go again.
model::Change random_change(Random& random) {
  constexpr uint32_t objects = 12;
  const uint32_t number = static_cast<uint32_t>(random() % objects);
  const std::string id = std::to_string(number);
  switch (random() % 9) {
    case 0:
      return model::PutVm{{"acme", id, {"vms", Mac{}}, Ipv4Addr::from_host(static_cast<uint32_t>(random()))}};
    case 1:
      return model::DeleteVm{{"acme", id}};
    case 2:
      return model::PutPool{
          {id, Ipv4Prefix(Ipv4Addr::from_host(static_cast<uint32_t>(random())), 32), model::PoolKind::local}};
    case 3:
      return model::DeletePool{id};
    case 4:
      return model::DeleteEip{address(number), static_cast<int64_t>(random() % 3)};
    case 5:
      return model::PutTenantQuota{{id, static_cast<uint32_t>(random()), 0}};
    case 6:
      return model::DeleteTenantQuota{id};
    default: {
      model::Eip eip;
      eip.address = address(number);
      eip.created = random();
      eip.permit = std::vector<model::PermitRule>(random() % 4);
      return model::PutEip{eip};
    }
  }
}

void change(model::State& state, Random& random, Snapshot* snapshot) {
  model::ChangeSet changes{state.generation + 1, {random_change(random)}};
  const model::Change before = model::inverse(state, changes.changes[0]);
  if (snapshot != nullptr) snapshot->preserve({&before, 1});
  model::apply(state, changes);
}

// What it gives is the state at its beginning, whatever happens between its parts.
TEST(Snapshot, IsOfOneMoment) {
  for (unsigned seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    model::State state;
    for (int n = 0; n < 60; ++n) change(state, random, nullptr);
    const model::State expected = state;
    Snapshot snapshot(state.generation);
    model::State given;
    for (size_t parts = 0;; ++parts) {
      ASSERT_LT(parts, 200u) << "it comes to no end";
      const model::ChangeSet part = snapshot.next(state, 1 + random() % 6);
      if (part.changes.empty()) break;
      EXPECT_EQ(part.generation, expected.generation);
      model::apply(given, part);
      for (size_t n = random() % 4; n > 0; --n) change(state, random, &snapshot);
    }
    given.generation = expected.generation;
    ASSERT_EQ(given, expected);
  }
}

// An object that changed more than once in a change set.
TEST(Snapshot, OfAnObjectTheFirstCounts) {
  model::State state;
  model::Eip eip;
  eip.address = address(1);
  eip.created = 1;
  state.eips.emplace(eip.address, eip);
  Snapshot snapshot(1);
  model::Eip later = eip;
  later.created = 2;
  const std::vector<model::Change> before{model::PutEip{eip}, model::PutEip{later},
                                          model::DeleteEip{address(2), 0}, model::PutEip{later}};
  snapshot.preserve(before);
  state.eips[eip.address].created = 3;
  EXPECT_EQ(snapshot.next(state, 50), (model::ChangeSet{1, {model::PutEip{eip}}}));
}

TEST(Snapshot, APartIsBounded) {
  model::State state;
  for (uint32_t n = 0; n < 100; ++n) {
    model::Eip eip;
    eip.address = address(n);
    eip.permit = std::vector<model::PermitRule>(9);
    state.eips.emplace(eip.address, eip);
  }
  Snapshot snapshot(1);
  for (int part = 0; part < 20; ++part) EXPECT_EQ(snapshot.next(state, 50).changes.size(), 5u);
  EXPECT_TRUE(snapshot.next(state, 50).changes.empty());
  Snapshot small(1);
  EXPECT_EQ(small.next(state, 1).changes.size(), 1u) << "an object is never cut";
}

}  // namespace
}  // namespace portcullis::store
