// admit: default-off. Each side that exists is asked, the source first; a side permits a packet in one of
// three ways, tried in this order (semantics: "Default-off, exactly", 2):
//   1  stateless reply (leaving): the reversed packet matches an inbound rule that is not `tracked`; no entry
//   2  a rule of the packet's direction; an outbound or tracked one stages an entry
//   3  a live entry of that side
// Nothing is changed here: what a verdict would do to an entry is staged as a SideIntent for commit.
//
// Reads BindingRecord (128 bytes), permit chunks, tag sets, flow entries; writes the "admit" fields of Burst.
// Drops: source_not_permitted, destination_not_permitted.
#pragma once

#include <optional>
#include <string_view>

#include "dataplane/stages/entry_judge.h"
#include "dataplane/stages/permit_match.h"
#include "dataplane/worker_state.h"

namespace portcullis::stages {

struct Admit {
  static constexpr std::string_view name = "admit";

  template <typename Group>
  static void run(Burst& burst, const Tables& tables, WorkerState& worker) noexcept {
    // Sides that no rule has let pass: a live entry may.
    uint64_t source_needs_entry = 0;
    uint64_t destination_needs_entry = 0;
    burst.source_entry = 0;
    burst.destination_entry = 0;
    for_each_packet(burst.live, [&](uint32_t i) {
      const uint64_t bit = uint64_t{1} << i;
      if (burst.source[i] != nullptr && !rules_permit_leaving<Group>(burst, tables, worker, i))
        source_needs_entry |= bit;
      if (burst.destination[i] != nullptr && !rules_permit_entering<Group>(burst, tables, worker, i))
        destination_needs_entry |= bit;
    });
    if ((burst.source_entry | burst.destination_entry) != 0) find_entries<Group>(burst, worker.flows);
    for_each_packet(source_needs_entry | destination_needs_entry, [&](uint32_t i) {
      const uint64_t bit = uint64_t{1} << i;
      if ((source_needs_entry & bit) != 0 &&
          !entry_admits<Group>(burst, i, *burst.source[i], burst.destination[i], Direction::outbound,
                               burst.source_found[i], tables, worker))
        return drop(burst, worker, i, Drop::source_not_permitted);
      if ((destination_needs_entry & bit) != 0 &&
          !entry_admits<Group>(burst, i, *burst.destination[i], burst.source[i], Direction::inbound,
                               burst.destination_found[i], tables, worker))
        return drop(burst, worker, i, Drop::destination_not_permitted);
    });
  }

 private:
  // Whether a rule of the source's list lets the packet leave. Stages the entry that the packet touches.
  template <typename Group>
  static bool rules_permit_leaving(Burst& burst, const Tables& tables, const WorkerState& worker,
                                   uint32_t i) {
    const BindingRecord& side = *burst.source[i];
    const BindingRecord* remote = burst.destination[i];
    SideIntent& intent = burst.source_intent[i];
    intent = SideIntent{.direction = Direction::outbound};
    const Ipv4Addr remote_address = burst.destination_address[i];
    if (side.kinds.has_untracked() && may_be_stateless_reply(burst, i)) {
      const auto rule =
          find_rule<Group>(side, reversed_query(burst, i, remote_address, tags_of(remote)), tables);
      if (rule && !rule->tracked) {
        intent.hit = rule->hit;
        return true;
      }
    }
    std::optional<RuleMatch> rule;
    if (side.kinds.has_outbound())
      rule = find_rule<Group>(side, outbound_query(burst, i, remote_address, tags_of(remote)), tables);
    if (!rule && !may_have_entry(side, worker)) {
      burst.source_found[i] = FlowTable::none;
      return false;
    }
    burst.source_key[i] =
        key_of(burst, i, side.eip, remote_address, burst.source_port[i], burst.destination_port[i]);
    burst.source_entry |= uint64_t{1} << i;
    if (!rule) return false;
    intent.hit = rule->hit;
    intent.may_open = can_open(burst, i);
    return true;
  }

  // Whether a rule of the destination's list lets the packet in. Stages the entry that the packet touches.
  template <typename Group>
  static bool rules_permit_entering(Burst& burst, const Tables& tables, const WorkerState& worker,
                                    uint32_t i) {
    const BindingRecord& side = *burst.destination[i];
    const BindingRecord* remote = burst.source[i];
    SideIntent& intent = burst.destination_intent[i];
    intent = SideIntent{.direction = Direction::inbound};
    const Ipv4Addr remote_address = remote == nullptr ? burst.source_address[i] : remote->eip;
    std::optional<RuleMatch> rule;
    if (side.kinds.has_inbound())
      rule = find_rule<Group>(side, inbound_query(burst, i, remote_address, tags_of(remote)), tables);
    if (rule) intent.hit = rule->hit;
    if (rule && !rule->tracked) return true;
    if (!rule && !may_have_entry(side, worker)) {
      burst.destination_found[i] = FlowTable::none;
      return false;
    }
    burst.destination_key[i] =
        key_of(burst, i, side.eip, remote_address, burst.destination_port[i], burst.source_port[i]);
    burst.destination_entry |= uint64_t{1} << i;
    intent.may_open = rule && can_open(burst, i);
    return rule.has_value();
  }

  // A list that opens nothing has entries only from before it was so: mostly none, and the flow table need
  // not be asked.
  static bool may_have_entry(const BindingRecord& side, const WorkerState& worker) {
    return side.kinds.opens() || worker.flows.of_binding(side.id) != 0;
  }

  static SideTuple key_of(const Burst& burst, uint32_t i, Ipv4Addr local, Ipv4Addr remote, Port local_port,
                          Port remote_port) {
    const bool icmp = burst.protocol[i] == ip_protocol::icmp;
    return {.local = local,
            .remote = remote,
            .local_port = local_port,
            .remote_port = remote_port,
            .protocol = burst.protocol[i],
            .icmp_query = icmp ? icmp_query_of(burst.icmp_type[i]) : uint8_t{0}};
  }

  // The entries of all keys: heads of buckets, then entries, each in a short loop of its own. A CPU asks for
  // a line only when its page is found, and looks no further ahead than a few hundred instructions: between
  // the rules of two packets such requests came one by one.
  template <typename Group>
  static void find_entries(Burst& burst, const FlowTable& flows) {
    const auto ask = [&](const SideTuple& key, uint32_t& hash) {
      hash = flows.hash(key);
      flows.prefetch(hash);
    };
    for_each_packet(burst.source_entry, [&](uint32_t i) { ask(burst.source_key[i], burst.source_hash[i]); });
    for_each_packet(burst.destination_entry,
                    [&](uint32_t i) { ask(burst.destination_key[i], burst.destination_hash[i]); });
    for_each_packet(burst.source_entry, [&](uint32_t i) {
      flows.prefetch_entry<Group>(burst.source_hash[i], burst.source_intent[i].may_open, burst.now_ms);
    });
    for_each_packet(burst.destination_entry, [&](uint32_t i) {
      flows.prefetch_entry<Group>(burst.destination_hash[i], burst.destination_intent[i].may_open,
                                  burst.now_ms);
    });
    burst.flow_version = flows.version();
    for_each_packet(burst.source_entry, [&](uint32_t i) {
      burst.source_found[i] = flows.find<Group>(burst.source_key[i], burst.source_hash[i], burst.now_ms);
    });
    for_each_packet(burst.destination_entry, [&](uint32_t i) {
      burst.destination_found[i] =
          flows.find<Group>(burst.destination_key[i], burst.destination_hash[i], burst.now_ms);
    });
  }

  // Way 3: an exact reply to a live entry; for one that is kept, its opener's packets too.
  template <typename Group>
  static bool entry_admits(const Burst& burst, uint32_t i, const BindingRecord& side,
                           const BindingRecord* remote, Direction direction, uint32_t index,
                           const Tables& tables, const WorkerState& worker) {
    if (burst.protocol[i] == ip_protocol::tcp && is_initial_syn(burst.tcp_flags[i])) return false;
    if (index == FlowTable::none) return false;
    const FlowEntry& entry = worker.flows.entry(index);
    const bool from_opener = entry.opened == direction;
    if (burst.protocol[i] == ip_protocol::icmp && is_icmp_query(burst.icmp_type[i]) != from_opener)
      return false;
    return judge_entry<Group>(entry, side, remote, tables) != Standing::invalid;
  }

  static constexpr bool is_initial_syn(uint8_t flags) {
    return (flags & (tcp_flag::syn | tcp_flag::ack)) == tcp_flag::syn;
  }

  static bool may_be_stateless_reply(const Burst& burst, uint32_t i) {
    if (burst.protocol[i] == ip_protocol::tcp) return !is_initial_syn(burst.tcp_flags[i]);
    if (burst.protocol[i] == ip_protocol::icmp) return is_icmp_reply(burst.icmp_type[i]);
    return true;
  }

  // A leaving reply as the query or opening packet that it answers.
  static PermitQuery reversed_query(const Burst& burst, uint32_t i, Ipv4Addr remote, TagSetId remote_tags) {
    PermitQuery query = outbound_query(burst, i, remote, remote_tags);
    query.direction = Direction::inbound;
    if (burst.protocol[i] == ip_protocol::icmp) query.local_port = icmp_query_of(burst.icmp_type[i]);
    return query;
  }

  // UDP always, ICMP by a query, TCP by a SYN or, to pick up after a restart, by an ACK alone.
  static bool can_open(const Burst& burst, uint32_t i) {
    if (burst.protocol[i] == ip_protocol::icmp) return is_icmp_query(burst.icmp_type[i]);
    if (burst.protocol[i] != ip_protocol::tcp) return true;
    constexpr uint8_t shape = tcp_flag::syn | tcp_flag::ack | tcp_flag::rst | tcp_flag::fin;
    const uint8_t flags = burst.tcp_flags[i] & shape;
    return is_initial_syn(burst.tcp_flags[i]) || flags == tcp_flag::ack;
  }
};

}  // namespace portcullis::stages
