#include "control/store/answers.h"

#include <utility>

#include "control/store/errors.h"
#include "control/store/reader.h"

namespace portcullis::store {

namespace {

// So that the control thread, which forgets between replies, is not held up.
constexpr int64_t forgotten_at_once = 5000;

}  // namespace

// Rows count up, so a caller's lowest one is its oldest whatever the clock has done.
Expected<void> Answers::begin() {
  const std::pair<Statement*, const char*> statements[] = {
      {&insert_,
       "INSERT INTO request (caller, id, fingerprint, answered_ms, answer, checksum) "
       "VALUES (CAST(? AS TEXT), CAST(? AS TEXT), ?, ?, ?, ?)"},
      {&find_,
       "SELECT caller, id, fingerprint, answered_ms, answer, checksum FROM request "
       "WHERE caller = CAST(? AS TEXT) AND id = CAST(? AS TEXT)"},
      {&remove_one_,
       "DELETE FROM request WHERE caller = CAST(? AS TEXT) AND id = CAST(? AS TEXT) "
       "RETURNING caller, length(answer)"},
      {&remove_oldest_,
       "DELETE FROM request WHERE rowid = (SELECT rowid FROM request INDEXED BY request_of_caller "
       "WHERE caller = CAST(? AS TEXT) ORDER BY rowid LIMIT 1) RETURNING caller, length(answer)"},
      {&forget_,
       "DELETE FROM request WHERE rowid IN (SELECT rowid FROM request WHERE answered_ms < ? LIMIT ?) "
       "RETURNING caller, length(answer)"}};
  for (const auto& [statement, sql] : statements) {
    *statement = Statement(connection_.handle(), sql);
    if (!statement->is_valid()) return damage(connection_.message());
  }
  // A damaged index must not keep the gateway from starting.
  Statement rows(connection_.handle(),
                 "SELECT caller, count(*), sum(length(answer)) FROM request NOT INDEXED GROUP BY caller");
  if (!rows.is_valid()) return damage(connection_.message());
  int result = rows.step();
  for (; result == SQLITE_ROW; result = rows.step())
    kept_[std::string(rows.bytes(0))] = {unsigned_of(rows.integer(1)), unsigned_of(rows.integer(2))};
  return result == SQLITE_DONE ? Expected<void>() : failure(path_, "count the answers", result);
}

bool Answers::is_over(const std::string& caller) const {
  const auto kept = kept_.find(caller);
  return kept != kept_.end() && kept->second.count > 1 &&
         (kept->second.count > bounds_.count || kept->second.bytes > bounds_.bytes);
}

// Unsigned numbers wrap, so they are taken away by adding.
void Answers::change(const std::string& caller, uint64_t count, uint64_t bytes) {
  Kept& kept = kept_[caller];
  before_.emplace(caller, kept);
  kept.count += count;
  kept.bytes += bytes;
}

int Answers::remove(Statement& statement) {
  int result = statement.step();
  for (; result == SQLITE_ROW; result = statement.step())
    change(std::string(statement.bytes(0)), -uint64_t{1}, -unsigned_of(statement.integer(1)));
  statement.reset();
  return result;
}

int Answers::put(const AnsweredRequest& request) {
  if (!remove_one_.bind(1, request.caller) || !remove_one_.bind(2, request.id)) return SQLITE_TOOBIG;
  if (const int removed = remove(remove_one_); removed != SQLITE_DONE) return removed;
  bool fits = insert_.bind(1, request.caller) && insert_.bind(2, request.id);
  insert_.bind(3, signed_of(request.fingerprint));
  insert_.bind(4, request.answered_ms);
  fits = fits && insert_.bind(5, request.answer);
  insert_.bind(6, signed_of(checksum(request)));
  int result = fits ? insert_.step() : SQLITE_TOOBIG;
  insert_.reset();
  if (result == SQLITE_DONE) change(request.caller, 1, request.answer.size());
  while (result == SQLITE_DONE && is_over(request.caller)) {
    if (!remove_oldest_.bind(1, request.caller)) return SQLITE_TOOBIG;
    result = remove(remove_oldest_);
  }
  return result;
}

void Answers::settle(bool is_committed) {
  if (!is_committed)
    for (const auto& [caller, kept] : before_) kept_[caller] = kept;
  for (const auto& [caller, kept] : before_)
    if (kept_[caller].count == 0) kept_.erase(caller);
  before_.clear();
}

Expected<std::optional<AnsweredRequest>> Answers::find(const std::string& caller, const std::string& id) {
  if (!find_.bind(1, caller) || !find_.bind(2, id)) return std::nullopt;
  const int result = find_.step();
  auto found = result == SQLITE_ROW ? read_request(find_) : Expected<AnsweredRequest>();
  find_.reset();
  if (result == SQLITE_DONE) return std::nullopt;
  if (result != SQLITE_ROW) return failure(path_, "look for a request", result);
  if (!found) return Unexpected(found.error());
  return std::move(*found);
}

Expected<void> Answers::forget(int64_t before_ms) {
  forget_.bind(1, before_ms);
  forget_.bind(2, forgotten_at_once);
  const int result = remove(forget_);
  settle(result == SQLITE_DONE);
  return result == SQLITE_DONE ? Expected<void>() : failure(path_, "forget old requests", result);
}

}  // namespace portcullis::store
