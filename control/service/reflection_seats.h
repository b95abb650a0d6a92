// Server reflection, whose streams last as long as their callers like and take a thread each, is bounded: by
// an interceptor, as the guard does not see gRPC's own services. A stream beyond the bounds ends as
// CANCELLED.
#pragma once

#include <grpcpp/support/server_interceptor.h>

#include <memory>

#include "control/service/seats.h"

namespace portcullis::service {

inline constexpr SeatsApart::Most most_reflection{.of_provider = 16, .of_tenants = 32, .of_tenant = 4};

// For one listener's builder, which shares the seats with others. Thread: any.
class ReflectionSeats final : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  // `seats` outlive all calls.
  explicit ReflectionSeats(SeatsApart& seats) : seats_(seats) {}
  // Null for calls of other services, which go on as if this were not there.
  grpc::experimental::Interceptor* CreateServerInterceptor(grpc::experimental::ServerRpcInfo* call) override;

 private:
  SeatsApart& seats_;
};

}  // namespace portcullis::service
