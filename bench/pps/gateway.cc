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

  // The one that is alone, and the several.
  const uint32_t readers = workload.workers + 1;
  gateway->rcu_ =
      static_cast<rte_rcu_qsbr*>(rte_zmalloc("rcu", rte_rcu_qsbr_get_memsize(readers), RTE_CACHE_LINE_SIZE));
  if (gateway->rcu_ == nullptr || rte_rcu_qsbr_init(gateway->rcu_, readers) != 0)
    return fail(ErrorCode::resource_exhausted, "no memory for the RCU variable");
  if (auto done = gateway->fill(workload, endpoint); !done) return Unexpected(done.error());
  if (auto done = gateway->add_workers(workload, isa); !done) return Unexpected(done.error());
  return gateway;
}

Expected<void> Gateway::add_workers(const Workload& workload, Isa isa) {
  constexpr uint32_t unused = 64;
  const uint32_t slots = flow_slots_of(workload);
  WorkerConfig config{.flow_capacity = workload.ipv6 ? unused : slots,
                      .ipv6_flow_capacity = workload.ipv6 ? slots : unused,
                      .isa = isa};
  if (workload.workers > 1)
    if (auto done = add_several(workload.workers, config); !done) return done;
  config.id = static_cast<uint32_t>(several_.size());  // as a reader: nobody hands over to it
  auto worker = Worker::create(config, *tables_, rcu_);
  if (!worker) return Unexpected(worker.error());
  worker_ = std::move(*worker);
  worker_->online();
  return {};
}

// As the daemon's Workers do it.
Expected<void> Gateway::add_several(uint32_t count, const WorkerConfig& common) {
  auto handover = Handover::create(count, SOCKET_ID_ANY);
  if (!handover) return Unexpected(handover.error());
  handover_ = std::move(*handover);
  auto rate = ErrorRate::create(tables_->gateway.icmp_error_rate, tables_->binding.capacity(), SOCKET_ID_ANY);
  if (!rate) return Unexpected(rate.error());
  error_rate_ = std::move(*rate);
  for (uint32_t n = 0; n < count; ++n) {
    WorkerConfig config = common;
    config.id = n;
    config.handover = handover_.get();
    config.error_rate = &*error_rate_;
    for (const PortId port : tables_->ports.in_use)
      config.queues[port] = {.receive = queue_of(n), .transmit = queue_of(n), .receivers = count};
    auto worker = Worker::create(config, *tables_, rcu_);
    if (!worker) return Unexpected(worker.error());
    several_.push_back(std::move(*worker));
  }
  for (const auto& worker : several_) {
    std::vector<const Worker*> peers;
    for (const auto& other : several_)
      if (other != worker) peers.push_back(other.get());
    worker->set_peers(peers);
    worker->online();
  }
  return {};
}

size_t Gateway::bytes() const {
  size_t bytes = tables_->bytes() + worker_->bytes();
  for (const auto& worker : several_) bytes += worker->bytes();
  return bytes;
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
  for (const auto& worker : several_) worker->offline();
  worker_.reset();
  several_.clear();
  rte_free(rcu_);
}

}  // namespace portcullis::bench
