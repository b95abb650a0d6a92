// What is left of a damaged store, and how it becomes a store again. Offline: both take the store's lock.
//
// A record builds on all before it, so after the first damaged one nothing can be carried out: a change may
// need what the lost one made. What is recovered is the state of the last generation before the damage,
// exactly as it was acknowledged, and never a part of a change set. A snapshot is one whole: with a part of
// it damaged there is no state to build on, and nothing to recover.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "control/model/objects.h"
#include "src/base/expected.h"

namespace portcullis::store {

struct Condition {
  std::vector<std::string> damage;  // clauses; none: the store is whole
  bool is_recoverable = true;
  model::State state;             // what is recovered
  std::vector<std::string> lost;  // clauses: what was acknowledged and is not recovered
  uint64_t answers = 0;           // to requests with an id, that are recovered
};

// Reads the store at `path` and changes nothing. not_found if there is none. Errors are those of
// SqliteStore::open().
[[nodiscard]] Expected<Condition> examine(const std::string& path);

struct Repair {
  Condition condition;  // before it
  std::string kept;     // where the damaged file is now; empty: nothing was done
};

// Makes the store hold what can be recovered of it, and keeps the damaged one beside it. Does nothing to a
// whole one. failed_precondition if nothing can be recovered, or if something would be lost and
// `accept_loss` is not set. Interrupted at any moment, the store is the damaged one, or refused until this is
// called again, or the repaired one.
[[nodiscard]] Expected<Repair> repair(const std::string& path, bool accept_loss);

}  // namespace portcullis::store
