#include "src/portcullisd/workers.h"

#include <rte_launch.h>

#include <algorithm>
#include <string>
#include <utility>

#include "dataplane/port_queues.h"
#include "dataplane/ports/numa.h"
#include "src/portcullisd/eal.h"

namespace portcullis {

Expected<std::unique_ptr<Workers>> Workers::create(const config::Settings& settings,
                                                   const std::vector<EthPort>& ports, const Tables& tables,
                                                   rte_rcu_qsbr* rcu, rte_ring* to_punt,
                                                   rte_ring* from_punt) {
  const auto& cores = settings.workers.cores;
  const auto count = static_cast<uint32_t>(cores.size());
  std::unique_ptr<Workers> workers(new Workers());
  if (count > 1) {
    const int node = numa_node_of_core(cores[0]);
    auto handover = Handover::create(count, node);
    if (!handover) return Unexpected(handover.error());
    workers->handover_ = std::move(*handover);
    auto rate = ErrorRate::create(tables.gateway.icmp_error_rate, tables.binding.capacity(), node);
    if (!rate) return Unexpected(rate.error());
    workers->error_rate_ = std::move(*rate);
  }
  std::vector<QueueCounts> queues;
  queues.reserve(ports.size());
  for (const EthPort& port : ports)
    queues.push_back({port.id(), port.receive_queues(), port.transmit_queues()});
  const std::vector<WorkerQueues> assigned = assign_queues(queues, count);
  for (uint32_t i = 0; i < count; ++i) {
    WorkerConfig config;
    config.id = i;
    config.core = cores[i];
    config.numa_node = numa_node_of_core(config.core);
    config.flow_capacity = settings.capacity.flows;
    config.ipv6_flow_capacity = settings.capacity.ipv6_flows;
    config.fragment_capacity = settings.capacity.fragments;
    config.idle_polls = settings.workers.idle_polls;
    config.idle_sleep_us = settings.workers.idle_sleep_us;
    config.to_punt = to_punt;
    config.from_punt = i == 0 ? from_punt : nullptr;
    config.handover = workers->handover_.get();
    config.error_rate = workers->error_rate_ ? &*workers->error_rate_ : nullptr;
    if (settings.denied_packets_a_second != 0) {
      auto log = DeniedLog::create(i, count, settings.denied_packets_a_second, config.numa_node);
      if (!log) return Unexpected(log.error());
      config.denied_log = workers->denied_logs_.emplace_back(std::move(*log)).get();
    }
    config.queues = assigned[i];
    auto worker = Worker::create(config, tables, rcu);
    if (!worker) return Unexpected(worker.error());
    workers->seats_.push_back({std::move(*worker), &workers->stop_});
  }
  const std::vector<const Worker*> all = workers->all();
  for (const Seat& seat : workers->seats_) {
    std::vector<const Worker*> peers = all;
    std::erase(peers, seat.worker.get());
    seat.worker->set_peers(peers);
  }
  return workers;
}

Expected<void> Workers::start() {
  for (; polling_ < seats_.size(); ++polling_)
    if (rte_eal_remote_launch(poll, &seats_[polling_], Eal::worker_lcore(polling_)) != 0) {
      if (handover_) handover_->abandon();
      return fail(ErrorCode::internal, "the core " + std::to_string(seats_[polling_].worker->config().core) +
                                           " of worker " + std::to_string(polling_) + " is busy");
    }
  return {};
}

void Workers::stop() {
  stop_ = true;
  for (; polling_ != 0; --polling_) rte_eal_wait_lcore(Eal::worker_lcore(polling_ - 1));
}

int Workers::poll(void* seat) {
  const auto& self = *static_cast<Seat*>(seat);
  self.worker->online();
  self.worker->run(*self.stop);
  self.worker->offline();
  return 0;
}

std::vector<DeniedLog*> Workers::denied_logs() const {
  std::vector<DeniedLog*> logs;
  for (const auto& log : denied_logs_) logs.push_back(log.get());
  return logs;
}

std::vector<const Worker*> Workers::all() const {
  std::vector<const Worker*> workers;
  for (const Seat& seat : seats_) workers.push_back(seat.worker.get());
  return workers;
}

}  // namespace portcullis
