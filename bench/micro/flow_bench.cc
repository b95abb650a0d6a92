// The flow table against rte_hash doing the same: find, and open-then-erase, by number of entries. Lookups
// come in bursts of 64 with a prefetch pass, as in the pipeline; rte_hash uses its own bulk lookup.

#include <benchmark/benchmark.h>
#include <rte_hash.h>
#include <rte_hash_crc.h>
#include <rte_prefetch.h>

#include <cstdlib>
#include <memory>
#include <vector>

#include "dataplane/tables/flow.h"
#include "tests/support/eal.h"

namespace portcullis {
namespace {

constexpr uint32_t burst = 64;

SideTuple tuple(uint32_t n) {
  return {.local = Ipv4Addr::from_host(0x64400000 + n % 65536),
          .remote = Ipv4Addr::from_host(0xc6120000 + (n >> 4)),
          .local_port = Port::from_host(static_cast<uint16_t>(1024 + n % 60000)),
          .remote_port = Port::from_host(443),
          .protocol = 6};
}

// Every entry once, in an order no prefetcher guesses.
uint32_t scattered(uint64_t n, uint32_t entries) {
  return static_cast<uint32_t>((n * 2654435761u) & (entries - 1));
}

FlowTable filled_table(uint32_t entries) {
  auto created = FlowTable::create(entries * 4, 16, -1, 1);
  if (!created) std::abort();
  FlowTable table = std::move(*created);
  for (uint32_t n = 0; n < entries; ++n)
    table.insert({.key = tuple(n), .expires_ms = UINT64_MAX, .owner = 1, .state = FlowState::established},
                 table.hash(tuple(n)), 0);
  return table;
}

struct FreeHash {
  void operator()(rte_hash* hash) const { rte_hash_free(hash); }
};

std::unique_ptr<rte_hash, FreeHash> filled_rte_hash(uint32_t entries) {
  rte_hash_parameters parameters{};
  parameters.name = "flows";
  parameters.entries = entries * 4;
  parameters.key_len = sizeof(SideTuple);
  parameters.hash_func = rte_hash_crc;
  std::unique_ptr<rte_hash, FreeHash> hash(rte_hash_create(&parameters));
  if (!hash) std::abort();
  for (uint32_t n = 0; n < entries; ++n) {
    const SideTuple key = tuple(n);
    if (rte_hash_add_key(hash.get(), &key) < 0) std::abort();
  }
  return hash;
}

template <typename Group>
void find_flow_table(benchmark::State& state) {
  if (!is_supported(Group::isa)) return state.SkipWithError("this CPU lacks the back end");
  const auto entries = static_cast<uint32_t>(state.range(0));
  const FlowTable table = filled_table(entries);
  uint64_t n = 0;
  SideTuple keys[burst];
  uint32_t hashes[burst];
  while (state.KeepRunning()) {
    for (uint32_t i = 0; i < burst; ++i) {
      keys[i] = tuple(scattered(n++, entries));
      hashes[i] = table.hash(keys[i]);
      table.prefetch(hashes[i]);
    }
    for (uint32_t i = 0; i < burst; ++i) table.prefetch_entry<Group>(hashes[i]);
    uint64_t expiries = 0;
    for (uint32_t i = 0; i < burst; ++i) {
      const uint32_t index = table.find<Group>(keys[i], hashes[i], 0);
      if (index != FlowTable::none) expiries += table.entry(index).expires_ms;
    }
    benchmark::DoNotOptimize(expiries);
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()) * burst);
}

void find_rte_hash(benchmark::State& state) {
  const auto entries = static_cast<uint32_t>(state.range(0));
  const auto hash = filled_rte_hash(entries);
  // rte_hash gives a position; the entry itself is the caller's to keep.
  const std::vector<FlowEntry> kept(size_t{entries} * 4 + 1);
  uint64_t n = 0;
  SideTuple keys[burst];
  const void* pointers[burst];
  int32_t positions[burst];
  while (state.KeepRunning()) {
    for (uint32_t i = 0; i < burst; ++i) {
      keys[i] = tuple(scattered(n++, entries));
      pointers[i] = &keys[i];
    }
    rte_hash_lookup_bulk(hash.get(), pointers, burst, positions);
    for (const int32_t position : positions)
      if (position >= 0) rte_prefetch0(&kept[static_cast<size_t>(position)]);
    uint64_t expiries = 0;
    for (const int32_t position : positions)
      if (position >= 0) expiries += kept[static_cast<size_t>(position)].expires_ms;
    benchmark::DoNotOptimize(expiries);
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()) * burst);
}

template <typename Group>
void open_erase_flow_table(benchmark::State& state) {
  if (!is_supported(Group::isa)) return state.SkipWithError("this CPU lacks the back end");
  const auto entries = static_cast<uint32_t>(state.range(0));
  FlowTable table = filled_table(entries);
  uint64_t n = 0;
  while (state.KeepRunning()) {
    const SideTuple key = tuple(entries + scattered(n++, entries));
    const uint32_t index =
        table.insert<Group>({.key = key, .expires_ms = UINT64_MAX, .owner = 1}, table.hash(key), 0);
    if (index != FlowTable::none) table.erase(index);
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()));
}

void open_erase_rte_hash(benchmark::State& state) {
  const auto entries = static_cast<uint32_t>(state.range(0));
  const auto hash = filled_rte_hash(entries);
  uint64_t n = 0;
  while (state.KeepRunning()) {
    const SideTuple key = tuple(entries + scattered(n++, entries));
    if (rte_hash_add_key(hash.get(), &key) >= 0) rte_hash_del_key(hash.get(), &key);
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()));
}

void sizes(benchmark::internal::Benchmark* benchmark) {
  benchmark->Arg(4096)->Arg(65536)->Arg(1 << 20);
}
BENCHMARK(find_flow_table<ScalarGroup>)->Apply(sizes);
BENCHMARK(open_erase_flow_table<ScalarGroup>)->Apply(sizes);
#if defined(__x86_64__)
BENCHMARK(find_flow_table<Avx2Group>)->Apply(sizes);
BENCHMARK(open_erase_flow_table<Avx2Group>)->Apply(sizes);
BENCHMARK(find_flow_table<Avx512Group>)->Apply(sizes);
BENCHMARK(open_erase_flow_table<Avx512Group>)->Apply(sizes);
#endif
BENCHMARK(find_rte_hash)->Apply(sizes);
BENCHMARK(open_erase_rte_hash)->Apply(sizes);

}  // namespace
}  // namespace portcullis

int main(int argc, char** argv) {
  portcullis::testing::start_eal("2048");
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
