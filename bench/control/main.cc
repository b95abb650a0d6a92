// bench-control: what the control side does in how long. A portcullisd of its own, with its store on a disk;
// a controller that fills it and changes it through gRPC; frames that are fed to its worker meanwhile.
// docs/bench-control.md is its page.

#include <sched.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "bench/control/client.h"
#include "bench/control/process.h"
#include "bench/pps/capture.h"

namespace portcullis::bench {
namespace {

struct Options {
  std::string portcullisd;
  uint32_t eips = 65536;
  uint32_t known = 0;
  uint32_t batch = 1000;
  uint32_t streams = 2;
  uint32_t rounds = 5;
  double seconds = 2;
  uint32_t core = 1;
  uint32_t control_core = 0;
  uint32_t memory_mb = 0;
  bool no_huge = false;
  uint32_t compact_after = 0;
  bool no_updates = false;
  bool json = false;
};

// net_pcap's own, of its first port.
constexpr Mac uplink_mac{{0x02, 0x70, 0x63, 0x61, 0x70, 0x00}};

// To https of up to 254 EIPs, 16 remotes each.
std::vector<Packet> traffic(uint32_t eips) {
  std::vector<Packet> packets;
  for (uint32_t n = 0; n < std::min(eips, 254u); ++n)
    for (uint32_t flow = 0; flow < 16; ++flow)
      packets.push_back({.eip = Ipv4Addr::from_host(first_eip + 1 + n),
                         .dip = Ipv4Addr::from_host(first_dip + 1 + n),
                         .remote = Ipv4Addr::of(203, 0, 113, static_cast<uint8_t>(1 + flow)),
                         .local_port = 443,
                         .remote_port = static_cast<uint16_t>(20'000 + n)});
  return packets;
}

double at_percent(std::vector<double> values, double percent) {
  if (values.empty()) return std::nan("");
  std::ranges::sort(values);
  const auto last = static_cast<double>(values.size() - 1);
  return values[static_cast<size_t>(std::lround(last * percent / 100))];
}

nlohmann::ordered_json summary(const std::vector<double>& values) {
  return {
      {"median", at_percent(values, 50)}, {"min", at_percent(values, 0)}, {"max", at_percent(values, 100)}};
}

// How long changes took from being durable to being enforced by every worker, between two looks at the
// gateway.
class Publishing {
 public:
  Publishing(const v1::Gateway& before, const v1::Gateway& after) {
    for (int i = 0; i < after.publishing().buckets_size(); ++i) {
      const v1::Durations::Bucket& bucket = after.publishing().buckets(i);
      buckets_.push_back({bucket.up_to_microseconds(),
                          static_cast<double>(bucket.times() - before.publishing().buckets(i).times())});
      all_ += buckets_.back().times;
    }
  }
  // The share of them that took a millisecond at most.
  [[nodiscard]] double soon() const {
    double soon = 0;
    for (const Bucket& bucket : buckets_)
      if (bucket.up_to_us != 0 && bucket.up_to_us <= 1000) soon += bucket.times;
    return soon / all_;
  }
  // What so many percent of them took at most, as far as the gateway's buckets tell; null beyond the last
  // bound.
  [[nodiscard]] nlohmann::ordered_json at_most_us(double percent) const {
    double sum = 0;
    for (const Bucket& bucket : buckets_)
      if ((sum += bucket.times) >= all_ * percent / 100)
        return bucket.up_to_us != 0 ? nlohmann::ordered_json(bucket.up_to_us) : nlohmann::ordered_json();
    return {};
  }

 private:
  struct Bucket {
    uint64_t up_to_us;  // 0: without a bound
    double times;
  };
  std::vector<Bucket> buckets_;
  double all_ = 0;
};

nlohmann::ordered_json of_updates(const Updates& updates) {
  const double seconds = updates.taken.count();
  return {{"lists_per_s", static_cast<double>(updates.lists) / seconds},
          {"calls", updates.latencies_us.size()},
          {"p50_us", at_percent(updates.latencies_us, 50)},
          {"p99_us", at_percent(updates.latencies_us, 99)},
          {"max_us", at_percent(updates.latencies_us, 100)},
          {"client_cpu", updates.client_cpu.count() / seconds},
          {"gateway_cpu", updates.gateway_cpu.count() / seconds}};
}

class Session {
 public:
  explicit Session(const Options& options) : options_(options) {}

  nlohmann::ordered_json run() {
    auto packets = CaptureFile::write(traffic(options_.eips), uplink_mac);
    if (!packets) throw std::runtime_error(packets.error().message);
    GatewayProcess gateway(options_.portcullisd, {.eips = options_.eips,
                                                  .known = options_.known,
                                                  .control_core = options_.control_core,
                                                  .worker_core = options_.core,
                                                  .memory_mb = options_.memory_mb,
                                                  .no_huge = options_.no_huge,
                                                  .compact_after = options_.compact_after,
                                                  .capture = packets->path()});
    nlohmann::ordered_json report{{"eips", options_.eips}, {"known", pool_addresses(options_.known)}};
    say("an empty gateway starts");
    report["start_empty_s"] = gateway.start().count();
    say("%u EIPs with 4 rules each are made", options_.eips);
    {
      Controller controller(gateway.target());
      const auto began = std::chrono::steady_clock::now();
      controller.populate(options_.eips);
      const Seconds taken = std::chrono::steady_clock::now() - began;
      report["populate_s"] = taken.count();
    }
    say("it is killed, and starts again");
    gateway.kill();
    report["start_s"] = gateway.start().count();
    Controller controller(gateway.target());
    const v1::Gateway state = controller.gateway();
    if (state.eips_local() != options_.eips)
      throw std::runtime_error("after its restart it has " + std::to_string(state.eips_local()) + " EIPs");
    report["table_bytes"] = state.table_bytes();
    report["resident_bytes"] = gateway.resident_bytes();
    report["store_bytes"] = gateway.store_bytes();
    if (!options_.no_updates) measure_updates(gateway, controller, report);
    return report;
  }

 private:
  template <typename... Values>
  static void say(const char* format, Values... values) {
    std::fprintf(stderr, format, values...);
    std::fputs("\n", stderr);
  }

  // Packets a second that the worker passes while `work` runs.
  static double passing(Controller& observer, const std::function<void()>& work) {
    const uint64_t before = observer.passed_packets();
    const auto began = std::chrono::steady_clock::now();
    work();
    const Seconds taken = std::chrono::steady_clock::now() - began;
    return static_cast<double>(observer.passed_packets() - before) / taken.count();
  }

  // The same calls with and without publication, one after the other in each round: the load of the machine
  // is in both.
  void measure_updates(const GatewayProcess& gateway, Controller& controller,
                       nlohmann::ordered_json& report) {
    const Seconds seconds(options_.seconds);
    std::vector<double> idle, dry, real, rates, dips;
    Updates all;
    const v1::Gateway at_first = controller.gateway();
    for (uint32_t round = 0; round < options_.rounds; ++round) {
      say("round %u of %u: lists are changed, %u in a call", round + 1, options_.rounds, options_.batch);
      idle.push_back(passing(controller, [&] { std::this_thread::sleep_for(seconds); }));
      if (idle.back() == 0) throw std::runtime_error("no packet passes: what is fed does not come out");
      const auto update = [&](bool dry_run) {
        Updates updates;
        const double passed = passing(controller, [&] {
          updates =
              controller.update(options_.eips, options_.batch, options_.streams, seconds, dry_run, gateway);
        });
        (dry_run ? dry : real).push_back(passed);
        return updates;
      };
      static_cast<void>(update(true));
      const Updates done = update(false);
      rates.push_back(static_cast<double>(done.lists) / done.taken.count());
      dips.push_back(1 - real.back() / dry.back());
      all.lists += done.lists;
      all.taken += done.taken;
      all.client_cpu += done.client_cpu;
      all.gateway_cpu += done.gateway_cpu;
      all.latencies_us.insert(all.latencies_us.end(), done.latencies_us.begin(), done.latencies_us.end());
    }
    const v1::Gateway before = controller.gateway();
    const Publishing publishing(at_first, before);
    report["updates"] = of_updates(all);
    report["updates"]["enforced_p50_at_most_us"] = publishing.at_most_us(50);
    report["updates"]["enforced_p99_at_most_us"] = publishing.at_most_us(99);
    report["updates"]["batch"] = options_.batch;
    report["updates"]["streams"] = options_.streams;
    report["updates"]["by_round"] = rates;
    report["traffic"] = {{"idle_pps", summary(idle)},
                         {"without_publication_pps", summary(dry)},
                         {"with_publication_pps", summary(real)},
                         {"dip", summary(dips)}};
    say("one list a call");
    report["single"] = of_updates(controller.single(options_.eips, seconds, gateway));
    report["single"]["enforced_within_1_ms"] = Publishing(before, controller.gateway()).soon();
  }

  const Options& options_;
};

void print(const nlohmann::ordered_json& report) {
  const auto number = [&](const char* pointer) {
    return report.at(nlohmann::ordered_json::json_pointer(pointer)).get<double>();
  };
  std::printf("EIPs             %10.0f  with 4 rules each; %.0f further addresses are known\n",
              number("/eips"), number("/known"));
  std::printf("start, empty     %10.2f  s\n", number("/start_empty_s"));
  std::printf("made in          %10.2f  s\n", number("/populate_s"));
  std::printf("start            %10.2f  s, until all of them are published and the receive side is open\n",
              number("/start_s"));
  std::printf("tables           %10.1f  MB; %.1f MB resident, store %.1f MB\n", number("/table_bytes") / 1e6,
              number("/resident_bytes") / 1e6, number("/store_bytes") / 1e6);
  if (!report.contains("updates")) return;
  std::printf("lists a second   %10.0f  %.0f in a call, %.0f calls at once, each call durable\n",
              number("/updates/lists_per_s"), number("/updates/batch"), number("/updates/streams"));
  std::printf("  a call         %10.0f  us, p99 %.0f, longest %.0f, until all of it is enforced\n",
              number("/updates/p50_us"), number("/updates/p99_us"), number("/updates/max_us"));
  const auto bound = [&](const char* pointer) {
    const auto& value = report.at(nlohmann::ordered_json::json_pointer(pointer));
    return value.is_null() ? std::string("unknown") : std::to_string(value.get<uint64_t>());
  };
  std::printf("  of that        %10s  us at most from being durable to being enforced, p99 %s\n",
              bound("/updates/enforced_p50_at_most_us").c_str(),
              bound("/updates/enforced_p99_at_most_us").c_str());
  std::printf("  CPUs           %10.2f  the client's, %.2f the gateway's without its worker\n",
              number("/updates/client_cpu"), number("/updates/gateway_cpu"));
  std::printf(
      "one list a call  %10.0f  a second: p50 %.0f us, p99 %.0f, longest %.0f, until it is enforced\n",
      number("/single/lists_per_s"), number("/single/p50_us"), number("/single/p99_us"),
      number("/single/max_us"));
  std::printf("  of them        %10.2f  %% were enforced within 1 ms of being durable\n",
              number("/single/enforced_within_1_ms") * 100);
  std::printf(
      "traffic          %10.2f  Mpps; %.2f beside calls without publication, %.2f with it: dip %.1f %% "
      "(%.1f to %.1f)\n",
      number("/traffic/idle_pps/median") / 1e6, number("/traffic/without_publication_pps/median") / 1e6,
      number("/traffic/with_publication_pps/median") / 1e6, number("/traffic/dip/median") * 100,
      number("/traffic/dip/min") * 100, number("/traffic/dip/max") * 100);
}

std::string beside_this_program() {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path() / "../../src/portcullisd/portcullisd";
}

}  // namespace
}  // namespace portcullis::bench

// NOLINTNEXTLINE(bugprone-exception-escape): only for want of memory, and then nothing else is left to do.
int main(int argc, char** argv) {
  using namespace portcullis::bench;
  Options options;
  CLI::App app("What Portcullis' control side does in how long: updates, their latency, start-up.",
               "bench-control");
  app.add_option("--eips", options.eips, "EIPs, each of a vm of its own and with a list of four rules")
      ->check(CLI::Range(1u, 1u << 22))
      ->capture_default_str();
  app.add_option(
         "--known", options.known,
         "further addresses that the gateway knows, at least, in a pool of another one of the provider")
      ->check(CLI::Range(0u, (1u << 24) - 2))
      ->capture_default_str();
  app.add_option("--batch", options.batch, "lists in one Apply")
      ->check(CLI::Range(1u, 100'000u))
      ->capture_default_str();
  app.add_option("--streams", options.streams, "calls at once")
      ->check(CLI::Range(1u, 64u))
      ->capture_default_str();
  app.add_option("--rounds", options.rounds, "of idle, calls without publication, calls with it")
      ->check(CLI::Range(1u, 1000u))
      ->capture_default_str();
  app.add_option("--seconds", options.seconds, "of each of them")
      ->check(CLI::Range(0.1, 600.0))
      ->capture_default_str();
  app.add_option("--core", options.core, "CPU of the worker")->capture_default_str();
  app.add_option("--control-core", options.control_core,
                 "CPU of the gateway's other threads, and of this program")
      ->capture_default_str();
  app.add_option("--memory", options.memory_mb, "megabytes of DPDK's memory; 0: what the tables need")
      ->capture_default_str();
  app.add_flag("--no-huge", options.no_huge, "without hugepages");
  app.add_option("--compact-after", options.compact_after,
                 "change sets in the store's log; 0: as by default, which a run does not reach")
      ->check(CLI::Range(0u, 10'000'000u))
      ->capture_default_str();
  app.add_flag("--no-updates", options.no_updates, "start-up and memory alone");
  app.add_option("--portcullisd", options.portcullisd, "the program; by default the one built beside this")
      ->check(CLI::ExistingFile);
  app.add_flag("--json", options.json, "one JSON object instead of text");
  CLI11_PARSE(app, argc, argv);
  try {
    if (options.portcullisd.empty()) options.portcullisd = beside_this_program();
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(options.control_core, &cpus);
    if (sched_setaffinity(0, sizeof cpus, &cpus) != 0) throw std::runtime_error("there is no such CPU");
    const nlohmann::ordered_json report = Session(options).run();
    if (options.json)
      std::printf("%s\n", report.dump(2).c_str());
    else
      print(report);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench-control: %s\n", error.what());
    return 1;
  }
  return 0;
}
