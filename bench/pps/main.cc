// bench-pps: clocks per packet of the whole worker loop, with the tables of the product. Output is verified
// byte for byte before a figure is printed. docs/bench-pps.md is its page.

#include <rte_eal.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "bench/pps/measure.h"
#include "bench/pps/rows.h"
#include "bench/pps/session.h"

namespace portcullis::bench {
namespace {

struct Options {
  Plan plan;
  std::string way;
  std::string flood;
  std::string isa;
  std::string rig = "B";
  uint32_t memory_mb = 0;
  bool no_neighbour = false;
  bool no_stages = false;
  bool no_huge = false;
  bool json = false;
};

// The CPUs of all workers, as DPDK takes them.
std::string cpus_of(const Plan& plan) {
  std::string cpus;
  for (uint32_t n = 0; n < plan.workload.workers; ++n)
    cpus += (n == 0 ? "" : ",") + std::to_string(cpu_of_worker(plan.core, n));
  return cpus;
}

bool start_eal(const Options& options) {
  std::vector<std::string> arguments{"bench-pps",
                                     "-l",
                                     cpus_of(options.plan),
                                     "--main-lcore",
                                     std::to_string(options.plan.core),
                                     "--no-pci",
                                     "--no-telemetry",
                                     "--log-level=lib.eal:error"};
  uint32_t memory_mb = options.memory_mb;
  if (options.no_huge) {
    // Reserved at once, and touched only as it is used.
    constexpr uint32_t enough_mb = 16384;
    if (memory_mb == 0) memory_mb = enough_mb;
    arguments.insert(arguments.end(), {"--no-huge", "--no-shconf"});
  } else {
    arguments.emplace_back("--in-memory");
  }
  if (memory_mb != 0) arguments.insert(arguments.end(), {"-m", std::to_string(memory_mb)});
  std::vector<char*> argv;
  argv.reserve(arguments.size());
  for (std::string& argument : arguments) argv.push_back(argument.data());
  return rte_eal_init(static_cast<int>(argv.size()), argv.data()) >= 0;
}

// --row before all other options, which may then change it.
const char* row_in(int argc, char** argv) {
  for (int n = 1; n < argc; ++n) {
    if (std::strncmp(argv[n], "--row=", 6) == 0) return argv[n] + 6;
    if (std::strcmp(argv[n], "--row") == 0 && n + 1 < argc) return argv[n + 1];
  }
  return nullptr;
}

std::string list_of_rows() {
  std::string text = "Rows of the table of targets:\n";
  for (const Row& row : rows()) {
    text += "  " + std::string(row.name);
    text.resize(text.size() + 12 - row.name.size(), ' ');
    text += std::string(row.work) + "\n";
  }
  return text;
}

int usage_error(const std::string& message) {
  std::fprintf(stderr, "bench-pps: %s\n", message.c_str());
  return 2;
}

void add_work_options(CLI::App& app, Options& options) {
  Workload& work = options.plan.workload;
  const std::string group = "Work";
  app.add_option("--row", options.plan.row, "the options of a row of the table of targets; others may follow")
      ->group(group);
  app.add_option("--eips", work.eips, "EIPs, each with a list of its own")
      ->check(CLI::Range(1u, most_eips))
      ->capture_default_str()
      ->group(group);
  app.add_option("--flows", work.flows, "five-tuples, in a full-period pseudo-random order")
      ->check(CLI::Range(64u, 1u << 24))
      ->capture_default_str()
      ->group(group);
  app.add_option("--way", options.way, "in: external to EIP, out: EIP to external, both")
      ->check(CLI::IsMember({"in", "out", "both"}))
      ->group(group);
  app.add_flag_callback(
         "--tracked", [&work] { work.work = Work::tracked; },
         "flows that endpoints opened: every packet hits the flow table; both ways unless --way says which")
      ->group(group);
  app.add_flag_callback(
         "--storm", [&work] { work.work = Work::storm; },
         "new flows that endpoints open, two packets each; ageing included")
      ->group(group);
  app.add_option("--flood", options.flood,
                 "half SYNs from random sources at such a rule, or the table full before")
      ->check(CLI::IsMember({"listed", "tracked", "full"}))
      ->group(group);
  app.add_flag_callback(
         "--unbound", [&work] { work.work = Work::unbound; },
         "packets to addresses that nobody has: all dropped")
      ->group(group);
  app.add_flag_callback(
         "--not-permitted", [&work] { work.work = Work::not_permitted; },
         "packets that no list permits: all dropped")
      ->group(group);
  app.add_option("--rules", work.rules, "rules of each list; beyond 4: 30 % /32, 50 % /8 to /28, 20 % any")
      ->check(CLI::Range(1u, 100000u))
      ->capture_default_str()
      ->group(group);
  app.add_option("--shapes", work.shapes,
                 "combinations of ports in such a list; 0: a port of its own for each rule")
      ->check(CLI::Range(0u, 16u))
      ->capture_default_str()
      ->group(group);
  app.add_flag("--miss", work.miss, "packets that no rule of such a list matches")->group(group);
  app.add_flag("--ipv6", work.ipv6, "IPv6 packets, listed or tracked")->group(group);
  app.add_flag("--zipf", work.zipf, "flows by Zipf's law, s = 1.1, instead of all alike")->group(group);
  app.add_flag("--sizes", work.sizes, "frames of 60 to 1514 bytes instead of 60")->group(group);
  app.add_option("--workers", work.workers, "that share a gateway, against one: row 12")
      ->check(CLI::Range(1u, Gateway::most_workers))
      ->capture_default_str()
      ->group(group);
  app.add_flag("--unspread", work.unspread,
               "of several workers: packets arrive at any of them, and are handed over to their owners")
      ->group(group);
  app.add_flag("--cold", options.plan.cold, "headers are in no cache when the worker polls")->group(group);
  app.add_option("--flow-slots", work.flow_slots,
                 "capacity of the flow table, a power of two; 0: for the flows")
      ->group(group);
  app.add_option("--idle-ms", work.idle_ms, "TCP idle time; 0: the product's")->group(group);
  app.add_option("--pace", work.pace, "storm: million new flows a second; 0: as many as it can")
      ->group(group);
}

void add_run_options(CLI::App& app, Options& options) {
  Plan& plan = options.plan;
  const std::string group = "Measuring";
  app.add_option("--rig", options.rig,
                 "B: ports of rings. A: net_pcap in, net_null out, as the peers are fed")
      ->check(CLI::IsMember({"A", "B"}))
      ->capture_default_str()
      ->group(group);
  app.add_option("--isa", options.isa, "back end; by default the widest that the CPU has")
      ->check(CLI::IsMember({"scalar", "avx2", "avx512"}))
      ->group(group);
  app.add_option("--trials", plan.trials)->check(CLI::Range(1, 1000))->capture_default_str()->group(group);
  app.add_option("--seconds", plan.seconds, "a trial's length")
      ->check(CLI::Range(0.01, 60.0))
      ->capture_default_str()
      ->group(group);
  app.add_option("--warm-up", plan.warm_up_seconds, "storm: worker time before the first trial")
      ->group(group);
  app.add_option("--load", plan.load, "of the residence histogram, as a share of the highest rate; 0: none")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str()
      ->group(group);
  app.add_flag("--no-stages", options.no_stages, "no pass for clocks by stage")->group(group);
  app.add_flag("--no-neighbour", options.no_neighbour, "no pass beside a busy CPU")->group(group);
  app.add_option("--core", plan.core, "CPU to run on")->capture_default_str()->group(group);
  app.add_option("--memory", options.memory_mb, "MiB for DPDK; 0: as much as it takes")->group(group);
  app.add_flag("--no-huge", options.no_huge, "without hugepages; the figure is then not one to quote")
      ->group(group);
  app.add_flag("--json", options.json, "one JSON object instead of text")->group(group);
}

std::string several_mean_nothing(const Plan& plan) {
  const Workload& work = plan.workload;
  if (plan.rig == 'A' || (work.work != Work::listed && work.work != Work::tracked) || work.miss)
    return "--workers: several take lists or --tracked, packets that come out, and rig B";
  if (work.workers > std::thread::hardware_concurrency())
    return "--workers: there is no CPU for each of " + std::to_string(work.workers);
  // Of each worker's some for each owner, whatever the hashes.
  constexpr uint32_t enough = 64;
  if (work.flows < enough * work.workers * work.workers)
    return "--workers " + std::to_string(work.workers) + " need " +
           std::to_string(enough * work.workers * work.workers) + " flows";
  return {};
}

// What options mean together; a message if they mean nothing.
std::string settle(Options& options) {
  Plan& plan = options.plan;
  Workload& work = plan.workload;
  if (!options.flood.empty()) {
    work.work = Work::flood;
    work.flood = options.flood == "listed"    ? Flood::listed
                 : options.flood == "tracked" ? Flood::tracked
                                              : Flood::full;
  }
  if (work.miss && !work.has_long_list()) return "--miss needs --rules beyond 4, or --shapes";
  if (work.has_long_list() && work.work != Work::listed)
    return "--rules beyond 4 and --shapes are for lists alone";
  if (work.work == Work::unbound && uint64_t{work.eips} + work.flows > most_eips)
    return "--unbound: EIPs and flows together are more than the pool";
  const std::vector<Way> both{Way::out, Way::in};
  if (options.way == "both" || (options.way.empty() && work.work == Work::tracked)) work.ways = both;
  if (options.way == "in") work.ways = {Way::in};
  if (options.way == "out") work.ways = {Way::out};
  if (work.work == Work::storm) {
    work.ways = both;
    constexpr uint32_t idle_ms = 2000, slots = 1u << 23;
    if (work.idle_ms == 0) work.idle_ms = idle_ms;
    if (work.flow_slots == 0) work.flow_slots = slots;
    // Ageing sweeps the table once in ten seconds.
    constexpr double one_sweep = 11;
    if (plan.warm_up_seconds == 0) plan.warm_up_seconds = one_sweep;
  }
  const bool one_way =
      work.work == Work::flood || work.work == Work::unbound || work.work == Work::not_permitted;
  if (one_way) work.ways = {Way::in};
  if (work.ipv6) {
    if (work.work == Work::storm || work.work == Work::flood) return "IPv6 has neither --storm nor --flood";
    if (work.eips > ipv6_pool_eips) return "IPv6 has at most 1048576 EIPs";
  }
  plan.rig = options.rig[0];
  if (plan.rig == 'A') {
    if (work.work == Work::storm || work.work == Work::flood)
      return "rig A repeats a file: it has neither --storm nor --flood";
    if (work.zipf || plan.cold) return "rig A has neither --zipf nor --cold";
  }
  if (work.workers > 1) {
    if (std::string message = several_mean_nothing(plan); !message.empty()) return message;
  } else if (work.unspread) {
    return "--unspread needs several --workers";
  }
  plan.isa = widest_isa();
  if (!options.isa.empty()) plan.isa = isa_of(options.isa).value_or(plan.isa);
  plan.neighbour = !options.no_neighbour;
  plan.stages = !options.no_stages;
  plan.hugepages = !options.no_huge;
  return {};
}

}  // namespace
}  // namespace portcullis::bench

// NOLINTNEXTLINE(bugprone-exception-escape): only for want of memory, and then nothing else is left to do.
int main(int argc, char** argv) {
  using namespace portcullis::bench;
  Options options;
  if (const char* name = row_in(argc, argv)) {
    const Row* row = find_row(name);
    if (row == nullptr) return usage_error("no row " + std::string(name) + "\n" + list_of_rows());
    options.plan.workload = row->workload;
  }
  CLI::App app{
      "Clocks per packet of Portcullis' worker loop. Output is verified byte for byte before a figure is "
      "printed.\n"
      "Keep the other CPUs idle while it measures.",
      "bench-pps"};
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  add_work_options(app, options);
  add_run_options(app, options);
  app.footer("\n" + list_of_rows() + "\nThe page: docs/bench-pps.md");
  CLI11_PARSE(app, argc, argv);
  if (const std::string message = settle(options); !message.empty()) return usage_error(message);
  if (!start_eal(options)) {
    std::fprintf(stderr, "bench-pps: DPDK does not start; without hugepages use --no-huge\n");
    return 1;
  }
  const auto report = run(options.plan);
  if (!report) {
    std::fprintf(stderr, "bench-pps: %s\n", report.error().message.c_str());
    return 1;
  }
  std::fputs((options.json ? json_of(*report) : text_of(*report)).c_str(), stdout);
  return 0;
}
