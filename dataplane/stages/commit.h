// commit: the one place where a packet changes tables. Flow entries are refreshed or opened as admit staged
// it, the EIPs' counters and the rules' hits move. Packets that touch entries commit in order, so a quota or
// a full bucket is decided in order; both sides' entries are checked before either is written.
//
// Reads the "admit" fields of Burst; writes the flow table (64-byte FlowEntry), SlotCounters (64 bytes), hits
// of rules in chunks. Drops: flow_quota, flow_table_full.
#pragma once

#include <algorithm>
#include <optional>
#include <string_view>

#include "dataplane/stages/entry_judge.h"
#include "dataplane/worker_state.h"

namespace portcullis::stages {

struct Commit {
  static constexpr std::string_view name = "commit";

  template <typename Group>
  static void run(Burst& burst, const Tables& tables, WorkerState& worker) noexcept {
    for_each_packet(burst.live & (burst.source_entry | burst.destination_entry), [&](uint32_t i) {
      if (!refresh<Group>(burst, tables, worker, i)) entries<Group>(burst, tables, worker, i);
    });
    for_each_packet(burst.live, [&](uint32_t i) {
      const uint32_t bytes = burst.total_length[i];
      if (const BindingRecord* source = burst.source[i]; source != nullptr) {
        SlotCounters& slot = worker.counters.slots[source->slot];
        slot.out_packets.add(1);
        slot.out_bytes.add(bytes);
        count_hit(burst.source_intent[i].hit, slot, worker);
      }
      if (const BindingRecord* destination = burst.destination[i]; destination != nullptr) {
        SlotCounters& slot = worker.counters.slots[destination->slot];
        slot.in_packets.add(1);
        slot.in_bytes.add(bytes);
        count_hit(burst.destination_intent[i].hit, slot, worker);
      }
    });
  }

 private:
  enum class Action : uint8_t { none, refresh, open };

  // One side of the packet on its way through commit.
  struct Side {
    const BindingRecord* record;
    const BindingRecord* remote;
    const SideTuple* key = nullptr;
    uint32_t hash = 0;
    Action action = Action::none;
    uint32_t index = FlowTable::none;  // the entry of the key, if it is in the table
    Standing standing = Standing::invalid;
  };

  // Most packets: one side touches an entry, which is as admit found it and stands as it is. False, and
  // nothing is done, for all others.
  template <typename Group>
  static bool refresh(Burst& burst, const Tables& tables, WorkerState& worker, uint32_t i) {
    if (((burst.source_entry & burst.destination_entry) >> i & 1) != 0) return false;
    const bool of_source = (burst.source_entry >> i & 1) != 0;
    const uint32_t index = of_source ? burst.source_found[i] : burst.destination_found[i];
    if (index == FlowTable::none || worker.flows.version() != burst.flow_version) return false;
    const BindingRecord* const sides[] = {burst.source[i], burst.destination[i]};
    FlowEntry& entry = worker.flows.entry(index);
    if (judge_entry<Group>(entry, *sides[of_source ? 0 : 1], sides[of_source ? 1 : 0], tables) !=
        Standing::current)
      return false;
    const Direction direction = of_source ? Direction::outbound : Direction::inbound;
    worker.flows.set_expiry(index, advance(entry, entry.opened == direction, burst, worker, i), burst.now_ms);
    return true;
  }

  template <typename Group>
  static void entries(Burst& burst, const Tables& tables, WorkerState& worker, uint32_t i) {
    Side source{.record = burst.source[i], .remote = burst.destination[i]};
    Side destination{.record = burst.destination[i], .remote = burst.source[i]};
    const uint64_t bit = uint64_t{1} << i;
    if ((burst.source_entry & bit) != 0)
      plan<Group>(source, burst.source_intent[i], burst.source_key[i], burst.source_hash[i],
                  burst.source_found[i], burst, tables, worker);
    if ((burst.destination_entry & bit) != 0)
      plan<Group>(destination, burst.destination_intent[i], burst.destination_key[i],
                  burst.destination_hash[i], burst.destination_found[i], burst, tables, worker);
    // An endpoint that talks to itself between equal ports (or by ICMP) has one entry for both sides: the
    // source opens it, the destination finds it.
    const bool one_entry = source.action == Action::open && destination.action == Action::open &&
                           *source.key == *destination.key;
    if (one_entry) destination.action = Action::refresh;
    if (const auto reason = refusal<Group>(source, destination, burst, worker))
      return drop(burst, worker, i, *reason);
    write<Group>(source, burst.source_intent[i], burst, worker, i);
    if (one_entry)
      destination.index = worker.flows.find<Group>(*destination.key, destination.hash, burst.now_ms);
    write<Group>(destination, burst.destination_intent[i], burst, worker, i);
  }

  // `found` is what admit found, which holds as long as no packet of the burst has opened an entry since.
  template <typename Group>
  static void plan(Side& side, const SideIntent& intent, const SideTuple& key, uint32_t hash, uint32_t found,
                   const Burst& burst, const Tables& tables, const WorkerState& worker) {
    side.key = &key;
    side.hash = hash;
    side.index = worker.flows.version() == burst.flow_version
                     ? found
                     : worker.flows.find<Group>(key, hash, burst.now_ms);
    if (side.index != FlowTable::none)
      side.standing = judge_entry<Group>(worker.flows.entry(side.index), *side.record, side.remote, tables);
    if (side.standing != Standing::invalid)
      side.action = Action::refresh;
    else if (intent.may_open)
      side.action = Action::open;
  }

  template <typename Group>
  static std::optional<Drop> refusal(const Side& source, const Side& destination, const Burst& burst,
                                     const WorkerState& worker) {
    const auto over_quota = [&](const Side& side, uint32_t about_to_open) {
      return side.action == Action::open &&
             worker.flows.of_binding(side.record->id) + about_to_open >= side.record->flow_quota;
    };
    const bool own_source_opens = source.action == Action::open && source.record == destination.record;
    if (over_quota(source, 0) || over_quota(destination, own_source_opens ? 1 : 0)) return Drop::flow_quota;
    // An entry that is there, though it counts no more, gives its place to the one that replaces it.
    const bool source_needs_way = source.action == Action::open && source.index == FlowTable::none;
    const bool destination_needs_way =
        destination.action == Action::open && destination.index == FlowTable::none;
    const bool same_bucket = source_needs_way && destination_needs_way &&
                             worker.flows.bucket_of(source.hash) == worker.flows.bucket_of(destination.hash);
    if (source_needs_way && !worker.flows.has_room<Group>(source.hash, same_bucket ? 2 : 1, burst.now_ms))
      return Drop::flow_table_full;
    if (destination_needs_way && !worker.flows.has_room<Group>(destination.hash, 1, burst.now_ms))
      return Drop::flow_table_full;
    return std::nullopt;
  }

  template <typename Group>
  static void write(const Side& side, const SideIntent& intent, const Burst& burst, WorkerState& worker,
                    uint32_t i) {
    if (side.action == Action::none) return;
    if (side.action == Action::refresh) {
      FlowEntry& entry = worker.flows.entry(side.index);
      const uint64_t expires = advance(entry, entry.opened == intent.direction, burst, worker, i);
      worker.flows.set_expiry(side.index, expires, burst.now_ms);
      // What is kept stays under the generation that let it in.
      if (side.standing == Standing::rejudged) record_generations(entry, side);
      return;
    }
    // It takes the way of an entry of the same key that counts no more.
    FlowEntry entry{.key = *side.key,
                    .owner = side.record->id,
                    .owner_incarnation = side.record->incarnation,
                    .remote_incarnation = incarnation_of(side.remote),
                    .opened = intent.direction,
                    .icmp_code = burst.protocol[i] == ip_protocol::icmp ? burst.icmp_code[i] : uint8_t{0}};
    record_generations(entry, side);
    entry.expires_ms = advance(entry, true, burst, worker, i);
    worker.flows.insert<Group>(entry, side.hash, burst.now_ms);
  }

  static void record_generations(FlowEntry& entry, const Side& side) {
    entry.list_generation = side.record->list_generation;
    entry.remote_generation = generation_of(side.remote);
  }

  // Moves the state on and says when the entry expires now.
  static uint64_t advance(FlowEntry& entry, bool from_opener, const Burst& burst, const WorkerState& worker,
                          uint32_t i) {
    entry.state = burst.protocol[i] == ip_protocol::tcp
                      ? next_state(entry.state, classify_tcp(burst.tcp_flags[i], from_opener))
                      : FlowState::opening;
    const uint64_t expires = burst.now_ms + idle_ms(worker.tables.timeouts, burst.protocol[i], entry.state);
    // RFC 5961: a reset may be forged, so it may shorten an entry's life and not prolong it.
    const bool reset = burst.protocol[i] == ip_protocol::tcp && (burst.tcp_flags[i] & tcp_flag::rst) != 0;
    return reset ? std::min(entry.expires_ms, expires) : expires;
  }

  static void count_hit(RuleHit hit, SlotCounters& slot, WorkerState& worker) {
    if ((hit.index & RuleHit::in_chunk) == 0)
      slot.rule_hits[hit.index % inline_permit_rules].add(1);
    else if (hit.index != RuleHit::none)
      worker.counters.chunk_hits[hit.index & ~RuleHit::in_chunk].add(1);
  }
};

}  // namespace portcullis::stages
