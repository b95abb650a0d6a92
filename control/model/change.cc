#include "control/model/objects.h"

namespace portcullis::model {

namespace {

struct Applier {
  State& state;

  void operator()(const PutVm& change) const {
    state.vms.insert_or_assign(VmKey{change.vm.tenant, change.vm.id}, change.vm);
  }
  void operator()(const DeleteVm& change) const { state.vms.erase(change.key); }
  void operator()(const PutPool& change) const { state.pools.insert_or_assign(change.pool.id, change.pool); }
  void operator()(const DeletePool& change) const { state.pools.erase(change.id); }
  void operator()(const PutEip& change) const {
    state.quarantine.erase(change.eip.address);
    state.eips.insert_or_assign(change.eip.address, change.eip);
  }
  void operator()(const DeleteEip& change) const {
    state.eips.erase(change.address);
    state.quarantine.insert_or_assign(change.address, Quarantine{change.address, change.quarantine_until_ms});
  }
};

}  // namespace

void apply(State& state, const Change& change) {
  std::visit(Applier{state}, change);
}

void apply(State& state, const ChangeSet& changes) {
  if (changes.changes.empty()) return;
  for (const Change& change : changes.changes) apply(state, change);
  state.generation = changes.generation;
}

}  // namespace portcullis::model
