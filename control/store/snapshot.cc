#include "control/store/snapshot.h"

#include <utility>
#include <variant>

namespace portcullis::store {

namespace {

model::Change put(const model::Vm& vm) {
  return model::PutVm{vm};
}
model::Change put(const model::Pool& pool) {
  return model::PutPool{pool};
}
model::Change put(const model::Quarantine& rest) {
  return model::DeleteEip{rest.address, rest.until_ms};
}
model::Change put(const model::Eip& eip) {
  return model::PutEip{eip};
}
model::Change put(const model::TenantQuota& quota) {
  return model::PutTenantQuota{quota};
}

size_t weight_of(const model::Change& change) {
  const auto* eip = std::get_if<model::PutEip>(&change);
  return 1 + (eip == nullptr ? 0 : eip->eip.permit.size());
}

// Whether a change makes anything out of nothing.
bool makes_something(const model::Change& change) {
  if (const auto* rest = std::get_if<model::DeleteEip>(&change)) return rest->quarantine_until_ms != 0;
  return !std::holds_alternative<model::DeleteVm>(change) &&
         !std::holds_alternative<model::DeletePool>(change) &&
         !std::holds_alternative<model::DeleteTenantQuota>(change);
}

}  // namespace

void Snapshot::preserve(const std::vector<model::Change>& before) {
  if (phase_ >= Phase::preserved) return;  // everything else has been read
  for (const model::Change& change : before) before_.emplace(model::key_of(change), change);
}

model::ChangeSet Snapshot::next(const model::State& state, size_t most) {
  model::ChangeSet part{generation_, {}};
  weight_ = 0;
  while (phase_ != Phase::done && weight_ < most) {
    switch (phase_) {
      case Phase::vms:
        walk(state.vms, vm_, most, part);
        break;
      case Phase::pools:
        walk(state.pools, pool_, most, part);
        break;
      case Phase::quarantine:
        walk(state.quarantine, quarantine_, most, part);
        break;
      case Phase::eips:
        walk(state.eips, eip_, most, part);
        break;
      case Phase::quotas:
        walk(state.quotas, quota_, most, part);
        break;
      case Phase::preserved:
        give_preserved(most, part);
        break;
      case Phase::done:
        break;
    }
    if (weight_ < most) phase_ = static_cast<Phase>(static_cast<uint8_t>(phase_) + 1);
  }
  return part;
}

template <typename Objects, typename Key>
void Snapshot::walk(const Objects& objects, std::optional<Key>& last, size_t most, model::ChangeSet& part) {
  for (auto object = last ? objects.upper_bound(*last) : objects.begin();
       object != objects.end() && weight_ < most; ++object) {
    last = object->first;
    if (before_.contains(object->first)) continue;
    part.changes.push_back(put(object->second));
    weight_ += weight_of(part.changes.back());
  }
}

void Snapshot::give_preserved(size_t most, model::ChangeSet& part) {
  while (!before_.empty() && weight_ < most) {
    model::Change change = std::move(before_.extract(before_.begin()).mapped());
    if (!makes_something(change)) continue;
    weight_ += weight_of(change);
    part.changes.push_back(std::move(change));
  }
}

}  // namespace portcullis::store
