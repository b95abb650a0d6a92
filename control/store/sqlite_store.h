// The store in one SQLite file: a log of change sets, one row each, over a snapshot. WAL mode with
// synchronous=FULL: a commit returns when the write-ahead log is synced (https://sqlite.org/wal.html,
// "Durability"). Beside state.db lie state.db-wal (belongs to it, must move with it) and state.db.lock.
//
//   log       generation -> record.proto ChangeSet, FNV-1a of it; generations without a gap
//   snapshot  part -> the same form: change sets that make the state of one generation out of nothing
//   request   caller, id -> an answered request, FNV-1a of all of it
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "control/store/lock_file.h"
#include "control/store/sqlite.h"
#include "control/store/store.h"

namespace portcullis::store {

class SqliteStore final : public Store {
 public:
  // Creates the file and its directory when absent. Refused, and nothing modified, with failed_precondition:
  // the store is open in another process, is not a Portcullis store, or was written by a newer release.
  // `vfs`: SQLite's file layer, its default one if empty.
  [[nodiscard]] static Expected<std::unique_ptr<SqliteStore>> open(const std::string& path,
                                                                   const std::string& vfs = {});
  [[nodiscard]] Expected<model::State> load() override;
  [[nodiscard]] Expected<void> append(const model::ChangeSet& changes,
                                      const AnsweredRequest* request = nullptr) override;
  [[nodiscard]] Expected<std::optional<AnsweredRequest>> recall(const std::string& caller,
                                                                const std::string& id) override;
  [[nodiscard]] Expected<void> forget_requests(int64_t before_ms) override;
  [[nodiscard]] Expected<void> compact(const model::State& state) override;
  // Makes a new, empty and loaded store hold a state, and the answers that `next` gives until it gives none.
  [[nodiscard]] Expected<void> fill(const model::State& state,
                                    const std::function<std::optional<AnsweredRequest>()>& next);
  [[nodiscard]] uint64_t log_size() const override { return head_ - snapshot_; }

 private:
  SqliteStore(std::string path, LockFile lock, Connection connection);

  [[nodiscard]] Expected<void> initialise();
  [[nodiscard]] Expected<void> set_durability();
  [[nodiscard]] Expected<void> create_schema();
  [[nodiscard]] Expected<void> raise_version();
  [[nodiscard]] Expected<void> prepare_statements();
  [[nodiscard]] int insert_log(const model::ChangeSet& changes);
  [[nodiscard]] int insert_request(const AnsweredRequest& request);
  // Of a transaction that failed; some failures have rolled back already.
  void roll_back();
  [[nodiscard]] Expected<void> write_snapshot(const model::State& state);
  [[nodiscard]] Expected<void> write_part(Statement& insert, const model::ChangeSet& part, int64_t number,
                                          int64_t parts);
  // What a failed read or write means, by SQLite's code.
  [[nodiscard]] Unexpected failed(const std::string& what, int result) const;

  std::string path_;
  LockFile lock_;  // outlives the connection
  Connection connection_;
  Statement insert_;
  Statement insert_request_;
  Statement find_request_;
  Statement forget_requests_;
  bool is_loaded_ = false;
  model::Generation snapshot_ = 0;  // of the snapshot; 0 if there is none
  model::Generation head_ = 0;      // last one that is durable
};

}  // namespace portcullis::store
