// Real tables, a real worker and a real reader for tests of what publishes to them.
#pragma once

#include <gtest/gtest.h>
#include <rte_rcu_qsbr.h>

#include <cstdlib>
#include <memory>

#include "dataplane/tables/tables.h"
#include "dataplane/worker.h"

namespace portcullis {

struct RcuFree {
  void operator()(rte_rcu_qsbr* rcu) const { std::free(rcu); }
};
using Rcu = std::unique_ptr<rte_rcu_qsbr, RcuFree>;

inline Rcu make_rcu(uint32_t readers) {
  const size_t bytes = (rte_rcu_qsbr_get_memsize(readers) + 63) / 64 * 64;
  Rcu rcu(static_cast<rte_rcu_qsbr*>(std::aligned_alloc(64, bytes)));
  rte_rcu_qsbr_init(rcu.get(), readers);
  return rcu;
}

struct DataPlane {
  explicit DataPlane(const TableSizes& sizes)
      : tables(*Tables::create(sizes, SOCKET_ID_ANY)),
        worker(*Worker::create({.flow_capacity = 1024, .ipv6_flow_capacity = 1024, .fragment_capacity = 64},
                               *tables, rcu.get())) {}

  // What the worker's packets would have written. It does not run in these tests.
  WorkerCounters& counters() { return const_cast<WorkerCounters&>(worker->counters()); }
  FlowTable& flows() { return const_cast<FlowTable&>(worker->flows()); }

  // The record that a view, or an endpoint's packet, leads to; null if none.
  const BindingRecord* find(View view, Ipv4Addr eip) const {
    const IndexEntry entry = tables->binding.find(view, eip);
    return entry.is_bound() ? &tables->binding.record(entry.slot()) : nullptr;
  }
  const BindingRecord* find(PortId port, Ipv4Addr dip) const {
    const EndpointKey key{.dip = dip, .link = port};
    const Slot slot = tables->endpoint.find<ScalarGroup>(key, tables->endpoint.bucket_of(key));
    return slot == 0 ? nullptr : &tables->binding.record(slot);
  }
  // What an address is in a view that does not bind it.
  bool is(View view, Ipv4Addr address, uint32_t value) const {
    const IndexEntry entry = tables->binding.find(view, address);
    return !entry.is_bound() && entry.slot() == value;
  }

  // Opens `count` flow entries of a binding id, each with a key of its own.
  void open_flows(BindingId owner, uint32_t count) {
    for (uint32_t n = 0; n < count; ++n) {
      FlowEntry entry;
      entry.key.local = Ipv4Addr::from_host(owner);
      entry.key.remote = Ipv4Addr::from_host(outside | ++flow_serial_);
      entry.expires_ms = 1'000'000;
      entry.owned_by = owner;
      entry.tenant = tables->tenants.of(owner);
      ASSERT_NE(flows().insert(entry, flows().hash(entry.key), 0), FlowTable::none);
    }
  }
  void age_all_flows() {
    flows().age(flows().bucket_count(), FlowTable::Visit::all, 0, [](const FlowEntry&) { return true; });
  }

  Rcu rcu = make_rcu(4);
  std::unique_ptr<Tables> tables;
  std::unique_ptr<Worker> worker;

 private:
  static constexpr uint32_t outside = 198u << 24;  // of remotes
  uint32_t flow_serial_ = 0;
};

}  // namespace portcullis
