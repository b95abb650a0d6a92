// EIPs: a public address for a vm, off by default.
#include "control/model/model.h"
#include "control/model/names.h"

namespace portcullis::model {

Expected<void> Model::check_room_for_eip(const TenantId& tenant, IpFamily family) const {
  if (family == IpFamily::ipv6 && usage_.ipv6_eips() >= limits_.ipv6_eips) {
    return fail(ErrorCode::resource_exhausted,
                "all " + std::to_string(limits_.ipv6_eips) +
                    " IPv6 EIPs are in use; release one or raise capacity.ipv6_eips");
  }
  if (usage_.eips() >= limits_.eips) {
    return fail(ErrorCode::resource_exhausted, "all " + std::to_string(limits_.eips) +
                                                   " EIPs are in use; release one or raise capacity.eips");
  }
  if (usage_.tenants() >= limits_.tenants && usage_.of(tenant).eips == 0) {
    return fail(ErrorCode::resource_exhausted,
                "all " + std::to_string(limits_.tenants) +
                    " tenants that may have EIPs have some; release another's or raise capacity.tenants");
  }
  return {};
}

Expected<IpFamily> Model::family_of_request(const Vm& vm, std::optional<IpFamily> family) {
  const IpFamily asked = family.value_or(vm.dip ? IpFamily::ipv4 : IpFamily::ipv6);
  if (vm.dip_of(asked)) return asked;
  const std::string name = vm_name({vm.tenant, vm.id});
  return fail(
      ErrorCode::failed_precondition,
      name + " has no " + std::string(family_name(asked)) +
          " private address for an EIP to stand for; ask for the other family, or register the vm with one",
      "family", name);
}

// Its own address needs no translation, so it comes before all others.
std::optional<IpAddr> Model::own_address(const IpAddr& dip, const std::string& pool, int64_t now_ms) const {
  const std::string* id = usage_.pool_of(dip);
  if (id == nullptr || (!pool.empty() && *id != pool)) return std::nullopt;
  const PoolUsage* usage = usage_.pool(*id);
  if (usage == nullptr || !usage->may_hand_out(dip) || usage_.is_reserved(dip)) return std::nullopt;
  if (state_.eips.contains(dip)) return std::nullopt;
  const auto rest = state_.quarantine.find(dip);
  if (rest != state_.quarantine.end() && rest->second.until_ms > now_ms) return std::nullopt;
  return dip;
}

Expected<Plan<Eip>> Model::plan_request_eip(const VmKey& vm, const std::string& pool, int64_t now_ms,
                                            std::optional<IpFamily> family) const {
  auto found = find_vm(vm);
  if (!found) {
    found.error().field = "vm";
    return Unexpected(std::move(found.error()));
  }
  const auto asked = family_of_request(**found, family);
  if (!asked) return Unexpected(asked.error());
  if (const Eip* eip = eip_of_vm(vm, *asked)) {
    const std::string* current = usage_.pool_of(eip->address);
    if (pool.empty() || (current != nullptr && *current == pool)) return unchanged(*eip);
    return fail(ErrorCode::already_exists,
                vm_name(vm) + " has the EIP " + eip->address.to_string() +
                    (current != nullptr ? " of " + pool_name(*current) : std::string()) +
                    "; release it first, or name no pool",
                "pool", eip_name(eip->tenant, eip->address));
  }
  for (auto& room : {check_room_for_eip(vm.first, *asked), check_eip_quota(vm.first)}) {
    if (room) continue;
    Error error = room.error();
    error.field = "vm";
    error.object = vm_name(vm);
    return Unexpected(std::move(error));
  }
  if (!pool.empty())
    if (auto fits = check_pool_for(*asked, pool); !fits) return Unexpected(std::move(fits.error()));
  const auto own = own_address(*(*found)->dip_of(*asked), pool, now_ms);
  const auto address = own ? Expected<IpAddr>(*own) : free_address(*asked, pool, now_ms);
  if (!address) return Unexpected(address.error());

  return new_eip(vm, *address);
}

Plan<Eip> Model::new_eip(const VmKey& vm, const IpAddr& address) const {
  const Generation generation = state_.generation + 1;
  Eip eip;
  eip.address = address;
  eip.tenant = vm.first;
  eip.vm = vm.second;
  eip.created = eip.binding_generation = eip.list_generation = eip.kept_from = generation;
  return changed(PutEip{eip}, eip);
}

Expected<void> Model::check_free(const IpAddr& address, int64_t now_ms) const {
  const auto refuse = [&](ErrorCode code, const std::string& why) {
    return fail(code, address.to_string() + " " + why, "name");
  };
  const std::string* pool = usage_.pool_of(address);
  const PoolUsage* usage = pool == nullptr ? nullptr : usage_.pool(*pool);
  if (usage == nullptr || !usage->may_hand_out(address))
    return refuse(ErrorCode::failed_precondition,
                  "is an address that no local pool hands out; create the pool first");
  if (usage_.is_reserved(address))
    return refuse(ErrorCode::failed_precondition,
                  "is taken by the configuration, for the gateway itself or for a next hop");
  if (const auto eip = state_.eips.find(address); eip != state_.eips.end())
    return refuse(ErrorCode::already_exists, "is " + eip_name(eip->second.tenant, address) + ", of " +
                                                 vm_name({eip->second.tenant, eip->second.vm}) +
                                                 "; release it first");
  const auto rest = state_.quarantine.find(address);
  if (rest != state_.quarantine.end() && rest->second.until_ms > now_ms)
    return refuse(ErrorCode::failed_precondition,
                  "was released and rests for another " +
                      std::to_string((rest->second.until_ms - now_ms + 999) / 1000) +
                      " s; wait, or name another address");
  return {};
}

Expected<Plan<Eip>> Model::plan_take_eip(const VmKey& vm, const IpAddr& address, int64_t now_ms) const {
  const auto refused = [&](Error error, const char* field) {
    error.field = field;
    error.object = eip_name(vm.first, address);
    return Unexpected(std::move(error));
  };
  const auto found = find_vm(vm);
  if (!found) return refused(found.error(), "vm");
  const IpFamily family = address.family();
  if (auto has_dip = family_of_request(**found, family); !has_dip)
    return refused(std::move(has_dip.error()), "vm");
  if (const Eip* other = eip_of_vm(vm, family))
    return refused(Error{ErrorCode::already_exists,
                         vm_name(vm) + " has the EIP " + other->address.to_string() + "; release it first",
                         {},
                         {}},
                   "vm");
  if (auto room = check_room_for_eip(vm.first, family); !room) return refused(std::move(room.error()), "vm");
  if (auto free = check_free(address, now_ms); !free) return refused(std::move(free.error()), "name");
  return new_eip(vm, address);
}

Expected<Plan<Nothing>> Model::plan_release_eip(const TenantId& tenant, const IpAddr& eip,
                                                int64_t now_ms) const {
  if (auto found = find_eip(tenant, eip); !found) {
    found.error().field = "name";
    return Unexpected(std::move(found.error()));
  }
  return changed(DeleteEip{eip, now_ms + limits_.quarantine_ms}, Nothing{});
}

void Model::prefetch(std::span<const IpAddr> eips) const {
  for (const IpAddr& address : eips) state_.eips.prefetch(address);
  for (const IpAddr& address : eips) state_.eips.prefetch_value(address);
  for (const IpAddr& address : eips)
    if (const auto eip = state_.eips.find(address); eip != state_.eips.end()) eip->second.permit.prefetch();
}

Expected<const Eip*> Model::find_eip(const TenantId& tenant, const IpAddr& eip) const {
  const auto found = state_.eips.find(eip);
  if (found == state_.eips.end() || found->second.tenant != tenant) {
    const std::string name = eip_name(tenant, eip);
    return fail(ErrorCode::not_found, name + " does not exist; request an EIP first", "eip", name);
  }
  return &found->second;
}

}  // namespace portcullis::model
