// The wall clock jumps between two processes and while one runs; the machine boots; the file is lost.
#include "control/store/durable_clock.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace portcullis::store {
namespace {

constexpr int64_t day = 86'400'000;
constexpr int64_t start = 1'800'000'000'000;

class DurableClockTest : public testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/portcullis-clock-XXXXXX";
    ASSERT_NE(mkdtemp(pattern), nullptr);
    directory_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  [[nodiscard]] std::string path() const { return directory_ + "/state.db.clock"; }
  // Of a process that starts now.
  DurableClock clock() {
    DurableClock made({boot_id_, [this] { return boot_ms_; }, [this] { return wall_ms_; }}, path());
    const auto saved = made.save();
    EXPECT_TRUE(saved) << saved.error().message;
    return made;
  }
  void pass(int64_t ms) {
    boot_ms_ += ms;
    wall_ms_ += ms;
  }
  // The machine was off for so long.
  void boot(int64_t ms) {
    boot_id_ += "x";
    boot_ms_ = 10'000;
    wall_ms_ += ms;
  }

  std::string directory_;
  std::string boot_id_ = "b";
  int64_t boot_ms_ = 500'000;
  int64_t wall_ms_ = start;
};

TEST_F(DurableClockTest, BeginsWithTheWallClock) {
  const DurableClock first = clock();
  EXPECT_EQ(first.now_ms(), start);
  pass(1234);
  EXPECT_EQ(first.now_ms(), start + 1234);
}

TEST_F(DurableClockTest, DoesNotJump) {
  for (const int64_t jump : {day, -day, -start}) {
    const DurableClock running = clock();
    const int64_t before = running.now_ms();
    wall_ms_ += jump;
    EXPECT_EQ(running.now_ms(), before);
    pass(1000);
    EXPECT_EQ(running.now_ms(), before + 1000);
    pass(5000);  // between two processes
    EXPECT_EQ(clock().now_ms(), before + 6000) << jump;
  }
}

TEST_F(DurableClockTest, ABootBelievesTheWallClock) {
  EXPECT_EQ(clock().now_ms(), start);
  wall_ms_ += day;
  boot(60'000);
  EXPECT_EQ(clock().now_ms(), start + day + 60'000);
  wall_ms_ -= 3 * day;
  EXPECT_EQ(clock().now_ms(), start + day + 60'000) << "the new boot's first process has said so";
  boot(0);
  EXPECT_EQ(clock().now_ms(), start - 2 * day + 60'000);
}

TEST_F(DurableClockTest, WithoutItsFileItBelievesTheWallClock) {
  EXPECT_EQ(clock().now_ms(), start);
  wall_ms_ += day;
  for (const char* text : {"", "b", "b x\n", "\n", "another 5\n", " 1800000000000"}) {
    std::ofstream(path()) << text;
    EXPECT_EQ(clock().now_ms(), start + day) << text;
  }
  std::filesystem::remove(path());
  EXPECT_EQ(clock().now_ms(), start + day);
}

TEST_F(DurableClockTest, WithoutABootIdEachProcessIsTheFirst) {
  boot_id_.clear();
  EXPECT_EQ(clock().now_ms(), start);
  EXPECT_FALSE(std::filesystem::exists(path()));
  wall_ms_ += day;
  EXPECT_EQ(clock().now_ms(), start + day);
}

TEST_F(DurableClockTest, AFileThatCannotBeWrittenIsTold) {
  DurableClock made({boot_id_, [this] { return boot_ms_; }, [this] { return wall_ms_; }},
                    directory_ + "/none/state.db.clock");
  const auto saved = made.save();
  ASSERT_FALSE(saved);
  EXPECT_NE(saved.error().message.find("none/state.db.clock"), std::string::npos);
  EXPECT_EQ(made.now_ms(), start);
}

TEST_F(DurableClockTest, IsWrittenOnceABoot) {
  clock();
  const auto written = std::filesystem::last_write_time(path());
  std::filesystem::last_write_time(path(), written - std::chrono::hours(1));
  wall_ms_ += day;
  clock();
  EXPECT_EQ(std::filesystem::last_write_time(path()), written - std::chrono::hours(1));
  EXPECT_FALSE(std::filesystem::exists(path() + ".new"));
}

TEST(MachineClocks, AreThoseOfThisMachine) {
  const MachineClocks clocks = machine_clocks();
  EXPECT_EQ(clocks.boot_id, machine_clocks().boot_id);
  EXPECT_FALSE(clocks.boot_id.empty());
  EXPECT_GT(clocks.boot_ms(), 0);
  EXPECT_GT(clocks.wall_ms(), start - 1000 * day);
}

}  // namespace
}  // namespace portcullis::store
