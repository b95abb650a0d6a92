// What the provider registers (provider_service.proto): decode, hand to the control thread, encode.
// Thread: any of gRPC's.
#pragma once

#include <chrono>

#include "control/control.h"
#include "control/service/document.h"
#include "portcullis/v1/provider_service.grpc.pb.h"

namespace portcullis::service {

class ProviderService final : public v1::ProviderService::Service {
 public:
  // `next_hop_patience`: Sources::next_hop_patience.
  ProviderService(Control& control, std::chrono::milliseconds next_hop_patience,
                  const MessageBounds& bounds = {})
      : control_(control), next_hop_patience_(next_hop_patience), bounds_(bounds) {}

  grpc::Status CreateVm(grpc::ServerContext*, const v1::CreateVmRequest* request,
                        v1::CreateVmResponse* reply) override;
  grpc::Status GetVm(grpc::ServerContext*, const v1::GetVmRequest* request, v1::Vm* reply) override;
  grpc::Status ListVms(grpc::ServerContext*, const v1::ListVmsRequest* request,
                       v1::ListVmsResponse* reply) override;
  grpc::Status MoveVm(grpc::ServerContext*, const v1::MoveVmRequest* request,
                      v1::MoveVmResponse* reply) override;
  grpc::Status DeleteVm(grpc::ServerContext*, const v1::DeleteVmRequest* request,
                        v1::DeleteVmResponse* reply) override;
  grpc::Status CreatePool(grpc::ServerContext*, const v1::CreatePoolRequest* request,
                          v1::CreatePoolResponse* reply) override;
  grpc::Status GetPool(grpc::ServerContext*, const v1::GetPoolRequest* request, v1::Pool* reply) override;
  grpc::Status ListPools(grpc::ServerContext*, const v1::ListPoolsRequest* request,
                         v1::ListPoolsResponse* reply) override;
  grpc::Status UpdatePool(grpc::ServerContext*, const v1::UpdatePoolRequest* request,
                          v1::UpdatePoolResponse* reply) override;
  grpc::Status DeletePool(grpc::ServerContext*, const v1::DeletePoolRequest* request,
                          v1::DeletePoolResponse* reply) override;
  grpc::Status SetTenantQuota(grpc::ServerContext*, const v1::SetTenantQuotaRequest* request,
                              v1::SetTenantQuotaResponse* reply) override;
  grpc::Status ListTenantQuotas(grpc::ServerContext*, const v1::ListTenantQuotasRequest* request,
                                v1::ListTenantQuotasResponse* reply) override;
  grpc::Status SetEipQuota(grpc::ServerContext*, const v1::SetEipQuotaRequest* request,
                           v1::SetEipQuotaResponse* reply) override;
  grpc::Status Apply(grpc::ServerContext*, const v1::ApplyRequest* request,
                     v1::ApplyResponse* reply) override;
  grpc::Status Export(grpc::ServerContext*, const v1::ExportRequest*, v1::Document* reply) override;
  grpc::Status Import(grpc::ServerContext*, const v1::ImportRequest* request,
                      v1::ImportResponse* reply) override;

 private:
  Control& control_;
  std::chrono::milliseconds next_hop_patience_;
  MessageBounds bounds_;
};

}  // namespace portcullis::service
