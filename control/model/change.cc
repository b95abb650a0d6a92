#include "control/model/change_key.h"

#include <absl/hash/hash.h>

#include <functional>

#include "control/model/objects.h"

namespace portcullis::model {

namespace {

// Objects mostly come in the order of their keys, when they come in numbers.
struct Applier {
  State& state;

  void operator()(PutVm& change) const {
    VmKey key{change.vm.tenant, change.vm.id};
    state.vms.insert_or_assign(state.vms.end(), std::move(key), std::move(change.vm));
  }
  void operator()(const DeleteVm& change) const { state.vms.erase(change.key); }
  void operator()(const PutPool& change) const { state.pools.insert_or_assign(change.pool.id, change.pool); }
  void operator()(const DeletePool& change) const { state.pools.erase(change.id); }
  void operator()(PutEip& change) const {
    const IpAddr address = change.eip.address;
    state.quarantine.erase(address);
    state.eips.insert_or_assign(state.eips.end(), address, std::move(change.eip));
  }
  void operator()(const DeleteEip& change) const {
    state.eips.erase(change.address);
    if (change.quarantine_until_ms == 0)
      state.quarantine.erase(change.address);
    else
      state.quarantine.insert_or_assign(change.address,
                                        Quarantine{change.address, change.quarantine_until_ms});
  }
  void operator()(const PutTenantQuota& change) const {
    state.quotas.insert_or_assign(QuotaKey{change.quota.tenant}, change.quota);
  }
  void operator()(const DeleteTenantQuota& change) const { state.quotas.erase(QuotaKey{change.tenant}); }
};

struct Inverter {
  const State& state;

  [[nodiscard]] Change of_vm(const VmKey& key) const {
    const auto vm = state.vms.find(key);
    return vm == state.vms.end() ? Change(DeleteVm{key}) : PutVm{vm->second};
  }
  [[nodiscard]] Change of_pool(const std::string& id) const {
    const auto pool = state.pools.find(id);
    return pool == state.pools.end() ? Change(DeletePool{id}) : PutPool{pool->second};
  }
  [[nodiscard]] Change of_address(const IpAddr& address) const {
    if (const auto eip = state.eips.find(address); eip != state.eips.end()) return PutEip{eip->second};
    const auto rest = state.quarantine.find(address);
    return DeleteEip{address, rest == state.quarantine.end() ? 0 : rest->second.until_ms};
  }
  [[nodiscard]] Change of_quota(const TenantId& tenant) const {
    const auto quota = state.quotas.find(QuotaKey{tenant});
    return quota == state.quotas.end() ? Change(DeleteTenantQuota{tenant}) : PutTenantQuota{quota->second};
  }

  Change operator()(const PutVm& change) const { return of_vm({change.vm.tenant, change.vm.id}); }
  Change operator()(const DeleteVm& change) const { return of_vm(change.key); }
  Change operator()(const PutPool& change) const { return of_pool(change.pool.id); }
  Change operator()(const DeletePool& change) const { return of_pool(change.id); }
  Change operator()(const PutEip& change) const { return of_address(change.eip.address); }
  Change operator()(const DeleteEip& change) const { return of_address(change.address); }
  Change operator()(const PutTenantQuota& change) const { return of_quota(change.quota.tenant); }
  Change operator()(const DeleteTenantQuota& change) const { return of_quota(change.tenant); }
};

}  // namespace

void apply(State& state, Change change) {
  std::visit(Applier{state}, change);
}

Change inverse(const State& state, const Change& change) {
  return std::visit(Inverter{state}, change);
}

void apply(State& state, ChangeSet changes) {
  if (changes.changes.empty()) return;
  for (Change& change : changes.changes) apply(state, std::move(change));
  state.generation = changes.generation;
}

size_t ChangeKeyHash::operator()(const ChangeKey& key) const {
  struct Of {
    size_t operator()(const VmKey& vm) const { return VmKeyHash()(vm); }
    size_t operator()(const std::string& pool) const { return std::hash<std::string>()(pool); }
    size_t operator()(const IpAddr& eip) const { return std::hash<IpAddr>()(eip); }
    size_t operator()(const QuotaKey& quota) const { return std::hash<std::string>()(quota.tenant); }
  };
  return absl::HashOf(key.index(), std::visit(Of(), key));
}

ChangeKey key_of(const Change& change) {
  if (const auto* vm = std::get_if<PutVm>(&change)) return VmKey{vm->vm.tenant, vm->vm.id};
  if (const auto* vm = std::get_if<DeleteVm>(&change)) return vm->key;
  if (const auto* pool = std::get_if<PutPool>(&change)) return pool->pool.id;
  if (const auto* pool = std::get_if<DeletePool>(&change)) return pool->id;
  if (const auto* eip = std::get_if<PutEip>(&change)) return eip->eip.address;
  if (const auto* quota = std::get_if<PutTenantQuota>(&change)) return QuotaKey{quota->quota.tenant};
  if (const auto* quota = std::get_if<DeleteTenantQuota>(&change)) return QuotaKey{quota->tenant};
  return std::get<DeleteEip>(change).address;
}

}  // namespace portcullis::model
