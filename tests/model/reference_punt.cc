// What is for the gateway itself: its addresses, ARP and Neighbor Discovery, the punt thread's share.
#include <algorithm>

#include "tests/model/reference_packet.h"

namespace portcullis::reference {

bool Gateway::is_for_gateway(const Packet& packet) const {
  const auto is_destination = [&](const IpAddr& own) { return own == packet.destination; };
  return std::ranges::any_of(setup_.gateway_addresses, is_destination) ||
         std::ranges::any_of(setup_.gateway_addresses6, is_destination);
}

// The gateway's own addresses are default-off too.
Verdict Gateway::to_gateway(const Packet& packet, uint64_t now_ms) {
  if (!setup_.ports[packet.in].uplink) return drop("gateway_not_permitted");
  if (pool_of(packet.source) != nullptr) return drop("gateway_spoofed_source");
  if (packet.is_fragment) return drop("gateway_not_permitted");
  Eip gateway;
  gateway.permit = setup_.gateway_permit;
  const Question question{Direction::inbound,      packet.source,      nullptr,          packet.protocol,
                          packet.destination_port, packet.source_port, packet.icmp_type, packet.icmp_code};
  if (!match(gateway, question, std::nullopt)) return drop("gateway_not_permitted");
  return punt(packet, punt_meters_[packet.in][packet.worker], now_ms);
}

Verdict Gateway::arp(Packet& packet, uint64_t now_ms) {
  const PortSetup& port = setup_.ports[packet.in];
  Bytes& b = packet.bytes;
  const uint16_t operation = get16(b, 20);
  const Mac sender_mac = get_mac(b, 22);
  const Ipv4Addr sender = get_ipv4(b, 28);
  const Ipv4Addr asked = get_ipv4(b, 38);

  const bool underlay = is_underlay(packet, IpFamily::ipv4);
  const bool has_next_hop = port.uplink && port.next_hop != Ipv4Addr();
  if (operation == 2 &&
      ((has_next_hop && sender == port.next_hop) || (underlay && is_on_link(packet.in, sender))))
    return punt(packet, next_hop_meters_[packet.in][packet.worker], now_ms);
  const bool is_own = underlay && port.tunnel.ends.at(IpFamily::ipv4).address == IpAddr(asked);
  if (operation != 1 || (!is_own && !answers_for(port, asked))) return drop("arp_ignored");

  put_mac(b, 0, sender_mac);
  put_mac(b, 6, port.mac);
  put16(b, 20, 2);
  put_mac(b, 22, port.mac);
  put_address(b, 28, asked);
  put_mac(b, 32, sender_mac);
  put_address(b, 38, sender);
  return {Fate::answered, {}, packet.in, b};
}

// Who asks for which address, by ARP or Neighbor Discovery: an endpoint for its next hop, the outside for the
// gateway's addresses and, if the port says so, for all that it delivers.
bool Gateway::answers_for(const PortSetup& port, const IpAddr& asked) const {
  const auto is_asked = [&](const IpAddr& address) { return address == asked; };
  if (!port.uplink)
    return is_asked(link_local_next_hop) || is_asked(port.endpoint_next_hop) ||
           is_asked(link_local_next_hop6) || is_asked(port.endpoint_next_hop6);
  if (std::ranges::any_of(setup_.gateway_addresses, is_asked) ||
      std::ranges::any_of(setup_.gateway_addresses6, is_asked))
    return true;
  const Pool* pool = pool_of(asked);
  return port.proxy_arp && !is_asked(port.next_hop) && !is_asked(port.next_hop6) && pool != nullptr &&
         pool->kind == PoolKind::local;
}

// RFC 4861, 7.1.1 and 7.2.4.
Verdict Gateway::neighbor(const Packet& packet, uint64_t now_ms) {
  const PortSetup& port = setup_.ports[packet.in];
  const Bytes& b = packet.bytes;
  const size_t at = packet.transport_at, end = packet.end();
  if (end - at < 24) return drop("neighbor_ignored");
  const Ipv6Addr asked = get_ipv6(b, at + 8);
  const bool underlay = is_underlay(packet, IpFamily::ipv6);
  const bool has_next_hop = port.uplink && port.next_hop6 != Ipv6Addr();
  if (b[at] == neighbor_advertisement &&
      ((has_next_hop && asked == port.next_hop6) || (underlay && is_on_link(packet.in, asked))))
    return punt(packet, next_hop_meters_[packet.in][packet.worker], now_ms);
  const bool is_own = underlay && port.tunnel.ends.at(IpFamily::ipv6).address == IpAddr(asked);
  if (b[at] != neighbor_solicitation || (!is_own && !answers_for(port, asked)))
    return drop("neighbor_ignored");
  // By the group of those whose addresses end alike, or to it.
  const Ipv6Addr group = Ipv6Addr::of(0xff02000000000000, 0x1ff000000 | (asked.low() & 0xffffff));
  const bool has_address = packet.source != IpAddr(Ipv6Addr());
  if (packet.destination != IpAddr(group) && (packet.destination != IpAddr(asked) || !has_address))
    return drop("neighbor_ignored");
  for (size_t option = at + 24; option < end; option += size_t{b[option + 1]} * 8) {
    if (option + 2 > end || b[option + 1] == 0 || option + size_t{b[option + 1]} * 8 > end)
      return drop("neighbor_ignored");
    if (b[option] == 1 && !has_address) return drop("neighbor_ignored");
  }
  if (packet.in_buffer() < b.size()) return drop("neighbor_ignored");

  const Ipv6Addr all_nodes = Ipv6Addr::of(0xff02000000000000, 1);
  const IpAddr to = has_address ? packet.source : IpAddr(all_nodes);
  Bytes answer(ip_at + ipv6_bytes + 32);
  put_mac(answer, 0, has_address ? packet.sender : Mac{{0x33, 0x33, 0, 0, 0, 1}});
  put_mac(answer, 6, port.mac);
  put16(answer, 12, 0x86dd);
  put16(answer, ip_at, 0x6000);
  put16(answer, ip_at + 4, 32);
  answer[ip_at + 6] = icmpv6;
  answer[ip_at + 7] = 255;
  put_address(answer, ip_at + 8, asked);
  put_address(answer, ip_at + 24, to);
  const size_t message = ip_at + ipv6_bytes;
  answer[message] = neighbor_advertisement;
  answer[message + 4] = has_address ? 0xe0 : 0xa0;  // router, (solicited,) override
  put_address(answer, message + 8, asked);
  put16(answer, message + 24, 0x0201);  // the target's link address
  put_mac(answer, message + 26, port.mac);
  put16(answer, message + 2, static_cast<uint16_t>(~icmpv6_sum(asked, to, answer, message, answer.size())));
  return {Fate::answered, {}, packet.in, answer};
}

Verdict Gateway::punt(const Packet& packet, Meter& meter, uint64_t now_ms) {
  const uint64_t tokens = meter.tokens(now_ms);
  if (tokens < 1000) return drop("punt_rate");
  meter.spent = meter.burst() - tokens + 1000;
  meter.spent_ms = now_ms;
  if (punt_ring_ >= setup_.punt_room) return drop("punt_full");
  ++punt_ring_;
  ++counts_.punted;
  punted_.push_back(packet.bytes);
  return {Fate::punted, {}, packet.in, packet.bytes};
}

uint64_t Gateway::Meter::tokens(uint64_t now_ms) const {
  const uint64_t gained = (now_ms - spent_ms) * rate;
  return burst() - (gained < spent ? spent - gained : 0);
}

bool Gateway::punt_meters_full(uint64_t now_ms) const {
  const auto all_full = [&](const std::vector<Meter>& of_port) {
    return std::ranges::all_of(of_port,
                               [&](const Meter& meter) { return meter.tokens(now_ms) == meter.burst(); });
  };
  return std::ranges::all_of(punt_meters_, all_full) && std::ranges::all_of(next_hop_meters_, all_full);
}

}  // namespace portcullis::reference
