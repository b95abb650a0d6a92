// The API on its UNIX socket: the three services, gRPC health and reflection.
// Thread: made and ended by the main thread; handlers run on gRPC's.
#pragma once

#include <grpcpp/server.h>

#include <memory>
#include <string>

#include "control/control.h"
#include "control/service/observe_service.h"
#include "control/service/provider_service.h"
#include "control/service/tenant_service.h"
#include "src/base/expected.h"

namespace portcullis::service {

class Server {
 public:
  // Listens on `socket`, mode 0660: who may open it is the provider. Makes its directory, and takes the place
  // of a socket that nobody listens on. failed_precondition when somebody does, or when the path is something
  // else. `control` is started and outlives the server.
  [[nodiscard]] static Expected<std::unique_ptr<Server>> start(const std::string& socket, Control& control,
                                                               Sources sources);
  ~Server();  // stops

  // Answers no new call, waits a few seconds for those under way, removes the socket. Idempotent.
  void stop();

 private:
  Server(Control& control, Sources sources);

  TenantService tenant_;
  ProviderService provider_;
  ObserveService observe_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace portcullis::service
