// The endpoint table against rte_hash doing the same, as identify asks: bursts of 64 (port, DIP) keys, a
// prefetch pass and a look-up pass; rte_hash by its own bulk look-up, with lock-free readers. By number of
// endpoints.

#include <rte_hash.h>
#include <rte_hash_crc.h>

#include <string>

#include "bench/micro/micro.h"
#include "dataplane/tables/endpoint.h"

namespace portcullis::micro {
namespace {

// DIPs lie side by side, as real ones do; `known` chooses those that are there.
EndpointKey key_of(uint32_t n, bool known) {
  return {.dip = Ipv4Addr::from_host((known ? 0x0a000000 : 0xac100000) + n), .link = 1};
}

Expected<std::unique_ptr<EndpointTable>> filled_table(uint32_t endpoints) {
  auto created = EndpointTable::create(endpoints, -1, 1);
  if (!created) return tl::unexpected(created.error());
  auto table = std::make_unique<EndpointTable>(std::move(*created));
  for (uint32_t n = 0; n < endpoints; ++n)
    if (!table->set(key_of(n, true), n + IndexEntry::first_slot))
      return fail(ErrorCode::resource_exhausted, "the endpoint table has no room");
  return table;
}

struct Hash {
  rte_hash* hash = nullptr;
  Hash() = default;
  Hash(const Hash&) = delete;
  Hash& operator=(const Hash&) = delete;
  ~Hash() { rte_hash_free(hash); }
};

uint64_t word_of(EndpointKey key) {
  return uint64_t{key.dip.wire()} << 16 | key.link;
}

Expected<std::unique_ptr<Hash>> filled_rte_hash(uint32_t endpoints) {
  constexpr uint32_t least = 8;  // that rte_hash takes
  auto made = std::make_unique<Hash>();
  rte_hash_parameters parameters{};
  parameters.name = "endpoints";
  parameters.entries = std::max(endpoints, least);
  parameters.key_len = sizeof(uint64_t);
  parameters.hash_func = rte_hash_crc;
  parameters.extra_flag = RTE_HASH_EXTRA_FLAGS_RW_CONCURRENCY_LF | RTE_HASH_EXTRA_FLAGS_EXT_TABLE;
  made->hash = rte_hash_create(&parameters);
  if (made->hash == nullptr) return fail(ErrorCode::resource_exhausted, "rte_hash finds no memory");
  for (uint32_t n = 0; n < endpoints; ++n) {
    const uint64_t key = word_of(key_of(n, true));
    const auto slot = uintptr_t{n} + IndexEntry::first_slot;
    if (rte_hash_add_key_data(made->hash, &key, reinterpret_cast<void*>(slot)) < 0)
      return fail(ErrorCode::resource_exhausted, "rte_hash has no room");
  }
  return made;
}

// Keys in the order in which they are asked for.
class Keys {
 public:
  explicit Keys(const benchmark::State& state)
      : order_(static_cast<uint32_t>(state.range(0))), known_(state.range(1)) {}
  EndpointKey next() { return key_of(order_.next(), known_.next()); }

 private:
  Scatter order_;
  Known known_;
};

// A burst, as a stage is compiled: for the back end, with all that it calls inlined.
struct Find {
  template <typename Group>
  static void run(const EndpointTable& table, Keys& order, uint64_t& sum) {
    EndpointKey keys[burst];
    uint32_t buckets[burst];
    for (uint32_t i = 0; i < burst; ++i) {
      keys[i] = order.next();
      buckets[i] = table.bucket_of(keys[i]);
      table.prefetch(buckets[i]);
    }
    for (uint32_t i = 0; i < burst; ++i) sum += table.find<Group>(keys[i], buckets[i]);
  }
};

template <typename Group>
void find_endpoint_table(benchmark::State& state) {
  if (!is_supported(Group::isa)) return state.SkipWithError("this CPU lacks the back end");
  const auto kept_table = keep<EndpointTable>(state.range(0), filled_table);
  if (!kept_table) return skip(state, kept_table.error());
  const EndpointTable& table = **kept_table;
  Keys order(state);
  uint64_t sum = 0;
  for (auto _ : state) Group::template call<Find>(table, order, sum);
  benchmark::DoNotOptimize(sum);
  state.SetItemsProcessed(state.iterations() * burst);
}

void find_rte_hash(benchmark::State& state) {
  const auto kept_table = keep<Hash>(state.range(0), filled_rte_hash);
  if (!kept_table) return skip(state, kept_table.error());
  const rte_hash* const hash = (*kept_table)->hash;
  Keys order(state);
  uint64_t sum = 0;
  for (auto _ : state) {
    uint64_t keys[burst];
    const void* pointers[burst];
    void* data[burst] = {};
    uint64_t hits = 0;
    for (uint32_t i = 0; i < burst; ++i) {
      keys[i] = word_of(order.next());
      pointers[i] = &keys[i];
    }
    rte_hash_lookup_bulk_data(hash, pointers, burst, &hits, data);
    for (uint32_t i = 0; i < burst; ++i)
      if ((hits >> i & 1) != 0) sum += reinterpret_cast<uintptr_t>(data[i]);
  }
  benchmark::DoNotOptimize(sum);
  state.SetItemsProcessed(state.iterations() * burst);
}

// Size by size, so that all back ends share a table.
template <typename Group>
void register_endpoint_table(int64_t size) {
  const std::string name = "find_endpoint_table<" + std::string(name_of(Group::isa)) + ">";
  cases(benchmark::RegisterBenchmark(name.c_str(), find_endpoint_table<Group>), size);
}

void register_all() {
  for (const int64_t size : sizes) {
    register_endpoint_table<ScalarGroup>(size);
#if defined(__x86_64__)
    register_endpoint_table<Avx2Group>(size);
    register_endpoint_table<Avx512Group>(size);
#endif
    cases(benchmark::RegisterBenchmark("find_rte_hash", find_rte_hash), size);
  }
}

}  // namespace
}  // namespace portcullis::micro

int main(int argc, char** argv) {
  portcullis::micro::start_eal(2048);
  portcullis::micro::register_all();
  return portcullis::micro::run(argc, argv);
}
