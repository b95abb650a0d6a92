// The gateway under measurement: the product's tables, filled through its publisher, and a worker on two
// ports; or several that share the ports as the daemon's do.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "bench/pps/workload.h"
#include "dataplane/handover.h"
#include "dataplane/tables/error_rate.h"
#include "dataplane/tables/tables.h"
#include "dataplane/worker.h"
#include "src/base/expected.h"

struct rte_rcu_qsbr;

namespace portcullis::bench {

class Gateway {
 public:
  // EAL is up, the ports are started, with a queue for each of workload.workers (queue_of).
  [[nodiscard]] static Expected<std::unique_ptr<Gateway>> create(const Workload& workload, PortId uplink,
                                                                 PortId endpoint, Isa isa);
  ~Gateway();

  // Of the `n`-th worker at either port, to receive and to transmit. Not side by side: net_ring counts the
  // packets of a queue in the line that leads to the ring of the next one, which no driver of a NIC does, and
  // workers would wait for each other.
  static constexpr uint16_t queue_of(uint32_t n) { return static_cast<uint16_t>(7 * n); }
  static constexpr uint32_t most_workers = 3;  // a port of rings has 16

  // Of a gateway that has one. It has the first queues.
  [[nodiscard]] Worker& worker() { return *worker_; }
  // Of a gateway that has several: they hand over to each other. They share
  // no more than the tables with the one above, so that the two gateways differ in nothing else.
  [[nodiscard]] Worker& one_of_several(uint32_t n) { return *several_[n]; }
  // What the publisher took for all EIPs.
  [[nodiscard]] double fill_seconds() const { return fill_seconds_; }
  // Of tables and all workers.
  [[nodiscard]] size_t bytes() const;

 private:
  Gateway() = default;
  [[nodiscard]] Expected<void> fill(const Workload& workload, PortId endpoint);
  [[nodiscard]] Expected<void> add_workers(const Workload& workload, Isa isa);
  [[nodiscard]] Expected<void> add_several(uint32_t count, const WorkerConfig& common);

  std::unique_ptr<Tables> tables_;
  rte_rcu_qsbr* rcu_ = nullptr;
  std::unique_ptr<Worker> worker_;
  std::unique_ptr<Handover> handover_;
  std::optional<ErrorRate> error_rate_;
  std::vector<std::unique_ptr<Worker>> several_;
  double fill_seconds_ = 0;
};

}  // namespace portcullis::bench
