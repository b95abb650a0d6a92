// Whether a flow entry is over: expired, or counted no more by the tables as they are.
#pragma once

#include "dataplane/stages/entry_judge.h"
#include "dataplane/stages/family.h"
#include "dataplane/tables/tables.h"

namespace portcullis {

inline IndexEntry bound_at(const SideTuple& key, const Tables& tables) {
  return tables.binding.find(View::local, key.local);
}
inline IndexEntry bound_at(const SideTuple6& key, const Tables& tables) {
  return tables.binding.slot_of(key.local);
}

template <typename Family>
bool is_dead(const BasicFlowEntry<typename Family::Tuple>& entry, const Tables& tables, uint64_t now_ms) {
  if (entry.expires_ms <= now_ms) return true;
  const IndexEntry owner = bound_at(entry.key, tables);
  if (!owner.is_bound()) return true;
  const IndexEntry remote = tables.binding.find(View::local, entry.key.remote);
  const BindingRecord* remote_record = remote.is_bound() ? &tables.binding.record(remote.slot()) : nullptr;
  return stages::judge_entry<ScalarGroup, Family>(entry, tables.binding.record(owner.slot()), remote_record,
                                                  tables) == stages::Standing::invalid;
}

}  // namespace portcullis
