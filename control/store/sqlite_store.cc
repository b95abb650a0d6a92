#include "control/store/sqlite_store.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "control/store/errors.h"
#include "control/store/reader.h"
#include "control/store/record.h"
#include "control/store/store_file.h"
#include "src/base/fnv.h"

namespace portcullis::store {

namespace {

constexpr const char* schema = R"(
  BEGIN IMMEDIATE;
  CREATE TABLE log (generation INTEGER PRIMARY KEY, record BLOB NOT NULL, checksum INTEGER NOT NULL) STRICT;
  CREATE TABLE snapshot (part INTEGER PRIMARY KEY, parts INTEGER NOT NULL, record BLOB NOT NULL,
                         checksum INTEGER NOT NULL) STRICT;
  PRAGMA application_id = 0x50434c53;
  PRAGMA user_version = 3;
  COMMIT;)";

// What version 4 has beside; a new store gets it when it is read for the first time.
constexpr const char* additions = R"(
  BEGIN IMMEDIATE;
  CREATE TABLE request (caller TEXT NOT NULL, id TEXT NOT NULL, fingerprint INTEGER NOT NULL,
                        answered_ms INTEGER NOT NULL, answer BLOB NOT NULL, checksum INTEGER NOT NULL,
                        PRIMARY KEY (caller, id)) STRICT;
  CREATE INDEX request_answered ON request (answered_ms);
  PRAGMA user_version = 4;
  COMMIT;)";

// So that the control thread, which forgets between replies, is not held up.
constexpr int64_t requests_forgotten_at_once = 5000;

// Objects in one row of a snapshot: some hundred KiB.
constexpr size_t objects_per_part = 1000;

}  // namespace

SqliteStore::SqliteStore(std::string path, LockFile lock, Connection connection)
    : path_(std::move(path)), lock_(std::move(lock)), connection_(std::move(connection)) {}

Expected<std::unique_ptr<SqliteStore>> SqliteStore::open(const std::string& path, const std::string& vfs) {
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
  std::unique_ptr<SqliteStore> store(new SqliteStore(path, std::move(*lock), std::move(connection)));
  if (auto ready = store->initialise(); !ready) return Unexpected(ready.error());
  if (auto synced = sync_directory(directory); !synced) return Unexpected(synced.error());
  return store;
}

// Looks before it writes: what is not ours, and what load() refuses, stays as it is.
Expected<void> SqliteStore::initialise() {
  const auto version = Reader(connection_, path_).begin();
  if (!version) return explained(path_, version.error());
  if (auto set = set_durability(); !set) return set;
  return *version == no_version ? create_schema() : Expected<void>();
}

Expected<void> SqliteStore::set_durability() {
  Statement mode(connection_.handle(), "PRAGMA journal_mode = WAL");
  const int result = mode.is_valid() ? mode.step() : sqlite3_extended_errcode(connection_.handle());
  if (result != SQLITE_ROW) return failed("switch to a write-ahead log", result);
  if (mode.bytes(0) != "wal")
    return fail(ErrorCode::internal, "SQLite keeps no write-ahead log for " + path_);
  mode = Statement();
  if (const int set = connection_.execute("PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY;"
                                          "PRAGMA journal_size_limit = 16777216");
      set != SQLITE_OK) {
    return failed("set synchronous = FULL", set);
  }
  const auto synchronous = Reader(connection_, path_).number("PRAGMA synchronous");
  if (!synchronous) return explained(path_, synchronous.error());
  if (*synchronous != 2) return fail(ErrorCode::internal, "SQLite does not sync each commit to " + path_);
  return {};
}

Expected<void> SqliteStore::create_schema() {
  const int result = connection_.execute(schema);
  return result == SQLITE_OK ? Expected<void>() : failed("create the tables", result);
}

Expected<model::State> SqliteStore::load() {
  if (is_loaded_) return fail(ErrorCode::internal, "the store " + path_ + " is loaded already");
  model::State state;
  Reader reader(connection_, path_);
  if (auto checked = reader.check_pages(); !checked) return explained(path_, checked.error());
  if (auto read = reader.read_snapshot(state); !read) return explained(path_, read.error());
  snapshot_ = state.generation;
  if (auto read = reader.read_log(state); !read) return explained(path_, read.error());
  if (auto raised = raise_version(); !raised) return Unexpected(raised.error());
  if (auto prepared = prepare_statements(); !prepared) return Unexpected(prepared.error());
  sqlite3_db_config(connection_.handle(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, nullptr);
  head_ = state.generation;
  is_loaded_ = true;
  return state;
}

Expected<void> SqliteStore::prepare_statements() {
  const std::pair<Statement*, const char*> statements[] = {
      {&insert_, "INSERT INTO log (generation, record, checksum) VALUES (?, ?, ?)"},
      {&insert_request_,
       "INSERT OR REPLACE INTO request (caller, id, fingerprint, answered_ms, answer, checksum) "
       "VALUES (CAST(? AS TEXT), CAST(? AS TEXT), ?, ?, ?, ?)"},
      {&find_request_,
       "SELECT caller, id, fingerprint, answered_ms, answer, checksum FROM request "
       "WHERE caller = CAST(? AS TEXT) AND id = CAST(? AS TEXT)"},
      {&forget_requests_,
       "DELETE FROM request WHERE rowid IN (SELECT rowid FROM request WHERE answered_ms < ? LIMIT ?)"}};
  for (const auto& [statement, sql] : statements) {
    *statement = Statement(connection_.handle(), sql);
    if (!statement->is_valid()) return explained(path_, damage(connection_.message()).value());
  }
  return {};
}

// Not before the store is known to be whole: a refused one stays as it is.
Expected<void> SqliteStore::raise_version() {
  const auto version = Reader(connection_, path_).number("PRAGMA user_version");
  if (!version) return explained(path_, version.error());
  if (*version == schema_version) return {};
  const int set = connection_.execute(additions);
  if (set == SQLITE_OK) return {};
  roll_back();
  return failed("raise the schema version", set);
}

int SqliteStore::insert_log(const model::ChangeSet& changes) {
  if (changes.changes.empty()) return SQLITE_DONE;
  const std::string record = encode(changes);
  insert_.bind(1, signed_of(changes.generation));
  const bool fits = insert_.bind(2, record);
  insert_.bind(3, signed_of(fnv1a(record)));
  const int result = fits ? insert_.step() : SQLITE_TOOBIG;
  insert_.reset();
  return result;
}

int SqliteStore::insert_request(const AnsweredRequest& request) {
  bool fits = insert_request_.bind(1, request.caller) && insert_request_.bind(2, request.id);
  insert_request_.bind(3, signed_of(request.fingerprint));
  insert_request_.bind(4, request.answered_ms);
  fits = fits && insert_request_.bind(5, request.answer);
  insert_request_.bind(6, signed_of(checksum(request)));
  const int result = fits ? insert_request_.step() : SQLITE_TOOBIG;
  insert_request_.reset();
  return result;
}

void SqliteStore::roll_back() {
  if (sqlite3_get_autocommit(connection_.handle()) == 0) static_cast<void>(connection_.execute("ROLLBACK"));
}

Expected<void> SqliteStore::append(const model::ChangeSet& changes, const AnsweredRequest* request) {
  const bool is_empty = changes.changes.empty();
  if (!is_loaded_ || (is_empty ? request == nullptr : changes.generation != head_ + 1)) {
    return fail(ErrorCode::internal, "a change set of generation " + std::to_string(changes.generation) +
                                         " cannot follow generation " + std::to_string(head_) +
                                         " in the store");
  }
  // One statement outside a transaction is a transaction: SQLite rolls it back by itself when it fails.
  const bool both = !is_empty && request != nullptr;
  int result = both && connection_.execute("BEGIN IMMEDIATE") != SQLITE_OK
                   ? sqlite3_extended_errcode(connection_.handle())
                   : insert_log(changes);
  if (result == SQLITE_DONE && request != nullptr) result = insert_request(*request);
  if (result == SQLITE_DONE && both && connection_.execute("COMMIT") != SQLITE_OK)
    result = sqlite3_extended_errcode(connection_.handle());
  if (result != SQLITE_DONE) {
    roll_back();
    return failed("write generation " + std::to_string(changes.generation), result);
  }
  if (!is_empty) head_ = changes.generation;
  return {};
}

Expected<std::optional<AnsweredRequest>> SqliteStore::recall(const std::string& caller,
                                                             const std::string& id) {
  if (!find_request_.bind(1, caller) || !find_request_.bind(2, id)) return std::nullopt;
  const int result = find_request_.step();
  auto found = result == SQLITE_ROW ? read_request(find_request_) : Expected<AnsweredRequest>();
  find_request_.reset();
  if (result == SQLITE_DONE) return std::nullopt;
  if (result != SQLITE_ROW) return failed("look for a request", result);
  if (!found) return explained(path_, found.error());
  return std::move(*found);
}

Expected<void> SqliteStore::forget_requests(int64_t before_ms) {
  forget_requests_.bind(1, before_ms);
  forget_requests_.bind(2, requests_forgotten_at_once);
  const int result = forget_requests_.step();
  forget_requests_.reset();
  return result == SQLITE_DONE ? Expected<void>() : failed("forget old requests", result);
}

Expected<void> SqliteStore::compact(const model::State& state) {
  if (!is_loaded_ || state.generation > head_ || state.generation < snapshot_) {
    return fail(ErrorCode::internal, "a snapshot of generation " + std::to_string(state.generation) +
                                         " does not fit a log of " + std::to_string(snapshot_ + 1) + " to " +
                                         std::to_string(head_));
  }
  if (state.generation == snapshot_) return {};
  int result = connection_.execute("BEGIN IMMEDIATE; DELETE FROM snapshot");
  Expected<void> written = result == SQLITE_OK ? write_snapshot(state) : failed("begin a snapshot", result);
  if (written) {
    const std::string finish =
        "DELETE FROM log WHERE generation <= " + std::to_string(state.generation) + "; COMMIT";
    result = connection_.execute(finish.c_str());
    if (result != SQLITE_OK) written = failed("write a snapshot", result);
  }
  if (!written) {
    roll_back();
    return written;
  }
  snapshot_ = state.generation;
  return {};
}

Expected<void> SqliteStore::fill(const model::State& state,
                                 const std::function<std::optional<AnsweredRequest>()>& next) {
  int result = connection_.execute("BEGIN IMMEDIATE");
  for (auto request = next(); request && result == SQLITE_OK; request = next())
    if (const int inserted = insert_request(*request); inserted != SQLITE_DONE) result = inserted;
  if (result == SQLITE_OK) result = connection_.execute("COMMIT");
  if (result != SQLITE_OK) {
    roll_back();
    return failed("write answers", result);
  }
  head_ = state.generation;
  return compact(state);
}

Expected<void> SqliteStore::write_snapshot(const model::State& state) {
  Statement insert(connection_.handle(),
                   "INSERT INTO snapshot (part, parts, record, checksum) VALUES (?, ?, ?, ?)");
  if (!insert.is_valid()) return explained(path_, damage(connection_.message()).value());
  const size_t objects = state.vms.size() + state.pools.size() + state.quarantine.size() + state.eips.size();
  // A state without objects still has a generation to remember.
  const auto parts =
      static_cast<int64_t>(std::max<size_t>(1, (objects + objects_per_part - 1) / objects_per_part));
  model::ChangeSet part{state.generation, {}};
  int64_t number = 0;
  Expected<void> written;
  const auto add = [&](model::Change change) {
    if (!written) return;
    part.changes.push_back(std::move(change));
    if (part.changes.size() < objects_per_part) return;
    written = write_part(insert, part, number++, parts);
    part.changes.clear();
  };
  for (const auto& [key, vm] : state.vms) add(model::PutVm{vm});
  for (const auto& [id, pool] : state.pools) add(model::PutPool{pool});
  for (const auto& [address, rest] : state.quarantine) add(model::DeleteEip{address, rest.until_ms});
  for (const auto& [address, eip] : state.eips) add(model::PutEip{eip});
  if (written && number < parts) written = write_part(insert, part, number, parts);
  return written;
}

Expected<void> SqliteStore::write_part(Statement& insert, const model::ChangeSet& part, int64_t number,
                                       int64_t parts) {
  const std::string record = encode(part);
  insert.bind(1, number);
  insert.bind(2, parts);
  const bool fits = insert.bind(3, record);
  insert.bind(4, signed_of(fnv1a(record)));
  const int result = fits ? insert.step() : SQLITE_TOOBIG;
  insert.reset();
  if (result != SQLITE_DONE) return failed("write part " + std::to_string(number) + " of a snapshot", result);
  return {};
}

Unexpected SqliteStore::failed(const std::string& what, int result) const {
  return explained(path_, failure(path_, what, result).value());
}

}  // namespace portcullis::store
