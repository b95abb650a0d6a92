// What of random worlds has to do with links: where vms may be, what their frames come in, and what is wrong
// with that; the stations of underlays.
#include <algorithm>

#include "tests/model/frames_link.h"
#include "tests/model/scenario.h"
#include "tests/model/scenario_values.h"

namespace portcullis::testing {
namespace {

using reference::PortNumber;
using reference::TunnelSetup;

constexpr uint8_t own_number = 1, router_number = 0xfe;
constexpr std::array<uint8_t, 2> remote_numbers{7, 8};

// Of the underlay of a port: on its link, and beyond a router.
IpAddr station(PortNumber port, IpFamily family, uint8_t number) {
  if (family == IpFamily::ipv4) return Ipv4Addr::of(192, 168, static_cast<uint8_t>(port), number);
  return Ipv6Addr::of(0x20010db807000000 | port, number);
}
IpAddr far_remote(PortNumber port, IpFamily family) {
  if (family == IpFamily::ipv4) return Ipv4Addr::of(172, 16, static_cast<uint8_t>(port), 9);
  return Ipv6Addr::of(0x20010db807ff0000 | port, 9);
}

uint8_t number_of(const IpAddr& address) {
  return static_cast<uint8_t>(address.is_v4() ? address.v4().host() : address.v6().low());
}
Mac station_mac(PortNumber port, const IpAddr& address) {
  return {{0x02, 0x77, 0, 0, static_cast<uint8_t>(port), number_of(address)}};
}

}  // namespace

TunnelSetup Scenario::make_tunnel_end(PortNumber port) {
  TunnelSetup tunnel;
  const uint64_t kind = below(4);  // of IPv4 alone, of IPv6 alone, of both
  for (const IpFamily family : families) {
    if (kind == (family == IpFamily::ipv4 ? 1 : 0)) continue;
    const IpAddr own = station(port, family, own_number);
    TunnelSetup::End end{own, prefix_of(own, family == IpFamily::ipv4 ? 24 : 64)};
    if (chance(80)) end.next_hop = station(port, family, router_number);
    tunnel.ends[family] = end;
  }
  tunnel.strip_inner_vlan = chance(50);
  tunnel.zero_udp_checksum = chance(40);
  return tunnel;
}

void Scenario::make_places() {
  for (PortNumber port = 0; port < port_setups_.size(); ++port) places_.push_back({port});
  for (PortNumber port = 1; port < port_setups_.size(); ++port) {
    for (const VlanTags& tags : {VlanTags{100}, VlanTags{200, 30}, VlanTags{100, 30}, VlanTags{4094}})
      if (chance(35)) places_.push_back({port, tags});
    for (const auto& [family, end] : port_setups_[port].tunnel.ends)
      for (const TunnelProtocol protocol : {TunnelProtocol::vxlan, TunnelProtocol::geneve})
        for (const IpAddr& remote : {station(port, family, remote_numbers[0]),
                                     station(port, family, remote_numbers[1]), far_remote(port, family)})
          if (chance(40))
            places_.push_back({port, Tunnel{protocol, remote, pick<uint32_t>({5000, 0xabcdef})}});
  }
}

Scenario::PlaceNumber Scenario::place_at(PortNumber port, const Encapsulation& link) const {
  const auto found = std::ranges::find_if(
      places_, [&](const Place& place) { return place.port == port && place.link == link; });
  return static_cast<PlaceNumber>(found - places_.begin());
}

Scenario::PlaceNumber Scenario::place_of(const model::Location& location) const {
  PortNumber port = uplink;
  while (port_setups_[port].name != location.port) ++port;
  return place_at(port, location.encapsulation);
}

bool Scenario::is_at(const model::Vm& vm, PlaceNumber place) const {
  return vm.location.port == setup_at(place).name && vm.location.encapsulation == places_[place].link;
}

// What is untagged on a port with a tunnel end.
bool Scenario::is_underlay(PlaceNumber place) const {
  return place < port_setups_.size() && !setup_at(place).tunnel.ends.empty();
}

// Of a vm. In an underlay it is refused.
Scenario::PlaceNumber Scenario::some_home() {
  PlaceNumber place = uplink;
  do place = 1 + below(places_.size() - 1);
  while (is_underlay(place) && chance(95) && places_.size() > port_setups_.size());
  const bool is_plain = place >= port_setups_.size() && chance(30);
  return is_plain && !is_underlay(places_[place].port) ? places_[place].port : place;
}

// Mostly one where somebody is.
Scenario::PlaceNumber Scenario::some_place_on(PortNumber port) {
  std::vector<PlaceNumber> all, inhabited;
  for (PlaceNumber place = 0; place < places_.size(); ++place) {
    if (places_[place].port != port) continue;
    all.push_back(place);
    if (has_eip_at(place, IpFamily::ipv4) || has_eip_at(place, IpFamily::ipv6)) inhabited.push_back(place);
  }
  return pick(inhabited.empty() || chance(5) ? all : inhabited);
}

IpAddr Scenario::some_station(PortNumber port, IpFamily family) {
  if (chance(10)) return far_remote(port, family);
  if (family == IpFamily::ipv6 && chance(10)) return router6;  // on every link
  return station(port, family,
                 pick<uint8_t>({remote_numbers[0], remote_numbers[1], router_number, router_number, 77}));
}

// --- frames ---

Bytes Scenario::behind_link(PlaceNumber number, const Bytes& frame) {
  const Place& place = places_[number];
  const auto* tunnel = std::get_if<Tunnel>(&place.link);
  if (tunnel == nullptr) return behind(place.link, frame, {});
  const IpAddr own = setup_at(number).tunnel.ends.at(tunnel->remote.family()).address;
  return behind(place.link, frame, {setup_at(number).mac, station_mac(place.port, tunnel->remote), own});
}

Bytes Scenario::behind_odd_tags(const VlanTags& tags, Bytes frame) {
  const auto any_control = [&](uint16_t identifier) {
    return static_cast<uint16_t>(below(16) << 12 | identifier);
  };
  const auto type = [&] { return chance(50) ? customer_tag : service_tag; };
  std::vector<Tag> made{{type(), any_control(tags.outer)}};  // this alone is right: priorities, either TPID
  if (tags.inner != 0) made.emplace_back(type(), any_control(tags.inner));
  switch (below(9)) {
    case 0:
      made[below(made.size())].second ^= static_cast<uint16_t>(1 + below(200));
      break;
    case 1:
      made[below(made.size())].second = any_control(0);
      break;
    case 2:
      made.emplace_back(type(), any_control(chance(50) ? 30 : 0));
      break;
    case 3:
      made.erase(made.begin() + static_cast<std::ptrdiff_t>(below(made.size())));
      break;
    case 4:
      std::ranges::reverse(made);
      break;
    case 5:
      made.emplace_back(type(), any_control(30));
      made.emplace_back(type(), any_control(1));
      break;
    default:
      break;
  }
  frame = with_tags(std::move(frame), made);
  if (chance(10)) frame.resize(tag_at + below(16));
  return frame;
}

// One thing wrong outside, or odd but right.
Bytes Scenario::behind_odd_tunnel(PlaceNumber number, Bytes frame) {
  const auto any_byte = [&] { return static_cast<uint8_t>(random_()); };
  const auto& tunnel = std::get<Tunnel>(places_[number].link);
  const bool is_ipv4 = tunnel.remote.is_v4();
  const size_t udp_at = is_ipv4 ? transport_at : transport6_at;
  const size_t header = udp_at + 8, inner = header + 8;
  const uint64_t kind = below(24);
  if (kind < 4) {
    std::vector<Tag> tags;
    for (uint64_t n = 0; n < std::max<uint64_t>(kind, 1); ++n) tags.emplace_back(customer_tag, any_byte());
    frame = with_tags(std::move(frame), tags);
    if (chance(5)) frame.resize(tag_at + below(10));
    return behind_link(number, frame);
  }
  Bytes wire = behind_link(number, frame);
  switch (kind) {
    case 4:
      wire[header + 4 + below(3)] ^= static_cast<uint8_t>(1 + below(3));  // the VNI
      break;
    case 5:
      wire[ip_at + (is_ipv4 ? 15 : 23)] ^= static_cast<uint8_t>(pick<unsigned>({7 ^ 8, 1, 3}));  // the remote
      break;
    case 6:
      put16(wire, udp_at + 2, pick<uint16_t>({vxlan_port, geneve_port, 4790, 53}));
      break;
    case 7:
      wire[ip_at + (is_ipv4 ? 19 : 39)] ^= static_cast<uint8_t>(1 + below(3));  // to another address
      break;
    case 8:
      wire[5] ^= 1;
      return wire;
    case 9:
      wire.resize(below(inner + 20));
      return wire;
    case 10:
      wire.resize(udp_at + below(inner + 20 - udp_at));  // right, but for what is missing
      break;
    case 11:
      wire[header + below(4)] = any_byte();
      break;
    case 12:
      wire[header] ^= static_cast<uint8_t>(pick<unsigned>({8, 0x40, 1, 2, 0x3f}));
      break;
    case 13: {  // Geneve's options, mostly such as need not be understood
      const size_t words = below(4);
      const Bytes options(words * 4, any_byte());
      wire[header] = static_cast<uint8_t>((wire[header] & 0xc8) | words);
      if (chance(30)) wire[header + 1] = pick<uint8_t>({0x40, 0x80, 0x3f});
      wire.insert(wire.begin() + static_cast<std::ptrdiff_t>(inner), options.begin(), options.end());
      break;
    }
    case 14:
      if (is_ipv4) {
        put16(wire, ip_at + 6, pick<uint16_t>({0x2000, 0x0001, 0x8000, 0x1fff}));
      } else {
        wire[ip_at + 6] = pick<uint8_t>({44, 44, 0, 60});
      }
      break;
    case 15:
      wire[ip_at + below(udp_at - ip_at)] = any_byte();
      if (is_ipv4 && chance(50)) fix_header_checksum(wire);
      return wire;
    case 16:
      put16(wire, udp_at + 4,
            static_cast<uint16_t>(
                pick<size_t>({below(30), wire.size() - udp_at + 1, wire.size() - udp_at - below(40)})));
      return wire;
    case 17:
      put16(wire, ip_at + (is_ipv4 ? 2 : 4), static_cast<uint16_t>(below(wire.size() + 3)));
      if (is_ipv4) fix_header_checksum(wire);
      return wire;
    case 18:
      wire.resize(wire.size() + 1 + below(40), any_byte());
      return wire;  // padding
    case 19: {
      if (!is_ipv4) return wire;
      const Bytes options{1, 1, 131, 0};  // nobody here is routed by them
      wire.insert(wire.begin() + static_cast<std::ptrdiff_t>(udp_at), options.begin(), options.end());
      wire[ip_at] = 0x46;
      put16(wire, ip_at + 2, static_cast<uint16_t>(wire.size() - ip_at));
      fix_header_checksum(wire);
      return wire;
    }
    case 20:
      return with_tags(std::move(wire), {{customer_tag, 100}});
    case 21:
      return frame;  // as if it were untagged
    default:
      put16(wire, udp_at + 6, any_byte());  // a checksum that nobody looks at
      return wire;
  }
  fix_outer(wire);
  return wire;
}

reference::Arrival Scenario::on_wire(PlaceNumber number, const Bytes& frame) {
  const Place& place = places_[number];
  const auto* tags = std::get_if<VlanTags>(&place.link);
  const auto* tunnel = std::get_if<Tunnel>(&place.link);
  const bool is_odd = chance(9);
  reference::Arrival arrival{tags != nullptr && is_odd     ? behind_odd_tags(*tags, frame)
                             : tunnel != nullptr && is_odd ? behind_odd_tunnel(number, frame)
                                                           : behind_link(number, frame)};
  Bytes& wire = arrival.bytes;
  if (tunnel != nullptr && !is_odd && chance(20)) mark(wire, static_cast<uint8_t>(below(4)));
  // In two buffers; link padding is left to frames in one.
  const auto is_padded = [](const Bytes& bytes) {
    const auto packet = layout_of(bytes);
    return packet && packet->end != bytes.size();
  };
  if (chance(2) && wire.size() > 60 && !is_padded(frame) && (tunnel == nullptr || !is_odd))
    arrival.first_segment = static_cast<uint32_t>(1 + below(chance(50) ? 120 : wire.size() - 1));
  if (chance(2)) arrival.headroom = static_cast<uint32_t>(below(80));
  return arrival;
}

// --- underlays ---

void Scenario::change_underlay() {
  const PortNumber port = 1 + below(port_setups_.size() - 1);
  if (port_setups_[port].tunnel.ends.empty()) return;
  const IpFamily family = pick(port_setups_[port].tunnel.ends).first;
  const IpAddr address = some_station(port, family);
  world_->set_underlay_neighbour(port, address,
                                 chance(85) ? std::optional(station_mac(port, address)) : std::nullopt);
}

// What the punt thread makes of the answers that are handed to it.
void Scenario::learn_stations(const Arrivals& arrivals, const reference::Turn& turn) {
  for (PortNumber port = 1; port < arrivals.size(); ++port)
    for (size_t i = 0; i < arrivals[port].size(); ++i) {
      const Bytes& frame = arrivals[port][i].bytes;
      if (turn.verdicts[port][i].fate != reference::Fate::punted) continue;
      const bool is_arp = !is_ipv6(frame);
      const IpAddr address = is_arp ? IpAddr(get_address(frame, 28)) : get_address6(frame, transport6_at + 8);
      ++events_[is_arp ? "learned by ARP" : "learned by Neighbor Discovery"];
      world_->set_underlay_neighbour(port, address, station_mac(port, address));
    }
}

}  // namespace portcullis::testing
