#include "bench/pps/packet.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>

#include "src/net/checksum.h"

namespace portcullis::bench {
namespace {

constexpr size_t headers = sizeof(EthernetHeader) + sizeof(Ipv4Header) + sizeof(TcpHeader);
constexpr uint8_t sent_ttl = 64;

struct Ends {
  Mac destination_mac, source_mac;
  Ipv4Addr source, destination;
  uint16_t source_port, destination_port;
};

template <typename T>
std::array<uint8_t, sizeof(T)> bytes_of(const T& value) {
  std::array<uint8_t, sizeof(T)> bytes;
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

// The headers, whole checksums: zeroes behind them add nothing.
void write_headers(const Packet& packet, const Ends& ends, uint8_t ttl, uint8_t* frame) {
  const EthernetHeader ethernet{
      .destination = ends.destination_mac, .source = ends.source_mac, .ether_type = ether_type::ipv4};
  const auto total_length = static_cast<uint16_t>(packet.length - sizeof ethernet);
  const auto l4_length = static_cast<uint16_t>(total_length - sizeof(Ipv4Header));
  Ipv4Header ip{.version_ihl = 0x45,
                .dscp_ecn = 0,
                .total_length = Be16::from_host(total_length),
                .identification = {},
                .flags_fragment_offset = Be16::from_host(0x4000),
                .ttl = ttl,
                .protocol = ip_protocol::tcp,
                .checksum = {},
                .source = ends.source,
                .destination = ends.destination};
  ip.checksum = Be16::from_wire(static_cast<uint16_t>(~internet_sum(bytes_of(ip))));
  TcpHeader tcp{.source_port = Port::from_host(ends.source_port),
                .destination_port = Port::from_host(ends.destination_port),
                .sequence = Be32::from_host(packet.number),
                .acknowledgment = Be32::from_host(1),
                .data_offset = 0x50,
                .flags = packet.flags,
                .window = Be16::from_host(65535),
                .checksum = {},
                .urgent = {}};
  struct {
    Ipv4Addr source, destination;
    Be16 protocol, length;
  } const pseudo{ends.source, ends.destination, Be16::from_host(ip_protocol::tcp),
                 Be16::from_host(l4_length)};  // RFC 9293, 3.1
  tcp.checksum =
      Be16::from_wire(static_cast<uint16_t>(~internet_sum(bytes_of(tcp), internet_sum(bytes_of(pseudo)))));
  std::memcpy(frame, &ethernet, sizeof ethernet);
  std::memcpy(frame + sizeof ethernet, &ip, sizeof ip);
  std::memcpy(frame + sizeof ethernet + sizeof ip, &tcp, sizeof tcp);
}

}  // namespace

void write_frame(const Packet& packet, uint8_t* frame) {
  if (packet.way == Way::in)
    write_headers(
        packet, {macs.uplink, macs.client, packet.remote, packet.eip, packet.remote_port, packet.local_port},
        sent_ttl, frame);
  else
    write_headers(
        packet,
        {macs.endpoint_port, macs.vm, packet.dip, packet.remote, packet.local_port, packet.remote_port},
        sent_ttl, frame);
}

void write_expected(const Packet& packet, std::span<uint8_t> frame) {
  std::fill(frame.begin() + headers, frame.end(), uint8_t{0});
  if (packet.way == Way::in)
    write_headers(
        packet,
        {macs.vm, macs.endpoint_port, packet.remote, packet.dip, packet.remote_port, packet.local_port},
        sent_ttl - 1, frame.data());
  else
    write_headers(
        packet, {macs.client, macs.uplink, packet.eip, packet.remote, packet.local_port, packet.remote_port},
        sent_ttl - 1, frame.data());
}

uint32_t number_of(const uint8_t* frame) {
  Be32 sequence;
  std::memcpy(&sequence, frame + sizeof(EthernetHeader) + sizeof(Ipv4Header) + offsetof(TcpHeader, sequence),
              sizeof sequence);
  return sequence.host();
}

}  // namespace portcullis::bench
