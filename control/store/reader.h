// Reads what the tables of a store's file hold, and checks it. Writes nothing. Errors are those of errors.h,
// damage as a clause.
#pragma once

#include <cstdint>
#include <string>

#include "control/model/objects.h"
#include "control/store/sqlite.h"
#include "control/store/store.h"
#include "src/base/expected.h"

namespace portcullis::store {

// "PCLS" in the file's header says whose file it is; the schema version, how to read it. Version 1 knew no
// IPv6 addresses, version 2 no VLANs and tunnels, version 3 no requests, version 4 wrote a snapshot in one
// go, version 5 knew no quotas, version 6 none of a tenant's flow entries. All are read as they are.
inline constexpr int64_t application_id = 0x50434c53;
inline constexpr int64_t first_schema_version = 1;
inline constexpr int64_t schema_version = 7;
inline constexpr int64_t first_version_with_requests = 4;
inline constexpr int64_t first_version_with_base = 5;

// The version of a file without anything in it.
inline constexpr int64_t no_version = 0;

// The snapshot in force: which parts of those that are there it has. Others are of one that was never
// finished, or that was.
struct Base {
  model::Generation generation = 0;  // 0: there is none
  int64_t first_part = 0;
  int64_t parts = 0;
};
[[nodiscard]] uint64_t checksum(const Base& base);

class Reader {
 public:
  // `path`: what messages call the file.
  Reader(const Connection& connection, std::string path) : connection_(connection), path_(std::move(path)) {}

  // First. Makes the connection the file's only one, and the file stay as it is when the connection ends.
  // Gives the schema version; failed_precondition if the file is not a store's, or a newer release's.
  [[nodiscard]] Expected<int64_t> begin();
  // Checksums guard the records; this guards the pages between them, where a row could get lost. `table`
  // empty: the pages of all, and those of none; else its own, and that its indexes say what it holds.
  [[nodiscard]] Expected<void> check_pages(const std::string& table = {});
  // Onto an empty state. After damage `state` is of no use.
  [[nodiscard]] Expected<void> read_snapshot(model::State& state);
  // Onto the snapshot's state. After damage `state` is that of the last generation before it.
  [[nodiscard]] Expected<void> read_log(model::State& state);
  // The first number that a query gives.
  [[nodiscard]] Expected<int64_t> number(const std::string& sql);

  // What has been read.
  [[nodiscard]] const Base& base() const { return base_; }
  [[nodiscard]] uint64_t snapshot_bytes() const { return snapshot_bytes_; }
  [[nodiscard]] uint64_t log_bytes() const { return log_bytes_; }

 private:
  [[nodiscard]] Expected<void> read_base();

  const Connection& connection_;
  const std::string path_;
  int64_t version_ = no_version;
  Base base_;
  uint64_t snapshot_bytes_ = 0;
  uint64_t log_bytes_ = 0;
};

// The change set in a column, whose checksum is in the next one. The error says what is the matter with it.
[[nodiscard]] Expected<model::ChangeSet> read_record(const Statement& row, int column);

// Rows of the table of requests: of these columns, from the first one.
inline constexpr const char* request_columns = "caller, id, fingerprint, answered_ms, answer, checksum";
[[nodiscard]] Expected<AnsweredRequest> read_request(const Statement& row);
[[nodiscard]] uint64_t checksum(const AnsweredRequest& request);

// SQLite has signed numbers only.
inline uint64_t unsigned_of(int64_t value) {
  return static_cast<uint64_t>(value);
}
inline int64_t signed_of(uint64_t value) {
  return static_cast<int64_t>(value);
}

}  // namespace portcullis::store
