// ICMP errors: which pass, how many, what the gateway says itself, and what they quote.
#include <algorithm>

#include "tests/model/reference_packet.h"

namespace portcullis::reference {

// An ICMP error passes a side by what it quotes, which must have passed that side the other way: let in by a
// rule that tracks nothing, or out as a reply to that, or as part of a flow that is there.
Gateway::Judgement Gateway::judge_error(const Packet& packet, Side& side, uint64_t now_ms) const {
  const Quote& quote = *packet.quote;
  const bool quoted_came_in = side.leaving;
  if (side.leaving) {
    if (quote.destination != dip_of(*side.owner)) return {};
  } else if (packet.from.owner == nullptr) {
    // Who reports it need not be who it was sent to.
    const Pool* pool = pool_of(quote.destination);
    if (pool != nullptr && pool->kind == PoolKind::local) return {};
    side.remote_address = quote.destination;
  }
  Question question{Direction::inbound,
                    side.remote_address,
                    side.remote,
                    quote.protocol,
                    quoted_came_in ? quote.destination_port : quote.source_port,
                    quoted_came_in ? quote.source_port : quote.destination_port,
                    quote.icmp_type,
                    quote.icmp_code};
  const bool is_ping = is_icmp(quote.protocol);
  if (is_ping && is_reply(quote.protocol, quote.icmp_type) && !quoted_came_in)
    question.icmp_type = query_of_reply(quote.protocol, quote.icmp_type);
  if (quoted_came_in || quote.may_be_reply())
    if (auto rule = match(*side.owner, question, false))
      return {true, false, false, std::move(rule), "error about what a rule lets in"};

  const FlowKey key = side.key(quote.protocol, question.local_port, question.remote_port, quote.icmp_type);
  const Flow* flow = valid_flow(key, side, now_ms);
  if (flow == nullptr) return {};
  const bool by_opener = (flow->opened == Direction::inbound) == quoted_came_in;
  if (is_ping && is_query(quote.protocol, quote.icmp_type) != by_opener) return {};
  return {true, false, false, std::nullopt, "error about a flow"};
}

uint64_t Gateway::error_due(const Eip& eip, uint64_t now_ms) const {
  const auto due = errors_due_.find(eip.created);
  return std::max(due == errors_due_.end() ? 0 : due->second, now_ms * error_ticks_per_ms);
}

bool Gateway::may_have_error(const Eip& eip, uint64_t now_ms) const {
  const uint64_t interval = error_ticks_per_ms * 1000 / setup_.icmp_error_rate;
  return error_due(eip, now_ms) - now_ms * error_ticks_per_ms <= interval * (errors_at_once - 1);
}

void Gateway::take_error(const Eip& eip, uint64_t now_ms) {
  errors_due_[eip.created] = error_due(eip, now_ms) + error_ticks_per_ms * 1000 / setup_.icmp_error_rate;
}

// By which address: to an endpoint as its next hop, to the outside by the gateway's own one. A gateway
// without one has that of RFC 7600 in IPv4, and in IPv6 none.
std::optional<IpAddr> Gateway::teller(const Packet& packet) const {
  const PortSetup& port = setup_.ports[packet.in];
  if (packet.is_ipv6()) {
    if (!port.uplink) return port.endpoint_next_hop6;
    return setup_.gateway_addresses6.empty() ? std::nullopt
                                             : std::optional<IpAddr>(setup_.gateway_addresses6.front());
  }
  if (!port.uplink) return port.endpoint_next_hop;
  return setup_.gateway_addresses.empty() ? Ipv4Addr::of(192, 0, 0, 8) : setup_.gateway_addresses.front();
}

// The refusals of route that the sender is told of, in the packet's stead.
Verdict Gateway::drop_and_tell(const Packet& packet, const std::string& reason, uint64_t now_ms) {
  Verdict verdict = drop(reason);
  const Bytes& b = packet.bytes;
  const bool may_fragment = !packet.is_ipv6() && (get16(b, ip_at + 6) & 0x4000) == 0;
  const bool too_big = reason == "packet_too_big";
  const bool told = reason == "ttl_exceeded" || (too_big && !may_fragment);
  const std::optional<IpAddr> own = teller(packet);
  const Eip* charged = packet.from.owner != nullptr ? packet.from.owner : packet.to.owner;
  if (!told || !own || charged == nullptr || packet.quote || !packet.is_first ||
      packet.headroom < packet.error_headers() || !may_have_error(*charged, now_ms))
    return verdict;
  take_error(*charged, now_ms);
  ++counts_.originated;

  // RFC 1812, 4.3.2.3: 576 bytes at most; RFC 4443, 2.4 c: 1280. Of what lies in the first buffer.
  const size_t header = packet.error_headers() - 8;
  const size_t quoted = std::min<size_t>(
      {packet.length, (packet.is_ipv6() ? 1280 : 576) - header - 8, packet.in_buffer() - ethernet_bytes});
  const PortSetup& port = setup_.ports[packet.in];
  Bytes error(ip_at + header + 8);
  put_mac(error, 0, packet.sender);
  put_mac(error, 6, port.mac);
  put16(error, 12, packet.is_ipv6() ? 0x86dd : 0x0800);
  const size_t at = ip_at + header;
  const uint16_t mtu = too_big ? mtu_inside(packet.out, packet.out_link) : 0;
  put16(error, at + 6, mtu);
  error.insert(error.end(), b.begin() + ip_at, b.begin() + static_cast<std::ptrdiff_t>(ip_at + quoted));
  if (packet.is_ipv6()) {
    put16(error, ip_at, 0x6c00);  // internetwork control
    put16(error, ip_at + 4, static_cast<uint16_t>(8 + quoted));
    error[ip_at + 6] = icmpv6;
    error[ip_at + 7] = 64;
    put_address(error, ip_at + 8, *own);
    put_address(error, ip_at + 24, packet.source);
    error[at] = too_big ? ipv6_too_big : ipv6_time_exceeded;
    put16(error, at + 2, static_cast<uint16_t>(~icmpv6_sum(*own, packet.source, error, at, error.size())));
  } else {
    put16(error, ip_at, 0x45c0);
    put16(error, ip_at + 2, static_cast<uint16_t>(28 + quoted));
    error[ip_at + 8] = 64;
    error[ip_at + 9] = icmp;
    put_address(error, ip_at + 12, *own);
    put_address(error, ip_at + 16, packet.source);
    put16(error, ip_at + 10, header_checksum(error, ip_at, ip_bytes));
    error[at] = too_big ? unreachable : time_exceeded;
    error[at + 1] = too_big ? 4 : 0;
    put16(error, at + 2, static_cast<uint16_t>(~folded(sum_of(error, at, error.size()))));
  }
  verdict.fate = Fate::answered;
  verdict.port = packet.in;
  verdict.bytes = std::move(error);
  return verdict;
}

// The quoted packet went the other way: its source is whom the error is sent to. `outer`: the error's own
// addresses, as it leaves. IPv4's header has a checksum of its own, which ICMP covers with the addresses: so
// they make no difference to it. ICMPv6 has addresses of both headers under its checksum.
void Gateway::translate_quote(const Packet& packet, const Addresses& outer, Bytes& b) const {
  const Quote& quote = *packet.quote;
  const Addresses before{quote.source, quote.destination};
  Addresses after = before;
  if (packet.to.owner != nullptr) after.source = outer.destination;
  if (packet.from.owner != nullptr) after.destination = outer.source;
  if (after == before) return;
  const bool is_ipv6 = packet.is_ipv6();
  put_address(b, quote.ip_at + (is_ipv6 ? 8 : 12), after.source);
  put_address(b, quote.ip_at + (is_ipv6 ? 24 : 16), after.destination);
  if (!is_ipv6)
    put16(b, quote.ip_at + 10, moved_checksum(get16(b, quote.ip_at + 10), before.sum(), after.sum()));

  uint64_t old_sum = is_ipv6 ? before.sum() : 0, new_sum = is_ipv6 ? after.sum() : 0;
  const std::optional<size_t> field = checksum_in(quote.protocol);
  if (field && quote.transport_at + *field + 2 <= quote.end) {
    const size_t at = quote.transport_at + *field;
    const uint16_t old = get16(b, at);
    const uint16_t moved = moved_transport_checksum(quote.protocol, old, before.sum(), after.sum());
    put16(b, at, moved);
    if (old != moved) {
      old_sum += old;
      new_sum += moved;
    }
  }
  if (old_sum != new_sum || is_ipv6) {
    const size_t own = packet.transport_at + 2;
    put16(b, own, moved_checksum(get16(b, own), old_sum, new_sum));
  }
}

}  // namespace portcullis::reference
