// What is for the gateway itself: its addresses, ARP, the punt thread's share.
#include <algorithm>

#include "tests/model/reference_packet.h"

namespace portcullis::reference {

// The gateway's own addresses are default-off too.
std::optional<Verdict> Gateway::to_gateway(Packet& packet, uint64_t now_ms) {
  const auto& own = setup_.gateway_addresses;
  if (std::ranges::find(own, packet.destination) == own.end()) return std::nullopt;
  if (!setup_.ports[packet.in].uplink) return drop("gateway_not_permitted");
  if (pool_of(packet.source) != nullptr) return drop("gateway_spoofed_source");
  if (packet.is_fragment) return drop("gateway_not_permitted");
  Eip gateway;
  gateway.permit = setup_.gateway_permit;
  const Question question{Direction::inbound,      packet.source,      nullptr,          packet.protocol,
                          packet.destination_port, packet.source_port, packet.icmp_type, packet.icmp_code};
  if (!match(gateway, question, std::nullopt)) return drop("gateway_not_permitted");
  return punt(packet, punt_meters_[packet.in], now_ms);
}

Verdict Gateway::arp(Packet& packet, uint64_t now_ms) {
  const PortSetup& port = setup_.ports[packet.in];
  Bytes& b = packet.bytes;
  const uint16_t operation = get16(b, 20);
  const Mac sender_mac = get_mac(b, 22);
  const Ipv4Addr sender = get_address(b, 28);
  const Ipv4Addr asked = get_address(b, 38);

  if (operation == 2 && port.uplink && port.next_hop != Ipv4Addr() && sender == port.next_hop)
    return punt(packet, next_hop_meters_[packet.in], now_ms);
  if (operation != 1) return drop("arp_ignored");
  const Pool* pool = pool_of(asked);
  const bool ours = std::ranges::find(setup_.gateway_addresses, asked) != setup_.gateway_addresses.end();
  const bool proxied =
      port.proxy_arp && asked != port.next_hop && pool != nullptr && pool->kind == PoolKind::local;
  const bool next_hop = asked == link_local_next_hop || asked == port.endpoint_next_hop;
  if (port.uplink ? !ours && !proxied : !next_hop) return drop("arp_ignored");

  put_mac(b, 0, sender_mac);
  put_mac(b, 6, port.mac);
  put16(b, 20, 2);
  put_mac(b, 22, port.mac);
  put_address(b, 28, asked);
  put_mac(b, 32, sender_mac);
  put_address(b, 38, sender);
  return {Fate::answered, {}, packet.in, b};
}

Verdict Gateway::punt(const Packet& packet, Meter& meter, uint64_t now_ms) {
  const uint64_t tokens = meter.tokens(now_ms);
  if (tokens < 1000) return drop("punt_rate");
  meter.spent = meter.burst() - tokens + 1000;
  meter.spent_ms = now_ms;
  if (punt_ring_ >= setup_.punt_room) return drop("punt_full");
  ++punt_ring_;
  ++counts_.punted;
  return {Fate::punted, {}, packet.in, packet.bytes};
}

uint64_t Gateway::Meter::tokens(uint64_t now_ms) const {
  const uint64_t gained = (now_ms - spent_ms) * rate;
  return burst() - (gained < spent ? spent - gained : 0);
}

bool Gateway::punt_meters_full(uint64_t now_ms) const {
  const auto full = [&](const Meter& meter) { return meter.tokens(now_ms) == meter.burst(); };
  return std::ranges::all_of(punt_meters_, full) && std::ranges::all_of(next_hop_meters_, full);
}

}  // namespace portcullis::reference
