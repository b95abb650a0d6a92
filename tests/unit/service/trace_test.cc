// The Trace call over the real server: what is refused, how a packet is told, and when it ends. No worker
// polls here: what one would note of a live packet is that of a rehearsed one. tests/e2e/test_trace.py sees
// packets.
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "control/service/explain_frame.h"
#include "dataplane/rehearsal.h"
#include "tests/unit/service/api_fixture.h"

namespace portcullis::service {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

class TraceCall : public Api {
 protected:
  void SetUp() override {
    Api::SetUp();
    plane_.tables->next_hop.set(uplink, router);
    populate();
    permit("http");
    stub_ = v1::ObserveService::NewStub(channel_);
  }
  Answer trace(const std::string& text) { return call<v1::TraceRequest>("ObserveService/Trace", text); }
  void permit(const std::string& name) {
    get<v1::SetPermitListResponse, v1::SetPermitListRequest>(
        "TenantService/SetPermitList",
        "eip: 'tenants/acme/eips/203.0.113.1' rules { name: '" + name +
            "' direction: INBOUND protocol: 'tcp' remote { any: true } local_ports { first: 80 last: 80 } }");
  }
  FrameBytes syn(uint16_t port) const {
    return make_frame({.source_mac = router,
                       .destination_mac = plane_.tables->ports.ports[uplink].mac,
                       .source = *IpAddr::parse("198.51.100.7"),
                       .destination = *IpAddr::parse("203.0.113.1"),
                       .protocol = ip_protocol::tcp,
                       .destination_port = port});
  }
  // What becomes of a packet now.
  Rehearsal rehearsed(const FrameBytes& frame) {
    Rehearsal stages(uplink, frame);
    plane_.worker->carry_out(stages, now_ms);
    return stages;
  }
  // A live packet that fares so, as the worker would note it.
  void receive(const FrameBytes& frame, Rehearsal stages) {
    Rehearsal packet(uplink, frame);
    Tracer& tracer = *plane_.tables->capture.load()->shares[0].tracer;
    const auto burst = std::make_unique<Burst>();
    burst->count = 1;
    burst->in_port = uplink;
    burst->mbuf[0] = packet.mbuf();
    ASSERT_TRUE(tracer.choose(*burst));
    if (stages.fate() == Verdict::transmitted) {
      burst->live = 1;
      burst->mbuf[0] = stages.mbuf();
      burst->out_port[0] = stages.out_port();
      tracer.transmit(*burst);
    }
    tracer.passage(0) = stages;
    tracer.finish();
  }
  void receive(const FrameBytes& frame) { receive(frame, rehearsed(frame)); }

  // A call that has begun.
  struct Stream {
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReader<v1::TraceChunk>> reader;
    v1::TraceChunk last;
    std::vector<v1::TracedPacket> packets;
    // False: it is over.
    bool read() {
      if (!reader->Read(&last)) return false;
      packets.insert(packets.end(), last.packets().begin(), last.packets().end());
      return true;
    }
    // Until so many packets are told.
    bool read_until(size_t count) {
      while (packets.size() < count)
        if (!read()) return false;
      return true;
    }
  };
  std::unique_ptr<Stream> begin(const v1::TraceRequest& request = {}) {
    auto stream = std::make_unique<Stream>();
    stream->reader = stub_->Trace(&stream->context, request);
    EXPECT_TRUE(stream->read());
    EXPECT_NE(plane_.tables->capture.load(), nullptr);
    return stream;
  }
  static void end(Stream& stream) {
    stream.context.TryCancel();
    EXPECT_EQ(stream.reader->Finish().error_code(), grpc::CANCELLED);
  }

  static constexpr Mac router{{0x02, 0, 0, 0, 0, 0xfe}};
  std::unique_ptr<v1::ObserveService::Stub> stub_;
};

TEST_F(TraceCall, WhatIsWrongIsRefusedByItsField) {
  expect_refused({{"fates: DROPPED fates: RECEIVED", grpc::INVALID_ARGUMENT, "fates[1]"},
                  {"fates: FATE_UNSPECIFIED", grpc::INVALID_ARGUMENT, "fates[0]"},
                  {"reasons: 'none'", grpc::INVALID_ARGUMENT, "reasons[0]"},
                  {"fates: PUNTED reasons: 'unbound'", grpc::INVALID_ARGUMENT, "reasons"},
                  {"ports: 'wan'", grpc::NOT_FOUND, "ports[0]"},
                  {"address: '203.0.113.0/24'", grpc::INVALID_ARGUMENT, "address"},
                  {"eip: 'tenants/acme/eips/203.0.113.9'", grpc::NOT_FOUND, "eip"},
                  {"packets: 100001", grpc::INVALID_ARGUMENT, "packets"},
                  {"seconds: 86401", grpc::INVALID_ARGUMENT, "seconds"}},
                 [&](const char* request) { return trace(request); });
}

TEST_F(TraceCall, ItLastsAsLongAsItIsToAndSaysThatItGoesOn) {
  const auto began = steady_clock::now();
  const Answer answer = trace("seconds: 1 ports: 'ports/wan'");
  EXPECT_TRUE(answer.status.ok()) << answer.status.error_message();
  EXPECT_GE(steady_clock::now() - began, milliseconds(1000));
  EXPECT_GE(answer.messages.size(), 3u);
  EXPECT_EQ(plane_.tables->capture.load(), nullptr);
}

TEST_F(TraceCall, APacketIsToldAsExplainTellsIt) {
  const auto stream = begin();
  const auto time = [] {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
  };
  const auto began = time();
  for (const uint16_t port : std::initializer_list<uint16_t>{80, 81}) receive(syn(port));
  ASSERT_TRUE(stream->read_until(2));
  for (size_t n = 0; n < 2; ++n) {
    const v1::TracedPacket& packet = stream->packets[n];
    EXPECT_GT(static_cast<int64_t>(packet.time_ns()), began - 1'000'000'000);
    EXPECT_LT(static_cast<int64_t>(packet.time_ns()), time() + 1'000'000'000);
    v1::ExplainRequest asked;
    asked.mutable_frame()->set_port("ports/wan");
    const FrameBytes frame = syn(n == 0 ? 80 : 81);
    asked.mutable_frame()->set_data(frame.data(), frame.size());
    const Answer answer = call("ObserveService/Explain", asked);
    v1::Explanation explained, told = packet.explanation();
    ASSERT_TRUE(explained.ParseFromString(answer.bytes));
    EXPECT_EQ(told.received().length(), frame.size());
    EXPECT_EQ(told.received().headers(),
              "198.51.100.7:49152 > 203.0.113.1:" + std::to_string(n == 0 ? 80 : 81) + " tcp");
    for (v1::Frame* of : {told.mutable_received(), told.has_sent() ? told.mutable_sent() : nullptr})
      if (of != nullptr) of->clear_length(), of->clear_headers();
    EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(told, explained))
        << told.DebugString() << explained.DebugString();
  }
  const v1::Explanation& passed = stream->packets[0].explanation();
  EXPECT_EQ(passed.destination().rule(), "http");
  EXPECT_EQ(passed.sent().headers(), "198.51.100.7:49152 > 10.0.0.2:80 tcp");
  EXPECT_EQ(stream->packets[1].explanation().reason(), "destination_not_permitted");
  EXPECT_EQ(stream->last.told(), 2u);
  EXPECT_EQ(stream->last.lost(), 0u);
  end(*stream);
}

// Records wait for their telling: what has changed meanwhile is not told of what was before.
TEST_F(TraceCall, ARuleIsNamedByTheListThatJudged) {
  const auto stream = begin();
  Rehearsal before = rehearsed(syn(80)), released = rehearsed(syn(80));
  permit("other");
  receive(syn(80), std::move(before));
  ASSERT_TRUE(stream->read_until(1));
  const v1::Explanation& told = stream->packets[0].explanation();
  EXPECT_EQ(told.destination().eip(), "tenants/acme/eips/203.0.113.1");
  EXPECT_EQ(told.destination().way(), v1::ExplainedSide::RULE);
  EXPECT_EQ(told.destination().rule(), "");
  get<v1::ReleaseEipResponse, v1::ReleaseEipRequest>("TenantService/ReleaseEip",
                                                     "name: 'tenants/acme/eips/203.0.113.1'");
  receive(syn(80), std::move(released));
  ASSERT_TRUE(stream->read_until(2));
  EXPECT_FALSE(stream->packets[1].explanation().has_destination());
  end(*stream);
}

TEST_F(TraceCall, ItEndsAfterSoManyPackets) {
  v1::TraceRequest request;
  request.set_packets(2);
  request.add_fates(v1::CaptureRequest::DROPPED);
  const auto stream = begin(request);
  for (const uint16_t port : std::initializer_list<uint16_t>{80, 81, 82, 83, 84}) receive(syn(port));
  while (stream->read()) continue;
  EXPECT_TRUE(stream->reader->Finish().ok());
  ASSERT_EQ(stream->packets.size(), 2u);
  EXPECT_EQ(stream->packets[1].explanation().received().headers(), "198.51.100.7:49152 > 203.0.113.1:82 tcp");
  EXPECT_EQ(stream->last.told(), 2u);
}

TEST_F(TraceCall, ACallerThatGoesAwayGivesItsPlaceBack) {
  const auto stream = begin();
  EXPECT_EQ(trace("seconds: 1").status.error_code(), grpc::FAILED_PRECONDITION);
  const auto capture = [&] {
    return call<v1::CaptureRequest>("ObserveService/Capture", "seconds: 1").status;
  };
  EXPECT_EQ(capture().error_code(), grpc::FAILED_PRECONDITION);
  end(*stream);
  grpc::Status next(grpc::UNKNOWN, "");
  for (const auto began = steady_clock::now();
       !next.ok() && steady_clock::now() - began < std::chrono::seconds(5);)
    next = capture();
  EXPECT_TRUE(next.ok()) << next.error_message();
}

TEST_F(TraceCall, AGatewayThatStopsEndsIt) {
  const auto stream = begin();
  const auto began = steady_clock::now();
  server_->stop();
  EXPECT_LT(steady_clock::now() - began, std::chrono::seconds(3));
  while (stream->read()) continue;
  EXPECT_EQ(stream->reader->Finish().error_code(), grpc::UNAVAILABLE);
}

}  // namespace
}  // namespace portcullis::service
