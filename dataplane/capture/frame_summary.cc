#include "dataplane/capture/frame_summary.h"

#include <algorithm>

#include "src/net/cursor.h"
#include "src/net/headers.h"
#include "src/net/protocol_name.h"

namespace portcullis {
namespace {

constexpr int most_extension_headers = 4;

void read_inner_frame(FrameSummary& summary, Cursor& rest, Port port) {
  constexpr unsigned reserved_bits = 8;  // below a VNI
  const auto found = [&](TunnelProtocol tunnel, Be32 vni) {
    summary.inner_frame = rest.offset();
    summary.tunnel = tunnel;
    summary.vni = vni.host() >> reserved_bits;
  };
  if (port == udp_port::vxlan) {
    VxlanHeader vxlan;
    if (rest.read(vxlan)) found(TunnelProtocol::vxlan, vxlan.vni);
  } else if (port == udp_port::geneve) {
    GeneveHeader geneve;
    constexpr unsigned options_mask = 0x3f;
    if (rest.read(geneve) && geneve.protocol == ether_type::ethernet &&
        rest.skip(size_t{4} * (geneve.version_length & options_mask)))
      found(TunnelProtocol::geneve, geneve.vni);
  }
}

void read_transport(FrameSummary& summary, Cursor& rest, uint8_t protocol) {
  summary.protocol = protocol;
  if (ip_protocol::is_icmp(protocol)) {
    FrameSummary::Icmp icmp;
    if (rest.read(icmp.type) && rest.read(icmp.code)) summary.icmp = icmp;
  } else if (ip_protocol::has_ports(protocol)) {
    Port source, destination;
    if (!rest.read(source) || !rest.read(destination)) return;
    summary.ports = {source.host(), destination.host()};
    if (protocol == ip_protocol::udp && rest.skip(sizeof(UdpHeader) - 2 * sizeof(Port)))
      read_inner_frame(summary, rest, destination);
  }
}

void read_ipv4(FrameSummary& summary, Cursor& rest) {
  Ipv4Header ip;
  if (!rest.read(ip)) return;
  summary.source = ip.source;
  summary.destination = ip.destination;
  summary.protocol = ip.protocol;
  constexpr unsigned length_mask = 0xf, offset_mask = 0x1fff;
  const size_t length = size_t{4} * (ip.version_ihl & length_mask);
  const bool is_first = (ip.flags_fragment_offset.host() & offset_mask) == 0;
  if (length >= sizeof ip && is_first && rest.skip(length - sizeof ip))
    read_transport(summary, rest, ip.protocol);
}

void read_ipv6(FrameSummary& summary, Cursor& rest) {
  Ipv6Header ip;
  if (!rest.read(ip)) return;
  summary.source = ip.source;
  summary.destination = ip.destination;
  uint8_t next = ip.next_header;
  for (int n = 0; n < most_extension_headers; ++n) {
    summary.protocol = next;
    if (next == ipv6_extension::fragment) {
      Ipv6FragmentHeader fragment;
      if (!rest.read(fragment)) return;
      next = fragment.next_header;
      constexpr unsigned offset_shift = 3;
      if (fragment.offset_flags.host() >> offset_shift != 0) {
        summary.protocol = next;
        return;
      }
    } else if (next == ipv6_extension::hop_by_hop || next == ipv6_extension::routing ||
               next == ipv6_extension::destination_options) {
      uint8_t length = 0;
      if (!rest.read(next) || !rest.read(length) || !rest.skip(size_t{8} * length + 6)) return;
    } else {
      return read_transport(summary, rest, next);
    }
  }
}

void read_arp(FrameSummary& summary, Cursor& rest) {
  ArpHeader arp;
  if (!rest.read(arp)) return;
  summary.source = arp.sender_address.address();
  summary.destination = arp.target_address.address();
}

}  // namespace

std::optional<FrameSummary> summary_of(std::span<const uint8_t> frame) {
  Cursor rest(frame);
  EthernetHeader ethernet;
  if (!rest.read(ethernet)) return std::nullopt;
  FrameSummary summary;
  summary.source_mac = ethernet.source;
  summary.destination_mac = ethernet.destination;
  Be16 type = ethernet.ether_type;
  constexpr unsigned identifier_mask = 0xfff;
  for (uint16_t* const identifier : {&summary.tags.outer, &summary.tags.inner}) {
    if (!ether_type::is_vlan(type)) break;
    Be16 control;
    if (!rest.read(control) || !rest.read(type)) return summary;
    ++summary.tag_count;
    *identifier = static_cast<uint16_t>(control.host() & identifier_mask);
  }
  if (type == ether_type::ipv4) read_ipv4(summary, rest);
  if (type == ether_type::ipv6) read_ipv6(summary, rest);
  if (type == ether_type::arp) read_arp(summary, rest);
  return summary;
}

std::string protocol_text(uint8_t number) {
  const auto* const known = std::ranges::find(protocol_names, number, &ProtocolName::number);
  return known == protocol_names.end() ? std::to_string(number) : std::string(known->name);
}

std::string headers_of(std::span<const uint8_t> frame) {
  const std::optional<FrameSummary> summary = summary_of(frame);
  if (!summary) return "no Ethernet header";
  if (!summary->source || !summary->destination)
    return summary->source_mac.to_string() + " > " + summary->destination_mac.to_string();
  const auto end = [&](const IpAddr& address, uint16_t FrameSummary::Ports::*port) {
    if (!summary->ports) return address.to_string();
    const std::string host = address.is_v4() ? address.to_string() : "[" + address.to_string() + "]";
    return host + ":" + std::to_string((*summary->ports).*port);
  };
  std::string line = end(*summary->source, &FrameSummary::Ports::source) + " > " +
                     end(*summary->destination, &FrameSummary::Ports::destination) + " " +
                     (summary->protocol ? protocol_text(*summary->protocol) : "arp");
  if (summary->icmp)
    line += " type " + std::to_string(summary->icmp->type) + " code " + std::to_string(summary->icmp->code);
  if (summary->inner_frame != 0) line += " [" + headers_of(frame.subspan(summary->inner_frame)) + "]";
  return line;
}

}  // namespace portcullis
