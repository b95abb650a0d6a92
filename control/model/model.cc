#include "control/model/model.h"

#include <cassert>
#include <functional>
#include <future>
#include <optional>
#include <utility>

#include "control/model/names.h"

namespace portcullis::model {

Model::Model(Limits limits, EndpointPorts ports, std::set<IpAddr> reserved, std::set<IpAddr> own)
    : limits_(limits),
      ports_(std::move(ports)),
      reserved_(std::move(reserved)),
      own_(std::move(own)),
      usage_(reserved_) {}

void Model::apply(const ChangeSet& changes) {
  if (changes.changes.empty()) return;
  assert(changes.generation == state_.generation + 1);
  for (const Change& change : changes.changes) usage_.apply(state_, change);
  state_.generation = changes.generation;
}

Expected<void> Model::check_restored_eip(const Eip& eip) const {
  const IpFamily family = eip.address.family();
  const auto vm = find_vm({eip.tenant, eip.vm});
  if (!vm) return Unexpected(vm.error());
  if (auto asked = family_of_request(**vm, family); !asked) return Unexpected(std::move(asked.error()));
  if (const Eip* other = eip_of_vm({eip.tenant, eip.vm}, family)) {
    return fail(ErrorCode::failed_precondition,
                vm_name({eip.tenant, eip.vm}) + " has another EIP, " + other->address.to_string());
  }
  const std::string* pool = usage_.pool_of(eip.address);
  const PoolUsage* usage = pool == nullptr ? nullptr : usage_.pool(*pool);
  if (usage == nullptr || !usage->may_hand_out(eip.address)) {
    return fail(ErrorCode::failed_precondition, "no local pool hands this address out");
  }
  if (usage_.is_reserved(eip.address)) {
    return fail(ErrorCode::failed_precondition,
                "the configuration takes this address for the gateway itself or for a next hop");
  }
  if (auto room = check_room_for_eip(eip.tenant, family); !room) return room;
  if (auto room = check_permit_room(family, eip.permit, {}); !room) return room;
  return check_tags(eip.tags, false);
}

namespace {

// What is wrong with a list whatever else there is, and whose it is.
struct BadList {
  const Eip* eip;
  Error error;
};
std::optional<BadList> first_bad_list(const State& state) {
  for (const auto& [address, eip] : state.eips)
    if (auto check = check_rules(eip.permit, address.family()); !check)
      return BadList{&eip, std::move(check.error())};
  return std::nullopt;
}

}  // namespace

// Each object meets the checks that a call would meet which made it after those before it, so that what is
// restored could have been made. Another thread looks at what lists are in themselves meanwhile.
Expected<void> Model::restore(State state, const std::function<void(const State&)>& meanwhile) {
  // What a former release took, and this one would not: a tunnel to the gateway itself. (`own_` comes at
  // last.)
  Model fresh(limits_, ports_, reserved_);
  const auto misfit = [](const std::string& object, const Error& error) {
    return fail(ErrorCode::failed_precondition,
                "the stored " + object + " does not fit this configuration: " + error.message, error.field,
                object);
  };
  fresh.state_ = std::move(state);
  std::future<void> looked;
  if (meanwhile) looked = std::async(std::launch::async, meanwhile, std::cref(fresh.state_));
  auto lists = std::async(std::launch::async, first_bad_list, std::cref(fresh.state_));
  fresh.usage_.expect(fresh.state_);
  for (const auto& [key, vm] : fresh.state_.vms) {
    if (auto check = fresh.check_new_vm(vm); !check) return misfit(vm_name(key), check.error());
    fresh.usage_.count(vm);
  }
  for (const auto& [id, pool] : fresh.state_.pools) {
    if (auto check = fresh.check_new_pool(pool); !check) return misfit(pool_name(id), check.error());
    fresh.usage_.count(fresh.state_, pool);
  }
  const auto bad_list = lists.get();
  for (const auto& [address, eip] : fresh.state_.eips) {
    if (bad_list && bad_list->eip == &eip) return misfit(eip_name(eip.tenant, address), bad_list->error);
    if (auto check = fresh.check_restored_eip(eip); !check) {
      return misfit(eip_name(eip.tenant, address), check.error());
    }
    fresh.usage_.count(eip);
  }
  if (looked.valid()) looked.get();
  fresh.own_ = std::move(own_);
  *this = std::move(fresh);
  return {};
}

}  // namespace portcullis::model
