// All that a packet changes once nothing refuses it any more, flow entries first of all; and their ageing.
#include <algorithm>

#include "tests/model/reference_packet.h"

namespace portcullis::reference {
namespace {

FlowState after_opener(FlowState state, uint8_t flags) {
  if ((flags & (rst | fin)) != 0) return FlowState::closing;
  if ((flags & syn) != 0 && state == FlowState::closing) return FlowState::opening;
  return state;
}

FlowState after_reply(FlowState state, uint8_t flags) {
  if ((flags & (rst | fin)) != 0) return FlowState::closing;
  return state == FlowState::opening ? FlowState::established : state;
}

// The last change of what flows are judged by.
uint64_t last_change(const Eip& eip) {
  return std::max({eip.created, eip.binding_generation, eip.list_generation});
}

}  // namespace

// All that this packet changes, or the reason why it changes nothing.
Gateway::Refusal Gateway::commit(const Packet& packet, uint64_t now_ms) {
  if (packet.quote) {
    for (const Side* side : {&packet.from, &packet.to})
      if (side->owner != nullptr && !may_have_error(*side->owner, now_ms)) return "icmp_error_rate";
    for (const Side* side : {&packet.from, &packet.to})
      if (side->owner != nullptr) take_error(*side->owner, now_ms);
  }
  Datagram* const known = packet.is_fragment ? datagram_of(packet, now_ms) : nullptr;
  Datagram datagram;
  if (packet.is_fragment) {
    if (!packet.is_first && known == nullptr) return "fragment_first_lost";
    if (known != nullptr) datagram = *known;
    const bool fits =
        (known == nullptr || !packet.is_first) && !datagram.refuses && add_part(datagram, packet);
    if (!fits) {
      if (known != nullptr) known->refuses = true;  // RFC 5722: nothing more of it
      return "fragment_overlap";
    }
  }
  std::vector<std::pair<const Side*, FlowKey>> touches, opens;
  for (const Side* side : {&packet.from, &packet.to}) {
    if (side->owner == nullptr || !side->judgement.touches) continue;
    const FlowKey key = packet.key(*side);
    touches.emplace_back(side, key);
    // An endpoint that talks to itself may have one entry for both sides: it is opened once.
    const bool opened_already = !opens.empty() && opens.front().second == key;
    if (side->judgement.may_open && valid_flow(key, *side, now_ms) == nullptr && !opened_already)
      opens.emplace_back(side, key);
  }
  if (over_quota(opens)) return "flow_quota";
  if (over_tenant_quota(opens)) return "tenant_flow_quota";
  if (no_room(opens, now_ms)) return "flow_table_full";

  for (const auto& [side, key] : touches) write_flow(packet, *side, key, now_ms);
  if (known != nullptr) {
    *known = datagram;
    if (known->parts.size() == known->end) known->expires_ms = 0;  // it is whole
  } else if (packet.is_fragment) {
    const Eip& eip = sharer(packet);
    datagram.source = packet.source;
    datagram.destination = packet.destination;
    datagram.identification = packet.identification;
    datagram.protocol = packet.protocol;
    datagram.in = packet.in;
    datagram.worker = packet.worker;
    datagram.link = packet.link;
    datagram.link_number = number_of(packet);
    datagram.eip = eip.address;
    datagram.incarnation = eip.created;
    datagram.expires_ms = now_ms + setup_.timeouts.fragment_ms;
    datagram.source_port = packet.source_port;
    datagram.destination_port = packet.destination_port;
    datagram.tcp_flags = packet.tcp_flags;
    datagram.icmp_type = packet.icmp_type;
    datagram.icmp_code = packet.icmp_code;
    datagram.sctp_chunk = packet.sctp_chunk;
    keep(std::move(datagram), now_ms);
  }
  for (const Side* side : {&packet.from, &packet.to}) {
    if (side->owner == nullptr) continue;
    EipCount& count = eip_counts_[side->owner->address];
    (side->leaving ? count.out_packets : count.in_packets) += 1;
    (side->leaving ? count.out_bytes : count.in_bytes) += packet.length;
    ++counts_.eip_packets;
    counts_.eip_bytes += packet.length;
    if (!side->judgement.hit) continue;
    ++hits_[side->owner->address][*side->judgement.hit];
    ++counts_.rule_hits;
  }
  return std::nullopt;
}

bool Gateway::over_quota(const std::vector<std::pair<const Side*, FlowKey>>& opens) const {
  std::map<IpAddr, uint64_t> owned;
  for (const auto& [side, key] : opens) {
    uint64_t& count = owned.try_emplace(key.local, flows_of(key.local)).first->second;
    const uint32_t own_quota = state_.eips.at(key.local).quota.flows;
    if (count >= (own_quota == 0 ? setup_.flow_quota : own_quota)) return true;
    ++count;
  }
  return false;
}

bool Gateway::over_tenant_quota(const std::vector<std::pair<const Side*, FlowKey>>& opens) const {
  std::map<model::TenantId, uint64_t> owned;
  for (const auto& [side, key] : opens) {
    const model::TenantId& tenant = side->owner->tenant;
    uint64_t& count = owned.try_emplace(tenant, flows_of_tenant(tenant)).first->second;
    const auto own = state_.quotas.find(model::QuotaKey{tenant});
    if (count >= (own == state_.quotas.end() ? setup_.tenant_flow_quota : own->second.flows)) return true;
    ++count;
  }
  return false;
}

// A way is free if no live entry holds it. What has one, though it counts no more, hands it on.
bool Gateway::no_room(const std::vector<std::pair<const Side*, FlowKey>>& opens, uint64_t now_ms) const {
  std::map<uint32_t, uint32_t> wanted;
  for (const auto& [side, key] : opens) {
    const auto own = flows_.find(key);
    if (own != flows_.end() && own->second.expires_ms > now_ms) continue;
    const uint32_t bucket = setup_.flows.bucket_of(key);
    const auto live = std::ranges::count_if(flows_, [&](const auto& entry) {
      return entry.second.bucket == bucket && entry.second.expires_ms > now_ms;
    });
    if (++wanted[bucket] + static_cast<uint32_t>(live) > setup_.flows.ways) return true;
  }
  return false;
}

// The way that a new entry takes: that of a dead one of its own key, else the first that no entry holds, else
// the first that no live entry holds.
uint32_t Gateway::way_for(const FlowKey& key, uint64_t now_ms) const {
  if (const auto own = flows_.find(key); own != flows_.end() && own->second.expires_ms <= now_ms)
    return own->second.way;
  const uint32_t bucket = setup_.flows.bucket_of(key);
  const auto first_without = [&](auto&& counts) {
    uint32_t way = 0;
    while (std::ranges::any_of(flows_, [&](const auto& entry) {
      return entry.second.bucket == bucket && entry.second.way == way && counts(entry.second);
    }))
      ++way;
    return way;
  };
  const uint32_t free = first_without([](const Flow&) { return true; });
  if (free < setup_.flows.ways) return free;
  return first_without([&](const Flow& flow) { return flow.expires_ms > now_ms; });
}

void Gateway::write_flow(const Packet& packet, const Side& side, const FlowKey& key, uint64_t now_ms) {
  const uint64_t remote_generation = side.remote != nullptr ? side.remote->binding_generation : 0;
  const uint64_t remote_changed = side.remote != nullptr ? last_change(*side.remote) : 0;
  if (valid_flow(key, side, now_ms) != nullptr) {
    Flow& flow = flows_.at(key);
    if (packet.protocol == tcp)
      flow.state = side.direction() == flow.opened ? after_opener(flow.state, packet.tcp_flags)
                                                   : after_reply(flow.state, packet.tcp_flags);
    if (!is_kept(flow, *side.owner, side.remote)) {
      flow.list_generation = side.owner->list_generation;
      flow.remote_generation = remote_generation;
      flow.owner_changed = last_change(*side.owner);
      flow.remote_changed = remote_changed;
    }
    const uint64_t expires = now_ms + idle_ms(packet.protocol, flow.state);
    const bool reset = packet.protocol == tcp && (packet.tcp_flags & rst) != 0;
    flow.expires_ms = reset ? std::min(flow.expires_ms, expires) : expires;
    return;
  }
  if (!side.judgement.may_open) return;
  if (const auto own = flows_.find(key); own != flows_.end() && own->second.expires_ms > now_ms)
    flows_.erase(own);
  Flow flow;
  flow.owner = side.owner->address;
  flow.tenant = side.owner->tenant;
  flow.owner_incarnation = side.owner->created;
  flow.remote_incarnation = side.remote != nullptr ? side.remote->created : 0;
  flow.list_generation = side.owner->list_generation;
  flow.remote_generation = remote_generation;
  flow.owner_changed = last_change(*side.owner);
  flow.remote_changed = remote_changed;
  flow.state = FlowState::opening;
  flow.expires_ms = now_ms + idle_ms(packet.protocol, flow.state);
  flow.opened = side.direction();
  flow.icmp_code = packet.icmp_code;
  flow.bucket = setup_.flows.bucket_of(key);
  flow.way = way_for(key, now_ms);
  std::erase_if(flows_, [&](const auto& other) {
    return other.second.bucket == flow.bucket && other.second.way == flow.way;
  });
  flows_[key] = flow;
}

uint32_t Gateway::idle_ms(uint8_t protocol, FlowState state) const {
  if (protocol == udp) return setup_.timeouts.udp_ms;
  if (is_icmp(protocol)) return setup_.timeouts.icmp_ms;
  if (protocol != tcp) return setup_.timeouts.other_ms;
  return state == FlowState::established ? setup_.timeouts.tcp_established_ms
                                         : setup_.timeouts.tcp_transitory_ms;
}

void Gateway::age_all(uint64_t now_ms) {
  std::erase_if(flows_, [&](const auto& entry) {
    const auto& [key, flow] = entry;
    if (flow.expires_ms <= now_ms) return true;
    const Eip* owner = eip_at(key.local);
    const bool withdrawn = owner == nullptr || !counts_still(key, flow, *owner, eip_at(key.remote));
    if (withdrawn) ++counts_.events[name_of(key.local.family()) + " aged: withdrawn entry"];
    return withdrawn;
  });
}

}  // namespace portcullis::reference
