// An update in steps: placed while it may still be given up, then enforced, then reclaimed.
#include "tests/unit/control/publisher_fixture.h"

namespace portcullis::publish {
namespace {

class PublisherStepsTest : public PublisherTest {
 protected:
  static Update update_of(const std::vector<CompiledBinding>& bindings) {
    Update update;
    for (const CompiledBinding& b : bindings) update.bindings[b.eip] = b;
    return update;
  }
  // Bindings 1 to `count`, published with lists of `length` rules.
  std::vector<CompiledBinding> publish_some(uint32_t count, uint32_t length) {
    std::vector<CompiledBinding> all;
    for (uint32_t n = 1; n <= count; ++n) all.push_back(binding(n, rules(length)));
    publish(all);
    return all;
  }
  uint32_t free_slots() { return plane.tables->binding.free_slots(); }
};

TEST_F(PublisherStepsTest, WhatIsPreparedIsPlacedAndSeenByNobody) {
  const CompiledBinding old = publish_some(1, 30)[0];
  const Free before = free_room();
  const CompiledBinding next = relist(old, rules(20, 7));
  publisher.prepare(update_of({next}));
  expect_published(old, port_a);
  EXPECT_EQ(free_slots(), before.slots - 1);
  EXPECT_LT(plane.tables->permit.free_chunks(), before.chunks);

  const uint64_t changes = plane.tables->changes.load();
  const uint32_t placed = plane.tables->permit.free_chunks();
  ASSERT_TRUE(publisher.enforce());
  expect_published(next, port_a);
  EXPECT_EQ(plane.tables->changes.load(), changes + 1);
  EXPECT_EQ(free_slots(), before.slots - 1) << "nothing more is taken, and nothing is freed yet";
  EXPECT_EQ(plane.tables->permit.free_chunks(), placed);

  publisher.reclaim();
  EXPECT_EQ(free_slots(), before.slots);
  publisher.reclaim();  // once more is nothing more
  EXPECT_EQ(free_slots(), before.slots);
}

TEST_F(PublisherStepsTest, WhatIsDiscardedLeavesNothing) {
  std::vector<CompiledBinding> old = publish_some(3, 30);
  old[1].tags = {{"acme", "kept"}};
  old[1].encapsulation = VlanTags{.outer = 7};
  publish(old);
  const Free before = free_room();
  for (uint16_t round = 1; round <= 100; ++round) {
    std::vector<CompiledBinding> next;
    for (const CompiledBinding& b : old) next.push_back(relist(b, rules(10 + round % 20, round)));
    next[0].tags = {{"acme", "new-" + std::to_string(round)}};
    next[1].permit = std::vector{tag_rule("friends", "other-" + std::to_string(round))};
    publisher.prepare(update_of(next));
    publisher.discard();
    ASSERT_EQ(free_room(), before) << round;
  }
  for (const CompiledBinding& b : {old[0], old[2]}) expect_published(b, port_a);
  std::vector<CompiledBinding> all;
  for (uint32_t n = 1; n <= eips; ++n) {
    all.push_back(n <= old.size() ? relist(old[n - 1], rules(3)) : binding(n));
    all.back().tags = {{"acme", "last-" + std::to_string(n)}};
  }
  publish(all);  // every tag set is there to be had
  expect_published(all[0], port_a);
}

TEST_F(PublisherStepsTest, WhatFindsNoRoomBesideWhatItReplacesIsPlacedAfterIt) {
  std::vector<CompiledBinding> all = publish_some(eips, 2);
  ASSERT_EQ(free_slots(), spare);
  for (CompiledBinding& b : all) b = relist(b, rules(3, 9));
  publisher.prepare(update_of(all));
  EXPECT_EQ(free_slots(), 0U);
  ASSERT_TRUE(publisher.enforce());
  for (const CompiledBinding& b : all) expect_published(b, port_a);
  publisher.reclaim();
  EXPECT_EQ(free_slots(), spare);
}

TEST_F(PublisherStepsTest, WhatComesMovesOrGoesIsPlacedWhenItIsEnforced) {
  const std::vector<CompiledBinding> old = publish_some(4, 1);
  const uint32_t before = free_slots();
  CompiledBinding moved = relist(old[0], rules(2)), elsewhere = old[1], tagged = old[2];
  moved.port = "b";
  elsewhere.dip = dip_at(50);
  tagged.encapsulation = VlanTags{.outer = 9};
  const CompiledBinding another = binding(4), fresh = binding(5);
  Update update = update_of({moved, elsewhere, tagged, another, fresh});
  take_away(update, 6);
  publisher.prepare(update);
  EXPECT_EQ(free_slots(), before);
  for (const CompiledBinding& b : old) expect_published(b, port_a);
  ASSERT_TRUE(publisher.enforce());
  publisher.reclaim();
  expect_published(moved, port_b);
  for (const CompiledBinding& b : {elsewhere, another, fresh}) expect_published(b, port_a);
  EXPECT_EQ(plane.find(port_a, dip_at(1)), nullptr);
  EXPECT_EQ(plane.find(port_a, dip_at(2)), nullptr);
  EXPECT_EQ(plane.find(port_a, dip_at(3)), nullptr);
}

TEST_F(PublisherStepsTest, NothingIsPlacedAheadOfPools) {
  const std::vector<CompiledBinding> old = publish_some(2, 1);
  const uint32_t before = free_slots();
  const CompiledBinding next = relist(old[0], rules(2));
  Update update = update_of({next});
  take_away(update, 2);
  update.pools = pools({{prefix("203.0.113.0/31"), PoolKind::local}});
  publisher.prepare(update);
  EXPECT_EQ(free_slots(), before);
  ASSERT_TRUE(publisher.enforce());
  publisher.reclaim();
  expect_published(next, port_a);
  EXPECT_FALSE(plane.tables->binding.find(View::edge, eip_at(2)).in_any_pool());
}

TEST_F(PublisherStepsTest, WhatTheOldRecordCountsUntilTheLastMomentIsNotLost) {
  const CompiledBinding old = publish_some(1, 2)[0];
  hit(1, 0, 5);
  const CompiledBinding next = relist(old, rules(2));  // the same rules
  publisher.prepare(update_of({next}));
  hit(1, 0, 7);
  ASSERT_TRUE(publisher.enforce());
  published_[next.eip] = next;
  hit(1, 0, 11);
  publisher.reclaim();
  EXPECT_EQ(hits(1, "r1000"), 23U);
}

TEST_F(PublisherStepsTest, AnUpdateIsPreparedWhetherOrNotTheLastOneWasReclaimed) {
  CompiledBinding b = publish_some(1, 30)[0];
  const Free before = free_room();
  for (uint16_t round = 1; round <= 50; ++round) {
    b = relist(b, rules(30, round));
    publisher.prepare(update_of({b}));
    ASSERT_TRUE(publisher.enforce());
    expect_published(b, port_a);
  }
  publisher.reclaim();
  EXPECT_EQ(free_room(), before);
}

}  // namespace
}  // namespace portcullis::publish
