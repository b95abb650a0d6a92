// The part of admit for ICMP errors (semantics: "Default-off, exactly", 4): a side lets an error in or out by
// the packet that it quotes. That one must have passed the side the other way: as what an untracked inbound
// rule lets in, or as a reply to it; or as part of a flow that has a live entry. So an error about a flow
// that the endpoint opened needs the entry, and one about what anybody may send can be forged, for which the
// rate of an EIP is bounded (commit). Nothing is staged: errors create no state and prolong none.
//
// Reads Burst::quoted, BindingRecord, permit lists, flow entries; writes SideVerdicts::hit.
// Drops: source_not_permitted, destination_not_permitted.
#pragma once

#include "dataplane/stages/entry_judge.h"
#include "dataplane/stages/permit_match.h"
#include "dataplane/worker_state.h"

namespace portcullis::stages {

template <typename Family>
struct AdmitErrors {
  template <typename Group>
  static void run(Burst& burst, const Tables& tables, WorkerState& worker) noexcept {
    for_each_packet(live_of<Family>(burst) & burst.errors & burst.has_source, [&](uint32_t i) {
      const QuotedPacket& quoted = burst.quoted[i];
      const BindingRecord& side = *burst.source[i];
      // What an endpoint reports has come to its own address.
      const bool permits = Family::destination(quoted) == Family::dip(side) &&
                           permitted<Group>(burst.leaving, i,
                                            {.record = side,
                                             .remote = burst.destination[i],
                                             .remote_address = Family::source(quoted),
                                             .quoted_direction = Direction::inbound,
                                             .local_port = quoted.destination_port,
                                             .remote_port = quoted.source_port},
                                            quoted, burst.now_ms, tables, Family::flows(worker));
      if (!permits) drop(burst, worker, i, Drop::source_not_permitted);
    });
    for_each_packet(live_of<Family>(burst) & burst.errors & burst.has_destination, [&](uint32_t i) {
      const QuotedPacket& quoted = burst.quoted[i];
      const BindingRecord* const source = burst.source[i];
      // No packet to an address of a local pool is ever seen outside.
      const bool possible =
          source != nullptr || !tables.binding.find(View::edge, Family::destination(quoted)).in_local_pool();
      const bool permits =
          possible && permitted<Group>(burst.entering, i,
                                       {.record = *burst.destination[i],
                                        .remote = source,
                                        .remote_address = source == nullptr ? Family::destination(quoted)
                                                                            : Family::eip(*source),
                                        .quoted_direction = Direction::outbound,
                                        .local_port = quoted.source_port,
                                        .remote_port = quoted.destination_port},
                                       quoted, burst.now_ms, tables, Family::flows(worker));
      if (!permits) drop(burst, worker, i, Drop::destination_not_permitted);
    });
  }

 private:
  // Who judges, and the quoted packet as it sees it.
  struct Side {
    const BindingRecord& record;
    const BindingRecord* remote;
    typename Family::Address remote_address;
    Direction quoted_direction;
    Port local_port;
    Port remote_port;
  };

  template <typename Group>
  static bool permitted(SideVerdicts& verdicts, uint32_t i, const Side& side, const QuotedPacket& quoted,
                        uint64_t now_ms, const Tables& tables,
                        const BasicFlowTable<typename Family::Tuple>& flows) {
    verdicts.hit[i] = RuleHit();
    const bool icmp = quoted.protocol == Family::icmp;
    // A packet that left may have been a reply; ports alone do not tell whether TCP's was.
    const bool may_be_reply =
        icmp ? Family::is_reply(quoted.icmp_type) : ip_protocol::has_ports(quoted.protocol);
    if (side.record.kinds.has_untracked() && (side.quoted_direction == Direction::inbound || may_be_reply)) {
      const uint8_t let_in =
          side.quoted_direction == Direction::inbound ? quoted.icmp_type : Family::query_of(quoted.icmp_type);
      const RuleMatch rule = find_rule<Group>(
          side.record,
          Family::query(Direction::inbound, quoted.protocol, icmp ? uint16_t{let_in} : side.local_port.host(),
                        icmp ? uint16_t{quoted.icmp_code} : side.remote_port.host(), side.remote_address,
                        tags_of(side.remote)),
          tables);
      verdicts.hit[i] = rule.tracked ? RuleHit() : rule.hit;
      if (verdicts.hit[i].is_one()) return true;
    }
    const auto key = Family::key(side.record, side.remote_address, side.local_port, side.remote_port,
                                 quoted.protocol, icmp ? Family::query_of(quoted.icmp_type) : uint8_t{0});
    const uint32_t index = flows.template find<Group>(key, flows.hash(key), now_ms);
    if (index == FlowTable::none) return false;
    const auto& entry = flows.entry(index);
    // Of a ping only who opened it sends queries.
    if (icmp && Family::is_query(quoted.icmp_type) != (entry.opened == side.quoted_direction)) return false;
    return judge_entry<Group, Family>(entry, side.record, side.remote, tables) != Standing::invalid;
  }
};

}  // namespace portcullis::stages
