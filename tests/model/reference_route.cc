// Where a packet leaves, and as what.
#include "tests/model/reference_packet.h"

namespace portcullis::reference {

Gateway::Refusal Gateway::route(Packet& packet) const {
  packet.out = uplink_;
  if (packet.to.owner != nullptr) {
    const model::Location& location = vm_of(*packet.to.owner).location;
    for (size_t i = 0; i < setup_.ports.size(); ++i)
      if (setup_.ports[i].name == location.port) packet.out = i;
    packet.out_link = location.encapsulation;
  }
  if (packet.ttl <= 1) return "ttl_exceeded";
  if (packet.length > mtu_inside(packet.out, packet.out_link)) return "packet_too_big";
  const bool is_tunnel = std::holds_alternative<Tunnel>(packet.out_link);
  if (packet.to.owner == nullptr ? !neighbours_.contains(*packet.family)
                                 : is_tunnel && !underlay_next_hop(packet.out, packet.out_link))
    return "next_hop_unresolved";
  if (packet.headroom < link_bytes(packet.out_link)) return "no_headroom";
  return std::nullopt;
}

Bytes Gateway::translate(const Packet& packet) const {
  Bytes b = packet.bytes;
  b.resize(packet.end());  // without what Ethernet padded
  const Addresses before{packet.source, packet.destination};
  Addresses after = before;
  if (packet.from.owner != nullptr) after.source = packet.from.owner->address;
  if (packet.to.owner != nullptr) after.destination = dip_of(*packet.to.owner);

  const std::optional<size_t> field = checksum_in(packet.protocol);
  if (packet.is_first && field && after != before) {
    const size_t at = packet.transport_at + *field;
    put16(b, at, moved_transport_checksum(packet.protocol, get16(b, at), before.sum(), after.sum()));
  }
  const auto hops = static_cast<uint8_t>(packet.ttl - 1);
  if (packet.is_ipv6()) {
    put_address(b, ip_at + 8, after.source);
    put_address(b, ip_at + 24, after.destination);
    b[ip_at + 7] = hops;
  } else {
    put_address(b, ip_at + 12, after.source);
    put_address(b, ip_at + 16, after.destination);
    b[ip_at + 8] = hops;
    put16(b, ip_at + 10, header_checksum(b, ip_at, packet.transport_at - ip_at));
  }
  if (packet.quote) translate_quote(packet, after, b);
  put_mac(b, 0,
          packet.to.owner != nullptr ? vm_of(*packet.to.owner).location.mac : neighbours_.at(*packet.family));
  put_mac(b, 6, setup_.ports[packet.out].mac);
  return b;
}

}  // namespace portcullis::reference
