// The gateway as it runs, without threads and without the API: model, compile, publish, tables and one worker
// on ring ports, driven by a test step by step.
#pragma once

#include <rte_malloc.h>
#include <rte_rcu_qsbr.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "control/compile/compile.h"
#include "control/model/model.h"
#include "control/publish/publisher.h"
#include "dataplane/tables/tables.h"
#include "dataplane/worker.h"
#include "tests/model/reference.h"
#include "tests/model/ring_port.h"

namespace portcullis::testing {

// Keys the hash of every flow table under test, so that a failing run can be run again.
inline constexpr uint64_t flow_secret = 0x5ec2e7'0f'7e575;

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
  // state. Unless the worker polls in a thread of its own, it must be at_rest.
  template <typename Reply>
  Reply enforce(const model::Plan<Reply>& plan) {
    apply(plan.changes);
    return plan.reply;
  }

  // The single-threaded drive: the worker is no reader while a call is carried out.
  void set_online(bool online);
  [[nodiscard]] Worker& worker() { return *worker_; }
  [[nodiscard]] const Worker& worker() const { return *worker_; }
  [[nodiscard]] const model::Model& model() const { return model_; }
  [[nodiscard]] const publish::Publisher& publisher() const { return *publisher_; }
  [[nodiscard]] Tables& tables() { return *tables_; }
  [[nodiscard]] const Tables& tables() const { return *tables_; }
  [[nodiscard]] PortId port_id(size_t port) const { return ports_[port]->id(); }
  [[nodiscard]] PortId uplink() const { return tables_->ports.uplink; }

  // What the punt thread would be handed, and what it would have sent by the uplink.
  [[nodiscard]] std::vector<Bytes> collect_punted();
  void originate(rte_mbuf* frame);

 private:
  void apply(const model::ChangeSet& changes);
  void configure_ports(const reference::Setup& setup);

  struct FreeMemory {
    void operator()(rte_rcu_qsbr* rcu) const { rte_free(rcu); }
  };
  std::vector<RingPort*> ports_;
  model::Model model_;
  std::unique_ptr<Tables> tables_;
  std::unique_ptr<rte_rcu_qsbr, FreeMemory> rcu_;
  RingPtr to_punt_, from_punt_;
  std::unique_ptr<Worker> worker_;
  std::unique_ptr<publish::Publisher> publisher_;
  bool online_ = false;
};

}  // namespace portcullis::testing
