// What becomes of packets that are dropped, and of what is full (pipeline_rows.h).

#include "tests/unit/dataplane/pipeline_rows.h"

namespace portcullis {
namespace {

TEST_F(PipelineRows, AFullPortHoldsThenDropsByName) {
  const Bytes frame = build(from_client());
  uint64_t fed = 0;
  // The link takes 64 frames, the queue holds 512.
  for (int n = 0; n < 64 + 512 + 3; ++n, ++fed) {
    ASSERT_TRUE(uplink().feed(frame));
    worker_->poll(now_ms_);
  }
  const Moved moved = take().since(before_);
  EXPECT_EQ(moved.at("drop transmit_full"), 3);
  EXPECT_EQ(moved.at("held"), 512);
  EXPECT_EQ(moved.at("transmitted " + std::to_string(first().id())), 64);
  EXPECT_EQ(moved.at("received " + std::to_string(uplink().id())), static_cast<int64_t>(fed));
  uint64_t out = 0;
  for (int n = 0; n < 9; ++n) {
    out += first().collect().size();
    worker_->poll(now_ms_);
  }
  EXPECT_EQ(out, 64u + 512u);
  EXPECT_EQ(worker_->counters().held.get(), 0u);
}

// What is dropped for one reason in one burst goes back together: buffers that are whole, in several pieces,
// held by others, clones of others' and of another pool.
TEST_F(PipelineRows, BuffersOfEveryKindGoBackWhenTheyAreDroppedTogether) {
  testing::FramePool other("rows-other", 63);
  Packet nobody = from_client();
  nobody.destination = free_address;
  Packet closed = from_client();
  closed.destination_port = 81;
  const std::vector<Bytes> frames = {build(nobody), build(closed)};
  const testing::FramePool& pool = ports().pool;
  for (const bool begins_with_other : {false, true}) {
    std::vector<rte_mbuf*> held;
    const auto feed = [&](rte_mbuf* packet) { ASSERT_TRUE(uplink().feed(packet)); };
    for (const Bytes& frame : frames) {
      if (begins_with_other) feed(other.make(frame));
      for (int n = 0; n < 3; ++n) {
        feed(pool.make(frame));
        feed(pool.make(frame, /*first_segment=*/60));
        rte_mbuf* const shared = pool.make(frame);
        rte_mbuf_refcnt_update(shared, 1);
        held.push_back(shared);
        feed(shared);
        rte_mbuf* const original = pool.make(frame);
        held.push_back(original);
        feed(rte_pktmbuf_clone(original, pool.get()));
        feed(other.make(frame));
      }
    }
    before_ = take();
    worker_->poll(now_ms_);
    const int64_t of_each = begins_with_other ? 16 : 15;
    EXPECT_EQ(take().since(before_), (Moved{{"received " + std::to_string(uplink().id()), 2 * of_each},
                                            {"drop unbound", of_each},
                                            {"drop destination_not_permitted", of_each}}));
    EXPECT_EQ(other.in_use(), 0u);
    EXPECT_EQ(pool.in_use(), held.size());
    for (rte_mbuf* const packet : held) {
      EXPECT_EQ(rte_mbuf_refcnt_read(packet), 1);
      EXPECT_EQ(packet->next, nullptr);
      rte_pktmbuf_free(packet);
    }
  }
}

TEST_F(PipelineRows, AFullBucketRefusesByName) {
  // 64 entries in four buckets, a list without a quota in the way: fill until one refuses.
  compile::Image all = image();
  for (auto& [eip, bound] : all.bindings) bound.incarnation += 10;
  publish::Publisher wide(*tables_, rcu_.get(), {{"first", first().id()}, {"second", second().id()}}, 1000);
  worker_->offline();
  ASSERT_TRUE(wide.publish(compile::update_of(std::move(all))));
  worker_->online();
  Packet out = from_web();
  out.destination_port = 443;
  out.flags = testing::syn;
  for (uint16_t port = 50000; port < 50200; ++port) {
    out.source_port = port;
    static_cast<void>(pass(first(), build(out)));
  }
  EXPECT_GT(take().since(before_).at("drop flow_table_full"), 0);
  EXPECT_LE(worker_->flows().size(), 64u);
}

TEST_F(PipelineRows, EveryDropReasonIsNamedOnce) {
  for (size_t a = 0; a < drop_count; ++a) {
    EXPECT_FALSE(drop_registry[a].text.empty());
    for (size_t b = a + 1; b < drop_count; ++b) EXPECT_NE(drop_registry[a].name, drop_registry[b].name);
  }
}

}  // namespace
}  // namespace portcullis
