// The gateway's workers: what they share, and the cores that they poll on.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <vector>

#include "config/settings.h"
#include "dataplane/capture/denied_log.h"
#include "dataplane/handover.h"
#include "dataplane/ports/ethdev.h"
#include "dataplane/tables/error_rate.h"
#include "dataplane/tables/tables.h"
#include "dataplane/worker.h"
#include "src/base/expected.h"

struct rte_rcu_qsbr;
struct rte_ring;

namespace portcullis {

class Workers {
 public:
  // One for each of settings.workers.cores, its rte_rcu_qsbr thread id its place there. `ports`: configured.
  // What is handed in outlives the workers. The first takes what the punt thread sends.
  [[nodiscard]] static Expected<std::unique_ptr<Workers>> create(const config::Settings& settings,
                                                                 const std::vector<EthPort>& ports,
                                                                 const Tables& tables, rte_rcu_qsbr* rcu,
                                                                 rte_ring* to_punt, rte_ring* from_punt);
  ~Workers() { stop(); }
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  [[nodiscard]] Expected<void> start();
  // Returns when none polls any more.
  void stop();

  [[nodiscard]] std::vector<const Worker*> all() const;
  // Of each worker; none: denied packets are not to be logged.
  [[nodiscard]] std::vector<DeniedLog*> denied_logs() const;
  // Null: there is one worker.
  [[nodiscard]] const Handover* handover() const { return handover_.get(); }

 private:
  Workers() = default;
  struct Seat {
    std::unique_ptr<Worker> worker;
    const std::atomic<bool>* stop;
  };
  static int poll(void* seat);

  std::unique_ptr<Handover> handover_;
  std::optional<ErrorRate> error_rate_;
  std::vector<std::unique_ptr<DeniedLog>> denied_logs_;
  std::atomic<bool> stop_{false};
  std::vector<Seat> seats_;
  uint32_t polling_ = 0;  // the first so many
};

}  // namespace portcullis
