#include "control/store/sqlite_store.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <utility>

#include "control/store/record.h"
#include "src/base/fnv.h"

namespace portcullis::store {

namespace {

// "PCLS" in the file's header says whose file it is; the schema version, how to read it. Version 1 knew no
// IPv6 addresses, version 2 no VLANs and tunnels, version 3 no requests. All are read as they are; once read
// they are files of this version.
constexpr int64_t application_id = 0x50434c53;
constexpr int64_t first_schema_version = 1;
constexpr int64_t schema_version = 4;

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

constexpr std::string_view sqlite_magic{"SQLite format 3\0", 16};

// SQLite takes an empty file for a new database and deletes a write-ahead log that lies beside it. Where a
// store has been, that would silently forget it.
Expected<void> check_file(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code error;
  const auto wal_size = fs::file_size(path + "-wal", error);
  const bool has_log = !error && wal_size > 0;
  if (!fs::exists(path, error) || fs::file_size(path, error) == 0) {
    if (!has_log) return {};
    return fail(ErrorCode::internal,
                "the store " + path + " is missing or empty, but its write-ahead log " + path +
                    "-wal is there; put the file back from where it was moved, or from a backup");
  }
  std::ifstream file(path, std::ios::binary);
  std::string magic(sqlite_magic.size(), '\0');
  if (!file.read(magic.data(), static_cast<std::streamsize>(magic.size())) || magic != sqlite_magic) {
    return fail(
        ErrorCode::failed_precondition,
        path + " is not a Portcullis store (no SQLite file); give another store path, or restore a backup");
  }
  return {};
}

uint64_t checksum(const AnsweredRequest& request) {
  return fnv1a(request.caller + '\n' + request.id + '\n' + std::to_string(request.fingerprint) + '\n' +
               std::to_string(request.answered_ms) + '\n' + request.answer);
}

uint64_t unsigned_of(int64_t value) {
  return static_cast<uint64_t>(value);
}
int64_t signed_of(uint64_t value) {
  return static_cast<int64_t>(value);
}

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

// Looks before it writes: what is not ours stays as it is.
Expected<void> SqliteStore::initialise() {
  // A refused store keeps its write-ahead log: load() lifts this.
  sqlite3_db_config(connection_.handle(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  // With the write-ahead log's index in memory there is no third file, and no other SQLite program may open
  // it.
  if (auto mode = pragma("PRAGMA locking_mode = EXCLUSIVE"); !mode) return Unexpected(mode.error());
  const auto application = pragma("PRAGMA application_id");
  if (!application) return Unexpected(application.error());
  const auto version = pragma("PRAGMA user_version");
  if (!version) return Unexpected(version.error());
  const auto tables = pragma("SELECT count(*) FROM sqlite_schema");
  if (!tables) return Unexpected(tables.error());

  const bool is_new = *application == 0 && *version == 0 && *tables == 0;
  if (!is_new && *application != application_id) {
    return fail(
        ErrorCode::failed_precondition,
        path_ + " is not a Portcullis store (an SQLite file of another program); give another store path");
  }
  if (!is_new && (*version < first_schema_version || *version > schema_version)) {
    return fail(ErrorCode::failed_precondition,
                "the store " + path_ + " has schema version " + std::to_string(*version) +
                    ", and this release reads versions up to " + std::to_string(schema_version) +
                    "; run the release that wrote it, or restore a backup");
  }
  if (auto set = set_durability(); !set) return set;
  return is_new ? create_schema() : Expected<void>();
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
  const auto synchronous = pragma("PRAGMA synchronous");
  if (!synchronous) return Unexpected(synchronous.error());
  if (*synchronous != 2) return fail(ErrorCode::internal, "SQLite does not sync each commit to " + path_);
  return {};
}

Expected<void> SqliteStore::create_schema() {
  const int result = connection_.execute(schema);
  return result == SQLITE_OK ? Expected<void>() : failed("create the tables", result);
}

Expected<int64_t> SqliteStore::pragma(const char* sql) {
  Statement statement(connection_.handle(), sql);
  const int result = statement.is_valid() ? statement.step() : sqlite3_extended_errcode(connection_.handle());
  if (result == SQLITE_ROW) return statement.integer(0);
  return failed(sql, result);
}

Expected<model::State> SqliteStore::load() {
  if (is_loaded_) return fail(ErrorCode::internal, "the store " + path_ + " is loaded already");
  model::State state;
  if (auto checked = check_pages(); !checked) return Unexpected(checked.error());
  if (auto loaded = load_snapshot(state); !loaded) return Unexpected(loaded.error());
  if (auto loaded = load_log(state); !loaded) return Unexpected(loaded.error());
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
       "SELECT fingerprint, answered_ms, answer, checksum FROM request "
       "WHERE caller = CAST(? AS TEXT) AND id = CAST(? AS TEXT)"},
      {&forget_requests_,
       "DELETE FROM request WHERE rowid IN (SELECT rowid FROM request WHERE answered_ms < ? LIMIT ?)"}};
  for (const auto& [statement, sql] : statements) {
    *statement = Statement(connection_.handle(), sql);
    if (!statement->is_valid()) return damaged(connection_.message());
  }
  return {};
}

// Not before the store is known to be whole: a refused one stays as it is.
Expected<void> SqliteStore::raise_version() {
  const auto version = pragma("PRAGMA user_version");
  if (!version) return Unexpected(version.error());
  if (*version == schema_version) return {};
  const int set = connection_.execute(additions);
  if (set == SQLITE_OK) return {};
  roll_back();
  return failed("raise the schema version", set);
}

// Checksums guard the records; this guards the pages between them, where a row could get lost.
Expected<void> SqliteStore::check_pages() {
  Statement check(connection_.handle(), "PRAGMA quick_check(1)");
  const int result = check.is_valid() ? check.step() : sqlite3_extended_errcode(connection_.handle());
  if (result != SQLITE_ROW) return failed("check the pages", result);
  return check.bytes(0) == "ok" ? Expected<void>() : damaged(std::string(check.bytes(0)));
}

Expected<model::ChangeSet> SqliteStore::read_record(const Statement& row, int column,
                                                    const std::string& what) {
  const std::string_view record = row.bytes(column);
  if (fnv1a(record) != unsigned_of(row.integer(column + 1))) return damaged(what + " has a wrong checksum");
  auto changes = decode(record);
  if (!changes) return damaged(what + " cannot be read: " + changes.error().message);
  return changes;
}

Expected<void> SqliteStore::load_snapshot(model::State& state) {
  Statement rows(connection_.handle(), "SELECT part, parts, record, checksum FROM snapshot ORDER BY part");
  if (!rows.is_valid()) return damaged(connection_.message());
  int64_t parts = 0;
  int64_t part = 0;
  int result = rows.step();
  for (; result == SQLITE_ROW; result = rows.step(), ++part) {
    const std::string what = "part " + std::to_string(part) + " of the snapshot";
    if (part == 0) parts = rows.integer(1);
    if (rows.integer(0) != part || rows.integer(1) != parts) return damaged(what + " is missing");
    const auto changes = read_record(rows, 2, what);
    if (!changes) return Unexpected(changes.error());
    if (part > 0 && changes->generation != state.generation) {
      return damaged(what + " is of another generation than the part before");
    }
    model::apply(state, *changes);
    state.generation = changes->generation;
  }
  if (result != SQLITE_DONE) return failed("read the snapshot", result);
  if (part != parts) return damaged("part " + std::to_string(part) + " of the snapshot is missing");
  snapshot_ = state.generation;
  return {};
}

Expected<void> SqliteStore::load_log(model::State& state) {
  Statement rows(connection_.handle(), "SELECT generation, record, checksum FROM log ORDER BY generation");
  if (!rows.is_valid()) return damaged(connection_.message());
  int result = rows.step();
  for (; result == SQLITE_ROW; result = rows.step()) {
    const model::Generation generation = unsigned_of(rows.integer(0));
    const std::string what = "the record of generation " + std::to_string(generation);
    if (generation != state.generation + 1) {
      return damaged("after generation " + std::to_string(state.generation) + " comes " + what);
    }
    const auto changes = read_record(rows, 1, what);
    if (!changes) return Unexpected(changes.error());
    if (changes->generation != generation || changes->changes.empty()) {
      return damaged(what + " is that of another generation, or empty");
    }
    model::apply(state, *changes);
  }
  return result == SQLITE_DONE ? Expected<void>() : failed("read the log", result);
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
  std::optional<AnsweredRequest> found;
  uint64_t stored_checksum = 0;
  if (result == SQLITE_ROW) {
    found = AnsweredRequest{.caller = caller,
                            .id = id,
                            .fingerprint = unsigned_of(find_request_.integer(0)),
                            .answered_ms = find_request_.integer(1),
                            .answer = std::string(find_request_.bytes(2))};
    stored_checksum = unsigned_of(find_request_.integer(3));
  }
  find_request_.reset();
  if (result != SQLITE_ROW && result != SQLITE_DONE) return failed("look for a request", result);
  if (found && stored_checksum != checksum(*found))
    return damaged("the answer to request '" + id + "' of " + caller + " has a wrong checksum");
  return found;
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

Expected<void> SqliteStore::write_snapshot(const model::State& state) {
  Statement insert(connection_.handle(),
                   "INSERT INTO snapshot (part, parts, record, checksum) VALUES (?, ?, ?, ?)");
  if (!insert.is_valid()) return damaged(connection_.message());
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

Unexpected SqliteStore::damaged(const std::string& what) const {
  return fail(ErrorCode::internal,
              "the store " + path_ + " is damaged: " + what + "; it was left as it is, restore a backup");
}

Unexpected SqliteStore::failed(const std::string& what, int result) const {
  const std::string why = "cannot " + what + " in the store " + path_ + ": " + sqlite3_errstr(result);
  switch (result & 0xff) {
    case SQLITE_CORRUPT:
      return damaged(sqlite3_errstr(result));
    case SQLITE_NOTADB:
      return fail(ErrorCode::failed_precondition,
                  path_ + " is not a Portcullis store (no SQLite file); give another store path");
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return fail(ErrorCode::failed_precondition, why + "; another program has it open, stop that first");
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_CANTOPEN:
      return fail(ErrorCode::failed_precondition, why + "; the file and its directory must be writable");
    case SQLITE_TOOBIG:
      return fail(ErrorCode::resource_exhausted, why + "; split the change into smaller ones");
    case SQLITE_FULL:
      return fail(ErrorCode::resource_exhausted, why + "; make room on its disk and try again");
    case SQLITE_IOERR:
    case SQLITE_NOMEM:
      return fail(ErrorCode::unavailable, why + "; check its disk and try again");
    default:
      return fail(ErrorCode::internal, why);
  }
}

}  // namespace portcullis::store
