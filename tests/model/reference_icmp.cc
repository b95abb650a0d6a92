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
    if (quote.destination != vm_of(*side.owner).dip) return {};
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
  if (quote.protocol == icmp && is_reply(quote.icmp_type) && !quoted_came_in)
    question.icmp_type = query_of_reply(quote.icmp_type);
  if (quoted_came_in || quote.may_be_reply())
    if (auto rule = match(*side.owner, question, false)) return {true, false, false, std::move(rule)};

  SideTuple key;
  key.local = side.owner->address.v4();
  key.remote = side.remote_address;
  key.local_port = Port::from_host(question.local_port);
  key.remote_port = Port::from_host(question.remote_port);
  key.protocol = quote.protocol;
  if (quote.protocol == icmp)
    key.icmp_query = is_query(quote.icmp_type) ? quote.icmp_type : query_of_reply(quote.icmp_type);
  const Flow* flow = valid_flow(key, side, now_ms);
  if (flow == nullptr) return {};
  const bool by_opener = (flow->opened == Direction::inbound) == quoted_came_in;
  if (quote.protocol == icmp && is_query(quote.icmp_type) != by_opener) return {};
  return {true, false, false, std::nullopt};
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

// The refusals of route that the sender is told of, in the packet's stead.
Verdict Gateway::drop_and_tell(const Packet& packet, const std::string& reason, uint64_t now_ms) {
  Verdict verdict = drop(reason);
  const Bytes& b = packet.bytes;
  const bool told = reason == "ttl_exceeded" ||
                    (reason == "packet_too_big" && (get16(b, ip_at + 6) & 0x4000) != 0);  // do not fragment
  const Eip* charged = packet.from.owner != nullptr ? packet.from.owner : packet.to.owner;
  if (!told || charged == nullptr || packet.quote || !packet.is_first || !may_have_error(*charged, now_ms)) {
    return verdict;
  }
  take_error(*charged, now_ms);
  ++counts_.originated;

  const PortSetup& port = setup_.ports[packet.in];
  const size_t quoted =
      std::min<size_t>({packet.length, 576 - 28,
                        (packet.first_segment == 0 ? b.size() : packet.first_segment) - ethernet_bytes});
  Bytes error(ip_at + 28);
  put_mac(error, 0, packet.sender);
  put_mac(error, 6, port.mac);
  put16(error, 12, 0x0800);
  put16(error, ip_at, 0x45c0);
  put16(error, ip_at + 2, static_cast<uint16_t>(28 + quoted));
  error[ip_at + 8] = 64;
  error[ip_at + 9] = icmp;
  const bool to_endpoint = !port.uplink;
  put_address(error, ip_at + 12,
              to_endpoint                        ? port.endpoint_next_hop
              : setup_.gateway_addresses.empty() ? Ipv4Addr::of(192, 0, 0, 8)  // RFC 7600
                                                 : setup_.gateway_addresses.front());
  put_address(error, ip_at + 16, packet.source);
  put16(error, ip_at + 10, header_checksum(error, ip_at, ip_bytes));
  const size_t at = ip_at + ip_bytes;
  const bool too_big = reason == "packet_too_big";
  error[at] = too_big ? unreachable : time_exceeded;
  error[at + 1] = too_big ? 4 : 0;
  if (too_big) put16(error, at + 6, setup_.ports[packet.out].mtu);
  error.insert(error.end(), b.begin() + ip_at, b.begin() + static_cast<std::ptrdiff_t>(ip_at + quoted));
  uint32_t sum = 0;
  for (size_t i = at; i < error.size(); i += 2)
    sum += static_cast<uint32_t>(error[i] << 8) + (i + 1 < error.size() ? error[i + 1] : 0u);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  put16(error, at + 2, static_cast<uint16_t>(~sum));
  verdict.fate = Fate::answered;
  verdict.port = packet.in;
  verdict.bytes = std::move(error);
  return verdict;

  // The quoted packet went the other way: its source is whom the error is sent to.
  void Gateway::translate_quote(const Packet& packet, Bytes& b) const {
    const Quote& quote = *packet.quote;
    const Ipv4Addr source = packet.to.owner != nullptr ? *vm_of(*packet.to.owner).dip : quote.source;
    const Ipv4Addr destination =
        packet.from.owner != nullptr ? packet.from.owner->address.v4() : quote.destination;
    const uint64_t before = words_of(quote.source) + words_of(quote.destination);
    const uint64_t after = words_of(source) + words_of(destination);
    if (source == quote.source && destination == quote.destination) return;
    put_address(b, quote.ip_at + 12, source);
    put_address(b, quote.ip_at + 16, destination);
    put16(b, quote.ip_at + 10, moved_checksum(get16(b, quote.ip_at + 10), before, after));
    if (quote.protocol != tcp && quote.protocol != udp) return;
    const size_t at = quote.transport_at + (quote.protocol == tcp ? 16 : 6);
    if (at + 2 > quote.end) return;
    const uint16_t old = get16(b, at);
    if (quote.protocol == udp && old == 0) return;
    uint16_t moved = moved_checksum(old, before, after);
    if (quote.protocol == udp && moved == 0) moved = 0xffff;
    put16(b, at, moved);
    // That the addresses and the header's checksum change makes no difference to their sum.
    if (moved != old)
      put16(b, packet.transport_at + 2, moved_checksum(get16(b, packet.transport_at + 2), old, moved));
  }

}  // namespace portcullis::reference
