#include "control/model/draft.h"

#include "control/model/names.h"

namespace portcullis::model {

namespace {

// The object that a change puts or deletes: whether it is there after it, and its name. A deleted EIP's name
// is known from what takes its deletion back; an address that rests is no object.
struct Object {
  bool is_there = false;
  std::string name;
};

Object object_of(const Change& change) {
  if (const auto* vm = std::get_if<PutVm>(&change)) return {true, vm_name({vm->vm.tenant, vm->vm.id})};
  if (const auto* vm = std::get_if<DeleteVm>(&change)) return {false, vm_name(vm->key)};
  if (const auto* pool = std::get_if<PutPool>(&change)) return {true, pool_name(pool->pool.id)};
  if (const auto* pool = std::get_if<DeletePool>(&change)) return {false, pool_name(pool->id)};
  if (const auto* eip = std::get_if<PutEip>(&change))
    return {true, eip_name(eip->eip.tenant, eip->eip.address)};
  return {};
}

}  // namespace

Draft::~Draft() {
  for (auto change = back_.rbegin(); change != back_.rend(); ++change)
    model_.usage_.apply(model_.state_, *change);
}

Draft::Key Draft::key_of(const Change& change) {
  if (const auto* vm = std::get_if<PutVm>(&change)) return VmKey{vm->vm.tenant, vm->vm.id};
  if (const auto* vm = std::get_if<DeleteVm>(&change)) return vm->key;
  if (const auto* pool = std::get_if<PutPool>(&change)) return pool->pool.id;
  if (const auto* pool = std::get_if<DeletePool>(&change)) return pool->id;
  if (const auto* eip = std::get_if<PutEip>(&change)) return eip->eip.address;
  return std::get<DeleteEip>(change).address;
}

void Draft::make(Change change) {
  const auto [known, is_new] = step_of_.emplace(key_of(change), steps_.size());
  back_.push_back(inverse(model_.state_, change));
  model_.usage_.apply(model_.state_, change);
  if (is_new)
    steps_.push_back({std::move(change), back_.size() - 1});
  else
    steps_[known->second].last = std::move(change);
}

Generation Draft::generation() const {
  return model_.state_.generation + (steps_.empty() ? 0 : 1);
}

ChangeSet Draft::changes() const {
  ChangeSet all{generation(), {}};
  all.changes.reserve(steps_.size());
  for (const Step& step : steps_) all.changes.push_back(step.last);
  return all;
}

std::vector<ChangedObject> Draft::changed_objects() const {
  std::vector<ChangedObject> objects;
  for (const Step& step : steps_) {
    const Object before = object_of(back_[step.first_back]);
    const Object after = object_of(step.last);
    if (!before.is_there && !after.is_there) continue;
    objects.push_back({after.is_there ? after.name : before.name, !before.is_there ? ChangeKind::created
                                                                  : after.is_there ? ChangeKind::changed
                                                                                   : ChangeKind::deleted});
  }
  return objects;
}

void Draft::keep() {
  if (!steps_.empty()) ++model_.state_.generation;
  steps_.clear();
  step_of_.clear();
  back_.clear();
}

}  // namespace portcullis::model
