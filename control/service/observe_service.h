// What the gateway has done and does (observe_service.proto). Counters are read where workers write them;
// what the model knows is asked on the control thread. Thread: any of gRPC's.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "control/control.h"
#include "control/service/identity.h"
#include "control/service/patience.h"
#include "control/service/seats.h"
#include "dataplane/capture/capture.h"
#include "dataplane/mailbox.h"
#include "dataplane/tables/tables.h"
#include "dataplane/worker.h"
#include "portcullis/v1/observe_service.grpc.pb.h"

namespace portcullis::service {

// A configured port, as far as Tables::ports does not say.
struct PortFacts {
  PortId id = 0;
  std::string name;
  std::string device;  // as DPDK calls it
  int numa_node = -1;
  // Of an uplink, as configured: the tables have none of which the MAC is fixed.
  std::optional<Ipv4Addr> next_hop = std::nullopt;
  std::optional<Ipv6Addr> next_hop6 = std::nullopt;
};

struct LinkState {
  bool is_up = false;
  uint64_t missed_packets = 0;  // lost before a worker saw them
};

// The data plane, which nothing here changes. All of it outlives the service.
struct Sources {
  const Tables* tables = nullptr;
  std::vector<const Worker*> workers;
  std::vector<PortFacts> ports;
  std::function<LinkState(PortId)> link;  // asks the driver; any thread
  Captures* captures = nullptr;           // null: there are none
  // Has an errand carried out by a worker; any thread but the worker's.
  std::function<Expected<void>(const Worker&, Errand&)> ask = [](const Worker& worker, Errand& errand) {
    return worker.ask(errand);
  };
  // Of a caller of WatchEvents, Capture or Trace who does not read; its call is CANCELLED then.
  std::chrono::milliseconds patience = std::chrono::seconds(30);
  // How long a watch of one tenant says nothing while others change: then an event without changes says to
  // which generation it has come.
  std::chrono::milliseconds silence = std::chrono::seconds(10);
  // How long calls wait for a tunnel's new next hop: it answers within some turns of the punt thread, if it
  // is there.
  std::chrono::milliseconds next_hop_patience{500};
};

inline constexpr uint32_t most_watches = 100, most_watches_of_one = 8;
// Walks of flow tables have places in workers' mailboxes for long. What is left is for an Explain.
inline constexpr SeatsApart::Most most_walks{.of_provider = 2, .of_tenants = 4, .of_tenant = 2};
static_assert(most_walks.of_provider + most_walks.of_tenants < Mailbox::places);

class ObserveService final : public v1::ObserveService::Service {
 public:
  ObserveService(Control& control, Sources sources)
      : control_(control), sources_(std::move(sources)), patience_(sources_.patience) {}

  grpc::Status ListDrops(grpc::ServerContext*, const v1::ListDropsRequest*,
                         v1::ListDropsResponse* reply) override;
  grpc::Status ListPorts(grpc::ServerContext*, const v1::ListPortsRequest*,
                         v1::ListPortsResponse* reply) override;
  grpc::Status ListWorkers(grpc::ServerContext*, const v1::ListWorkersRequest*,
                           v1::ListWorkersResponse* reply) override;
  grpc::Status ListNextHops(grpc::ServerContext*, const v1::ListNextHopsRequest* request,
                            v1::ListNextHopsResponse* reply) override;
  grpc::Status GetEipStatistics(grpc::ServerContext*, const v1::GetEipStatisticsRequest* request,
                                v1::EipStatistics* reply) override;
  grpc::Status GetGateway(grpc::ServerContext*, const v1::GetGatewayRequest*, v1::Gateway* reply) override;
  grpc::Status ListFlows(grpc::ServerContext*, const v1::ListFlowsRequest* request,
                         v1::ListFlowsResponse* reply) override;
  grpc::Status ClearFlows(grpc::ServerContext*, const v1::ClearFlowsRequest* request,
                          v1::ClearFlowsResponse* reply) override;
  grpc::Status Explain(grpc::ServerContext*, const v1::ExplainRequest* request,
                       v1::Explanation* reply) override;
  grpc::Status WatchEvents(grpc::ServerContext* context, const v1::WatchEventsRequest* request,
                           grpc::ServerWriter<v1::Event>* writer) override;
  grpc::Status Capture(grpc::ServerContext* context, const v1::CaptureRequest* request,
                       grpc::ServerWriter<v1::CaptureChunk>* writer) override;
  grpc::Status Trace(grpc::ServerContext* context, const v1::TraceRequest* request,
                     grpc::ServerWriter<v1::TraceChunk>* writer) override;

  // Gives up what others wait for, while the message still waits for a caller who does not read.
  using LetGo = std::function<void()>;
  // Sends; false when nobody listens any more, or reads. LetGo is called by another thread, once at most, and
  // not after the return.
  template <typename Message>
  using Send = std::function<bool(const Message&, const LetGo&)>;
  // WatchEvents. `is_over` is asked from time to time.
  [[nodiscard]] grpc::Status watch(const Identity& caller, const v1::WatchEventsRequest& request,
                                   const Send<v1::Event>& send, const std::function<bool()>& is_over);
  // Capture (capture.cc), the same way.
  [[nodiscard]] grpc::Status capture(const Identity& caller, const v1::CaptureRequest& request,
                                     const Send<v1::CaptureChunk>& send,
                                     const std::function<bool()>& is_over);
  // Trace (trace.cc), the same way.
  [[nodiscard]] grpc::Status trace(const Identity& caller, const v1::TraceRequest& request,
                                   const Send<v1::TraceChunk>& send, const std::function<bool()>& is_over);
  // Ends all watching, capturing and tracing. Idempotent.
  void stop() { is_stopping_ = true; }

 private:
  template <typename Message>
  [[nodiscard]] Send<Message> sender(grpc::ServerContext& context, const Identity& caller,
                                     grpc::ServerWriter<Message>& writer) {
    return [&](const Message& message, const LetGo& let_go) {
      const Patience::Wait waiting = patience_.wait(caller.name(), [&] {
        context.TryCancel();
        let_go();
      });
      return writer.Write(message);
    };
  }
  [[nodiscard]] Expected<CaptureFilter> filter_of(const v1::CaptureRequest& request);
  // What is said of it in a file's header and in the log. A comment has room for 65,535 bytes.
  [[nodiscard]] static std::string description_of(const v1::CaptureRequest& request);

  Control& control_;
  const Sources sources_;
  // Of a call that walks flow tables. `context` null: the provider's.
  [[nodiscard]] Expected<Seats::Seat> walk_seat(const grpc::ServerContext* context);

  Seats watches_{{.most = most_watches,
                  .most_of_one = most_watches_of_one,
                  .what = "watches, captures and traces",
                  .remedy = "end one"}};
  SeatsApart walks_{most_walks, "calls that walk flow tables"};
  Patience patience_;
  std::atomic<bool> is_stopping_ = false;
};

}  // namespace portcullis::service
