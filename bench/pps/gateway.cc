#include "bench/pps/gateway.h"

#include <rte_malloc.h>
#include <rte_rcu_qsbr.h>

#include <algorithm>
#include <chrono>

#include "bench/pps/progress.h"
#include "control/publish/publisher.h"

namespace portcullis::bench {
namespace {

// EIPs in one update: what is compiled takes far more room than what is published.
constexpr uint32_t update_size = 65536;

}  // namespace

Expected<std::unique_ptr<Gateway>> Gateway::create(const Workload& workload, PortId uplink, PortId endpoint,
                                                   Isa isa) {
  std::unique_ptr<Gateway> gateway(new Gateway);
  const auto list_size = static_cast<uint32_t>(list_of(workload).size());
  auto tables = Tables::create(
      {.eips = workload.ipv6 ? 0 : workload.eips,
       .ipv6_eips = workload.ipv6 ? workload.eips : 0,
       .permit_chunks =
           workload.eips * static_cast<uint32_t>(workload.ipv6 ? most_permit_chunks(list_size)
                                                               : most_ipv4_permit_chunks(list_size)),
       .tag_sets = 16,
       .links = 0,
       .tunnel_remotes = 0},
      SOCKET_ID_ANY);
  if (!tables) return Unexpected(tables.error());
  gateway->tables_ = std::move(*tables);
  PortTable& ports = gateway->tables_->ports;
  ports.ports[uplink] = {.role = PortRole::uplink, .mac = macs.uplink};
  ports.ports[endpoint] = {.role = PortRole::endpoint, .mac = macs.endpoint_port};
  ports.uplink = uplink;
  ports.in_use = {uplink, endpoint};
  gateway->tables_->next_hop.set(uplink, macs.client);
  gateway->tables_->next_hop6.set(uplink, macs.client);
  if (workload.idle_ms != 0)
    gateway->tables_->timeouts.tcp_established_ms = gateway->tables_->timeouts.tcp_transitory_ms =
        workload.idle_ms;

  gateway->rcu_ =
      static_cast<rte_rcu_qsbr*>(rte_zmalloc("rcu", rte_rcu_qsbr_get_memsize(1), RTE_CACHE_LINE_SIZE));
  if (gateway->rcu_ == nullptr || rte_rcu_qsbr_init(gateway->rcu_, 1) != 0)
    return fail(ErrorCode::resource_exhausted, "no memory for the RCU variable");
  if (auto done = gateway->fill(workload, endpoint); !done) return Unexpected(done.error());
  constexpr uint32_t unused = 64;
  const uint32_t slots = flow_slots_of(workload);
  auto worker = Worker::create({.flow_capacity = workload.ipv6 ? unused : slots,
                                .ipv6_flow_capacity = workload.ipv6 ? slots : unused,
                                .isa = isa},
                               *gateway->tables_, gateway->rcu_);
  if (!worker) return Unexpected(worker.error());
  gateway->worker_ = std::move(*worker);
  gateway->worker_->online();
  return gateway;
}

Expected<void> Gateway::fill(const Workload& workload, PortId endpoint) {
  Progress progress("publishing " + std::to_string(workload.eips) + " EIPs");
  const auto begin = std::chrono::steady_clock::now();
  publish::Publisher publisher(*tables_, rcu_, {{"endpoint", endpoint}}, UINT32_MAX);
  const std::vector<PermitRule> list = list_of(workload);
  compile::Update update;
  const IpPrefix eips = workload.ipv6 ? IpPrefix(ipv6_pool) : IpPrefix(pool);
  update.pools.emplace()[eips.first()] = {.prefix = eips};
  for (uint32_t next = 0; next < workload.eips; update = {}) {
    for (const uint32_t end = std::min(workload.eips, next + update_size); next < end; ++next) {
      compile::CompiledBinding binding = binding_of(next, list, workload.ipv6);
      update.bindings.emplace_hint(update.bindings.end(), binding.eip, std::move(binding));
    }
    if (auto done = publisher.publish(update); !done) return done;
    progress.at(next, workload.eips);
  }
  fill_seconds_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return {};
}

Gateway::~Gateway() {
  if (worker_) worker_->offline();
  worker_.reset();
  rte_free(rcu_);
}

}  // namespace portcullis::bench
