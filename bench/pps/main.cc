// bench-pps: clocks per packet of the whole worker loop, with the tables of the product. Output is verified
// byte for byte before a figure is printed.

#include <rte_cycles.h>
#include <rte_eal.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <bit>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bench/pps/rig.h"

namespace portcullis::bench {
namespace {

struct Options {
  Workload workload;
  uint32_t trials = 9;
  double seconds = 1.0;
  uint32_t core = 0;
  uint32_t memory_mb = 1024;
  bool no_huge = false;
  bool json = false;
};

struct Summary {
  double median = 0, min = 0, iqr = 0;
};

Summary summarise(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto at = [&](double q) {
    return values[static_cast<size_t>(q * static_cast<double>(values.size() - 1))];
  };
  return {.median = at(0.5), .min = values.front(), .iqr = at(0.75) - at(0.25)};
}

bool start_eal(const Options& options) {
  std::vector<std::string> arguments{"bench-pps",
                                     "-l",
                                     std::to_string(options.core),
                                     "-m",
                                     std::to_string(options.memory_mb),
                                     "--no-pci",
                                     "--no-telemetry",
                                     "--log-level=lib.eal:error"};
  arguments.emplace_back(options.no_huge ? "--no-huge" : "--in-memory");
  if (options.no_huge) arguments.emplace_back("--no-shconf");
  std::vector<char*> argv;
  argv.reserve(arguments.size());
  for (std::string& argument : arguments) argv.push_back(argument.data());
  return rte_eal_init(static_cast<int>(argv.size()), argv.data()) >= 0;
}

int run(const Options& options) {
  if (!start_eal(options)) {
    std::fprintf(stderr, "bench-pps: DPDK does not start; without hugepages use --no-huge\n");
    return 1;
  }
  const uint32_t flow_capacity = std::max<uint32_t>(65536, std::bit_ceil(options.workload.flows) * 4);
  auto rig = Rig::create(options.workload, flow_capacity);
  if (!rig) {
    std::fprintf(stderr, "bench-pps: %s\n", rig.error().message.c_str());
    return 1;
  }
  if (auto verified = (*rig)->verify(std::max<uint64_t>(options.workload.flows, 4096) * 2); !verified) {
    std::fprintf(stderr, "bench-pps: no figure: %s\n", verified.error().message.c_str());
    return 1;
  }
  std::vector<double> all_in;
  std::vector<double> floor;
  for (uint32_t trial = 0; trial < options.trials; ++trial) {
    std::fprintf(stderr, "\rtrial %u of %u", trial + 1, options.trials);
    floor.push_back((*rig)->measure_floor(options.seconds / 4).clocks_per_packet);
    const auto measured = (*rig)->measure(options.seconds);
    if (!measured) {
      std::fprintf(stderr, "\nbench-pps: no figure: %s\n", measured.error().message.c_str());
      return 1;
    }
    all_in.push_back(measured->clocks_per_packet);
  }
  std::fprintf(stderr, "\r%40s\r", "");
  const Summary total = summarise(all_in);
  const Summary io = summarise(floor);
  const auto hz = static_cast<double>(rte_get_tsc_hz());
  const double g = total.median - io.median;
  if (options.json) {
    const nlohmann::ordered_json report = {{"rig", "B"},
                                           {"eips", options.workload.eips},
                                           {"flows", options.workload.flows},
                                           {"tracked", options.workload.tracked},
                                           {"g", g},
                                           {"clocks", total.median},
                                           {"min", total.min},
                                           {"iqr", total.iqr},
                                           {"floor", io.median},
                                           {"mpps", hz / total.median / 1e6},
                                           {"ns", total.median / hz * 1e9},
                                           {"tsc_hz", hz},
                                           {"trials", options.trials},
                                           {"hugepages", !options.no_huge},
                                           {"verified", true}};
    std::printf("%s\n", report.dump(2).c_str());
    return 0;
  }
  std::printf("rig B, %u EIPs, %u flows, %s; output verified\n", options.workload.eips,
              options.workload.flows, options.workload.tracked ? "opened by endpoints" : "by a 4-rule list");
  std::printf("  worker loop  %7.1f clocks/packet  (min %.1f, IQR %.1f, %u trials)\n", total.median,
              total.min, total.iqr, options.trials);
  std::printf("  I/O floor    %7.1f\n", io.median);
  std::printf("  G            %7.1f clocks/packet\n", g);
  std::printf("  all in       %7.2f Mpps, %.1f ns at a TSC of %.2f GHz%s\n", hz / total.median / 1e6,
              total.median / hz * 1e9, hz / 1e9, options.no_huge ? ", without hugepages" : "");
  return 0;
}

}  // namespace
}  // namespace portcullis::bench

// NOLINTNEXTLINE(bugprone-exception-escape): only for want of memory, and then nothing else is left to do.
int main(int argc, char** argv) {
  using namespace portcullis::bench;
  Options options;
  CLI::App app{
      "Clocks per packet of Portcullis' worker loop (rig B: ring ports, one thread).\n"
      "Keep the other CPUs idle while it measures."};
  app.add_option("--eips", options.workload.eips, "EIPs, each with four rules")
      ->check(CLI::Range(1, 1 << 22))
      ->capture_default_str();
  app.add_option("--flows", options.workload.flows, "five-tuples, a power of two")
      ->check(CLI::Range(64, 1 << 24))
      ->capture_default_str();
  app.add_option("--way", options.workload.way, "in: external to EIP, out: EIP to external, both")
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, Way>{{"in", Way::in}, {"out", Way::out}, {"both", Way::both}}));
  app.add_flag(
      "--tracked", options.workload.tracked,
      "flows that endpoints opened (flow-table hits) instead of a permit rule's; implies --way both");
  app.add_option("--trials", options.trials)->check(CLI::Range(1, 1000))->capture_default_str();
  app.add_option("--seconds", options.seconds, "a trial's length")
      ->check(CLI::Range(0.01, 60.0))
      ->capture_default_str();
  app.add_option("--core", options.core, "CPU to run on")->capture_default_str();
  app.add_option("--memory", options.memory_mb, "MiB for DPDK")->capture_default_str();
  app.add_flag("--no-huge", options.no_huge, "without hugepages; the figure is then not one to quote");
  app.add_flag("--json", options.json);
  CLI11_PARSE(app, argc, argv);
  if (!std::has_single_bit(options.workload.flows)) {
    std::fprintf(stderr, "--flows: %u is no power of two\n", options.workload.flows);
    return 2;
  }
  if (options.workload.tracked) options.workload.way = Way::both;
  return run(options);
}
