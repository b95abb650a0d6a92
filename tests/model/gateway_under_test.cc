#include "tests/model/gateway_under_test.h"

#include <rte_lcore.h>

#include <atomic>
#include <set>
#include <stdexcept>

namespace portcullis::testing {
namespace {

constexpr uint32_t rcu_threads = max_workers;

void require(const Expected<void>& result) {
  if (!result) throw std::runtime_error(result.error().message);
}

template <typename T>
T must(Expected<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  return std::move(*result);
}

model::Limits limits_of(const Sizes& sizes, const reference::Setup& setup) {
  return {.eips = sizes.eips,
          .ipv6_eips = sizes.eips,
          .vms = sizes.eips,
          .index_pages = sizes.index_pages,
          .rules_per_eip = sizes.rules_per_eip,
          .permit_chunks = sizes.permit_chunks,
          .links = sizes.links,
          .tunnel_remotes = sizes.tunnel_remotes,
          .tag_sets = sizes.tag_sets,
          .quarantine_ms = sizes.quarantine_ms,
          .eips_per_tenant = sizes.eips,
          .flows_per_eip = setup.flow_quota,
          .flows_per_tenant = setup.tenant_flow_quota};
}

model::EndpointPorts endpoint_ports(const reference::Setup& setup) {
  model::EndpointPorts ports;
  for (const reference::PortSetup& port : setup.ports) {
    if (port.uplink) continue;
    model::EndpointPort& facts = ports[port.name];
    for (const auto& [family, end] : port.tunnel.ends)
      (family == IpFamily::ipv4 ? facts.ipv4 : facts.ipv6) =
          model::TunnelEnd{end.address, end.link, end.next_hop.has_value()};
  }
  return ports;
}

TunnelEnd tunnel_end(const reference::TunnelSetup& setup) {
  TunnelEnd tunnel{.strip_inner_vlan = setup.strip_inner_vlan, .zero_udp_checksum = setup.zero_udp_checksum};
  for (const auto& [family, end] : setup.ends)
    if (family == IpFamily::ipv4) {
      tunnel.ipv4 = end.address.v4();
      tunnel.ipv4_length = end.link.length();
      if (end.next_hop) tunnel.next_hop = end.next_hop->v4();
    } else {
      tunnel.ipv6 = end.address.v6();
      tunnel.ipv6_length = end.link.length();
      if (end.next_hop) tunnel.next_hop6 = end.next_hop->v6();
    }
  return tunnel;
}

std::set<IpAddr> reserved(const reference::Setup& setup) {
  std::set<IpAddr> addresses(setup.gateway_addresses.begin(), setup.gateway_addresses.end());
  addresses.insert(setup.gateway_addresses6.begin(), setup.gateway_addresses6.end());
  for (const reference::PortSetup& port : setup.ports)
    for (const IpAddr& hop : std::initializer_list<IpAddr>{port.next_hop, port.endpoint_next_hop,
                                                           port.next_hop6, port.endpoint_next_hop6})
      addresses.insert(hop);
  for (const reference::PortSetup& port : setup.ports)
    for (const auto& [family, end] : port.tunnel.ends) {
      addresses.insert(end.address);
      if (end.next_hop) addresses.insert(*end.next_hop);
    }
  return addresses;
}

// The gateway's own list compiles like anybody's.
void compile_own_list(const model::PermitList& list, GatewayInfo& gateway) {
  for (const compile::CompiledRule& rule : compile::compile_rules(list, IpFamily::ipv4))
    gateway.permit.push_back(rule.rule);
  for (const compile::CompiledRule& rule : compile::compile_rules(list, IpFamily::ipv6))
    gateway.permit6.push_back({rule.rule, rule.remote.v6()});
}

}  // namespace

GatewayUnderTest::GatewayUnderTest(const reference::Setup& setup, const std::vector<RingPort*>& ports,
                                   const Sizes& sizes, uint32_t punt_room)
    : ports_(ports), model_(limits_of(sizes, setup), endpoint_ports(setup), reserved(setup)) {
  model::State state;
  state.generation = sizes.generation;
  require(model_.restore(std::move(state)));
  static std::atomic<unsigned> serial{0};
  const std::string number = std::to_string(serial.fetch_add(1));
  tables_ =
      must(Tables::create({.eips = sizes.eips,
                           .ipv6_eips = sizes.eips,
                           .spare_records = sizes.spare,
                           .spare = sizes.spare,
                           .spare_chunks = static_cast<uint32_t>(most_permit_chunks(sizes.rules_per_eip)),
                           .index_pages = sizes.index_pages,
                           .permit_chunks = sizes.permit_chunks,
                           .tag_sets = sizes.tag_sets,
                           .links = sizes.links,
                           .tunnel_remotes = sizes.tunnel_remotes},
                          SOCKET_ID_ANY));
  configure_ports(setup);
  rcu_.reset(static_cast<rte_rcu_qsbr*>(
      rte_zmalloc("rcu", rte_rcu_qsbr_get_memsize(rcu_threads), RTE_CACHE_LINE_SIZE)));
  if (!rcu_ || rte_rcu_qsbr_init(rcu_.get(), rcu_threads) != 0) throw std::runtime_error("no memory for RCU");
  to_punt_ = make_ring("to-punt-" + number, punt_room);
  from_punt_ = make_ring("from-punt-" + number, punt_room);
  create_workers(sizes);
  std::map<std::string, PortId> port_ids;
  for (size_t i = 0; i < ports_.size(); ++i) port_ids[setup.ports[i].name] = ports_[i]->id();
  publisher_ = std::make_unique<publish::Publisher>(*tables_, rcu_.get(), port_ids, setup.flow_quota,
                                                    setup.tenant_flow_quota);
  for (const auto& worker : workers_) publisher_->add_worker(worker.get());
  publisher_->set_handover(handover_.get());
}

void GatewayUnderTest::create_workers(const Sizes& sizes) {
  if (sizes.workers > 1) {
    handover_ = must(Handover::create(sizes.workers, SOCKET_ID_ANY, sizes.handover_room));
    error_rate_ =
        must(ErrorRate::create(tables_->gateway.icmp_error_rate, tables_->binding.capacity(), SOCKET_ID_ANY));
  }
  std::vector<QueueCounts> queues;
  const auto count = static_cast<uint16_t>(sizes.queue_for_each ? sizes.workers : 1);
  for (const RingPort* port : ports_) queues.push_back({port->id(), count, count});
  const std::vector<WorkerQueues> assigned = assign_queues(queues, sizes.workers);
  for (uint32_t id = 0; id < sizes.workers; ++id)
    workers_.push_back(must(Worker::create({.id = id,
                                            .flow_capacity = sizes.flow_capacity,
                                            .ipv6_flow_capacity = sizes.flow_capacity,
                                            .fragment_capacity = sizes.fragment_capacity,
                                            .flow_secret = flow_secret,
                                            .isa = sizes.isa,
                                            .to_punt = to_punt_.get(),
                                            .from_punt = id == 0 ? from_punt_.get() : nullptr,
                                            .handover = handover_.get(),
                                            .error_rate = error_rate_ ? &*error_rate_ : nullptr,
                                            .queues = assigned[id]},
                                           *tables_, rcu_.get())));
  for (const auto& worker : workers_) {
    std::vector<const Worker*> peers;
    for (const auto& other : workers_)
      if (other != worker) peers.push_back(other.get());
    worker->set_peers(peers);
  }
}

GatewayUnderTest::~GatewayUnderTest() {
  set_online(false);
  static_cast<void>(collect_punted());
}

void GatewayUnderTest::configure_ports(const reference::Setup& setup) {
  for (size_t i = 0; i < ports_.size(); ++i) {
    const reference::PortSetup& port = setup.ports[i];
    const PortId id = ports_[i]->id();
    tables_->ports.ports[id] = {.role = port.uplink ? PortRole::uplink : PortRole::endpoint,
                                .mac = port.mac,
                                .mtu = port.mtu,
                                .proxy_arp = port.proxy_arp,
                                .punt_rate = port.punt_rate,
                                .endpoint_next_hop = port.endpoint_next_hop,
                                .next_hop = port.next_hop,
                                .endpoint_next_hop6 = port.endpoint_next_hop6,
                                .next_hop6 = port.next_hop6,
                                .tunnel = tunnel_end(port.tunnel)};
    if (!port.tunnel.ends.empty()) tables_->links.expect_tunnels_on(id);
    tables_->ports.in_use.push_back(id);
    if (port.uplink) tables_->ports.uplink = id;
  }
  tables_->gateway.addresses = setup.gateway_addresses;
  tables_->gateway.addresses6 = setup.gateway_addresses6;
  tables_->gateway.icmp_error_rate = setup.icmp_error_rate;
  compile_own_list(setup.gateway_permit, tables_->gateway);
  tables_->timeouts = {.tcp_established_ms = setup.timeouts.tcp_established_ms,
                       .tcp_transitory_ms = setup.timeouts.tcp_transitory_ms,
                       .udp_ms = setup.timeouts.udp_ms,
                       .icmp_ms = setup.timeouts.icmp_ms,
                       .other_ms = setup.timeouts.other_ms,
                       .fragment_ms = setup.timeouts.fragment_ms};
}

void GatewayUnderTest::set_online(bool online) {
  if (online == online_) return;
  for (const auto& worker : workers_) online ? worker->online() : worker->offline();
  online_ = online;
}

void GatewayUnderTest::poll(uint64_t now_ms) {
  do {
    for (const auto& worker : workers_) worker->poll(now_ms);
  } while (total([](const WorkerCounters& counters) { return counters.handed_over.get(); }) !=
           total([](const WorkerCounters& counters) { return counters.taken_over.get(); }));
}

void GatewayUnderTest::apply(const model::ChangeSet& changes) {
  if (changes.changes.empty()) return;
  model_.apply(changes);
  // First as if the store refused it: that leaves no trace.
  publisher_->prepare(compile::compile_change(model_.state(), changes));
  publisher_->discard();
  require(publisher_->publish(compile::compile_change(model_.state(), changes)));
}

std::vector<Bytes> GatewayUnderTest::collect_punted() {
  std::vector<Bytes> frames;
  void* packet = nullptr;
  while (rte_ring_sc_dequeue(to_punt_.get(), &packet) == 0)
    frames.push_back(take_bytes(static_cast<rte_mbuf*>(packet)));
  return frames;
}

void GatewayUnderTest::originate(rte_mbuf* frame) {
  frame->port = uplink();
  if (rte_ring_sp_enqueue(from_punt_.get(), frame) != 0) rte_pktmbuf_free(frame);
}

}  // namespace portcullis::testing
