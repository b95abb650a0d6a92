#include "control/store/answers.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/unit/store/workload.h"

namespace portcullis::store {
namespace {

AnsweredRequest answered(const std::string& caller, const std::string& id, int64_t at_ms = 1000) {
  return {caller, id, 0xfedcba9876543210, at_ms, std::string("an\0swer", 7) + id};
}

TEST(Answers, RequestsAreRememberedWithAndWithoutAChange) {
  const ScratchDirectory directory;
  model::State state;
  auto store = open_loaded(directory.path(), state);
  const AnsweredRequest first = answered("provider", "1"), second = answered("tenants/acme", "1");
  ASSERT_TRUE(store->append(change_set(1), &first));
  ASSERT_TRUE(store->append({.generation = 1, .changes = {}}, &second));
  EXPECT_FALSE(store->append({.generation = 1, .changes = {}}));
  ASSERT_TRUE(store->append(change_set(2)));
  ASSERT_TRUE(compact_all(*store, states(2).back()));
  for (int turn = 0; turn < 2; ++turn) {
    EXPECT_EQ(store->recall("provider", "1").value(), first);
    EXPECT_EQ(store->recall("tenants/acme", "1").value(), second);
    EXPECT_EQ(store->recall("provider", "2").value(), std::nullopt);
    EXPECT_EQ(store->recall("tenants/other", "1").value(), std::nullopt);
    store.reset();
    store = open_loaded(directory.path(), state);
    EXPECT_EQ(state.generation, 2u);
  }
  AnsweredRequest again = first;
  again.answer = "";
  ASSERT_TRUE(store->append({.generation = 2, .changes = {}}, &again));
  EXPECT_EQ(store->recall("provider", "1").value(), again);
}

TEST(Answers, OldRequestsAreForgotten) {
  const ScratchDirectory directory;
  model::State state;
  const auto store = open_loaded(directory.path(), state);
  for (int64_t at = 1; at <= 10; ++at) {
    const AnsweredRequest request = answered("provider", std::to_string(at), at);
    ASSERT_TRUE(store->append({}, &request));
  }
  ASSERT_TRUE(store->forget_requests(7));
  for (int64_t at = 1; at <= 10; ++at)
    EXPECT_EQ(store->recall("provider", std::to_string(at)).value().has_value(), at >= 7) << at;
}

// Its oldest ones go, whatever the clock says of their age; those of others stay.
TEST(Answers, AnswersOfOneCallerAreBounded) {
  struct Case {
    const char* name;
    AnswerBounds bounds;
  };
  for (const auto& [name, bounds] : {Case{"by number", {.count = 4}}, Case{"by bytes", {.bytes = 4 * 9}}}) {
    SCOPED_TRACE(name);
    const ScratchDirectory directory;
    model::State state;
    auto opened = SqliteStore::open(directory.path(), {}, bounds);
    ASSERT_TRUE(opened && (*opened)->load());
    auto store = std::move(*opened);
    const auto ask = [&](const std::string& caller, int id) {
      const AnsweredRequest request = answered(caller, std::to_string(10 + id), 1000 - id);
      return store->append({}, &request).has_value();
    };
    const auto known = [&](const std::string& caller) {
      std::string ids;
      for (int id = 0; id < 10; ++id)
        if (store->recall(caller, std::to_string(10 + id)).value()) ids += std::to_string(id);
      return ids;
    };
    ASSERT_TRUE(ask("tenants/acme", 0));
    for (int id = 0; id < 6; ++id) ASSERT_TRUE(ask("provider", id));
    EXPECT_EQ(known("provider"), "2345");
    EXPECT_EQ(known("tenants/acme"), "0");
    ASSERT_TRUE(ask("provider", 2)) << "anew, so it is the newest now";
    EXPECT_EQ(known("provider"), "2345");
    store.reset();
    opened = SqliteStore::open(directory.path(), {}, bounds);
    ASSERT_TRUE(opened && (*opened)->load());
    store = std::move(*opened);
    ASSERT_TRUE(ask("provider", 6));
    EXPECT_EQ(known("provider"), "2456") << "counted at the start";
    ASSERT_TRUE(store->forget_requests(998));
    EXPECT_EQ(known("provider"), "2");
    for (int id = 7; id < 10; ++id) ASSERT_TRUE(ask("provider", id));
    EXPECT_EQ(known("provider"), "2789") << "those forgotten do not count";
  }
}

TEST(Answers, AnAnswerBeyondTheBoundIsKeptAlone) {
  const ScratchDirectory directory;
  auto store = SqliteStore::open(directory.path(), {}, {.bytes = 5});
  ASSERT_TRUE(store && (*store)->load());
  for (const char* id : {"a", "b"}) {
    const AnsweredRequest request = answered("provider", id);
    ASSERT_TRUE((*store)->append({}, &request));
    EXPECT_EQ((*store)->recall("provider", id).value(), request);
  }
  EXPECT_EQ((*store)->recall("provider", "a").value(), std::nullopt);
}

TEST(Answers, ADamagedAnswerIsNotGiven) {
  const ScratchDirectory directory;
  model::State state;
  {
    const auto store = open_loaded(directory.path(), state);
    const AnsweredRequest request = answered("provider", "1");
    ASSERT_TRUE(store->append(change_set(1), &request));
  }
  tamper(directory.path(), "UPDATE request SET answered_ms = answered_ms + 1");
  const auto store = open_loaded(directory.path(), state);
  const auto recalled = store->recall("provider", "1");
  ASSERT_FALSE(recalled);
  EXPECT_EQ(recalled.error().code, ErrorCode::internal);
  EXPECT_NE(recalled.error().message.find("has a wrong checksum"), std::string::npos);
}

}  // namespace
}  // namespace portcullis::store
