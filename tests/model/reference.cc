#include "tests/model/reference.h"

#include <algorithm>

#include "tests/model/reference_packet.h"

namespace portcullis::reference {
namespace {

// Lists have no order, and neither have the prefixes and tags of a rule.
std::vector<PermitRule> canonical(std::vector<PermitRule> rules) {
  const auto sort_unique = [](auto& values) {
    std::sort(values.begin(), values.end());
    values.erase(std::unique(values.begin(), values.end()), values.end());
  };
  for (PermitRule& rule : rules) {
    if (auto* prefixes = std::get_if<std::vector<IpPrefix>>(&rule.remote)) sort_unique(*prefixes);
    if (auto* tags = std::get_if<std::vector<std::string>>(&rule.remote)) sort_unique(*tags);
  }
  std::ranges::sort(rules, {}, &PermitRule::name);
  return rules;
}

}  // namespace

Gateway::Gateway(Setup setup, model::Generation generation) : setup_(std::move(setup)) {
  state_.generation = generation;
  const size_t ports = setup_.ports.size();
  for (size_t i = 0; i < ports; ++i)
    if (setup_.ports[i].uplink) uplink_ = i;
  const uint32_t workers = setup_.workers.count;
  lanes_.resize(ports, std::vector<Lane>(workers));
  // Each receiver has its share.
  const uint32_t receivers = setup_.workers.by_queue ? workers : 1;
  for (const PortSetup& port : setup_.ports) {
    punt_meters_.emplace_back(workers, Meter{.rate = std::max(1u, port.punt_rate / receivers)});
    next_hop_meters_.emplace_back(workers, Meter{.rate = next_hop_replies_a_second});
  }
  counts_.ports.resize(ports);
}

// --- desired state ---

void Gateway::create_pool(const Pool& pool) {
  ++state_.generation;
  state_.pools[pool.id] = pool;
}

void Gateway::delete_pool(const std::string& id) {
  ++state_.generation;
  state_.pools.erase(id);
}

void Gateway::create_vm(const model::Vm& vm) {
  ++state_.generation;
  state_.vms[{vm.tenant, vm.id}] = vm;
}

void Gateway::move_vm(const model::VmKey& key, const model::Location& location) {
  ++state_.generation;
  state_.vms.at(key).location = location;
  for (auto& [address, eip] : state_.eips)
    if (model::VmKey(eip.tenant, eip.vm) == key) eip.binding_generation = state_.generation;
}

void Gateway::delete_vm(const model::VmKey& key) {
  ++state_.generation;
  state_.vms.erase(key);
}

void Gateway::request_eip(const model::VmKey& vm, const IpAddr& address) {
  ++state_.generation;
  Eip eip;
  eip.address = address;
  eip.tenant = vm.first;
  eip.vm = vm.second;
  eip.created = eip.binding_generation = eip.list_generation = eip.kept_from = state_.generation;
  state_.eips[address] = eip;
  eip_counts_.erase(address);
  hits_.erase(address);
}

void Gateway::release_eip(const IpAddr& address) {
  ++state_.generation;
  state_.eips.erase(address);
}

void Gateway::set_permit_list(const IpAddr& address, std::vector<PermitRule> rules, bool keep_established) {
  Eip& eip = state_.eips.at(address);
  model::PermitList next = canonical(std::move(rules));
  if (next == eip.permit && (keep_established || !eip.keep_established)) return;
  const model::PermitList old = std::exchange(eip.permit, std::move(next));
  eip.list_generation = ++state_.generation;
  eip.keep_established = keep_established;
  if (!keep_established) eip.kept_from = eip.list_generation;
  // Hits stay with the rules that stayed.
  std::erase_if(hits_[address], [&](const auto& hit) {
    const auto named = [&](const PermitRule& rule) { return rule.name == hit.first; };
    const auto before = std::ranges::find_if(old, named);
    const auto after = std::ranges::find_if(eip.permit, named);
    return before == old.end() || after == eip.permit.end() || *before != *after;
  });
}

void Gateway::set_tag(const IpAddr& address, std::set<std::string> tags) {
  Eip& eip = state_.eips.at(address);
  if (tags == eip.tags) return;
  eip.tags = std::move(tags);
  eip.binding_generation = ++state_.generation;
}

void Gateway::set_flow_quota(const IpAddr& address, uint32_t flows) {
  Eip& eip = state_.eips.at(address);
  if (flows == eip.quota.flows) return;
  eip.quota.flows = flows;
  ++state_.generation;
}

void Gateway::set_tenant_flow_quota(const model::TenantId& tenant, uint32_t flows) {
  const auto own = state_.quotas.find(model::QuotaKey{tenant});
  if (flows == (own == state_.quotas.end() ? 0 : own->second.flows)) return;
  if (flows == 0)
    state_.quotas.erase(own);
  else
    state_.quotas[model::QuotaKey{tenant}] = {.tenant = tenant, .flows = flows};
  ++state_.generation;
}

void Gateway::end_keep(const IpAddr& address) {
  Eip& eip = state_.eips.at(address);
  if (!eip.keep_established) return;
  ++state_.generation;
  eip.keep_established = false;
  eip.kept_from = eip.list_generation;
}

bool Gateway::may_keep(const IpAddr& address, const std::vector<PermitRule>& list) const {
  const std::vector<PermitRule> rules = canonical(list);
  for (PermitRule old : state_.eips.at(address).permit) {
    if (old.direction == Direction::outbound || old.tracked) continue;
    const bool stays = std::ranges::any_of(rules, [&](const PermitRule& rule) {
      old.name = rule.name;
      return old == rule;
    });
    if (!stays) return false;
  }
  return true;
}

void Gateway::set_neighbour(IpFamily family, std::optional<Mac> mac) {
  neighbours_.erase(family);
  if (mac) neighbours_[family] = *mac;
}

// --- one turn ---

Verdict Gateway::drop(std::string reason) {
  ++counts_.dropped[reason];
  return {Fate::dropped, std::move(reason), 0, {}};
}

void Gateway::queue(Verdict& verdict, uint32_t worker) {
  std::deque<Bytes>& waiting = lanes_[verdict.port][setup_.workers.transmitter(verdict.port, worker)].waiting;
  if (waiting.size() >= setup_.hold_limit)
    verdict = drop("transmit_full");
  else
    waiting.push_back(verdict.bytes);
}

void Gateway::flush(PortNumber port, uint32_t worker, Turn& turn) {
  Lane& lane = lanes_[port][setup_.workers.transmitter(port, worker)];
  while (!lane.waiting.empty() && lane.room > 0) {
    Bytes frame = std::move(lane.waiting.front());
    lane.waiting.pop_front();
    --lane.room;
    ++counts_.ports[port].transmitted_packets;
    counts_.ports[port].transmitted_bytes += frame.size();
    turn.sent[port].push_back(std::move(frame));
  }
}

// One burst of one port, or what of it one worker judges.
struct Gateway::Burst {
  std::vector<Packet> packets;
  std::vector<std::optional<Verdict>> verdicts;  // by packet

  // What `verdict` says, of each packet that nothing was said of yet.
  template <typename Says>
  void for_each_open(Says&& says) {
    for (size_t i = 0; i < packets.size(); ++i)
      if (!verdicts[i]) verdicts[i] = says(packets[i]);
  }
};

// Of what arrives by a port that which `worker` receives. What is for the gateway itself is seen to before
// the rest, ARP first.
Gateway::Burst Gateway::receive(PortNumber in, uint32_t worker, const std::vector<Arrival>& arrivals,
                                uint64_t now_ms) {
  Burst burst;
  for (size_t i = 0; i < arrivals.size(); ++i) {
    if (setup_.workers.receiver(in, arrivals[i].bytes) != worker) continue;
    ++counts_.ports[in].received_packets;
    counts_.ports[in].received_bytes += arrivals[i].bytes.size();
    Packet& packet = burst.packets.emplace_back();
    packet.in = in;
    packet.worker = worker;
    packet.place = i;
    packet.bytes = arrivals[i].bytes;
    packet.in_first_buffer = std::min<size_t>(
        arrivals[i].first_segment == 0 ? SIZE_MAX : arrivals[i].first_segment, arrivals[i].bytes.size());
    packet.headroom = arrivals[i].headroom;
  }
  burst.verdicts.resize(burst.packets.size());
  using Settled = std::optional<Verdict>;
  const auto dropped = [&](const std::optional<std::string>& reason) {
    return reason ? Settled(drop(*reason)) : std::nullopt;
  };
  burst.for_each_open([&](Packet& packet) { return dropped(decapsulate(packet)); });
  burst.for_each_open([&](Packet& packet) { return dropped(parse(packet)); });
  // What is for the gateway comes to the punt thread in this order.
  const auto for_gateway = [&](auto&& is_of_kind, auto&& settle) {
    burst.for_each_open(
        [&](Packet& packet) { return is_of_kind(packet) ? Settled(settle(packet)) : std::nullopt; });
  };
  for_gateway([](const Packet& packet) { return packet.kind == FrameKind::arp; },
              [&](Packet& packet) { return arp(packet, now_ms); });
  for_gateway([](const Packet& packet) { return packet.kind == FrameKind::neighbor; },
              [&](Packet& packet) { return neighbor(packet, now_ms); });
  for (const IpFamily family : {IpFamily::ipv6, IpFamily::ipv4})
    for_gateway([&](const Packet& packet) { return packet.family == family && is_for_gateway(packet); },
                [&](Packet& packet) { return to_gateway(packet, now_ms); });
  burst.for_each_open([&](Packet& packet) { return dropped(identify(packet)); });
  return burst;
}

// First every packet is judged, by tables that none of them has changed yet; then those that pass change
// them, in order.
void Gateway::judge(Burst& burst, uint64_t now_ms) {
  using Settled = std::optional<Verdict>;
  const auto dropped = [&](const std::optional<std::string>& reason) {
    return reason ? Settled(drop(*reason)) : std::nullopt;
  };
  std::vector<Packet*> firsts;
  burst.for_each_open([&](Packet& packet) {
    if (packet.is_fragment && packet.is_first) firsts.push_back(&packet);
    return packet.is_first ? std::nullopt : dropped(follow(packet, firsts, now_ms));
  });
  burst.for_each_open([&](Packet& packet) { return dropped(admit(packet, now_ms)); });
  burst.for_each_open([&](Packet& packet) {
    const auto refused = route(packet);
    return refused ? Settled(drop_and_tell(packet, *refused, now_ms)) : std::nullopt;
  });
  burst.for_each_open([&](Packet& packet) { return dropped(commit(packet, now_ms)); });
  burst.for_each_open([&](Packet& packet) {
    return Settled({Fate::transmitted, {}, packet.out, translate(packet)});
  });
}

void Gateway::note_judgements(const Packet& packet, Verdict& verdict) {
  const auto said = [](const Side& side) -> std::optional<Verdict::Said> {
    if (!side.judgement.is_asked) return std::nullopt;
    return Verdict::Said{side.judgement.permitted, side.judgement.hit};
  };
  verdict.source = said(packet.from);
  verdict.destination = said(packet.to);
}

void Gateway::settle(Burst burst, uint32_t worker, uint64_t now_ms, Turn& turn) {
  judge(burst, now_ms);
  for (size_t i = 0; i < burst.packets.size(); ++i) {
    burst.verdicts[i] = put_on_link(burst.packets[i], std::move(*burst.verdicts[i]));
    note_events(burst.packets[i], *burst.verdicts[i]);
  }
  // Answers leave first, then what is passed on, each in order.
  for (const Fate fate : {Fate::answered, Fate::transmitted})
    for (std::optional<Verdict>& verdict : burst.verdicts)
      if (verdict->fate == fate) queue(*verdict, worker);
  for (size_t i = 0; i < burst.packets.size(); ++i) {
    note_judgements(burst.packets[i], *burst.verdicts[i]);
    turn.verdicts[burst.packets[i].in][burst.packets[i].place] = std::move(*burst.verdicts[i]);
  }
}

// Both directions of a flow, and the errors about it, are one worker's: what its endpoint's remote is
// decides.
uint32_t Gateway::owner_of(const Packet& packet) const {
  if (setup_.workers.count == 1) return 0;
  if (packet.to.owner == nullptr) return setup_.workers.owner_of({packet.destination});
  if (packet.from.owner != nullptr)
    return setup_.workers.owner_of({packet.from.owner->address, packet.to.owner->address});
  return setup_.workers.owner_of({packet.quote ? packet.quote->destination : packet.source});
}

// What is still open in a burst of `worker` and is not its own.
void Gateway::hand_over(Burst& burst, uint32_t worker, Ways& ways) {
  Burst own;
  for (size_t i = 0; i < burst.packets.size(); ++i) {
    Packet& packet = burst.packets[i];
    packet.worker = burst.verdicts[i] ? worker : owner_of(packet);
    if (setup_.workers.by_queue && !burst.verdicts[i])
      ++counts_.events[packet.worker == worker ? "received by its owner's queue"
                                               : "handed over from another's queue"];
    if (packet.worker != worker && ways[{worker, packet.worker}].size() == setup_.workers.room) {
      packet.worker = worker;
      burst.verdicts[i] = drop("handover_full");
    }
    packet.from.worker = packet.to.worker = packet.worker;
    if (packet.worker != worker) {
      ways[{worker, packet.worker}].push_back(std::move(packet));
      continue;
    }
    own.packets.push_back(std::move(packet));
    own.verdicts.push_back(std::move(burst.verdicts[i]));
  }
  burst = std::move(own);
}

// A receive burst's worth of it, in bursts of one port each.
void Gateway::take_over(Way& way, uint32_t worker, uint64_t now_ms, Turn& turn) {
  std::vector<Packet> taken;
  for (; !way.empty() && taken.size() < 64; way.pop_front()) taken.push_back(std::move(way.front()));
  while (!taken.empty()) {
    const PortNumber in = taken.front().in;
    const auto is_other = [&](const Packet& packet) { return packet.in != in; };
    Burst burst;
    for (Packet& packet : taken)
      if (!is_other(packet)) burst.packets.push_back(packet);
    std::erase_if(taken, [&](const Packet& packet) { return !is_other(packet); });
    burst.verdicts.resize(burst.packets.size());
    settle(std::move(burst), worker, now_ms, turn);
  }
}

Turn Gateway::poll(uint64_t now_ms, const std::vector<std::vector<Arrival>>& arrivals,
                   const std::vector<Bytes>& originated) {
  Turn turn;
  const size_t ports = setup_.ports.size();
  turn.verdicts.resize(ports);
  turn.sent.resize(ports);

  for (const Bytes& frame : originated) {
    ++counts_.originated;
    Verdict verdict{Fate::transmitted, {}, uplink_, frame};
    queue(verdict, 0);
  }
  for (PortNumber in = 0; in < ports; ++in) turn.verdicts[in].resize(arrivals[in].size());
  Ways ways;
  const auto is_any_under_way = [&] {
    return std::ranges::any_of(ways, [](const auto& way) { return !way.second.empty(); });
  };
  // Each worker takes over what others have for it, then receives; until nothing is under way.
  for (bool first = true; first || is_any_under_way(); first = false)
    for (uint32_t worker = 0; worker < setup_.workers.count; ++worker) {
      for (uint32_t from = 0; from < setup_.workers.count; ++from)
        take_over(ways[{from, worker}], worker, now_ms, turn);
      for (PortNumber in = 0; in < ports; ++in) {
        if (setup_.workers.transmitter(in, worker) != worker) continue;
        const auto is_received = [&](const Arrival& arrival) {
          return setup_.workers.receiver(in, arrival.bytes) == worker;
        };
        const bool receives = first && std::ranges::any_of(arrivals[in], is_received);
        if (receives) {
          Burst burst = receive(in, worker, arrivals[in], now_ms);
          hand_over(burst, worker, ways);
          settle(std::move(burst), worker, now_ms, turn);
        }
        // Then every port is offered what waits for it.
        for (PortNumber port = 0; port < ports; ++port)
          if (port == in || receives) flush(port, worker, turn);
      }
    }
  counts_.held = 0;
  for (PortNumber port = 0; port < ports; ++port)
    for (uint32_t worker = 0; worker < setup_.workers.count; ++worker) {
      if (setup_.workers.count > 1) flush(port, worker, turn);
      counts_.held += lanes_[port][worker].waiting.size();
    }
  turn.punted = std::exchange(punted_, {});
  return turn;
}

uint32_t Gateway::flows_of(const IpAddr& eip) const {
  const auto found = state_.eips.find(eip);
  if (found == state_.eips.end()) return 0;
  return static_cast<uint32_t>(std::ranges::count_if(flows_, [&](const auto& entry) {
    return entry.second.owner == eip && entry.second.owner_incarnation == found->second.created;
  }));
}

uint32_t Gateway::flows_of_tenant(const model::TenantId& tenant) const {
  return static_cast<uint32_t>(
      std::ranges::count_if(flows_, [&](const auto& entry) { return entry.second.tenant == tenant; }));
}

EipCount Gateway::eip_count(const IpAddr& eip) const {
  const auto found = eip_counts_.find(eip);
  return found == eip_counts_.end() ? EipCount{} : found->second;
}

std::map<std::string, uint64_t> Gateway::rule_hits(const IpAddr& eip) const {
  std::map<std::string, uint64_t> hits;
  for (const PermitRule& rule : state_.eips.at(eip).permit) hits[rule.name] = 0;
  if (const auto found = hits_.find(eip); found != hits_.end())
    for (const auto& [rule, count] : found->second) hits[rule] += count;
  return hits;
}

}  // namespace portcullis::reference
