// Counters of one worker. Written by the worker alone (a relaxed load and store, never a locked add), read by
// anyone. received + originated + taken_over = transmitted + dropped + punted + held + handed_over, at every
// moment between bursts; over all workers what was handed over and not taken over yet lies in rings between
// them.
#pragma once

#include <array>
#include <cstdint>

#include "dataplane/counter.h"
#include "dataplane/drop.h"
#include "dataplane/tables/binding.h"
#include "dataplane/tables/memory.h"
#include "dataplane/tables/next_hop.h"
#include "dataplane/tables/permit.h"

namespace portcullis {

struct PortCounters {
  Counter received_packets, received_bytes;  // L2
  Counter transmitted_packets, transmitted_bytes;
};

// What a binding record's packets moved, in one line: so that a packet touches one line of counters a side.
// They belong to the slot; the publisher carries sums over when a binding moves to another.
struct alignas(64) SlotCounters {
  Counter in_packets, in_bytes, out_packets, out_bytes;  // L3 bytes. In: towards the endpoint
  Counter rule_hits[inline_permit_rules];
};
static_assert(sizeof(SlotCounters) == 64);

struct WorkerCounters {
  std::array<PortCounters, max_ports> ports{};
  std::array<Counter, drop_count> dropped{};
  Counter originated;
  Counter punted;
  Counter held;                     // a level, not a sum: packets waiting for room in a transmit queue
  Counter handed_over, taken_over;  // to and from other workers: to be judged, or to be transmitted
  Counter polls, busy_polls;
  TableArray<SlotCounters> slots;  // by slot
  TableArray<Counter> chunk_hits;  // by chunk * permit_chunk_rules + rule

  [[nodiscard]] static Expected<WorkerCounters> create(const BindingTable& binding, const PermitTable& permit,
                                                       int numa_node);
  [[nodiscard]] uint64_t received() const;
  [[nodiscard]] uint64_t transmitted() const;
  [[nodiscard]] uint64_t dropped_all() const;
};

}  // namespace portcullis
