#include "tests/model/world.h"

#include <algorithm>

#include "dataplane/drop.h"
#include "dataplane/spread.h"
#include "dataplane/tables/fragment.h"
#include "tests/model/frames_link.h"

namespace portcullis::testing {
namespace {

using reference::Arrival;
using reference::Fate;
using reference::PortNumber;

constexpr size_t trace_length = 40;
constexpr uint64_t age_sweep_ms = 10'000;  // in which a worker ages its whole flow table

// What tells flows apart on the wire: the addresses and the four bytes behind the IP header, ports mostly. Of
// what goes by a link, and of ICMP errors, the order is not looked at.
Bytes order_key(const Bytes& frame) {
  constexpr size_t ether_type_at = 12, addresses_at = 14 + 12, ports_end = 14 + 20 + 4;
  constexpr size_t addresses6_at = 14 + 8, ports6_end = 14 + 40 + 4;
  if (frame.size() < ports6_end || is_icmp_error(frame)) return frame;
  const bool is_ipv6 = frame[ether_type_at] == 0x86;
  if (!is_ipv6 && frame[ether_type_at] != 0x08) return frame;
  const size_t end = is_ipv6 ? ports6_end : ports_end;
  const uint32_t port = uint32_t{frame[end - 2]} << 8 | frame[end - 1];
  if (port == vxlan_port || port == geneve_port) return frame;
  return {frame.begin() + (is_ipv6 ? addresses6_at : addresses_at),
          frame.begin() + static_cast<std::ptrdiff_t>(end)};
}

}  // namespace

Bench& Bench::instance() {
  static Bench bench;
  return bench;
}

Bench::Bench() : frames_("frames", 8191) {
  for (int i = 0; i < 4; ++i)
    ports_.push_back(
        std::make_unique<RingPort>("port" + std::to_string(i), frames_, port_depth, most_workers));
}

std::vector<RingPort*> Bench::ports(size_t count) const {
  std::vector<RingPort*> ports;
  for (size_t i = 0; i < count; ++i) ports.push_back(ports_.at(i).get());
  return ports;
}

World::World(reference::Setup setup, const Sizes& sizes, uint32_t punt_room)
    : bench_(Bench::instance()),
      ports_(bench_.ports(setup.ports.size())),
      buffers_before_(bench_.frames().in_use()),
      reference_(completed(std::move(setup), sizes, punt_room), sizes.generation),
      gateway_(std::make_unique<GatewayUnderTest>(reference_.setup(), ports_, sizes, punt_room)),
      sent_(ports_.size()) {
  gateway_->set_online(true);
}

World::~World() {
  finish();
}

// The one thing that the reference is told: where flows and datagrams may lie. IPv6's buckets count on behind
// IPv4's, those of a worker behind those of the one before it.
reference::Setup World::completed(reference::Setup setup, const Sizes& sizes, uint32_t punt_room) {
  setup.punt_room = punt_room;
  setup.workers.count = sizes.workers;
  setup.workers.room = sizes.handover_room;
  setup.workers.owner_of = [workers = sizes.workers](const std::vector<IpAddr>& ends) {
    uint16_t folded = 0;
    for (const IpAddr& end : ends)
      folded =
          static_cast<uint16_t>(folded ^ (end.is_v4() ? Spread::fold(end.v4()) : Spread::fold(end.v6())));
    return Spread::worker_of_bucket(Spread::bucket(folded), workers);
  };
  // As a device with receive-side scaling by one address: it looks no further than the first headers.
  if (sizes.queue_for_each)
    setup.workers.by_queue = [owner_of = setup.workers.owner_of, ports = setup.ports](PortNumber port,
                                                                                      const Bytes& frame) {
      const std::optional<Layout> packet = layout_of(frame);
      if (!packet) return 0u;
      return owner_of({ports[port].uplink ? packet->source : packet->destination});
    };
  setup.flows.ways = FlowTable::ways;
  setup.flows.bucket_of = [this,
                           buckets = sizes.flow_capacity / FlowTable::ways](const reference::FlowKey& key) {
    const Port local_port = Port::from_host(key.local_port), remote_port = Port::from_host(key.remote_port);
    const uint32_t before = 2 * buckets * key.worker;
    if (key.local.is_v4())
      return before + FlowTable::hash(SideTuple::of(key.local.v4(), key.remote.v4(), local_port, remote_port,
                                                    key.protocol, key.icmp_query),
                                      flow_secret) %
                          buckets;
    const auto bound =
        std::ranges::find_if(bindings_, [&](const auto& each) { return each.second.created == key.owner; });
    return before + buckets +
           FlowTable6::hash(SideTuple6::of(bound->first, key.remote.v6(), local_port, remote_port,
                                           key.protocol, key.icmp_query),
                            flow_secret) %
               buckets;
  };
  setup.fragments.ways = FragmentTable::ways;
  setup.fragments.share = FragmentTable::share;
  setup.fragments.number_of = [this](PortNumber port, const Encapsulation& link) -> uint32_t {
    if (std::holds_alternative<std::monostate>(link)) return gateway_->port_id(port);
    return gateway_->tables().links.find(LinkKey::of(gateway_->port_id(port), link)).value_or(0);
  };
  setup.fragments.bucket_of = [buckets = sizes.fragment_capacity / FragmentTable::ways](const IpAddr& eip) {
    return eip.is_v4() ? FragmentTable::bucket_of(eip.v4(), buckets, flow_secret)
                       : buckets + FragmentTable6::bucket_of(eip.v6(), buckets, flow_secret);
  };
  return setup;
}

void World::finish() {
  if (!gateway_) return;
  traces_.reset();
  gateway_.reset();
  for (RingPort* port : ports_) static_cast<void>(port->collect());
  expect_equal("buffers in use at the end", buffers_before_, bench_.frames().in_use());
}

// --- calls ---

template <typename Reply, typename Apply>
bool World::call(const std::string& what, const Expected<model::Plan<Reply>>& plan, Apply&& apply) {
  note(what + (plan ? "" : ": refused, " + plan.error().message));
  if (!plan) return false;
  source_ports_.forget();
  gateway_->set_online(false);
  const Reply reply = gateway_->enforce(*plan);
  gateway_->set_online(true);
  if (!plan->changes.changes.empty()) apply(reply);
  resolve_underlay();
  compare_state();
  return true;
}

bool World::create_pool(const model::Pool& pool) {
  return call("create pool " + pool.id + " " + pool.prefix.to_string() +
                  (pool.kind == model::PoolKind::local ? " local" : " provider"),
              gateway_->model().plan_create_pool(pool), [&](const auto&) { reference_.create_pool(pool); });
}

bool World::delete_pool(const std::string& id) {
  return call("delete pool " + id, gateway_->model().plan_delete_pool(id),
              [&](const auto&) { reference_.delete_pool(id); });
}

bool World::create_vm(const model::Vm& vm) {
  return call("create vm " + vm.tenant + "/" + vm.id + " at " + vm.location.port + " " +
                  to_string(vm.location.encapsulation) + " " + vm.location.mac.to_string() + " " +
                  (vm.dip ? vm.dip->to_string() : "") + (vm.dip6 ? " " + vm.dip6->to_string() : ""),
              gateway_->model().plan_create_vm(vm), [&](const auto&) { reference_.create_vm(vm); });
}

bool World::move_vm(const model::VmKey& key, const model::Location& location) {
  return call("move vm " + key.first + "/" + key.second + " to " + location.port + " " +
                  to_string(location.encapsulation) + " " + location.mac.to_string(),
              gateway_->model().plan_move_vm(key, location),
              [&](const auto&) { reference_.move_vm(key, location); });
}

bool World::delete_vm(const model::VmKey& key) {
  return call("delete vm " + key.first + "/" + key.second, gateway_->model().plan_delete_vm(key),
              [&](const auto&) { reference_.delete_vm(key); });
}

std::optional<IpAddr> World::request_eip(const model::VmKey& vm, const std::string& pool,
                                         std::optional<IpFamily> family) {
  const auto plan = gateway_->model().plan_request_eip(vm, pool, static_cast<int64_t>(now_ms_), family);
  const std::string what =
      "request EIP for " + vm.first + "/" + vm.second + (plan ? ": " + plan->reply.address.to_string() : "");
  if (!call(what, plan, [&](const model::Eip& eip) { reference_.request_eip(vm, eip.address); }))
    return std::nullopt;
  learn_binding(plan->reply.address);
  return plan->reply.address;
}

// A name is given again only once no flow lies under it any more.
void World::learn_binding(const IpAddr& eip) {
  if (eip.is_v4()) return;
  const BindingTable& table = gateway_->tables().binding;
  const IndexEntry entry = table.find(View::local, eip.v6());
  if (!entry.is_bound()) return differ(eip.to_string() + " is not bound");
  bindings_[table.record(entry.slot()).id] = {eip, state().eips.at(eip).created};
}

bool World::release_eip(const IpAddr& eip) {
  const auto plan =
      gateway_->model().plan_release_eip(state().eips.at(eip).tenant, eip, static_cast<int64_t>(now_ms_));
  return call("release " + eip.to_string(), plan, [&](const auto&) { reference_.release_eip(eip); });
}

bool World::set_permit_list(const IpAddr& eip, const std::vector<model::PermitRule>& rules,
                            bool keep_established) {
  const auto plan =
      gateway_->model().plan_set_permit_list(state().eips.at(eip).tenant, eip, rules, keep_established);
  if (keep_established && (plan || plan.error().code == ErrorCode::failed_precondition))
    expect_equal("whether keep_established can be had", reference_.may_keep(eip, rules), plan.has_value());
  return call(
      "permit list of " + eip.to_string() + (keep_established ? ", keep established:" : ":") + show(rules),
      plan, [&](const auto&) { reference_.set_permit_list(eip, rules, keep_established); });
}

bool World::set_tag(const IpAddr& eip, const std::set<std::string>& tags) {
  std::string what = "tags of " + eip.to_string() + ":";
  for (const std::string& tag : tags) what += " " + tag;
  return call(what, gateway_->model().plan_set_tag(state().eips.at(eip).tenant, eip, tags),
              [&](const auto&) { reference_.set_tag(eip, tags); });
}

bool World::set_flow_quota(const IpAddr& eip, uint32_t flows) {
  return call("flow quota of " + eip.to_string() + ": " + std::to_string(flows),
              gateway_->model().plan_set_eip_quota(state().eips.at(eip).tenant, eip,
                                                   {.rules = std::nullopt, .flows = flows}),
              [&](const auto&) { reference_.set_flow_quota(eip, flows); });
}

bool World::set_tenant_flow_quota(const model::TenantId& tenant, uint32_t flows) {
  return call("flow quota of " + tenant + ": " + std::to_string(flows),
              gateway_->model().plan_set_tenant_quota(
                  tenant, {.eips = std::nullopt, .rules = std::nullopt, .flows = flows}),
              [&](const auto&) { reference_.set_tenant_flow_quota(tenant, flows); });
}

void World::end_keep(const IpAddr& eip) {
  const Expected<model::Plan<model::Nothing>> plan = gateway_->model().plan_end_keep(eip);
  call("end keep of " + eip.to_string(), plan, [&](const auto&) { reference_.end_keep(eip); });
}

// --- the world ---

void World::set_neighbour(std::optional<Mac> mac, IpFamily family) {
  const bool is_ipv4 = family == IpFamily::ipv4;
  note(std::string(is_ipv4 ? "IPv4" : "IPv6") + " next hop " + (mac ? mac->to_string() : "unresolved"));
  reference_.set_neighbour(family, mac);
  NextHopTable& table = is_ipv4 ? gateway_->tables().next_hop : gateway_->tables().next_hop6;
  mac ? table.set(gateway_->uplink(), *mac) : table.clear(gateway_->uplink());
}

void World::advance(uint64_t milliseconds) {
  now_ms_ += milliseconds;
  if (milliseconds != 0) note("time " + std::to_string(now_ms_) + " (+" + std::to_string(milliseconds) + ")");
}

void World::block(PortNumber port, bool blocked) {
  note("link of port " + std::to_string(port) + (blocked ? " blocked" : " open"));
  if (blocked)
    blocked_.insert(port);
  else
    blocked_.erase(port);
}

const reference::Turn& World::poll(std::vector<std::vector<Arrival>> arrivals,
                                   const std::vector<Bytes>& originated) {
  arrivals.resize(ports_.size());
  rehearse(arrivals, originated);
  for (PortNumber port = 0; port < ports_.size(); ++port) {
    const reference::WorkerShape& workers = reference_.setup().workers;
    for (uint32_t worker = 0; worker < workers.count; ++worker)
      reference_.set_room(port, worker, ports_[port]->room(workers.by_queue ? worker : 0));
    for (const Arrival& arrival : arrivals[port])
      if (!ports_[port]->feed(arrival.bytes, arrival.first_segment, arrival.headroom,
                              workers.by_queue ? workers.by_queue(port, arrival.bytes) : 0))
        differ("receive ring is full");
  }
  for (const Bytes& frame : originated) gateway_->originate(bench_.frames().make(frame));

  turn_ = reference_.poll(now_ms_, arrivals, originated);
  gateway_->poll(now_ms_);

  for (PortNumber port = 0; port < ports_.size(); ++port)
    for (size_t i = 0; i < arrivals[port].size(); ++i)
      note("in " + std::to_string(port) + ": " + describe(arrivals[port][i].bytes) + "  " +
           show(turn_.verdicts[port][i]));
  compare_frames();
  compare_checksums();
  compare_rehearsal(arrivals);
  if (traces_) traces_->compare(reference_.setup(), arrivals, turn_, source_ports_, differences_);
  if (counts_each_turn_) compare_counts();
  return turn_;
}

reference::Verdict World::feed(PortNumber port, const Bytes& frame) {
  std::vector<std::vector<Arrival>> arrivals(ports_.size());
  arrivals.at(port).push_back({frame});
  return poll(std::move(arrivals)).verdicts[port].at(0);
}

void World::age_all() {
  note("age all");
  reference_.age_all(now_ms_);
  if (now_ms_ - aged_ms_ >= age_sweep_ms) {
    for (const auto& worker : gateway_->workers()) worker->age(now_ms_);
    aged_ms_ = now_ms_;
  } else {
    for (const auto& worker : gateway_->workers()) worker->age_all(now_ms_);
  }
  if (counts_each_turn_) compare_flows();
}

const model::Vm& World::vm_of(const IpAddr& eip) const {
  const model::Eip& e = state().eips.at(eip);
  return state().vms.at({e.tenant, e.vm});
}

// --- comparing ---

void World::differ(std::string what) {
  differences_.push_back(std::move(what));
}

void World::note(std::string operation) {
  trace_.push_back(std::move(operation));
  if (trace_.size() > trace_length) trace_.pop_front();
}

std::string World::report() const {
  std::string text = "the last operations:\n";
  for (const std::string& operation : trace_) text += "    " + operation + "\n";
  text += "differences:\n";
  for (const std::string& difference : differences_) text += "  " + difference + "\n";
  return text;
}

// Generations and all: what a packet will be judged by depends on them.
void World::compare_state() {
  const model::State& mine = reference_.state();
  const model::State& theirs = gateway_->model().state();
  expect_equal("generation", mine.generation, theirs.generation);
  if (mine.vms != theirs.vms) differ("vms of the model differ");
  if (mine.pools != theirs.pools) differ("pools of the model differ");
  if (mine.eips != theirs.eips) differ("EIPs of the model differ");
  const BindingTable& bindings = gateway_->tables().binding;
  const auto is_bound = [&](View view, const IpAddr& eip) {
    return (eip.is_v4() ? bindings.find(view, eip.v4()) : bindings.find(view, eip.v6())).is_bound();
  };
  for (const auto& [address, eip] : mine.eips) {
    expect_equal(address.to_string() + " in the edge view", reference_.in_edge_view(eip),
                 is_bound(View::edge, address));
    expect_equal(address.to_string() + " in the local view", true, is_bound(View::local, address));
  }
}

void World::compare_frames() {
  for (PortNumber port = 0; port < ports_.size(); ++port) {
    sent_[port].insert(sent_[port].end(), turn_.sent[port].begin(), turn_.sent[port].end());
    if (blocked_.contains(port)) continue;
    std::vector<Bytes> frames = collect(port);
    // Between flows of different workers there is no order.
    if (gateway_->workers().size() > 1) {
      std::ranges::stable_sort(frames, {}, order_key);
      std::ranges::stable_sort(sent_[port], {}, order_key);
    }
    expect_equal("frames out of port " + std::to_string(port), sent_[port], frames);
    if (sent_[port].size() == frames.size())
      for (size_t i = 0; i < frames.size(); ++i)
        if (frames[i] != sent_[port][i]) {
          const auto first = std::ranges::mismatch(frames[i], sent_[port][i]).in1 - frames[i].begin();
          differ("frame " + std::to_string(i) + " differs first at byte " + std::to_string(first));
        }
    sent_[port].clear();
  }
  punted_.insert(punted_.end(), turn_.punted.begin(), turn_.punted.end());
  if (!collect_punts_) return;
  expect_equal("punted frames", punted_, gateway_->collect_punted());
  punted_.clear();
  reference_.punts_collected();
}

// Independently of how either side computes them: a checksum that was right is right, one that was wrong is
// wrong.
void World::compare_checksums() {
  for (const std::vector<reference::Verdict>& verdicts : turn_.verdicts)
    for (const reference::Verdict& verdict : verdicts) {
      const Bytes& packet = verdict.packet;
      if (verdict.fate == Fate::answered && is_icmp_error(packet)) {
        expect_equal("header checksum of an answer right", true, header_checksum_right(packet));
        expect_equal("ICMP checksum of an answer right", true, transport_checksum_right(packet));
      }
      if (verdict.fate != Fate::transmitted) continue;
      if (is_icmp_error(packet))
        expect_equal("quoted header checksum right", quoted_header_checksum_right(verdict.received),
                     quoted_header_checksum_right(packet));
      expect_equal("header checksum right", true, header_checksum_right(packet));
      if (is_fragment(packet)) continue;  // the checksum is of the whole datagram
      expect_equal("transport checksum right", transport_checksum_right(verdict.received),
                   transport_checksum_right(packet));
    }
}

void World::compare_counts() {
  compare_counters();
  compare_eips();
  compare_flows();
}

void World::compare_counters() {
  const reference::Counts& mine = reference_.counts();
  const auto total = [&](auto&& value) { return gateway_->total(value); };
  const auto of = [&](Counter WorkerCounters::*counter) {
    return total([&](const WorkerCounters& counters) { return (counters.*counter).get(); });
  };
  for (size_t i = 0; i < drop_count; ++i) {
    const std::string name(drop_registry[i].name);
    const auto found = mine.dropped.find(name);
    expect_equal("drops " + name, found == mine.dropped.end() ? 0 : found->second,
                 total([&](const WorkerCounters& counters) { return counters.dropped[i].get(); }));
  }
  for (size_t port = 0; port < ports_.size(); ++port) {
    const auto of_port = [&](Counter PortCounters::*counter) {
      return total([&](const WorkerCounters& counters) {
        return (counters.ports[gateway_->port_id(port)].*counter).get();
      });
    };
    const std::string name = " of port " + std::to_string(port);
    expect_equal("received packets" + name, mine.ports[port].received_packets,
                 of_port(&PortCounters::received_packets));
    expect_equal("received bytes" + name, mine.ports[port].received_bytes,
                 of_port(&PortCounters::received_bytes));
    expect_equal("transmitted packets" + name, mine.ports[port].transmitted_packets,
                 of_port(&PortCounters::transmitted_packets));
    expect_equal("transmitted bytes" + name, mine.ports[port].transmitted_bytes,
                 of_port(&PortCounters::transmitted_bytes));
  }
  expect_equal("originated", mine.originated, of(&WorkerCounters::originated));
  expect_equal("punted", mine.punted, of(&WorkerCounters::punted));
  expect_equal("held", mine.held, of(&WorkerCounters::held));
  for (const auto& worker : gateway_->workers()) {
    const WorkerCounters& theirs = worker->counters();
    expect_equal(
        "received + originated + taken over = transmitted + dropped + punted + held + handed over, of "
        "worker " +
            std::to_string(worker->config().id),
        theirs.received() + theirs.originated.get() + theirs.taken_over.get(),
        theirs.transmitted() + theirs.dropped_all() + theirs.punted.get() + theirs.held.get() +
            theirs.handed_over.get());
  }
}

void World::compare_eips() {
  for (const auto& [address, eip] : reference_.state().eips) {
    const publish::EipStatistics statistics = gateway_->publisher().statistics(address);
    const reference::EipCount mine = reference_.eip_count(address);
    const std::string of = " of " + address.to_string();
    expect_equal("in packets" + of, mine.in_packets, statistics.in_packets);
    expect_equal("in bytes" + of, mine.in_bytes, statistics.in_bytes);
    expect_equal("out packets" + of, mine.out_packets, statistics.out_packets);
    expect_equal("out bytes" + of, mine.out_bytes, statistics.out_bytes);
    expect_equal("flow entries" + of, uint64_t{reference_.flows_of(address)}, statistics.flow_entries);
    const std::map<std::string, uint64_t> hits = reference_.rule_hits(address);
    expect_equal("rules" + of, hits.size(), statistics.rules.size());
    for (const publish::RuleHits& rule : statistics.rules)
      expect_equal("hits of " + rule.rule + of, hits.contains(rule.rule) ? hits.at(rule.rule) : 0,
                   rule.packets);
  }
  std::set<model::TenantId> tenants;
  for (const auto& [address, eip] : reference_.state().eips) tenants.insert(eip.tenant);
  for (const model::TenantId& tenant : tenants)
    expect_equal("flow entries of " + tenant, uint64_t{reference_.flows_of_tenant(tenant)},
                 gateway_->publisher().flows_of_tenant(tenant));
  // Nothing else moved: not in a binding or a rule that is no more, either.
  uint64_t packets = 0, bytes = 0, hits = 0;
  for (const auto& worker : gateway_->workers()) {
    const WorkerCounters& counters = worker->counters();
    for (uint32_t i = 0; i < counters.slots.size(); ++i) {
      const SlotCounters& slot = counters.slots[i];
      packets += slot.in_packets.get() + slot.out_packets.get();
      bytes += slot.in_bytes.get() + slot.out_bytes.get();
      for (const Counter& rule : slot.rule_hits) hits += rule.get();
    }
    for (uint32_t i = 0; i < counters.chunk_hits.size(); ++i) hits += counters.chunk_hits[i].get();
  }
  expect_equal("packets of all bindings", reference_.counts().eip_packets, packets);
  expect_equal("bytes of all bindings", reference_.counts().eip_bytes, bytes);
  expect_equal("hits of all rules", reference_.counts().rule_hits, hits);
}

}  // namespace portcullis::testing
