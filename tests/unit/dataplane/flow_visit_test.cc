// Visits to a worker's flow tables: in bounded steps, from where the last one ended, each entry once.
#include "dataplane/flow_visit.h"

#include <gtest/gtest.h>

#include <set>

#include "dataplane/worker_state.h"
#include "tests/unit/control/data_plane.h"

namespace portcullis {
namespace {

constexpr uint64_t now_ms = 1000;
constexpr uint32_t capacity = 1024;  // of each of DataPlane's tables
constexpr uint32_t steps_of_both = 2 * capacity / 512;

uint32_t carry_out(DataPlane& plane, FlowVisit& visit) {
  uint32_t steps = 1;
  while (!visit.run(plane.worker->state(), now_ms)) ++steps;
  return steps;
}

class FlowVisitTest : public ::testing::Test {
 protected:
  // An EIP that is bound, so that its entries count.
  void bind(BindingId id) {
    Slot slot = 0;
    ASSERT_TRUE(plane.tables->binding.take_slot(IpFamily::ipv4, slot));
    BindingRecord record;
    record.id = id;
    record.ipv4.eip = Ipv4Addr::from_host(id);
    plane.tables->binding.writable(slot) = record;
    ASSERT_TRUE(plane.tables->binding.reserve_pages(*Ipv4Prefix::parse("0.0.0.0/16")));
    plane.tables->binding.set(View::local, record.ipv4.eip, slot);
  }
  DataPlane plane{{.eips = 8, .ipv6_eips = 8, .index_pages = 8}};
};

TEST_F(FlowVisitTest, PagesGoThroughAllOfIt) {
  bind(1);
  plane.open_flows(1, 100);
  std::set<uint32_t> remotes;
  FlowCursor from;
  for (uint32_t pages = 0;; ++pages) {
    ASSERT_LE(pages, 15u);
    FlowVisit visit(FlowVisit::What::list, {}, from, 7);
    carry_out(plane, visit);
    for (const FlowInfo& flow : visit.flows()) {
      EXPECT_EQ(flow.eip, Ipv4Addr::from_host(1));
      EXPECT_TRUE(remotes.insert(flow.remote.v4().host()).second) << "told twice";
    }
    if (!visit.next()) break;
    EXPECT_EQ(visit.flows().size(), 7u);
    from = *visit.next();
  }
  EXPECT_EQ(remotes.size(), 100u);
}

TEST_F(FlowVisitTest, AStepIsBounded) {
  FlowVisit visit(FlowVisit::What::list, {}, {}, 10);
  EXPECT_EQ(carry_out(plane, visit), steps_of_both + 1) << "the last one finds that nothing is left";
  EXPECT_FALSE(visit.next());
}

TEST_F(FlowVisitTest, WhatCountsNoMoreIsNotListedAndYetCleared) {
  bind(1);
  plane.open_flows(1, 5);
  plane.open_flows(2, 5);  // of nobody
  FlowVisit list(FlowVisit::What::list, {}, {}, 100);
  carry_out(plane, list);
  EXPECT_EQ(list.flows().size(), 5u);
  FlowVisit one(FlowVisit::What::clear, {.eip = Ipv4Addr::from_host(1)});
  carry_out(plane, one);
  EXPECT_EQ(one.cleared(), 5u);
  EXPECT_EQ(plane.flows().size(), 5u);
  FlowVisit rest(FlowVisit::What::clear, {});
  carry_out(plane, rest);
  EXPECT_EQ(rest.cleared(), 5u);
  EXPECT_EQ(plane.flows().size(), 0u);
}

}  // namespace
}  // namespace portcullis
