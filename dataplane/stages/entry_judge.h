// Whether a flow entry still counts for a side, by its record and its remote's as they are now (semantics:
// "Default-off, exactly", 3). Used when a packet needs the entry, when it is committed, and by ageing.
#pragma once

#include "dataplane/stages/family.h"
#include "dataplane/stages/permit_match.h"
#include "dataplane/tables/flow.h"
#include "dataplane/tables/tables.h"

namespace portcullis::stages {

enum class Standing : uint8_t {
  invalid,
  current,   // judged under the list and the remote as they are now
  kept,      // the list moved on, and keep_established asked that its entries live
  rejudged,  // something moved, and the list as it is now permits the flow in the direction that opened it
};

inline uint32_t incarnation_of(const BindingRecord* record) {
  return record == nullptr ? 0 : record->incarnation;
}
inline uint32_t generation_of(const BindingRecord* record) {
  return record == nullptr ? 0 : record->binding_generation;
}
inline TagSetId tags_of(const BindingRecord* record) {
  return record == nullptr ? empty_tag_set : record->tags;
}

// Standing::current, which most entries are: it needs no list.
template <typename Entry>
inline bool is_current(const Entry& entry, const BindingRecord& side, const BindingRecord* remote) {
  return ((entry.owner_incarnation ^ side.incarnation) | (entry.remote_incarnation ^ incarnation_of(remote)) |
          (entry.list_generation ^ side.list_generation) |
          (entry.remote_generation ^ generation_of(remote))) == 0;
}

// A function of its own, for all entries that are not current.
template <typename Family>
struct JudgeEntry {
  template <typename Group>
  static void run(const BasicFlowEntry<typename Family::Tuple>& entry, const BindingRecord& side,
                  const BindingRecord* const remote, const Tables& tables, Standing& standing) noexcept {
    standing = Standing::invalid;
    if (entry.owner_incarnation != side.incarnation || entry.remote_incarnation != incarnation_of(remote))
      return;
    const bool same_remote = entry.remote_generation == generation_of(remote);
    // Generations wrap: a difference says which is newer.
    if (same_remote && static_cast<int32_t>(entry.list_generation - side.kept_from) >= 0) {
      standing = Standing::kept;
      return;
    }
    const bool icmp = entry.key.protocol == Family::icmp;
    const auto query = Family::query(
        entry.opened, entry.key.protocol, icmp ? uint16_t{entry.key.icmp_query} : entry.key.local_port.host(),
        icmp ? uint16_t{entry.icmp_code} : entry.key.remote_port.host(), entry.key.remote, tags_of(remote));
    if (find_rule<Group>(side, query, tables).is_one()) standing = Standing::rejudged;
  }
};

template <typename Group, typename Family>
inline Standing judge_entry(const BasicFlowEntry<typename Family::Tuple>& entry, const BindingRecord& side,
                            const BindingRecord* remote, const Tables& tables) {
  if (is_current(entry, side, remote)) return Standing::current;
  Standing standing;
  Group::template call<JudgeEntry<Family>>(entry, side, remote, tables, standing);
  return standing;
}

}  // namespace portcullis::stages
