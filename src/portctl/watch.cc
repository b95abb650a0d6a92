// Rates, as counters move between two readings.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string_view>
#include <thread>
#include <vector>

#include "portcullis/v1/observe_service.grpc.pb.h"
#include "portcullis/v1/tenant_service.grpc.pb.h"
#include "src/portctl/commands.h"
#include "src/portctl/table.h"

namespace portcullis::portctl {
namespace {

using Clock = std::chrono::steady_clock;
using Json = nlohmann::ordered_json;
using Observe = v1::ObserveService::Stub;

constexpr uint32_t most_eips = 100;  // that are asked for if none is named: each is a call
constexpr std::array parts{"ports", "workers", "eips", "drops"};

struct WatchArguments {
  std::vector<std::string> parts;
  std::vector<std::string> eips;
  double interval = 1;  // seconds
  uint64_t count = 0;   // samples; 0: for ever
  bool once = false;

  [[nodiscard]] bool shows(const std::string& part) const {
    return parts.empty() ? eips.empty() || part == "eips" : std::ranges::count(parts, part) != 0;
  }
};

struct Reading {
  Clock::time_point when;
  std::map<std::string, v1::PortStatistics> ports;
  std::map<uint32_t, v1::WorkerStatistics> workers;
  std::map<std::string, v1::EipStatistics> eips;
  std::vector<v1::DropCounter> drops;  // in the order of the pipeline
};

void read_eips(Client& client, const Options& options, const WatchArguments& args, Reading& reading) {
  const auto read = [&](const std::string& name) {
    v1::GetEipStatisticsRequest request;
    request.set_eip(name);
    reading.eips.emplace(id_of(name), client.call(&Observe::GetEipStatistics, request));
  };
  for (const std::string& eip : args.eips) read(eip_name(options, eip));
  if (!args.eips.empty()) return;
  v1::ListEipsRequest request;
  request.set_parent("tenants/" + options.tenant);
  request.set_page_size(most_eips);
  const v1::ListEipsResponse listed = client.call(&v1::TenantService::Stub::ListEips, request);
  for (const v1::Eip& eip : listed.eips()) {
    try {
      read(eip.name());
    } catch (const Failure& failure) {
      if (failure.code != refused) throw;  // released meanwhile
    }
  }
}

Reading read(Client& client, const Options& options, const WatchArguments& args) {
  Reading reading;
  reading.when = Clock::now();
  if (args.shows("ports")) {
    const v1::ListPortsResponse reply = client.call(&Observe::ListPorts, v1::ListPortsRequest());
    for (const auto& port : reply.ports()) reading.ports.emplace(id_of(port.name()), port);
  }
  if (args.shows("workers")) {
    const v1::ListWorkersResponse reply = client.call(&Observe::ListWorkers, v1::ListWorkersRequest());
    for (const auto& worker : reply.workers()) reading.workers.emplace(worker.worker(), worker);
  }
  if (args.shows("eips")) read_eips(client, options, args, reading);
  if (args.shows("drops")) {
    const v1::ListDropsResponse reply = client.call(&Observe::ListDrops, v1::ListDropsRequest());
    reading.drops.assign(reply.drops().begin(), reply.drops().end());
  }
  return reading;
}

// Units a second between two readings, to a tenth.
class Rate {
 public:
  explicit Rate(double seconds) : seconds_(seconds) {}

  // A counter that is less than it was began again with the gateway.
  [[nodiscard]] double operator()(uint64_t before, uint64_t after, double unit = 1) const {
    const uint64_t moved = after >= before ? after - before : after;
    return std::round(static_cast<double>(moved) * unit / seconds_ * 10) / 10;
  }

 private:
  double seconds_;
};

constexpr double bits = 8;  // of a byte

// What was not there before began at zero.
template <typename Map>
typename Map::mapped_type earlier(const Map& map, const typename Map::key_type& key) {
  const auto found = map.find(key);
  return found == map.end() ? typename Map::mapped_type() : found->second;
}

Json port_rates(const Reading& before, const Reading& after, const Rate& rate) {
  Json rows = Json::array();
  for (const auto& [name, now] : after.ports) {
    const v1::PortStatistics was = earlier(before.ports, name);
    rows.push_back({{"port", name},
                    {"receivedPackets", rate(was.received_packets(), now.received_packets())},
                    {"receivedBits", rate(was.received_bytes(), now.received_bytes(), bits)},
                    {"transmittedPackets", rate(was.transmitted_packets(), now.transmitted_packets())},
                    {"transmittedBits", rate(was.transmitted_bytes(), now.transmitted_bytes(), bits)},
                    {"missedPackets", rate(was.missed_packets(), now.missed_packets())}});
  }
  return rows;
}

Json worker_rates(const Reading& before, const Reading& after, const Rate& rate) {
  Json rows = Json::array();
  for (const auto& [number, now] : after.workers) {
    const v1::WorkerStatistics was = earlier(before.workers, number);
    const double turns = rate(was.polls(), now.polls());
    const double busy = turns == 0 ? 0 : rate(was.busy_polls(), now.busy_polls()) / turns;
    rows.push_back({{"worker", number},
                    {"received", rate(was.received(), now.received())},
                    {"originated", rate(was.originated(), now.originated())},
                    {"transmitted", rate(was.transmitted(), now.transmitted())},
                    {"dropped", rate(was.dropped(), now.dropped())},
                    {"punted", rate(was.punted(), now.punted())},
                    {"busy", std::round(busy * 1000) / 1000},
                    {"flowEntries", now.flow_entries()},
                    {"flowCapacity", now.flow_capacity()},
                    {"ipv6FlowEntries", now.ipv6_flow_entries()},
                    {"ipv6FlowCapacity", now.ipv6_flow_capacity()}});
  }
  return rows;
}

Json eip_rates(const Reading& before, const Reading& after, const Rate& rate) {
  Json rows = Json::array();
  for (const auto& [address, now] : after.eips) {
    const v1::EipStatistics was = earlier(before.eips, address);
    rows.push_back({{"eip", address},
                    {"inPackets", rate(was.in_packets(), now.in_packets())},
                    {"inBits", rate(was.in_bytes(), now.in_bytes(), bits)},
                    {"outPackets", rate(was.out_packets(), now.out_packets())},
                    {"outBits", rate(was.out_bytes(), now.out_bytes(), bits)},
                    {"flowEntries", now.flow_entries()},
                    {"flowQuota", now.flow_quota()}});
  }
  return rows;
}

// Of reasons that happened in between.
Json drop_rates(const Reading& before, const Reading& after, const Rate& rate) {
  Json rows = Json::array();
  for (const v1::DropCounter& now : after.drops) {
    const auto was = std::ranges::find(before.drops, now.reason(), &v1::DropCounter::reason);
    const double packets = rate(was == before.drops.end() ? 0 : was->packets(), now.packets());
    if (packets != 0)
      rows.push_back({{"reason", now.reason()}, {"stage", now.stage()}, {"packets", packets}});
  }
  return rows;
}

Json sample_of(const WatchArguments& args, const Reading& before, const Reading& after) {
  const double seconds = std::chrono::duration<double>(after.when - before.when).count();
  const Rate rate(seconds);
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  std::array<char, 32> time{};
  std::strftime(time.data(), time.size(), "%FT%TZ", gmtime_r(&now, &utc));
  Json sample = {{"time", time.data()}, {"seconds", std::round(seconds * 1000) / 1000}};
  if (args.shows("ports")) sample["ports"] = port_rates(before, after, rate);
  if (args.shows("workers")) sample["workers"] = worker_rates(before, after, rate);
  if (args.shows("eips")) sample["eips"] = eip_rates(before, after, rate);
  if (args.shows("drops")) sample["drops"] = drop_rates(before, after, rate);
  return sample;
}

// Three digits and a unit: 0, 12.5, 1.21k, 45.3M.
std::string short_number(double value) {
  constexpr std::array units{"", "k", "M", "G", "T"};
  size_t unit = 0;
  for (; value >= 999.5 && unit + 1 < units.size(); ++unit) value /= 1000;
  const int decimals = value == std::floor(value) && unit == 0 ? 0 : value < 10 ? 2 : value < 100 ? 1 : 0;
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.*f%s", decimals, value, units[unit]);
  return text.data();
}

struct Column {
  const char* title;
  const char* field;
};

std::string cell(const Json& row, std::string_view field) {
  const Json& value = row[std::string(field)];
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_integer()) return std::to_string(value.get<uint64_t>());
  const auto number = value.get<double>();
  return field == "busy" ? std::to_string(std::lround(number * 100)) + "%" : short_number(number);
}

std::string table_of(const Json& rows, const std::vector<Column>& columns) {
  std::vector<Table::Column> titles;
  titles.reserve(columns.size());
  for (const Column& column : columns)
    titles.push_back({column.title, titles.empty() ? Table::Align::left : Table::Align::right});
  Table table(titles);
  for (const Json& row : rows) {
    std::vector<std::string> cells;
    cells.reserve(columns.size());
    for (const Column& column : columns) cells.push_back(cell(row, column.field));
    table.add(cells);
  }
  return table.to_string();
}

Json busy_ones(const Json& eips) {
  Json busy = Json::array();
  for (const Json& eip : eips)
    if (eip["inPackets"] != 0.0 || eip["outPackets"] != 0.0) busy.push_back(eip);
  return busy;
}

std::string text_of(const Json& sample, const WatchArguments& args) {
  std::string text = sample["time"].get<std::string>() + ", a second, over " +
                     short_number(sample["seconds"].get<double>()) + " s\n";
  if (sample.contains("ports"))
    text += "\n" + table_of(sample["ports"], {{"PORT", "port"},
                                              {"RX-PACKETS", "receivedPackets"},
                                              {"RX-BITS", "receivedBits"},
                                              {"TX-PACKETS", "transmittedPackets"},
                                              {"TX-BITS", "transmittedBits"},
                                              {"MISSED", "missedPackets"}});
  if (sample.contains("workers"))
    text += "\n" + table_of(sample["workers"], {{"WORKER", "worker"},
                                                {"RECEIVED", "received"},
                                                {"ORIGINATED", "originated"},
                                                {"TRANSMITTED", "transmitted"},
                                                {"DROPPED", "dropped"},
                                                {"PUNTED", "punted"},
                                                {"BUSY", "busy"},
                                                {"FLOWS", "flowEntries"},
                                                {"OF", "flowCapacity"},
                                                {"IPV6-FLOWS", "ipv6FlowEntries"},
                                                {"OF", "ipv6FlowCapacity"}});
  if (sample.contains("eips")) {
    const Json eips = args.eips.empty() ? busy_ones(sample["eips"]) : sample["eips"];
    text += eips.empty() ? "\nno EIP had traffic\n"
                         : "\n" + table_of(eips, {{"EIP", "eip"},
                                                  {"IN-PACKETS", "inPackets"},
                                                  {"IN-BITS", "inBits"},
                                                  {"OUT-PACKETS", "outPackets"},
                                                  {"OUT-BITS", "outBits"},
                                                  {"FLOWS", "flowEntries"},
                                                  {"OF", "flowQuota"}});
  }
  if (sample.contains("drops"))
    text += sample["drops"].empty()
                ? "\nno packet was dropped\n"
                : "\n" + table_of(sample["drops"],
                                  {{"REASON", "reason"}, {"STAGE", "stage"}, {"DROPPED", "packets"}});
  return text;
}

void watch(const Options& options, const WatchArguments& args) {
  const uint64_t count = args.once ? 1 : args.count;
  const bool is_live = !options.json && count != 1 && isatty(STDOUT_FILENO) != 0;
  Client client(options);
  Reading before = read(client, options, args);
  auto next = before.when;
  for (uint64_t shown = 0; count == 0 || shown < count; ++shown) {
    next = std::max(
        next + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(args.interval)),
        Clock::now());
    std::this_thread::sleep_until(next);
    Reading after = read(client, options, args);
    const Json sample = sample_of(args, before, after);
    if (options.json)
      std::cout << sample.dump() << "\n";
    else
      std::cout << (is_live ? "\033[H\033[2J" : shown == 0 ? "" : "\n") << text_of(sample, args);
    if (!std::cout.flush()) return;  // nobody reads on
    before = std::move(after);
  }
}

}  // namespace

void add_watch(CLI::App& app, const Options& options) {
  auto args = std::make_shared<WatchArguments>();
  CLI::App* command = app.add_subcommand("watch", "Live rates of ports, workers, EIPs and drops");
  command->add_option("WHAT", args->parts, "What to show; otherwise all")
      ->check(CLI::IsMember(std::vector<std::string>(parts.begin(), parts.end())));
  command->add_option("--eip", args->eips, "An EIP to show, with traffic or without; may be repeated")
      ->take_all();
  command->add_option("--interval", args->interval, "Seconds between two samples")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str();
  CLI::Option* limit =
      command->add_option("--count", args->count, "End after so many samples; otherwise by Ctrl-C")
          ->check(CLI::Range(1, 1'000'000'000));
  command->add_flag("--once", args->once, "One sample: --count 1")->excludes(limit);
  command->footer(
      "\nWithout --eip the first 100 EIPs of the tenant are asked for, and those that had traffic are shown. "
      "With\n"
      "--json each sample is a line of JSON. A certificate of a tenant may watch eips alone.\n"
      "\nExamples:\n"
      "  portctl watch\n"
      "  portctl watch drops --interval 5\n"
      "  portctl watch --eip 203.0.113.1 --once\n"
      "  portctl watch ports workers --json --count 60 > minute.jsonl");
  command->callback([&options, args] { watch(options, *args); });
}

}  // namespace portcullis::portctl
