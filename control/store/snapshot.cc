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

void Snapshot::preserve(std::span<const model::Change> before) {
  if (phase_ >= Phase::preserved) return;  // everything else has been read
  for (const model::Change& change : before)
    if (model::ChangeKey key = model::key_of(change); !is_read(key))
      before_.try_emplace(std::move(key), change);
}

bool Snapshot::is_read(const model::ChangeKey& key) const {
  const auto is_within = [this](Phase phase, const auto& last, const auto& wanted) {
    return phase_ > phase || (phase_ == phase && last && wanted <= *last);
  };
  struct IsRead {
    const Snapshot& snapshot;
    const decltype(is_within)& within;
    bool operator()(const model::VmKey& vm) const { return within(Phase::vms, snapshot.vm_, vm); }
    bool operator()(const std::string& pool) const { return within(Phase::pools, snapshot.pool_, pool); }
    // One that rests may become an EIP, and is then met again.
    bool operator()(const IpAddr& address) const { return within(Phase::eips, snapshot.eip_, address); }
    bool operator()(const model::QuotaKey& quota) const {
      return within(Phase::quotas, snapshot.quota_, quota);
    }
  };
  return std::visit(IsRead{*this, is_within}, key);
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
