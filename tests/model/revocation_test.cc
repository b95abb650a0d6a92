// Revocation under load (semantics: "The calls"): workers poll at full speed, a feeder keeps a receive
// ring full of numbered packets that the old state permits. When the call returns, a boundary is drawn: every
// packet from there on was received after the reply, and none of them may come out.
#include <gtest/gtest.h>
#include <pthread.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <thread>

#include "dataplane/capture/capture.h"
#include "dataplane/capture/trace_parts.h"
#include "dataplane/spread.h"
#include "tests/model/frames.h"
#include "tests/model/gateway_under_test.h"

#if defined(__SANITIZE_THREAD__)
// Packets pass between the feeder and the worker through DPDK's ring driver and buffer pool, whose libraries
// are not instrumented: the sanitizer cannot see what orders their accesses. Everything else is watched:
// tables, counters, flows, RCU. NOLINTNEXTLINE(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp): the
// sanitizer calls it by this name.
extern "C" const char* __tsan_default_suppressions() {
  return "race:Feeder::\n"
         "race:tests/model/ring_port.cc\n";
}
#endif

namespace portcullis::testing {
namespace {

using model::Direction;
using model::PermitRule;

constexpr Mac router{{0x02, 0xee, 0, 0, 0, 1}};
constexpr uint32_t depth = 1024;
constexpr uint64_t for_a_while = 4096;  // packets
constexpr uint32_t burst = 64;
constexpr size_t uplink = 0, left = 1, port_count = 2;
constexpr int rounds = 25;
constexpr uint16_t most_workers = 4;
constexpr int64_t quarantine_ms = 0;  // the next round wants an address at once

// Threads started from an EAL thread inherit its one core.
void use_all_cores() {
  cpu_set_t all;
  CPU_ZERO(&all);
  for (unsigned core = 0; core < std::thread::hardware_concurrency(); ++core) CPU_SET(core, &all);
  pthread_setaffinity_np(pthread_self(), sizeof all, &all);
}

struct Hardware {
  FramePool frames{"load", 16383};
  RingPort ports[port_count]{{"load0", frames, depth, most_workers}, {"load1", frames, depth, most_workers}};
  static Hardware& instance() {
    static Hardware hardware;
    return hardware;
  }
};

// What comes by which queue.
struct Fed {
  Bytes frame;
  uint32_t queue = 0;
};

// Keeps one port's receive rings full of copies of frames, by turns, each with the next number at its end,
// and collects what comes out of all ports.
class Feeder {
 public:
  Feeder(Hardware& hardware, size_t port, std::vector<Fed> frames)
      : hardware_(hardware),
        port_(port),
        frames_(std::move(frames)),
        out_until_of_(frames_.size()),
        thread_([this] { run(); }) {}
  ~Feeder() { stop(); }
  Feeder(const Feeder&) = delete;
  Feeder& operator=(const Feeder&) = delete;

  void stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }
  // What the stopped feeder has not collected yet.
  void collect_all() {
    for (RingPort& port : hardware_.ports)
      while (collect(port) != 0) {
      }
  }

  [[nodiscard]] uint64_t fed() const { return next_; }
  [[nodiscard]] uint64_t came_out() const { return came_out_; }
  // The highest number that came out, plus one.
  [[nodiscard]] uint64_t out_until() const { return out_until_; }
  // How many came out after a later one of the same frame.
  [[nodiscard]] uint64_t overtaken() const { return overtaken_; }

 private:
  void run() {
    use_all_cores();
    while (!stop_) {
      for (uint32_t n = 0; n < burst; ++n) {
        const uint64_t number = next_;
        auto& [frame, queue] = frames_[number % frames_.size()];
        std::memcpy(frame.data() + frame.size() - sizeof number, &number, sizeof number);
        // Counted before it can be received: `fed` never lags behind.
        next_ = number + 1;
        if (hardware_.ports[port_].feed(frame, 0, RTE_PKTMBUF_HEADROOM, queue)) continue;
        next_ = number;
        break;
      }
      for (RingPort& port : hardware_.ports) collect(port);
    }
  }

  uint32_t collect(RingPort& port) {
    rte_mbuf* packets[burst];
    const uint32_t count = port.collect(packets, burst);
    for (uint32_t i = 0; i < count; ++i) {
      uint64_t number;
      std::memcpy(&number,
                  rte_pktmbuf_mtod(packets[i], const uint8_t*) + packets[i]->data_len - sizeof number,
                  sizeof number);
      if (number + 1 > out_until_) out_until_ = number + 1;
      uint64_t& of_frame = out_until_of_[number % frames_.size()];
      if (number < of_frame) ++overtaken_;
      of_frame = number + 1;
      rte_pktmbuf_free(packets[i]);
    }
    came_out_ += count;
    return count;
  }

  Hardware& hardware_;
  size_t port_;
  std::vector<Fed> frames_;
  std::vector<uint64_t> out_until_of_;  // by frame
  std::atomic<uint64_t> next_{0}, came_out_{0}, out_until_{0}, overtaken_{0};
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

struct Workers {
  uint32_t count = 1;
  bool queue_for_each = false;  // of every port; without it they hand over
};

class Revocation : public ::testing::TestWithParam<Workers> {
 protected:
  static reference::Setup setup() {
    reference::Setup setup;
    setup.ports = {{.name = "uplink", .uplink = true, .mac = {{0x02, 0xaa, 0, 0, 0, 0}}},
                   {.name = "left", .mac = {{0x02, 0xaa, 0, 0, 0, 1}}}};
    setup.flow_quota = 1000;
    return setup;
  }

  Revocation()
      : hardware_(Hardware::instance()),
        gateway_(setup(), {&hardware_.ports[0], &hardware_.ports[1]},
                 {.workers = GetParam().count,
                  .queue_for_each = GetParam().queue_for_each,
                  .quarantine_ms = quarantine_ms},
                 64) {
    gateway_.tables().next_hop.set(gateway_.uplink(), router);
    enforce(model().plan_create_pool(
        {"a", Ipv4Prefix(Ipv4Addr::of(198, 51, 100, 0), 24), model::PoolKind::local}));
    enforce(model().plan_create_vm(one_));
    enforce(model().plan_create_vm(two_));
    request_eips();
    for (const auto& worker : gateway_.workers())
      threads_.emplace_back([this, &worker = *worker] {
        use_all_cores();
        worker.online();
        worker.run(stop_);
        worker.offline();
      });
  }
  ~Revocation() override {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
    for (RingPort& port : hardware_.ports) static_cast<void>(port.collect());
  }

  static model::Vm vm(const std::string& id, uint8_t number) {
    return {"acme", id, {"left", {{0x02, 0x55, 0, 0, 0, number}}}, Ipv4Addr::of(10, 0, 0, number)};
  }
  const model::Model& model() const { return gateway_.model(); }
  template <typename Reply>
  Reply enforce(const Expected<model::Plan<Reply>>& plan) {
    return gateway_.enforce(plan.value());
  }
  void request_eips() {
    one_eip_ = enforce(model().plan_request_eip({"acme", "one"}, {}, 0)).address.v4();
    two_eip_ = enforce(model().plan_request_eip({"acme", "two"}, {}, 0)).address.v4();
  }
  void permit(Ipv4Addr eip, std::vector<PermitRule> rules) {
    enforce(model().plan_set_permit_list("acme", eip, std::move(rules), false));
  }
  void tag(Ipv4Addr eip, std::set<std::string> tags) {
    enforce(model().plan_set_tag("acme", eip, std::move(tags)));
  }

  [[nodiscard]] Bytes from_outside(Ipv4Addr to, Ipv4Addr source = Ipv4Addr::of(203, 0, 113, 7)) const {
    return build(Packet{.to = setup().ports[uplink].mac,
                        .from = router,
                        .source = source,
                        .destination = to,
                        .source_port = 443,
                        .destination_port = 5000,
                        .payload = Bytes(16)});
  }
  [[nodiscard]] Bytes from_vm(const model::Vm& from, Ipv4Addr to) const {
    return build(Packet{.to = setup().ports[left].mac,
                        .from = from.location.mac,
                        .source = *from.dip,
                        .destination = to,
                        .source_port = 5000,
                        .destination_port = 443,
                        .payload = Bytes(16)});
  }

  // By the queue that receive-side scaling by the remote's address gives.
  [[nodiscard]] static Fed spread(size_t port, Bytes frame) {
    if (!GetParam().queue_for_each) return {std::move(frame)};
    const Layout packet = layout_of(frame).value();
    const Ipv4Addr remote = (port == uplink ? packet.source : packet.destination).v4();
    return {std::move(frame),
            Spread::worker_of_bucket(Spread::bucket(Spread::fold(remote)), GetParam().count)};
  }
  [[nodiscard]] static bool hands_over() { return GetParam().count > 1 && !GetParam().queue_for_each; }

  [[nodiscard]] uint64_t received() const {
    return gateway_.total([](const WorkerCounters& counters) { return counters.received(); });
  }
  [[nodiscard]] uint64_t handed_over() const {
    return gateway_.total([](const WorkerCounters& counters) { return counters.handed_over.get(); });
  }
  [[nodiscard]] uint64_t taken_over() const {
    return gateway_.total([](const WorkerCounters& counters) { return counters.taken_over.get(); });
  }

  template <typename Condition>
  [[nodiscard]] static bool wait_for(Condition&& condition) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
    return true;
  }

  struct Outcome {
    uint64_t boundary = 0;   // numbers from here on were received after the reply
    uint64_t out_until = 0;  // the highest number that came out, plus one
  };

  // Permits, sees traffic pass, revokes under load, and watches what comes out for a while after the reply.
  Outcome revoke_under_load(size_t port, const std::function<Bytes()>& frame,
                            const std::function<void()>& allow, const std::function<void()>& revoke) {
    allow();
    const uint64_t received_before = received();
    Outcome outcome;
    Feeder feeder(hardware_, port, {spread(port, frame())});
    EXPECT_TRUE(wait_for([&] { return feeder.came_out() > for_a_while; }))
        << "nothing passes before the call";
    revoke();
    // The call is acknowledged here. The worker has counted all bursts but perhaps one that had begun before.
    outcome.boundary = std::min(feeder.fed(), received() - received_before + burst);
    EXPECT_TRUE(wait_for([&] { return received() - received_before > outcome.boundary + for_a_while; }));
    feeder.stop();
    wait_until_dealt_with();
    feeder.collect_all();
    outcome.out_until = feeder.out_until();
    return outcome;
  }

  void expect_revocation(size_t port, const std::function<Bytes()>& frame, const std::function<void()>& allow,
                         const std::function<void()>& revoke) {
    for (int round = 0; round < rounds; ++round) {
      const Outcome outcome = revoke_under_load(port, frame, allow, revoke);
      ASSERT_LE(outcome.out_until, outcome.boundary)
          << "round " << round << ": a packet received after the reply was judged by the old state";
    }
  }

  // Until the workers have taken all that is in the receive rings, and done with it.
  void wait_until_dealt_with() {
    EXPECT_TRUE(
        wait_for([&] { return hardware_.ports[uplink].waiting() + hardware_.ports[left].waiting() == 0; }));
    // From the receiver to the owner, and from there to the transmitter.
    for (int way = 0; way < 3; ++way) {
      EXPECT_TRUE(wait_for([&] { return taken_over() == handed_over(); }));
      for (const auto& worker : gateway_.workers()) {
        const Counter& polls = worker->counters().polls;
        EXPECT_TRUE(wait_for([&, before = polls.get()] { return polls.get() > before + 1; }));
      }
    }
  }

  Hardware& hardware_;
  GatewayUnderTest gateway_;
  const model::Vm one_ = vm("one", 10), two_ = vm("two", 11);
  Ipv4Addr one_eip_, two_eip_;
  std::atomic<bool> stop_{false};
  std::vector<std::thread> threads_;
};

PermitRule any_in() {
  return {.name = "in", .direction = Direction::inbound};
}
PermitRule any_out() {
  return {.name = "out", .direction = Direction::outbound};
}
PermitRule friends(Direction direction) {
  return {.name = "friends", .direction = direction, .remote = std::vector<std::string>{"friend"}};
}

// The negative control: where nothing is revoked, the boundary is crossed, so below it could have been.
TEST_P(Revocation, TheBoundaryIsCrossedWhereNothingIsRevoked) {
  const Outcome outcome = revoke_under_load(
      uplink, [&] { return from_outside(one_eip_); }, [&] { permit(one_eip_, {any_in()}); },
      [&] {
        permit(one_eip_, {any_in(), any_out()});
      });
  EXPECT_GT(outcome.out_until, outcome.boundary);
}

TEST_P(Revocation, InboundRuleWithdrawn) {
  expect_revocation(
      uplink, [&] { return from_outside(one_eip_); }, [&] { permit(one_eip_, {any_in()}); },
      [&] { permit(one_eip_, {any_out()}); });
}

TEST_P(Revocation, OutboundRuleWithdrawn) {
  expect_revocation(
      left, [&] { return from_vm(one_, Ipv4Addr::of(203, 0, 113, 7)); },
      [&] { permit(one_eip_, {any_out()}); }, [&] { permit(one_eip_, {}); });
}

// Established: the packets are admitted by a flow entry, not by a rule.
TEST_P(Revocation, RepliesToAFlowWhoseRuleIsWithdrawn) {
  expect_revocation(
      uplink, [&] { return from_outside(one_eip_); },
      [&] {
        permit(one_eip_, {any_out()});
        ASSERT_TRUE(hardware_.ports[left].feed(from_vm(one_, Ipv4Addr::of(203, 0, 113, 7))));
        wait_until_dealt_with();
      },
      [&] { permit(one_eip_, {{.name = "else", .direction = Direction::outbound, .protocol = tcp}}); });
}

TEST_P(Revocation, TagOfTheSourceTakenAway) {
  permit(one_eip_, {any_out()});
  permit(two_eip_, {friends(Direction::inbound)});
  expect_revocation(
      left, [&] { return from_vm(one_, two_eip_); }, [&] { tag(one_eip_, {"friend"}); },
      [&] { tag(one_eip_, {}); });
}

TEST_P(Revocation, TagOfTheDestinationTakenAway) {
  permit(one_eip_, {friends(Direction::outbound)});
  permit(two_eip_, {any_in()});
  expect_revocation(
      left, [&] { return from_vm(one_, two_eip_); }, [&] { tag(two_eip_, {"friend"}); },
      [&] { tag(two_eip_, {}); });
}

TEST_P(Revocation, DestinationReleased) {
  expect_revocation(
      uplink, [&] { return from_outside(one_eip_); },
      [&] {
        request_eips();
        permit(one_eip_, {any_in()});
      },
      [&] { enforce(model().plan_release_eip("acme", one_eip_, 0)); });
}

TEST_P(Revocation, SourceReleased) {
  expect_revocation(
      left, [&] { return from_vm(one_, Ipv4Addr::of(203, 0, 113, 7)); },
      [&] {
        request_eips();
        permit(one_eip_, {any_out()});
      },
      [&] { enforce(model().plan_release_eip("acme", one_eip_, 0)); });
}

// Flows of many remotes, owned by every worker: none is reordered, and no packet that is not dropped is lost.
TEST_P(Revocation, PacketsOfAFlowKeepTheirOrder) {
  permit(one_eip_, {any_in()});
  std::vector<Fed> frames;
  for (uint8_t n = 1; n <= 64; ++n)
    frames.push_back(spread(uplink, from_outside(one_eip_, Ipv4Addr::of(203, 0, 113, n))));
  const uint64_t handed_before = handed_over();
  Feeder feeder(hardware_, uplink, frames);
  EXPECT_TRUE(wait_for([&] { return feeder.came_out() > 16 * for_a_while; }));
  feeder.stop();
  const auto dropped = [&] {
    return gateway_.total([](const WorkerCounters& counters) { return counters.dropped_all(); });
  };
  EXPECT_TRUE(wait_for([&] {
    feeder.collect_all();
    return feeder.came_out() + dropped() == feeder.fed();
  }));
  EXPECT_EQ(feeder.overtaken(), 0u);
  EXPECT_EQ(handed_over() > handed_before, hands_over());
}

// Not one packet is copied after a capture has stopped, and none waits for it.
TEST_P(Revocation, CapturesBeginAndEndUnderLoad) {
  permit(one_eip_, {any_in()});
  const auto captures =
      *Captures::create(gateway_.tables(), gateway_.rcu(), std::vector<int>(GetParam().count, -1), 1500);
  CaptureFilter filter;
  filter.fates.fill(true);
  filter.reasons.fill(true);
  filter.ports.fill(true);
  filter.address = one_eip_;
  Feeder feeder(hardware_, uplink, {spread(uplink, from_outside(one_eip_))});
  for (int round = 0; round < rounds; ++round) {
    auto session = captures->begin(filter);
    ASSERT_TRUE(session);
    uint32_t copies = 0;
    EXPECT_TRUE(wait_for([&] {
      while (session->take() != nullptr) ++copies;
      return copies > burst;
    }));
    session->stop();
    while (session->take() != nullptr) continue;
    const uint64_t lost = session->lost();
    const uint64_t came_out = feeder.came_out();
    EXPECT_TRUE(wait_for([&] { return feeder.came_out() > came_out + burst; }));
    EXPECT_EQ(session->take(), nullptr);
    EXPECT_EQ(session->lost(), lost);
  }
}

// The same of traces; and each that is told is told whole, by all workers that had the packet.
TEST_P(Revocation, TracesBeginAndEndUnderLoad) {
  permit(one_eip_, {any_in()});
  const auto captures =
      *Captures::create(gateway_.tables(), gateway_.rcu(), std::vector<int>(GetParam().count, -1), 1500);
  CaptureFilter filter;
  filter.fates.fill(true);
  filter.reasons.fill(true);
  filter.ports.fill(true);
  filter.address = one_eip_;
  std::vector<Fed> frames;
  for (uint8_t n = 1; n <= 16; ++n)
    frames.push_back(spread(uplink, from_outside(one_eip_, Ipv4Addr::of(203, 0, 113, n))));
  Feeder feeder(hardware_, uplink, frames);
  uint64_t of_two_workers = 0;
  for (int round = 0; round < rounds; ++round) {
    auto session = captures->begin_trace(filter);
    ASSERT_TRUE(session);
    TraceParts parts(filter);
    uint32_t traces = 0;
    const auto take_all = [&] {
      while (const auto part = session->take_trace()) {
        const auto trace = parts.add(*part, TraceParts::Clock::now());
        if (!trace) continue;
        ++traces;
        const auto stages = trace->passage.stages();
        ASSERT_EQ(stages.front().stage, "decapsulate");
        ASSERT_TRUE(stages.back().stage == "transmit" || stages.back().verdict == Verdict::dropped);
        if (stages.front().worker != stages.back().worker) ++of_two_workers;
      }
    };
    EXPECT_TRUE(wait_for([&] {
      take_all();
      // The other worker may be waiting for a core.
      return traces > burst && (!hands_over() || of_two_workers > 0);
    }));
    session->stop();
    take_all();
    const uint64_t lost = session->lost();
    const uint64_t came_out = feeder.came_out();
    EXPECT_TRUE(wait_for([&] { return feeder.came_out() > came_out + burst; }));
    EXPECT_EQ(session->take_trace(), std::nullopt);
    EXPECT_EQ(session->lost(), lost);
  }
  EXPECT_EQ(of_two_workers > 0, hands_over());
}

INSTANTIATE_TEST_SUITE_P(Workers, Revocation,
                         ::testing::Values(Workers{1}, Workers{2}, Workers{4}, Workers{2, true}),
                         [](const auto& workers) {
                           return "Of" + std::to_string(workers.param.count) +
                                  (workers.param.queue_for_each ? "WithQueues" : "");
                         });

}  // namespace
}  // namespace portcullis::testing
