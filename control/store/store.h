// The durable log of the model: every change set that was acknowledged, in order. What portcullisd knows
// after a restart is what load() gives. Thread: the control thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "control/model/objects.h"
#include "src/base/expected.h"

namespace portcullis::store {

// A call that was answered, so that a repeat of it can be answered alike.
struct AnsweredRequest {
  std::string caller;  // whose id it is: "provider", "tenants/acme"
  std::string id;
  uint64_t fingerprint = 0;  // of the request
  int64_t answered_ms = 0;   // unix milliseconds
  std::string answer;
  friend bool operator==(const AnsweredRequest&, const AnsweredRequest&) = default;
};

// What is stored as one record: a change set, or what a call was answered with, or both.
struct Entry {
  const model::ChangeSet* changes;           // not null; that of no changes bears any generation
  const AnsweredRequest* request = nullptr;  // null: none
};

class Store {
 public:
  Store() = default;
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;
  virtual ~Store() = default;

  // The state that the stored change sets make, an empty one for a new store. Once, before anything else.
  // internal when the store is damaged: then nothing was modified, and the message says what is wrong and
  // where.
  [[nodiscard]] virtual Expected<model::State> load() = 0;

  // Stores entries, one at least, in their order; returns only when all are durable. None may be empty, and
  // each change set must bear the generation after the last one. resource_exhausted when the disk is full or
  // a record too large, unavailable when the disk fails (try again): the store is as it was, with none of
  // them, and can still be used. After a failed sync nobody can know what the disk holds, so a restart that
  // comes before the next success may find them, all and wholly; the next success replaces them.
  // An answer's id replaces an earlier one of the caller. Of a caller that has very many the oldest ones go.
  [[nodiscard]] virtual Expected<void> append(std::span<const Entry> entries) = 0;
  // One.
  [[nodiscard]] Expected<void> append(const model::ChangeSet& changes,
                                      const AnsweredRequest* request = nullptr) {
    const Entry entry{&changes, request};
    return append({&entry, 1});
  }

  // internal if it is damaged.
  [[nodiscard]] virtual Expected<std::optional<AnsweredRequest>> recall(const std::string& caller,
                                                                        const std::string& id) = 0;
  // Forgets requests that were answered before a time, some thousands at most in one call.
  [[nodiscard]] virtual Expected<void> forget_requests(int64_t before_ms) = 0;

  // Compaction: the records up to a generation give way to a snapshot of the state, step by step between
  // replies, with changes in between. Nothing is lost if the process ends in the middle of it: the store is
  // then what the records say.
  //
  // One step, of a size that `most` bounds: objects and rules that are written, records that are removed. The
  // first one takes the snapshot's generation, which is `state`'s; `state` is always what load() and the
  // appended change sets made. False: it is complete. Errors as of append(); then it is given up, and the
  // next step begins anew.
  [[nodiscard]] virtual Expected<bool> compact(const model::State& state, size_t most) = 0;
  // Some step of it has been made, and not the last one; or a process that ended left something to remove.
  [[nodiscard]] virtual bool is_compacting() const = 0;
  // What the objects of the next change sets were before each: to be told in their order before append(),
  // while is_compacting().
  virtual void preserve(std::span<const model::Change> before) = 0;

  // Since the last snapshot.
  struct Size {
    uint64_t records = 0;
    uint64_t bytes = 0;
  };
  [[nodiscard]] virtual Size log_size() const = 0;
  [[nodiscard]] virtual uint64_t snapshot_bytes() const = 0;
};

}  // namespace portcullis::store
