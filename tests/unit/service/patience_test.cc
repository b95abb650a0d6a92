// What is waited for too long is given up: once, in order, and not after it has ended.
#include "control/service/patience.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <mutex>
#include <thread>
#include <vector>

namespace portcullis::service {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(Patience, WhatTakesTooLongIsGivenUpOnceInTheOrderInWhichItBegan) {
  Patience patience(milliseconds(50));
  std::mutex mutex;
  std::vector<int> given_up;
  std::promise<void> both;
  const auto give_up = [&](int which) {
    const std::scoped_lock lock(mutex);
    given_up.push_back(which);
    if (given_up.size() == 2) both.set_value();
  };
  const auto began = Patience::Clock::now();
  const Patience::Wait first = patience.wait("somebody", [&] { give_up(1); });
  const Patience::Wait second = patience.wait("somebody", [&] { give_up(2); });
  ASSERT_EQ(both.get_future().wait_for(seconds(20)), std::future_status::ready);
  EXPECT_GE(Patience::Clock::now() - began, milliseconds(50));
  std::this_thread::sleep_for(milliseconds(150));
  const std::scoped_lock lock(mutex);
  EXPECT_EQ(given_up, (std::vector{1, 2}));
}

TEST(Patience, WhatEndsInTimeIsNotGivenUpAndWhatBeginsAfterwardsIs) {
  Patience patience(seconds(1));
  int given_up = 0;
  for (int i = 0; i < 1000; ++i) const Patience::Wait wait = patience.wait("somebody", [&] { ++given_up; });
  std::promise<void> late;
  {
    const Patience::Wait wait = patience.wait("somebody", [&] { late.set_value(); });
    EXPECT_EQ(late.get_future().wait_for(seconds(20)), std::future_status::ready);
  }
  EXPECT_EQ(given_up, 0);
}

// It may be given up at just that moment: not in the middle of its end, and not afterwards.
TEST(Patience, NothingIsGivenUpAfterTheEndOfTheWait) {
  Patience patience(milliseconds(1));
  std::atomic<bool> is_there = false;
  std::atomic<int> given_up = 0, too_late = 0;
  for (int i = 0; i < 300; ++i) {
    is_there = true;
    {
      const Patience::Wait wait = patience.wait("somebody", [&] { ++(is_there ? given_up : too_late); });
      std::this_thread::sleep_for(std::chrono::microseconds(800 + i));
    }
    is_there = false;
  }
  EXPECT_GT(given_up, 0);
  EXPECT_EQ(too_late, 0);
}

TEST(Patience, ItMayEndWhileNothingIsWaitedForAnyMore) {
  Patience patience(seconds(1000));
  {
    const Patience::Wait wait = patience.wait("somebody", [] {});
  }
}

}  // namespace
}  // namespace portcullis::service
