// How long connections last, and how many of one caller's may watch.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <list>
#include <thread>

#include "tests/unit/service/api_fixture.h"

namespace portcullis::service {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds too_long = std::chrono::seconds(15);

// A watcher on a connection of its own, to the end of its stream.
struct Watcher {
  explicit Watcher(const std::string& socket) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    channel = grpc::CreateCustomChannel("unix:" + socket, grpc::InsecureChannelCredentials(), arguments);
    v1::WatchEventsRequest request;
    request.set_parent("tenants/-");
    context.set_deadline(std::chrono::system_clock::now() + too_long);
    reader = v1::ObserveService::NewStub(channel)->WatchEvents(&context, request);
  }
  // Whether an event comes: those that are held do, at once.
  bool sees_one() {
    v1::Event event;
    return reader->Read(&event);
  }
  grpc::Status end() {
    while (sees_one()) continue;
    return reader->Finish();
  }

  grpc::ClientContext context;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<grpc::ClientReader<v1::Event>> reader;
};

class ShortConnections : public Api {
 protected:
  ServerConfig config() const override {
    return {.socket = socket(), .connections = {.age = milliseconds(300), .grace = milliseconds(300)}};
  }
};

TEST_F(ShortConnections, AStreamEndsWithItsConnection) {
  populate();
  const auto began = steady_clock::now();
  Watcher watcher(socket());
  const grpc::Status status = watcher.end();
  EXPECT_FALSE(status.ok());
  EXPECT_NE(status.error_code(), grpc::DEADLINE_EXCEEDED) << "the client's patience ended it";
  EXPECT_LT(steady_clock::now() - began, too_long / 2);
}

class VanishedPeers : public Api {
 protected:
  ServerConfig config() const override {
    return {.socket = socket(),
            .connections = {.keepalive = milliseconds(200), .keepalive_patience = milliseconds(200)}};
  }
};

// Speaks HTTP/2 (RFC 9113, 3.4) as far as the preface, and answers nothing.
TEST_F(VanishedPeers, APeerThatDoesNotAnswerIsTakenForGone) {
  const int peer = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::ranges::copy(socket(), address.sun_path);
  ASSERT_EQ(connect(peer, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  const std::string settings("\0\0\0\4\0\0\0\0\0", 9);
  const std::string preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings;
  ASSERT_EQ(write(peer, preface.data(), preface.size()), static_cast<ssize_t>(preface.size()));
  const auto began = steady_clock::now();
  ssize_t got = 1;
  while (got > 0 && steady_clock::now() - began < too_long) {
    pollfd readable{.fd = peer, .events = POLLIN, .revents = 0};
    char buffer[4096];
    if (poll(&readable, 1, 500) > 0) got = read(peer, buffer, sizeof buffer);
  }
  close(peer);
  EXPECT_LE(got, 0) << "the connection is still open";
}

TEST_F(VanishedPeers, AnIdlePeerThatAnswersStays) {
  populate();
  Watcher watcher(socket());
  ASSERT_TRUE(watcher.sees_one());
  std::this_thread::sleep_for(std::chrono::seconds(2));
  EXPECT_EQ(watcher.channel->GetState(false), GRPC_CHANNEL_READY);
}

class Watching : public Api {};

TEST_F(Watching, OneCallerHasFewSeats) {
  populate();
  std::vector<std::unique_ptr<Watcher>> watchers;
  for (uint32_t i = 0; i < most_watches_of_one; ++i) {
    watchers.push_back(std::make_unique<Watcher>(socket()));
    ASSERT_TRUE(watchers.back()->sees_one()) << i;
  }
  Watcher more(socket());
  const grpc::Status refused = more.end();
  EXPECT_EQ(refused.error_code(), grpc::RESOURCE_EXHAUSTED);
  EXPECT_EQ(refused.error_message(),
            "provider has 8 watches, captures and traces already, and no more may one caller; end one");

  watchers.back()->context.TryCancel();
  EXPECT_EQ(watchers.back()->end().error_code(), grpc::CANCELLED);
  bool has_seat = false;
  for (const auto began = steady_clock::now(); !has_seat && steady_clock::now() - began < too_long;)
    has_seat = Watcher(socket()).sees_one();
  EXPECT_TRUE(has_seat) << "a seat that was left is had again";
}

TEST(Seats, OfTenantsAreNoneOfTheProviders) {
  SeatsApart seats({.of_provider = 1, .of_tenants = 2, .of_tenant = 1}, "walks");
  const auto of_a = seats.take(Identity{"a"}), of_b = seats.take(Identity{"b"});
  EXPECT_TRUE(of_a && of_b);
  EXPECT_FALSE(seats.take(Identity{"c"}));
  const auto of_provider = seats.take(Identity());
  EXPECT_TRUE(of_provider);
  EXPECT_EQ(seats.take(Identity()).error().message,
            "provider has 1 walks already, and no more may one caller; wait until one has ended");
}

TEST(Seats, AreOfAllAndOfEach) {
  constexpr uint32_t most = 100, most_of_one = 8;
  Seats seats({.most = most, .most_of_one = most_of_one, .what = "captures", .remedy = "end one"});
  std::list<Seats::Seat> taken;
  const auto take = [&](uint32_t caller) {
    auto seat = seats.take("tenants/t" + std::to_string(caller));
    if (!seat) return seat.error().message;
    taken.push_back(std::move(*seat));
    return std::string();
  };
  for (uint32_t i = 0; i < most; ++i) ASSERT_EQ(take(i / most_of_one), "") << i;
  EXPECT_EQ(take(0), "tenants/t0 has 8 captures already, and no more may one caller; end one");
  EXPECT_EQ(take(99), "there are 100 captures already, and no more may there be; end one");
  taken.erase(std::next(taken.begin(), most_of_one));  // the first of t1
  EXPECT_EQ(take(0), "tenants/t0 has 8 captures already, and no more may one caller; end one");
  EXPECT_EQ(take(1), "");
  EXPECT_EQ(take(99), "there are 100 captures already, and no more may there be; end one");
}

// gRPC varies the age by a tenth.
TEST(Connections, LastLessThanTheHourThatIsPromised) {
  const ConnectionTerms terms;
  EXPECT_LT(terms.age + terms.age / 10 + terms.grace, std::chrono::hours(1));
}

}  // namespace
}  // namespace portcullis::service
