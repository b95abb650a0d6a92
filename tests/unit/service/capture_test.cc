// The Capture call over the real server: what is refused, what a file begins with, and when it ends. No
// worker polls here; tests/e2e/test_capture.py sees packets.
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <functional>
#include <thread>

#include "tests/unit/service/api_fixture.h"

namespace portcullis::service {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

class CaptureCall : public Api {
 protected:
  Answer capture(const std::string& text) { return call<v1::CaptureRequest>("ObserveService/Capture", text); }
  // A caller may be told of its end before the gateway has put all away.
  void expect_free_soon() {
    Answer next;
    for (const auto began = steady_clock::now(); steady_clock::now() - began < std::chrono::seconds(5);) {
      next = capture("seconds: 1");
      if (next.status.ok()) break;
    }
    EXPECT_TRUE(next.status.ok()) << next.status.error_message();
    EXPECT_EQ(plane_.tables->capture.load(), nullptr);
  }
};

TEST_F(CaptureCall, WhatIsWrongIsRefusedByItsField) {
  populate();
  expect_refused({{"fates: FATE_UNSPECIFIED", grpc::INVALID_ARGUMENT, "fates[0]"},
                  {"reasons: 'unbound' reasons: 'none'", grpc::INVALID_ARGUMENT, "reasons[1]"},
                  {"fates: RECEIVED reasons: 'unbound'", grpc::INVALID_ARGUMENT, "reasons"},
                  {"ports: 'ports/wan' ports: 'vm0'", grpc::NOT_FOUND, "ports[1]"},
                  {"address: '203.0.113.0/24'", grpc::INVALID_ARGUMENT, "address"},
                  {"eip: '203.0.113.1'", grpc::INVALID_ARGUMENT, "eip"},
                  {"eip: 'tenants/acme/eips/203.0.113.9'", grpc::NOT_FOUND, "eip"},
                  {"seconds: 86401", grpc::INVALID_ARGUMENT, "seconds"}},
                 [&](const char* request) { return capture(request); });
}

TEST_F(CaptureCall, ItLastsAsLongAsItIsToAndSaysThatItGoesOn) {
  populate();
  const auto began = steady_clock::now();
  const Answer answer = capture(
      "fates: RECEIVED fates: DROPPED reasons: 'unbound' ports: 'ports/wan' eip: "
      "'tenants/acme/eips/203.0.113.1' seconds: "
      "1");
  EXPECT_TRUE(answer.status.ok()) << answer.status.error_message();
  EXPECT_GE(steady_clock::now() - began, milliseconds(1000));
  ASSERT_GE(answer.messages.size(), 3u);
  v1::CaptureChunk first, last;
  ASSERT_TRUE(first.ParseFromString(answer.messages.front()));
  ASSERT_TRUE(last.ParseFromString(answer.messages.back()));
  EXPECT_EQ(first.pcapng().substr(0, 4), "\x0a\x0d\x0d\x0a");
  EXPECT_NE(first.pcapng().find("wan"), std::string::npos);
  EXPECT_NE(first.pcapng().find("203.0.113.1"), std::string::npos) << "the file says what it is of";
  EXPECT_EQ(last.pcapng(), "");
  EXPECT_EQ(last.packets() + last.lost(), 0u);
}

TEST_F(CaptureCall, OfALongRequestTheFileSaysTheBeginning) {
  v1::CaptureRequest request;
  for (int i = 0; i < 20'000; ++i) request.add_reasons("unbound");
  request.set_seconds(1);
  const Answer answer = call("ObserveService/Capture", request);
  EXPECT_TRUE(answer.status.ok()) << answer.status.error_message();
  v1::CaptureChunk first;
  ASSERT_TRUE(first.ParseFromString(answer.bytes));
  EXPECT_LT(first.pcapng().size(), 2000u);
}

TEST_F(CaptureCall, ACallerThatGoesAwayGivesItsPlaceBack) {
  const auto stub = v1::ObserveService::NewStub(channel_);
  {
    grpc::ClientContext context;
    const auto reader = stub->Capture(&context, v1::CaptureRequest());
    v1::CaptureChunk chunk;
    ASSERT_TRUE(reader->Read(&chunk));
    EXPECT_NE(plane_.tables->capture.load(), nullptr);
    EXPECT_EQ(capture("seconds: 1").status.error_code(), grpc::FAILED_PRECONDITION);
    context.TryCancel();
    EXPECT_EQ(reader->Finish().error_code(), grpc::CANCELLED);
  }
  expect_free_soon();
}

// Of whom no more is read than the connection takes by itself.
class UnreadCapture : public CaptureCall {
 protected:
  std::chrono::milliseconds patience() const override { return milliseconds(1000); }

  // Shows long packets while the capture goes on; whether it still does after that long.
  bool is_there_after(
      milliseconds length, const std::function<void()>& read = [] {}) {
    std::array<char, 1500> bytes{};
    rte_mbuf packet{};
    packet.buf_addr = bytes.data();
    packet.nb_segs = 1;
    packet.pkt_len = packet.data_len = bytes.size();
    Capture* capture = nullptr;
    for (const auto began = steady_clock::now(); steady_clock::now() - began < length;) {
      capture = plane_.tables->capture.load();
      if (capture == nullptr) return false;
      for (int i = 0; i < 100; ++i) capture->offer(0, packet, uplink, Fate::received);
      read();
      std::this_thread::sleep_for(milliseconds(1));
    }
    return true;
  }
};

TEST_F(UnreadCapture, ItsPlaceIsGivenBack) {
  const auto stub = v1::ObserveService::NewStub(channel_);
  grpc::ClientContext context;
  const auto reader = stub->Capture(&context, v1::CaptureRequest());
  v1::CaptureChunk chunk;
  ASSERT_TRUE(reader->Read(&chunk));
  EXPECT_FALSE(is_there_after(std::chrono::seconds(20)));
  while (reader->Read(&chunk)) continue;
  EXPECT_EQ(reader->Finish().error_code(), grpc::CANCELLED);
  expect_free_soon();
}

TEST_F(UnreadCapture, WhoReadsKeepsIt) {
  const auto stub = v1::ObserveService::NewStub(channel_);
  grpc::ClientContext context;
  const auto reader = stub->Capture(&context, v1::CaptureRequest());
  v1::CaptureChunk chunk;
  ASSERT_TRUE(reader->Read(&chunk));
  EXPECT_TRUE(is_there_after(milliseconds(2500), [&] { ASSERT_TRUE(reader->Read(&chunk)); }));
}

// Of a caller who is stopped while its connection is full: what is sent to it waits on.
TEST_F(CaptureCall, ThePlaceIsFreeOnceTheMessageHasWaitedTooLong) {
  ObserveService service(control_, sources());
  int sent = 0;
  std::thread other;
  const auto send = [&](const auto&, const ObserveService::LetGo& let_go) {
    ++sent;
    EXPECT_EQ(capture("seconds: 1").status.error_code(), grpc::FAILED_PRECONDITION);
    let_go();
    other = std::thread(
        [&] { EXPECT_TRUE(capture("seconds: 2").status.ok()) << "the end of the first is not its"; });
    while (plane_.tables->capture.load() == nullptr) std::this_thread::sleep_for(milliseconds(1));
    return false;
  };
  const auto goes_on = [] { return false; };
  EXPECT_TRUE(service.capture(Identity(), {}, send, goes_on).ok());
  EXPECT_NE(plane_.tables->capture.load(), nullptr);
  other.join();
  EXPECT_TRUE(service.trace(Identity(), {}, send, goes_on).ok());
  EXPECT_NE(plane_.tables->capture.load(), nullptr);
  other.join();
  EXPECT_EQ(sent, 2);
}

TEST_F(CaptureCall, AGatewayThatStopsEndsIt) {
  const auto stub = v1::ObserveService::NewStub(channel_);
  grpc::ClientContext context;
  const auto reader = stub->Capture(&context, v1::CaptureRequest());
  v1::CaptureChunk chunk;
  ASSERT_TRUE(reader->Read(&chunk));
  const auto began = steady_clock::now();
  server_->stop();
  EXPECT_LT(steady_clock::now() - began, std::chrono::seconds(3));
  while (reader->Read(&chunk)) continue;
  EXPECT_EQ(reader->Finish().error_code(), grpc::UNAVAILABLE);
}

}  // namespace
}  // namespace portcullis::service
