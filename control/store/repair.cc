#include "control/store/repair.h"

#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <utility>
#include <variant>

#include "control/model/names.h"
#include "control/store/errors.h"
#include "control/store/lock_file.h"
#include "control/store/reader.h"
#include "control/store/sqlite_store.h"
#include "control/store/store_file.h"

namespace portcullis::store {

namespace fs = std::filesystem;

namespace {

// Lost change sets that are told one by one.
constexpr int64_t lost_told = 20;

std::string object_of(const model::Change& change) {
  if (const auto* vm = std::get_if<model::PutVm>(&change)) return model::vm_name({vm->vm.tenant, vm->vm.id});
  if (const auto* vm = std::get_if<model::DeleteVm>(&change)) return model::vm_name(vm->key) + " (deleted)";
  if (const auto* pool = std::get_if<model::PutPool>(&change)) return model::pool_name(pool->pool.id);
  if (const auto* pool = std::get_if<model::DeletePool>(&change))
    return model::pool_name(pool->id) + " (deleted)";
  if (const auto* eip = std::get_if<model::PutEip>(&change))
    return model::eip_name(eip->eip.tenant, eip->eip.address);
  if (const auto* quota = std::get_if<model::PutTenantQuota>(&change))
    return model::quota_name(quota->quota.tenant);
  if (const auto* quota = std::get_if<model::DeleteTenantQuota>(&change))
    return model::quota_name(quota->tenant) + " (cleared)";
  return "EIP " + std::get<model::DeleteEip>(change).address.to_string() + " (released)";
}

std::string describe(const model::ChangeSet& changes) {
  constexpr size_t told = 5;
  std::string text = "generation " + std::to_string(changes.generation) + ": ";
  for (size_t i = 0; i < changes.changes.size() && i < told; ++i)
    text += (i == 0 ? "" : ", ") + object_of(changes.changes[i]);
  if (changes.changes.size() > told)
    text += " and " + std::to_string(changes.changes.size() - told) + " more";
  return text;
}

// The store's file, or a copy of it with its header mended, which goes with the object.
class Source {
 public:
  // The header is all that SQLite needs whole to read the rest at all.
  [[nodiscard]] static Expected<Source> open(const std::string& path) {
    Source source(path);
    const auto header = mended_header(path);
    if (!header) {
      if (auto check = check_file(path); !check) return Unexpected(check.error());
      return source;
    }
    source.copy_ = path + ".examined";
    std::error_code error;
    fs::copy_file(path, source.copy_, fs::copy_options::overwrite_existing, error);
    std::error_code none;
    if (!error && fs::exists(wal_of(path), none))
      fs::copy_file(wal_of(path), wal_of(source.copy_), fs::copy_options::overwrite_existing, error);
    std::fstream file(source.copy_, std::ios::binary | std::ios::in | std::ios::out);
    if (error || !file.write(header->data(), std::ssize(*header)).flush())
      return fail(ErrorCode::unavailable,
                  "cannot copy the store to " + source.copy_ + ": " + error.message());
    return source;
  }
  Source(Source&& other) noexcept : path_(std::move(other.path_)), copy_(std::exchange(other.copy_, {})) {}
  Source& operator=(Source&&) = delete;
  ~Source() {
    if (copy_.empty()) return;
    std::error_code ignored;
    fs::remove(copy_, ignored);
    fs::remove(wal_of(copy_), ignored);
  }
  [[nodiscard]] bool is_mended() const { return !copy_.empty(); }
  [[nodiscard]] const std::string& readable() const { return is_mended() ? copy_ : path_; }

 private:
  explicit Source(std::string path) : path_(std::move(path)) {}
  std::string path_;
  std::string copy_;  // empty: none
};

// One look at a store. The connection stays, for what is copied out of it.
class Examination {
 public:
  [[nodiscard]] static Expected<std::unique_ptr<Examination>> make(const std::string& path) {
    auto source = Source::open(path);
    if (!source) return Unexpected(source.error());
    std::unique_ptr<Examination> made(new Examination(path, std::move(*source)));
    if (auto looked = made->look(); !looked) return Unexpected(looked.error());
    return made;
  }
  Condition condition;

  // Those that are recovered, one after another.
  void begin_answers() {
    if (keeps_answers_) answers_ = Statement(connection_.handle(), answers_sql().c_str());
  }
  [[nodiscard]] std::optional<AnsweredRequest> next_answer() {
    while (answers_.is_valid() && answers_.step() == SQLITE_ROW)
      if (auto request = read_request(answers_)) return std::move(*request);
    return std::nullopt;
  }

 private:
  Examination(const std::string& path, Source source)
      : path_(path),
        source_(std::move(source)),
        connection_(source_.readable(), {}),
        reader_(connection_, path) {}

  // Damage goes into the condition, what keeps from reading at all is an error.
  [[nodiscard]] Expected<bool> is_whole(const Expected<void>& result) {
    if (result) return true;
    if (result.error().code != ErrorCode::internal) return Unexpected(result.error());
    condition.damage.push_back(result.error().message);
    return false;
  }

  [[nodiscard]] Expected<void> look() {
    if (source_.is_mended())
      condition.damage.emplace_back("the file is cut off, or its header is not what a store has");
    const auto version = reader_.begin();
    if (!version && version.error().code != ErrorCode::internal) return Unexpected(version.error());
    if (!version) return nothing_is_left(version.error().message);
    if (*version == no_version) return {};
    const auto pages = is_whole(reader_.check_pages());
    if (!pages) return Unexpected(pages.error());
    if (auto looked = look_at_snapshot(); !looked || !condition.is_recoverable) return looked;
    if (auto looked = look_at_log(*pages); !looked) return looked;
    return *version < first_version_with_requests ? Expected<void>() : look_at_answers();
  }

  Expected<void> nothing_is_left(const std::string& why) {
    condition.damage.push_back(why);
    condition.is_recoverable = false;
    condition.state = {};
    condition.lost.emplace_back("everything: there is no state to build on");
    return {};
  }

  [[nodiscard]] Expected<void> look_at_snapshot() {
    auto read = reader_.read_snapshot(condition.state);
    if (read) return {};
    if (read.error().code != ErrorCode::internal) return read;
    return nothing_is_left(read.error().message);
  }

  [[nodiscard]] Expected<void> look_at_log(bool are_pages_whole) {
    const auto whole = is_whole(reader_.read_log(condition.state));
    if (!whole) return Unexpected(whole.error());
    auto table = are_pages_whole ? Expected<void>() : reader_.check_pages("log");
    if (!table && table.error().code != ErrorCode::internal) return table;
    const model::Generation recovered = condition.state.generation;
    const auto last = reader_.number("SELECT max(generation) FROM log");
    if (last && unsigned_of(*last) > recovered) tell_lost(unsigned_of(*last));
    if (!last || !table)
      condition.lost.push_back(
          "all changes after generation " + std::to_string(recovered) +
          ", if there were more: where they would be is damaged, so how many there were is not known");
    keeps_answers_ = condition.lost.empty();
    return {};
  }

  void tell_lost(model::Generation last) {
    const model::Generation first = condition.state.generation + 1;
    condition.lost.push_back("the changes of generations " + std::to_string(first) + " to " +
                             std::to_string(last) + "; of these can be read:");
    const std::string sql =
        "SELECT generation, record, checksum FROM log WHERE generation >= " + std::to_string(first) +
        " ORDER BY generation LIMIT " + std::to_string(lost_told);
    Statement rows(connection_.handle(), sql.c_str());
    while (rows.is_valid() && rows.step() == SQLITE_ROW)
      if (const auto changes = read_record(rows, 1)) condition.lost.push_back("  " + describe(*changes));
    if (last - first >= lost_told) condition.lost.emplace_back("  and later ones");
  }

  // An answer says that a change was made. Where changes are lost nobody can tell of which answers, and a
  // repeat that is told so is worse off than one that is carried out again.
  [[nodiscard]] Expected<void> look_at_answers() {
    const auto pages = is_whole(reader_.check_pages("request"));
    if (!pages) return Unexpected(pages.error());
    Statement rows(connection_.handle(), answers_sql().c_str());
    uint64_t damaged = 0;
    int result = rows.is_valid() ? rows.step() : SQLITE_CORRUPT;
    for (; result == SQLITE_ROW; result = rows.step()) {
      const auto request = read_request(rows);
      if (!request && ++damaged == 1) condition.damage.push_back(request.error().message);
      if (request) ++condition.answers;
    }
    if (!keeps_answers_) {
      condition.lost.push_back("all answers to requests with an id, " + std::to_string(condition.answers) +
                               " that can be read: some may be those of lost changes");
      condition.answers = 0;
    } else if (damaged > 0 || result != SQLITE_DONE || !*pages) {
      condition.lost.push_back("answers to requests with an id: " + std::to_string(damaged) + " are damaged" +
                               (result == SQLITE_DONE && *pages ? "" : ", and others may be gone"));
    }
    return {};
  }

  static std::string answers_sql() {
    return std::string("SELECT ") + request_columns + " FROM request ORDER BY rowid";
  }

  const std::string path_;
  Source source_;
  Connection connection_;
  Reader reader_;
  Statement answers_;
  bool keeps_answers_ = true;
};

Expected<LockFile> lock(const std::string& path) {
  std::error_code error;
  if (!fs::exists(path, error)) return fail(ErrorCode::not_found, "there is no store " + path);
  return LockFile::acquire(path + ".lock");
}

void remove_repaired(const std::string& path) {
  std::error_code ignored;
  for (const char* part : {"", "-wal", ".lock"}) fs::remove(repaired_name(path) + part, ignored);
}

// A closed store beside the damaged one.
Expected<void> write_repaired(const std::string& path, Examination& examination) {
  remove_repaired(path);
  {
    auto store = SqliteStore::open(repaired_name(path));
    if (!store) return Unexpected(store.error());
    if (auto loaded = (*store)->load(); !loaded) return Unexpected(loaded.error());
    examination.begin_answers();
    auto filled = (*store)->fill(examination.condition.state, [&] { return examination.next_answer(); });
    if (!filled) return filled;
  }
  std::error_code ignored;
  fs::remove(repaired_name(path) + ".lock", ignored);
  if (fs::exists(wal_of(repaired_name(path)), ignored))
    return fail(ErrorCode::unavailable, "cannot write all of " + repaired_name(path) + "; check its disk");
  return {};
}

}  // namespace

Expected<Condition> examine(const std::string& path) {
  const auto locked = lock(path);
  if (!locked) return Unexpected(locked.error());
  auto examination = Examination::make(path);
  if (!examination) return Unexpected(examination.error());
  return std::move((*examination)->condition);
}

Expected<Repair> repair(const std::string& path, bool accept_loss) {
  const auto locked = lock(path);
  if (!locked) return Unexpected(locked.error());
  if (is_replacement_pending(path)) {
    if (auto finished = finish_replacement(path); !finished) return Unexpected(finished.error());
  }
  auto examination = Examination::make(path);
  if (!examination) return Unexpected(examination.error());
  const Condition& condition = (*examination)->condition;
  if (condition.damage.empty()) return Repair{condition, {}};
  if (!condition.is_recoverable)
    return fail(ErrorCode::failed_precondition,
                "nothing of the store " + path +
                    " can be recovered: restore a "
                    "backup, or move its files away to begin with an empty one");
  if (!condition.lost.empty() && !accept_loss)
    return fail(ErrorCode::failed_precondition, "what was acknowledged would be lost of the store " + path +
                                                    ": look at it with 'portcullisd --check-store " + path +
                                                    "', restore a backup, or repair it with --accept-loss");
  if (auto written = write_repaired(path, **examination); !written) {
    remove_repaired(path);
    return Unexpected(written.error());
  }
  auto kept = keep_and_replace(path);
  if (!kept) return Unexpected(kept.error());
  return Repair{condition, *kept};
}

}  // namespace portcullis::store
