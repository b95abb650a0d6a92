// The part of admit for flow entries: which of them the packets' sides have, and whether one lets a packet
// pass that no rule does.
//
// Reads flow entries (FlowEntry, FlowEntry6: 64 bytes), BindingRecord; writes SideVerdicts::hash, ::found,
// ::stands.
#pragma once

#include <utility>

#include "dataplane/stages/entry_judge.h"
#include "dataplane/worker_state.h"

namespace portcullis::stages {

struct AdmitEntries {
  // The entries of all keys: heads of buckets, then entries, each in a short loop of its own. A CPU asks for
  // a line only when its page is found, and looks no further ahead than a few hundred instructions: between
  // the rules of two packets such requests came one by one.
  template <typename Group, typename Family>
  static void find(SideVerdicts& verdicts, uint64_t family, const BindingRecord* const* sides,
                   const BindingRecord* const* remotes, uint64_t now_ms, const TenantTable& tenants,
                   const BasicFlowTable<typename Family::Tuple>& flows) {
    const auto* const keys = Family::keys(std::as_const(verdicts));
    for_each_packet(verdicts.entry & family, [&](uint32_t i) {
      verdicts.hash[i] = flows.hash(keys[i]);
      flows.prefetch(verdicts.hash[i]);
    });
    for_each_packet(verdicts.entry & family, [&](uint32_t i) {
      verdicts.found[i] =
          flows.template prefetch_entry<Group>(verdicts.hash[i], (verdicts.opens >> i & 1) != 0, now_ms);
    });
    for_each_packet(verdicts.entry & family, [&](uint32_t i) {
      const uint32_t index =
          flows.template find_at<Group>(verdicts.found[i], keys[i], verdicts.hash[i], now_ms);
      verdicts.found[i] = index;
      const bool stands = index != FlowTable::none && is_unchanged(flows.entry(index), *sides[i], remotes[i]);
      verdicts.stands |= uint64_t{stands} << i;
    });
    for_each_packet(verdicts.opens & ~verdicts.stands & family, [&](uint32_t i) {
      tenants.prefetch(sides[i]->id);
      flows.template prefetch_owners<Group>(sides[i]->id, verdicts.hash[i], now_ms);
    });
  }

  // Way 3: an exact reply to a live entry; for one that is kept, its opener's packets too.
  template <typename Group, typename Family, Direction direction>
  static bool permit(const Burst& burst, uint32_t i, const Tables& tables, const WorkerState& worker) {
    constexpr bool leaves = direction == Direction::outbound;
    const SideVerdicts& verdicts = leaves ? burst.leaving : burst.entering;
    if ((burst.can_be[i] & CanBe::beginning) != 0) return false;
    if ((verdicts.entry >> i & 1) == 0 || verdicts.found[i] == FlowTable::none) return false;
    const auto& entry = Family::flows(worker).entry(verdicts.found[i]);
    const bool from_opener = entry.opened == direction;
    if (burst.ip[i].protocol == Family::icmp && Family::is_query(burst.icmp_type[i]) != from_opener)
      return false;
    if (!from_opener && (verdicts.stands >> i & 1) != 0) return true;
    const BindingRecord* const side = leaves ? burst.source[i] : burst.destination[i];
    const BindingRecord* const remote = leaves ? burst.destination[i] : burst.source[i];
    const Standing standing = judge_entry<Group, Family>(entry, *side, remote, tables);
    return from_opener ? standing == Standing::kept : standing != Standing::invalid;
  }
};

}  // namespace portcullis::stages
