// commit: the one place where a packet changes tables. Flow entries are refreshed or opened as admit staged
// it, the EIPs' counters and the rules' hits move. Packets that touch entries commit in order, so a quota or
// a full bucket is decided in order; both sides' entries are checked before either is written.
//
// Reads the "admit" fields of Burst; writes the flow table (commit_entries.h), the fragment table
// (FragmentEntry: 64 bytes, FragmentEntry6: 128), SlotCounters (64 bytes), hits of rules in chunks, rates of
// ICMP errors.
// Drops: icmp_error_rate, fragment_first_lost, fragment_overlap, and those of commit_entries.h.
#pragma once

#include <string_view>
#include <type_traits>

#include "dataplane/stages/commit_entries.h"
#include "dataplane/stages/fragments.h"
#include "dataplane/worker_state.h"

namespace portcullis::stages {

struct Commit {
  static constexpr std::string_view name = "commit";

  template <typename Group>
  static void run(Burst& burst, const Tables& tables, WorkerState& worker) noexcept {
    for_each_packet(burst.live & burst.errors, [&](uint32_t i) {
      if (!has_token(burst, worker, i)) drop(burst, worker, i, Drop::icmp_error_rate);
    });
    if (burst.rehearsal != nullptr) [[unlikely]]
      return Group::template call<Rehearsed>(burst, tables, worker);
    if (live_of<Ipv6>(burst) == 0) [[likely]]
      for_each_packet(touching(burst), [&](uint32_t i) { commit<Group, Ipv4>(burst, tables, worker, i); });
    else
      Group::template call<OfBothFamilies>(burst, tables, worker);
    for_each_packet(burst.live & burst.has_source, [&](uint32_t i) {
      SlotCounters& slot = worker.counters.slots[tables.binding.own_slot(*burst.source[i])];
      slot.out_packets.add(1);
      slot.out_bytes.add(burst.total_length[i]);
      count_hit(burst.leaving.hit[i], slot, worker);
    });
    for_each_packet(burst.live & burst.has_destination, [&](uint32_t i) {
      SlotCounters& slot = worker.counters.slots[tables.binding.own_slot(*burst.destination[i])];
      slot.in_packets.add(1);
      slot.in_bytes.add(burst.total_length[i]);
      count_hit(burst.entering.hit[i], slot, worker);
    });
  }

 private:
  static uint64_t touching(const Burst& burst) {
    return burst.live & (burst.leaving.entry | burst.entering.entry | burst.fragments);
  }

  template <typename Group, typename Family>
  static void commit(Burst& burst, const Tables& tables, WorkerState& worker, uint32_t i) {
    if ((burst.fragments >> i & 1) != 0) [[unlikely]]
      Group::template call<Datagrams<Family>>(burst, tables, worker, i);
    else if (!CommitEntries<Family>::refresh(burst, worker, i))
      Group::template call<CommitEntries<Family>>(burst, tables, worker, i);
  }

  // In one order: a tenant's quota is of entries of both.
  struct OfBothFamilies {
    template <typename Group>
    static void run(Burst& burst, const Tables& tables, WorkerState& worker) noexcept {
      for_each_packet(touching(burst), [&](uint32_t i) {
        if ((burst.ipv6 >> i & 1) != 0)
          commit<Group, Ipv6>(burst, tables, worker, i);
        else
          commit<Group, Ipv4>(burst, tables, worker, i);
      });
    }
  };

  // Takes one from each side of an ICMP error, or from none.
  [[gnu::noinline, gnu::cold]] static bool has_token(const Burst& burst, WorkerState& worker, uint32_t i) {
    const BindingRecord* const sides[] = {burst.source[i], burst.destination[i]};
    for (const BindingRecord* side : sides)
      if (side != nullptr && !worker.error_rate->has_token(side->id, burst.now_ms)) return false;
    if (burst.rehearsal != nullptr) return true;
    for (const BindingRecord* side : sides)
      if (side != nullptr) worker.error_rate->take(side->id, burst.now_ms);
    return true;
  }

  // The same verdicts on the one packet, and nothing is written.
  struct Rehearsed {
    template <typename Group>
    static void run(Burst& burst, const Tables& tables, WorkerState& worker) noexcept {
      if (touching(burst) == 0) return;
      if (burst.ipv6 != 0)
        rehearse<Group, Ipv6>(burst, tables, worker);
      else
        rehearse<Group, Ipv4>(burst, tables, worker);
    }
    template <typename Group, typename Family>
    static void rehearse(Burst& burst, const Tables& tables, WorkerState& worker) {
      if (burst.fragments != 0)
        Group::template call<Datagrams<Family>>(burst, tables, worker, packet);
      else
        CommitEntries<Family>::template rehearse<Group>(burst, tables, worker, packet);
    }
    static constexpr uint32_t packet = 0;
  };

  // A fragment: its place in its datagram, and its flow entries as of any packet.
  template <typename Family>
  struct Datagrams {
    template <typename Group>
    static void run(Burst& burst, const Tables& tables, WorkerState& worker, const uint32_t i) noexcept {
      auto& table = Family::fragments(worker);
      const auto key = Family::fragment_key(burst, i);
      const BindingRecord& owner = fragment_owner(burst, i);
      const auto& eip = Family::eip(owner);
      const bool is_first = (burst.later_fragments >> i & 1) == 0;
      const uint32_t index = table.find(key, eip, burst.now_ms);
      if (!is_first && index == FragmentTable::none) return drop(burst, worker, i, Drop::fragment_first_lost);
      typename std::remove_reference_t<decltype(table)>::Entry datagram;
      if (index != FragmentTable::none) datagram = table.entry(index);
      const bool fits = (index == FragmentTable::none || !is_first) && !datagram.refuses &&
                        datagram.spans.add(burst.fragment[i].span, burst.fragment[i].is_last);
      if (!fits) {
        // A refusal that changes something: nothing more of the datagram passes (RFC 5722).
        if (burst.rehearsal == nullptr) table.entry(index).refuses = true;
        return drop(burst, worker, i, Drop::fragment_overlap);
      }
      const uint64_t touched = burst.leaving.entry | burst.entering.entry;
      if (burst.rehearsal != nullptr) [[unlikely]] {
        if ((touched >> i & 1) != 0)
          CommitEntries<Family>::template rehearse<Group>(burst, tables, worker, i);
        return;
      }
      if ((touched >> i & 1) != 0 && !CommitEntries<Family>::refresh(burst, worker, i))
        CommitEntries<Family>::template entries<Group>(burst, tables, worker, i);
      if ((burst.live >> i & 1) == 0) return;
      if (is_first)
        table.insert({.key = key,
                      .first = transport_fields(burst, i),
                      .expires_ms = burst.now_ms + tables.timeouts.fragment_ms,
                      .spans = datagram.spans,
                      .owner = owner.id,
                      .protocol = burst.ip[i].protocol},
                     eip, burst.now_ms);
      else if (datagram.spans.is_whole())
        table.erase(index);
      else
        table.entry(index).spans = datagram.spans;
    }
  };

  static void count_hit(RuleHit hit, SlotCounters& slot, WorkerState& worker) {
    if (hit.is_inline())
      slot.rule_hits[hit.counter()].add(1);
    else if (hit.is_one())
      worker.counters.chunk_hits[hit.counter()].add(1);
  }
};

}  // namespace portcullis::stages
