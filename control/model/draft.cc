#include "control/model/draft.h"

#include <algorithm>

#include "control/model/names.h"

namespace portcullis::model {

namespace {

// Whether the object that a change puts or deletes is there after it. An address that rests is no object.
bool is_there_after(const Change& change) {
  return std::holds_alternative<PutVm>(change) || std::holds_alternative<PutPool>(change) ||
         std::holds_alternative<PutEip>(change) || std::holds_alternative<PutTenantQuota>(change);
}

// Of an object that a change puts.
std::string name_of(const Change& change) {
  if (const auto* vm = std::get_if<PutVm>(&change)) return vm_name({vm->vm.tenant, vm->vm.id});
  if (const auto* pool = std::get_if<PutPool>(&change)) return pool_name(pool->pool.id);
  if (const auto* quota = std::get_if<PutTenantQuota>(&change)) return quota_name(quota->quota.tenant);
  const Eip& eip = std::get<PutEip>(change).eip;
  return eip_name(eip.tenant, eip.address);
}

}  // namespace

Draft::~Draft() {
  if (back_.empty()) return;
  for (auto change = back_.rbegin(); change != back_.rend(); ++change)
    model_.usage_.apply(model_.state_, *change);
  model_.state_.generation = began_at_;
}

// Of an EIP that is changed again and again the first inverse says all: what others ask of it, its address
// and its vm, stays. So a long list is kept once, however many changes it goes through.
void Draft::make(Change change) {
  const auto [known, is_new] = step_of_.emplace(key_of(change), steps_.size());
  ++made_;
  changed_objects_.reset();
  const auto* eip = std::get_if<PutEip>(&change);
  if (eip != nullptr) written_rules_ += eip->eip.permit.size();
  const bool is_known =
      !is_new && eip != nullptr && std::holds_alternative<PutEip>(steps_[known->second].last);
  // Room for what takes it back comes first.
  if (back_.size() == back_.capacity()) back_.reserve(2 * back_.size() + 1);
  if (auto before = eip == nullptr ? std::nullopt : model_.usage_.exchange(model_.state_, eip->eip)) {
    if (!is_known) back_.emplace_back(PutEip{std::move(*before)});
  } else {
    if (!is_known) back_.push_back(inverse(model_.state_, change));
    model_.usage_.apply(model_.state_, change);
  }
  if (is_new)
    steps_.push_back({std::move(change), back_.size() - 1});
  else
    steps_[known->second].last = std::move(change);
}

void Draft::expect(size_t changes) {
  steps_.reserve(changes);
  step_of_.reserve(changes);
  back_.reserve(changes);
}

// An EIP that came and went has left an address that rests.
bool Draft::is_nothing(const Step& step) const {
  return !std::holds_alternative<DeleteEip>(step.last) && !is_there_after(step.last) &&
         !is_there_after(back_[step.first_back]);
}

Generation Draft::generation() const {
  const bool changed = std::ranges::any_of(steps_, [this](const Step& step) { return !is_nothing(step); });
  return began_at_ + (changed ? 1 : 0);
}

const std::vector<ChangedObject>& Draft::changed_objects() const {
  if (!changed_objects_) changed_objects_ = name_changed_objects();
  return *changed_objects_;
}

std::vector<ChangedObject> Draft::name_changed_objects() const {
  std::vector<ChangedObject> objects;
  for (const Step& step : steps_) {
    const Change& before = back_[step.first_back];
    const bool was_there = is_there_after(before);
    const bool is_there = is_there_after(step.last);
    if (!was_there && !is_there) continue;
    objects.push_back({name_of(is_there ? step.last : before), !was_there ? ChangeKind::created
                                                               : is_there ? ChangeKind::changed
                                                                          : ChangeKind::deleted});
  }
  return objects;
}

// Their names are made of the changes that go.
ChangeSet Draft::close() {
  static_cast<void>(changed_objects());
  model_.state_.generation = generation();
  ChangeSet all{model_.state_.generation, {}};
  all.changes.reserve(steps_.size());
  for (Step& step : steps_)
    if (!is_nothing(step)) all.changes.push_back(std::move(step.last));
  return all;
}

// A draft on this one may have raised the generation further.
std::vector<ChangedObject> Draft::keep() {
  static_cast<void>(changed_objects());
  std::vector<ChangedObject> changed = std::move(*changed_objects_);
  began_at_ = generation();
  model_.state_.generation = std::max(model_.state_.generation, began_at_);
  steps_.clear();
  step_of_.clear();
  back_.clear();
  changed_objects_.reset();
  made_ = written_rules_ = 0;
  return changed;
}

}  // namespace portcullis::model
