// The store in one SQLite file: a log of change sets, one row each, over a snapshot. WAL mode with
// synchronous=FULL: a commit returns when the write-ahead log is synced (https://sqlite.org/wal.html,
// "Durability"). Beside state.db lie state.db-wal (belongs to it, must move with it) and state.db.lock.
//
//   log       generation -> record.proto ChangeSet, FNV-1a of it; generations without a gap
//   part      number -> the same form: change sets that make the state of one generation out of nothing
//   base      which parts are the snapshot, and of which generation; the log counts from there
//   request   caller, id -> an answered request, FNV-1a of all of it
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "control/store/answers.h"
#include "control/store/lock_file.h"
#include "control/store/reader.h"
#include "control/store/snapshot.h"
#include "control/store/sqlite.h"
#include "control/store/store.h"

namespace portcullis::store {

class SqliteStore final : public Store {
 public:
  // Creates the file and its directory when absent. Refused, and nothing modified, with failed_precondition:
  // the store is open in another process, is not a Portcullis store, or was written by a newer release.
  // `vfs`: SQLite's file layer, its default one if empty.
  [[nodiscard]] static Expected<std::unique_ptr<SqliteStore>> open(const std::string& path,
                                                                   const std::string& vfs = {},
                                                                   AnswerBounds bounds = {});
  [[nodiscard]] Expected<model::State> load() override;
  using Store::append;
  [[nodiscard]] Expected<void> append(std::span<const Entry> entries) override;
  [[nodiscard]] Expected<std::optional<AnsweredRequest>> recall(const std::string& caller,
                                                                const std::string& id) override;
  [[nodiscard]] Expected<void> forget_requests(int64_t before_ms) override;
  [[nodiscard]] Expected<bool> compact(const model::State& state, size_t most) override;
  [[nodiscard]] bool is_compacting() const override { return compaction_ != Compaction::none; }
  void preserve(std::span<const model::Change> before) override;
  [[nodiscard]] Size log_size() const override { return {head_ - base_.generation, log_bytes_}; }
  [[nodiscard]] uint64_t snapshot_bytes() const override { return snapshot_bytes_; }
  // Makes a new, empty and loaded store hold a state, and the answers that `next` gives until it gives none.
  [[nodiscard]] Expected<void> fill(const model::State& state,
                                    const std::function<std::optional<AnsweredRequest>()>& next);

 private:
  // Parts are written beside those in force, then the base says that they are the snapshot, then what is of
  // no use any more is removed.
  enum class Compaction : uint8_t { none, write, remove };
  struct Settling;

  SqliteStore(std::string path, LockFile lock, Connection connection, AnswerBounds bounds);

  [[nodiscard]] Expected<void> initialise();
  [[nodiscard]] Expected<void> set_durability();
  [[nodiscard]] Expected<void> raise_version();
  [[nodiscard]] Expected<void> look_for_leftovers();
  [[nodiscard]] Expected<void> prepare_statements();
  // Whether they may follow what is there.
  [[nodiscard]] Expected<void> check_order(std::span<const Entry> entries) const;
  // SQLITE_DONE, or an error's code.
  [[nodiscard]] int insert(std::span<const Entry> entries, uint64_t& bytes);
  [[nodiscard]] int insert_log(const model::ChangeSet& changes, uint64_t& bytes);
  // Of a transaction that failed; some failures have rolled back already.
  void roll_back();
  void begin_snapshot();
  [[nodiscard]] Expected<bool> write_some(const model::State& state, size_t most);
  [[nodiscard]] Expected<void> put_in_force();
  // False: there is nothing more to remove.
  [[nodiscard]] Expected<bool> remove_some(size_t most);
  // What a failed read or write means, by SQLite's code.
  [[nodiscard]] Unexpected failed(const std::string& what, int result) const;

  std::string path_;
  LockFile lock_;  // outlives the connection
  Connection connection_;
  Reader reader_;
  Answers answers_;
  Statement insert_;
  Statement insert_part_;
  bool is_loaded_ = false;
  model::Generation head_ = 0;  // last one that is durable
  Base base_;
  uint64_t log_bytes_ = 0;  // of the records after the base
  uint64_t snapshot_bytes_ = 0;

  Compaction compaction_ = Compaction::none;
  // While parts are written.
  std::optional<Snapshot> snapshot_;
  Base next_base_;
  uint64_t next_log_bytes_ = 0;  // of the records after it
  uint64_t next_snapshot_bytes_ = 0;
};

}  // namespace portcullis::store
