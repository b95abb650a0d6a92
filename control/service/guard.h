// Stands before the handlers: finds out who calls, refuses what is not the caller's to do, and records what
// changes something. Thread: any.
#pragma once

#include <google/protobuf/message.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

#include <functional>

#include "control/service/audit_log.h"
#include "control/service/identity.h"
#include "control/service/seats.h"

namespace portcullis::service {

// Calls under way at once; each has a thread. Those of the provider are its own.
inline constexpr SeatsApart::Most most_calls{.of_provider = 256, .of_tenants = 256, .of_tenant = 32};

class Guard {
 public:
  // `log` outlives the guard; null: no record is kept.
  explicit Guard(AuditLog* log) : log_(log) {}

  // Lets the caller through to `handle`, which fills `reply`, or refuses: resource_exhausted while so many of
  // its calls are under way. A change is not begun while the audit log cannot be written, and is recorded
  // before this returns.
  [[nodiscard]] grpc::Status pass(const grpc::ServerContextBase& context,
                                  const google::protobuf::Message& request,
                                  const google::protobuf::Message& reply,
                                  const std::function<grpc::Status()>& handle);

 private:
  AuditLog* log_;
  SeatsApart calls_{most_calls, "calls under way"};
};

}  // namespace portcullis::service
