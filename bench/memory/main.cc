// bench-memory: what a binding, a rule and a flow cost in bytes, as the tables say themselves: two of each
// size are made, and the difference is divided by what the larger one holds more.

#include <rte_malloc.h>
#include <rte_rcu_qsbr.h>

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <utility>

#include "dataplane/tables/tables.h"
#include "dataplane/worker.h"
#include "tests/support/eal.h"

namespace portcullis::bench {
namespace {

struct Sizes {
  uint32_t eips = 1u << 16;
  uint32_t index_pages = 4;
  uint32_t permit_chunks = 1024;
  uint32_t flows = 1u << 16;
  uint32_t tenants = 1u << 12;
};

struct Bytes {
  double tables = 0;  // once for each NUMA node
  double worker = 0;  // once for each worker
};

template <typename T>
T must(Expected<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  return std::move(*result);
}

Bytes bytes_of(const Sizes& sizes) {
  const auto tables = must(Tables::create({.eips = sizes.eips,
                                           .tenants = sizes.tenants,
                                           .spare_records = 0,
                                           .spare = 0,
                                           .spare_chunks = 0,
                                           .index_pages = sizes.index_pages,
                                           .permit_chunks = sizes.permit_chunks,
                                           .tag_sets = 16},
                                          SOCKET_ID_ANY));
  const std::unique_ptr<rte_rcu_qsbr, decltype(&rte_free)> rcu(
      static_cast<rte_rcu_qsbr*>(rte_zmalloc("rcu", rte_rcu_qsbr_get_memsize(1), RTE_CACHE_LINE_SIZE)),
      rte_free);
  if (!rcu || rte_rcu_qsbr_init(rcu.get(), 1) != 0) throw std::runtime_error("no memory for RCU");
  const auto worker = must(Worker::create({.flow_capacity = sizes.flows}, *tables, rcu.get()));
  return {.tables = static_cast<double>(tables->bytes()), .worker = static_cast<double>(worker->bytes())};
}

Bytes operator-(Bytes a, Bytes b) {
  return {.tables = a.tables - b.tables, .worker = a.worker - b.worker};
}

nlohmann::ordered_json report() {
  constexpr double addresses_per_page = 65536;
  const Sizes small;
  Sizes eips = small, pages = small, chunks = small, flows = small, tenants = small;
  eips.eips <<= 4;
  pages.index_pages *= 2;
  chunks.permit_chunks *= 16;
  flows.flows <<= 4;
  tenants.tenants <<= 4;
  const Bytes base = bytes_of(small);
  const Bytes per_eip = bytes_of(eips) - base;
  const Bytes per_page = bytes_of(pages) - base;
  const Bytes per_chunk = bytes_of(chunks) - base;
  const Bytes per_flow = bytes_of(flows) - base;
  const Bytes per_tenant = bytes_of(tenants) - base;
  const double more_eips = eips.eips - small.eips;
  const double more_tenants = tenants.tenants - small.tenants;
  const double more_rules = (chunks.permit_chunks - small.permit_chunks) * double{permit_chunk_rules};
  const double index = per_page.tables / (pages.index_pages - small.index_pages) / addresses_per_page;
  return {{"binding", per_eip.tables / more_eips + index},
          {"binding_counters", per_eip.worker / more_eips},
          {"further_rule", per_chunk.tables / more_rules},
          {"further_rule_counters", per_chunk.worker / more_rules},
          {"not_local", index},
          {"tenant", per_tenant.tables / more_tenants},
          {"tenant_counters", per_tenant.worker / more_tenants},
          {"flow", per_flow.worker / (flows.flows - small.flows)}};
}

}  // namespace
}  // namespace portcullis::bench

int main() {
  try {
    portcullis::testing::start_eal("2048");
    std::printf("%s\n", portcullis::bench::report().dump(2).c_str());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench-memory: %s\n", error.what());
    return 1;
  }
  return 0;
}
