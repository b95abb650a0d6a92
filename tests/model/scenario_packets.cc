// The packets of random worlds, biased to what lists speak of and to replies, and their damages.
#include "tests/model/scenario.h"

#include <algorithm>
#include <array>

#include "tests/model/frames_link.h"
#include "tests/model/scenario_values.h"

namespace portcullis::testing {

using model::Direction;
using model::PermitRule;
using reference::Arrival;

IpAddr Scenario::outside_host(IpFamily family) {
  return outside(family, static_cast<uint8_t>(2 + below(6)));
}

IpAddr Scenario::some_destination(IpFamily family) {
  const auto eip = some_eip(family);
  if (eip && chance(55)) return *eip;
  switch (below(12)) {
    case 0:
      return pooled(family, static_cast<uint8_t>(below(18)));
    case 1:
      if (family == IpFamily::ipv4) return Ipv4Addr::of(100, 64, 255, static_cast<uint8_t>(250 + below(6)));
      return Ipv6Addr::of(0xfd0c'0000'0000'0000, below(4) + (chance(20) ? 65'534 : 0));
    case 2:
      return outside(family, static_cast<uint8_t>(126 + below(20)));
    case 3:
      return gateway_of(family);
    case 4:
      return private_one(family, static_cast<uint8_t>(10 + below(16)));
    default:
      return outside_host(family);
  }
}

uint8_t Scenario::make_flags() {
  switch (below(10)) {
    case 0:
    case 1:
    case 2:
    case 3:
      return syn;
    case 4:
    case 5:
      return ack;
    case 6:
      return syn | ack;
    case 7:
      return pick<uint8_t>({fin | ack, rst, rst | ack, psh | ack});
    default:
      return static_cast<uint8_t>(below(256));
  }
}

void Scenario::choose_transport(AnyPacket& packet) {
  packet.protocol = pick<uint8_t>({tcp, tcp, tcp, tcp, udp, udp, udp, icmp, icmp, sctp, gre, esp});
  packet.sctp_chunk = chance(40) ? 1 : static_cast<uint8_t>(below(16));
  packet.source_port = pick(ports);
  packet.destination_port = pick(ports);
  packet.flags = make_flags();
  packet.icmp_type = pick<uint8_t>({8, 8, 8, 13, 0, 14});
  if (packet.source.is_v6()) {
    if (packet.protocol == icmp) packet.protocol = icmpv6;
    packet.icmp_type = pick<uint8_t>({128, 128, 128, 129});
    add_extension_headers(packet);
  }
  packet.icmp_code = chance(85) ? 0 : 1;
  packet.icmp_id = static_cast<uint16_t>(below(3));
}

std::optional<IpAddr> Scenario::address_in(const model::Remote& remote, const model::TenantId& tenant,
                                           IpFamily family) {
  if (const auto* prefixes = std::get_if<std::vector<IpPrefix>>(&remote)) {
    const IpPrefix prefix = pick(*prefixes);
    if (prefix.is_v4())
      return Ipv4Addr::from_host(prefix.v4().first().host() +
                                 static_cast<uint32_t>(below(std::min<uint64_t>(prefix.v4().size(), 16))));
    const Ipv6Addr first = prefix.v6().first();
    const unsigned host_bits = std::min(128u - prefix.length(), 4u);
    return Ipv6Addr::of(first.high(), first.low() + below(uint64_t{1} << host_bits));
  }
  const auto* names = std::get_if<std::vector<std::string>>(&remote);
  if (names == nullptr) return chance(50) ? std::optional(outside_host(family)) : some_eip(family);
  std::vector<IpAddr> bearers;
  for (const auto& [address, eip] : world_->state().eips)
    if (address.family() == family && eip.tenant == tenant && eip.tags.contains(names->front()))
      bearers.push_back(address);
  return bearers.empty() ? std::nullopt : std::optional(pick(bearers));
}

void Scenario::aim(AnyPacket& packet, const IpAddr& address, bool leaving) {
  const model::Eip& eip = world_->state().eips.at(address);
  if (eip.permit.empty()) return;
  const PermitRule rule = pick(eip.permit);
  const auto remote = address_in(rule.remote, eip.tenant, address.family());
  // From the outside an EIP would be spoofed: now and then is enough.
  if (remote && (leaving || !world_->state().eips.contains(*remote) || chance(10)))
    (leaving ? packet.destination : packet.source) = *remote;
  if (rule.protocol) packet.protocol = *rule.protocol;
  if (packet.protocol == icmp_of(address.family())) {
    if (rule.icmp_type) packet.icmp_type = *rule.icmp_type;
    if (rule.icmp_code) packet.icmp_code = *rule.icmp_code;
    return;
  }
  const auto port_in = [&](PortRange range) {
    return range.is_any() ? pick(ports) : chance(50) ? range.first : range.last;
  };
  (leaving ? packet.source_port : packet.destination_port) = port_in(rule.local_ports);
  (leaving ? packet.destination_port : packet.source_port) = port_in(rule.remote_ports);
  if (leaving && rule.direction == Direction::inbound && chance(80))
    packet.flags = pick<uint8_t>({syn | ack, ack, rst});
  if (leaving && rule.direction == Direction::inbound && chance(80))
    packet.sctp_chunk = pick<uint8_t>({0, 2, 3, 6, 11});
}

AnyPacket Scenario::from_uplink(IpFamily family) {
  AnyPacket packet;
  packet.to = port_setups_[uplink].mac;
  packet.from = router_mac;
  packet.source = chance(88) ? outside_host(family) : some_destination(family);
  const auto eip = some_eip(family);
  packet.destination = eip && chance(80) ? *eip : some_destination(family);
  choose_transport(packet);
  if (world_->state().eips.contains(packet.destination) && chance(70)) aim(packet, packet.destination, false);
  return packet;
}

AnyPacket Scenario::from_endpoint(PlaceNumber place, IpFamily family) {
  AnyPacket packet;
  packet.to = setup_at(place).mac;
  packet.source = private_one(family, static_cast<uint8_t>(10 + below(16)));
  packet.destination = some_destination(family);
  choose_transport(packet);
  std::vector<IpAddr> here;
  for (const auto& [address, eip] : world_->state().eips)
    if (address.family() == family && is_at(world_->vm_of(address), place)) here.push_back(address);
  if (here.empty() || chance(2)) {
    packet.from = make_vm().location.mac;
  } else {
    const IpAddr eip = pick(here);
    const model::Vm& vm = world_->vm_of(eip);
    if (chance(70)) aim(packet, eip, true);
    packet.from = vm.location.mac;
    packet.source = chance(97) ? vm.dip_of(family).value() : some_destination(family);
  }
  if (chance(2)) packet.from.bytes[5] ^= 1;
  return packet;
}

Bytes Scenario::make_frame(PlaceNumber place) {
  if (chance(is_underlay(place) ? 70 : 4)) return chance(50) ? make_arp(place) : make_neighbor(place);
  if (!sent_before_.empty() && chance(25)) {
    // Something seen before, perhaps with other flags or another ICMP code, or from the other side of a
    // narrowed list.
    const auto& [from, frame] = sent_before_[below(sent_before_.size())];
    if (from == place) {
      Bytes again = frame;
      const auto packet = layout_of(again);
      if (packet && packet->is_first && packet->has(14)) {
        if (chance(50) && packet->protocol == tcp) again[packet->transport_at + 13] = make_flags();
        const bool is_icmp = packet->protocol == icmp_of(packet->family);
        if (chance(30) && is_icmp) again[packet->transport_at + 1] ^= 1;
      }
      return again;
    }
  }
  IpFamily family = pick(families);
  if (place != uplink && !has_eip_at(place, family) && chance(90))
    family = family == IpFamily::ipv4 ? IpFamily::ipv6 : IpFamily::ipv4;
  AnyPacket packet = place == uplink ? from_uplink(family) : from_endpoint(place, family);
  if (chance(10)) packet.ttl = static_cast<uint8_t>(below(4));
  size_t payload = below(20);
  if (chance(6)) {
    // About as long as some port's MTU.
    const size_t headers = build(packet).size() - ip_at;
    const size_t taken = pick<size_t>({0, 0, 8, 50, 70});  // by a link
    payload = pick(port_setups_).mtu - taken - headers + below(3) - 1;
  }
  packet.payload.resize(payload);
  for (uint8_t& byte : packet.payload) byte = static_cast<uint8_t>(random_());
  Bytes frame = build(packet);
  if (chance(20)) mark(frame, static_cast<uint8_t>(below(4)));
  if (is_ipv4(frame) && chance(30)) {
    put16(frame, ip_at + 6, 0);  // may be fragmented
    fix_header_checksum(frame);
  }
  return frame;
}

// Leaves the first fragment in `frame`; the others come after it, mostly in order and each once.
void Scenario::cut_into_parts(PlaceNumber place, Bytes& frame) {
  const auto packet = layout_of(frame);
  if (!packet || packet->is_fragment || !packet->has(24)) return;
  // A header whose length was made wrong leaves nothing to cut.
  const size_t begin = begin_of_parts(frame);
  if (begin < (is_ipv4(frame) ? transport_at : transport6_at) || begin >= packet->end) return;
  const size_t longest = 1 + below(chance(80) ? 4 : 2);  // times eight bytes
  std::vector<Bytes> parts;
  const auto identification = static_cast<uint32_t>(below(chance(70) ? 65536 : 3));
  const size_t whole = packet->end - begin;
  for (size_t at = 0; at < whole;) {
    // The first one mostly holds what it must.
    const size_t length = std::min(whole - at, 8 * (at == 0 && chance(85) ? 3 : 1 + below(longest)));
    Part part{.identification = identification, .offset = at, .length = length, .more = at + length < whole};
    at += length;
    if (chance(4)) part.shift = static_cast<uint16_t>(1 + below(3));  // elsewhere: an overlap, or a gap
    if (chance(2)) part.more = !part.more;
    parts.push_back(part_of(frame, part));
  }
  if (place != uplink && parts.size() > 1 && chance(30)) {
    // Another endpoint with the same private address, at another place, sends what looks like a part of it.
    for (const auto& [address, eip] : world_->state().eips) {
      const model::Vm& vm = world_->vm_of(address);
      const PlaceNumber other = place_of(vm.location);
      if (other == place || vm.dip_of(packet->family) != packet->source) continue;
      Bytes part = parts[1];
      std::ranges::copy(setup_at(other).mac.bytes, part.begin());
      std::ranges::copy(vm.location.mac.bytes, part.begin() + 6);
      parts_[other].push_back(std::move(part));
    }
  }
  if (chance(25)) std::ranges::shuffle(parts, random_);
  if (chance(10)) parts.push_back(parts[below(parts.size())]);
  if (chance(15)) parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(below(parts.size())));
  if (parts.empty()) return;
  frame = parts.front();
  parts_[place].insert(parts_[place].end(), parts.begin() + 1, parts.end());
}

Bytes Scenario::make_arp(PlaceNumber place) {
  Arp arp;
  arp.from = arp.sender_mac =
      place == uplink ? router_mac : Mac{{0x02, 0x55, 0, 0, 0, static_cast<uint8_t>(below(40))}};
  if (chance(10)) arp.sender_mac.bytes[5] ^= 0x80;
  arp.to = chance(70) ? broadcast_mac : setup_at(place).mac;
  arp.operation = static_cast<uint16_t>(chance(65) ? 1 : below(4));
  arp.sender = pick({router, router, router_in_pool, Ipv4Addr::of(10, 0, 0, 12), Ipv4Addr(),
                     outside_host(IpFamily::ipv4).v4()});
  arp.target = pick({link_local_next_hop, configured_next_hop, gateway_address, router_in_pool,
                     some_destination(IpFamily::ipv4).v4(), some_destination(IpFamily::ipv4).v4()});
  const auto end = setup_at(place).tunnel.ends.find(IpFamily::ipv4);
  if (end != setup_at(place).tunnel.ends.end() && chance(is_underlay(place) ? 70 : 15)) {
    arp.target = end->second.address.v4();
    arp.sender = some_station(places_[place].port, IpFamily::ipv4).v4();
    arp.operation = chance(50) ? 1 : 2;
  }
  Bytes frame = build(arp);
  if (chance(15)) frame[14 + below(6)] ^= static_cast<uint8_t>(1 + below(255));
  if (chance(8)) frame.resize(14 + below(28));
  return frame;
}

// One thing wrong, or odd but right.
void Scenario::damage(PlaceNumber place, Bytes& frame) {
  const auto any_byte = [&] { return static_cast<uint8_t>(random_()); };
  const uint64_t kind = below(22);
  switch (kind) {
    case 0:
      put16(frame, 12, pick<uint16_t>({0x88cc, 0x86dd, 0x8100, 0x0801}));
      return;
    case 1:
      frame[5] ^= 1;
      return;
    case 2:
      std::fill_n(frame.begin(), 6, uint8_t{0xff});
      return;
    case 3:
      frame.resize(below(transport_at));
      return;
    case 4:
      frame[ip_at] = static_cast<uint8_t>(0x60 | (frame[ip_at] & 0xf));
      break;
    case 5:
      frame[ip_at] = static_cast<uint8_t>(0x40 | pick<unsigned>({0, 1, 4, 15}));
      break;
    case 6:
      put16(frame, ip_at + 2, static_cast<uint16_t>(below(20)));
      break;
    case 7:
      put16(frame, ip_at + 2, static_cast<uint16_t>(frame.size() - 14 + 1 + below(100)));
      break;
    case 8:
      frame[ip_at + 10 + below(2)] ^= static_cast<uint8_t>(1 + below(255));
      return;
    case 9: {
      // Right ones, some that say a wrong length, source routes.
      const auto options = pick<std::array<uint8_t, 4>>({{1, 1, 1, 0},
                                                         {0, 0, 0, 0},
                                                         {148, 4, 0, 0},
                                                         {1, 7, 3, 4},
                                                         {0, 131, 4, 4},
                                                         {7, 1, 0, 0},
                                                         {7, 0, 0, 0},
                                                         {68, 5, 5, 0},
                                                         {1, 1, 1, 7},
                                                         {131, 4, 4, 0},
                                                         {1, 137, 3, 4}});
      frame.insert(frame.begin() + transport_at, options.begin(), options.end());
      frame[ip_at] = 0x46;
      put16(frame, ip_at + 2, static_cast<uint16_t>(get16(frame, ip_at + 2) + 4));
      break;
    }
    case 10:
      put16(frame, ip_at + 6, pick<uint16_t>({0x2000, 0x0001, 0x0002, 0x1fff, 0x6000, 0x3fff}));
      break;
    case 11:
      frame[ip_at + 12] = pick<uint8_t>({0, 127, 224, 239, 240, 255});
      break;
    case 12:
      frame[ip_at + 16] = pick<uint8_t>({0, 127, 224, 239, 240, 255});
      break;
    case 13:
      frame[ip_at + 9] = any_byte();
      break;
    case 14:
      put16(frame, ip_at + 2, static_cast<uint16_t>(20 + below(24)));
      break;  // the transport header is cut
    case 15:
      if (frame[ip_at + 9] == tcp) frame[transport_at + 12] = static_cast<uint8_t>(below(16) << 4);
      if (frame[ip_at + 9] == udp) put16(frame, transport_at + 4, static_cast<uint16_t>(below(40)));
      if (frame[ip_at + 9] == icmp) frame[transport_at] = any_byte();
      if (frame[ip_at + 9] == sctp) frame[transport_at + 12] = any_byte();
      return;
    case 16:
      if (frame[ip_at + 9] == tcp)
        frame[transport_at + 13] = pick<uint8_t>({0, syn | fin, syn | rst, 0xc0, 0x3f});
      return;
    case 17:
      if (transport_checksum_at(frame) != 0)
        put16(frame, transport_checksum_at(frame), pick<uint16_t>({0, 0xffff, any_byte()}));
      return;
    case 18:
      make_zero_after_translation(place, frame);
      return;
    case 19:
      frame.resize(frame.size() + 1 + below(40), any_byte());
      return;  // padding
    case 20:
      put16(frame, ip_at + 12, 0xa9fe);  // 169.254/16
      break;
    default:
      put16(frame, ip_at + 16, 0xa9fe);
  }
  if (chance(90)) fix_header_checksum(frame);
}

// RFC 768: a UDP checksum that comes out as zero is sent as all ones. Chosen so that it does.
void Scenario::make_zero_after_translation(PlaceNumber place, Bytes& frame) {
  if (transport_checksum_at(frame) == 0) return;
  const Layout packet = layout_of(frame).value();
  IpAddr new_source = packet.source;
  IpAddr new_destination = packet.destination;
  for (const auto& [address, eip] : world_->state().eips) {
    if (address.family() != packet.family) continue;
    const model::Vm& vm = world_->vm_of(address);
    const IpAddr dip = vm.dip_of(packet.family).value();
    if (place != uplink && dip == packet.source && is_at(vm, place)) new_source = address;
    if (address == packet.destination) new_destination = dip;
  }
  const auto words = [](const IpAddr& a) {
    Bytes bytes(16, 0);
    if (a.is_v6()) put_address6(bytes, 0, a.v6());
    uint64_t sum = a.is_v4() ? (a.v4().host() >> 16) + (a.v4().host() & 0xffff) : 0;
    for (size_t i = 0; i < bytes.size(); i += 2) sum += get16(bytes, i);
    return sum;
  };
  const uint64_t grown = words(new_source) + words(new_destination) + uint64_t{16} * 0xffff -
                         words(packet.source) - words(packet.destination);
  // ~checksum + grown = 0xffff, that is: checksum = grown, modulo 0xffff.
  const auto checksum = static_cast<uint16_t>(grown % 0xffff);
  put16(frame, transport_checksum_at(frame), checksum == 0 ? 0xffff : checksum);
}

Arrival Scenario::make_arrival(PlaceNumber place) {
  Bytes frame;
  std::deque<Bytes>& parts = parts_[place];
  if (!parts.empty() && chance(80)) {
    frame = std::move(parts.front());
    parts.pop_front();
  } else if (chance(40) && link_.receive(place, frame)) {
  } else {
    frame = chance(4) ? make_odd_ipv6_frame(place) : make_frame(place);
    if (chance(6)) cut_into_parts(place, frame);
  }
  if (chance(12) && is_ipv4(frame) && frame.size() > transport_at + 20) damage(place, frame);
  if (chance(12) && is_ipv6(frame) && frame.size() > transport6_at + 20) damage_ipv6(place, frame);
  sent_before_.emplace_back(place, frame);
  if (sent_before_.size() > 60) sent_before_.pop_front();
  return on_wire(place, frame);
}

bool Scenario::has_eip_at(PlaceNumber place, IpFamily family) const {
  return std::ranges::any_of(world_->state().eips, [&](const auto& eip) {
    return eip.first.family() == family && is_at(world_->vm_of(eip.first), place);
  });
}

// As if the one end had just got a packet of the other.
void Scenario::recall_flow() {
  const reference::FlowMap& flows = world_->reference().flows();
  if (flows.empty()) return;
  const reference::FlowKey key = pick(flows).first;
  const model::State& state = world_->state();
  if (!state.eips.contains(key.local)) return;
  const IpAddr& hearer = chance(50) ? key.local : key.remote;
  AnyPacket heard;
  PlaceNumber place = uplink;
  heard.from = port_setups_[uplink].mac;
  heard.to = router_mac;
  heard.destination = hearer;
  if (state.eips.contains(hearer)) {
    const model::Vm& vm = world_->vm_of(hearer);
    place = place_of(vm.location);
    heard.from = setup_at(place).mac;
    heard.to = vm.location.mac;
    heard.destination = vm.dip_of(hearer.family()).value();
  }
  const bool is_local = hearer == key.local;
  heard.source = is_local ? key.remote : key.local;
  heard.protocol = key.protocol;
  heard.source_port = is_local ? key.remote_port : key.local_port;
  heard.destination_port = is_local ? key.local_port : key.remote_port;
  heard.icmp_type = key.icmp_query;
  heard.icmp_id = key.local_port;
  heard.payload.assign(16, 0x77);
  answer(place, build(heard));
}

void Scenario::answer(PlaceNumber place, const Bytes& frame) {
  const auto packet = layout_of(frame);
  if (!packet || frame.size() < packet->transport_at + 14) return;
  const size_t at = packet->transport_at;
  const bool is_ping = packet->protocol == icmp_of(packet->family);
  if (chance(is_ping ? 40 : 20)) return report(place, frame);
  AnyPacket reply;
  reply.to = get_mac(frame, 6);
  reply.from = get_mac(frame, 0);
  reply.source = packet->destination;
  reply.destination = packet->source;
  reply.protocol = packet->protocol;
  if (is_ping) {
    reply.icmp_type = pick<uint8_t>({0, 0, 0, 8, 14, 13});
    if (frame[at] == 13) reply.icmp_type = 14;
    if (packet->family == IpFamily::ipv6) reply.icmp_type = pick<uint8_t>({129, 129, 128});
    reply.icmp_code = frame[at + 1];
    reply.icmp_id = get16(frame, at + 4);
  } else {
    reply.source_port = get16(frame, at + 2);
    reply.destination_port = get16(frame, at);
  }
  if (reply.protocol == tcp) {
    const uint8_t flags = frame[at + 13];
    reply.flags = (flags & (syn | ack)) == syn
                      ? pick<uint8_t>({syn | ack, syn | ack, rst | ack})
                      : pick<uint8_t>({ack, ack, ack, psh | ack, fin | ack, rst, syn});
  }
  if (reply.protocol == sctp)
    reply.sctp_chunk = frame[at + 12] == 1 ? pick<uint8_t>({2, 2, 6}) : pick<uint8_t>({0, 3, 3, 1});
  link_.send(place, build(reply));
}

// An ICMP error about `frame`, by the host that got it from `port` or by a router on its way there, as much
// of it quoted as hosts and routers do; now and then about something else.
void Scenario::report(PlaceNumber place, const Bytes& frame) {
  const Layout packet = layout_of(frame).value();
  const bool ipv6 = packet.family == IpFamily::ipv6;
  AnyPacket error;
  error.to = get_mac(frame, 6);
  error.from = get_mac(frame, 0);
  error.source = place == uplink && chance(50) ? outside_host(packet.family) : packet.destination;
  error.destination = packet.source;
  error.protocol = icmp_of(packet.family);
  error.icmp_type = ipv6 ? pick<uint8_t>({1, 1, 2, 3, 4, 5}) : pick<uint8_t>({3, 3, 11, 12, 4, 5});
  error.icmp_code = static_cast<uint8_t>(below(5));
  const size_t header = ipv6 ? 40 : 20;
  const size_t quoted = std::min<size_t>(
      header + pick<size_t>({7, 8, 14, 18, 20, 40, 528}) - (chance(8) ? 8 : 0), packet.end - ip_at);
  error.payload.assign(frame.begin() + ip_at, frame.begin() + static_cast<std::ptrdiff_t>(ip_at + quoted));
  if (chance(10)) error.ttl = static_cast<uint8_t>(below(2));
  if (quoted >= header && place == uplink && chance(15)) {
    // As if a packet to another endpoint had been seen outside.
    const std::optional<IpAddr> eip = some_eip(packet.family);
    if (eip && ipv6) put_address6(error.payload, 24, eip->v6());
    for (size_t i = 0; eip && !ipv6 && i < 4; ++i)
      error.payload[16 + i] = static_cast<uint8_t>(eip->v4().host() >> (24 - 8 * i));
  }
  if (quoted >= header && chance(25)) {
    // What it quotes was never sent, or by another one.
    const auto interesting = ipv6 ? std::array<size_t, 8>{0, 6, 8, 23, 24, 39, 5, 7}
                                  : std::array<size_t, 8>{0, 6, 9, 12, 15, 16, 19, 20};
    const size_t at = chance(60) ? std::min(pick(interesting), quoted - 1) : below(quoted);
    error.payload[at] ^= static_cast<uint8_t>(1 + below(chance(50) ? 2 : 255));
  }
  link_.send(place, build(error));
}

}  // namespace portcullis::testing
