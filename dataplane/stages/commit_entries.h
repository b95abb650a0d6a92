// The part of commit for flow entries: what admit staged is refreshed or opened, of both sides or of none.
//
// Reads the "admit" fields of Burst; writes the flow table (FlowEntry, FlowEntry6: 64 bytes).
// Drops: flow_quota, tenant_flow_quota, flow_table_full.
#pragma once

#include <algorithm>
#include <optional>
#include <type_traits>

#include "dataplane/stages/entry_judge.h"
#include "dataplane/worker_state.h"

namespace portcullis::stages {

template <typename Family>
struct CommitEntries {
  // Most packets: one side touches an entry, which stands as it is. No packet of the burst can have given its
  // way to another key since admit found it: an insert takes the way of an expired entry or of one of its own
  // key, and what a packet refreshes lives for a second at least. False, and nothing is done, for
  // all others.
  static bool refresh(Burst& burst, WorkerState& worker, uint32_t i) {
    const uint64_t one_side = burst.leaving.entry ^ burst.entering.entry;
    const uint64_t stands =
        (burst.leaving.entry & burst.leaving.stands) | (burst.entering.entry & burst.entering.stands);
    if (((one_side & stands) >> i & 1) == 0) return false;
    const bool leaves = (burst.leaving.entry >> i & 1) != 0;
    const uint32_t index = leaves ? burst.leaving.found[i] : burst.entering.found[i];
    const Direction direction = leaves ? Direction::outbound : Direction::inbound;
    auto& entry = Family::flows(worker).entry(index);
    Family::flows(worker).set_expiry(index, advance(entry, entry.opened == direction, burst, worker, i),
                                     burst.now_ms);
    return true;
  }

  // All that refresh() leaves, as a function of its own, so that the loop keeps its registers.
  template <typename Group>
  static void run(Burst& burst, const Tables& tables, WorkerState& worker, const uint32_t i) noexcept {
    entries<Group>(burst, tables, worker, i);
  }

  template <typename Group>
  static void entries(Burst& burst, const Tables& tables, WorkerState& worker, uint32_t i) {
    Side source = side_of(burst.source[i], burst.destination[i], Direction::outbound);
    Side destination = side_of(burst.destination[i], burst.source[i], Direction::inbound);
    bool one_entry = false;
    if (!may_write<Group>(source, destination, one_entry, burst, tables, worker, i)) return;
    write<Group>(source, burst, tables, worker, i);
    if (one_entry)
      destination.index =
          Family::flows(worker).template find<Group>(*destination.key, destination.hash, burst.now_ms);
    write<Group>(destination, burst, tables, worker, i);
  }

  // Whether entries() would write, and what; nothing is written.
  template <typename Group>
  static void rehearse(Burst& burst, const Tables& tables, WorkerState& worker, uint32_t i) {
    Side source = side_of(burst.source[i], burst.destination[i], Direction::outbound);
    Side destination = side_of(burst.destination[i], burst.source[i], Direction::inbound);
    bool one_entry = false;
    if (may_write<Group>(source, destination, one_entry, burst, tables, worker, i))
      burst.rehearsal->use_entries(source.use, destination.use);
  }

 private:
  using Entry = BasicFlowEntry<typename Family::Tuple>;

  // One side of the packet on its way through commit.
  struct Side {
    const BindingRecord* record;
    const BindingRecord* remote;
    Direction direction;  // of the packet, as the side sees it
    const typename Family::Tuple* key = nullptr;
    uint32_t hash = 0;
    EntryUse use = EntryUse::none;
    uint32_t index = FlowTable::none;  // the entry of the key, if it is in the table
    Standing standing = Standing::invalid;
  };

  static Side side_of(const BindingRecord* record, const BindingRecord* remote, Direction direction) {
    return {.record = record, .remote = remote, .direction = direction};
  }

  // False, and the packet is dropped, if one of the two may not.
  template <typename Group>
  static bool may_write(Side& source, Side& destination, bool& one_entry, Burst& burst, const Tables& tables,
                        WorkerState& worker, uint32_t i) {
    plan<Group>(source, burst.leaving, i, burst, tables, worker);
    plan<Group>(destination, burst.entering, i, burst, tables, worker);
    // An endpoint that talks to itself between equal ports (or by ICMP) has one entry for both sides: the
    // source opens it, the destination finds it.
    one_entry =
        source.use == EntryUse::open && destination.use == EntryUse::open && *source.key == *destination.key;
    if (one_entry) destination.use = EntryUse::refresh;
    const auto reason = refusal<Group>(source, destination, burst, tables, worker);
    if (reason) drop(burst, worker, i, *reason);
    return !reason;
  }

  // What admit found holds as long as no packet of the burst has opened an entry since.
  template <typename Group>
  static void plan(Side& side, const SideVerdicts& verdicts, uint32_t i, const Burst& burst,
                   const Tables& tables, const WorkerState& worker) {
    if ((verdicts.entry >> i & 1) == 0) return;
    side.key = &Family::keys(verdicts)[i];
    side.hash = verdicts.hash[i];
    const auto& flows = Family::flows(worker);
    side.index = flows.version() == Family::flow_version(burst)
                     ? verdicts.found[i]
                     : flows.template find<Group>(*side.key, side.hash, burst.now_ms);
    if (side.index != FlowTable::none)
      side.standing = judge_entry<Group, Family>(flows.entry(side.index), *side.record, side.remote, tables);
    if (side.standing != Standing::invalid)
      side.use = EntryUse::refresh;
    else if ((verdicts.opens >> i & 1) != 0)
      side.use = EntryUse::open;
  }

  template <typename Group>
  static std::optional<Drop> refusal(const Side& source, const Side& destination, const Burst& burst,
                                     const Tables& tables, const WorkerState& worker) {
    const auto& flows = Family::flows(worker);
    const auto over_quota = [&](const Side& side, uint32_t about_to_open) {
      if (side.use != EntryUse::open) return false;
      uint64_t owned = uint64_t{worker.flow_counts->of_binding(side.record->id)} + about_to_open;
      // Workers that open at the same moment may take one more than there is, all but one of them.
      for (const FlowCounts* peer : worker.peers_flow_counts) owned += peer->of_binding(side.record->id);
      return owned >= Family::terms(*side.record, tables).flow_quota;
    };
    const bool own_source_opens = source.use == EntryUse::open && source.record == destination.record;
    if (over_quota(source, 0) || over_quota(destination, own_source_opens ? 1 : 0)) return Drop::flow_quota;
    if (tenant_over_quota(source, destination, tables, worker)) return Drop::tenant_flow_quota;
    // An entry that is there, though it counts no more, gives its place to the one that replaces it.
    const bool source_needs_way = source.use == EntryUse::open && source.index == FlowTable::none;
    const bool destination_needs_way =
        destination.use == EntryUse::open && destination.index == FlowTable::none;
    const bool same_bucket = source_needs_way && destination_needs_way &&
                             flows.bucket_of(source.hash) == flows.bucket_of(destination.hash);
    if (source_needs_way && !flows.template has_room<Group>(source.hash, same_bucket ? 2 : 1, burst.now_ms))
      return Drop::flow_table_full;
    if (destination_needs_way && !flows.template has_room<Group>(destination.hash, 1, burst.now_ms))
      return Drop::flow_table_full;
    return std::nullopt;
  }

  // Whether the tenant of either would own more than it may.
  static bool tenant_over_quota(const Side& source, const Side& destination, const Tables& tables,
                                const WorkerState& worker) {
    const auto tenant_of = [&](const Side& side) { return tables.tenants.of(side.record->id); };
    const auto over_quota = [&](const Side& side, const Side& other) {
      if (side.use != EntryUse::open) return false;
      const TenantNumber tenant = tenant_of(side);
      const uint32_t quota = tables.tenants.flow_quota(tenant);
      if (quota == TenantTable::no_bound) return false;
      uint64_t owned = worker.flow_counts->of_tenant(tenant);
      // As of EIPs: workers that open at the same moment may take one more than there is.
      for (const FlowCounts* peer : worker.peers_flow_counts) owned += peer->of_tenant(tenant);
      if (other.use == EntryUse::open && tenant_of(other) == tenant) ++owned;
      return owned >= quota;
    };
    return over_quota(source, destination) || over_quota(destination, source);
  }

  template <typename Group>
  static void write(const Side& side, const Burst& burst, const Tables& tables, WorkerState& worker,
                    uint32_t i) {
    if (side.use == EntryUse::none) return;
    auto& flows = Family::flows(worker);
    if (side.use == EntryUse::refresh) {
      auto& entry = flows.entry(side.index);
      const uint64_t expires = advance(entry, entry.opened == side.direction, burst, worker, i);
      flows.set_expiry(side.index, expires, burst.now_ms);
      // What is kept stays under the list that let it in.
      if (side.standing != Standing::kept) stamp(entry, side);
      return;
    }
    // It takes the way of an entry of the same key that counts no more.
    Entry entry{.key = *side.key,
                .tenant = tables.tenants.of(side.record->id),
                .opened = side.direction,
                .icmp_code = burst.ip[i].protocol == Family::icmp ? burst.icmp_code[i] : uint8_t{0},
                .remote_is_endpoint = side.remote != nullptr};
    if constexpr (std::is_same_v<Family, Ipv4>) entry.owned_by = side.record->id;
    stamp(entry, side);
    entry.expires_ms = advance(entry, true, burst, worker, i);
    flows.template insert<Group>(entry, side.hash, burst.now_ms);
  }

  static void stamp(Entry& entry, const Side& side) {
    entry.owner_stamp = side.record->stamp;
    entry.remote_stamp = stamp_of(side.remote);
  }

  // Moves the state on and says when the entry expires now.
  static uint64_t advance(Entry& entry, bool from_opener, const Burst& burst, const WorkerState& worker,
                          uint32_t i) {
    const FlowTimeouts& timeouts = worker.tables.timeouts;
    const uint8_t protocol = burst.ip[i].protocol;
    if (protocol != ip_protocol::tcp) {
      entry.state = FlowState::opening;
      return burst.now_ms + idle_ms(timeouts, protocol, FlowState::opening);
    }
    const uint8_t flags = burst.tcp_flags[i];
    entry.state = next_state(entry.state, classify_tcp(flags, from_opener));
    const uint64_t expires = burst.now_ms + idle_ms(timeouts, protocol, entry.state);
    // RFC 5961: a reset may be forged, so it may shorten an entry's life and not prolong it.
    const bool reset = (flags & tcp_flag::rst) != 0;
    return reset ? std::min(entry.expires_ms, expires) : expires;
  }
};

}  // namespace portcullis::stages
