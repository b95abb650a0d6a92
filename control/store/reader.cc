#include "control/store/reader.h"

#include <algorithm>
#include <deque>
#include <functional>
#include <future>
#include <utility>

#include "control/store/errors.h"
#include "control/store/record.h"
#include "src/base/fnv.h"

namespace portcullis::store {

Expected<int64_t> Reader::begin() {
  sqlite3_db_config(connection_.handle(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  // With the write-ahead log's index in memory there is no third file, and no other SQLite program may open
  // it.
  if (const int set = connection_.execute("PRAGMA locking_mode = EXCLUSIVE"); set != SQLITE_OK)
    return failure(path_, "lock the file", set);
  const auto application = number("PRAGMA application_id");
  if (!application) return Unexpected(application.error());
  const auto version = number("PRAGMA user_version");
  if (!version) return Unexpected(version.error());
  const auto tables = number("SELECT count(*) FROM sqlite_schema");
  if (!tables) return Unexpected(tables.error());

  if (*application == 0 && *version == 0 && *tables == 0) return no_version;
  if (*application != application_id) {
    return fail(
        ErrorCode::failed_precondition,
        path_ + " is not a Portcullis store (an SQLite file of another program); give another store path");
  }
  if (*version < first_schema_version || *version > schema_version) {
    return fail(ErrorCode::failed_precondition,
                "the store " + path_ + " has schema version " + std::to_string(*version) +
                    ", and this release reads versions up to " + std::to_string(schema_version) +
                    "; run the release that wrote it, or restore a backup");
  }
  version_ = *version;
  return version_;
}

Expected<int64_t> Reader::number(const std::string& sql) {
  Statement statement(connection_.handle(), sql.c_str());
  const int result = statement.is_valid() ? statement.step() : sqlite3_extended_errcode(connection_.handle());
  if (result == SQLITE_ROW) return statement.integer(0);
  return failure(path_, "read (" + sql + ")", result);
}

Expected<void> Reader::check_pages(const std::string& table) {
  const std::string sql = table.empty() ? "PRAGMA quick_check(1)" : "PRAGMA integrity_check(" + table + ")";
  Statement check(connection_.handle(), sql.c_str());
  const int result = check.is_valid() ? check.step() : sqlite3_extended_errcode(connection_.handle());
  if (result != SQLITE_ROW) return failure(path_, "check the pages", result);
  std::string found(check.bytes(0));
  if (found == "ok") return {};
  std::ranges::replace(found, '\n', ' ');
  return damage(std::move(found));
}

namespace {

// The error says what is the matter with it.
Expected<model::ChangeSet> read_record(std::string_view record, uint64_t checksum) {
  if (fnv1a(record) != checksum) return damage("has a wrong checksum");
  auto changes = decode(record);
  if (!changes) return damage("cannot be read: " + changes.error().message);
  return changes;
}

// Of a row: a number, a record and its checksum.
struct Record {
  uint64_t bytes;
  std::future<Expected<model::ChangeSet>> changes;

  explicit Record(const Statement& row) : bytes(row.bytes(1).size()) {
    constexpr uint64_t worth_a_thread = 16 << 10;
    changes = std::async(bytes < worth_a_thread ? std::launch::deferred : std::launch::async,
                         [record = std::string(row.bytes(1)), checksum = unsigned_of(row.integer(2))] {
                           return read_record(record, checksum);
                         });
  }
  [[nodiscard]] Expected<model::ChangeSet> get(const std::string& what) {
    auto read = changes.get();
    if (!read) return damage(what + " " + read.error().message);
    return read;
  }
};

// Calls `take` with each row's number and record. To decode records is three quarters of the work of a start,
// and to apply them the rest: while one is taken the next two are decoded. Gives how SQLite ended.
Expected<int> for_each_record(Statement& rows, const std::function<Expected<void>(int64_t, Record&)>& take) {
  constexpr size_t decoded_ahead = 2;
  std::deque<std::pair<int64_t, Record>> coming;
  const auto take_first = [&] {
    auto taken = take(coming.front().first, coming.front().second);
    coming.pop_front();
    return taken;
  };
  int result = rows.step();
  for (; result == SQLITE_ROW; result = rows.step()) {
    coming.emplace_back(rows.integer(0), rows);
    if (coming.size() > decoded_ahead)
      if (auto taken = take_first(); !taken) return Unexpected(std::move(taken.error()));
  }
  while (!coming.empty())
    if (auto taken = take_first(); !taken) return Unexpected(std::move(taken.error()));
  return result;
}

}  // namespace

Expected<model::ChangeSet> read_record(const Statement& row, int column) {
  return read_record(row.bytes(column), unsigned_of(row.integer(column + 1)));
}

// Before version 5 a snapshot is all that its table has.
Expected<void> Reader::read_base() {
  if (version_ < first_version_with_base) {
    const auto parts = number("SELECT count(*) FROM snapshot");
    const auto said = number("SELECT ifnull(max(parts), 0) FROM snapshot");
    if (!parts) return Unexpected(parts.error());
    if (!said) return Unexpected(said.error());
    base_.parts = std::max(*parts, *said);
    return {};
  }
  Statement row(connection_.handle(), "SELECT generation, first_part, parts, checksum FROM base");
  if (!row.is_valid()) return damage(connection_.message());
  const int result = row.step();
  if (result == SQLITE_DONE) return {};
  if (result != SQLITE_ROW) return failure(path_, "read which snapshot is in force", result);
  base_ = {unsigned_of(row.integer(0)), row.integer(1), row.integer(2)};
  if (checksum(base_) != unsigned_of(row.integer(3)))
    return damage("the record of which snapshot is in force has a wrong checksum");
  return {};
}

Expected<void> Reader::read_snapshot(model::State& state) {
  if (auto read = read_base(); !read) return read;
  const std::string table = version_ < first_version_with_base ? "snapshot" : "part";
  Statement rows(connection_.handle(), ("SELECT part, record, checksum FROM " + table +
                                        " WHERE part >= ? AND part < ? ORDER BY part")
                                           .c_str());
  if (!rows.is_valid()) return damage(connection_.message());
  rows.bind(1, base_.first_part);
  rows.bind(2, base_.first_part + base_.parts);
  int64_t part = 0;
  const auto read = for_each_record(rows, [&](int64_t number, Record& record) -> Expected<void> {
    const std::string what = "part " + std::to_string(part) + " of the snapshot";
    if (number != base_.first_part + part) return damage(what + " is missing");
    auto changes = record.get(what);
    if (!changes) return Unexpected(std::move(changes.error()));
    if (part == 0 && version_ < first_version_with_base) base_.generation = changes->generation;
    if (changes->generation != base_.generation)
      return damage(what + " is of another generation than the snapshot");
    snapshot_bytes_ += record.bytes;
    model::apply(state, std::move(*changes));
    ++part;
    return {};
  });
  if (!read) return Unexpected(read.error());
  if (*read != SQLITE_DONE) return failure(path_, "read the snapshot", *read);
  if (part != base_.parts) return damage("part " + std::to_string(part) + " of the snapshot is missing");
  state.generation = base_.generation;
  return {};
}

Expected<void> Reader::read_log(model::State& state) {
  Statement rows(connection_.handle(),
                 "SELECT generation, record, checksum FROM log WHERE generation > ? ORDER BY generation");
  if (!rows.is_valid()) return damage(connection_.message());
  rows.bind(1, signed_of(base_.generation));
  const auto read = for_each_record(rows, [&](int64_t number, Record& record) -> Expected<void> {
    const model::Generation generation = unsigned_of(number);
    const std::string what = "the record of generation " + std::to_string(generation);
    if (generation != state.generation + 1) {
      return damage("after generation " + std::to_string(state.generation) + " comes " + what);
    }
    auto changes = record.get(what);
    if (!changes) return Unexpected(std::move(changes.error()));
    if (changes->generation != generation || changes->changes.empty()) {
      return damage(what + " is that of another generation, or empty");
    }
    log_bytes_ += record.bytes;
    model::apply(state, std::move(*changes));
    return {};
  });
  if (!read) return Unexpected(read.error());
  return *read == SQLITE_DONE ? Expected<void>() : failure(path_, "read the log", *read);
}

uint64_t checksum(const Base& base) {
  return fnv1a(std::to_string(base.generation) + '\n' + std::to_string(base.first_part) + '\n' +
               std::to_string(base.parts));
}

uint64_t checksum(const AnsweredRequest& request) {
  return fnv1a(request.caller + '\n' + request.id + '\n' + std::to_string(request.fingerprint) + '\n' +
               std::to_string(request.answered_ms) + '\n' + request.answer);
}

Expected<AnsweredRequest> read_request(const Statement& row) {
  AnsweredRequest request{.caller = std::string(row.bytes(0)),
                          .id = std::string(row.bytes(1)),
                          .fingerprint = unsigned_of(row.integer(2)),
                          .answered_ms = row.integer(3),
                          .answer = std::string(row.bytes(4))};
  if (unsigned_of(row.integer(5)) != checksum(request))
    return damage("the answer to request '" + request.id + "' of " + request.caller +
                  " has a wrong checksum");
  return request;
}

}  // namespace portcullis::store
