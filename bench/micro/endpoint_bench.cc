// The endpoint table against rte_hash doing the same, as identify asks: bursts of 64 (port, DIP) keys, a
// prefetch pass and a look-up pass; rte_hash by its own bulk look-up, with lock-free readers. By number of
// endpoints.

#include <benchmark/benchmark.h>
#include <rte_hash.h>
#include <rte_hash_crc.h>

#include <cstdlib>
#include <memory>

#include "dataplane/tables/endpoint.h"
#include "tests/support/eal.h"

namespace portcullis {
namespace {

constexpr uint32_t burst = 64;

struct FreeHash {
  void operator()(rte_hash* hash) const { rte_hash_free(hash); }
};

// DIPs lie side by side, as real ones do; `known` chooses those that are there.
EndpointKey key_of(uint32_t n, bool known) {
  return {.dip = Ipv4Addr::from_host((known ? 0x0a000000 : 0xac100000) + n), .port = 1};
}

// Every endpoint once, in an order no prefetcher guesses.
uint32_t scattered(uint64_t n, uint32_t endpoints) {
  return static_cast<uint32_t>((n * 2654435761u) & (endpoints - 1));
}

template <typename Group>
void find_endpoint_table(benchmark::State& state) {
  if (!is_supported(Group::isa)) return state.SkipWithError("this CPU lacks the back end");
  const auto endpoints = static_cast<uint32_t>(state.range(0));
  auto table = EndpointTable::create(endpoints, -1, 1);
  if (!table) std::abort();
  for (uint32_t n = 0; n < endpoints; ++n)
    if (!table->set(key_of(n, true), n + IndexEntry::first_slot)) std::abort();
  uint64_t next = 0, sum = 0;
  for (auto _ : state) {
    EndpointKey keys[burst];
    uint32_t buckets[burst];
    for (uint32_t i = 0; i < burst; ++i) {
      keys[i] = key_of(scattered(next++, endpoints), state.range(1) != 0);
      buckets[i] = table->bucket_of(keys[i]);
      table->prefetch(buckets[i]);
    }
    for (uint32_t i = 0; i < burst; ++i) sum += table->find<Group>(keys[i], buckets[i]);
  }
  benchmark::DoNotOptimize(sum);
  state.SetItemsProcessed(state.iterations() * burst);
}

void find_rte_hash(benchmark::State& state) {
  const auto endpoints = static_cast<uint32_t>(state.range(0));
  rte_hash_parameters parameters{};
  parameters.name = "endpoints";
  parameters.entries = endpoints;
  parameters.key_len = sizeof(uint64_t);
  parameters.hash_func = rte_hash_crc;
  parameters.extra_flag = RTE_HASH_EXTRA_FLAGS_RW_CONCURRENCY_LF | RTE_HASH_EXTRA_FLAGS_EXT_TABLE;
  const std::unique_ptr<rte_hash, FreeHash> hash(rte_hash_create(&parameters));
  if (!hash) std::abort();
  const auto word = [](EndpointKey key) { return uint64_t{key.dip.wire()} << 16 | key.port; };
  for (uint32_t n = 0; n < endpoints; ++n) {
    const uint64_t key = word(key_of(n, true));
    if (rte_hash_add_key_data(hash.get(), &key, reinterpret_cast<void*>(uintptr_t{n} + 3)) < 0) std::abort();
  }
  uint64_t next = 0, sum = 0;
  for (auto _ : state) {
    uint64_t keys[burst];
    const void* pointers[burst];
    void* data[burst] = {};
    uint64_t hits = 0;
    for (uint32_t i = 0; i < burst; ++i) {
      keys[i] = word(key_of(scattered(next++, endpoints), state.range(1) != 0));
      pointers[i] = &keys[i];
    }
    rte_hash_lookup_bulk_data(hash.get(), pointers, burst, &hits, data);
    for (uint32_t i = 0; i < burst; ++i)
      if ((hits >> i & 1) != 0) sum += reinterpret_cast<uintptr_t>(data[i]);
  }
  benchmark::DoNotOptimize(sum);
  state.SetItemsProcessed(state.iterations() * burst);
}

// Endpoints; 1: keys that are there, 0: keys that are not.
void sizes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"endpoints", "known"});
  for (const int64_t endpoints : {4096, 1 << 16, 1 << 20})
    for (const int64_t known : {1, 0}) benchmark->Args({endpoints, known});
}
BENCHMARK(find_endpoint_table<ScalarGroup>)->Apply(sizes);
#if defined(__x86_64__)
BENCHMARK(find_endpoint_table<Avx2Group>)->Apply(sizes);
BENCHMARK(find_endpoint_table<Avx512Group>)->Apply(sizes);
#endif
BENCHMARK(find_rte_hash)->Apply(sizes);

}  // namespace
}  // namespace portcullis

int main(int argc, char** argv) {
  portcullis::testing::start_eal("2048");
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
