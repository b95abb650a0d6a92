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
  current,   // judged under the list as it is now, and the remote's tags and place
  kept,      // the list moved on, and keep_established asked that its entries live
  rejudged,  // something moved, and the list as it is now permits the flow in the direction that opened it
};

inline uint32_t stamp_of(const BindingRecord* record) {
  return record == nullptr ? 0 : record->stamp;
}
inline TagSetId tags_of(const BindingRecord* record) {
  return record == nullptr ? empty_tag_set : record->tags;
}

// Nothing at all has changed since, as for most entries: Standing::current.
template <typename Entry>
inline bool is_unchanged(const Entry& entry, const BindingRecord& side, const BindingRecord* remote) {
  return ((entry.owner_stamp ^ side.stamp) | (entry.remote_stamp ^ stamp_of(remote)) |
          uint32_t{entry.remote_is_endpoint != (remote != nullptr)}) == 0;
}

// A function of its own, for all entries of which that does not hold.
template <typename Family>
struct JudgeEntry {
  template <typename Group>
  static void run(const BasicFlowEntry<typename Family::Tuple>& entry, const BindingRecord& side,
                  const BindingRecord* const remote, const Tables& tables, Standing& standing) noexcept {
    standing = Standing::invalid;
    const FlowTerms& own = Family::terms(side, tables);
    if (!FlowTerms::is_since(entry.owner_stamp, own.incarnation)) return;
    if (entry.remote_is_endpoint != (remote != nullptr)) return;
    bool same_remote = true;
    if (remote != nullptr) {
      const FlowTerms& others = Family::terms(*remote, tables);
      if (!FlowTerms::is_since(entry.remote_stamp, others.incarnation)) return;
      same_remote = FlowTerms::is_since(entry.remote_stamp, others.binding_generation);
    }
    if (same_remote && FlowTerms::is_since(entry.owner_stamp, own.kept_from)) {
      const bool same_list = FlowTerms::is_since(entry.owner_stamp, own.list_generation);
      standing = same_list ? Standing::current : Standing::kept;
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
  if (is_unchanged(entry, side, remote)) return Standing::current;
  Standing standing;
  Group::template call<JudgeEntry<Family>>(entry, side, remote, tables, standing);
  return standing;
}

}  // namespace portcullis::stages
