#include "control/service/metrics.h"

#include <prometheus/client_metric.h>
#include <prometheus/metric_type.h>

#include <exception>
#include <limits>
#include <map>
#include <optional>
#include <utility>

#include "control/service/page.h"

namespace portcullis::service {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

MetricFamily new_family(std::string name, std::string help, MetricType type) {
  return {std::move(name), std::move(help), type, {}};
}

void add(MetricFamily& family, Labels labels, double value) {
  ClientMetric& metric = family.metric.emplace_back();
  metric.label = std::move(labels);
  (family.type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
}

// A field of a message as a metric.
template <typename Message>
struct Column {
  const char* name;
  const char* help;
  MetricType type;
  uint64_t (Message::*value)() const;
  double units_a_second = 0;     // of a time, which a page has in seconds
  const char* family = nullptr;  // of addresses, a label; columns of one name stand side by side
};
constexpr double nanoseconds = 1e9;

using Port = v1::PortStatistics;
constexpr Column<Port> port_columns[] = {
    {"portcullis_port_received_packets_total", "Frames that workers took from the port.", MetricType::Counter,
     &Port::received_packets},
    {"portcullis_port_received_bytes_total", "Bytes of these frames.", MetricType::Counter,
     &Port::received_bytes},
    {"portcullis_port_transmitted_packets_total", "Frames that the port took from workers.",
     MetricType::Counter, &Port::transmitted_packets},
    {"portcullis_port_transmitted_bytes_total", "Bytes of these frames.", MetricType::Counter,
     &Port::transmitted_bytes},
    {"portcullis_port_missed_packets_total", "Frames that the driver lost before a worker saw them.",
     MetricType::Counter, &Port::missed_packets},
};

using WorkerRow = v1::WorkerStatistics;
constexpr Column<WorkerRow> worker_columns[] = {
    {"portcullis_worker_received_packets_total", "Packets received.", MetricType::Counter,
     &WorkerRow::received},
    {"portcullis_worker_originated_packets_total", "Packets that the gateway made.", MetricType::Counter,
     &WorkerRow::originated},
    {"portcullis_worker_transmitted_packets_total", "Packets transmitted.", MetricType::Counter,
     &WorkerRow::transmitted},
    {"portcullis_worker_dropped_packets_total", "Packets dropped, for any reason.", MetricType::Counter,
     &WorkerRow::dropped},
    {"portcullis_worker_punted_packets_total", "Packets handed to the punt thread.", MetricType::Counter,
     &WorkerRow::punted},
    {"portcullis_worker_held_packets", "Packets that wait in a transmit queue.", MetricType::Gauge,
     &WorkerRow::held},
    {"portcullis_worker_handed_over_packets_total", "Packets handed to other workers.", MetricType::Counter,
     &WorkerRow::handed_over},
    {"portcullis_worker_taken_over_packets_total", "Packets that other workers handed over.",
     MetricType::Counter, &WorkerRow::taken_over},
    {"portcullis_worker_polls_total", "Turns of the worker's loop.", MetricType::Counter, &WorkerRow::polls},
    {"portcullis_worker_busy_polls_total", "Turns in which a packet was received or taken over.",
     MetricType::Counter, &WorkerRow::busy_polls},
    {"portcullis_worker_flow_entries", "Flow entries, expired ones that ageing has not met among them.",
     MetricType::Gauge, &WorkerRow::flow_entries, 0, "ipv4"},
    {"portcullis_worker_flow_entries", nullptr, MetricType::Gauge, &WorkerRow::ipv6_flow_entries, 0, "ipv6"},
    {"portcullis_worker_flow_capacity", "Flow entries that there is room for.", MetricType::Gauge,
     &WorkerRow::flow_capacity, 0, "ipv4"},
    {"portcullis_worker_flow_capacity", nullptr, MetricType::Gauge, &WorkerRow::ipv6_flow_capacity, 0,
     "ipv6"},
    {"portcullis_worker_fragmented_datagrams", "Datagrams under way in fragments.", MetricType::Gauge,
     &WorkerRow::fragmented_datagrams, 0, "ipv4"},
    {"portcullis_worker_fragmented_datagrams", nullptr, MetricType::Gauge,
     &WorkerRow::ipv6_fragmented_datagrams, 0, "ipv6"},
    {"portcullis_worker_fragment_capacity", "Datagrams in fragments that there is room for.",
     MetricType::Gauge, &WorkerRow::fragment_capacity, 0, "ipv4"},
    {"portcullis_worker_fragment_capacity", nullptr, MetricType::Gauge, &WorkerRow::fragment_capacity, 0,
     "ipv6"},
    {"portcullis_worker_longest_gap_seconds",
     "The longest time in which the worker looked at no port, since it began.", MetricType::Gauge,
     &WorkerRow::longest_gap_nanoseconds, nanoseconds},
    {"portcullis_worker_recent_longest_gap_seconds",
     "The longest of those that ended in this minute or the one before.", MetricType::Gauge,
     &WorkerRow::recent_longest_gap_nanoseconds, nanoseconds},
};

using Gateway = v1::Gateway;
constexpr Column<Gateway> gateway_columns[] = {
    {"portcullis_generation", "Changes of the state since the store was made.", MetricType::Gauge,
     &Gateway::generation},
    {"portcullis_eips", "EIPs known.", MetricType::Gauge, &Gateway::eips_known},
    {"portcullis_eips_local", "EIPs whose vm is behind this gateway.", MetricType::Gauge,
     &Gateway::eips_local},
    {"portcullis_eips_bound_edge", "EIPs that the outside can reach, or that can reach it.",
     MetricType::Gauge, &Gateway::eips_bound_edge},
    {"portcullis_eip_capacity", "EIPs that there is room for.", MetricType::Gauge, &Gateway::eip_capacity},
    {"portcullis_permit_chunks", "Permit chunks in use.", MetricType::Gauge, &Gateway::permit_chunks_used},
    {"portcullis_permit_chunk_capacity", "Permit chunks that there are.", MetricType::Gauge,
     &Gateway::permit_chunk_capacity},
    {"portcullis_table_bytes", "Memory of the tables, decided at start.", MetricType::Gauge,
     &Gateway::table_bytes},
};

// Prometheus' buckets are sums of all up to their bound.
MetricFamily histogram(std::string name, std::string help, const v1::Durations& durations) {
  MetricFamily family = new_family(std::move(name), std::move(help), MetricType::Histogram);
  prometheus::ClientMetric::Histogram& histogram = family.metric.emplace_back().histogram;
  for (const v1::Durations::Bucket& bucket : durations.buckets()) {
    histogram.sample_count += bucket.times();
    const uint64_t bound = bucket.up_to_microseconds();
    histogram.bucket.push_back({histogram.sample_count, bound == 0 ? std::numeric_limits<double>::infinity()
                                                                   : static_cast<double>(bound) / 1e6});
  }
  histogram.sample_sum = static_cast<double>(durations.total_nanoseconds()) / nanoseconds;
  return family;
}

// A family a column, or several side by side; a metric a message.
template <typename Message, size_t count, typename Messages, typename LabelsOf>
void add_columns(std::vector<MetricFamily>& families, const Column<Message> (&columns)[count],
                 const Messages& messages, LabelsOf&& labels_of) {
  for (const Column<Message>& column : columns) {
    if (column.help != nullptr) families.push_back(new_family(column.name, column.help, column.type));
    for (const Message& message : messages) {
      const auto value = static_cast<double>((message.*column.value)());
      Labels labels = labels_of(message);
      if (column.family != nullptr) labels.push_back({"family", column.family});
      add(families.back(), std::move(labels),
          column.units_a_second == 0 ? value : value / column.units_a_second);
    }
  }
}

std::string bare(const std::string& port_name) {
  return port_name.substr(port_name.find('/') + 1);
}

using NextHop = v1::NextHop;
constexpr std::pair<NextHop::State, const char*> next_hop_states[] = {
    {NextHop::UNRESOLVED, "unresolved"}, {NextHop::RESOLVED, "resolved"}, {NextHop::FIXED, "fixed"}};

using NextHopCounts = std::map<std::pair<std::string, NextHop::State>, uint64_t>;

// By port and state, of all pages.
std::optional<NextHopCounts> count_next_hops(v1::ObserveService::Service& observe) {
  NextHopCounts counts;
  v1::ListNextHopsRequest request;
  request.set_page_size(static_cast<int32_t>(max_page_size));
  do {
    v1::ListNextHopsResponse reply;
    if (!observe.ListNextHops(nullptr, &request, &reply).ok()) return std::nullopt;
    for (const NextHop& next_hop : reply.next_hops()) ++counts[{next_hop.port(), next_hop.state()}];
    request.set_page_token(reply.next_page_token());
  } while (!request.page_token().empty());
  return counts;
}

}  // namespace

std::vector<MetricFamily> Metrics::Collect() const {
  std::vector<MetricFamily> families;

  v1::ListDropsResponse drops;
  if (const v1::ListDropsRequest request; observe_.ListDrops(nullptr, &request, &drops).ok()) {
    MetricFamily& dropped = families.emplace_back(
        new_family("portcullis_dropped_packets_total",
                   "Packets dropped, by reason and the stage that drops for it.", MetricType::Counter));
    for (const v1::DropCounter& drop : drops.drops())
      add(dropped, {{"reason", drop.reason()}, {"stage", drop.stage()}}, static_cast<double>(drop.packets()));
  }

  v1::ListPortsResponse ports;
  if (const v1::ListPortsRequest request; observe_.ListPorts(nullptr, &request, &ports).ok()) {
    const auto labels = [](const Port& port) { return Labels{{"port", bare(port.name())}}; };
    add_columns(families, port_columns, ports.ports(), labels);
    MetricFamily& up =
        families.emplace_back(new_family("portcullis_port_up", "1: the link is up.", MetricType::Gauge));
    for (const Port& port : ports.ports()) add(up, labels(port), port.link_up() ? 1 : 0);
    if (auto counts = count_next_hops(observe_)) {
      MetricFamily& next_hops = families.emplace_back(new_family(
          "portcullis_next_hops", "Next hops of the uplink and of tunnels, by what is known of their MAC.",
          MetricType::Gauge));
      for (const Port& port : ports.ports())
        for (const auto& [state, name] : next_hop_states)
          add(next_hops, {{"port", bare(port.name())}, {"state", name}},
              static_cast<double>((*counts)[{port.name(), state}]));
    }
  }

  v1::ListWorkersResponse workers;
  if (const v1::ListWorkersRequest request; observe_.ListWorkers(nullptr, &request, &workers).ok())
    add_columns(families, worker_columns, workers.workers(), [](const WorkerRow& worker) {
      return Labels{{"worker", std::to_string(worker.worker())}};
    });

  Gateway gateway;
  if (const v1::GetGatewayRequest request; observe_.GetGateway(nullptr, &request, &gateway).ok()) {
    add_columns(families, gateway_columns, std::vector{gateway}, [](const Gateway&) { return Labels(); });
    families.push_back(histogram("portcullis_change_storing_seconds",
                                 "How long changes took until they were durable.", gateway.storing()));
    families.push_back(histogram("portcullis_change_publishing_seconds",
                                 "How long changes took from then on until every worker enforced them.",
                                 gateway.publishing()));
    MetricFamily& build = families.emplace_back(
        new_family("portcullis_build_info", "The release, in its label.", MetricType::Gauge));
    add(build, {{"version", gateway.version()}}, 1);
  }
  return families;
}

MetricsPage::MetricsPage(const std::string& listen, v1::ObserveService::Service& observe)
    : metrics_(std::make_shared<Metrics>(observe)), exposer_(listen, 1) {
  exposer_.RegisterCollectable(metrics_);
}

Expected<std::unique_ptr<MetricsPage>> MetricsPage::start(const std::string& listen,
                                                          v1::ObserveService::Service& observe) {
  try {
    return std::unique_ptr<MetricsPage>(new MetricsPage(listen, observe));
  } catch (const std::exception&) {  // CivetWeb does not say why
    return fail(
        ErrorCode::failed_precondition,
        "cannot listen on " + listen +
            " for metrics; is the address one of this machine, and the port not taken by somebody else? A "
            "network namespace has 127.0.0.1 once its lo is up",
        "metrics.listen");
  }
}

}  // namespace portcullis::service
