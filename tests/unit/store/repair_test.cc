#include "control/store/repair.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>

#include "control/store/store_file.h"
#include "tests/unit/store/workload.h"

namespace portcullis::store {
namespace {

AnsweredRequest answered(const std::string& id) {
  return {"provider", id, 7, 1000, "answer " + id};
}

// A closed store of `last` generations, each with an answer whose id is its number.
void make_answered_store(const std::string& path, model::Generation last, model::Generation compacted = 0) {
  model::State state;
  const auto store = open_loaded(path, state);
  for (model::Generation generation = 1; generation <= last; ++generation) {
    const AnsweredRequest request = answered(std::to_string(generation));
    ASSERT_TRUE(store->append(change_set(generation), &request));
    if (generation == compacted) {
      ASSERT_TRUE(compact_all(*store, states(generation).back()));
    }
  }
}

bool has(const std::vector<std::string>& clauses, const std::string& words) {
  return std::ranges::any_of(clauses,
                             [&](const std::string& c) { return c.find(words) != std::string::npos; });
}

std::string all(const std::vector<std::string>& clauses) {
  std::string text;
  for (const std::string& clause : clauses) text += clause + "\n";
  return text;
}

// Looks, which must change no file; what a store that is not one answers is a failure.
Condition look(const std::string& path) {
  const std::string before = read_file(path), log_before = read_file(wal_of(path));
  const auto condition = examine(path);
  EXPECT_TRUE(read_file(path) == before && read_file(wal_of(path)) == log_before);
  EXPECT_FALSE(std::filesystem::exists(path + ".examined"));
  if (condition) return *condition;
  ADD_FAILURE() << condition.error().message;
  return {};
}

// What the daemon finds.
model::State loaded(const std::string& path) {
  model::State state;
  EXPECT_NE(open_loaded(path, state), nullptr);
  return state;
}

// Repairs what has lost something: refused at first, and nothing done; then the damaged file is kept.
void repair_with_loss(const std::string& path, const model::State& expected) {
  const std::string damaged = read_file(path);
  const auto refused = repair(path, false);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::failed_precondition);
  EXPECT_NE(refused.error().message.find("--accept-loss"), std::string::npos) << refused.error().message;
  EXPECT_TRUE(read_file(path) == damaged);
  const auto repaired = repair(path, true);
  ASSERT_TRUE(repaired) << repaired.error().message;
  EXPECT_EQ(repaired->kept, path + ".damaged-1");
  EXPECT_TRUE(read_file(repaired->kept) == damaged);
  EXPECT_EQ(loaded(path), expected);
  EXPECT_TRUE(look(path).damage.empty());
}

TEST(Repair, AWholeStoreIsLeftAlone) {
  const ScratchDirectory directory;
  make_answered_store(directory.path(), 5, 3);
  const std::string before = read_file(directory.path());
  const Condition condition = look(directory.path());
  EXPECT_TRUE(condition.damage.empty()) << all(condition.damage);
  EXPECT_TRUE(condition.lost.empty()) << all(condition.lost);
  EXPECT_EQ(condition.state, states(5).back());
  EXPECT_EQ(condition.answers, 5u);
  const auto repaired = repair(directory.path(), true);
  ASSERT_TRUE(repaired);
  EXPECT_EQ(repaired->kept, "");
  EXPECT_TRUE(read_file(directory.path()) == before);
}

TEST(Repair, NoStoreAndOneInUse) {
  const ScratchDirectory directory;
  const auto none = examine(directory.path());
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::not_found);
  EXPECT_FALSE(std::filesystem::exists(directory.path("state.db.lock")));
  model::State state;
  const auto store = open_loaded(directory.path(), state);
  EXPECT_EQ(examine(directory.path()).error().code, ErrorCode::failed_precondition);
  EXPECT_EQ(repair(directory.path(), true).error().code, ErrorCode::failed_precondition);
}

TEST(Repair, WhatIsAnothersIsNotTouched) {
  const ScratchDirectory directory;
  tamper(directory.path(), "CREATE TABLE bookmarks (url TEXT)");
  EXPECT_EQ(repair(directory.path(), true).error().code, ErrorCode::failed_precondition);
  write_file(directory.path("text"), "ports { name: \"uplink\" }, which is long enough for a header");
  EXPECT_EQ(repair(directory.path("text"), true).error().code, ErrorCode::failed_precondition);
  make_store(directory.path("newer"), 2);
  tamper(directory.path("newer"), "PRAGMA user_version = 99");
  EXPECT_EQ(repair(directory.path("newer"), true).error().code, ErrorCode::failed_precondition);
}

TEST(Repair, ADamagedRecordLosesItAndWhatIsBuiltOnIt) {
  const ScratchDirectory directory;
  make_answered_store(directory.path(), 8, 3);
  tamper(directory.path(), "UPDATE log SET record = zeroblob(length(record)) WHERE generation = 6");
  const Condition condition = look(directory.path());
  EXPECT_EQ(all(condition.damage), "the record of generation 6 has a wrong checksum\n");
  EXPECT_EQ(condition.state, states(5).back());
  EXPECT_TRUE(has(condition.lost, "the changes of generations 6 to 8")) << all(condition.lost);
  EXPECT_TRUE(has(condition.lost, "generation 7: tenants/acme/vms/" + marker(7))) << all(condition.lost);
  EXPECT_FALSE(has(condition.lost, "generation 6: ")) << all(condition.lost);
  EXPECT_TRUE(has(condition.lost, "all answers"));
  repair_with_loss(directory.path(), states(5).back());
  // Nobody is told that a lost change was made.
  model::State state;
  const auto store = open_loaded(directory.path(), state);
  for (int id = 1; id <= 8; ++id)
    EXPECT_EQ(store->recall("provider", std::to_string(id)).value(), std::nullopt);
  EXPECT_TRUE(store->append(change_set(6)));
}

TEST(Repair, AMissingRecord) {
  const ScratchDirectory directory;
  make_store(directory.path(), 6);
  tamper(directory.path(), "DELETE FROM log WHERE generation = 1");
  EXPECT_TRUE(has(look(directory.path()).damage, "after generation 0 comes the record of generation 2"));
  repair_with_loss(directory.path(), states(0).back());
}

TEST(Repair, ADamagedSnapshotLeavesNothingToBuildOn) {
  const ScratchDirectory directory;
  make_store(directory.path(), 6, 4);
  tamper(directory.path(), "UPDATE part SET record = zeroblob(length(record))");
  const Condition condition = look(directory.path());
  EXPECT_FALSE(condition.is_recoverable);
  EXPECT_TRUE(has(condition.damage, "part 0 of the snapshot has a wrong checksum"));
  const auto refused = repair(directory.path(), true);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("restore a backup"), std::string::npos);
}

// A snapshot that was made while changes went on holds none of them: it alone is a state that was.
TEST(Repair, ASnapshotMadeBesideChangesIsOfOneMoment) {
  const ScratchDirectory directory;
  const auto expected = states(60);
  {
    model::State state;
    const auto store = open_loaded(directory.path(), state);
    append_all(*store, 1, 20);
    model::Generation generation = 20;
    do {
      ASSERT_TRUE(store->compact(expected[generation], 8));
      ASSERT_TRUE(append_to(*store, expected[generation], change_set(generation + 1)));
      ASSERT_LT(++generation, 60u);
    } while (store->is_compacting());
    ASSERT_GT(generation, 30u);
  }
  tamper(directory.path(), "DELETE FROM log WHERE generation = 21");
  EXPECT_TRUE(has(look(directory.path()).damage, "after generation 20 comes the record of generation 22"));
  repair_with_loss(directory.path(), expected[20]);
}

TEST(Repair, AMissingTable) {
  const ScratchDirectory directory;
  make_store(directory.path(), 3);
  tamper(directory.path(), "DROP TABLE log");
  EXPECT_TRUE(has(look(directory.path()).damage, "no such table: log"));
  repair_with_loss(directory.path(), states(0).back());
}

TEST(Repair, ADamagedAnswerLosesThatAlone) {
  const ScratchDirectory directory;
  make_answered_store(directory.path(), 4);
  tamper(directory.path(), "UPDATE request SET answer = x'00' WHERE id = '2'");
  const Condition condition = look(directory.path());
  EXPECT_EQ(all(condition.damage), "the answer to request '2' of provider has a wrong checksum\n");
  EXPECT_TRUE(has(condition.lost, "answers to requests with an id: 1 are damaged")) << all(condition.lost);
  EXPECT_EQ(condition.answers, 3u);
  repair_with_loss(directory.path(), states(4).back());
  model::State state;
  const auto store = open_loaded(directory.path(), state);
  EXPECT_EQ(store->recall("provider", "2").value(), std::nullopt);
  EXPECT_EQ(store->recall("provider", "3").value(), answered("3"));
}

// The header's bytes are alike in all stores, so with them alone damaged nothing is lost.
TEST(Repair, TheFilesHeader) {
  const ScratchDirectory directory;
  make_answered_store(directory.path(), 6, 3);
  ASSERT_EQ(::chmod(directory.path().c_str(), 0600), 0);
  const std::string good = read_file(directory.path());
  for (const size_t offset : {0, 15, 16, 18, 21, 44, 56, 68, 71}) {
    SCOPED_TRACE(offset);
    std::string bad = good;
    bad[offset] = static_cast<char>(bad[offset] ^ 0x55);
    write_file(directory.path(), bad);
    const Condition condition = look(directory.path());
    EXPECT_TRUE(has(condition.damage, "its header is not what a store has"));
    EXPECT_TRUE(condition.lost.empty()) << all(condition.lost);
    const auto repaired = repair(directory.path(), false);
    ASSERT_TRUE(repaired) << repaired.error().message;
    EXPECT_TRUE(read_file(repaired->kept) == bad);
    EXPECT_EQ(loaded(directory.path()), states(6).back());
    EXPECT_EQ(look(directory.path()).answers, 6u);
    struct stat status {};
    ASSERT_EQ(::stat(directory.path().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0600u);
  }
}

TEST(Repair, ACutOffFile) {
  const ScratchDirectory directory;
  make_store(directory.path(), 60);
  const std::string good = read_file(directory.path());
  size_t recovered = 0;
  for (size_t pages = 1; pages * 4096 < good.size(); ++pages) {
    SCOPED_TRACE(pages);
    const ScratchDirectory damaged;
    write_file(damaged.path(), good.substr(0, pages * 4096));
    const Condition condition = look(damaged.path());
    EXPECT_FALSE(condition.damage.empty());
    if (!condition.is_recoverable) continue;
    ++recovered;
    EXPECT_EQ(condition.state, states(condition.state.generation).back());
    repair_with_loss(damaged.path(), condition.state);
  }
  EXPECT_GT(recovered, 2u);
}

// What is not told as lost is there, exactly, wherever a byte is changed.
TEST(Repair, EveryPlaceOfTheFile) {
  const ScratchDirectory directory;
  make_answered_store(directory.path(), 12, 4);
  const std::string good = read_file(directory.path());
  const auto expected = states(12);
  size_t without_loss = 0, with_loss = 0, not_at_all = 0;
  for (size_t i = 0; i < good.size(); i += 61) {
    SCOPED_TRACE(i);
    const ScratchDirectory damaged;
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 0x55);
    write_file(damaged.path(), bad);
    auto repaired = repair(damaged.path(), false);
    const bool is_without_loss = repaired.has_value();
    if (!repaired) repaired = repair(damaged.path(), true);
    if (!repaired) {
      ++not_at_all;
      continue;
    }
    ++(is_without_loss ? without_loss : with_loss);
    const model::State state = loaded(damaged.path());
    EXPECT_TRUE(state == expected[state.generation]) << "a state that never was";
    EXPECT_TRUE(state == repaired->condition.state);
    if (is_without_loss) {
      EXPECT_EQ(state.generation, 12u);
    }
  }
  EXPECT_GT(without_loss, 20u);
  EXPECT_GT(with_loss, 20u);
  EXPECT_GT(not_at_all, 0u);
}

// The log of a killed daemon lies beside the file, and counts.
TEST(Repair, WithItsWriteAheadLog) {
  const ScratchDirectory directory;
  model::State state;
  const auto store = open_loaded(directory.path(), state);
  append_all(*store, 1, 5);
  ASSERT_TRUE(compact_all(*store, states(5).back()));
  append_all(*store, 6, 9);
  const std::string copy = directory.path("copy.db");
  std::string file = read_file(directory.path());
  write_file(copy, file);
  write_file(wal_of(copy), read_file(wal_of(directory.path())));
  EXPECT_EQ(look(copy).state, states(9).back());
  ASSERT_GT(std::filesystem::file_size(wal_of(copy)), 0u);
  // Its second half gone, the store is what it was at an earlier commit; that is no damage SQLite knows.
  const std::string log = read_file(wal_of(copy));
  write_file(wal_of(copy), log.substr(0, log.size() / 2));
  const Condition condition = look(copy);
  EXPECT_EQ(condition.state, states(condition.state.generation).back());
  EXPECT_LT(condition.state.generation, 9u);
}

// Killed between any two steps of the exchange, the daemon finds a store that is whole, or refuses.
TEST(Repair, AnInterruptedExchangeIsFinished) {
  const ScratchDirectory directory;
  make_store(directory.path(), 5);
  make_store(repaired_name(directory.path()), 3);
  write_file(wal_of(directory.path()), "the damaged store's");
  write_file(directory.path(), "Portcullis: the repair of this store was interrupted.\n");
  ASSERT_TRUE(is_replacement_pending(directory.path()));
  for (const bool has_log : {true, false}) {
    if (!has_log) std::filesystem::remove(wal_of(directory.path()));
    const auto refused = SqliteStore::open(directory.path());
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("--repair-store"), std::string::npos) << refused.error().message;
  }
  const auto repaired = repair(directory.path(), false);
  ASSERT_TRUE(repaired) << repaired.error().message;
  EXPECT_EQ(loaded(directory.path()), states(3).back());
}

}  // namespace
}  // namespace portcullis::store
