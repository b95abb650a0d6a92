#include "control/commit_group.h"

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

std::vector<const model::ChangeSet*> CommitGroup::changes() const {
  std::vector<const model::ChangeSet*> changes;
  for (const Member& member : members_)
    if (member.draft) changes.push_back(&member.changes);
  return changes;
}

std::vector<Event> CommitGroup::keep() {
  std::vector<Event> events;
  for (Member& member : members_)
    if (member.draft) events.push_back({member.changes.generation, member.draft->keep()});
  members_.clear();
  return events;
}

}  // namespace portcullis
