// admit: default-off. Each side that exists is asked, the source first; a side permits a packet in one of
// three ways, tried in this order (semantics: "Default-off, exactly", 2):
//   1  stateless reply (leaving): the reversed packet matches an inbound rule that is not `tracked`; no entry
//   2  a rule of the packet's direction; an outbound or tracked one stages an entry
//   3  a live entry of that side
// ICMP errors are judged by what they quote (admit_errors.h).
// Lists that lie in their records are asked in a first loop over the burst, longer ones, asked for meanwhile,
// in a second one. Nothing is changed here: what a verdict would do to an entry is staged as SideVerdicts for
// commit.
//
// Reads BindingRecord (128 bytes), permit chunks, tag sets, flow entries; writes Burst::leaving, ::entering,
// ::flow_version.
// Drops: source_not_permitted, destination_not_permitted.
#pragma once

#include <string_view>
#include <type_traits>

#include "dataplane/stages/admit_entries.h"
#include "dataplane/stages/admit_errors.h"
#include "dataplane/stages/permit_match.h"
#include "dataplane/worker_state.h"

namespace portcullis::stages {

struct Admit {
  static constexpr std::string_view name = "admit";

  template <typename Group>
  static void run(Burst& burst, const Tables& tables, WorkerState& worker) noexcept {
    burst.leaving.entry = burst.leaving.opens = burst.leaving.stands = 0;
    burst.entering.entry = burst.entering.opens = burst.entering.stands = 0;
    for_each_family<Group, Admit>(burst, tables, worker);
  }

  template <typename Group, typename Family>
  static void of_family(Burst& burst, const Tables& tables, WorkerState& worker) {
    const auto& flows = Family::flows(worker);
    Family::flow_version(burst) = flows.version();
    if ((live_of<Family>(burst) & burst.errors) != 0) [[unlikely]]
      Group::template call<AdmitErrors<Family>>(burst, tables, worker);
    // Sides that no rule has let pass: a live entry may.
    const uint64_t source_needs_entry = ask_lists<Group, Family, Direction::outbound>(burst, tables, worker);
    const uint64_t destination_needs_entry =
        ask_lists<Group, Family, Direction::inbound>(burst, tables, worker);
    const uint64_t family = Family::packets(burst);
    AdmitEntries::find<Group, Family>(burst.leaving, family, burst.source, burst.destination, burst.now_ms,
                                      tables.tenants, flows);
    AdmitEntries::find<Group, Family>(burst.entering, family, burst.destination, burst.source, burst.now_ms,
                                      tables.tenants, flows);
    drop_without_entry<Group, Family, Direction::outbound>(burst, source_needs_entry, tables, worker);
    drop_without_entry<Group, Family, Direction::inbound>(burst, destination_needs_entry & burst.live, tables,
                                                          worker);
  }

 private:
  template <typename Group, typename Family, Direction direction>
  static void drop_without_entry(Burst& burst, uint64_t packets, const Tables& tables, WorkerState& worker) {
    uint64_t refused = 0;
    for_each_packet(packets, [&](uint32_t i) {
      refused |= uint64_t{!AdmitEntries::permit<Group, Family, direction>(burst, i, tables, worker)} << i;
    });
    drop_all(burst, worker, refused,
             direction == Direction::outbound ? Drop::source_not_permitted : Drop::destination_not_permitted);
  }

  // Every packet that has a side of this direction. Returns those that none of its rules lets pass.
  template <typename Group, typename Family, Direction direction>
  static uint64_t ask_lists(Burst& burst, const Tables& tables, const WorkerState& worker) {
    constexpr bool leaves = direction == Direction::outbound;
    const auto* const sides = leaves ? burst.source : burst.destination;
    uint64_t refused = 0;
    uint64_t longer = 0;
    const uint64_t has_side = leaves ? burst.has_source : burst.has_destination;
    const uint64_t asked = live_of<Family>(burst) & ~burst.errors & has_side;
    if constexpr (std::is_same_v<Family, Ipv6>)
      for_each_packet(asked, [&](uint32_t i) {
        if (sides[i]->kinds.needs_rests()) prefetch_line(&tables.binding.rests(*sides[i]));
      });
    for_each_packet(asked, [&](uint32_t i) {
      const BindingRecord& side = *sides[i];
      if (side.has_long_list()) [[unlikely]] {
        longer |= uint64_t{1} << i;
        tables.permit.prefetch(side.chunk);
        return;
      }
      const auto find = [&](const auto& query) { return find_inline_rule<Group>(side, query, tables); };
      refused |= uint64_t{!rules_permit<Family, direction>(burst, worker, i, find)} << i;
    });
    for_each_packet(longer, [&](uint32_t i) {
      const BindingRecord& side = *sides[i];
      const auto find = [&](const auto& query) { return find_long_rule<Group>(side, query, tables); };
      refused |= uint64_t{!rules_permit<Family, direction>(burst, worker, i, find)} << i;
    });
    return refused;
  }

  template <typename Family, Direction direction, typename Find>
  static bool rules_permit(Burst& burst, const WorkerState& worker, uint32_t i, Find&& find) {
    return direction == Direction::outbound ? rules_permit_leaving<Family>(burst, worker, i, find)
                                            : rules_permit_entering<Family>(burst, worker, i, find);
  }

  // Whether a rule of the source's list lets the packet leave. Stages the entry that the packet touches.
  // `find`: the first rule of the list that matches.
  template <typename Family, typename Find>
  static bool rules_permit_leaving(Burst& burst, const WorkerState& worker, uint32_t i, Find&& find) {
    const BindingRecord& side = *burst.source[i];
    const TagSetId remote_tags = tags_of(burst.destination[i]);
    const auto& remote = Family::destination(burst, i);
    SideVerdicts& verdicts = burst.leaving;
    if (side.kinds.has_untracked() && (burst.can_be[i] & CanBe::reply) != 0) {
      const RuleMatch rule = find(reversed_query<Family>(burst, i, remote, remote_tags));
      if (rule.is_one() && !rule.tracked) {
        verdicts.hit[i] = rule.hit;
        return true;
      }
    }
    RuleMatch rule;
    if (side.kinds.has_outbound()) rule = find(outbound_query<Family>(burst, i, remote, remote_tags));
    verdicts.hit[i] = rule.hit;
    if (!rule.is_one() && !may_have_entry<Family>(side, worker)) return false;
    const Ipv4Fields& ip = burst.ip[i];
    touch_entry<Family>(verdicts, i,
                        key_of<Family>(burst, i, side, remote, ip.source_port, ip.destination_port),
                        rule.is_one() && (burst.can_be[i] & CanBe::opener) != 0);
    return rule.is_one();
  }

  // Whether a rule of the destination's list lets the packet in. Stages the entry that the packet touches.
  template <typename Family, typename Find>
  static bool rules_permit_entering(Burst& burst, const WorkerState& worker, uint32_t i, Find&& find) {
    const BindingRecord& side = *burst.destination[i];
    const BindingRecord* source = burst.source[i];
    const typename Family::Address remote =
        source == nullptr ? Family::source(burst, i) : Family::eip(*source);
    SideVerdicts& verdicts = burst.entering;
    RuleMatch rule;
    if (side.kinds.has_inbound()) rule = find(inbound_query<Family>(burst, i, remote, tags_of(source)));
    verdicts.hit[i] = rule.hit;
    if (rule.is_one() && !rule.tracked) return true;
    if (!rule.is_one() && !may_have_entry<Family>(side, worker)) return false;
    const Ipv4Fields& ip = burst.ip[i];
    touch_entry<Family>(verdicts, i,
                        key_of<Family>(burst, i, side, remote, ip.destination_port, ip.source_port),
                        rule.is_one() && (burst.can_be[i] & CanBe::opener) != 0);
    return rule.is_one();
  }

  // A list that opens nothing has entries only from before it was so: mostly none, and the flow table need
  // not be asked.
  template <typename Family>
  static bool may_have_entry(const BindingRecord& side, const WorkerState& worker) {
    return side.kinds.opens() || worker.flow_counts->of_binding(side.id) != 0;
  }

  template <typename Family>
  static void touch_entry(SideVerdicts& verdicts, uint32_t i, const typename Family::Tuple& key, bool opens) {
    Family::keys(verdicts)[i] = key;
    verdicts.entry |= uint64_t{1} << i;
    verdicts.opens |= uint64_t{opens} << i;
  }

  template <typename Family>
  static typename Family::Tuple key_of(const Burst& burst, uint32_t i, const BindingRecord& side,
                                       const typename Family::Address& remote, Port local_port,
                                       Port remote_port) {
    const uint8_t protocol = burst.ip[i].protocol;
    const bool icmp = protocol == Family::icmp;
    return Family::key(side, remote, local_port, remote_port, protocol,
                       icmp ? Family::query_of(burst.icmp_type[i]) : uint8_t{0});
  }

  // A leaving reply as the query or opening packet that it answers.
  template <typename Family>
  static auto reversed_query(const Burst& burst, uint32_t i, const typename Family::Address& remote,
                             TagSetId remote_tags) {
    auto query = outbound_query<Family>(burst, i, remote, remote_tags);
    query.direction = Direction::inbound;
    if (query.protocol == Family::icmp) query.local_port = Family::query_of(burst.icmp_type[i]);
    return query;
  }
};

}  // namespace portcullis::stages
