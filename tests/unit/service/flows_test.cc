// ListFlows and ClearFlows: whose entries, which of them, in pages.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "dataplane/worker_state.h"
#include "tests/unit/service/api_fixture.h"

namespace portcullis::service {
namespace {

constexpr Ipv4Addr flow_eip = Ipv4Addr::of(203, 0, 113, 1);
const std::string web = "eip: 'tenants/acme/eips/203.0.113.1' ";

class Flows : public Api {
 protected:
  Expected<void> ask(Errand& errand) override {
    if (steps_until_silence) {
      for (uint32_t n = 0; n < *steps_until_silence; ++n)
        if (errand.run(plane_.worker->state(), now_ms)) break;
      return fail(ErrorCode::unavailable, "worker 0 on core 0 does not answer");
    }
    if (while_asking) while_asking();
    return Api::ask(errand);
  }
  std::optional<uint32_t> steps_until_silence;
  std::function<void()> while_asking;
  void SetUp() override {
    Api::SetUp();
    populate();
  }
  // To 198.51.100.`host`, from 40000 to 80.
  void open(uint8_t host, uint8_t protocol = ip_protocol::tcp, uint64_t expires_ms = now_ms + 5000) {
    const BindingRecord& record = *plane_.find(View::local, flow_eip);
    FlowEntry entry{.key = SideTuple::of(flow_eip, Ipv4Addr::of(198, 51, 100, host), Port::from_host(40000),
                                         Port::from_host(80), protocol, 0),
                    .expires_ms = expires_ms,
                    .owned_by = record.id,
                    .owner_stamp = record.stamp,
                    .state = FlowState::established};
    ASSERT_NE(plane_.flows().insert(entry, plane_.flows().hash(entry.key), 0), FlowTable::none);
  }
  v1::ListFlowsResponse list(const std::string& request) {
    return get<v1::ListFlowsResponse, v1::ListFlowsRequest>("ObserveService/ListFlows", request);
  }
  uint64_t clear(const std::string& request) {
    return get<v1::ClearFlowsResponse, v1::ClearFlowsRequest>("ObserveService/ClearFlows", request).cleared();
  }
};

TEST_F(Flows, AreToldWithAllThatIsKnown) {
  open(7);
  const auto reply = list(web);
  ASSERT_EQ(reply.flows_size(), 1);
  const v1::Flow& flow = reply.flows(0);
  EXPECT_EQ(flow.eip(), "203.0.113.1");
  EXPECT_EQ(flow.remote(), "198.51.100.7");
  EXPECT_EQ(flow.protocol(), "tcp");
  EXPECT_EQ(flow.local_port(), 40000u);
  EXPECT_EQ(flow.remote_port(), 80u);
  EXPECT_EQ(flow.opened(), v1::Flow::OUTBOUND);
  EXPECT_EQ(flow.state(), v1::Flow::ESTABLISHED);
  EXPECT_DOUBLE_EQ(flow.expires_in_seconds(), 5);
  EXPECT_EQ(flow.worker(), 0u);
  EXPECT_EQ(list("").flows_size(), 1) << "everybody's";
}

TEST_F(Flows, FiltersChooseAmongThem) {
  open(7);
  open(8);
  open(200, ip_protocol::udp);
  open(9, ip_protocol::tcp, now_ms - 1);  // expired
  EXPECT_EQ(list(web).flows_size(), 3);
  EXPECT_EQ(list(web + "filter { remote: '198.51.100.0/28' }").flows_size(), 2);
  EXPECT_EQ(list(web + "filter { remote: '198.51.100.8' }").flows_size(), 1);
  EXPECT_EQ(list(web + "filter { remote: '2001:db8::/32' }").flows_size(), 0);
  EXPECT_EQ(list(web + "filter { protocol: 'udp' }").flows_size(), 1);
  EXPECT_EQ(list(web + "filter { local_port: 40000 remote_port: 80 }").flows_size(), 3);
  EXPECT_EQ(list(web + "filter { remote_port: 81 }").flows_size(), 0);
  EXPECT_EQ(clear(web + "filter { protocol: 'udp' }"), 1u);
  EXPECT_EQ(list(web).flows_size(), 2);
  EXPECT_EQ(clear(web), 3u) << "the one that has expired among them";
  EXPECT_EQ(list("").flows_size(), 0);
}

TEST_F(Flows, AClearThatEndsEarlySaysHowManyAreGone) {
  for (uint8_t host = 1; host <= 50; ++host) open(host);
  const size_t before = plane_.flows().size();
  steps_until_silence = 1;
  const Answer answer = call<v1::ClearFlowsRequest>("ObserveService/ClearFlows", web);
  const size_t cleared = before - plane_.flows().size();
  EXPECT_GT(cleared, 0u);
  EXPECT_LT(cleared, before);
  EXPECT_EQ(answer.status.error_code(), grpc::UNAVAILABLE);
  EXPECT_EQ(answer.status.error_message(), "worker 0 on core 0 does not answer; " + std::to_string(cleared) +
                                               " entries are cleared by now, and a repeat clears the others");
  steps_until_silence.reset();
  EXPECT_EQ(clear(web), before - cleared);
}

// Walks that last do not take an Explain's place in the mailbox.
TEST_F(Flows, FewWalksMayGoOnAtOnce) {
  std::promise<void> goes_on;
  const std::shared_future<void> may_go_on = goes_on.get_future().share();
  std::atomic<uint32_t> walking{0};
  while_asking = [&] {
    ++walking;
    may_go_on.wait();
  };
  std::vector<std::future<bool>> walks;
  for (uint32_t n = 0; n < most_walks.of_provider; ++n)
    walks.push_back(std::async(std::launch::async, [&] {
      return call<v1::ListFlowsRequest>("ObserveService/ListFlows", web).status.ok();
    }));
  for (int n = 0; n < 2000 && walking < most_walks.of_provider; ++n)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  for (const Answer& refused : {call<v1::ListFlowsRequest>("ObserveService/ListFlows", web),
                                call<v1::ClearFlowsRequest>("ObserveService/ClearFlows", web)}) {
    EXPECT_EQ(refused.status.error_code(), grpc::RESOURCE_EXHAUSTED);
    EXPECT_EQ(
        refused.status.error_message(),
        "provider has 2 calls that walk flow tables already, and no more may one caller; wait until one has "
        "ended");
  }
  goes_on.set_value();
  for (auto& walk : walks) EXPECT_TRUE(walk.get());
  while_asking = {};
  EXPECT_TRUE(call<v1::ListFlowsRequest>("ObserveService/ListFlows", web).status.ok());
}

TEST_F(Flows, ComeInPages) {
  for (uint8_t host = 1; host <= 50; ++host) open(host);
  std::set<std::string> remotes;
  std::string token;
  int pages = 0;
  do {
    const auto reply = list(web + "page_size: 8 page_token: '" + token + "'");
    EXPECT_LE(reply.flows_size(), 8);
    for (const v1::Flow& flow : reply.flows()) remotes.insert(flow.remote());
    token = reply.next_page_token();
    ASSERT_LE(++pages, 8);
  } while (!token.empty());
  EXPECT_EQ(remotes.size(), 50u);
}

TEST_F(Flows, WhatIsWrongIsNamed) {
  struct Wrong {
    const char* request;
    const char* said;
  };
  for (const auto& [request, said] :
       {Wrong{"filter { remote: 'x' }", "no prefix or address"}, Wrong{"filter { protocol: 'tpc' }", "tpc"},
        Wrong{"filter { local_port: 65536 }", "65536 is no port"},
        Wrong{"filter { remote_port: 70000 }", "70000 is no port"}, Wrong{"page_token: 'zz'", "page_token"},
        Wrong{"page_token: '666c6f77730a78'", "page_token"}, Wrong{"page_size: -1", "page_size"},
        Wrong{"eip: 'x'", "x"}}) {
    const Answer answer = call<v1::ListFlowsRequest>("ObserveService/ListFlows", request);
    EXPECT_EQ(answer.status.error_code(), grpc::INVALID_ARGUMENT) << request;
    EXPECT_NE(answer.status.error_message().find(said), std::string::npos) << answer.status.error_message();
  }
  EXPECT_EQ(call<v1::ClearFlowsRequest>("ObserveService/ClearFlows", "eip: 'tenants/acme/eips/203.0.113.77'")
                .status.error_code(),
            grpc::NOT_FOUND);
}

}  // namespace
}  // namespace portcullis::service
