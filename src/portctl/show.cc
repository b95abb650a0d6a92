// What the gateway has done.
#include <algorithm>
#include <cstdio>
#include <memory>

#include "portcullis/v1/observe_service.grpc.pb.h"
#include "src/portctl/commands.h"
#include "src/portctl/table.h"

namespace portcullis::portctl {
namespace {

using Observe = v1::ObserveService::Stub;

std::string text(uint64_t value) {
  return std::to_string(value);
}

std::string drop_table(const v1::ListDropsResponse& reply, bool all) {
  Table table({{"REASON"}, {"STAGE"}, {"PACKETS", right}, {"MEANING"}});
  for (const v1::DropCounter& drop : reply.drops()) {
    if (all || drop.packets() != 0)
      table.add({drop.reason(), drop.stage(), text(drop.packets()), drop.description()});
  }
  return table.empty() ? "no packet was dropped\n" : table.to_string();
}

std::string port_table(const v1::ListPortsResponse& reply) {
  Table table({{"PORT"},
               {"ROLE"},
               {"LINK"},
               {"MAC"},
               {"MTU", right},
               {"NUMA", right},
               {"RX-PACKETS", right},
               {"RX-BYTES", right},
               {"TX-PACKETS", right},
               {"TX-BYTES", right},
               {"MISSED", right},
               {"NEXT-HOP"},
               {"DEVICE"}});
  for (const v1::PortStatistics& port : reply.ports()) {
    const bool uplink = port.role() == v1::PortStatistics::UPLINK;
    std::string next_hop;
    if (uplink) {
      next_hop =
          port.next_hop().empty()
              ? port.next_hop_mac()
              : port.next_hop() + " " + (port.next_hop_mac().empty() ? "unresolved" : port.next_hop_mac());
    }
    table.add({id_of(port.name()), uplink ? "uplink" : "endpoint", port.link_up() ? "up" : "down", port.mac(),
               text(port.mtu()), port.numa_node() < 0 ? "" : std::to_string(port.numa_node()),
               text(port.received_packets()), text(port.received_bytes()), text(port.transmitted_packets()),
               text(port.transmitted_bytes()), text(port.missed_packets()), next_hop, port.device()});
  }
  return table.to_string();
}

// With three digits.
std::string duration_text(uint64_t nanoseconds) {
  double value = static_cast<double>(nanoseconds) / 1000;
  const char* unit = "us";
  for (const char* greater : {"ms", "s"})
    if (value >= 999.5) value /= 1000, unit = greater;
  char text[32];
  std::snprintf(text, sizeof text, "%.*f %s", value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2, value, unit);
  return text;
}

std::string worker_table(const v1::ListWorkersResponse& reply) {
  Table table({{"WORKER", right},   {"CORE", right},        {"NUMA", right},
               {"RECEIVED", right}, {"ORIGINATED", right},  {"TRANSMITTED", right},
               {"DROPPED", right},  {"PUNTED", right},      {"HELD", right},
               {"HANDED", right},   {"TAKEN", right},       {"BUSY", right},
               {"FLOWS", right},    {"OF", right},          {"IPV6-FLOWS", right},
               {"OF", right},       {"FRAGMENTED", right},  {"IPV6-FRAGMENTED", right},
               {"OF", right},       {"LONGEST-GAP", right}, {"RECENT-GAP", right}});
  for (const v1::WorkerStatistics& worker : reply.workers()) {
    const uint64_t busy = worker.polls() == 0 ? 0 : worker.busy_polls() * 100 / worker.polls();
    table.add({text(worker.worker()),
               text(worker.core()),
               worker.numa_node() < 0 ? "" : std::to_string(worker.numa_node()),
               text(worker.received()),
               text(worker.originated()),
               text(worker.transmitted()),
               text(worker.dropped()),
               text(worker.punted()),
               text(worker.held()),
               text(worker.handed_over()),
               text(worker.taken_over()),
               text(busy) + "%",
               text(worker.flow_entries()),
               text(worker.flow_capacity()),
               text(worker.ipv6_flow_entries()),
               text(worker.ipv6_flow_capacity()),
               text(worker.fragmented_datagrams()),
               text(worker.ipv6_fragmented_datagrams()),
               text(worker.fragment_capacity()),
               duration_text(worker.longest_gap_nanoseconds()),
               duration_text(worker.recent_longest_gap_nanoseconds())});
  }
  return table.to_string();
}

std::string state_text(v1::NextHop::State state) {
  switch (state) {
    case v1::NextHop::UNRESOLVED:
      return "unresolved";
    case v1::NextHop::RESOLVED:
      return "resolved";
    case v1::NextHop::FIXED:
      return "fixed";
    default:
      return "";
  }
}

// The first of them; JSON has all.
std::string remotes_text(const v1::NextHop& next_hop) {
  constexpr int most = 3;
  const int count = next_hop.remotes_size();
  std::string text;
  for (int i = 0; i < std::min(count, most); ++i) text += (i == 0 ? "" : ",") + next_hop.remotes(i);
  return count > most ? text + ",+" + std::to_string(count - most) : text;
}

std::string next_hop_table(const v1::ListNextHopsResponse& reply) {
  Table table(
      {{"PORT"}, {"NEXT-HOP"}, {"STATE"}, {"MAC"}, {"ANSWERED", right}, {"TUNNELS", right}, {"REMOTES"}});
  for (const v1::NextHop& next_hop : reply.next_hops()) {
    const bool is_of_tunnels = next_hop.tunnels() != 0;
    const std::string family = next_hop.family() == v1::NextHop::IPV6 ? "IPv6" : "IPv4";
    table.add({id_of(next_hop.port()), next_hop.address().empty() ? family : next_hop.address(),
               state_text(next_hop.state()), next_hop.mac(),
               next_hop.has_answered_seconds_ago()
                   ? duration_text(static_cast<uint64_t>(next_hop.answered_seconds_ago() * 1e9))
                   : "",
               is_of_tunnels ? text(next_hop.tunnels()) : "", remotes_text(next_hop)});
  }
  return table.empty() ? "no next hop\n" : table.to_string();
}

std::string eip_text(const v1::EipStatistics& reply) {
  Table totals({{""}, {"PACKETS", right}, {"BYTES", right}});
  totals.add({"in", text(reply.in_packets()), text(reply.in_bytes())});
  totals.add({"out", text(reply.out_packets()), text(reply.out_bytes())});
  Table rules({{"RULE"}, {"HITS", right}});
  for (const v1::RuleHits& hits : reply.rules()) rules.add({hits.rule(), text(hits.packets())});
  return totals.to_string() + "flow entries: " + text(reply.flow_entries()) + " of " +
         text(reply.flow_quota()) + "\n" + (rules.empty() ? "no rules\n" : rules.to_string());
}

// Within what so many of a hundred were done, as closely as it was counted.
std::string within(const v1::Durations& durations, uint64_t percent) {
  uint64_t all = 0, times = 0;
  for (const v1::Durations::Bucket& bucket : durations.buckets()) all += bucket.times();
  if (all == 0) return "";
  for (const v1::Durations::Bucket& bucket : durations.buckets()) {
    times += bucket.times();
    if (times * 100 < all * percent) continue;
    return bucket.up_to_microseconds() == 0 ? "longer" : duration_text(bucket.up_to_microseconds() * 1000);
  }
  return "";
}

std::string gateway_text(const v1::Gateway& reply) {
  Table table({{"WHAT"}, {"VALUE", right}, {"OF", right}});
  table.add({"version", reply.version()});
  table.add({"generation", text(reply.generation())});
  table.add({"EIPs known", text(reply.eips_known()), text(reply.eip_capacity())});
  table.add({"EIPs local", text(reply.eips_local())});
  table.add({"EIPs bound at the edge", text(reply.eips_bound_edge())});
  table.add({"permit chunks", text(reply.permit_chunks_used()), text(reply.permit_chunk_capacity())});
  table.add({"table bytes", text(reply.table_bytes())});
  if (reply.publishing().total_nanoseconds() == 0) return table.to_string();  // no change yet
  table.add({"99 % of changes durable within", within(reply.storing(), 99)});
  table.add({"99 % then enforced within", within(reply.publishing(), 99)});
  return table.to_string();
}

}  // namespace

void add_show(CLI::App& app, const Options& options) {
  CLI::App& noun = add_noun(app, "show", "What the gateway has done since its start");

  auto all = std::make_shared<bool>(false);
  CLI::App* drops = noun.add_subcommand("drops", "Why packets were dropped");
  drops->add_flag("--all", *all, "Reasons that never happened too");
  drops->callback([&options, all] {
    const v1::ListDropsResponse reply = Client(options).call(&Observe::ListDrops, v1::ListDropsRequest());
    print(options, reply, [&] { return drop_table(reply, *all); });
  });

  noun.add_subcommand("ports", "Ports, their links and counters (L2 bytes)")->callback([&options] {
    const v1::ListPortsResponse reply = Client(options).call(&Observe::ListPorts, v1::ListPortsRequest());
    print(options, reply, [&] { return port_table(reply); });
  });

  noun.add_subcommand("workers", "Workers: received + originated = transmitted + dropped + punted + held")
      ->callback([&options] {
        const v1::ListWorkersResponse reply =
            Client(options).call(&Observe::ListWorkers, v1::ListWorkersRequest());
        print(options, reply, [&] { return worker_table(reply); });
      });

  noun.add_subcommand("next-hops", "Next hops of the uplink and of tunnels: who has answered ARP or ND")
      ->callback([&options] {
        Client client(options);
        const auto reply = list_all(client, &Observe::ListNextHops, v1::ListNextHopsRequest());
        print(options, reply, [&] { return next_hop_table(reply); });
      });

  auto eip = std::make_shared<std::string>();
  CLI::App* statistics =
      noun.add_subcommand("eip", "Packets that passed to and from an EIP, and by which rule");
  statistics->add_option("EIP", *eip, "The EIP")->required();
  statistics->callback([&options, eip] {
    v1::GetEipStatisticsRequest request;
    request.set_eip(eip_name(options, *eip));
    const v1::EipStatistics reply = Client(options).call(&Observe::GetEipStatistics, request);
    print(options, reply, [&] { return eip_text(reply); });
  });

  noun.add_subcommand("gateway", "What is known, bound and used, and what there is room for")
      ->callback([&options] {
        const v1::Gateway reply = Client(options).call(&Observe::GetGateway, v1::GetGatewayRequest());
        print(options, reply, [&] { return gateway_text(reply); });
      });
}

}  // namespace portcullis::portctl
