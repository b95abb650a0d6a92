// A controller: what it asks of the gateway, and how long that takes.
#pragma once

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bench/control/process.h"
#include "portcullis/v1/observe_service.grpc.pb.h"
#include "portcullis/v1/provider_service.grpc.pb.h"
#include "portcullis/v1/tenant_service.grpc.pb.h"

namespace portcullis::bench {

struct Updates {
  uint64_t lists = 0;  // set, each with four rules
  Seconds taken{};
  Seconds client_cpu{};
  Seconds gateway_cpu{};             // but for the worker's
  std::vector<double> latencies_us;  // of each call
};

// Throws std::runtime_error when a call is refused.
class Controller {
 public:
  explicit Controller(const std::string& target);

  // Makes `count` vms with an EIP each, and a list of four rules for each EIP.
  void populate(uint32_t count);
  // Sets lists that differ from those before, `batch` in one Apply, from `streams` threads, for so long.
  // Which EIPs: a permutation of all `count`.
  [[nodiscard]] Updates update(uint32_t count, uint32_t batch, uint32_t streams, Seconds duration,
                               bool dry_run, const GatewayProcess& gateway);
  // One list a call, one call after another.
  [[nodiscard]] Updates single(uint32_t count, Seconds duration, const GatewayProcess& gateway);

  [[nodiscard]] v1::Gateway gateway();
  [[nodiscard]] uint64_t passed_packets();  // to the vms' port

 private:
  // Of an Apply that was serialised before.
  void apply(const grpc::ByteBuffer& request, v1::ApplyResponse& reply);

  std::shared_ptr<grpc::Channel> channel_;
  grpc::GenericStub raw_;
  std::unique_ptr<v1::TenantService::Stub> tenant_;
  std::unique_ptr<v1::ProviderService::Stub> provider_;
  std::unique_ptr<v1::ObserveService::Stub> observe_;
  uint32_t version_ = 0;  // of the lists
};

}  // namespace portcullis::bench
