// Plans carried out one on another before anybody is told: each is made on what those before have left, and
// what is not kept is taken back. So many calls are checked wholly and become one change set; and drafts may
// stand on one another, each a change set of its own. Thread: the control thread only.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "control/model/change_key.h"
#include "control/model/model.h"

namespace portcullis::model {

enum class ChangeKind : uint8_t { created, changed, deleted };

struct ChangedObject {
  std::string name;  // "tenants/acme/vms/web"
  ChangeKind kind = ChangeKind::changed;
  friend bool operator==(const ChangedObject&, const ChangedObject&) = default;
};

class Draft {
 public:
  // The model is the draft's alone until it ends. Once it is closed, others may be made on it: those end
  // before it, or are kept after it. `now_ms`: by which addresses rest (unix milliseconds).
  Draft(Model& model, int64_t now_ms) : model_(model), now_ms_(now_ms), began_at_(model.state().generation) {}
  ~Draft();  // takes back what was not kept
  Draft(const Draft&) = delete;
  Draft& operator=(const Draft&) = delete;

  // As the plans so far have left it, but for its generation, which close() raises.
  [[nodiscard]] const Model& model() const { return model_; }
  // One moment for all that is drafted.
  [[nodiscard]] int64_t now_ms() const { return now_ms_; }

  template <typename Reply>
  [[nodiscard]] Expected<Reply> carry_out(Expected<Plan<Reply>> plan) {
    if (!plan) return Unexpected(std::move(plan.error()));
    for (Change& change : plan->changes.changes) make(std::move(change));
    return std::move(plan->reply);
  }
  void make(Change change);
  // Makes room for so many changes.
  void expect(size_t changes);

  // Changes so far, each counted.
  [[nodiscard]] size_t steps() const { return made_; }
  // Rules of all lists that they have written, each time anew: what they have cost.
  [[nodiscard]] uint64_t written_rules() const { return written_rules_; }
  // That the state has once it is kept.
  [[nodiscard]] Generation generation() const;
  // In the order of their first change. What was made and deleted again is not among them. As long as nothing
  // more is made.
  [[nodiscard]] const std::vector<ChangedObject>& changed_objects() const;
  // What objects were before, as what makes them so: of each object that has changed or came and went the
  // first that is there.
  [[nodiscard]] std::span<const Change> before() const { return back_; }

  // Nothing more is drafted, and if anything has changed the generation is raised. What has, as one change
  // set: of each object the last word, which is all that matters.
  [[nodiscard]] ChangeSet close();
  // It comes true. The draft is empty then, and gives what its changed objects were.
  std::vector<ChangedObject> keep();

 private:
  struct Step {
    Change last;
    size_t first_back;  // index in back_: what the object was before all this
  };
  // It was not there before, and is not after.
  [[nodiscard]] bool is_nothing(const Step& step) const;
  [[nodiscard]] std::vector<ChangedObject> name_changed_objects() const;

  Model& model_;
  const int64_t now_ms_;
  Generation began_at_;
  std::vector<Step> steps_;  // one an object
  absl::flat_hash_map<ChangeKey, size_t, ChangeKeyHash> step_of_;
  std::vector<Change> back_;  // what takes the changes back, in their order
  mutable std::optional<std::vector<ChangedObject>> changed_objects_;  // once asked for
  size_t made_ = 0;
  uint64_t written_rules_ = 0;
};

}  // namespace portcullis::model
