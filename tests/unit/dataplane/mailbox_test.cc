// Errands: carried out by a worker that polls, step by step; given up, and never touched again, if none does.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "dataplane/worker_state.h"
#include "tests/unit/control/data_plane.h"

namespace portcullis {
namespace {

using std::chrono::milliseconds;

// Takes so many steps, and notes who took them and when.
class Steps final : public Errand {
 public:
  explicit Steps(uint32_t steps) : left_(steps) {}
  bool run(WorkerState& worker, uint64_t) noexcept override {
    thread = std::this_thread::get_id();
    ++taken;
    polls = worker.counters.polls.get();
    return --left_ == 0;
  }
  uint32_t taken = 0;
  uint64_t polls = 0;
  std::thread::id thread;

 private:
  uint32_t left_;
};

const TableSizes sizes{.eips = 8, .ipv6_eips = 8, .index_pages = 3};

// A worker in a thread of its own.
class Polling {
 public:
  explicit Polling(Worker& worker)
      : thread_([this, &worker] {
          worker.online();
          worker.run(stop_);
          worker.offline();
        }) {}
  ~Polling() {
    stop_ = true;
    thread_.join();
  }
  [[nodiscard]] std::thread::id id() const { return thread_.get_id(); }

 private:
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

TEST(Mailbox, AnErrandIsCarriedOutByTheWorkerAStepATurn) {
  DataPlane plane(sizes);
  const Polling polling(*plane.worker);
  for (int n = 0; n < 100; ++n) {
    Steps errand(3);
    const auto done = plane.worker->ask(errand);
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_EQ(errand.taken, 3u);
    EXPECT_EQ(errand.thread, polling.id());
    EXPECT_GE(errand.polls, 3u);
  }
}

TEST(Mailbox, ASleepingWorkerIsWaitedFor) {
  const Rcu rcu = make_rcu(1);
  const auto tables = *Tables::create(sizes, SOCKET_ID_ANY);
  const auto worker = *Worker::create({.flow_capacity = 1024,
                                       .ipv6_flow_capacity = 1024,
                                       .fragment_capacity = 64,
                                       .idle_polls = 1,
                                       .idle_sleep_us = 20'000},
                                      *tables, rcu.get());
  const Polling polling(*worker);
  Steps errand(2);
  EXPECT_TRUE(worker->ask(errand));
  EXPECT_EQ(errand.taken, 2u);
}

TEST(Mailbox, EachOfManyAskersGetsItsOwnErrandDone) {
  DataPlane plane(sizes);
  const Polling polling(*plane.worker);
  std::array<std::thread, 4> askers;
  std::atomic<uint32_t> done{0};
  for (std::thread& asker : askers)
    asker = std::thread([&] {
      for (int k = 0; k < 50; ++k) {
        Steps errand(2);
        if (plane.worker->ask(errand) && errand.taken == 2) ++done;
      }
    });
  for (std::thread& asker : askers) asker.join();
  EXPECT_EQ(done, 200u);
}

// Goes on until it is told to end.
class Long final : public Errand {
 public:
  explicit Long(std::atomic<bool>& ends) : ends_(ends) {}
  bool run(WorkerState&, uint64_t) noexcept override {
    ++taken;
    return ends_;
  }
  std::atomic<uint32_t> taken{0};

 private:
  std::atomic<bool>& ends_;
};

// So many of them, asked of a worker that carries them out.
class LongErrands {
 public:
  LongErrands(const Worker& worker, size_t count) {
    for (size_t n = 0; n < count; ++n) {
      errands_.push_back(std::make_unique<Long>(is_enough_));
      askers_.emplace_back([&worker, errand = errands_.back().get()] { EXPECT_TRUE(worker.ask(*errand)); });
    }
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    for (const auto& errand : errands_)
      while (errand->taken == 0 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  }
  ~LongErrands() { is_enough_ = true; }

 private:
  std::atomic<bool> is_enough_{false};
  std::vector<std::unique_ptr<Long>> errands_;
  std::vector<std::jthread> askers_;
};

TEST(Mailbox, ShortErrandsDoNotWaitForLongOnes) {
  DataPlane plane(sizes);
  const Polling polling(*plane.worker);
  const LongErrands longs(*plane.worker, Mailbox::places - 1);
  for (int n = 0; n < 20; ++n) {
    Steps errand(3);
    EXPECT_TRUE(plane.worker->ask(errand));
    EXPECT_EQ(errand.taken, 3u);
  }
}

TEST(Mailbox, WithoutAFreePlaceAnErrandIsGivenUp) {
  DataPlane plane(sizes);
  const Polling polling(*plane.worker);
  Steps more(1);
  {
    const LongErrands longs(*plane.worker, Mailbox::places);
    EXPECT_FALSE(plane.worker->state().mailbox.ask(more, milliseconds(50)));
  }
  EXPECT_EQ(more.taken, 0u);
  EXPECT_TRUE(plane.worker->ask(more));
}

TEST(Mailbox, WhatNobodyCarriesOutIsWithdrawn) {
  DataPlane plane(sizes);
  Mailbox& mailbox = plane.worker->state().mailbox;
  Steps errand(1);
  EXPECT_FALSE(mailbox.ask(errand, milliseconds(5)));
  EXPECT_FALSE(mailbox.has_mail());
  plane.worker->online();
  plane.worker->poll(1);
  plane.worker->offline();
  EXPECT_EQ(errand.taken, 0u);
  // The next one is not mistaken for it.
  const Polling polling(*plane.worker);
  Steps next(1);
  EXPECT_TRUE(plane.worker->ask(next));
  EXPECT_EQ(errand.taken, 0u);
}

TEST(Mailbox, AWorkerAtRestSaysWhoItIs) {
  DataPlane plane(sizes);
  Steps errand(1);
  const auto done = plane.worker->ask(errand);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, ErrorCode::unavailable);
  EXPECT_NE(done.error().message.find("worker 0 on core 0"), std::string::npos) << done.error().message;
  plane.worker->carry_out(errand, 1);
  EXPECT_EQ(errand.taken, 1u);
}

}  // namespace
}  // namespace portcullis
