#include "control/durations.h"

#include <gtest/gtest.h>

namespace portcullis {
namespace {

using namespace std::chrono_literals;

size_t place_of(std::chrono::nanoseconds duration) {
  Durations durations;
  durations.add(duration);
  const Durations::Counted counted = durations.counted();
  EXPECT_EQ(counted.total, duration);
  EXPECT_EQ(std::ranges::count(counted.times, 1U), 1);
  EXPECT_EQ(std::ranges::count(counted.times, 0U), counted.times.size() - 1);
  return static_cast<size_t>(std::ranges::find(counted.times, 1U) - counted.times.begin());
}

TEST(Durations, EachIsCountedAtTheFirstBoundThatItDoesNotExceed) {
  EXPECT_EQ(place_of(0ns), 0U);
  for (size_t i = 0; i < Durations::bounds.size(); ++i) {
    EXPECT_EQ(place_of(Durations::bounds[i]), i);
    EXPECT_EQ(place_of(Durations::bounds[i] + 1ns), i + 1);
  }
  EXPECT_EQ(place_of(24h), Durations::bounds.size());
}

TEST(Durations, AreAddedUp) {
  Durations durations;
  durations.add(300us);
  durations.add(400us);
  durations.add(3ms);
  const Durations::Counted counted = durations.counted();
  EXPECT_EQ(counted.total, 3700us);
  EXPECT_EQ(counted.times[3], 2U);
  EXPECT_EQ(counted.times[6], 1U);
}

TEST(Durations, BoundsAscend) {
  EXPECT_TRUE(std::ranges::is_sorted(Durations::bounds, std::ranges::less_equal()));
}

}  // namespace
}  // namespace portcullis
