// The answered requests in a store's file, bounded for each caller: beyond the bound its oldest ones go.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "control/store/sqlite.h"
#include "control/store/store.h"
#include "src/base/expected.h"

namespace portcullis::store {

// Of one caller. The last answer is kept however long it is.
struct AnswerBounds {
  uint64_t count = 100'000;
  uint64_t bytes = 64ULL << 20;  // of answers
};

class Answers {
 public:
  // `connection` must outlive it.
  Answers(const Connection& connection, std::string path, AnswerBounds bounds)
      : connection_(connection), path_(std::move(path)), bounds_(bounds) {}
  // Counts what is there. Once, before anything else. Errors as of errors.h.
  [[nodiscard]] Expected<void> begin();

  // Within a transaction, of which settle() must tell how it ended. SQLITE_DONE, or an error's code.
  [[nodiscard]] int put(const AnsweredRequest& request);
  void settle(bool is_committed);
  // Errors as of errors.h.
  [[nodiscard]] Expected<std::optional<AnsweredRequest>> find(const std::string& caller,
                                                              const std::string& id);
  // Those before a time, some thousands at most.
  [[nodiscard]] Expected<void> forget(int64_t before_ms);

 private:
  struct Kept {
    uint64_t count = 0;
    uint64_t bytes = 0;
  };
  // Runs a DELETE that returns callers and lengths, and counts what is gone in `kept_`.
  [[nodiscard]] int remove(Statement& statement);
  [[nodiscard]] bool is_over(const std::string& caller) const;
  void change(const std::string& caller, uint64_t count, uint64_t bytes);

  const Connection& connection_;
  const std::string path_;
  const AnswerBounds bounds_;
  Statement insert_;
  Statement find_;
  Statement remove_one_;
  Statement remove_oldest_;
  Statement forget_;
  std::map<std::string, Kept> kept_;    // by caller; none of those without answers
  std::map<std::string, Kept> before_;  // what the transaction has changed of it
};

}  // namespace portcullis::store
