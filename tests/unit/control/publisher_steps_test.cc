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
    std::vector<CompiledBinding> next = old;
    for (CompiledBinding& b : next) b = relist(b, rules(10 + round % 20, round));
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
  const std::vector<CompiledBinding> old = publish_some(6, 1);
  const uint32_t before = free_slots();
  CompiledBinding moved = relist(old[0], rules(2)), elsewhere = old[1], tagged = old[2];
  moved.port = "b";
  elsewhere.dip = dip_at(50);
  tagged.encapsulation = VlanTags{.outer = 9};
  const CompiledBinding another = binding(4), fresh = binding(7), changed = relist(old[5], rules(1, 3));
  Update update = update_of({moved, elsewhere, tagged, another, fresh, changed});
  take_away(update, 5);
  publisher.prepare(update);
  EXPECT_EQ(free_slots(), before - 1) << "the one that only changes";
  for (const CompiledBinding& b : old) expect_published(b, port_a);
  ASSERT_TRUE(publisher.enforce());
  publisher.reclaim();
  EXPECT_EQ(free_slots(), before);
  expect_published(moved, port_b);
  for (const CompiledBinding& b : {elsewhere, another, fresh, changed}) expect_published(b, port_a);
  for (const uint32_t n : {1, 2, 3, 5}) EXPECT_EQ(plane.find(port_a, dip_at(n)), nullptr) << n;
  EXPECT_EQ(plane.find(View::local, eip_at(5)), nullptr);
  EXPECT_EQ(plane.find(View::local, eip_at(3))->ipv4.eip, eip_at(3));
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

TEST_F(PublisherStepsTest, WhatWasPlacedBeforeTheRoomEndedIsDiscardedToo) {
  std::vector<CompiledBinding> all = publish_some(eips, 1);
  const Free before = free_room();
  for (CompiledBinding& b : all) b = relist(b, rules(19, 9));
  for (int round = 0; round < 3; ++round) {
    publisher.prepare(update_of(all));
    EXPECT_EQ(free_slots(), 0U);
    publisher.discard();
    ASSERT_EQ(free_room(), before);
  }
  publish(all);
  for (const CompiledBinding& b : all) expect_published(b, port_a);
}

TEST_F(PublisherStepsTest, OneThatIsGivenUpDoesWhatTheLastOneHasLeft) {
  const CompiledBinding old = publish_some(1, 30)[0];
  const Free before = free_room();
  const CompiledBinding next = relist(old, rules(30, 2));
  publisher.prepare(update_of({next}));
  ASSERT_TRUE(publisher.enforce());
  publisher.discard();
  EXPECT_EQ(free_room(), before);
  expect_published(next, port_a);
}

// Lists of so many chunks: 200 there are, and 8 spare ones.
class FullOfListsTest : public PublisherStepsTest {
 protected:
  // Compiled rules of a list that takes so many.
  uint32_t rules_in(uint32_t chunks) {
    for (uint32_t count = 0;; ++count) {
      publish({binding(eips, rules(count))});
      if (publisher.totals().permit_chunks_used != chunks) continue;
      publish({binding(eips)});
      return count;
    }
  }
  uint32_t free_chunks() { return plane.tables->permit.free_chunks(); }
  const uint32_t two = rules_in(2), seven = rules_in(7), eight = rules_in(8);
  static constexpr uint32_t lists = 25;
};

TEST_F(FullOfListsTest, WhatGrowsIsPlacedAfterWhatShrinks) {
  std::vector<CompiledBinding> all;
  for (uint32_t n = 1; n <= lists + 1; ++n) all.push_back(binding(n, n == 1 ? rules(0) : rules(eight)));
  publish(all);
  ASSERT_EQ(free_chunks(), 8U);
  all[0] = relist(all[0], rules(eight, 2));
  for (uint32_t n = 2; n <= 9; ++n) all[n - 1] = relist(all[n - 1], rules(seven, 2));
  publisher.prepare(update_of(all));
  EXPECT_EQ(free_chunks(), 1U) << "one that shrinks has its place";
  ASSERT_TRUE(publisher.enforce());
  publisher.reclaim();
  for (const CompiledBinding& b : all) expect_published(b, port_a);
}

// Those have no place before they are enforced, and must find it then beside what they replace.
TEST_F(FullOfListsTest, WhatGrowsIsPlacedAfterWhatShrinksAndMoves) {
  std::vector<CompiledBinding> all;
  for (uint32_t n = 1; n <= lists + 4; ++n) all.push_back(binding(n, n <= 4 ? rules(0) : rules(eight)));
  publish(all);
  ASSERT_EQ(free_chunks(), 8U);
  for (CompiledBinding& b : all) {
    const bool grows = b.permit.empty();
    b = relist(b, rules(grows ? two : seven, 2));
    if (!grows) b.port = "b";
  }
  publisher.prepare(update_of(all));
  EXPECT_EQ(free_chunks(), 8U);
  ASSERT_TRUE(publisher.enforce());
  publisher.reclaim();
  for (const CompiledBinding& b : all) expect_published(b, b.port == "b" ? port_b : port_a);
}

// In the last resort an EIP's old record makes room, and here neither finds its place: its pool has gone.
TEST_F(PublisherStepsTest, WhatComesToNothingReleasesItsLinkOnce) {
  const VlanTags tags{.outer = 7, .inner = 0};
  const std::vector<CompiledPool> both{{prefix("203.0.113.0/25"), PoolKind::local},
                                       {prefix("203.0.113.128/25"), PoolKind::local}};
  const auto has_link = [&] {
    return plane.tables->links.find(LinkKey::of(port_a, Encapsulation(tags))).has_value();
  };
  for (const bool is_shared : {false, true}) {
    publish_pools(both);
    CompiledBinding tagged = binding(1), other = binding(130);
    tagged.encapsulation = tags;
    if (is_shared) other.encapsulation = tags;
    publish({tagged, other});
    ASSERT_TRUE(has_link());
    const auto done = publisher.publish(
        Update{.pools = pools({both[1]}), .bindings = {{tagged.eip, relist(tagged, rules(1))}}});
    ASSERT_FALSE(done);
    EXPECT_EQ(has_link(), is_shared);
    Update gone;
    take_away(gone, 130);
    publish(gone);
    EXPECT_FALSE(has_link());
  }
}

class Ipv6StepsTest : public Ipv6PublisherTest {};

TEST_F(Ipv6StepsTest, AListIsPlacedDiscardedAndEnforced) {
  CompiledBinding old = binding6(1, 6);
  publish({old});
  const Slot slot = index(View::local, six(1)).slot();
  const BindingId id = plane.tables->binding.record(slot).id;
  const auto next = [&](uint32_t count) {
    CompiledBinding b = relist(old, binding6(1, count).permit);
    return Update{.pools = std::nullopt, .bindings = {{b.eip, b}}};
  };
  for (int round = 0; round < 50; ++round) {
    publisher.prepare(next(5));
    EXPECT_EQ(index(View::edge, six(1)).slot(), slot);
    EXPECT_EQ(plane.tables->binding.slot_of(id).slot(), slot);
    EXPECT_TRUE(find6(1, remote6(5).address()).is_one());
    publisher.discard();
  }
  publisher.prepare(next(5));
  ASSERT_TRUE(publisher.enforce());
  const Slot now = index(View::local, six(1)).slot();
  EXPECT_NE(now, slot);
  EXPECT_EQ(index(View::edge, six(1)).slot(), now);
  EXPECT_EQ(plane.tables->binding.slot_of(id).slot(), now);
  EXPECT_EQ(at(port_a, old.dip), now);
  EXPECT_TRUE(find6(1, remote6(4).address()).is_one());
  EXPECT_FALSE(find6(1, remote6(5).address()).is_one());
  publisher.reclaim();
  // Of the four that there are, none is lost.
  publish({binding6(2), binding6(3), binding6(4)});
  for (const uint32_t n : {1, 2, 3, 4}) EXPECT_TRUE(index(View::local, six(n)).is_bound());
}

}  // namespace
}  // namespace portcullis::publish
