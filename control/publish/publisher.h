// Table changes -> workers. Publishes an update object by object (each atomically), waits until every worker has
// been quiescent since, and only then frees what was replaced. When publish() returns, no packet that is received
// from then on is judged by the old state.
// Thread: control only. Room was reserved at validation (model Limits), so publishing does not fail.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "control/compile/compile.h"
#include "dataplane/tables/tables.h"
#include "dataplane/worker.h"
#include "src/base/expected.h"

struct rte_rcu_qsbr;

namespace portcullis::publish {

struct RuleHits {
  std::string rule;
  uint64_t packets = 0;
};

struct EipStatistics {
  uint64_t in_packets = 0, in_bytes = 0, out_packets = 0, out_bytes = 0;
  uint64_t flow_entries = 0;
  std::vector<RuleHits> rules;  // by name
};

struct Totals {
  uint64_t local = 0;
  uint64_t edge = 0;
  uint64_t permit_chunks_used = 0;
};

class Publisher {
 public:
  // `port_ids`: configured name -> ethdev port. `workers` may be added after construction, before traffic.
  Publisher(Tables& tables, rte_rcu_qsbr* rcu, std::map<std::string, PortId> port_ids, uint32_t flow_quota);

  void add_worker(const Worker* worker) { workers_.push_back(worker); }
  // internal if a table refused what validation had promised room for; the data plane then holds the old objects
  // for those not published yet. Steps bound the slots in flight by the spare ones.
  [[nodiscard]] Expected<void> publish(const compile::Update& update);
  // The whole image onto empty tables: at start, before the receive side opens.
  [[nodiscard]] Expected<void> publish_all(const compile::Image& image);

  // Zeroes if `eip` is not bound. Hits carry over when a list is replaced, for a rule that stays the same.
  [[nodiscard]] EipStatistics statistics(Ipv4Addr eip) const;
  [[nodiscard]] Totals totals() const;

 private:
  // (filled in with the implementation)
  std::vector<const Worker*> workers_;
};

}  // namespace portcullis::publish
