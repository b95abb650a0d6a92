// Where a packet leaves, and as what.
#include "tests/model/reference_packet.h"

namespace portcullis::reference {

std::optional<std::string> Gateway::route(Packet& packet) const {
  packet.out = uplink_;
  if (packet.to.owner != nullptr) {
    const std::string& name = vm_of(*packet.to.owner).location.port;
    for (size_t i = 0; i < setup_.ports.size(); ++i)
      if (setup_.ports[i].name == name) packet.out = i;
  }
  if (packet.ttl <= 1) return "ttl_exceeded";
  if (packet.length > setup_.ports[packet.out].mtu) return "packet_too_big";
  if (packet.to.owner == nullptr && !neighbour_) return "next_hop_unresolved";
  return std::nullopt;
}

Bytes Gateway::translate(const Packet& packet) const {
  Bytes b = packet.bytes;
  b.resize(ethernet_bytes + packet.length);  // without what Ethernet padded
  Ipv4Addr source = packet.source;
  Ipv4Addr destination = packet.destination;
  if (packet.from.owner != nullptr) source = packet.from.owner->address.v4();
  if (packet.to.owner != nullptr) destination = *vm_of(*packet.to.owner).dip;

  if (packet.is_first && (packet.protocol == tcp || packet.protocol == udp) &&
      (source != packet.source || destination != packet.destination)) {
    const size_t at = packet.transport_at + (packet.protocol == tcp ? 16 : 6);
    uint16_t checksum = get16(b, at);
    if (packet.protocol == tcp || checksum != 0) {
      checksum = moved_checksum(checksum, words_of(packet.source) + words_of(packet.destination),
                                words_of(source) + words_of(destination));
      if (packet.protocol == udp && checksum == 0) checksum = 0xffff;  // RFC 768: 0 is no checksum
      put16(b, at, checksum);
    }
  }
  put_address(b, ip_at + 12, source);
  put_address(b, ip_at + 16, destination);
  b[ip_at + 8] = static_cast<uint8_t>(packet.ttl - 1);
  put16(b, ip_at + 10, header_checksum(b, ip_at, packet.transport_at - ip_at));
  if (packet.quote) translate_quote(packet, b);
  put_mac(b, 0, packet.to.owner != nullptr ? vm_of(*packet.to.owner).location.mac : *neighbour_);
  put_mac(b, 6, setup_.ports[packet.out].mac);
  return b;
}

}  // namespace portcullis::reference
