// EIPs: a public address for a vm, off by default.
#include "control/model/model.h"
#include "control/model/names.h"

namespace portcullis::model {

Expected<void> Model::check_room_for_eip(const TenantId& tenant) const {
  if (state_.eips.size() >= limits_.eips) {
    return fail(ErrorCode::resource_exhausted, "all " + std::to_string(limits_.eips) +
                                                   " EIPs are in use; release one or raise capacity.eips");
  }
  if (usage_.eips_of(tenant) >= limits_.eips_per_tenant) {
    return fail(ErrorCode::resource_exhausted, "tenant " + tenant + " has all of its " +
                                                   std::to_string(limits_.eips_per_tenant) +
                                                   " EIPs; release one or raise capacity.eips_per_tenant");
  }
  return {};
}

Expected<Plan<Eip>> Model::plan_request_eip(const VmKey& vm, const std::string& pool, int64_t now_ms) const {
  if (auto found = find_vm(vm); !found) {
    found.error().field = "vm";
    return Unexpected(std::move(found.error()));
  }
  if (const Eip* eip = eip_of_vm(vm)) {
    const std::string* current = usage_.pool_of(eip->address);
    if (pool.empty() || (current != nullptr && *current == pool)) return unchanged(*eip);
    return fail(ErrorCode::already_exists,
                vm_name(vm) + " has the EIP " + eip->address.to_string() +
                    (current != nullptr ? " of " + pool_name(*current) : std::string()) +
                    "; release it first, or name no pool",
                "pool", eip_name(eip->tenant, eip->address));
  }
  if (auto room = check_room_for_eip(vm.first); !room) {
    room.error().field = "vm";
    room.error().object = vm_name(vm);
    return Unexpected(std::move(room.error()));
  }
  const auto address = free_address(pool, now_ms);
  if (!address) return Unexpected(address.error());

  const Generation generation = state_.generation + 1;
  Eip eip;
  eip.address = *address;
  eip.tenant = vm.first;
  eip.vm = vm.second;
  eip.created = eip.binding_generation = eip.list_generation = eip.kept_from = generation;
  return changed(PutEip{eip}, eip);
}

Expected<Plan<Nothing>> Model::plan_release_eip(const TenantId& tenant, Ipv4Addr eip, int64_t now_ms) const {
  if (auto found = find_eip(tenant, eip); !found) {
    found.error().field = "name";
    return Unexpected(std::move(found.error()));
  }
  return changed(DeleteEip{eip, now_ms + limits_.quarantine_ms}, Nothing{});
}

Expected<const Eip*> Model::find_eip(const TenantId& tenant, Ipv4Addr eip) const {
  const auto found = state_.eips.find(eip);
  if (found == state_.eips.end() || found->second.tenant != tenant) {
    const std::string name = eip_name(tenant, eip);
    return fail(ErrorCode::not_found, name + " does not exist; request an EIP first", "eip", name);
  }
  return &found->second;
}

}  // namespace portcullis::model
