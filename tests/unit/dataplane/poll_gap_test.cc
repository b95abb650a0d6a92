// The longest gap of a worker's loop: of which turns, for how long, and with the one under way.
#include "dataplane/poll_gap.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "dataplane/mailbox.h"
#include "dataplane/worker.h"
#include "tests/unit/control/data_plane.h"

namespace portcullis {
namespace {

using std::chrono::nanoseconds, std::chrono::milliseconds, std::chrono::seconds;

constexpr uint64_t hz = 2'000'000'000;  // two turns of the clock a nanosecond
constexpr uint64_t ms = hz / 1000;
constexpr uint64_t interval = PollGap::interval_s * hz;
constexpr uint64_t start = 5 * hz;

void expect(const PollGap& gap, uint64_t tsc, nanoseconds ever, nanoseconds recent) {
  EXPECT_EQ(gap.longest(tsc).ever, ever);
  EXPECT_EQ(gap.longest(tsc).recent, recent);
}

TEST(PollGap, IsTheLongestTimeBetweenTwoTurns) {
  PollGap gap(hz);
  expect(gap, start, nanoseconds(0), nanoseconds(0));
  gap.begin(start);
  expect(gap, start, nanoseconds(0), nanoseconds(0));
  uint64_t now = start;
  for (const uint64_t turn : {3 * ms, 7 * ms, 2 * ms}) gap.turn(now += turn);
  expect(gap, now, milliseconds(7), milliseconds(7));
  gap.turn(now += 8 * ms);
  expect(gap, now, milliseconds(8), milliseconds(8));
}

TEST(PollGap, OfTheOneUnderWayIsTheTimeUpToNow) {
  PollGap gap(hz);
  gap.begin(start);
  gap.turn(start + ms);
  expect(gap, start + 2 * ms, milliseconds(1), milliseconds(1));
  expect(gap, start + 601 * ms, milliseconds(600), milliseconds(600));
  // It was asked for only: the worker has turned.
  gap.turn(start + 3 * ms);
  expect(gap, start + 3 * ms, milliseconds(2), milliseconds(2));
}

TEST(PollGap, AReaderWhoseClockIsBehindSeesNoGap) {
  PollGap gap(hz);
  gap.begin(start);
  gap.turn(start + ms);
  expect(gap, start, milliseconds(1), milliseconds(1));
}

TEST(PollGap, TheRecentOneIsOfThisIntervalAndTheOneBefore) {
  PollGap gap(hz);
  gap.begin(start);
  uint64_t now = start;
  const auto turn_until = [&](uint64_t end) {
    while (now < end) gap.turn(now += ms);
  };
  gap.turn(now += 50 * ms);
  turn_until(start + interval - 2 * ms);
  expect(gap, now, milliseconds(50), milliseconds(50));
  turn_until(start + interval);
  gap.turn(now += 20 * ms);
  expect(gap, now, milliseconds(50), milliseconds(50));
  turn_until(start + 2 * interval);  // the interval with the 50 is no more the one before
  expect(gap, now, milliseconds(50), milliseconds(20));
  turn_until(start + 3 * interval);
  expect(gap, now, milliseconds(50), milliseconds(1));
  gap.turn(now += 30 * ms);
  expect(gap, now, milliseconds(50), milliseconds(30));
}

TEST(PollGap, OneLongerThanAnIntervalIsRecentForTheNext) {
  PollGap gap(hz);
  gap.begin(start);
  uint64_t now = start;
  gap.turn(now += 3 * interval);
  const uint64_t end = now + interval;
  while (now + ms < end) gap.turn(now += ms);
  expect(gap, now, seconds(3 * PollGap::interval_s), seconds(3 * PollGap::interval_s));
  gap.turn(now += ms);
  expect(gap, now, seconds(3 * PollGap::interval_s), milliseconds(1));
}

// Sleeps between two turns, once.
class Sleep final : public Errand {
 public:
  bool run(WorkerState&, uint64_t) noexcept override {
    std::this_thread::sleep_for(milliseconds(30));
    return true;
  }
};

TEST(PollGap, IsOfTheLoopThatRuns) {
  DataPlane plane({.eips = 8, .ipv6_eips = 8, .index_pages = 3});
  EXPECT_EQ(plane.worker->longest_gap().ever, nanoseconds(0));
  std::atomic<bool> stop{false};
  std::thread thread([&] {
    plane.worker->online();
    plane.worker->run(stop);
    plane.worker->offline();
  });
  Sleep sleep;
  EXPECT_TRUE(plane.worker->ask(sleep));
  // By the counter, whose frequency DPDK rounds.
  EXPECT_GE(plane.worker->longest_gap().ever, milliseconds(29));
  EXPECT_GE(plane.worker->longest_gap().recent, milliseconds(29));
  stop = true;
  thread.join();
}

}  // namespace
}  // namespace portcullis
