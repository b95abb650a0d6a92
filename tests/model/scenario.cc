#include "tests/model/scenario.h"

#include <algorithm>
#include <array>
#include <set>

#include "tests/model/frames_link.h"
#include "tests/model/scenario_values.h"

namespace portcullis::testing {
namespace {

using model::Direction;
using model::PermitRule;
using model::PoolKind;
using reference::Arrival;
using reference::Fate;
using reference::PortNumber;

const std::vector<std::string> tags{"web", "db", "ops"};
const std::vector<std::string> tenants{"acme", "beta"};

// Of each family two local pools side by side, so that one prefix may be covered by both; one more; and some
// where the outside is, or others of the provider. The local ones of IPv4 lie across a /16.
const std::vector<model::Pool> all_pools{
    {"a", prefix_of(pooled(IpFamily::ipv4, 0), 29), PoolKind::local},
    {"b", prefix_of(pooled(IpFamily::ipv4, 8), 29), PoolKind::local},
    {"c", Ipv4Prefix(Ipv4Addr::of(100, 64, 255, 252), 30), PoolKind::local},
    {"d", prefix_of(outside(IpFamily::ipv4, 128), 28), PoolKind::provider},
    {"e", prefix_of(outside(IpFamily::ipv4, 0), 30), PoolKind::provider},
    {"f", prefix_of(outside(IpFamily::ipv4, 4), 31), PoolKind::local},
    {"a6", prefix_of(pooled(IpFamily::ipv6, 0), 125), PoolKind::local},
    {"b6", prefix_of(pooled(IpFamily::ipv6, 8), 125), PoolKind::local},
    {"c6", Ipv6Prefix(Ipv6Addr::of(0xfd0c'0000'0000'0000, 0), 112), PoolKind::local},
    {"d6", prefix_of(outside(IpFamily::ipv6, 128), 121), PoolKind::provider},
    {"e6", prefix_of(outside(IpFamily::ipv6, 0), 126), PoolKind::provider},
    {"f6", prefix_of(outside(IpFamily::ipv6, 4), 127), PoolKind::local},
};

const std::vector<std::string> endpoint_names{"left", "right"};

}  // namespace

Scenario::Scenario(uint64_t seed) : random_(seed) {
  reference::Setup setup = make_setup();
  port_setups_ = setup.ports;
  make_places();
  world_ = std::make_unique<World>(std::move(setup), make_sizes());
  // Without a draw: worlds are as they were before there were traces.
  if (seed % 2 == 1) world_->trace(seed % 4 == 3);
  populate();
}

// --- configuration ---

reference::Setup Scenario::make_setup() {
  reference::Setup setup;
  const size_t port_count = 2 + below(2);
  for (size_t i = 0; i < port_count; ++i) {
    reference::PortSetup port;
    port.name = i == uplink ? "uplink" : endpoint_names[i - 1];
    port.uplink = i == uplink;
    port.mac = {{0x02, 0xaa, 0, 0, 0, static_cast<uint8_t>(i)}};
    port.mtu = pick<uint16_t>({576, 1400, 1500});
    port.proxy_arp = port.uplink && chance(50);
    port.punt_rate = pick<uint32_t>({400, 1000, 50'000});
    if (port.uplink) {
      port.next_hop = pick({router, router, router_in_pool, Ipv4Addr()});
      port.next_hop6 = pick({router6, router6, router6_in_pool, Ipv6Addr()});
    } else {
      port.endpoint_next_hop = chance(50) ? configured_next_hop : link_local_next_hop;
      port.endpoint_next_hop6 = chance(50) ? configured_next_hop6 : link_local_next_hop6;
      if (chance(i + 1 == port_count ? 55 : 30)) port.tunnel = make_tunnel_end(i);
    }
    setup.ports.push_back(port);
  }
  setup.gateway_addresses = {gateway_address};
  setup.gateway_addresses6 = {gateway_address6};
  if (chance(80)) {
    setup.gateway_permit.push_back(
        {.name = "ping", .direction = Direction::inbound, .protocol = icmp, .icmp_type = 8});
    setup.gateway_permit.push_back(
        {.name = "ping6", .direction = Direction::inbound, .protocol = icmpv6, .icmp_type = 128});
  }
  if (chance(50))
    setup.gateway_permit.push_back(
        {.name = "bgp",
         .direction = Direction::inbound,
         .remote = std::vector<IpPrefix>{prefix_of(outside(IpFamily::ipv4, 0), 24),
                                         prefix_of(outside(IpFamily::ipv6, 0), 64)},
         .protocol = tcp,
         .local_ports = {80, 443}});
  if (chance(60))
    setup.timeouts = {.tcp_established_ms = 9'000,
                      .tcp_transitory_ms = 3'000,
                      .udp_ms = 2'000,
                      .icmp_ms = 1'000,
                      .other_ms = 2'500};
  setup.flow_quota = pick<uint32_t>({1, 3, 8, 200});
  if (chance(30)) setup.tenant_flow_quota = pick<uint32_t>({2, 6, 20});
  setup.timeouts.fragment_ms = pick<uint32_t>({1'000, 4'000});
  setup.icmp_error_rate = pick<uint32_t>({7, 100, 1000});
  if (chance(15)) setup.gateway_addresses.clear();
  if (chance(15)) setup.gateway_addresses6.clear();
  return setup;
}

Sizes Scenario::make_sizes() {
  Sizes sizes;
  sizes.flow_capacity = pick<uint32_t>({16, 16, 64, 1024});
  sizes.fragment_capacity = pick<uint32_t>({64, 128});
  sizes.workers = pick<uint32_t>({1, 1, 2, 4});
  sizes.queue_for_each = sizes.workers > 1 && chance(50);
  sizes.handover_room = chance(4) ? 5 : Handover::ring_size;
  sizes.index_pages = 8;
  std::vector<Isa> isas;
  std::ranges::copy_if(all_isas, std::back_inserter(isas), is_supported);
  sizes.isa = pick(isas);
  // The data plane's generations are 32 bits wide: they wrap, and their differences change sign.
  const uint64_t turn = pick<uint64_t>({0, uint64_t{1} << 31, uint64_t{1} << 32});
  if (turn != 0) sizes.generation = turn - 20 - below(50);
  return sizes;
}

void Scenario::populate() {
  for (const IpFamily family : families)
    if (!chance(5)) world_->set_neighbour(router_mac, family);
  for (int n = 0; n < 20; ++n) change_underlay();
  for (const model::Pool& pool : all_pools) {
    const IpFamily family = pool.prefix.family();
    const bool is_first = pool.prefix.contains(pooled(family, 0));
    if (is_first || chance(pool.prefix.contains(outside(family, 1)) ? 10 : 50)) world_->create_pool(pool);
  }
  if (chance(15)) world_->set_tenant_flow_quota(pick(tenants), pick<uint32_t>({1, 4, 12}));
  const size_t vms = 6 + below(7);
  for (size_t i = 0; i < vms; ++i) {
    const model::Vm vm = make_vm();
    if (!world_->create_vm(vm)) continue;
    for (const IpFamily family : families) {
      if (!vm.dip_of(family) || chance(10)) continue;
      const auto eip = world_->request_eip({vm.tenant, vm.id}, {}, family);
      if (!eip) continue;
      if (chance(60)) world_->set_tag(*eip, {pick(tags)});
      if (chance(30)) set_some_flow_quota(*eip);
      if (!chance(15)) world_->set_permit_list(*eip, make_list(family));
    }
  }
}

model::Vm Scenario::make_vm() {
  model::Vm vm;
  vm.tenant = chance(75) ? tenants[0] : tenants[1];
  vm.id = "vm" + std::to_string(next_vm_++);
  const Place& place = places_[some_home()];
  vm.location.port = port_setups_[place.port].name;
  vm.location.encapsulation = place.link;
  vm.location.mac = {{0x02, 0x55, 0, 0, 0, static_cast<uint8_t>(below(40))}};
  // Sometimes an address of a pool: then the DIP may be the EIP, or another one's.
  const auto dip = [&](IpFamily family) {
    return chance(20) ? pooled(family, static_cast<uint8_t>(1 + below(6)))
                      : private_one(family, static_cast<uint8_t>(10 + below(16)));
  };
  const uint64_t kind = below(10);  // of IPv4 alone, of IPv6 alone, of both
  if (kind < 7) vm.dip = dip(IpFamily::ipv4).v4();
  if (kind >= 3) vm.dip6 = dip(IpFamily::ipv6).v6();
  return vm;
}

// --- calls ---

std::optional<IpAddr> Scenario::some_eip(std::optional<IpFamily> family) {
  std::vector<IpAddr> eips;
  for (const auto& [address, eip] : world_->state().eips)
    if (!family || address.family() == *family) eips.push_back(address);
  return eips.empty() ? std::nullopt : std::optional(pick(eips));
}

model::Remote Scenario::make_remote(IpFamily family) {
  using Prefixes = std::vector<IpPrefix>;
  const unsigned whole = family == IpFamily::ipv4 ? 32 : 128;
  switch (below(9)) {
    case 0:
      return Prefixes{prefix_of(outside(family, 0), family == IpFamily::ipv4 ? 24 : 64)};
    case 8: {  // one within the other, from a single host to what covers everybody
      const auto length = static_cast<unsigned>(family == IpFamily::ipv6 && chance(30)
                                                    ? pick<uint64_t>({31, 32, 33, 63, 64, 65, 96})
                                                    : below(whole + 1));
      return Prefixes{prefix_of(outside(family, static_cast<uint8_t>(below(16))), length),
                      prefix_of(outside_host(family), whole - 6 + static_cast<unsigned>(below(7)))};
    }
    case 1:
      return Prefixes{prefix_of(outside_host(family), whole), prefix_of(outside_host(family), whole)};
    // Covered by one pool, by two together, or by more than there is.
    case 2:
      return Prefixes{prefix_of(pooled(family, 0), whole - 5 + static_cast<unsigned>(below(4)))};
    case 3: {
      const auto eip = some_eip(family);
      return Prefixes{prefix_of(eip ? *eip : outside_host(family), whole)};
    }
    case 4:
    case 5: {
      std::vector<std::string> names{pick(tags)};
      if (chance(30)) names.push_back(pick(tags));
      return names;
    }
    default:
      return model::AnyRemote{};
  }
}

PermitRule Scenario::make_rule(const std::string& name, IpFamily family) {
  PermitRule rule;
  rule.name = name;
  rule.direction = chance(55) ? Direction::inbound : Direction::outbound;
  rule.remote = make_remote(family);
  const uint64_t kind = below(9);
  if (kind == 8) {
    rule.protocol = pick<uint8_t>({gre, esp, 4});
  } else if (kind == 0) {
  } else if (kind == 1) {
    rule.protocol = icmp_of(family);
    if (chance(60))
      rule.icmp_type =
          family == IpFamily::ipv4 ? pick<uint8_t>({8, 8, 13, 0, 14}) : pick<uint8_t>({128, 128, 129});
    if (rule.icmp_type && chance(60)) rule.icmp_code = static_cast<uint8_t>(below(2));
  } else {
    rule.protocol = kind < 5 ? tcp : kind < 7 ? udp : sctp;
    if (chance(60)) rule.local_ports = pick<PortRange>({{80, 80}, {22, 443}, {443, 5000}, {5000, 5001}});
    if (chance(20)) rule.remote_ports = pick<PortRange>({{80, 80}, {22, 443}, {5000, 65535}});
  }
  rule.tracked = rule.direction == Direction::inbound && chance(35);
  return rule;
}

std::vector<PermitRule> Scenario::make_list(IpFamily family) {
  // Mostly short; at times longer than what lies inline, than what is scanned, than one header of shapes.
  const uint64_t kind = below(100);
  const uint64_t count = kind < 65   ? 1 + below(4)
                         : kind < 80 ? 3 + below(20)
                         : kind < 97 ? 10 + below(50)
                                     : 60 + below(300);
  std::vector<PermitRule> rules;
  for (uint64_t i = 0; i < count; ++i) rules.push_back(make_rule("r" + std::to_string(i), family));
  return rules;
}

void Scenario::change() {
  const auto eip = some_eip();
  switch (below(13)) {
    case 0:
    case 1:
    case 2:
    case 3:
      if (eip) change_list(*eip);
      break;
    case 4:
    case 5:
      if (eip) {
        std::set<std::string> names;
        while (chance(60)) names.insert(pick(tags));
        world_->set_tag(*eip, names);
      }
      break;
    case 6:
      if (eip && chance(60)) world_->release_eip(*eip);
      break;
    case 7:
      if (!world_->state().vms.empty()) {
        const model::VmKey vm = pick(world_->state().vms).first;
        const auto got = world_->request_eip(vm, {}, pick(families));
        if (got && world_->state().eips.at(*got).permit.empty())
          world_->set_permit_list(*got, make_list(got->family()));
      }
      break;
    case 8:
      change_vms();
      break;
    case 9:
    case 10:
      if (!world_->state().vms.empty()) move_some_vm();
      break;
    case 11:
      if (chance(30))
        world_->set_tenant_flow_quota(pick(tenants), pick<uint32_t>({0, 1, 4, 12, 300}));
      else if (eip)
        set_some_flow_quota(*eip);
      break;
    default:
      if (eip && chance(60))
        world_->end_keep(*eip);
      else
        change_pools();
  }
}

void Scenario::change_list(const IpAddr& eip) {
  std::vector<PermitRule> rules = world_->state().eips.at(eip).permit.rules();
  switch (below(6)) {
    case 0:
      break;  // the same again
    case 5:
      rules = make_list(eip.family());
      break;
    case 1:
    case 2:
      if (!rules.empty()) rules.erase(rules.begin() + static_cast<std::ptrdiff_t>(below(rules.size())));
      break;
    case 3:
      if (!rules.empty()) {
        PermitRule& rule = rules[below(rules.size())];
        if (chance(50))
          rule.tracked = rule.direction == Direction::inbound && !rule.tracked;
        else
          rule = make_rule(rule.name, eip.family());
        break;
      }
      [[fallthrough]];
    default:
      rules.push_back(make_rule("x" + std::to_string(random_() % 1000), eip.family()));
  }
  world_->set_permit_list(eip, rules, chance(40));
}

void Scenario::set_some_flow_quota(const IpAddr& eip) {
  world_->set_flow_quota(eip, pick<uint32_t>({0, 1, 2, 5, 300}));
}

void Scenario::change_pools() {
  const model::Pool& pool = pick(all_pools);
  if (world_->state().pools.contains(pool.id))
    world_->delete_pool(pool.id);
  else
    world_->create_pool(pool);
}

void Scenario::change_vms() {
  if (world_->state().vms.empty() || chance(40))
    world_->create_vm(make_vm());
  else if (chance(50))
    move_some_vm();
  else
    world_->delete_vm(pick(world_->state().vms).first);
}

void Scenario::move_some_vm() {
  const model::Vm vm = pick(world_->state().vms).second;
  const model::Location next = make_vm().location;
  const bool has_eip = std::ranges::any_of(world_->state().eips, [&](const auto& eip) {
    return eip.second.tenant == vm.tenant && eip.second.vm == vm.id;
  });
  const auto kind_of = [](const model::Location& location) {
    const std::string name = reference::name_of(location.encapsulation);
    return name.substr(0, name.find(' '));
  };
  if (world_->move_vm({vm.tenant, vm.id}, next) && has_eip)
    ++events_["moved: " + kind_of(vm.location) + " to " + kind_of(next)];
}

// --- packets ---

void Scenario::traffic() {
  if (chance(30)) recall_flow();
  Arrivals arrivals(port_setups_.size());
  const size_t ports_fed = chance(80) ? 1 : port_setups_.size();
  for (size_t n = 0; n < ports_fed; ++n) {
    const auto port = PortNumber{below(port_setups_.size())};
    const uint64_t count = chance(50) ? 1 : chance(90) ? 2 + below(8) : 64;
    PlaceNumber place = some_place_on(port);
    while (arrivals[port].size() < count) {
      arrivals[port].push_back(make_arrival(place));
      if (chance(30)) place = some_place_on(port);
    }
  }
  deliver(arrivals);
}

void Scenario::deliver(const Arrivals& arrivals) {
  std::vector<Bytes> originated;
  if (chance(3)) {
    originated.resize(1 + below(3));
    for (Bytes& frame : originated) frame = make_arp(uplink);
  }
  const reference::Turn& turn = world_->poll(arrivals, originated);
  learn_stations(arrivals, turn);
  for (PortNumber port = 0; port < turn.sent.size(); ++port)
    for (const Bytes& frame : turn.sent[port]) {
      if (!chance(50)) continue;
      const auto [link, packet] = port == uplink ? Unlinked{{}, frame} : unlinked(frame);
      answer(place_at(port, link), packet);
    }
  if (chance(10)) link_.lose_one(random_);
  if (chance(10)) link_.reorder(random_);
  while (link_.size() > 200) link_.lose_one(random_);
}

// More to the gateway's own address in one moment than its meter or its ring takes.
void Scenario::punt_flood() {
  world_->collect_punts(chance(60));
  const IpFamily family = pick(families);
  AnyPacket packet = from_uplink(family);
  packet.source =
      family == IpFamily::ipv4 ? IpAddr(Ipv4Addr::of(192, 0, 2, 77)) : Ipv6Addr::of(0x20010db8000f0000, 0x77);
  packet.destination = gateway_of(family);
  packet.protocol = icmp_of(family);
  packet.icmp_type = family == IpFamily::ipv4 ? 8 : 128;
  Arrivals arrivals(port_setups_.size());
  arrivals[uplink].assign(40 + below(25), {build(packet)});
  deliver(arrivals);
  deliver(arrivals);
  world_->collect_punts(true);
}

// One packet that passed, over and over, out of a port that takes nothing for a while.
void Scenario::storm() {
  if (sent_before_.empty()) return;
  const auto [place, frame] = sent_before_.back();
  const PortNumber in = places_[place].port;
  const Arrival arrival{behind_link(place, frame)};
  Arrivals arrivals(port_setups_.size());
  arrivals[in].push_back(arrival);
  const reference::Verdict verdict = world_->poll(arrivals).verdicts[in][0];
  if (verdict.fate != Fate::transmitted) return;
  arrivals[in].assign(64, arrival);
  world_->block(verdict.port, true);
  const uint64_t turns = 9 + below(6);
  for (uint64_t i = 0; i < turns; ++i) deliver(arrivals);
  world_->block(verdict.port, false);
  for (int i = 0; i < 4; ++i) deliver({});
}

// More datagrams of one sender at once than an EIP has a share for, and what follows some of them.
void Scenario::fragment_storm() {
  const PlaceNumber place = some_place();
  const PortNumber port = places_[place].port;
  AnyPacket packet = place == uplink ? from_uplink(pick(families)) : from_endpoint(place, pick(families));
  packet.payload.assign(40, 0x33);
  const Bytes whole = build(packet);
  const size_t length = whole.size() - begin_of_parts(whole);
  const auto part = [&](uint16_t identification, bool is_first) {
    constexpr size_t cut = 24;
    return Arrival{behind_link(place, part_of(whole, {.identification = identification,
                                                      .offset = is_first ? 0 : cut,
                                                      .length = is_first ? cut : length - cut,
                                                      .more = is_first}))};
  };
  const size_t count = 10 + below(30);
  Arrivals arrivals(port_setups_.size());
  for (size_t n = 0; n < count; ++n) arrivals[port].push_back(part(static_cast<uint16_t>(n), true));
  deliver(arrivals);
  arrivals[port].clear();
  for (size_t n = 0; n < 20; ++n) arrivals[port].push_back(part(static_cast<uint16_t>(below(count)), false));
  deliver(arrivals);
}

// What expires at the gateway, of many senders, more than they are told of.
void Scenario::expiry_storm() {
  const PlaceNumber place = some_place();
  const PortNumber port = places_[place].port;
  Arrivals arrivals(port_setups_.size());
  while (arrivals[port].size() < 64) {
    const IpFamily family = pick(families);
    AnyPacket packet = place == uplink ? from_uplink(family) : from_endpoint(place, family);
    packet.ttl = 1;
    arrivals[port].push_back({behind_link(place, build(packet))});
  }
  for (int turn = 0; turn < 8; ++turn) deliver(arrivals);
}

// --- time ---

void Scenario::let_time_pass() {
  std::vector<uint64_t> steps{1'500, 2'000, 3'000, 10'000, 60'000, 240'000};
  // The clock of a punt meter ticks on its own grid, so the short steps are for times when it has no say.
  if (world_->reference().punt_meters_full(world_->now_ms())) {
    steps.insert(steps.end(), {1, 10, 500, 1'000});
    if (!world_->reference().flows().empty()) {
      const uint64_t expires = pick(world_->reference().flows()).second.expires_ms;
      for (const uint64_t moment : {expires - 1, expires, expires + 1})
        if (moment > world_->now_ms()) steps.insert(steps.end(), 4, moment - world_->now_ms());
    }
  }
  world_->advance(pick(steps));
}

bool Scenario::step() {
  const uint64_t kind = below(100);
  if (kind < 70)
    traffic();
  else if (kind < 82)
    change();
  else if (kind < 94)
    let_time_pass();
  else if (kind < 97)
    world_->age_all();
  else if (kind < 98)
    chance(50) ? punt_flood() : fragment_storm();
  else if (kind < 99)
    chance(50) ? storm() : expiry_storm();
  else if (chance(50))
    change_underlay();
  else
    world_->set_neighbour(
        chance(60) ? std::optional(Mac{{0x02, 0xee, 0, 0, 0, static_cast<uint8_t>(below(3))}}) : std::nullopt,
        pick(families));
  return world_->differences().empty();
}

void Scenario::add_to(Coverage& coverage) const {
  const reference::Counts& counts = world_->reference().counts();
  for (const reference::PortCount& port : counts.ports) {
    coverage.packets += port.received_packets;
    coverage.transmitted += port.transmitted_packets;
  }
  for (const auto& [reason, count] : counts.dropped) coverage.dropped[reason] += count;
  for (const auto& [event, count] : counts.events) coverage.events[event] += count;
  for (const auto& [event, count] : events_) coverage.events[event] += count;
  for (const auto& [event, count] : world_->rehearsals().events()) coverage.events[event] += count;
  if (const auto& traces = world_->traces())
    for (const auto& [event, count] : traces->events()) coverage.events[event] += count;
}

}  // namespace portcullis::testing
