// Links: what stands before a frame as its endpoint sent it, tags or the headers of a tunnel; taken off as it
// comes in, put on as it leaves (docs/locations.md).
#include <algorithm>

#include "tests/model/reference_packet.h"

namespace portcullis::reference {
namespace {

constexpr uint16_t customer_tag = 0x8100, service_tag = 0x88a8;  // IEEE 802.1Q
constexpr uint16_t type_ipv4 = 0x0800, type_ipv6 = 0x86dd;
constexpr uint16_t vxlan_port = 4789, geneve_port = 6081;
constexpr size_t tag_at = 12, tag_bytes = 4, udp_bytes = 8, tunnel_bytes = 8;
constexpr unsigned congestion_experienced = 3;  // RFC 3168, 5: both bits
constexpr uint16_t identifier_bits = 0x0fff;
constexpr uint8_t outer_ttl = 64, ipv6_fragment = 44;

bool is_tag(uint16_t type) {
  return type == customer_tag || type == service_tag;
}

size_t header_bytes(IpFamily family) {
  return family == IpFamily::ipv4 ? ip_bytes : ipv6_bytes;
}

// Of a frame of IP.
unsigned ecn_of(const Bytes& frame) {
  if (get16(frame, 12) == type_ipv4) return frame[ip_at + 1] & 3u;
  if (get16(frame, 12) == type_ipv6) return frame[ip_at + 1] >> 4 & 3u;
  return 0;
}

Bytes with_tag(const Bytes& frame, uint16_t type, uint16_t identifier) {
  Bytes tagged(tag_bytes);
  put16(tagged, 0, type);
  put16(tagged, 2, identifier);
  tagged.insert(tagged.begin(), frame.begin(), frame.begin() + tag_at);
  tagged.insert(tagged.end(), frame.begin() + tag_at, frame.end());
  return tagged;
}

}  // namespace

size_t link_bytes(const Encapsulation& link) {
  if (const auto* tags = std::get_if<VlanTags>(&link)) return tags->inner == 0 ? tag_bytes : 2 * tag_bytes;
  const auto* tunnel = std::get_if<Tunnel>(&link);
  if (tunnel == nullptr) return 0;
  return ethernet_bytes + header_bytes(tunnel->remote.family()) + udp_bytes + tunnel_bytes;
}

// A link is there as long as a vm with an EIP lives behind it.
bool Gateway::has_endpoint(PortNumber port, const Encapsulation& link) const {
  return std::ranges::any_of(state_.eips, [&](const auto& eip) {
    const model::Location& location = vm_of(eip.second).location;
    return location.port == setup_.ports[port].name && location.encapsulation == link;
  });
}

bool Gateway::looks_at_tags(PortNumber port) const {
  if (!setup_.ports[port].tunnel.ends.empty()) return true;
  return std::ranges::any_of(state_.eips, [&](const auto& eip) {
    const model::Location& location = vm_of(eip.second).location;
    return location.port == setup_.ports[port].name &&
           std::holds_alternative<VlanTags>(location.encapsulation);
  });
}

// --- on the way in ---

void Gateway::Packet::take_off(size_t at, size_t count) {
  const auto first = bytes.begin() + static_cast<std::ptrdiff_t>(at);
  bytes.erase(first, first + static_cast<std::ptrdiff_t>(count));
  in_first_buffer -= count;
  headroom += count;
}

// What is not as it must be outside stays on, and parse says what is wrong with it.
Gateway::Refusal Gateway::decapsulate(Packet& packet) const {
  const PortSetup& port = setup_.ports[packet.in];
  if (port.uplink || !packet.together(ethernet_bytes)) return std::nullopt;
  if (is_tag(get16(packet.bytes, tag_at)))
    return looks_at_tags(packet.in) ? take_off_tags(packet) : std::nullopt;
  if (port.tunnel.ends.empty() || get_mac(packet.bytes, 0) != port.mac) return std::nullopt;
  if (Refusal refused = take_off_tunnel(packet)) return refused;
  packet.family.reset();  // from here on the inner one counts
  return std::nullopt;
}

// One or two. A third is none of ours.
Gateway::Refusal Gateway::take_off_tags(Packet& packet) const {
  const Bytes& b = packet.bytes;
  if (!packet.together(tag_at + tag_bytes)) return std::nullopt;
  VlanTags tags{.outer = static_cast<uint16_t>(get16(b, tag_at + 2) & identifier_bits)};
  size_t length = tag_bytes;
  bool is_known = true;
  if (packet.together(tag_at + 2 * tag_bytes) && is_tag(get16(b, tag_at + tag_bytes))) {
    tags.inner = get16(b, tag_at + tag_bytes + 2) & identifier_bits;
    length += tag_bytes;
    is_known = tags.inner != 0;
  }
  if (!is_known || !has_endpoint(packet.in, tags)) {
    const bool is_ipv6 = b.size() >= tag_at + length + 2 && get16(b, tag_at + length) == type_ipv6;
    packet.family = is_ipv6 ? IpFamily::ipv6 : IpFamily::ipv4;
    return "vlan_unknown";
  }
  packet.link = tags;
  packet.take_off(tag_at, length);
  return std::nullopt;
}

Gateway::Refusal Gateway::take_off_tunnel(Packet& packet) const {
  const Bytes& b = packet.bytes;
  const uint16_t type = get16(b, 12);
  if (type != type_ipv4 && type != type_ipv6) return std::nullopt;
  const IpFamily family = type == type_ipv4 ? IpFamily::ipv4 : IpFamily::ipv6;
  const bool is_ipv4 = family == IpFamily::ipv4;
  const auto end = setup_.ports[packet.in].tunnel.ends.find(family);
  if (end == setup_.ports[packet.in].tunnel.ends.end()) return std::nullopt;

  // The outer IP header: right in itself, UDP, to the port's own address.
  size_t header = header_bytes(family);
  if (!packet.together(ip_at + header) || b[ip_at] >> 4 != (is_ipv4 ? 4 : 6)) return std::nullopt;
  const IpAddr to = is_ipv4 ? IpAddr(get_ipv4(b, ip_at + 16)) : IpAddr(get_ipv6(b, ip_at + 24));
  if (to != end->second.address) return std::nullopt;
  const uint8_t protocol = b[ip_at + (is_ipv4 ? 9 : 6)];
  size_t length = 0;  // from the IP header on
  if (is_ipv4) {
    header = size_t{b[ip_at] & 0xfu} * 4;
    length = get16(b, ip_at + 2);
    if (protocol != udp || header < ip_bytes || length < header || !packet.together(ip_at + header) ||
        folded(sum_of(b, ip_at, ip_at + header)) != 0xffff)
      return std::nullopt;
  } else {
    length = ipv6_bytes + get16(b, ip_at + 4);
  }
  packet.family = family;
  if (!is_ipv4 && protocol == ipv6_fragment) return "tunnel_fragment";
  if (protocol != udp || length > b.size() - ip_at) return std::nullopt;
  if (is_ipv4 && (get16(b, ip_at + 6) & 0x3fff) != 0) return "tunnel_fragment";

  // UDP.
  const size_t udp_at = ip_at + header;
  if (!packet.together(udp_at + udp_bytes)) return std::nullopt;
  const uint16_t port = get16(b, udp_at + 2);
  const size_t udp_length = get16(b, udp_at + 4);
  if ((port != vxlan_port && port != geneve_port) || udp_length < udp_bytes || udp_length > length - header)
    return std::nullopt;

  // The tunnel's own header.
  const size_t at = udp_at + udp_bytes;
  const size_t inner_end = udp_at + udp_length;
  if (!packet.together(at + tunnel_bytes)) return "tunnel_malformed";
  size_t inner_at = at + tunnel_bytes;
  if (port == vxlan_port) {
    if ((b[at] & 0x08) == 0) return "tunnel_malformed";  // RFC 7348, 5: the I flag
  } else {
    // RFC 8926, 3.4: version, control packets, critical options, what it carries.
    if (b[at] >> 6 != 0 || (b[at + 1] & 0xc0) != 0 || get16(b, at + 2) != 0x6558) return "tunnel_malformed";
    inner_at += size_t{b[at] & 0x3fu} * 4;
    if (!packet.together(inner_at)) return "tunnel_malformed";
  }
  if (inner_at > inner_end) return "tunnel_malformed";
  const Tunnel tunnel{.protocol = port == vxlan_port ? TunnelProtocol::vxlan : TunnelProtocol::geneve,
                      .remote = is_ipv4 ? IpAddr(get_ipv4(b, ip_at + 12)) : IpAddr(get_ipv6(b, ip_at + 8)),
                      .vni = uint32_t{get16(b, at + 4)} << 8 | b[at + 6]};
  if (!has_endpoint(packet.in, tunnel)) return "tunnel_unknown";

  packet.was_congested = ecn_of(b) == congestion_experienced;
  packet.link = tunnel;
  packet.bytes.resize(inner_end);  // without padding
  packet.in_first_buffer = std::min(packet.in_first_buffer, inner_end);
  packet.take_off(0, inner_at);
  if (Refusal refused = take_off_inner_tags(packet)) return refused;
  return packet.was_congested && !packet.tell_of_congestion() ? Refusal("tunnel_congestion") : std::nullopt;
}

// Inside of a tunnel a tag is one only with an EtherType behind it.
Gateway::Refusal Gateway::take_off_inner_tags(Packet& packet) const {
  for (int tags = 0; tags < 2; ++tags) {
    if (!packet.together(ethernet_bytes + tag_bytes) || !is_tag(get16(packet.bytes, tag_at))) break;
    if (!setup_.ports[packet.in].tunnel.strip_inner_vlan) return "tunnel_inner_vlan";
    packet.take_off(tag_at, tag_bytes);
    packet.had_inner_tags = true;
  }
  return std::nullopt;
}

// RFC 6040, 4.2. False: its sender knows of no congestion marks, and the packet's loss must tell.
bool Gateway::Packet::tell_of_congestion() {
  if (!together(ip_at + ip_bytes)) return true;  // too short for IP
  const uint16_t type = get16(bytes, 12);
  if (type != type_ipv4 && type != type_ipv6) return true;
  if (ecn_of(bytes) == 0) return false;
  const uint16_t before = get16(bytes, ip_at);
  const auto after = static_cast<uint16_t>(before | congestion_experienced << (type == type_ipv4 ? 0 : 4));
  put16(bytes, ip_at, after);
  if (type == type_ipv4) put16(bytes, ip_at + 10, moved_checksum(get16(bytes, ip_at + 10), before, after));
  return true;
}

// --- the underlay ---

// Without a link on a port with a tunnel end: of a remote, or of a router to some.
bool Gateway::is_underlay(const Packet& packet, IpFamily family) const {
  return setup_.ports[packet.in].has_tunnel_end(family) &&
         std::holds_alternative<std::monostate>(packet.link);
}

bool Gateway::is_on_link(PortNumber port, const IpAddr& address) const {
  const bool is_link_local = address.is_v6() && address.v6().high() >> 54 == 0x3fa;  // fe80::/10
  return is_link_local || setup_.ports[port].tunnel.ends.at(address.family()).link.contains(address);
}

// Nobody if it has not been resolved.
std::optional<Mac> Gateway::underlay_next_hop(PortNumber port, const Encapsulation& link) const {
  const IpAddr& remote = std::get<Tunnel>(link).remote;
  const std::optional<IpAddr>& router = setup_.ports[port].tunnel.ends.at(remote.family()).next_hop;
  const auto station = underlay_neighbours_.find({port, is_on_link(port, remote) ? remote : router.value()});
  return station == underlay_neighbours_.end() ? std::nullopt : std::optional(station->second);
}

void Gateway::set_underlay_neighbour(PortNumber port, const IpAddr& address, std::optional<Mac> mac) {
  underlay_neighbours_.erase({port, address});
  if (mac) underlay_neighbours_[{port, address}] = *mac;
}

// --- on the way out ---

// A single tag is over and above it; a tunnel has all but the outer Ethernet header in it.
uint16_t Gateway::mtu_inside(PortNumber port, const Encapsulation& link) const {
  const uint16_t mtu = setup_.ports[port].mtu;
  const size_t bytes = link_bytes(link);
  return bytes == tag_bytes ? mtu : static_cast<uint16_t>(mtu - bytes);
}

Bytes Gateway::encapsulate(PortNumber out, const Encapsulation& link, const Bytes& frame) const {
  if (const auto* tags = std::get_if<VlanTags>(&link)) {
    if (tags->inner == 0) return with_tag(frame, customer_tag, tags->outer);
    return with_tag(with_tag(frame, customer_tag, tags->inner), service_tag, tags->outer);
  }
  const auto* tunnel = std::get_if<Tunnel>(&link);
  if (tunnel == nullptr) return frame;
  const PortSetup& port = setup_.ports[out];
  const IpFamily family = tunnel->remote.family();
  const bool is_ipv4 = family == IpFamily::ipv4;
  const IpAddr& own = port.tunnel.ends.at(family).address;
  const size_t udp_at = ip_at + header_bytes(family);
  const size_t at = udp_at + udp_bytes;
  Bytes b(link_bytes(link));
  b.insert(b.end(), frame.begin(), frame.end());
  put_mac(b, 0, underlay_next_hop(out, link).value());
  put_mac(b, 6, port.mac);
  put16(b, 12, is_ipv4 ? type_ipv4 : type_ipv6);
  const unsigned ecn = ecn_of(frame);
  if (is_ipv4) {
    put16(b, ip_at, static_cast<uint16_t>(0x4500 | ecn));
    put16(b, ip_at + 2, static_cast<uint16_t>(b.size() - ip_at));
    put16(b, ip_at + 6, 0x4000);  // do not fragment
    b[ip_at + 8] = outer_ttl;
    b[ip_at + 9] = udp;
    put_address(b, ip_at + 12, own);
    put_address(b, ip_at + 16, tunnel->remote);
    put16(b, ip_at + 10, header_checksum(b, ip_at, ip_bytes));
  } else {
    put16(b, ip_at, static_cast<uint16_t>(0x6000 | ecn << 4));
    put16(b, ip_at + 4, static_cast<uint16_t>(b.size() - udp_at));
    b[ip_at + 6] = udp;
    b[ip_at + 7] = outer_ttl;
    put_address(b, ip_at + 8, own);
    put_address(b, ip_at + 24, tunnel->remote);
  }
  const bool is_vxlan = tunnel->protocol == TunnelProtocol::vxlan;
  put16(b, udp_at + 2, is_vxlan ? vxlan_port : geneve_port);
  put16(b, udp_at + 4, static_cast<uint16_t>(b.size() - udp_at));
  put16(b, at, is_vxlan ? 0x0800 : 0);
  if (!is_vxlan) put16(b, at + 2, 0x6558);
  put16(b, at + 4, static_cast<uint16_t>(tunnel->vni >> 8));
  b[at + 6] = static_cast<uint8_t>(tunnel->vni);
  if (!is_ipv4 && !port.tunnel.zero_udp_checksum) {
    const uint16_t sum = folded(sum_of(own) + sum_of(tunnel->remote) + udp + (b.size() - udp_at) +
                                sum_of(b, udp_at, b.size()));
    put16(b, udp_at + 6, sum == 0xffff ? 0xffff : static_cast<uint16_t>(~sum));
  }
  return b;
}

// What leaves, as it leaves. An answer goes back by the link that the question came by.
Verdict Gateway::put_on_link(const Packet& packet, Verdict verdict) {
  verdict.received = packet.bytes;
  if (verdict.fate != Fate::transmitted && verdict.fate != Fate::answered) return verdict;
  const bool is_answer = verdict.fate == Fate::answered;
  const Encapsulation& link = is_answer ? packet.link : packet.out_link;
  if (is_answer) {
    const bool is_error = !verdict.reason.empty();
    const size_t headroom = packet.headroom - (is_error ? packet.error_headers() : 0);
    const bool is_tunnel = std::holds_alternative<Tunnel>(link);
    if (headroom < link_bytes(link) || (is_tunnel && !underlay_next_hop(packet.in, link)))
      return drop("answer_not_sent");
  }
  verdict.packet = std::move(verdict.bytes);
  verdict.bytes = encapsulate(verdict.port, link, verdict.packet);
  return verdict;
}

}  // namespace portcullis::reference
