// Stands before the handlers: finds out who calls, refuses what is not the caller's to do, and records what
// changes something. Thread: any.
#pragma once

#include <google/protobuf/message.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

#include <functional>

#include "control/service/audit_log.h"

namespace portcullis::service {

class Guard {
 public:
  // `log` outlives the guard; null: no record is kept.
  explicit Guard(AuditLog* log) : log_(log) {}

  // Lets the caller through to `handle`, which fills `reply`, or refuses. A change is not begun while the
  // audit log cannot be written, and is recorded before this returns.
  [[nodiscard]] grpc::Status pass(const grpc::ServerContextBase& context,
                                  const google::protobuf::Message& request,
                                  const google::protobuf::Message& reply,
                                  const std::function<grpc::Status()>& handle) const;

 private:
  AuditLog* log_;
};

}  // namespace portcullis::service
