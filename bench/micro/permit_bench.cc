// Permit lists: find_rule on each back end against a linear walk over the same rules, in bursts of 64 as the
// pipeline asks them. Counter "tsc": TSC ticks a query.

#include <benchmark/benchmark.h>
#include <rte_cycles.h>
#include <rte_eal.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "dataplane/stages/permit_match.h"
#include "dataplane/tables/tables.h"

namespace portcullis {
namespace {

constexpr uint32_t burst = 64;
constexpr uint32_t queries = 1 << 16;  // enough that no branch predictor learns them by heart

// A list and what is asked of it.
struct Case {
  std::vector<PermitRule> rules;
  std::vector<PermitQuery> queries;
};

PermitQuery hit_of(const PermitRule& rule, std::mt19937_64& random) {
  const uint32_t host = static_cast<uint32_t>(random()) & ~Ipv4Prefix::mask(rule.prefix_length);
  return {.direction = rule.direction(),
          .protocol = rule.protocol,
          .local_port = rule.local_ports.first,
          .remote_port = static_cast<uint16_t>(random()),
          .remote = Ipv4Addr::from_host(rule.remote | host),
          .remote_tags = empty_tag_set};
}

// Row 1a: four rules by port, the position of the one that matches uniform.
Case inline_four() {
  std::mt19937_64 random(1);
  Case four;
  for (const uint16_t port : std::initializer_list<uint16_t>{80, 443, 22, 8080})
    four.rules.push_back({.protocol = 6, .local_ports = {port, port}, .remote_ports = {}});
  for (uint32_t n = 0; n < queries; ++n) four.queries.push_back(hit_of(four.rules[random() % 4], random));
  return four;
}

struct Bed {
  std::unique_ptr<Tables> tables;
  BindingRecord record;
};

Bed bed_of(const Case& list) {
  Bed bed;
  auto tables = Tables::create({.eips = 16, .permit_chunks = 16, .tag_sets = 16}, SOCKET_ID_ANY);
  if (!tables) std::abort();
  bed.tables = std::move(*tables);
  bed.record.rules = PermitQuad(list.rules);
  bed.record.rule_count = static_cast<uint32_t>(list.rules.size());
  return bed;
}

template <typename Group>
uint64_t ask_all(const Bed& bed, const PermitQuery* asked) {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < burst; ++i) {
    const auto rule = stages::find_rule<Group>(bed.record, asked[i], *bed.tables);
    sum += rule ? rule->hit.index : 7;
  }
  return sum;
}
[[gnu::flatten, gnu::noinline]] uint64_t ask_scalar(const Bed& bed, const PermitQuery* asked) {
  return ask_all<ScalarGroup>(bed, asked);
}
PORTCULLIS_AVX2 [[gnu::flatten, gnu::noinline]] uint64_t ask_avx2(const Bed& bed, const PermitQuery* asked) {
  return ask_all<Avx2Group>(bed, asked);
}
PORTCULLIS_AVX512 [[gnu::flatten, gnu::noinline]] uint64_t ask_avx512(const Bed& bed,
                                                                      const PermitQuery* asked) {
  return ask_all<Avx512Group>(bed, asked);
}

template <typename Ask>
void measure(benchmark::State& state, const std::vector<PermitQuery>& asked, Ask&& ask) {
  uint64_t ticks = 0;
  uint64_t from = 0;
  while (state.KeepRunningBatch(queries)) {
    const uint64_t before = rte_rdtsc();
    for (uint32_t first = 0; first < queries; first += burst) benchmark::DoNotOptimize(ask(&asked[first]));
    ticks += rte_rdtsc() - before;
    ++from;
  }
  state.counters["tsc"] = static_cast<double>(ticks) / (static_cast<double>(from) * queries);
}

void run(const std::string& name, const Case& list) {
  const auto add = [&](const std::string& how, auto ask) {
    benchmark::RegisterBenchmark((name + "/" + how).c_str(), [&list, ask](benchmark::State& state) {
      const Bed bed = bed_of(list);
      measure(state, list.queries, [&](const PermitQuery* asked) { return ask(bed, asked); });
    });
  };
  add("linear", [&list](const Bed& bed, const PermitQuery* asked) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < burst; ++i) {
      const auto found = std::find_if(list.rules.begin(), list.rules.end(), [&](const PermitRule& rule) {
        return matches(rule, asked[i], bed.tables->tags);
      });
      sum += static_cast<uint64_t>(found - list.rules.begin());
    }
    return sum;
  });
  add("scalar", ask_scalar);
  if (is_supported(Isa::avx2)) add("avx2", ask_avx2);
  if (is_supported(Isa::avx512)) add("avx512", ask_avx512);
}

}  // namespace
}  // namespace portcullis

int main(int argc, char** argv) {
  const char* arguments[] = {
      "bench-micro-permit",        "--no-huge", "-m", "512", "--no-pci", "--no-telemetry", "--no-shconf",
      "--log-level=lib.eal:error", "-l",        "0"};
  if (rte_eal_init(sizeof arguments / sizeof *arguments, const_cast<char**>(arguments)) < 0) return 1;
  benchmark::Initialize(&argc, argv);
  const portcullis::Case four = portcullis::inline_four();
  portcullis::run("inline_4", four);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
