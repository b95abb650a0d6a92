#include "control/store/sqlite_store.h"

#include <filesystem>
#include <span>
#include <utility>

#include "control/store/errors.h"
#include "control/store/reader.h"
#include "control/store/record.h"
#include "control/store/store_file.h"
#include "src/base/fnv.h"

namespace portcullis::store {

namespace {

// What each version has beside the one before. A new store gets the first now, the rest when it is read for
// the first time.
constexpr const char* first_tables = R"(
  BEGIN IMMEDIATE;
  CREATE TABLE log (generation INTEGER PRIMARY KEY, record BLOB NOT NULL, checksum INTEGER NOT NULL) STRICT;
  CREATE TABLE snapshot (part INTEGER PRIMARY KEY, parts INTEGER NOT NULL, record BLOB NOT NULL,
                         checksum INTEGER NOT NULL) STRICT;
  PRAGMA application_id = 0x50434c53;
  PRAGMA user_version = 3;
  COMMIT;)";

constexpr const char* version_4 = R"(
  BEGIN IMMEDIATE;
  CREATE TABLE request (caller TEXT NOT NULL, id TEXT NOT NULL, fingerprint INTEGER NOT NULL,
                        answered_ms INTEGER NOT NULL, answer BLOB NOT NULL, checksum INTEGER NOT NULL,
                        PRIMARY KEY (caller, id)) STRICT;
  CREATE INDEX request_answered ON request (answered_ms);
  PRAGMA user_version = 4;
  COMMIT;)";

// The base is written beside it.
constexpr const char* version_5 = R"(
  CREATE TABLE part (part INTEGER PRIMARY KEY, record BLOB NOT NULL, checksum INTEGER NOT NULL) STRICT;
  CREATE TABLE base (one INTEGER PRIMARY KEY CHECK (one = 1), generation INTEGER NOT NULL,
                     first_part INTEGER NOT NULL, parts INTEGER NOT NULL, checksum INTEGER NOT NULL) STRICT;
  INSERT INTO part SELECT part, record, checksum FROM snapshot;
  DROP TABLE snapshot;
  CREATE INDEX request_of_caller ON request (caller);
  PRAGMA user_version = 5;)";

// Objects and rules in a part of a store that is filled.
constexpr size_t objects_at_once = 5000;

// Records that one step removes, in bytes: each page of a long one is touched.
constexpr uint64_t removed_bytes_a_step = 1 << 20;

std::string set_base(const Base& base) {
  return "INSERT OR REPLACE INTO base (one, generation, first_part, parts, checksum) VALUES (1, " +
         std::to_string(signed_of(base.generation)) + ", " + std::to_string(base.first_part) + ", " +
         std::to_string(base.parts) + ", " + std::to_string(signed_of(checksum(base))) + ");";
}

}  // namespace

SqliteStore::SqliteStore(std::string path, LockFile lock, Connection connection, AnswerBounds bounds)
    : path_(std::move(path)),
      lock_(std::move(lock)),
      connection_(std::move(connection)),
      reader_(connection_, path_),
      answers_(connection_, path_, bounds) {}

Expected<std::unique_ptr<SqliteStore>> SqliteStore::open(const std::string& path, const std::string& vfs,
                                                         AnswerBounds bounds) {
  const std::string directory = std::filesystem::path(path).parent_path();
  if (auto created = create_directory(directory); !created) return Unexpected(created.error());
  auto lock = LockFile::acquire(path + ".lock");
  if (!lock) return Unexpected(lock.error());
  if (auto check = check_file(path); !check) return Unexpected(check.error());
  Connection connection(path, vfs);
  if (connection.result() != SQLITE_OK) {
    return fail(ErrorCode::failed_precondition,
                "cannot open the store " + path + ": " + connection.message());
  }
  std::unique_ptr<SqliteStore> store(new SqliteStore(path, std::move(*lock), std::move(connection), bounds));
  if (auto ready = store->initialise(); !ready) return Unexpected(ready.error());
  if (auto synced = sync_directory(directory); !synced) return Unexpected(synced.error());
  return store;
}

// Looks before it writes: what is not ours, and what load() refuses, stays as it is.
Expected<void> SqliteStore::initialise() {
  const auto version = reader_.begin();
  if (!version) return explained(path_, version.error());
  if (auto set = set_durability(); !set) return set;
  if (*version != no_version) return {};
  if (const int result = connection_.execute(first_tables); result != SQLITE_OK)
    return failed("create the tables", result);
  return reader_.begin().map([](int64_t) {}).map_error([this](const Error& error) {
    return explained(path_, error).value();
  });
}

Expected<void> SqliteStore::set_durability() {
  Statement mode(connection_.handle(), "PRAGMA journal_mode = WAL");
  const int result = mode.is_valid() ? mode.step() : sqlite3_extended_errcode(connection_.handle());
  if (result != SQLITE_ROW) return failed("switch to a write-ahead log", result);
  if (mode.bytes(0) != "wal")
    return fail(ErrorCode::internal, "SQLite keeps no write-ahead log for " + path_);
  mode = Statement();
  // Debian's SQLite overwrites what is deleted with zeros, which writes every record a second time. What
  // keeps old records from others is what keeps today's: the file's mode.
  if (const int set = connection_.execute("PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY;"
                                          "PRAGMA secure_delete = OFF; PRAGMA journal_size_limit = 16777216");
      set != SQLITE_OK) {
    return failed("set synchronous = FULL", set);
  }
  const auto synchronous = reader_.number("PRAGMA synchronous");
  if (!synchronous) return explained(path_, synchronous.error());
  if (*synchronous != 2) return fail(ErrorCode::internal, "SQLite does not sync each commit to " + path_);
  return {};
}

Expected<model::State> SqliteStore::load() {
  if (is_loaded_) return fail(ErrorCode::internal, "the store " + path_ + " is loaded already");
  model::State state;
  if (auto checked = reader_.check_pages(); !checked) return explained(path_, checked.error());
  if (auto read = reader_.read_snapshot(state); !read) return explained(path_, read.error());
  if (auto read = reader_.read_log(state); !read) return explained(path_, read.error());
  base_ = reader_.base();
  snapshot_bytes_ = reader_.snapshot_bytes();
  log_bytes_ = reader_.log_bytes();
  head_ = state.generation;
  if (auto raised = raise_version(); !raised) return Unexpected(raised.error());
  if (auto prepared = prepare_statements(); !prepared) return Unexpected(prepared.error());
  if (auto begun = answers_.begin(); !begun) return explained(path_, begun.error());
  if (auto looked = look_for_leftovers(); !looked) return Unexpected(looked.error());
  sqlite3_db_config(connection_.handle(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, nullptr);
  is_loaded_ = true;
  return state;
}

Expected<void> SqliteStore::prepare_statements() {
  insert_ =
      Statement(connection_.handle(), "INSERT INTO log (generation, record, checksum) VALUES (?, ?, ?)");
  insert_part_ =
      Statement(connection_.handle(), "INSERT INTO part (part, record, checksum) VALUES (?, ?, ?)");
  if (insert_.is_valid() && insert_part_.is_valid()) return {};
  return explained(path_, damage(connection_.message()).value());
}

// Not before the store is known to be whole: a refused one stays as it is.
Expected<void> SqliteStore::raise_version() {
  const auto version = reader_.number("PRAGMA user_version");
  if (!version) return explained(path_, version.error());
  const std::string to_5 =
      std::string("BEGIN IMMEDIATE;") + version_5 + (base_.parts > 0 ? set_base(base_) : "") + "COMMIT;";
  const std::pair<int64_t, const char*> steps[] = {
      {4, version_4}, {5, to_5.c_str()}, {6, "PRAGMA user_version = 6"}, {7, "PRAGMA user_version = 7"}};
  for (const auto& [to, sql] : steps) {
    if (*version >= to) continue;
    if (const int set = connection_.execute(sql); set != SQLITE_OK) {
      roll_back();
      return failed("raise the schema version", set);
    }
  }
  return {};
}

// What a process has left that ended in the middle of a compaction.
Expected<void> SqliteStore::look_for_leftovers() {
  const auto parts = reader_.number("SELECT count(*) FROM part");
  if (!parts) return explained(path_, parts.error());
  const auto records = reader_.number("SELECT count(*) FROM (SELECT 1 FROM log WHERE generation <= " +
                                      std::to_string(signed_of(base_.generation)) + " LIMIT 1)");
  if (!records) return explained(path_, records.error());
  if (*parts != base_.parts || *records != 0) compaction_ = Compaction::remove;
  return {};
}

int SqliteStore::insert_log(const model::ChangeSet& changes, uint64_t& bytes) {
  if (changes.changes.empty()) return SQLITE_DONE;
  const std::string record = encode(changes);
  bytes += record.size();
  insert_.bind(1, signed_of(changes.generation));
  const bool fits = insert_.bind(2, record);
  insert_.bind(3, signed_of(fnv1a(record)));
  const int result = fits ? insert_.step() : SQLITE_TOOBIG;
  insert_.reset();
  return result;
}

int SqliteStore::insert(std::span<const Entry> entries, uint64_t& bytes) {
  for (const Entry& entry : entries) {
    if (const int logged = insert_log(*entry.changes, bytes); logged != SQLITE_DONE) return logged;
    if (entry.request == nullptr) continue;
    if (const int put = answers_.put(*entry.request); put != SQLITE_DONE) return put;
  }
  return SQLITE_DONE;
}

void SqliteStore::roll_back() {
  if (sqlite3_get_autocommit(connection_.handle()) == 0) static_cast<void>(connection_.execute("ROLLBACK"));
}

Expected<void> SqliteStore::check_order(std::span<const Entry> entries) const {
  model::Generation last = head_;
  bool is_right = is_loaded_ && !entries.empty();
  for (const Entry& entry : entries) {
    const bool has_changes = !entry.changes->changes.empty();
    if (has_changes) ++last;
    is_right = is_right && (has_changes ? entry.changes->generation == last : entry.request != nullptr);
  }
  if (is_right) return {};
  return fail(ErrorCode::internal, "what is to be stored cannot follow generation " + std::to_string(head_) +
                                       ", the last one in the store");
}

// However an append ends: what was not committed is not there, and no transaction stays open for what comes
// next to fall into.
struct SqliteStore::Settling {
  SqliteStore& store;
  bool is_committed = false;
  ~Settling() {
    store.answers_.settle(is_committed);
    if (!is_committed) store.roll_back();
  }
};

// One statement outside a transaction is a transaction: SQLite rolls it back by itself when it fails.
Expected<void> SqliteStore::append(std::span<const Entry> entries) {
  if (auto right = check_order(entries); !right) return right;
  const bool is_statement = entries.size() == 1 && entries.front().request == nullptr;
  const auto execute = [&](const char* sql) {
    return is_statement || connection_.execute(sql) == SQLITE_OK
               ? SQLITE_DONE
               : sqlite3_extended_errcode(connection_.handle());
  };
  uint64_t bytes = 0;
  Settling settling{*this};
  int result = execute("BEGIN IMMEDIATE");
  if (result == SQLITE_DONE) result = insert(entries, bytes);
  if (result == SQLITE_DONE) result = execute("COMMIT");
  settling.is_committed = result == SQLITE_DONE;
  if (result != SQLITE_DONE) return failed("write generation " + std::to_string(head_ + 1), result);
  for (const Entry& entry : entries) head_ += entry.changes->changes.empty() ? 0 : 1;
  log_bytes_ += bytes;
  next_log_bytes_ += bytes;
  return {};
}

Expected<std::optional<AnsweredRequest>> SqliteStore::recall(const std::string& caller,
                                                             const std::string& id) {
  auto found = answers_.find(caller, id);
  if (!found) return explained(path_, found.error());
  return found;
}

Expected<void> SqliteStore::forget_requests(int64_t before_ms) {
  const auto forgotten = answers_.forget(before_ms);
  return forgotten ? Expected<void>() : explained(path_, forgotten.error());
}

void SqliteStore::preserve(std::span<const model::Change> before) {
  if (snapshot_) snapshot_->preserve(before);
}

Expected<bool> SqliteStore::compact(const model::State& state, size_t most) {
  if (!is_loaded_ || state.generation != head_) {
    return fail(ErrorCode::internal, "a state of generation " + std::to_string(state.generation) +
                                         " is not that of generation " + std::to_string(head_) +
                                         ", which the store has");
  }
  if (compaction_ == Compaction::none) {
    if (head_ == base_.generation) return false;
    begin_snapshot();
  }
  auto more = compaction_ == Compaction::write ? write_some(state, most) : remove_some(most);
  if (!more) {
    roll_back();
    const bool has_leftovers = compaction_ == Compaction::remove || next_base_.parts > 0;
    snapshot_.reset();
    compaction_ = has_leftovers ? Compaction::remove : Compaction::none;
  } else if (!*more) {
    compaction_ = Compaction::none;
  }
  return more;
}

void SqliteStore::begin_snapshot() {
  snapshot_.emplace(head_);
  next_base_ = {.generation = head_, .first_part = base_.first_part + base_.parts, .parts = 0};
  next_log_bytes_ = next_snapshot_bytes_ = 0;
  compaction_ = Compaction::write;
}

Expected<bool> SqliteStore::write_some(const model::State& state, size_t most) {
  const model::ChangeSet part = snapshot_->next(state, most);
  if (part.changes.empty()) return put_in_force().map([] { return true; });
  const std::string record = encode(part);
  insert_part_.bind(1, next_base_.first_part + next_base_.parts);
  const bool fits = insert_part_.bind(2, record);
  insert_part_.bind(3, signed_of(fnv1a(record)));
  const int result = fits ? insert_part_.step() : SQLITE_TOOBIG;
  insert_part_.reset();
  if (result != SQLITE_DONE)
    return failed("write part " + std::to_string(next_base_.parts) + " of a snapshot", result);
  ++next_base_.parts;
  next_snapshot_bytes_ += record.size();
  return true;
}

// The parts were committed before, so this commit's sync covers them.
Expected<void> SqliteStore::put_in_force() {
  const int result = connection_.execute(set_base(next_base_).c_str());
  if (result != SQLITE_OK) return failed("put a snapshot in force", result);
  base_ = next_base_;
  log_bytes_ = next_log_bytes_;
  snapshot_bytes_ = next_snapshot_bytes_;
  snapshot_.reset();
  compaction_ = Compaction::remove;
  return {};
}

Expected<bool> SqliteStore::remove_some(size_t most) {
  const struct {
    const char* table;
    std::string condition;
  } leftovers[] = {{"part", "part < " + std::to_string(base_.first_part) +
                                " OR part >= " + std::to_string(base_.first_part + base_.parts)},
                   {"log", "generation <= " + std::to_string(signed_of(base_.generation))}};
  for (const auto& [table, condition] : leftovers) {
    const std::string from = std::string(" FROM ") + table + " WHERE " + condition + " ORDER BY rowid";
    Statement rows(connection_.handle(), ("SELECT rowid, length(record)" + from).c_str());
    uint64_t count = 0, bytes = 0;
    int result = rows.is_valid() ? rows.step() : sqlite3_extended_errcode(connection_.handle());
    for (; result == SQLITE_ROW && count < most && bytes < removed_bytes_a_step; result = rows.step()) {
      ++count;
      bytes += unsigned_of(rows.integer(1));
    }
    if (result != SQLITE_ROW && result != SQLITE_DONE) return failed("look for what to remove", result);
    rows = Statement();
    if (count == 0) continue;
    const std::string sql = std::string("DELETE FROM ") + table + " WHERE rowid IN (SELECT rowid" + from +
                            " LIMIT " + std::to_string(count) + ")";
    result = connection_.execute(sql.c_str());
    return result == SQLITE_OK ? Expected<bool>(true) : failed("remove old records", result);
  }
  return false;
}

Expected<void> SqliteStore::fill(const model::State& state,
                                 const std::function<std::optional<AnsweredRequest>()>& next) {
  int result = connection_.execute("BEGIN IMMEDIATE");
  for (auto request = next(); request && result == SQLITE_OK; request = next())
    if (const int put = answers_.put(*request); put != SQLITE_DONE) result = put;
  if (result == SQLITE_OK) result = connection_.execute("COMMIT");
  answers_.settle(result == SQLITE_OK);
  if (result != SQLITE_OK) {
    roll_back();
    return failed("write answers", result);
  }
  head_ = state.generation;
  for (Expected<bool> more = true; *more;) {
    more = compact(state, objects_at_once);
    if (!more) return Unexpected(more.error());
  }
  return {};
}

Unexpected SqliteStore::failed(const std::string& what, int result) const {
  return explained(path_, failure(path_, what, result).value());
}

}  // namespace portcullis::store
