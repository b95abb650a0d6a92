#include "control/store/sqlite_store.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "control/store/record.h"
#include "src/base/fnv.h"
#include "tests/unit/store/workload.h"

namespace portcullis::store {
namespace {

// The error of open() or load(), which must leave the file as it is.
Error refusal(const std::string& path) {
  const std::string before = read_file(path);
  const std::string log_before = read_file(path + "-wal");
  Error error{ErrorCode::internal, "not refused", {}, {}};
  {
    auto store = SqliteStore::open(path);
    if (!store) {
      error = store.error();
    } else if (const auto state = (*store)->load(); !state) {
      error = state.error();
    }
  }
  EXPECT_TRUE(read_file(path) == before) << "the refused store was modified";
  EXPECT_TRUE(read_file(path + "-wal") == log_before) << "the refused store's log was modified";
  return error;
}

testing::AssertionResult says(const Error& error, ErrorCode code, const std::string& words) {
  if (error.code == code && error.message.find(words) != std::string::npos)
    return testing::AssertionSuccess();
  return testing::AssertionFailure() << to_string(error.code) << ": " << error.message;
}

TEST(SqliteStore, NewStoreIsEmptyAndCreatesItsDirectory) {
  const ScratchDirectory directory;
  const std::string path = directory.path("a/b/state.db");
  model::State state;
  const auto store = open_loaded(path, state);
  ASSERT_NE(store, nullptr);
  EXPECT_EQ(state, model::State());
  EXPECT_EQ(store->log_size().records, 0U);
  struct stat status {};
  ASSERT_EQ(::stat(directory.path("a/b").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0007, 0U) << "readable by everyone";
}

TEST(SqliteStore, ComesBackAfterARestart) {
  const ScratchDirectory directory;
  const auto expected = states(30);
  model::State state;
  for (model::Generation generation = 1; generation <= 30; ++generation) {
    const auto store = open_loaded(directory.path(), state);
    ASSERT_NE(store, nullptr);
    ASSERT_EQ(state, expected[generation - 1]);
    ASSERT_EQ(store->log_size().records, generation - 1);
    append_all(*store, generation, generation);
    EXPECT_EQ(store->log_size().records, generation);
  }
}

TEST(SqliteStore, OnlyTheNextGenerationIsTaken) {
  const ScratchDirectory directory;
  auto opened = SqliteStore::open(directory.path());
  ASSERT_TRUE(opened);
  EXPECT_FALSE((*opened)->append(change_set(1))) << "before load()";
  ASSERT_TRUE((*opened)->load());
  EXPECT_FALSE((*opened)->load()) << "twice";
  EXPECT_FALSE((*opened)->append(change_set(2)));
  EXPECT_FALSE((*opened)->append({1, {}})) << "an empty one";
  EXPECT_FALSE((*opened)->append(std::span<const Entry>())) << "nothing at all";
  const model::ChangeSet first = change_set(1), second = change_set(2), third = change_set(3);
  const Entry with_gap[] = {{&first}, {&third}};
  EXPECT_FALSE((*opened)->append(with_gap));
  const Entry backwards[] = {{&second}, {&first}};
  EXPECT_FALSE((*opened)->append(backwards));
  EXPECT_TRUE((*opened)->append(change_set(1)));
  EXPECT_FALSE((*opened)->append(change_set(1)));
  EXPECT_EQ((*opened)->log_size().records, 1U);
}

TEST(SqliteStore, CompactionKeepsTheState) {
  const ScratchDirectory directory;
  const auto expected = states(30);
  model::State state;
  auto store = open_loaded(directory.path(), state);
  ASSERT_NE(store, nullptr);
  append_all(*store, 1, 10);
  EXPECT_GT(store->log_size().bytes, 10 * 100U);
  ASSERT_TRUE(compact_all(*store, expected[10]));
  EXPECT_EQ(store->log_size().records, 0U);
  EXPECT_EQ(store->log_size().bytes, 0U);
  EXPECT_GT(store->snapshot_bytes(), 100U);
  EXPECT_EQ(store->compact(expected[10], 1).value(), false) << "a repeat does nothing";
  append_all(*store, 11, 20);
  const auto size = store->log_size();
  const auto snapshot_bytes = store->snapshot_bytes();
  EXPECT_EQ(size.records, 10U);
  store.reset();
  store = open_loaded(directory.path(), state);
  ASSERT_NE(store, nullptr);
  EXPECT_EQ(state, expected[20]);
  EXPECT_EQ(store->log_size().records, 10U);
  EXPECT_EQ(store->log_size().bytes, size.bytes);
  EXPECT_EQ(store->snapshot_bytes(), snapshot_bytes);
}

// However far it has come when the store is closed: what was appended is there, what is of no use any more
// goes, and no more than a step is done at once.
TEST(SqliteStore, CompactionGoesOnBesideAppends) {
  const auto expected = states(60);
  size_t most_steps = 0;
  for (model::Generation restart_at = 21; restart_at < 60; ++restart_at) {
    SCOPED_TRACE(restart_at);
    const ScratchDirectory directory;
    model::State state;
    auto store = open_loaded(directory.path(), state);
    append_all(*store, 1, 20);
    size_t steps = 0;
    for (model::Generation generation = 21; generation <= restart_at; ++generation) {
      if (generation == 21 || store->is_compacting()) {
        ASSERT_TRUE(store->compact(expected[generation - 1], 8));
        ++steps;
      }
      ASSERT_TRUE(append_to(*store, expected[generation - 1], change_set(generation)));
    }
    most_steps = std::max(most_steps, steps);
    store.reset();
    store = open_loaded(directory.path(), state);
    ASSERT_NE(store, nullptr);
    ASSERT_EQ(state, expected[restart_at]);
    if (store->is_compacting()) {
      ASSERT_TRUE(compact_all(*store, state, 3));
    }
    ASSERT_TRUE(compact_all(*store, state, 3));
    EXPECT_FALSE(store->is_compacting());
    EXPECT_EQ(store->log_size().records, 0U);
    store.reset();
    store = open_loaded(directory.path(), state);
    EXPECT_EQ(state, expected[restart_at]);
    EXPECT_FALSE(store->is_compacting()) << "something is left";
  }
  EXPECT_GT(most_steps, 10U);
}

TEST(SqliteStore, CompactionOfAnotherStateIsRefused) {
  const ScratchDirectory directory;
  const auto expected = states(5);
  model::State state;
  const auto store = open_loaded(directory.path(), state);
  ASSERT_NE(store, nullptr);
  append_all(*store, 1, 4);
  EXPECT_FALSE(store->compact(expected[5], 1)) << "never stored";
  EXPECT_FALSE(store->compact(expected[3], 1)) << "not the last one";
}

TEST(SqliteStore, SnapshotOfNothingRemembersItsGeneration) {
  const ScratchDirectory directory;
  model::State state;
  auto store = open_loaded(directory.path(), state);
  ASSERT_NE(store, nullptr);
  ASSERT_TRUE(store->append({1, {model::PutPool{{"p", Ipv4Prefix(), model::PoolKind::local}}}}));
  ASSERT_TRUE(store->append({2, {model::DeletePool{"p"}}}));
  model::State nothing;
  nothing.generation = 2;
  ASSERT_TRUE(compact_all(*store, nothing));
  store.reset();
  store = open_loaded(directory.path(), state);
  ASSERT_NE(store, nullptr);
  EXPECT_EQ(state, nothing);
}

TEST(SqliteStore, SnapshotOfManyParts) {
  const ScratchDirectory directory;
  model::State state;
  auto store = open_loaded(directory.path(), state);
  ASSERT_NE(store, nullptr);
  model::ChangeSet changes{1, {}};
  for (uint32_t i = 0; i < 3000; ++i) {
    changes.changes.push_back(
        model::PutVm{{"acme", "vm-" + std::to_string(i), {"vms", Mac{}}, Ipv4Addr::from_host(i + 1)}});
  }
  ASSERT_TRUE(store->append(changes));
  model::State expected;
  model::apply(expected, changes);
  ASSERT_TRUE(compact_all(*store, expected, 1000));
  store.reset();
  store = open_loaded(directory.path(), state);
  ASSERT_NE(store, nullptr);
  EXPECT_TRUE(state == expected);
}

TEST(SqliteStore, CompactionBoundsTheFile) {
  const ScratchDirectory directory;
  model::State state;
  auto store = open_loaded(directory.path(), state);
  ASSERT_NE(store, nullptr);
  model::State current;
  for (model::Generation generation = 1; generation <= 2000; ++generation) {
    // One EIP, changed again and again.
    model::ChangeSet changes{generation, {change_set(2, 20).changes[1]}};
    ASSERT_TRUE(store->append(changes));
    model::apply(current, changes);
    if (generation % 200 == 0) {
      ASSERT_TRUE(compact_all(*store, current));
    }
  }
  store.reset();
  // 200 records at most and a snapshot, not 2000.
  EXPECT_LT(std::filesystem::file_size(directory.path()), 2000 * encode(change_set(2, 20)).size() / 4);
}

TEST(SqliteStore, OneProcessAtATime) {
  const ScratchDirectory directory;
  model::State state;
  auto store = open_loaded(directory.path(), state);
  ASSERT_NE(store, nullptr);
  const std::string owner = "process " + std::to_string(::getpid()) + " has this store open";
  const auto second = SqliteStore::open(directory.path());
  ASSERT_FALSE(second);
  EXPECT_TRUE(says(second.error(), ErrorCode::failed_precondition, owner));

  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto other = SqliteStore::open(directory.path());
    ::_exit(!other && other.error().message.find(owner) != std::string::npos ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);

  append_all(*store, 1, 1);  // the refused ones did no harm
  store.reset();
  store = open_loaded(directory.path(), state);
  ASSERT_NE(store, nullptr);
  EXPECT_EQ(state, states(1).back());
}

TEST(SqliteStore, OtherSqliteProgramsAreKeptOut) {
  const ScratchDirectory directory;
  model::State state;
  const auto store = open_loaded(directory.path(), state);
  ASSERT_NE(store, nullptr);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    sqlite3* connection = nullptr;
    sqlite3_open(directory.path().c_str(), &connection);
    ::_exit(sqlite3_exec(connection, "DELETE FROM log", nullptr, nullptr, nullptr) == SQLITE_BUSY ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

TEST(SqliteStore, DirectoryThatCannotBe) {
  const ScratchDirectory directory;
  write_file(directory.path("file"), "");
  const auto store = SqliteStore::open(directory.path("file/state.db"));
  ASSERT_FALSE(store);
  EXPECT_TRUE(says(store.error(), ErrorCode::failed_precondition, "cannot create the store's directory"));
}

// --- damage: refused by name, nothing modified ---

TEST(StoreDamage, NoSqliteFile) {
  const ScratchDirectory directory;
  write_file(directory.path(), "ports { name: \"uplink\" }, which is long enough for a header");
  EXPECT_TRUE(says(refusal(directory.path()), ErrorCode::failed_precondition, "no SQLite file"));
}

TEST(StoreDamage, AnotherProgramsFile) {
  const ScratchDirectory directory;
  tamper(directory.path(), "CREATE TABLE bookmarks (url TEXT)");
  EXPECT_TRUE(
      says(refusal(directory.path()), ErrorCode::failed_precondition, "SQLite file of another program"));
}

TEST(StoreDamage, UnknownSchema) {
  const ScratchDirectory directory;
  make_store(directory.path(), 2);
  tamper(directory.path(), "PRAGMA user_version = 8");
  EXPECT_TRUE(says(refusal(directory.path()), ErrorCode::failed_precondition,
                   "has schema version 8, and this release reads versions up to 7"));
  tamper(directory.path(), "PRAGMA user_version = 0");
  EXPECT_TRUE(says(refusal(directory.path()), ErrorCode::failed_precondition, "has schema version 0"));
}

TEST(StoreDamage, ChangedRecord) {
  const ScratchDirectory directory;
  make_store(directory.path(), 4);
  tamper(directory.path(),
         "UPDATE log SET record = cast(substr(record, 1, length(record) - 1) || x'7f' AS BLOB) WHERE "
         "generation = 3");
  EXPECT_TRUE(says(refusal(directory.path()), ErrorCode::internal,
                   "the record of generation 3 has a wrong checksum"));
}

TEST(StoreDamage, EveryByteOfTheFile) {
  const ScratchDirectory directory;
  make_store(directory.path(), 3, 2);
  const std::string good = read_file(directory.path());
  const auto expected = states(3);
  size_t refused = 0;
  for (size_t i = 0; i < good.size(); i += 41) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 0x55);
    write_file(directory.path(), bad);
    // Free space and counters of the file's header may hold anything; the state is right or refused.
    auto store = SqliteStore::open(directory.path());
    Expected<model::State> state = store ? (*store)->load() : Unexpected(store.error());
    if (!state) {
      ++refused;
    } else {
      EXPECT_TRUE(*state == expected[3]) << "byte " << i;
    }
    store = Unexpected(Error{});  // closes
    std::filesystem::remove(directory.path("state.db-wal"));
  }
  EXPECT_GT(refused, 20U);
}

TEST(StoreDamage, MissingRecord) {
  const ScratchDirectory directory;
  make_store(directory.path(), 6);
  tamper(directory.path(), "DELETE FROM log WHERE generation = 4");
  EXPECT_TRUE(says(refusal(directory.path()), ErrorCode::internal,
                   "after generation 3 comes the record of generation 5"));
}

TEST(StoreDamage, MissingFirstRecordAfterTheSnapshot) {
  const ScratchDirectory directory;
  make_store(directory.path(), 6, 3);
  tamper(directory.path(), "DELETE FROM log WHERE generation = 4");
  EXPECT_TRUE(says(refusal(directory.path()), ErrorCode::internal,
                   "after generation 3 comes the record of generation 5"));
}

TEST(StoreDamage, RecordUnderAnotherGeneration) {
  const ScratchDirectory directory;
  make_store(directory.path(), 2);
  tamper(directory.path(), "DELETE FROM log WHERE generation = 1; UPDATE log SET generation = 1");
  EXPECT_TRUE(says(refusal(directory.path()), ErrorCode::internal,
                   "the record of generation 1 is that of another generation"));
}

TEST(StoreDamage, RecordThatCannotBeRead) {
  const ScratchDirectory directory;
  make_store(directory.path(), 1);
  const std::string sum = std::to_string(static_cast<int64_t>(fnv1a("\xff")));
  tamper(directory.path(), "UPDATE log SET record = x'ff', checksum = " + sum);
  EXPECT_TRUE(says(refusal(directory.path()), ErrorCode::internal,
                   "the record of generation 1 cannot be read: it is no serialized change set"));
}

TEST(StoreDamage, MissingPartOfTheSnapshot) {
  const ScratchDirectory directory;
  make_store(directory.path(), 3, 2);
  tamper(directory.path(), "UPDATE part SET part = part + 1");
  EXPECT_TRUE(says(refusal(directory.path()), ErrorCode::internal, "part 0 of the snapshot is missing"));
  tamper(directory.path(), "DELETE FROM part");
  EXPECT_TRUE(says(refusal(directory.path()), ErrorCode::internal, "part 0 of the snapshot is missing"));
}

TEST(StoreDamage, PartOfAnotherSnapshot) {
  const ScratchDirectory directory;
  make_store(directory.path(), 3, 2);
  const std::string record("\x08\x01", 2);
  const std::string sum = std::to_string(static_cast<int64_t>(fnv1a(record)));
  tamper(directory.path(), "UPDATE part SET record = x'0801', checksum = " + sum);
  EXPECT_TRUE(says(refusal(directory.path()), ErrorCode::internal,
                   "part 0 of the snapshot is of another generation"));
}

TEST(StoreDamage, WhichSnapshotIsInForce) {
  const ScratchDirectory directory;
  make_store(directory.path(), 3, 2);
  tamper(directory.path(), "UPDATE base SET parts = 0");
  EXPECT_TRUE(says(refusal(directory.path()), ErrorCode::internal,
                   "which snapshot is in force has a wrong checksum"));
  tamper(directory.path(), "DELETE FROM base");
  EXPECT_TRUE(says(refusal(directory.path()), ErrorCode::internal,
                   "after generation 0 comes the record of generation 3"));
}

TEST(StoreDamage, MissingTable) {
  const ScratchDirectory directory;
  make_store(directory.path(), 3);
  tamper(directory.path(), "DROP TABLE base");
  EXPECT_TRUE(says(refusal(directory.path()), ErrorCode::internal, "no such table: base"));
}

TEST(StoreDamage, TruncatedFile) {
  const ScratchDirectory directory;
  make_store(directory.path(), 20);
  write_file(directory.path(), read_file(directory.path()).substr(0, 8192));
  EXPECT_EQ(refusal(directory.path()).code, ErrorCode::internal);
}

TEST(StoreDamage, FileGoneButItsLogIsThere) {
  const ScratchDirectory directory;
  // A copy taken while the store is open has a log beside it.
  model::State state;
  const auto store = open_loaded(directory.path(), state);
  ASSERT_NE(store, nullptr);
  append_all(*store, 1, 3);
  const std::string copy = directory.path("copy.db");
  write_file(copy, read_file(directory.path()));
  write_file(copy + "-wal", read_file(directory.path("state.db-wal")));
  for (const bool is_empty : {true, false}) {
    if (is_empty) {
      write_file(copy, "");
    } else {
      std::filesystem::remove(copy);
    }
    EXPECT_TRUE(says(refusal(copy), ErrorCode::internal, "is missing or empty, but its write-ahead log"));
    EXPECT_EQ(std::filesystem::exists(copy), is_empty);
  }
  write_file(copy, read_file(directory.path()));
  model::State copied;
  ASSERT_NE(open_loaded(copy, copied), nullptr);
  EXPECT_EQ(copied, states(3).back());
}

}  // namespace
}  // namespace portcullis::store
