// The binding index against rte_fib (DIR24_8) and rte_lpm doing the same: whose address is this, asked in
// bursts of 64 as identify does it on an uplink, by number of EIPs. EIPs lie side by side in a pool twice as
// large; what is not known is an address of the pool that nobody has, and libraries have a route for the pool
// to say so. Only the answer is taken, no record is read. `nothing` is the loop that makes up the addresses.

#include <rte_fib.h>
#include <rte_lpm.h>

#include <bit>

#include "bench/micro/micro.h"
#include "dataplane/tables/binding.h"

namespace portcullis::micro {
namespace {

constexpr uint32_t first_address = 10u << 24;

uint8_t pool_length(uint32_t eips) {
  return static_cast<uint8_t>(32 - std::countr_zero(2 * eips));
}

// Addresses in host order.
class Addresses {
 public:
  explicit Addresses(const benchmark::State& state)
      : eips_(static_cast<uint32_t>(state.range(0))), order_(eips_), known_(state.range(1)) {}
  uint32_t next() { return first_address + order_.next() + eips_ * static_cast<uint32_t>(!known_.next()); }

 private:
  uint32_t eips_;
  Scatter order_;
  Known known_;
};

// Of /24 networks, that EIPs lie in.
uint32_t networks(uint32_t eips) {
  return eips / 256 + 1;
}

Expected<std::unique_ptr<BindingTable>> filled_index(uint32_t eips) {
  constexpr uint32_t page = 65536;
  const Ipv4Prefix pool(Ipv4Addr::from_host(first_address), pool_length(eips));
  auto created = BindingTable::create(1, 2 * eips / page + 1, -1);
  if (!created) return tl::unexpected(created.error());
  auto table = std::make_unique<BindingTable>(std::move(*created));
  if (auto done = table->reserve_pages(pool); !done) return tl::unexpected(done.error());
  for (uint32_t n = 0; n < 2 * eips; ++n)
    table->set(View::edge, Ipv4Addr::from_host(first_address + n),
               n < eips ? n + IndexEntry::first_slot : IndexEntry::local);
  return table;
}

struct Fib {
  rte_fib* fib = nullptr;
  Fib() = default;
  Fib(const Fib&) = delete;
  Fib& operator=(const Fib&) = delete;
  ~Fib() { rte_fib_free(fib); }
};

Expected<std::unique_ptr<Fib>> filled_fib(uint32_t eips) {
  auto made = std::make_unique<Fib>();
  rte_fib_conf conf{};
  conf.type = RTE_FIB_DIR24_8;
  conf.default_nh = IndexEntry::outside;
  conf.max_routes = static_cast<int>(eips + 1);
  conf.dir24_8.nh_sz = RTE_FIB_DIR24_8_4B;
  conf.dir24_8.num_tbl8 = networks(eips) + 1;
  made->fib = rte_fib_create("index", -1, &conf);
  if (made->fib == nullptr) return fail(ErrorCode::resource_exhausted, "rte_fib finds no memory");
  bool fits = rte_fib_add(made->fib, first_address, pool_length(eips), IndexEntry::local) == 0;
  for (uint32_t n = 0; fits && n < eips; ++n)
    fits = rte_fib_add(made->fib, first_address + n, 32, n + IndexEntry::first_slot) == 0;
  if (!fits) return fail(ErrorCode::resource_exhausted, "rte_fib has no room for the routes");
  return made;
}

struct Lpm {
  rte_lpm* lpm = nullptr;
  Lpm() = default;
  Lpm(const Lpm&) = delete;
  Lpm& operator=(const Lpm&) = delete;
  ~Lpm() { rte_lpm_free(lpm); }
};

Expected<std::unique_ptr<Lpm>> filled_lpm(uint32_t eips) {
  auto made = std::make_unique<Lpm>();
  const rte_lpm_config config{.max_rules = eips + 1, .number_tbl8s = networks(eips) + 1, .flags = 0};
  made->lpm = rte_lpm_create("index", -1, &config);
  if (made->lpm == nullptr) return fail(ErrorCode::resource_exhausted, "rte_lpm finds no memory");
  bool fits = rte_lpm_add(made->lpm, first_address, pool_length(eips), IndexEntry::local) == 0;
  for (uint32_t n = 0; fits && n < eips; ++n)
    fits = rte_lpm_add(made->lpm, first_address + n, 32, n + IndexEntry::first_slot) == 0;
  if (!fits) return fail(ErrorCode::resource_exhausted, "rte_lpm has no room for the routes");
  return made;
}

// `ask(addresses)`: what 64 addresses, in host order, are.
template <typename Ask>
void measure(benchmark::State& state, Ask&& ask) {
  Addresses order(state);
  uint32_t addresses[burst];
  for (auto _ : state) {
    for (uint32_t& address : addresses) address = order.next();
    ask(addresses);
  }
  state.SetItemsProcessed(state.iterations() * burst);
}

void nothing(benchmark::State& state) {
  measure(state, [](uint32_t* addresses) { benchmark::DoNotOptimize(addresses); });
}

void find_index(benchmark::State& state) {
  const auto table = keep<BindingTable>(state.range(0), filled_index);
  if (!table) return skip(state, table.error());
  measure(state, [&index = **table](const uint32_t* addresses) {
    const std::atomic<uint32_t>* places[burst];
    Slot slots[burst];
    for (uint32_t i = 0; i < burst; ++i) {
      places[i] = index.place_of(View::edge, Ipv4Addr::from_host(addresses[i]));
      prefetch_line(places[i]);
    }
    for (uint32_t i = 0; i < burst; ++i) slots[i] = BindingTable::load(places[i]).slot();
    benchmark::DoNotOptimize(slots);
  });
}

template <rte_fib_lookup_type how>
void find_rte_fib(benchmark::State& state) {
  const auto table = keep<Fib>(state.range(0), filled_fib);
  if (!table) return skip(state, table.error());
  if (rte_fib_select_lookup((*table)->fib, how) != 0)
    return state.SkipWithError("this CPU lacks the back end");
  measure(state, [fib = (*table)->fib](uint32_t* addresses) {
    uint64_t slots[burst];
    rte_fib_lookup_bulk(fib, addresses, slots, burst);
    benchmark::DoNotOptimize(slots);
  });
}

void find_rte_lpm(benchmark::State& state) {
  const auto table = keep<Lpm>(state.range(0), filled_lpm);
  if (!table) return skip(state, table.error());
  measure(state, [lpm = (*table)->lpm](const uint32_t* addresses) {
    uint32_t slots[burst];
    rte_lpm_lookup_bulk(lpm, addresses, slots, burst);
    benchmark::DoNotOptimize(slots);
  });
}

// Size by size, so that all look-ups in a table share it. 16 M routes in rte_fib take 5.5 GB, nearly all of
// it for the tree that it keeps beside what it looks up. rte_lpm goes through all routes of a length to add
// one: 1 M would take minutes.
void register_all() {
  benchmark::RegisterBenchmark("nothing", nothing)
      ->ArgNames({"keys", "known"})
      ->ArgsProduct({{million}, {100, 50}});
  for (const int64_t size : sizes) {
    cases(benchmark::RegisterBenchmark("find_index", find_index), size);
    cases(benchmark::RegisterBenchmark("find_rte_fib<scalar>",
                                       find_rte_fib<RTE_FIB_LOOKUP_DIR24_8_SCALAR_MACRO>),
          size);
    cases(benchmark::RegisterBenchmark("find_rte_fib<avx512>",
                                       find_rte_fib<RTE_FIB_LOOKUP_DIR24_8_VECTOR_AVX512>),
          size);
    if (size <= k64) cases(benchmark::RegisterBenchmark("find_rte_lpm", find_rte_lpm), size);
  }
}

}  // namespace
}  // namespace portcullis::micro

int main(int argc, char** argv) {
  portcullis::micro::start_eal(2048, {"--force-max-simd-bitwidth=512"});
  portcullis::micro::register_all();
  return portcullis::micro::run(argc, argv);
}
