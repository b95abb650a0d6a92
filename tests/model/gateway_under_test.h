// The gateway as it runs, without threads and without the API: model, compile, publish, tables and workers
// on ring ports, driven by a test step by step.
#pragma once

#include <rte_malloc.h>
#include <rte_rcu_qsbr.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "control/compile/compile.h"
#include "control/model/model.h"
#include "control/publish/publisher.h"
#include "dataplane/handover.h"
#include "dataplane/passage.h"
#include "dataplane/tables/error_rate.h"
#include "dataplane/tables/tables.h"
#include "dataplane/worker.h"
#include "tests/model/reference.h"
#include "tests/model/ring_port.h"

namespace portcullis::testing {

// Keys the hash of every flow table under test, so that a failing run can be run again.
inline constexpr uint64_t flow_secret = 0x5ec2e7'0f'7e575;

// In the reference's words.
inline reference::Fate fate_of(Verdict verdict) {
  if (verdict == Verdict::transmitted) return reference::Fate::transmitted;
  if (verdict == Verdict::answered) return reference::Fate::answered;
  return verdict == Verdict::punted ? reference::Fate::punted : reference::Fate::dropped;
}

struct Sizes {
  uint32_t eips = 32;
  uint32_t spare = 4;  // few, so that large batches go in steps
  uint32_t index_pages = 3;
  uint32_t permit_chunks = 256;
  uint32_t rules_per_eip = 600;
  uint32_t tag_sets = 32;
  uint32_t links = 24;
  uint32_t tunnel_remotes = 12;
  uint32_t flow_capacity = 1024;  // of each family
  uint32_t fragment_capacity = 128;
  uint32_t workers = 1;
  bool queue_for_each = false;  // worker, of every port; which must have them
  uint32_t handover_room = Handover::ring_size;
  Isa isa = widest_isa();
  int64_t quarantine_ms = 10'000;
  model::Generation generation = 0;  // as if so many changes had been before
};

class GatewayUnderTest {
 public:
  // `setup` speaks of ports by position; `ports` are those. Its FlowShape is not looked at.
  GatewayUnderTest(const reference::Setup& setup, const std::vector<RingPort*>& ports, const Sizes& sizes,
                   uint32_t punt_room);
  ~GatewayUnderTest();
  GatewayUnderTest(const GatewayUnderTest&) = delete;
  GatewayUnderTest& operator=(const GatewayUnderTest&) = delete;

  // Carries a planned call out: when this returns, no packet received from then on is judged by the old
  // state. Workers that do not poll in threads of their own must be offline.
  template <typename Reply>
  Reply enforce(const model::Plan<Reply>& plan) {
    apply(plan.changes);
    return plan.reply;
  }

  // The single-threaded drive: workers are no readers while a call is carried out.
  void set_online(bool online);
  // A turn of every worker, one after another; and further ones until nothing is between two of them.
  void poll(uint64_t now_ms);
  // The only one, or the first.
  [[nodiscard]] Worker& worker() { return *workers_.front(); }
  [[nodiscard]] const Worker& worker() const { return *workers_.front(); }
  [[nodiscard]] const std::vector<std::unique_ptr<Worker>>& workers() const { return workers_; }
  // Over all workers, of what `value` reads of one's counters.
  template <typename Value>
  [[nodiscard]] uint64_t total(Value&& value) const {
    uint64_t sum = 0;
    for (const auto& worker : workers_) sum += value(worker->counters());
    return sum;
  }
  [[nodiscard]] const model::Model& model() const { return model_; }
  [[nodiscard]] const publish::Publisher& publisher() const { return *publisher_; }
  [[nodiscard]] Tables& tables() { return *tables_; }
  [[nodiscard]] const Tables& tables() const { return *tables_; }
  [[nodiscard]] rte_rcu_qsbr* rcu() { return rcu_.get(); }
  [[nodiscard]] PortId port_id(size_t port) const { return ports_[port]->id(); }
  [[nodiscard]] PortId uplink() const { return tables_->ports.uplink; }

  // What the punt thread would be handed, and what it would have sent by the uplink.
  [[nodiscard]] std::vector<Bytes> collect_punted();
  void originate(rte_mbuf* frame);

 private:
  void apply(const model::ChangeSet& changes);
  void configure_ports(const reference::Setup& setup);
  void create_workers(const Sizes& sizes);

  struct FreeMemory {
    void operator()(rte_rcu_qsbr* rcu) const { rte_free(rcu); }
  };
  std::vector<RingPort*> ports_;
  model::Model model_;
  std::unique_ptr<Tables> tables_;
  std::unique_ptr<rte_rcu_qsbr, FreeMemory> rcu_;
  RingPtr to_punt_, from_punt_;
  std::unique_ptr<Handover> handover_;
  std::optional<ErrorRate> error_rate_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<publish::Publisher> publisher_;
  bool online_ = false;
};

}  // namespace portcullis::testing
