#include "control/service/explain_frame.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "control/service/convert.h"
#include "control/service/quote.h"
#include "dataplane/rehearsal.h"
#include "dataplane/tables/link.h"
#include "src/net/checksum.h"

namespace portcullis::service {
namespace {

constexpr size_t ethernet_bytes = sizeof(EthernetHeader);
constexpr uint32_t longest_packet = Rehearsal::longest_frame - ethernet_bytes - longest_tunnel_header;
constexpr size_t other_payload = 8;    // of protocols that the gateway knows nothing of
constexpr size_t sctp_init_rest = 16;  // RFC 9260, 3.3.2: what follows the chunk's header

Unexpected refuse_field(std::string message, const std::string& field) {
  return refuse(std::move(message), "fields." + field);
}

template <typename Header>
void append(FrameBytes& bytes, const Header& header) {
  bytes.resize(bytes.size() + sizeof header);
  std::memcpy(bytes.data() + bytes.size() - sizeof header, &header, sizeof header);
}

template <typename Value>
void write(FrameBytes& bytes, size_t at, const Value& value) {
  std::memcpy(bytes.data() + at, &value, sizeof value);
}

Be16 complement(uint16_t sum) {
  return Be16::from_wire(static_cast<uint16_t>(~sum));
}

// Takes a number into `to`, if the request has it and it fits.
template <typename Number>
Expected<void> take(bool has, uint32_t value, const std::string& field, Number& to) {
  if (!has) return {};
  constexpr uint32_t most = std::numeric_limits<Number>::max();
  if (value > most)
    return refuse_field(std::to_string(value) + " is too large; the highest is " + std::to_string(most),
                        field);
  to = static_cast<Number>(value);
  return {};
}

Expected<void> take_transport(const v1::PacketFields& fields, AskedPacket& packet) {
  const bool has_ports = ip_protocol::has_ports(packet.protocol);
  const bool is_icmp = ip_protocol::is_icmp(packet.protocol);
  if (!has_ports && (fields.has_source_port() || fields.has_destination_port()))
    return refuse_field(
        quoted(fields.protocol()) + " has no ports; leave them out, or ask about tcp, udp or sctp",
        fields.has_source_port() ? "source_port" : "destination_port");
  if (packet.protocol != ip_protocol::tcp && fields.has_tcp_flags())
    return refuse_field("only tcp has flags; leave them out", "tcp_flags");
  if (!is_icmp && (fields.has_icmp_type() || fields.has_icmp_code() || fields.has_icmp_identifier()))
    return refuse_field("only icmp and icmpv6 have types, codes and identifiers; leave them out",
                        "icmp_type");
  packet.icmp_type =
      packet.protocol == ip_protocol::icmpv6 ? icmpv6_type::echo_request : icmp_type::echo_request;
  for (auto taken : {take(fields.has_source_port(), fields.source_port(), "source_port", packet.source_port),
                     take(fields.has_destination_port(), fields.destination_port(), "destination_port",
                          packet.destination_port),
                     take(fields.has_tcp_flags(), fields.tcp_flags(), "tcp_flags", packet.tcp_flags),
                     take(fields.has_icmp_type(), fields.icmp_type(), "icmp_type", packet.icmp_type),
                     take(fields.has_icmp_code(), fields.icmp_code(), "icmp_code", packet.icmp_code),
                     take(fields.has_icmp_identifier(), fields.icmp_identifier(), "icmp_identifier",
                          packet.icmp_identifier),
                     take(fields.has_ttl(), fields.ttl(), "ttl", packet.ttl)})
    if (!taken) return taken;
  return {};
}

FrameBytes transport(const AskedPacket& packet) {
  FrameBytes bytes;
  const Port source = Port::from_host(packet.source_port);
  const Port destination = Port::from_host(packet.destination_port);
  switch (packet.protocol) {
    case ip_protocol::tcp:
      append(bytes, TcpHeader{.source_port = source,
                              .destination_port = destination,
                              .sequence = Be32::from_host(1),
                              .acknowledgment = {},
                              .data_offset = (sizeof(TcpHeader) / 4) << 4,
                              .flags = packet.tcp_flags,
                              .window = Be16::from_host(0xffff),
                              .checksum = {},
                              .urgent = {}});
      break;
    case ip_protocol::udp:
      append(bytes,
             UdpHeader{.source_port = source, .destination_port = destination, .length = {}, .checksum = {}});
      break;
    case ip_protocol::sctp:
      append(bytes, SctpHeader{.source_port = source,
                               .destination_port = destination,
                               .verification_tag = {},
                               .checksum = {},
                               .chunk_type = sctp_chunk::init,
                               .chunk_flags = 0,
                               .chunk_length = Be16::from_host(4 + sctp_init_rest)});
      bytes.resize(bytes.size() + sctp_init_rest);
      break;
    case ip_protocol::icmp:
    case ip_protocol::icmpv6:
      append(bytes, IcmpHeader{.type = packet.icmp_type,
                               .code = packet.icmp_code,
                               .checksum = {},
                               .identifier = Be16::from_host(packet.icmp_identifier),
                               .sequence = Be16::from_host(1)});
      break;
    default:
      bytes.resize(other_payload);
  }
  return bytes;
}

size_t header_bytes(const AskedPacket& packet) {
  return packet.source.is_v4() ? sizeof(Ipv4Header) : sizeof(Ipv6Header);
}

// The sum of what a transport checksum covers beside the segment (RFC 9293, 3.1; RFC 8200, 8.1). ICMP's
// covers nothing more.
uint16_t pseudo_sum(const AskedPacket& packet, size_t length) {
  if (packet.protocol == ip_protocol::icmp) return 0;
  FrameBytes bytes;
  if (packet.source.is_v4()) {
    append(bytes, packet.source.v4());
    append(bytes, packet.destination.v4());
  } else {
    append(bytes, packet.source.v6());
    append(bytes, packet.destination.v6());
  }
  append(bytes, Be32::from_host(static_cast<uint32_t>(length)));
  append(bytes, Be32::from_host(packet.protocol));
  return internet_sum(bytes);
}

std::optional<size_t> checksum_at(uint8_t protocol) {
  if (protocol == ip_protocol::tcp) return offsetof(TcpHeader, checksum);
  if (protocol == ip_protocol::udp) return offsetof(UdpHeader, checksum);
  if (ip_protocol::is_icmp(protocol)) return offsetof(IcmpHeader, checksum);
  return std::nullopt;
}

}  // namespace

Expected<AskedPacket> asked_packet(const v1::PacketFields& fields) {
  AskedPacket packet;
  const auto destination = IpAddr::parse(fields.destination());
  if (!destination)
    return refuse_field(quoted(fields.destination()) + " is no address; give the one that the packet is for",
                        "destination");
  packet.destination = *destination;
  const auto protocol = decode_protocol(fields.protocol(), "fields.protocol");
  if (!protocol) return Unexpected(protocol.error());
  if (!protocol->has_value())
    return refuse_field("a packet is of one protocol; give its name, or its number", "protocol");
  packet.protocol = **protocol;
  if (auto taken = take_transport(fields, packet); !taken) return Unexpected(taken.error());
  if (!fields.has_length()) return packet;
  const size_t least =
      (destination->is_v4() ? sizeof(Ipv4Header) : sizeof(Ipv6Header)) + transport(packet).size();
  if (fields.length() < least || fields.length() > longest_packet)
    return refuse_field("such a packet has from " + std::to_string(least) + " to " +
                            std::to_string(longest_packet) + " bytes, not " + std::to_string(fields.length()),
                        "length");
  packet.length = fields.length();
  return packet;
}

FrameBytes make_frame(const AskedPacket& packet) {
  FrameBytes segment = transport(packet);
  const size_t headers = header_bytes(packet);
  segment.resize(std::max<size_t>(segment.size(), packet.length - std::min<size_t>(packet.length, headers)));
  if (packet.protocol == ip_protocol::udp)
    write(segment, offsetof(UdpHeader, length), Be16::from_host(static_cast<uint16_t>(segment.size())));
  if (const auto at = checksum_at(packet.protocol))
    write(segment, *at, complement(internet_sum(segment, pseudo_sum(packet, segment.size()))));

  FrameBytes frame;
  append(frame, EthernetHeader{.destination = packet.destination_mac,
                               .source = packet.source_mac,
                               .ether_type = packet.source.is_v4() ? ether_type::ipv4 : ether_type::ipv6});
  if (packet.source.is_v4()) {
    Ipv4Header ip{.version_ihl = 0x45,
                  .dscp_ecn = 0,
                  .total_length = Be16::from_host(static_cast<uint16_t>(headers + segment.size())),
                  .identification = Be16::from_host(1),
                  .flags_fragment_offset = Be16::from_host(0x4000),
                  .ttl = packet.ttl,
                  .protocol = packet.protocol,
                  .checksum = {},
                  .source = packet.source.v4(),
                  .destination = packet.destination.v4()};
    ip.checksum = complement(internet_sum({reinterpret_cast<const uint8_t*>(&ip), sizeof ip}));
    append(frame, ip);
  } else {
    append(frame, Ipv6Header{.version_class_label = Be32::from_host(6u << 28),
                             .payload_length = Be16::from_host(static_cast<uint16_t>(segment.size())),
                             .next_header = packet.protocol,
                             .hop_limit = packet.ttl,
                             .source = packet.source.v6(),
                             .destination = packet.destination.v6()});
  }
  frame.insert(frame.end(), segment.begin(), segment.end());
  return frame;
}

// What the gateway would put before a frame to the endpoint, turned round.
FrameBytes behind_link(const FrameBytes& frame, PortId id, const PortInfo& port,
                       const Encapsulation& encapsulation) {
  if (std::holds_alternative<std::monostate>(encapsulation)) return frame;
  const LinkRecord link = make_link(id, port, encapsulation, 0);
  const std::span header(link.header.data(), link.header_length);
  FrameBytes whole = frame;
  if (link.kind == LinkKind::vlan) {
    whole.insert(whole.begin() + offsetof(EthernetHeader, ether_type), header.begin(), header.end());
    return whole;
  }
  whole.insert(whole.begin(), header.begin(), header.end());
  write(whole, offsetof(EthernetHeader, destination), port.mac);
  write(whole, offsetof(EthernetHeader, source), Mac{{0x02, 0, 0, 0, 0, 1}});
  const bool is_ipv4 = link.family == IpFamily::ipv4;
  const size_t udp_at = ethernet_bytes + (is_ipv4 ? sizeof(Ipv4Header) : sizeof(Ipv6Header));
  const Be16 udp_length = Be16::from_host(static_cast<uint16_t>(whole.size() - udp_at));
  write(whole, udp_at + offsetof(UdpHeader, source_port), Port::from_host(49152));
  write(whole, udp_at + offsetof(UdpHeader, length), udp_length);
  const auto swap_addresses = [&](size_t source_at, size_t bytes) {
    const auto at = whole.begin() + static_cast<std::ptrdiff_t>(ethernet_bytes + source_at);
    const auto half = static_cast<std::ptrdiff_t>(bytes);
    std::rotate(at, at + half, at + 2 * half);
  };
  if (!is_ipv4) {
    swap_addresses(offsetof(Ipv6Header, source), sizeof(Ipv6Addr));
    write(whole, ethernet_bytes + offsetof(Ipv6Header, payload_length), udp_length);
    return whole;
  }
  swap_addresses(offsetof(Ipv4Header, source), sizeof(Ipv4Addr));
  write(whole, ethernet_bytes + offsetof(Ipv4Header, total_length),
        Be16::from_host(static_cast<uint16_t>(whole.size() - ethernet_bytes)));
  write(whole, ethernet_bytes + offsetof(Ipv4Header, checksum), Be16());
  write(whole, ethernet_bytes + offsetof(Ipv4Header, checksum),
        complement(internet_sum({whole.data() + ethernet_bytes, sizeof(Ipv4Header)})));
  return whole;
}

}  // namespace portcullis::service
