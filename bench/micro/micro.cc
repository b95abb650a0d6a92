#include "bench/micro/micro.h"

#include <rte_eal.h>
#include <sched.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

namespace portcullis::micro {
namespace {

constexpr uint32_t megabytes_without_hugepages = 2048;

uint32_t free_hugepage_megabytes() {
  std::ifstream file("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
  uint32_t pages = 0;
  file >> pages;
  return pages * 2;
}

}  // namespace

void start_eal(uint32_t megabytes, std::initializer_list<const char*> more) {
  const bool has_hugepages = free_hugepage_megabytes() >= megabytes;
  std::vector<std::string> arguments{"bench-micro", "--no-pci", "--no-telemetry", "--log-level=lib.eal:error",
                                     "--lcores=0@" + std::to_string(std::max(0, sched_getcpu()))};
  if (has_hugepages)
    arguments.emplace_back("--in-memory");
  else
    arguments.insert(arguments.end(),
                     {"--no-huge", "--no-shconf", "-m", std::to_string(megabytes_without_hugepages)});
  arguments.insert(arguments.end(), more.begin(), more.end());
  std::vector<char*> argv;
  argv.reserve(arguments.size());
  for (std::string& argument : arguments) argv.push_back(argument.data());
  if (rte_eal_init(static_cast<int>(argv.size()), argv.data()) < 0) {
    std::fprintf(stderr, "cannot initialise the EAL\n");
    std::exit(1);
  }
  benchmark::AddCustomContext("pages", has_hugepages ? "2 MB" : "4 kB: no figures to quote");
}

int run(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  kept = {};
  return 0;
}

}  // namespace portcullis::micro
