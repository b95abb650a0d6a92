// vms: where an endpoint lives. Registered by the provider.
#include "control/model/martian.h"
#include "control/model/model.h"
#include "control/model/names.h"

namespace portcullis::model {

namespace {

// What is wrong with a location whatever else there is. `field`: of the location in the request.
Expected<void> check_shape(const Location& location, const std::string& field, const std::string& name) {
  if (location.mac.is_zero() || location.mac.is_multicast()) {
    return fail(ErrorCode::invalid_argument,
                "MAC " + location.mac.to_string() + " is not that of one interface; give a unicast address",
                field + ".mac", name);
  }
  return {};
}

// The same of a vm.
Expected<void> check_shape(const Vm& vm) {
  const std::string name = vm_name({vm.tenant, vm.id});
  if (!is_valid_id(vm.tenant)) {
    return fail(ErrorCode::invalid_argument, describe_invalid_id("tenant", vm.tenant), "vm.name", name);
  }
  if (!is_valid_id(vm.id)) {
    return fail(ErrorCode::invalid_argument, describe_invalid_id("vm id", vm.id), "vm.name", name);
  }
  if (auto shape = check_shape(vm.location, "vm.location", name); !shape) return shape;
  if (const Ipv4Prefix* martian = martian_in(Ipv4Prefix(vm.dip, 32))) {
    return fail(ErrorCode::invalid_argument,
                "private address " + vm.dip.to_string() + " lies in " + martian->to_string() +
                    ", whose packets are never forwarded; give a unicast address",
                "vm.dip", name);
  }
  return {};
}

}  // namespace

Expected<void> Model::check_port(const Location& location, const std::string& field,
                                 const std::string& name) const {
  if (ports_.contains(location.port)) return {};
  return fail(ErrorCode::invalid_argument,
              "there is no endpoint port '" + location.port + "'; name one of the configuration",
              field + ".port", name);
}

Expected<void> Model::check_new_vm(const Vm& vm) const {
  if (auto shape = check_shape(vm); !shape) return shape;
  const std::string name = vm_name({vm.tenant, vm.id});
  if (auto port = check_port(vm.location, "vm.location", name); !port) return port;
  if (const auto other = usage_.vm_at(vm.location.port, vm.dip)) {
    return fail(ErrorCode::already_exists,
                "private address " + vm.dip.to_string() + " on port " + vm.location.port + " belongs to " +
                    vm_name(*other) + "; give another address or port, or delete that vm",
                "vm.dip", name);
  }
  if (state_.vms.size() >= limits_.vms) {
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
    return fail(
        ErrorCode::already_exists,
        name + " exists with another location or private address; delete it first, or choose another id",
        "vm.name", name);
  }
  if (auto check = check_new_vm(vm); !check) return Unexpected(std::move(check.error()));
  return changed(PutVm{vm}, vm);
}

Expected<Plan<Vm>> Model::plan_move_vm(const VmKey& key, const Location& location) const {
  const auto found = find_vm(key);
  if (!found) return Unexpected(found.error());
  const std::string name = vm_name(key);
  if (auto shape = check_shape(location, "location", name); !shape) return Unexpected(shape.error());
  if (auto port = check_port(location, "location", name); !port) return Unexpected(port.error());
  Vm moved = **found;
  if (moved.location == location) return unchanged(moved);
  if (const auto other = usage_.vm_at(location.port, moved.dip); other && *other != key) {
    return fail(ErrorCode::already_exists,
                "private address " + moved.dip.to_string() + " on port " + location.port + " belongs to " +
                    vm_name(*other) + "; give another port, or delete that vm",
                "location.port", name);
  }
  moved.location = location;
  Plan<Vm> plan = changed(PutVm{moved}, moved);
  if (const Eip* eip = eip_of_vm(key)) {
    Eip next = *eip;
    next.binding_generation = plan.changes.generation;
    plan.changes.changes.emplace_back(PutEip{std::move(next)});
  }
  return plan;
}

Expected<Plan<Nothing>> Model::plan_delete_vm(const VmKey& key) const {
  if (auto vm = find_vm(key); !vm) return Unexpected(std::move(vm.error()));
  if (const auto eip = usage_.eip_of(key)) {
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

const Eip* Model::eip_of_vm(const VmKey& key) const {
  const auto address = usage_.eip_of(key);
  return address ? &state_.eips.at(*address) : nullptr;
}

}  // namespace portcullis::model
