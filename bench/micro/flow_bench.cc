// The flow table against rte_hash doing the same: find, and open-then-erase, by number of entries. Lookups
// come in bursts of 64 with a prefetch pass, as in the pipeline; rte_hash uses its own bulk lookup. Tables
// are a quarter full, those of 16 M entries half, as in bench-pps: 2.3 GB, and 2.4 GB with rte_hash.

#include <rte_hash.h>
#include <rte_hash_crc.h>
#include <rte_prefetch.h>

#include <string>

#include "bench/micro/micro.h"
#include "dataplane/tables/flow.h"

namespace portcullis::micro {
namespace {

SideTuple tuple(uint32_t n) {
  return {.local = Ipv4Addr::from_host(0x64400000 + n % 65536),
          .remote = Ipv4Addr::from_host(0xc6120000 + (n >> 4)),
          .local_port = Port::from_host(static_cast<uint16_t>(1024 + n % 60000)),
          .remote_port = Port::from_host(443),
          .protocol = 6};
}

uint32_t capacity_for(uint32_t entries) {
  return std::max(entries * (entries > million ? 2 : 4), FlowTable::ways);
}

Expected<std::unique_ptr<FlowTable>> filled_table(uint32_t entries) {
  static FlowCounts counts = *FlowCounts::create(16, 1, -1);  // all entries are one binding's
  auto created = FlowTable::create(capacity_for(entries), -1, 1, counts);
  if (!created) return tl::unexpected(created.error());
  auto table = std::make_unique<FlowTable>(std::move(*created));
  for (uint32_t n = 0; n < entries; ++n)
    table->insert({.key = tuple(n), .expires_ms = UINT64_MAX, .owned_by = 1, .state = FlowState::established},
                  table->hash(tuple(n)), 0);
  return table;
}

// rte_hash gives a position; the entry itself is the caller's to keep.
struct Hash {
  rte_hash* hash = nullptr;
  TableArray<FlowEntry> entries;
  Hash() = default;
  Hash(const Hash&) = delete;
  Hash& operator=(const Hash&) = delete;
  ~Hash() { rte_hash_free(hash); }
};

Expected<std::unique_ptr<Hash>> filled_rte_hash(uint32_t entries) {
  auto made = std::make_unique<Hash>();
  rte_hash_parameters parameters{};
  parameters.name = "flows";
  parameters.entries = capacity_for(entries);
  parameters.key_len = sizeof(SideTuple);
  parameters.hash_func = rte_hash_crc;
  made->hash = rte_hash_create(&parameters);
  if (made->hash == nullptr) return fail(ErrorCode::resource_exhausted, "rte_hash finds no memory");
  auto kept_entries = TableArray<FlowEntry>::create("entries beside rte_hash", entries, -1);
  if (!kept_entries) return tl::unexpected(kept_entries.error());
  made->entries = std::move(*kept_entries);
  // It gives out positions in order, so those of the entries lie below their number.
  for (uint32_t n = 0; n < entries; ++n) {
    const SideTuple key = tuple(n);
    if (rte_hash_add_key(made->hash, &key) != static_cast<int32_t>(n))
      return fail(ErrorCode::resource_exhausted, "rte_hash has no room");
  }
  return made;
}

// Keys in the order in which they are asked for.
class Keys {
 public:
  Keys(int64_t entries, int64_t known)
      : entries_(static_cast<uint32_t>(entries)), order_(entries_), known_(known) {}
  SideTuple next() { return tuple(order_.next() + entries_ * static_cast<uint32_t>(!known_.next())); }

 private:
  uint32_t entries_;
  Scatter order_;
  Known known_;
};

// A burst, as a stage is compiled: for the back end, with all that it calls inlined.
struct Find {
  template <typename Group>
  static void run(const FlowTable& table, Keys& order, uint64_t& sum) {
    SideTuple keys[burst];
    uint32_t hashes[burst];
    for (uint32_t i = 0; i < burst; ++i) {
      keys[i] = order.next();
      hashes[i] = table.hash(keys[i]);
      table.prefetch(hashes[i]);
    }
    uint32_t candidates[burst];
    for (uint32_t i = 0; i < burst; ++i) candidates[i] = table.prefetch_entry<Group>(hashes[i], false, 0);
    for (uint32_t i = 0; i < burst; ++i) {
      const uint32_t index = table.find_at<Group>(candidates[i], keys[i], hashes[i], 0);
      if (index != FlowTable::none) sum += table.entry(index).expires_ms;
    }
  }
};

struct OpenErase {
  template <typename Group>
  static void run(FlowTable& table, Keys& order) {
    for (uint32_t i = 0; i < burst; ++i) {
      const SideTuple key = order.next();
      const uint32_t index =
          table.insert<Group>({.key = key, .expires_ms = UINT64_MAX, .owned_by = 1}, table.hash(key), 0);
      if (index != FlowTable::none) table.erase(index);
    }
  }
};

template <typename Group>
void find_flow_table(benchmark::State& state) {
  if (!is_supported(Group::isa)) return state.SkipWithError("this CPU lacks the back end");
  const auto kept_table = keep<FlowTable>(state.range(0), filled_table);
  if (!kept_table) return skip(state, kept_table.error());
  const FlowTable& table = **kept_table;
  Keys order(state.range(0), state.range(1));
  uint64_t sum = 0;
  for (auto _ : state) Group::template call<Find>(table, order, sum);
  benchmark::DoNotOptimize(sum);
  state.SetItemsProcessed(state.iterations() * burst);
}

template <typename Group>
void open_erase_flow_table(benchmark::State& state) {
  if (!is_supported(Group::isa)) return state.SkipWithError("this CPU lacks the back end");
  const auto kept_table = keep<FlowTable>(state.range(0), filled_table);
  if (!kept_table) return skip(state, kept_table.error());
  Keys order(state.range(0), 0);
  for (auto _ : state) Group::template call<OpenErase>(**kept_table, order);
  state.SetItemsProcessed(state.iterations() * burst);
}

void find_rte_hash(benchmark::State& state) {
  const auto kept_table = keep<Hash>(state.range(0), filled_rte_hash);
  if (!kept_table) return skip(state, kept_table.error());
  const Hash& table = **kept_table;
  Keys order(state.range(0), state.range(1));
  SideTuple keys[burst];
  const void* pointers[burst];
  int32_t positions[burst];
  for (auto _ : state) {
    for (uint32_t i = 0; i < burst; ++i) {
      keys[i] = order.next();
      pointers[i] = &keys[i];
    }
    rte_hash_lookup_bulk(table.hash, pointers, burst, positions);
    for (const int32_t position : positions)
      if (position >= 0) rte_prefetch0(&table.entries[static_cast<uint32_t>(position)]);
    uint64_t expiries = 0;
    for (const int32_t position : positions)
      if (position >= 0) expiries += table.entries[static_cast<uint32_t>(position)].expires_ms;
    benchmark::DoNotOptimize(expiries);
  }
  state.SetItemsProcessed(state.iterations() * burst);
}

void open_erase_rte_hash(benchmark::State& state) {
  const auto kept_table = keep<Hash>(state.range(0), filled_rte_hash);
  if (!kept_table) return skip(state, kept_table.error());
  rte_hash* const hash = (*kept_table)->hash;
  Keys order(state.range(0), 0);
  for (auto _ : state)
    for (uint32_t i = 0; i < burst; ++i) {
      const SideTuple key = order.next();
      rte_hash_add_key(hash, &key);
      rte_hash_del_key(hash, &key);
    }
  state.SetItemsProcessed(state.iterations() * burst);
}

// Size by size, so that all back ends share a table.
template <typename Group>
void register_flow_table(int64_t size) {
  const std::string group = "<" + std::string(name_of(Group::isa)) + ">";
  cases(benchmark::RegisterBenchmark(("find_flow_table" + group).c_str(), find_flow_table<Group>), size);
  benchmark::RegisterBenchmark(("open_erase_flow_table" + group).c_str(), open_erase_flow_table<Group>)
      ->ArgName("keys")
      ->Arg(size);
}

void register_all() {
  for (const int64_t size : sizes) {
    register_flow_table<ScalarGroup>(size);
#if defined(__x86_64__)
    register_flow_table<Avx2Group>(size);
    register_flow_table<Avx512Group>(size);
#endif
    cases(benchmark::RegisterBenchmark("find_rte_hash", find_rte_hash), size);
    benchmark::RegisterBenchmark("open_erase_rte_hash", open_erase_rte_hash)->ArgName("keys")->Arg(size);
  }
}

}  // namespace
}  // namespace portcullis::micro

int main(int argc, char** argv) {
  portcullis::micro::start_eal(2560);
  portcullis::micro::register_all();
  return portcullis::micro::run(argc, argv);
}
