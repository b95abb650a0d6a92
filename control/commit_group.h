// Group commit: drafts of calls that wait one behind another, each made on those before it, to be stored
// together and with one sync of the disk. Thread: the control thread.
#pragma once

#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <vector>

#include "control/history.h"
#include "control/model/draft.h"
#include "control/store/store.h"

namespace portcullis {

class CommitGroup {
 public:
  explicit CommitGroup(model::Model& model) : model_(model) {}
  ~CommitGroup() { take_back(); }
  CommitGroup(const CommitGroup&) = delete;
  CommitGroup& operator=(const CommitGroup&) = delete;

  // A draft on all that is in the group. It ends with add() or drop() before the next begins.
  [[nodiscard]] model::Draft& begin(int64_t now_ms);
  // It is to be stored, with what its call is answered with. Without either it is dropped.
  void add(std::optional<store::AnsweredRequest> request = {});
  // It is taken back.
  void drop() { members_.pop_back(); }

  [[nodiscard]] bool empty() const { return members_.empty(); }
  // Null if no call of the group has this id. It holds once the group is stored.
  [[nodiscard]] const store::AnsweredRequest* answer_to(const std::string& caller,
                                                        const std::string& id) const;

  // To a store that compacts, before entries() are appended.
  void preserve(store::Store& store) const;
  // As long as the group stays as it is.
  [[nodiscard]] std::vector<store::Entry> entries() const;
  // Everything is as it was before the first draft.
  void take_back();
  // What the members change, those that change something. As long as the group stays as it is.
  [[nodiscard]] std::vector<const model::ChangeSet*> changes() const;
  // Everything has come true: what to tell of each change. The group is empty then.
  [[nodiscard]] std::vector<Event> keep();

 private:
  struct Member {
    Member(model::Model& model, int64_t now_ms) : draft(std::in_place, model, now_ms) {}
    std::optional<model::Draft> draft;  // none: it changes nothing, and has an answer only
    model::ChangeSet changes;
    std::optional<store::AnsweredRequest> request;
  };

  model::Model& model_;
  std::list<Member> members_;
};

}  // namespace portcullis
