// The whole gateway of one process, put together. When start() returns, it forwards packets and answers its
// API. Thread: main.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/settings.h"
#include "control/control.h"
#include "control/service/server.h"
#include "dataplane/capture/capture.h"
#include "dataplane/ports/ethdev.h"
#include "dataplane/ports/host_stack.h"
#include "dataplane/ports/punt.h"
#include "dataplane/tables/tables.h"
#include "src/base/expected.h"
#include "src/portcullisd/denied_lines.h"
#include "src/portcullisd/eal.h"
#include "src/portcullisd/workers.h"

struct rte_mempool;
struct rte_rcu_qsbr;
struct rte_ring;

namespace portcullis {

class Gateway {
 public:
  // The data plane holds all that the store knows before a port's receive side opens, and packets flow before
  // the API answers. An error leaves nothing behind.
  [[nodiscard]] static Expected<std::unique_ptr<Gateway>> start(const config::Settings& settings);
  // The other way round: no new call, no packet, then what the host had before.
  ~Gateway();
  Gateway(const Gateway&) = delete;
  Gateway& operator=(const Gateway&) = delete;

 private:
  struct Free {
    void operator()(rte_rcu_qsbr* rcu) const;
    void operator()(rte_ring* ring) const;
  };

  explicit Gateway(const config::Settings& settings) : settings_(settings) {}
  [[nodiscard]] Expected<void> open_ports();
  [[nodiscard]] Expected<rte_mempool*> pool_on(int numa_node);
  [[nodiscard]] Expected<void> create_tables();
  [[nodiscard]] Expected<void> create_punt();
  [[nodiscard]] Expected<void> create_captures();
  [[nodiscard]] Expected<void> create_workers();
  [[nodiscard]] Expected<void> start_control(std::unique_ptr<store::Store> store);
  [[nodiscard]] Expected<void> open_receive_side();
  [[nodiscard]] Expected<void> start_api();
  [[nodiscard]] const EthPort& uplink() const;

  const config::Settings settings_;
  // In the order of their making; each is used by those below it.
  std::unique_ptr<Eal> eal_;
  std::map<int, rte_mempool*> pools_;  // by NUMA node; EAL's, as long as it runs
  std::vector<EthPort> ports_;         // as in settings_.ports
  HostStackGuard host_stack_;
  std::unique_ptr<Tables> tables_;
  std::unique_ptr<rte_rcu_qsbr, Free> rcu_;
  std::unique_ptr<rte_ring, Free> to_punt_;
  std::unique_ptr<rte_ring, Free> from_punt_;
  std::unique_ptr<PuntThread> punt_;
  std::unique_ptr<Captures> captures_;
  std::unique_ptr<Workers> workers_;
  std::unique_ptr<DeniedLines> denied_lines_;  // null: none are to be written
  std::optional<Control> control_;
  std::unique_ptr<service::Server> server_;
};

}  // namespace portcullis
