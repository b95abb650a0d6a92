// The calls of the paper (tenant_service.proto): decode, hand to the control thread, encode. The UNIX socket
// is the provider, who may act for every tenant: a request's resource names say for which. Thread: any of
// gRPC's.
#pragma once

#include <chrono>

#include "control/control.h"
#include "portcullis/v1/tenant_service.grpc.pb.h"

namespace portcullis::service {

class TenantService final : public v1::TenantService::Service {
 public:
  // `next_hop_patience`: Sources::next_hop_patience.
  TenantService(Control& control, std::chrono::milliseconds next_hop_patience)
      : control_(control), next_hop_patience_(next_hop_patience) {}

  grpc::Status RequestEip(grpc::ServerContext*, const v1::RequestEipRequest* request,
                          v1::RequestEipResponse* reply) override;
  grpc::Status ReleaseEip(grpc::ServerContext*, const v1::ReleaseEipRequest* request,
                          v1::ReleaseEipResponse* reply) override;
  grpc::Status GetEip(grpc::ServerContext*, const v1::GetEipRequest* request, v1::Eip* reply) override;
  grpc::Status ListEips(grpc::ServerContext*, const v1::ListEipsRequest* request,
                        v1::ListEipsResponse* reply) override;
  grpc::Status SetPermitList(grpc::ServerContext*, const v1::SetPermitListRequest* request,
                             v1::SetPermitListResponse* reply) override;
  grpc::Status AddPermitRules(grpc::ServerContext*, const v1::AddPermitRulesRequest* request,
                              v1::AddPermitRulesResponse* reply) override;
  grpc::Status RemovePermitRules(grpc::ServerContext*, const v1::RemovePermitRulesRequest* request,
                                 v1::RemovePermitRulesResponse* reply) override;
  grpc::Status GetPermitList(grpc::ServerContext*, const v1::GetPermitListRequest* request,
                             v1::PermitList* reply) override;
  grpc::Status SetTag(grpc::ServerContext*, const v1::SetTagRequest* request,
                      v1::SetTagResponse* reply) override;
  grpc::Status GetTenantQuota(grpc::ServerContext*, const v1::GetTenantQuotaRequest* request,
                              v1::TenantQuota* reply) override;
  grpc::Status GetEipQuota(grpc::ServerContext*, const v1::GetEipQuotaRequest* request,
                           v1::EipQuota* reply) override;

 private:
  Control& control_;
  std::chrono::milliseconds next_hop_patience_;
};

}  // namespace portcullis::service
