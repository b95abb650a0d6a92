#include "control/service/listener.h"

#include <grpc/support/time.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/server_builder.h>

#include <algorithm>
#include <array>
#include <memory>
#include <utility>
#include <vector>

#include "control/service/reflection_seats.h"

namespace portcullis::service {
namespace {

// Of requests that have not wholly come and of answers that have not wholly left. Where that is not enough
// gRPC ends connections, idle ones first: of this listener alone.
constexpr size_t least_buffered_bytes = size_t{1} << 30;

// Of all callers of this listener together: beyond them gRPC refuses whoever comes next. The guard refuses
// before, but it does not see health checks and reflection.
void set_bounds(grpc::ServerBuilder& builder, size_t max_message_bytes) {
  builder.SetMaxReceiveMessageSize(static_cast<int>(max_message_bytes));
  builder.SetMaxSendMessageSize(static_cast<int>(max_message_bytes));
  // By default a thread ends that has made a call when two others wait for one, and the next call begins one.
  constexpr int waiting_threads = 16;
  builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, waiting_threads);
  // Health, reflection, and calls that are being refused.
  constexpr int other_threads = 64;
  grpc::ResourceQuota quota("api");
  quota.SetMaxThreads(static_cast<int>(most_calls.of_provider + most_calls.of_tenants) + waiting_threads +
                      other_threads);
  quota.Resize(std::max(least_buffered_bytes, 2 * max_message_bytes));
  builder.SetResourceQuota(quota);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, static_cast<int>(most_calls.of_provider));
}

void set_terms(grpc::ServerBuilder& builder, const ConnectionTerms& terms) {
  const auto set = [&](const char* argument, std::chrono::milliseconds time) {
    builder.AddChannelArgument(argument, static_cast<int>(time.count()));
  };
  set(GRPC_ARG_MAX_CONNECTION_AGE_MS, terms.age);
  set(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, terms.grace);
  set(GRPC_ARG_KEEPALIVE_TIME_MS, terms.keepalive);
  set(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, terms.keepalive_patience);
  // Also of connections without a call, and as often as it takes while nothing else is sent.
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
}

}  // namespace

Listener::Listener(const Handlers& handlers)
    : reflection_(handlers.reflection),
      tenant_(handlers.guard, handlers.tenant),
      provider_(handlers.guard, handlers.provider),
      observe_(handlers.guard, handlers.observe) {}

int Listener::start(const std::string& address, std::shared_ptr<grpc::ServerCredentials> credentials,
                    const ConnectionTerms& terms, size_t max_message_bytes) {
  grpc::ServerBuilder builder;
  set_bounds(builder, max_message_bytes);
  set_terms(builder, terms);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);  // nobody else listens at our address
  std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> interceptors;
  interceptors.push_back(std::make_unique<ReflectionSeats>(reflection_));
  builder.experimental().SetInterceptorCreators(std::move(interceptors));
  int port = 0;  // gRPC's word that it listens
  builder.AddListeningPort(address, std::move(credentials), &port);
  for (grpc::Service* service : std::array<grpc::Service*, 3>{&tenant_, &provider_, &observe_})
    builder.RegisterService(service);
  server_ = builder.BuildAndStart();
  if (server_ == nullptr) return 0;
  grpc::HealthCheckServiceInterface* health = server_->GetHealthCheckService();
  for (const char* name : {v1::TenantService::service_full_name(), v1::ProviderService::service_full_name(),
                           v1::ObserveService::service_full_name()})
    health->SetServingStatus(name, true);
  return port;
}

void Listener::stop(std::chrono::steady_clock::time_point deadline) {
  if (server_ == nullptr) return;
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::max(deadline - std::chrono::steady_clock::now(), std::chrono::steady_clock::duration::zero()));
  // By the clock that does not jump.
  server_->Shutdown(
      gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(left.count(), GPR_TIMESPAN)));
  server_->Wait();
  server_ = nullptr;
}

}  // namespace portcullis::service
