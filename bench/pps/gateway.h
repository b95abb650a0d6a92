// The gateway under measurement: the product's tables, filled through its publisher, and one worker on two
// ports.
#pragma once

#include <cstdint>
#include <memory>

#include "bench/pps/workload.h"
#include "dataplane/tables/tables.h"
#include "dataplane/worker.h"
#include "src/base/expected.h"

struct rte_rcu_qsbr;

namespace portcullis::bench {

class Gateway {
 public:
  // EAL is up, the ports are started.
  [[nodiscard]] static Expected<std::unique_ptr<Gateway>> create(const Workload& workload, PortId uplink,
                                                                 PortId endpoint, Isa isa);
  ~Gateway();

  [[nodiscard]] Worker& worker() { return *worker_; }
  // What the publisher took for all EIPs.
  [[nodiscard]] double fill_seconds() const { return fill_seconds_; }
  // Of tables and worker.
  [[nodiscard]] size_t bytes() const { return tables_->bytes() + worker_->bytes(); }

 private:
  Gateway() = default;
  [[nodiscard]] Expected<void> fill(const Workload& workload, PortId endpoint);

  std::unique_ptr<Tables> tables_;
  rte_rcu_qsbr* rcu_ = nullptr;
  std::unique_ptr<Worker> worker_;
  double fill_seconds_ = 0;
};

}  // namespace portcullis::bench
