// vms: where an endpoint lives. Registered by the provider.
#include "control/model/martian.h"
#include "control/model/model.h"
#include "control/model/names.h"

namespace portcullis::model {

namespace {

std::string_view dip_field(IpFamily family) {
  return family == IpFamily::ipv4 ? "dip" : "dip6";
}

// What is wrong with a vm whatever else there is, but for its location.
Expected<void> check_shape(const Vm& vm) {
  const std::string name = vm_name({vm.tenant, vm.id});
  if (!is_valid_id(vm.tenant)) {
    return fail(ErrorCode::invalid_argument, describe_invalid_id("tenant", vm.tenant), "vm.name", name);
  }
  if (!is_valid_id(vm.id)) {
    return fail(ErrorCode::invalid_argument, describe_invalid_id("vm id", vm.id), "vm.name", name);
  }
  if (!vm.dip && !vm.dip6) {
    return fail(ErrorCode::invalid_argument,
                "the vm has no private address; give an IPv4 one, an IPv6 one, or both", "vm.dip", name);
  }
  for (const IpFamily family : {IpFamily::ipv4, IpFamily::ipv6}) {
    const auto dip = vm.dip_of(family);
    if (!dip) continue;
    if (const auto martian = martian_in(IpPrefix::of_host(*dip))) {
      return fail(ErrorCode::invalid_argument,
                  "private address " + dip->to_string() + " lies in " + martian->to_string() +
                      ", whose packets are never forwarded; give a unicast address",
                  "vm." + std::string(dip_field(family)), name);
    }
  }
  return {};
}

}  // namespace

Expected<void> Model::check_place(const Vm& vm, const Location* left, const std::string& location_field,
                                  const std::string& taken_field) const {
  const VmKey key{vm.tenant, vm.id};
  const std::string name = vm_name(key);
  if (auto check = check_location(vm.location, left, location_field, name); !check) return check;
  const Encapsulation& encapsulation = vm.location.encapsulation;
  const std::string link =
      std::holds_alternative<std::monostate>(encapsulation) ? "" : " behind " + to_string(encapsulation);
  for (const IpFamily family : {IpFamily::ipv4, IpFamily::ipv6}) {
    const auto dip = vm.dip_of(family);
    if (!dip) continue;
    if (const auto other = usage_.vm_at(vm.location, *dip); other && *other != key) {
      return fail(ErrorCode::already_exists,
                  "private address " + dip->to_string() + " on port " + vm.location.port + link +
                      " belongs to " + vm_name(*other) + "; choose another place, or delete that vm",
                  taken_field.empty() ? "vm." + std::string(dip_field(family)) : taken_field, name);
    }
  }
  return {};
}

Expected<void> Model::check_new_vm(const Vm& vm) const {
  if (auto shape = check_shape(vm); !shape) return shape;
  if (auto place = check_place(vm, nullptr, "vm.location", ""); !place) return place;
  const std::string name = vm_name({vm.tenant, vm.id});
  if (usage_.vms() >= limits_.vms) {
    return fail(
        ErrorCode::resource_exhausted,
        "all " + std::to_string(limits_.vms) + " vms are registered; delete one or raise capacity.vms", "vm",
        name);
  }
  return {};
}

Expected<Plan<Vm>> Model::plan_create_vm(const Vm& vm) const {
  const auto existing = state_.vms.find({vm.tenant, vm.id});
  if (existing != state_.vms.end()) {
    if (existing->second == vm) return unchanged(vm);
    const std::string name = vm_name(existing->first);
    return fail(ErrorCode::already_exists,
                name +
                    " exists with another location or private address; move it, delete it first, or choose "
                    "another id",
                "vm.name", name);
  }
  if (auto check = check_new_vm(vm); !check) return Unexpected(std::move(check.error()));
  return changed(PutVm{vm}, vm);
}

Expected<Plan<Vm>> Model::plan_move_vm(const VmKey& key, const Location& location) const {
  const auto found = find_vm(key);
  if (!found) return Unexpected(found.error());
  Vm moved = **found;
  if (moved.location == location) return unchanged(moved);
  moved.location = location;
  if (auto place = check_place(moved, &(*found)->location, "location", "location.port"); !place)
    return Unexpected(place.error());
  Plan<Vm> plan = changed(PutVm{moved}, moved);
  for (const IpFamily family : {IpFamily::ipv4, IpFamily::ipv6})
    if (const Eip* eip = eip_of_vm(key, family)) {
      Eip next = *eip;
      next.binding_generation = plan.changes.generation;
      plan.changes.changes.emplace_back(PutEip{std::move(next)});
    }
  return plan;
}

Expected<Plan<Nothing>> Model::plan_delete_vm(const VmKey& key) const {
  if (auto vm = find_vm(key); !vm) return Unexpected(std::move(vm.error()));
  for (const IpFamily family : {IpFamily::ipv4, IpFamily::ipv6})
    if (const auto eip = usage_.eip_of(key, family)) {
      return fail(ErrorCode::failed_precondition,
                  vm_name(key) + " has the EIP " + eip->to_string() + "; release it first", "name",
                  vm_name(key));
    }
  return changed(DeleteVm{key}, Nothing{});
}

Expected<const Vm*> Model::find_vm(const VmKey& key) const {
  const auto found = state_.vms.find(key);
  if (found == state_.vms.end()) {
    return fail(ErrorCode::not_found, vm_name(key) + " does not exist; register the vm first", "name",
                vm_name(key));
  }
  return &found->second;
}

const Eip* Model::eip_of_vm(const VmKey& key, IpFamily family) const {
  const auto address = usage_.eip_of(key, family);
  return address ? &state_.eips.at(*address) : nullptr;
}

}  // namespace portcullis::model
