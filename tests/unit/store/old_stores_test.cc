// Stores that this program wrote when it was younger: read as what they were, and written on by today's.
#include "tests/unit/store/old_stores.h"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <fstream>
#include <optional>
#include <string>
#include <utility>

#include "tests/unit/store/workload.h"

namespace portcullis::store {
namespace {

const AnsweredRequest old_answer{"provider", "once", 42, 1'700'000'000'000, "as it was"};

std::string sql_of(const std::string& name) {
  std::ifstream file(std::string(OLD_STORES) + "/" + name + ".sql");
  return {std::istreambuf_iterator<char>(file), {}};
}

int schema_version_of(const std::string& path) {
  sqlite3* connection = nullptr;
  EXPECT_EQ(sqlite3_open(path.c_str(), &connection), SQLITE_OK);
  sqlite3_stmt* statement = nullptr;
  EXPECT_EQ(sqlite3_prepare_v2(connection, "PRAGMA user_version", -1, &statement, nullptr), SQLITE_OK);
  EXPECT_EQ(sqlite3_step(statement), SQLITE_ROW);
  const int version = sqlite3_column_int(statement, 0);
  sqlite3_finalize(statement);
  sqlite3_close(connection);
  return version;
}

TEST(OldStores, AreReadAsWhatTheyWereAndWrittenOn) {
  const std::pair<int, const char*> stores[] = {{1, "version-1"}, {1, "version-1-without-snapshot"},
                                                {2, "version-2"}, {3, "version-3"},
                                                {4, "version-4"}, {5, "version-5"},
                                                {6, "version-6"}};
  for (const auto& [version, name] : stores) {
    SCOPED_TRACE(name);
    const ScratchDirectory directory;
    const std::string sql = sql_of(name);
    ASSERT_FALSE(sql.empty());
    tamper(directory.path(), sql);
    EXPECT_EQ(schema_version_of(directory.path()), version);
    model::State expected;
    for (const model::ChangeSet& set : old_change_sets(version)) model::apply(expected, set);
    const model::ChangeSet next{expected.generation + 1, {model::PutTenantQuota{{"acme", 5, 7, 9}}}};
    {
      model::State state;
      const auto store = open_loaded(directory.path(), state);
      ASSERT_NE(store, nullptr);
      EXPECT_EQ(state, expected);
      const auto recalled = store->recall(old_answer.caller, old_answer.id);
      ASSERT_TRUE(recalled.has_value()) << recalled.error().message;
      EXPECT_EQ(*recalled, version >= 4 ? std::optional(old_answer) : std::nullopt);
      ASSERT_TRUE(store->append(next));
      model::apply(expected, next);
      ASSERT_TRUE(compact_all(*store, expected));
    }
    EXPECT_EQ(schema_version_of(directory.path()), 7) << "an older release would misread what may come now";
    model::State again;
    ASSERT_NE(open_loaded(directory.path(), again), nullptr);
    EXPECT_EQ(again, expected);
  }
}

}  // namespace
}  // namespace portcullis::store
