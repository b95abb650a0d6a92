#include "control/service/observe_service.h"

#include <chrono>
#include <numeric>
#include <optional>
#include <string>

#include "control/model/names.h"
#include "control/service/convert.h"
#include "control/service/document.h"
#include "control/service/explain.h"
#include "control/service/flows.h"
#include "control/service/next_hops.h"
#include "control/service/status.h"
#include "dataplane/drop.h"

namespace portcullis::service {
namespace {

using View = Control::View;

v1::PortStatistics::Role to_proto(PortRole role) {
  switch (role) {
    case PortRole::uplink:
      return v1::PortStatistics::UPLINK;
    case PortRole::endpoint:
      return v1::PortStatistics::ENDPOINT;
    case PortRole::none:
      break;
  }
  return v1::PortStatistics::ROLE_UNSPECIFIED;
}

// Sums what `value` reads of each worker.
template <typename Value>
uint64_t sum(const std::vector<const Worker*>& workers, Value&& value) {
  return std::accumulate(workers.begin(), workers.end(), uint64_t{0},
                         [&](uint64_t total, const Worker* worker) { return total + value(*worker); });
}

constexpr size_t events_at_once = 1000;
// How late a watcher learns that it is over.
constexpr std::chrono::milliseconds patience{200};

// `tenant`: whose objects alone; none: all.
v1::Event to_proto(const Event& event, const std::optional<model::TenantId>& tenant) {
  v1::Event message;
  message.set_generation(event.generation);
  const std::string prefix = tenant ? "tenants/" + *tenant + "/" : "";
  for (const model::ChangedObject& object : event.changes)
    if (object.name.starts_with(prefix)) *message.add_changes() = service::to_proto(object);
  return message;
}

v1::Durations to_proto(const Durations& durations) {
  const Durations::Counted counted = durations.counted();
  v1::Durations message;
  for (size_t i = 0; i < counted.times.size(); ++i) {
    v1::Durations::Bucket& bucket = *message.add_buckets();
    if (i < Durations::bounds.size())
      bucket.set_up_to_microseconds(static_cast<uint64_t>(Durations::bounds[i].count()));
    bucket.set_times(counted.times[i]);
  }
  message.set_total_nanoseconds(static_cast<uint64_t>(counted.total.count()));
  return message;
}

}  // namespace

grpc::Status ObserveService::ListDrops(grpc::ServerContext*, const v1::ListDropsRequest*,
                                       v1::ListDropsResponse* reply) {
  for (size_t reason = 0; reason < drop_count; ++reason) {
    v1::DropCounter& drop = *reply->add_drops();
    drop.set_reason(std::string(drop_registry[reason].name));
    drop.set_stage(std::string(drop_registry[reason].stage));
    drop.set_description(std::string(drop_registry[reason].text));
    drop.set_packets(
        sum(sources_.workers, [&](const Worker& worker) { return worker.counters().dropped[reason].get(); }));
  }
  return grpc::Status::OK;
}

grpc::Status ObserveService::ListPorts(grpc::ServerContext*, const v1::ListPortsRequest*,
                                       v1::ListPortsResponse* reply) {
  for (const PortFacts& facts : sources_.ports) {
    const PortInfo& info = sources_.tables->ports.ports[facts.id];
    v1::PortStatistics& port = *reply->add_ports();
    port.set_name("ports/" + facts.name);
    port.set_role(to_proto(info.role));
    port.set_device(facts.device);
    port.set_mac(info.mac.to_string());
    port.set_mtu(info.mtu);
    port.set_numa_node(facts.numa_node);
    const LinkState link = sources_.link(facts.id);
    port.set_link_up(link.is_up);
    port.set_missed_packets(link.missed_packets);

    const auto total = [&](Counter PortCounters::*counter) {
      return sum(sources_.workers,
                 [&](const Worker& worker) { return (worker.counters().ports[facts.id].*counter).get(); });
    };
    port.set_received_packets(total(&PortCounters::received_packets));
    port.set_received_bytes(total(&PortCounters::received_bytes));
    port.set_transmitted_packets(total(&PortCounters::transmitted_packets));
    port.set_transmitted_bytes(total(&PortCounters::transmitted_bytes));

    if (info.role != PortRole::uplink) continue;
    if (info.next_hop != Ipv4Addr()) port.set_next_hop(info.next_hop.to_string());
    if (Mac mac; sources_.tables->next_hop.find(facts.id, mac)) port.set_next_hop_mac(mac.to_string());
  }
  return grpc::Status::OK;
}

grpc::Status ObserveService::ListWorkers(grpc::ServerContext*, const v1::ListWorkersRequest*,
                                         v1::ListWorkersResponse* reply) {
  for (const Worker* worker : sources_.workers) {
    const WorkerCounters& counters = worker->counters();
    v1::WorkerStatistics& statistics = *reply->add_workers();
    statistics.set_worker(worker->config().id);
    statistics.set_core(worker->config().core);
    statistics.set_numa_node(worker->config().numa_node);
    statistics.set_received(counters.received());
    statistics.set_originated(counters.originated.get());
    statistics.set_transmitted(counters.transmitted());
    statistics.set_dropped(counters.dropped_all());
    statistics.set_punted(counters.punted.get());
    statistics.set_held(counters.held.get());
    statistics.set_handed_over(counters.handed_over.get());
    statistics.set_taken_over(counters.taken_over.get());
    statistics.set_polls(counters.polls.get());
    statistics.set_busy_polls(counters.busy_polls.get());
    statistics.set_flow_entries(worker->flows().size());
    statistics.set_flow_capacity(worker->flows().capacity());
    statistics.set_ipv6_flow_entries(worker->flows6().size());
    statistics.set_ipv6_flow_capacity(worker->flows6().capacity());
    statistics.set_fragmented_datagrams(worker->fragments().size());
    statistics.set_ipv6_fragmented_datagrams(worker->fragments6().size());
    statistics.set_fragment_capacity(worker->fragments().capacity());
    const PollGap::Longest gap = worker->longest_gap();
    statistics.set_longest_gap_nanoseconds(static_cast<uint64_t>(gap.ever.count()));
    statistics.set_recent_longest_gap_nanoseconds(static_cast<uint64_t>(gap.recent.count()));
  }
  return grpc::Status::OK;
}

grpc::Status ObserveService::ListNextHops(grpc::ServerContext*, const v1::ListNextHopsRequest* request,
                                          v1::ListNextHopsResponse* reply) {
  auto listed = list_next_hops(control_, sources_, *request);
  if (!listed) return to_status(listed.error());
  *reply = std::move(*listed);
  return grpc::Status::OK;
}

grpc::Status ObserveService::GetEipStatistics(grpc::ServerContext*,
                                              const v1::GetEipStatisticsRequest* request,
                                              v1::EipStatistics* reply) {
  const Expected<EipKey> key = eip_key(request->eip(), "eip");
  if (!key) return to_status(key.error());
  const auto statistics = control_.run([&](View view) {
    return view.model.find_eip(key->tenant, key->address).map([&](const model::Eip* eip) {
      reply->set_flow_quota(view.model.quota_of(*eip).flows.limit);
      return view.publisher.statistics(eip->address);
    });
  });
  if (!statistics) return to_status(statistics.error());
  reply->set_eip(model::eip_name(key->tenant, key->address));
  reply->set_in_packets(statistics->in_packets);
  reply->set_in_bytes(statistics->in_bytes);
  reply->set_out_packets(statistics->out_packets);
  reply->set_out_bytes(statistics->out_bytes);
  reply->set_flow_entries(statistics->flow_entries);
  for (const publish::RuleHits& hits : statistics->rules) {
    v1::RuleHits& rule = *reply->add_rules();
    rule.set_rule(hits.rule);
    rule.set_packets(hits.packets);
  }
  return grpc::Status::OK;
}

grpc::Status ObserveService::GetGateway(grpc::ServerContext*, const v1::GetGatewayRequest*,
                                        v1::Gateway* reply) {
  const auto asked = control_.run([&](View view) {
    const publish::Totals totals = view.publisher.totals();
    reply->set_generation(view.model.state().generation);
    reply->set_eips_known(view.model.state().eips.size());
    reply->set_eips_local(totals.local);
    reply->set_eips_bound_edge(totals.edge);
    reply->set_eip_capacity(view.model.limits().eips);
    reply->set_permit_chunks_used(totals.permit_chunks_used);
    reply->set_permit_chunk_capacity(view.model.limits().permit_chunks);
  });
  if (!asked) return to_status(asked.error());
  *reply->mutable_storing() = to_proto(control_.durations().storing);
  *reply->mutable_publishing() = to_proto(control_.durations().publishing);
  reply->set_version(PORTCULLIS_VERSION);
  reply->set_table_bytes(sources_.tables->bytes() +
                         sum(sources_.workers, [](const Worker& worker) { return worker.bytes(); }));
  return grpc::Status::OK;
}

grpc::Status ObserveService::ListFlows(grpc::ServerContext* context, const v1::ListFlowsRequest* request,
                                       v1::ListFlowsResponse* reply) {
  const auto seat = walk_seat(context);
  if (!seat) return to_status(seat.error());
  auto listed = list_flows(control_, sources_, *request);
  if (!listed) return to_status(listed.error());
  *reply = std::move(*listed);
  return grpc::Status::OK;
}

grpc::Status ObserveService::ClearFlows(grpc::ServerContext* context, const v1::ClearFlowsRequest* request,
                                        v1::ClearFlowsResponse* reply) {
  const auto seat = walk_seat(context);
  if (!seat) return to_status(seat.error());
  auto cleared = clear_flows(control_, sources_, *request);
  if (!cleared) return to_status(cleared.error());
  *reply = std::move(*cleared);
  return grpc::Status::OK;
}

Expected<Seats::Seat> ObserveService::walk_seat(const grpc::ServerContext* context) {
  const Expected<Identity> caller = context == nullptr ? Identity() : identity_of(*context);
  return caller.and_then([&](const Identity& identity) { return walks_.take(identity); });
}

grpc::Status ObserveService::Explain(grpc::ServerContext*, const v1::ExplainRequest* request,
                                     v1::Explanation* reply) {
  auto explanation = explain(control_, sources_, *request);
  if (!explanation) return to_status(explanation.error());
  *reply = std::move(*explanation);
  return grpc::Status::OK;
}

grpc::Status ObserveService::WatchEvents(grpc::ServerContext* context, const v1::WatchEventsRequest* request,
                                         grpc::ServerWriter<v1::Event>* writer) {
  const Expected<Identity> caller = identity_of(*context);
  if (!caller) return to_status(caller.error());
  return watch(*caller, *request, sender(*context, *caller, *writer), [&] { return context->IsCancelled(); });
}

grpc::Status ObserveService::watch(const Identity& caller, const v1::WatchEventsRequest& request,
                                   const Send<v1::Event>& send, const std::function<bool()>& is_over) {
  const auto tenant = parent_tenant(request.parent());
  if (!tenant) return to_status(tenant.error());
  const auto seat = watches_.take(caller.name());
  if (!seat) return to_status(seat.error());
  const History& history = control_.history();
  using Clock = std::chrono::steady_clock;
  model::Generation seen = request.has_after_generation() ? request.after_generation() : history.oldest();
  model::Generation told = seen;
  Clock::time_point told_at = Clock::now();
  // Its seat stays taken: the call has its thread still.
  const auto tell = [&](const v1::Event& message) {
    told = message.generation();
    told_at = Clock::now();
    return send(message, [] {});
  };
  while (!is_over()) {
    if (is_stopping_)
      return to_status(Error{ErrorCode::unavailable, "the gateway is stopping; try again", {}, {}});
    const auto events =
        history.after(seen, events_at_once, request.until_now() ? std::chrono::milliseconds(0) : patience);
    if (!events) return to_status(events.error());
    for (const auto& event : *events) {
      seen = event->generation;
      const v1::Event message = to_proto(*event, *tenant);
      if (tenant->has_value() && message.changes().empty()) continue;
      if (!tell(message)) return grpc::Status::OK;
    }
    const bool is_last = events->empty() && request.until_now();
    if (told != seen && (is_last || Clock::now() - told_at >= sources_.silence)) {
      v1::Event message;
      message.set_generation(seen);
      if (!tell(message)) return grpc::Status::OK;
    }
    if (is_last) break;
  }
  return grpc::Status::OK;
}

}  // namespace portcullis::service
