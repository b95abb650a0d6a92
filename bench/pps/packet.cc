#include "bench/pps/packet.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <type_traits>

#include "src/net/checksum.h"

namespace portcullis::bench {
namespace {

constexpr uint8_t sent_ttl = 64;

template <typename Address>
struct Ends {
  Mac destination_mac, source_mac;
  Address source, destination;
  uint16_t source_port, destination_port;
};

template <typename T>
std::array<uint8_t, sizeof(T)> bytes_of(const T& value) {
  std::array<uint8_t, sizeof(T)> bytes;
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

Be16 checksum_of(uint16_t sum) {
  return Be16::from_wire(static_cast<uint16_t>(~sum));
}

Ipv4Header ip_header(const Ends<Ipv4Addr>& ends, uint8_t ttl, uint16_t l4_length) {
  Ipv4Header ip{.version_ihl = 0x45,
                .dscp_ecn = 0,
                .total_length = Be16::from_host(static_cast<uint16_t>(sizeof(Ipv4Header) + l4_length)),
                .identification = {},
                .flags_fragment_offset = Be16::from_host(0x4000),
                .ttl = ttl,
                .protocol = ip_protocol::tcp,
                .checksum = {},
                .source = ends.source,
                .destination = ends.destination};
  ip.checksum = checksum_of(internet_sum(bytes_of(ip)));
  return ip;
}

Ipv6Header ip_header(const Ends<Ipv6Addr>& ends, uint8_t hop_limit, uint16_t l4_length) {
  return {.version_class_label = Be32::from_host(6u << 28),
          .payload_length = Be16::from_host(l4_length),
          .next_header = ip_protocol::tcp,
          .hop_limit = hop_limit,
          .source = ends.source,
          .destination = ends.destination};
}

// The headers, whole checksums: zeroes behind them add nothing. Returns how long they are.
template <typename Address>
size_t write_headers(const Packet& packet, const Ends<Address>& ends, uint8_t ttl, uint8_t* frame) {
  constexpr bool is_ipv6 = std::is_same_v<Address, Ipv6Addr>;
  const EthernetHeader ethernet{.destination = ends.destination_mac,
                                .source = ends.source_mac,
                                .ether_type = is_ipv6 ? ether_type::ipv6 : ether_type::ipv4};
  using Header = std::conditional_t<is_ipv6, Ipv6Header, Ipv4Header>;
  const auto l4_length = static_cast<uint16_t>(packet.length - sizeof ethernet - sizeof(Header));
  const Header ip = ip_header(ends, ttl, l4_length);
  TcpHeader tcp{.source_port = Port::from_host(ends.source_port),
                .destination_port = Port::from_host(ends.destination_port),
                .sequence = Be32::from_host(packet.number),
                .acknowledgment = Be32::from_host(1),
                .data_offset = 0x50,
                .flags = packet.flags,
                .window = Be16::from_host(65535),
                .checksum = {},
                .urgent = {}};
  // RFC 8200, 8.1; the same sum as that of RFC 9293, 3.1.
  struct Pseudo {
    Address source, destination;
    Be32 length, protocol;
  } const pseudo{ends.source, ends.destination, Be32::from_host(l4_length),
                 Be32::from_host(ip_protocol::tcp)};
  static_assert(std::has_unique_object_representations_v<Pseudo>, "what is summed up has no padding");
  tcp.checksum = checksum_of(internet_sum(bytes_of(tcp), internet_sum(bytes_of(pseudo))));
  std::memcpy(frame, &ethernet, sizeof ethernet);
  std::memcpy(frame + sizeof ethernet, &ip, sizeof ip);
  std::memcpy(frame + sizeof ethernet + sizeof ip, &tcp, sizeof tcp);
  return sizeof ethernet + sizeof ip + sizeof tcp;
}

// Writes with the packet's addresses, or with those of IPv6 that they stand for.
template <typename Write>
size_t with_addresses(const Packet& packet, bool local_is_eip, Write&& write) {
  const Ipv4Addr local = local_is_eip ? packet.eip : packet.dip;
  if (!packet.ipv6) return write(packet.remote, local);
  return write(ipv6_remote(packet.remote), local_is_eip ? ipv6_eip(local) : ipv6_dip(local));
}

}  // namespace

Ipv6Addr ipv6_eip(Ipv4Addr eip) {
  return Ipv6Addr::of(ipv6_pool.address().high(), eip.host() % ipv6_pool_eips);
}
Ipv6Addr ipv6_dip(Ipv4Addr dip) {
  return Ipv6Addr::of(0xfd00000000000000, dip.host());
}
Ipv6Addr ipv6_remote(Ipv4Addr remote) {
  return Ipv6Addr::of(0x2600000000000000, remote.host());
}

void write_frame(const Packet& packet, uint8_t* frame) {
  const bool in = packet.way == Way::in;
  with_addresses(packet, in, [&](auto remote, auto local) {
    using Both = Ends<decltype(remote)>;
    const Both ends =
        in ? Both{macs.uplink, macs.client, remote, local, packet.remote_port, packet.local_port}
           : Both{macs.endpoint_port, macs.vm, local, remote, packet.local_port, packet.remote_port};
    return write_headers(packet, ends, sent_ttl, frame);
  });
}

void write_expected(const Packet& packet, std::span<uint8_t> frame) {
  const bool in = packet.way == Way::in;
  const size_t headers = with_addresses(packet, !in, [&](auto remote, auto local) {
    using Both = Ends<decltype(remote)>;
    const Both ends =
        in ? Both{macs.vm, macs.endpoint_port, remote, local, packet.remote_port, packet.local_port}
           : Both{macs.client, macs.uplink, local, remote, packet.local_port, packet.remote_port};
    return write_headers(packet, ends, sent_ttl - 1, frame.data());
  });
  std::fill(frame.begin() + static_cast<std::ptrdiff_t>(headers), frame.end(), uint8_t{0});
}

uint32_t number_of(const uint8_t* frame) {
  Be16 type;
  std::memcpy(&type, frame + offsetof(EthernetHeader, ether_type), sizeof type);
  const size_t ip = type == ether_type::ipv6 ? sizeof(Ipv6Header) : sizeof(Ipv4Header);
  Be32 sequence;
  std::memcpy(&sequence, frame + sizeof(EthernetHeader) + ip + offsetof(TcpHeader, sequence),
              sizeof sequence);
  return sequence.host();
}

}  // namespace portcullis::bench
