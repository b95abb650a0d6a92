// The services as clients meet them: every call passes the guard on its way to the handler. A method that is
// missing here is UNIMPLEMENTED, so none can be reached past the guard. Thread: any of gRPC's.
#pragma once

#include <google/protobuf/arena.h>

#include "control/service/guard.h"
#include "portcullis/v1/observe_service.grpc.pb.h"
#include "portcullis/v1/provider_service.grpc.pb.h"
#include "portcullis/v1/tenant_service.grpc.pb.h"

namespace portcullis::service {

// Service: a generated one, v1::TenantService::Service; Base: the same, or the service with some of its
// methods made otherwise. Guard and handlers outlive the front.
template <typename Service, typename Base = Service>
class Front : public Base {
 public:
  Front(Guard& guard, Service& handlers) : guard_(guard), handlers_(handlers) {}

 protected:
  template <typename Request, typename Reply>
  grpc::Status pass(grpc::Status (Service::*handler)(grpc::ServerContext*, const Request*, Reply*),
                    grpc::ServerContext* context, const Request* request, Reply* reply) {
    return guard_.pass(*context, *request, *reply,
                       [&] { return (handlers_.*handler)(context, request, reply); });
  }

  template <typename Request, typename Reply>
  grpc::Status pass(grpc::Status (Service::*handler)(grpc::ServerContext*, const Request*,
                                                     grpc::ServerWriter<Reply>*),
                    grpc::ServerContext* context, const Request* request, grpc::ServerWriter<Reply>* writer) {
    return guard_.pass(*context, *request, Reply(),
                       [&] { return (handlers_.*handler)(context, request, writer); });
  }

 private:
  Guard& guard_;
  Service& handlers_;
};

class TenantFront final : public Front<v1::TenantService::Service> {
 public:
  using Front::Front;
  grpc::Status RequestEip(grpc::ServerContext* context, const v1::RequestEipRequest* request,
                          v1::RequestEipResponse* reply) override {
    return pass(&Service::RequestEip, context, request, reply);
  }
  grpc::Status ReleaseEip(grpc::ServerContext* context, const v1::ReleaseEipRequest* request,
                          v1::ReleaseEipResponse* reply) override {
    return pass(&Service::ReleaseEip, context, request, reply);
  }
  grpc::Status GetEip(grpc::ServerContext* context, const v1::GetEipRequest* request,
                      v1::Eip* reply) override {
    return pass(&Service::GetEip, context, request, reply);
  }
  grpc::Status ListEips(grpc::ServerContext* context, const v1::ListEipsRequest* request,
                        v1::ListEipsResponse* reply) override {
    return pass(&Service::ListEips, context, request, reply);
  }
  grpc::Status SetPermitList(grpc::ServerContext* context, const v1::SetPermitListRequest* request,
                             v1::SetPermitListResponse* reply) override {
    return pass(&Service::SetPermitList, context, request, reply);
  }
  grpc::Status AddPermitRules(grpc::ServerContext* context, const v1::AddPermitRulesRequest* request,
                              v1::AddPermitRulesResponse* reply) override {
    return pass(&Service::AddPermitRules, context, request, reply);
  }
  grpc::Status RemovePermitRules(grpc::ServerContext* context, const v1::RemovePermitRulesRequest* request,
                                 v1::RemovePermitRulesResponse* reply) override {
    return pass(&Service::RemovePermitRules, context, request, reply);
  }
  grpc::Status GetPermitList(grpc::ServerContext* context, const v1::GetPermitListRequest* request,
                             v1::PermitList* reply) override {
    return pass(&Service::GetPermitList, context, request, reply);
  }
  grpc::Status SetTag(grpc::ServerContext* context, const v1::SetTagRequest* request,
                      v1::SetTagResponse* reply) override {
    return pass(&Service::SetTag, context, request, reply);
  }
  grpc::Status GetTenantQuota(grpc::ServerContext* context, const v1::GetTenantQuotaRequest* request,
                              v1::TenantQuota* reply) override {
    return pass(&Service::GetTenantQuota, context, request, reply);
  }
  grpc::Status GetEipQuota(grpc::ServerContext* context, const v1::GetEipQuotaRequest* request,
                           v1::EipQuota* reply) override {
    return pass(&Service::GetEipQuota, context, request, reply);
  }
};

class ProviderFront final
    : public Front<v1::ProviderService::Service,
                   v1::ProviderService::WithStreamedUnaryMethod_Apply<v1::ProviderService::Service>> {
  using Handlers = v1::ProviderService::Service;

 public:
  using Front::Front;
  grpc::Status CreateVm(grpc::ServerContext* context, const v1::CreateVmRequest* request,
                        v1::CreateVmResponse* reply) override {
    return pass(&Handlers::CreateVm, context, request, reply);
  }
  grpc::Status GetVm(grpc::ServerContext* context, const v1::GetVmRequest* request, v1::Vm* reply) override {
    return pass(&Handlers::GetVm, context, request, reply);
  }
  grpc::Status ListVms(grpc::ServerContext* context, const v1::ListVmsRequest* request,
                       v1::ListVmsResponse* reply) override {
    return pass(&Handlers::ListVms, context, request, reply);
  }
  grpc::Status MoveVm(grpc::ServerContext* context, const v1::MoveVmRequest* request,
                      v1::MoveVmResponse* reply) override {
    return pass(&Handlers::MoveVm, context, request, reply);
  }
  grpc::Status DeleteVm(grpc::ServerContext* context, const v1::DeleteVmRequest* request,
                        v1::DeleteVmResponse* reply) override {
    return pass(&Handlers::DeleteVm, context, request, reply);
  }
  grpc::Status CreatePool(grpc::ServerContext* context, const v1::CreatePoolRequest* request,
                          v1::CreatePoolResponse* reply) override {
    return pass(&Handlers::CreatePool, context, request, reply);
  }
  grpc::Status GetPool(grpc::ServerContext* context, const v1::GetPoolRequest* request,
                       v1::Pool* reply) override {
    return pass(&Handlers::GetPool, context, request, reply);
  }
  grpc::Status ListPools(grpc::ServerContext* context, const v1::ListPoolsRequest* request,
                         v1::ListPoolsResponse* reply) override {
    return pass(&Handlers::ListPools, context, request, reply);
  }
  grpc::Status UpdatePool(grpc::ServerContext* context, const v1::UpdatePoolRequest* request,
                          v1::UpdatePoolResponse* reply) override {
    return pass(&Handlers::UpdatePool, context, request, reply);
  }
  grpc::Status DeletePool(grpc::ServerContext* context, const v1::DeletePoolRequest* request,
                          v1::DeletePoolResponse* reply) override {
    return pass(&Handlers::DeletePool, context, request, reply);
  }
  grpc::Status SetTenantQuota(grpc::ServerContext* context, const v1::SetTenantQuotaRequest* request,
                              v1::SetTenantQuotaResponse* reply) override {
    return pass(&Handlers::SetTenantQuota, context, request, reply);
  }
  grpc::Status ListTenantQuotas(grpc::ServerContext* context, const v1::ListTenantQuotasRequest* request,
                                v1::ListTenantQuotasResponse* reply) override {
    return pass(&Handlers::ListTenantQuotas, context, request, reply);
  }
  grpc::Status SetEipQuota(grpc::ServerContext* context, const v1::SetEipQuotaRequest* request,
                           v1::SetEipQuotaResponse* reply) override {
    return pass(&Handlers::SetEipQuota, context, request, reply);
  }
  // Read by hand, to be of one arena: ten thousand small parts of a request would be allocated one by one,
  // and given back so.
  grpc::Status StreamedApply(
      grpc::ServerContext* context,
      grpc::ServerUnaryStreamer<v1::ApplyRequest, v1::ApplyResponse>* stream) override {
    google::protobuf::ArenaOptions options;
    options.max_block_size = 256 << 10;
    google::protobuf::Arena arena(options);
    auto* request = google::protobuf::Arena::CreateMessage<v1::ApplyRequest>(&arena);
    if (!stream->Read(request)) return {grpc::StatusCode::INTERNAL, "the request cannot be decoded"};
    v1::ApplyResponse reply;
    grpc::Status status = pass(&Handlers::Apply, context, request, &reply);
    if (status.ok()) stream->Write(reply, grpc::WriteOptions());
    return status;
  }
  grpc::Status Export(grpc::ServerContext* context, const v1::ExportRequest* request,
                      v1::Document* reply) override {
    return pass(&Handlers::Export, context, request, reply);
  }
  grpc::Status Import(grpc::ServerContext* context, const v1::ImportRequest* request,
                      v1::ImportResponse* reply) override {
    return pass(&Handlers::Import, context, request, reply);
  }
};

class ObserveFront final : public Front<v1::ObserveService::Service> {
 public:
  using Front::Front;
  grpc::Status ListDrops(grpc::ServerContext* context, const v1::ListDropsRequest* request,
                         v1::ListDropsResponse* reply) override {
    return pass(&Service::ListDrops, context, request, reply);
  }
  grpc::Status ListPorts(grpc::ServerContext* context, const v1::ListPortsRequest* request,
                         v1::ListPortsResponse* reply) override {
    return pass(&Service::ListPorts, context, request, reply);
  }
  grpc::Status ListWorkers(grpc::ServerContext* context, const v1::ListWorkersRequest* request,
                           v1::ListWorkersResponse* reply) override {
    return pass(&Service::ListWorkers, context, request, reply);
  }
  grpc::Status ListNextHops(grpc::ServerContext* context, const v1::ListNextHopsRequest* request,
                            v1::ListNextHopsResponse* reply) override {
    return pass(&Service::ListNextHops, context, request, reply);
  }
  grpc::Status GetEipStatistics(grpc::ServerContext* context, const v1::GetEipStatisticsRequest* request,
                                v1::EipStatistics* reply) override {
    return pass(&Service::GetEipStatistics, context, request, reply);
  }
  grpc::Status GetGateway(grpc::ServerContext* context, const v1::GetGatewayRequest* request,
                          v1::Gateway* reply) override {
    return pass(&Service::GetGateway, context, request, reply);
  }
  grpc::Status ListFlows(grpc::ServerContext* context, const v1::ListFlowsRequest* request,
                         v1::ListFlowsResponse* reply) override {
    return pass(&Service::ListFlows, context, request, reply);
  }
  grpc::Status ClearFlows(grpc::ServerContext* context, const v1::ClearFlowsRequest* request,
                          v1::ClearFlowsResponse* reply) override {
    return pass(&Service::ClearFlows, context, request, reply);
  }
  grpc::Status Explain(grpc::ServerContext* context, const v1::ExplainRequest* request,
                       v1::Explanation* reply) override {
    return pass(&Service::Explain, context, request, reply);
  }
  grpc::Status WatchEvents(grpc::ServerContext* context, const v1::WatchEventsRequest* request,
                           grpc::ServerWriter<v1::Event>* writer) override {
    return pass(&Service::WatchEvents, context, request, writer);
  }
  grpc::Status Capture(grpc::ServerContext* context, const v1::CaptureRequest* request,
                       grpc::ServerWriter<v1::CaptureChunk>* writer) override {
    return pass(&Service::Capture, context, request, writer);
  }
  grpc::Status Trace(grpc::ServerContext* context, const v1::TraceRequest* request,
                     grpc::ServerWriter<v1::TraceChunk>* writer) override {
    return pass(&Service::Trace, context, request, writer);
  }
};

}  // namespace portcullis::service
