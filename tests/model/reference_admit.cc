// Who the two sides of a packet are, and whether their lists let it pass.
#include <algorithm>

#include "tests/model/reference_packet.h"

namespace portcullis::reference {
namespace {

// Of a prefix that is longer than nothing but a single address.
std::pair<IpPrefix, IpPrefix> halves_of(const IpPrefix& prefix) {
  const auto length = static_cast<uint8_t>(prefix.length() + 1);
  if (prefix.is_v4()) {
    const Ipv4Prefix lower(prefix.v4().address(), length);
    const uint32_t bit = uint32_t{1} << (32 - length);
    return {lower, Ipv4Prefix(Ipv4Addr::from_host(lower.address().host() | bit), length)};
  }
  const Ipv6Prefix lower(prefix.v6().address(), length);
  const uint64_t high = length <= 64 ? uint64_t{1} << (64 - length) : 0;
  const uint64_t low = length <= 64 ? 0 : uint64_t{1} << (128 - length);
  return {lower,
          Ipv6Prefix(Ipv6Addr::of(lower.address().high() | high, lower.address().low() | low), length)};
}

}  // namespace

const Pool* Gateway::pool_of(const IpAddr& address) const {
  for (const auto& [id, pool] : state_.pools)
    if (pool.prefix.contains(address)) return &pool;
  return nullptr;
}

const Eip* Gateway::eip_at(const IpAddr& address) const {
  const auto found = state_.eips.find(address);
  return found == state_.eips.end() ? nullptr : &found->second;
}

const model::Vm& Gateway::vm_of(const Eip& eip) const {
  return state_.vms.at({eip.tenant, eip.vm});
}

// The private address that an EIP stands for.
IpAddr Gateway::dip_of(const Eip& eip) const {
  const model::Vm& vm = vm_of(eip);
  return eip.address.is_v4() ? IpAddr(*vm.dip) : IpAddr(*vm.dip6);
}

// Whether the local pools cover it, one by itself or several in parts.
bool Gateway::is_local(const IpPrefix& prefix) const {
  bool touches = false;
  for (const auto& [id, pool] : state_.pools) {
    if (pool.kind != PoolKind::local) continue;
    if (pool.prefix.contains(prefix)) return true;
    touches = touches || prefix.contains(pool.prefix);
  }
  if (!touches) return false;
  const auto [lower, upper] = halves_of(prefix);
  return is_local(lower) && is_local(upper);
}

// Whether it reaches outside the local pools.
bool Gateway::is_external(const PermitRule& rule) const {
  if (std::holds_alternative<model::AnyRemote>(rule.remote)) return true;
  const auto* prefixes = std::get_if<std::vector<IpPrefix>>(&rule.remote);
  return prefixes != nullptr &&
         std::ranges::any_of(*prefixes, [&](const IpPrefix& prefix) { return !is_local(prefix); });
}

bool Gateway::in_edge_view(const Eip& eip) const {
  return eip.keep_established ||
         std::ranges::any_of(eip.permit, [&](const PermitRule& rule) { return is_external(rule); });
}

Gateway::Refusal Gateway::identify(Packet& packet) const {
  packet.from.leaving = true;
  const Pool* pool = pool_of(packet.destination);
  const bool to_local = pool != nullptr && pool->kind == PoolKind::local;
  const Eip* destination = eip_at(packet.destination);

  if (setup_.ports[packet.in].uplink) {
    if (pool_of(packet.source) != nullptr) return "spoofed_pool_source";
    if (!to_local) return "not_ours";
    if (destination == nullptr || !in_edge_view(*destination)) return "unbound";
  } else {
    for (const auto& [address, eip] : state_.eips) {
      const model::Vm& vm = vm_of(eip);
      if (vm.location.port == setup_.ports[packet.in].name && vm.location.encapsulation == packet.link &&
          eip.address.family() == packet.family && dip_of(eip) == packet.source)
        packet.from.owner = &eip;
    }
    if (packet.from.owner == nullptr) return "spoofed_source";
    if (vm_of(*packet.from.owner).location.mac != packet.sender) return "spoofed_mac";
    if (to_local && destination == nullptr) return "unbound";
  }

  packet.to.owner = destination;
  packet.from.remote = packet.to.owner;
  packet.from.remote_address = packet.destination;
  packet.to.remote = packet.from.owner;
  packet.to.remote_address = packet.from.owner != nullptr ? packet.from.owner->address : packet.source;
  return std::nullopt;
}

bool Gateway::names(const model::Remote& remote, const model::TenantId& tenant, const Question& q) {
  if (const auto* prefixes = std::get_if<std::vector<IpPrefix>>(&remote))
    return std::ranges::any_of(*prefixes, [&](const IpPrefix& prefix) { return prefix.contains(q.remote); });
  if (const auto* tags = std::get_if<std::vector<std::string>>(&remote))
    return q.remote_eip != nullptr && q.remote_eip->tenant == tenant &&
           std::ranges::any_of(*tags,
                               [&](const std::string& tag) { return q.remote_eip->tags.contains(tag); });
  return true;
}

// The rule that decides, if any does: those that track nothing first, then by name. `tracked` asks only for
// rules that are, or are not.
std::optional<std::string> Gateway::match(const Eip& owner, const Question& q,
                                          std::optional<bool> tracked) const {
  for (const bool tracking : {false, true}) {
    if (tracked && *tracked != tracking) continue;
    for (const PermitRule& rule : owner.permit) {
      if (rule.tracked != tracking || rule.direction != q.direction) continue;
      if (rule.protocol) {
        if (*rule.protocol != q.protocol) continue;
        if (is_icmp(q.protocol)) {
          if (rule.icmp_type && *rule.icmp_type != q.icmp_type) continue;
          if (rule.icmp_code && *rule.icmp_code != q.icmp_code) continue;
        } else if (!rule.local_ports.contains(q.local_port) || !rule.remote_ports.contains(q.remote_port)) {
          continue;
        }
      }
      if (names(rule.remote, owner.tenant, q)) return rule.name;
    }
  }
  return std::nullopt;
}

Gateway::Judgement Gateway::judge_leaving(const Packet& packet, const Side& side, uint64_t now_ms) const {
  const Question question = packet.ask(side);
  // 1. A stateless reply: turned round, it is let in by a rule that tracks nothing.
  if (packet.may_be_reply()) {
    Question reversed = question;
    reversed.direction = Direction::inbound;
    if (is_icmp(packet.protocol)) reversed.icmp_type = query_of_reply(packet.protocol, packet.icmp_type);
    if (auto rule = match(*side.owner, reversed, false))
      return {true, false, false, std::move(rule), "stateless reply"};
  }
  // 2. A rule of its direction.
  if (auto rule = match(*side.owner, question, std::nullopt))
    return {true, true, packet.can_open(), std::move(rule), "outbound rule"};
  // 3. An entry: as a reply to what a tracked rule let in, or as more of what a kept entry opened.
  return judge_by_flow(packet, side, now_ms);
}

Gateway::Judgement Gateway::judge_entering(const Packet& packet, const Side& side, uint64_t now_ms) const {
  const Question question = packet.ask(side);
  if (auto rule = match(*side.owner, question, false))
    return {true, false, false, std::move(rule), "inbound rule"};
  if (auto rule = match(*side.owner, question, true))
    return {true, true, packet.can_open(), std::move(rule), "tracked rule"};
  return judge_by_flow(packet, side, now_ms);
}

Gateway::Judgement Gateway::judge_by_flow(const Packet& packet, const Side& side, uint64_t now_ms) const {
  Judgement refused;
  if (packet.asks_for_connection()) return refused;
  const FlowKey key = packet.key(side);
  const Flow* flow = valid_flow(key, side, now_ms);
  if (flow == nullptr) {
    const auto known = flows_.find(key);
    if (known != flows_.end())
      refused.way = known->second.expires_ms > now_ms ? "withdrawn entry" : "expired entry";
    return refused;
  }
  const bool is_reply = side.direction() != flow->opened;
  if (is_icmp(packet.protocol) && packet.is_icmp_query() == is_reply) return refused;
  const bool kept = is_kept(*flow, *side.owner, side.remote);
  if (!is_reply && !kept) return refused;
  return {true, true, false, std::nullopt, kept ? "kept entry" : "entry"};
}

const Flow* Gateway::valid_flow(const FlowKey& key, const Side& side, uint64_t now_ms) const {
  const auto found = flows_.find(key);
  if (found == flows_.end() || found->second.expires_ms <= now_ms) return nullptr;
  return counts_still(key, found->second, *side.owner, side.remote) ? &found->second : nullptr;
}

bool Gateway::counts_still(const FlowKey& key, const Flow& flow, const Eip& owner, const Eip* remote) const {
  if (flow.owner_incarnation != owner.created) return false;
  if (flow.remote_incarnation != (remote != nullptr ? remote->created : 0)) return false;
  const uint64_t remote_generation = remote != nullptr ? remote->binding_generation : 0;
  if (flow.list_generation == owner.list_generation && flow.remote_generation == remote_generation)
    return true;
  return is_kept(flow, owner, remote) || list_permits(key, flow, owner, remote);
}

bool Gateway::is_kept(const Flow& flow, const Eip& owner, const Eip* remote) const {
  return flow.remote_generation == (remote != nullptr ? remote->binding_generation : 0) &&
         flow.list_generation >= owner.kept_from && flow.list_generation != owner.list_generation;
}

bool Gateway::list_permits(const FlowKey& key, const Flow& flow, const Eip& owner, const Eip* remote) const {
  const Question question{flow.opened,    key.remote,      remote,         key.protocol,
                          key.local_port, key.remote_port, key.icmp_query, flow.icmp_code};
  return match(owner, question, std::nullopt).has_value();
}

// Why no list lets it pass.
Gateway::Refusal Gateway::admit(Packet& packet, uint64_t now_ms) const {
  if (packet.from.owner != nullptr) {
    packet.from.judgement =
        packet.quote ? judge_error(packet, packet.from, now_ms) : judge_leaving(packet, packet.from, now_ms);
    packet.from.judgement.is_asked = true;
    if (!packet.from.judgement.permitted) return "source_not_permitted";
  }
  if (packet.to.owner != nullptr) {
    packet.to.judgement =
        packet.quote ? judge_error(packet, packet.to, now_ms) : judge_entering(packet, packet.to, now_ms);
    packet.to.judgement.is_asked = true;
    if (!packet.to.judgement.permitted) return "destination_not_permitted";
  }
  return std::nullopt;
}

}  // namespace portcullis::reference
