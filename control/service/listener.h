// One address that the API listens on: gRPC's server there, with the services behind their guard, health and
// reflection. Thread: made and ended by the main thread; handlers run on gRPC's.
#pragma once

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

#include "control/service/front.h"
#include "control/service/guard.h"
#include "control/service/observe_service.h"
#include "control/service/provider_service.h"
#include "control/service/seats.h"
#include "control/service/tenant_service.h"

namespace portcullis::service {

// How long a connection lasts. A certificate is looked at when one begins: age, a tenth more than it (gRPC
// varies it by that) and grace are less than the hour that docs/security.md promises.
struct ConnectionTerms {
  std::chrono::milliseconds age = std::chrono::minutes(50);   // then the client is told to make another
  std::chrono::milliseconds grace = std::chrono::minutes(1);  // then calls under way, streams too, are ended
  // A peer that is silent for so long is asked, and is gone if it does not answer.
  std::chrono::milliseconds keepalive = std::chrono::seconds(60);
  std::chrono::milliseconds keepalive_patience = std::chrono::seconds(20);
};

class Listener {
 public:
  // All of it outlives the listener.
  struct Handlers {
    Guard& guard;
    SeatsApart& reflection;  // for its streams
    TenantService& tenant;
    ProviderService& provider;
    ObserveService& observe;
  };
  explicit Listener(const Handlers& handlers);

  // "unix:/run/x.sock", "192.0.2.1:8443"; the port, or another number above 0; 0 if nobody can listen there.
  // Once only.
  [[nodiscard]] int start(const std::string& address, std::shared_ptr<grpc::ServerCredentials> credentials,
                          const ConnectionTerms& terms, size_t max_message_bytes);
  // Answers no new call, and waits for those under way until then. Idempotent.
  void stop(std::chrono::steady_clock::time_point deadline);

 private:
  SeatsApart& reflection_;
  TenantFront tenant_;
  ProviderFront provider_;
  ObserveFront observe_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace portcullis::service
