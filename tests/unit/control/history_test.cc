#include "control/history.h"

#include <gtest/gtest.h>

#include <thread>

namespace portcullis {
namespace {

using namespace std::chrono_literals;
using model::ChangeKind;

Event event(model::Generation generation, size_t objects = 1) {
  return {generation, std::vector<model::ChangedObject>(objects, {"pools/p", ChangeKind::changed})};
}

std::vector<model::Generation> generations(const Expected<History::Events>& events) {
  std::vector<model::Generation> list;
  if (events)
    for (const auto& held : *events) list.push_back(held->generation);
  return list;
}

using List = std::vector<model::Generation>;

TEST(History, HoldsWhatCameSinceItBegan) {
  History history;
  history.begin(10);
  EXPECT_EQ(history.oldest(), 10u);
  EXPECT_EQ(generations(history.after(10, 5, 0ms)), List{});
  for (model::Generation generation = 11; generation <= 15; ++generation) history.add(event(generation));
  EXPECT_EQ(generations(history.after(10, 3, 0ms)), (List{11, 12, 13}));
  EXPECT_EQ(generations(history.after(13, 3, 0ms)), (List{14, 15}));
  const auto early = history.after(9, 3, 0ms);
  ASSERT_FALSE(early);
  EXPECT_EQ(early.error().code, ErrorCode::out_of_range);
  EXPECT_NE(early.error().message.find("events after generation 10"), std::string::npos);
  const auto late = history.after(16, 3, 0ms);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, ErrorCode::out_of_range);
  EXPECT_NE(late.error().message.find("the last one is 15"), std::string::npos);
}

TEST(History, TheOldestGoWhenThereIsNoRoom) {
  History history(10);
  for (model::Generation generation = 1; generation <= 9; ++generation) history.add(event(generation));
  EXPECT_EQ(history.oldest(), 4u);
  EXPECT_EQ(generations(history.after(4, 99, 0ms)), (List{5, 6, 7, 8, 9}));
  history.add(event(10, 1000));
  EXPECT_EQ(generations(history.after(9, 99, 0ms)), List{10}) << "the newest stays, however long it is";
  history.add(event(11));
  EXPECT_EQ(history.oldest(), 10u);
}

TEST(History, WhoWaitsIsWoken) {
  History history;
  std::jthread later([&] {
    std::this_thread::sleep_for(20ms);
    history.add(event(1));
  });
  EXPECT_EQ(generations(history.after(0, 9, 10s)), List{1});
  EXPECT_EQ(generations(history.after(1, 9, 1ms)), List{}) << "and not for ever";
}

}  // namespace
}  // namespace portcullis
