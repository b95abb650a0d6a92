// A gateway's control side as the fuzzer finds it: the real handlers, control thread, model, compile,
// publisher and tables, without a socket or a worker that runs. The store keeps records as SQLite's would, in
// memory.
//
// After each call: what was refused has changed nothing; a change has raised the generation by one, and the
// reply says it; a tenant's call has touched and shown nothing of others; an error names a field that is
// there; none is INTERNAL.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "control/control.h"
#include "control/service/observe_service.h"
#include "control/service/provider_service.h"
#include "control/service/tenant_service.h"
#include "control/store/store.h"
#include "tests/fuzz/api_script.h"
#include "tests/unit/control/data_plane.h"

namespace portcullis::fuzz {

// How often a method was answered, by what it is called.
struct Answers {
  uint64_t ok = 0, refused = 0;
};
using Tally = std::map<std::string, Answers>;

// What outlives a restart.
struct Disk {
  std::vector<std::string> records;
  std::map<std::pair<std::string, std::string>, store::AnsweredRequest> requests;
};

// The EAL runs. A broken promise ends the process and says which.
class ApiWorld {
 public:
  explicit ApiWorld(Tally& tally);

  void call(const Call& call);
  // A new process on the same store knows the same, and its model accepts it.
  void restart();

 private:
  // Control and what it needs; made anew by a restart.
  struct Process {
    explicit Process(Disk& disk);
    [[nodiscard]] model::State state();
    [[nodiscard]] publish::Totals totals();

    DataPlane plane;
    std::unique_ptr<Captures> captures;
    Control control;
    service::TenantService tenant;
    service::ProviderService provider;
    service::ObserveService observe;
  };

  Disk disk_;
  std::unique_ptr<Process> process_;
  Tally& tally_;
};

}  // namespace portcullis::fuzz
