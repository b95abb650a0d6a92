#include "src/portcullisd/gateway.h"

#include <rte_malloc.h>
#include <rte_rcu_qsbr.h>
#include <rte_ring.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <set>
#include <tuple>
#include <utility>

#include "control/compile/compile.h"
#include "control/store/durable_clock.h"
#include "control/store/sqlite_store.h"
#include "dataplane/ports/numa.h"
#include "src/portcullisd/memory.h"

namespace portcullis {
namespace {

// Readers of the tables, by their rte_rcu_qsbr thread id: workers, then the punt thread.
constexpr uint32_t punt_rcu_id = max_workers;
constexpr uint32_t rcu_readers = max_workers + 1;

// Locally administered, and no port's: the kernel sees the gateway's addresses at this one.
constexpr Mac tap_mac{{0x02, 0x50, 0x43, 0x00, 0x00, 0x01}};

void log_memory(const MemoryPlan& plan) {
  spdlog::info("memory: {:<22} {:>10} {:>14}", "table", "capacity", "bytes");
  for (const MemoryRow& row : plan.rows)
    spdlog::info("memory: {:<22} {:>10} {:>14}", row.what, row.capacity, row.bytes);
  spdlog::info("memory: {:<22} {:>10} {:>14}", "all", "", plan.bytes());
}

std::string node_text(int node) {
  return node < 0 ? "any" : std::to_string(node);
}

std::string_view role_text(PortRole role) {
  return role == PortRole::uplink ? "uplink" : "endpoint";
}

void log_queues(const std::string& name, const EthPort& port, size_t workers) {
  const bool has_all = port.receive_queues() == workers;
  spdlog::info("port {}: {} receive queues, {} transmit queues; {}", name, port.receive_queues(),
               port.transmit_queues(),
               has_all && port.spreads_by_remote() ? "the device is told to spread by remote"
                                                   : "workers spread by remote");
}

model::Limits limits_of(const config::Settings& settings) {
  const auto& capacity = settings.capacity;
  model::Limits limits;
  limits.eips = capacity.eips;
  limits.ipv6_eips = capacity.ipv6_eips;
  limits.vms = capacity.vms;
  limits.index_pages = capacity.index_pages;
  limits.rules_per_eip = capacity.rules_per_eip;
  limits.permit_chunks = capacity.permit_chunks;
  limits.tags_per_eip = max_tags_per_eip;
  limits.tag_sets = capacity.tag_sets;
  limits.tenants = capacity.tenants;
  limits.links = capacity.links;
  limits.tunnel_remotes = capacity.tunnel_remotes;
  limits.flows = capacity.flows;
  limits.quarantine_ms = settings.quarantine_ms;
  limits.eips_per_tenant = capacity.eips_per_tenant;
  limits.rules_per_tenant = capacity.rules_per_tenant;
  limits.default_rules_per_eip = capacity.default_rules_per_eip;
  limits.flows_per_eip = capacity.flows_per_eip;
  limits.flows_per_tenant = capacity.flows_per_tenant;
  return limits;
}

model::EndpointPort endpoint_port(const config::Settings::Port& port) {
  model::EndpointPort facts;
  if (!port.tunnel) return facts;
  const auto end = [](const InterfaceAddress& own, bool has_next_hop) {
    return model::TunnelEnd{own.address, own.link(), has_next_hop};
  };
  if (port.tunnel->ipv4) facts.ipv4 = end(*port.tunnel->ipv4, port.tunnel->next_hop.has_value());
  if (port.tunnel->ipv6) facts.ipv6 = end(*port.tunnel->ipv6, port.tunnel->next_hop6.has_value());
  return facts;
}

TunnelEnd tunnel_end(const config::Settings::TunnelEnd& wanted) {
  TunnelEnd end;
  if (wanted.ipv4) {
    end.ipv4 = wanted.ipv4->address.v4();
    end.ipv4_length = wanted.ipv4->length;
  }
  if (wanted.ipv6) {
    end.ipv6 = wanted.ipv6->address.v6();
    end.ipv6_length = wanted.ipv6->length;
  }
  if (wanted.next_hop) end.next_hop = *wanted.next_hop;
  if (wanted.next_hop6) end.next_hop6 = *wanted.next_hop6;
  end.strip_inner_vlan = wanted.strip_inner_vlan;
  end.zero_udp_checksum = wanted.zero_udp_checksum;
  return end;
}

}  // namespace

void Gateway::Free::operator()(rte_rcu_qsbr* rcu) const {
  rte_free(rcu);
}
void Gateway::Free::operator()(rte_ring* ring) const {
  rte_ring_free(ring);
}

Expected<std::unique_ptr<Gateway>> Gateway::start(const config::Settings& settings) {
  // First what another gateway on this machine would hold.
  auto store = store::SqliteStore::open(settings.store_path);
  if (!store) return Unexpected(store.error());

  const MemoryPlan plan = plan_memory(settings);
  log_memory(plan);
  std::unique_ptr<Gateway> gateway(new Gateway(settings));
  auto eal = Eal::start(settings, plan.eal_megabytes());
  if (!eal) return Unexpected(eal.error());
  gateway->eal_ = std::move(*eal);

  auto done = gateway->open_ports();
  if (done) done = gateway->create_tables();
  if (done) done = gateway->create_punt();
  if (done) done = gateway->create_captures();
  if (done) done = gateway->create_workers();
  if (done) done = gateway->start_control(std::move(*store));
  if (done) done = gateway->open_receive_side();
  if (done) done = gateway->start_api();
  if (!done) return Unexpected(done.error());
  return gateway;
}

Gateway::~Gateway() {
  if (server_) server_->stop();
  if (control_) control_->stop();
  if (workers_) workers_->stop();
  denied_lines_ = nullptr;
  if (!punt_) return;
  punt_->stop();
  for (size_t i = 0; i < punt_outcomes.size(); ++i)
    spdlog::debug("punt: {} = {} ({})", punt_outcomes[i].name, punt_->counters()[i].get(),
                  punt_outcomes[i].text);
}

Expected<void> Gateway::open_ports() {
  const auto& cores = settings_.workers.cores;
  for (size_t i = 0; i < cores.size(); ++i)
    spdlog::info("worker {}: core {}, NUMA node {}, back end {}", i, cores[i],
                 node_text(numa_node_of_core(cores[i])), name_of(widest_isa()));
  for (const auto& wanted : settings_.ports) {
    auto port = EthPort::probe(wanted.device);
    if (!port) return Unexpected(port.error());
    const EthPort& opened = ports_.emplace_back(std::move(*port));
    // A guard before the first frame; a virtual port's interface is up already.
    if (const auto interface = opened.interface_index())
      if (const std::string warning = host_stack_.protect(*interface); !warning.empty())
        spdlog::warn("port {}: {}", wanted.name, warning);
    const auto pool = pool_on(opened.numa_node());
    if (!pool) return Unexpected(pool.error());
    const EthPortConfig config{wanted.mtu,    wanted.rx_descriptors,           wanted.tx_descriptors,
                               wanted.queues, wanted.role == PortRole::uplink, wanted.tunnel.has_value()};
    if (auto done = ports_.back().configure(config, *pool); !done) return done;
    spdlog::info("port {}: {}, {}, MAC {}, MTU {}, NUMA node {}", wanted.name, role_text(wanted.role),
                 wanted.device, opened.mac().to_string(), opened.mtu(), node_text(opened.numa_node()));
    for (const uint32_t core : cores)
      if (const auto warning =
              placement_warning(wanted.name, opened.numa_node(), core, numa_node_of_core(core)))
        spdlog::warn("{}", *warning);
    if (cores.size() > 1) log_queues(wanted.name, opened, cores.size());
  }
  return {};
}

Expected<rte_mempool*> Gateway::pool_on(int numa_node) {
  if (const auto found = pools_.find(numa_node); found != pools_.end()) return found->second;
  auto pool = create_packet_pool("packets" + node_text(numa_node), packet_buffers(settings_),
                                 largest_mtu(settings_), numa_node);
  if (pool) pools_.emplace(numa_node, *pool);
  return pool;
}

const EthPort& Gateway::uplink() const {
  const auto port = std::ranges::find(settings_.ports, PortRole::uplink, &config::Settings::Port::role);
  return ports_[static_cast<size_t>(port - settings_.ports.begin())];
}

Expected<void> Gateway::create_tables() {
  const int node = numa_node_of_core(settings_.workers.cores[0]);
  auto tables = Tables::create(table_sizes(settings_), node);
  if (!tables) return Unexpected(tables.error());
  tables_ = std::move(*tables);
  tables_->timeouts = settings_.timeouts;

  PortTable& table = tables_->ports;
  for (size_t i = 0; i < ports_.size(); ++i) {
    const auto& wanted = settings_.ports[i];
    PortInfo& info = table.ports[ports_[i].id()];
    info.role = wanted.role;
    info.mac = ports_[i].mac();
    info.mtu = ports_[i].mtu();
    info.proxy_arp = wanted.proxy_arp;
    info.punt_rate = wanted.punt_rate;
    if (wanted.endpoint_next_hop) info.endpoint_next_hop = *wanted.endpoint_next_hop;
    if (wanted.next_hop_mac)
      tables_->next_hop.set(ports_[i].id(), *wanted.next_hop_mac);
    else if (wanted.next_hop)
      info.next_hop = *wanted.next_hop;
    if (wanted.endpoint_next_hop6) info.endpoint_next_hop6 = *wanted.endpoint_next_hop6;
    if (wanted.next_hop6_mac)
      tables_->next_hop6.set(ports_[i].id(), *wanted.next_hop6_mac);
    else if (wanted.next_hop6)
      info.next_hop6 = *wanted.next_hop6;
    if (wanted.tunnel) {
      info.tunnel = tunnel_end(*wanted.tunnel);
      tables_->links.expect_tunnels_on(ports_[i].id());
    }
    table.in_use.push_back(ports_[i].id());
  }
  table.uplink = uplink().id();

  for (const IpAddr& address : settings_.gateway.addresses_of(IpFamily::ipv4))
    tables_->gateway.addresses.push_back(address.v4());
  for (const IpAddr& address : settings_.gateway.addresses_of(IpFamily::ipv6))
    tables_->gateway.addresses6.push_back(address.v6());
  tables_->gateway.icmp_error_rate = settings_.gateway.icmp_error_rate;
  const model::PermitList permit(settings_.gateway.permit);
  for (const compile::CompiledRule& rule : compile::compile_rules(permit, IpFamily::ipv4))
    tables_->gateway.permit.push_back(rule.rule);
  for (const compile::CompiledRule& rule : compile::compile_rules(permit, IpFamily::ipv6))
    tables_->gateway.permit6.push_back({rule.rule, rule.remote.v6()});

  const size_t size = rte_rcu_qsbr_get_memsize(rcu_readers);
  rcu_.reset(static_cast<rte_rcu_qsbr*>(rte_zmalloc_socket("rcu", size, RTE_CACHE_LINE_SIZE, node)));
  if (!rcu_ || rte_rcu_qsbr_init(rcu_.get(), rcu_readers) != 0)
    return fail(ErrorCode::resource_exhausted, "no memory for RCU; raise eal.memory_mb");
  // To the punt thread come packets of every worker. With relaxed tails none waits for another that the
  // scheduler took away in the middle of it.
  const unsigned by_workers = settings_.workers.cores.size() == 1 ? RING_F_SP_ENQ : RING_F_MP_RTS_ENQ;
  for (const auto& [ring, name, producers] :
       {std::tuple{&to_punt_, "to_punt", by_workers},
        std::tuple{&from_punt_, "from_punt", unsigned{RING_F_SP_ENQ}}}) {
    ring->reset(rte_ring_create(name, punt_ring_size, node, producers | RING_F_SC_DEQ));
    if (!*ring) return fail(ErrorCode::resource_exhausted, "no memory for punt rings; raise eal.memory_mb");
  }
  return {};
}

Expected<void> Gateway::create_punt() {
  PuntConfig config;
  config.rcu_id = punt_rcu_id;
  config.from_worker = to_punt_.get();
  config.to_worker = from_punt_.get();
  config.buffers = pools_.at(uplink().numa_node());
  if (const auto& addresses = tables_->gateway.addresses; !addresses.empty())
    config.arp_source = addresses.front();
  if (const auto& addresses = tables_->gateway.addresses6; !addresses.empty())
    config.neighbor_source = addresses.front();
  if (const auto& addresses = settings_.gateway.addresses; !addresses.empty()) {
    config.tap = TapConfig{settings_.gateway.tap, tap_mac, uplink().mtu(), addresses};
  }
  auto punt = PuntThread::create(std::move(config), *tables_, rcu_.get());
  if (!punt) return Unexpected(punt.error());
  punt_ = std::move(*punt);
  return {};
}

Expected<void> Gateway::create_captures() {
  std::vector<int> nodes;
  for (const uint32_t core : settings_.workers.cores) nodes.push_back(numa_node_of_core(core));
  auto captures = Captures::create(*tables_, rcu_.get(), nodes, largest_mtu(settings_));
  if (!captures) return Unexpected(captures.error());
  captures_ = std::move(*captures);
  return {};
}

Expected<void> Gateway::create_workers() {
  auto workers = Workers::create(settings_, ports_, *tables_, rcu_.get(), to_punt_.get(), from_punt_.get());
  if (!workers) return Unexpected(workers.error());
  workers_ = std::move(*workers);
  if (const auto logs = workers_->denied_logs(); !logs.empty()) {
    std::map<PortId, std::string> names;
    for (size_t i = 0; i < ports_.size(); ++i) names.emplace(ports_[i].id(), settings_.ports[i].name);
    denied_lines_ = std::make_unique<DeniedLines>(logs, std::move(names));
  }
  return {};
}

Expected<void> Gateway::start_control(std::unique_ptr<store::Store> store) {
  std::map<std::string, PortId> port_ids;
  model::EndpointPorts endpoint_ports;
  std::set<IpAddr> reserved;
  for (size_t i = 0; i < ports_.size(); ++i) {
    const auto& port = settings_.ports[i];
    port_ids.emplace(port.name, ports_[i].id());
    if (port.role == PortRole::endpoint) endpoint_ports.emplace(port.name, endpoint_port(port));
    if (port.next_hop) reserved.insert(*port.next_hop);
    if (port.next_hop6) reserved.insert(*port.next_hop6);
    if (!port.tunnel) continue;
    if (port.tunnel->ipv4) reserved.insert(port.tunnel->ipv4->address);
    if (port.tunnel->ipv6) reserved.insert(port.tunnel->ipv6->address);
    if (port.tunnel->next_hop) reserved.insert(*port.tunnel->next_hop);
    if (port.tunnel->next_hop6) reserved.insert(*port.tunnel->next_hop6);
  }
  std::set<IpAddr> own;
  for (const InterfaceAddress& address : settings_.gateway.addresses) own.insert(address.address);
  reserved.insert(own.begin(), own.end());

  publish::Publisher publisher(*tables_, rcu_.get(), std::move(port_ids), settings_.capacity.flows_per_eip,
                               settings_.capacity.flows_per_tenant);
  for (const Worker* worker : workers_->all()) publisher.add_worker(worker);
  publisher.set_handover(workers_->handover());
  store::DurableClock clock(store::machine_clocks(), settings_.store_path + ".clock");
  if (const auto saved = clock.save(); !saved)
    spdlog::warn(
        "{}; should the wall clock be set before the next start, addresses rest and requests are "
        "remembered too long or too short by as much",
        saved.error().message);
  control_.emplace(
      ControlConfig{.pools = settings_.pools,
                    .compact_after = settings_.compact_after,
                    .compact_after_bytes = uint64_t{settings_.compact_after_mb} << 20,
                    .now_ms = [clock] { return clock.now_ms(); },
                    .start_cpus = settings_.workers.cores},
      model::Model(limits_of(settings_), std::move(endpoint_ports), std::move(reserved), std::move(own)),
      std::move(store), std::move(publisher));
  return control_->start();
}

Expected<void> Gateway::open_receive_side() {
  for (EthPort& port : ports_)
    if (auto done = port.start(); !done) return done;
  if (auto done = workers_->start(); !done) return done;
  punt_->start();
  return {};
}

Expected<void> Gateway::start_api() {
  service::Sources sources;
  sources.tables = tables_.get();
  sources.workers = workers_->all();
  for (size_t i = 0; i < ports_.size(); ++i) {
    const auto& port = settings_.ports[i];
    sources.ports.push_back(
        {ports_[i].id(), port.name, port.device, ports_[i].numa_node(), port.next_hop, port.next_hop6});
  }
  // Drivers keep their statistics for one reader at a time; handlers are many.
  sources.link = [mutex = std::make_shared<std::mutex>()](PortId port) {
    const std::scoped_lock lock(*mutex);
    return service::LinkState{link_is_up(port), missed_frames(port)};
  };
  sources.captures = captures_.get();
  service::ServerConfig config{settings_.api.socket, std::nullopt, settings_.api.audit_log,
                               settings_.metrics_listen};
  if (const auto& tls = settings_.api.tls)
    config.tls = service::TlsConfig{tls->listen, tls->certificate, tls->key, tls->client_ca};
  auto server = service::Server::start(config, *control_, std::move(sources));
  if (!server) return Unexpected(server.error());
  server_ = std::move(*server);
  return {};
}

}  // namespace portcullis
