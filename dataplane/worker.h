// A worker: receive -> pipeline -> transmit on every port it polls, report quiescence, age flows, idle.
// `poll` is one turn of that loop and takes its time from the caller, so tests drive it packet by packet.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "dataplane/counters.h"
#include "dataplane/isa.h"
#include "dataplane/poll_gap.h"
#include "dataplane/port_queues.h"
#include "dataplane/tables/flow.h"
#include "dataplane/tables/fragment.h"
#include "dataplane/tables/tables.h"
#include "src/base/expected.h"

struct rte_rcu_qsbr;
struct rte_ring;
struct rte_mbuf;

namespace portcullis {

class DeniedLog;
class Errand;
class ErrorRate;
class Handover;

struct WorkerConfig {
  uint32_t id = 0;  // among the gateway's workers, and its rte_rcu_qsbr thread id
  uint32_t core = 0;
  int numa_node = -1;  // SOCKET_ID_ANY
  uint32_t flow_capacity = 65536;
  uint32_t ipv6_flow_capacity = 65536;
  uint32_t fragment_capacity = 4096;  // of each family
  uint64_t flow_secret = 0;           // of the flow and fragment tables' hashes; 0: a random one
  Isa isa = widest_isa();             // create() refuses what this CPU lacks
  uint32_t idle_polls = 0;            // 0: never sleep
  uint32_t idle_sleep_us = 50;
  rte_ring* to_punt = nullptr;    // worker -> punt thread; null: nothing can be punted (punt_full)
  rte_ring* from_punt = nullptr;  // punt thread -> worker, frames ready for the uplink; of one worker only
  // Of several workers; they outlive this one. Null: it is alone.
  const Handover* handover = nullptr;
  ErrorRate* error_rate = nullptr;
  DeniedLog* denied_log = nullptr;  // this worker's; outlives it. Null: there is none
  WorkerQueues queues{};
};

// All that a stage may write besides the burst.
struct WorkerState;

class Worker {
 public:
  // `tables` and `rcu` outlive the worker. Registers nothing: online() does, on the polling thread.
  [[nodiscard]] static Expected<std::unique_ptr<Worker>> create(const WorkerConfig& config,
                                                                const Tables& tables, rte_rcu_qsbr* rcu);
  ~Worker();

  // The gateway's other workers: the flow quotas of EIPs and tenants are over all of them. Before the first
  // poll of any.
  void set_peers(const std::vector<const Worker*>& peers);
  void online();   // before the first poll, on the polling thread
  void offline();  // after the last
  // One turn: a burst from every other worker and from every port, transmit, quiescent state. `now_ms`:
  // monotonic milliseconds. Returns packets received and taken over.
  uint32_t poll(uint64_t now_ms) noexcept;
  // Polls until `stop`, idling as configured.
  void run(const std::atomic<bool>& stop) noexcept;
  // Ages as much of the flow and fragment tables as the time since the last call makes due; `run` calls it
  // every turn.
  void age(uint64_t now_ms) noexcept;
  // Ages all of them now.
  void age_all(uint64_t now_ms) noexcept;
  // Carries an errand out at once, to its end. On the polling thread, or while nobody polls.
  void carry_out(Errand& errand, uint64_t now_ms) noexcept;

  // Any thread but the polling one: the errand is carried out between two turns. unavailable, and nobody
  // touches it any more, if that has not come about in the time that errands get.
  [[nodiscard]] Expected<void> ask(Errand& errand) const;
  static constexpr std::chrono::milliseconds errand_patience{2000};

  // Any thread.
  [[nodiscard]] const WorkerCounters& counters() const;
  [[nodiscard]] const FlowTable& flows() const;
  [[nodiscard]] const FlowTable6& flows6() const;
  [[nodiscard]] const FragmentTable& fragments() const;
  [[nodiscard]] const FragmentTable6& fragments6() const;
  // Entries of both families that `binding` owns, dead ones that ageing has not met yet among them.
  [[nodiscard]] uint64_t flows_of(BindingId binding) const;
  // The same of all that a tenant's bindings own.
  [[nodiscard]] uint64_t flows_of_tenant(TenantNumber tenant) const;
  // As of now. Of a worker that run() has not begun: nothing.
  [[nodiscard]] PollGap::Longest longest_gap() const;
  [[nodiscard]] const WorkerConfig& config() const;
  // For whoever measures its parts (bench/pps).
  [[nodiscard]] WorkerState& state() { return *state_; }
  [[nodiscard]] size_t bytes() const;

 private:
  explicit Worker(std::unique_ptr<WorkerState> state);
  std::unique_ptr<WorkerState> state_;
  uint32_t (*poll_)(WorkerState&, uint64_t) noexcept;
};

}  // namespace portcullis
