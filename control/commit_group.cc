#include "control/commit_group.h"

#include <iterator>
#include <utility>

namespace portcullis {

model::Draft& CommitGroup::begin(int64_t now_ms) {
  return *members_.emplace_back(model_, now_ms).draft;
}

// A draft that comes to nothing is taken back at once: the next one must not stand on what goes.
void CommitGroup::add(std::optional<store::AnsweredRequest> request) {
  Member& member = members_.back();
  member.changes = member.draft->close();
  member.request = std::move(request);
  if (!member.changes.changes.empty()) return;
  if (member.request)
    member.draft.reset();
  else
    drop();
}

const store::AnsweredRequest* CommitGroup::answer_to(const std::string& caller, const std::string& id) const {
  for (const Member& member : members_)
    if (member.request && member.request->caller == caller && member.request->id == id)
      return &*member.request;
  return nullptr;
}

void CommitGroup::preserve(store::Store& store) const {
  for (const Member& member : members_)
    if (member.draft) store.preserve(member.draft->before());
}

std::vector<store::Entry> CommitGroup::entries() const {
  std::vector<store::Entry> entries;
  for (const Member& member : members_)
    entries.push_back({&member.changes, member.request ? &*member.request : nullptr});
  return entries;
}

void CommitGroup::take_back() {
  while (!members_.empty()) drop();
}

CommitGroup::Kept CommitGroup::keep() {
  Kept kept;
  for (Member& member : members_) {
    if (!member.draft) continue;
    kept.events.push_back({member.changes.generation, member.draft->keep()});
    kept.changes.generation = member.changes.generation;
    kept.changes.changes.insert(kept.changes.changes.end(),
                                std::make_move_iterator(member.changes.changes.begin()),
                                std::make_move_iterator(member.changes.changes.end()));
  }
  members_.clear();
  return kept;
}

}  // namespace portcullis
