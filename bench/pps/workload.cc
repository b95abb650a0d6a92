#include "bench/pps/workload.h"

#include <cstring>

#include "src/net/checksum.h"
#include "src/net/headers.h"

namespace portcullis::bench {
namespace {

constexpr uint16_t first_service = 80;  // four rules: 80 .. 83

struct Flow {
  Ipv4Addr eip, dip, client;
  uint16_t service, client_port;
};

Flow flow_of(const Workload& workload, uint64_t n) {
  // An odd multiplier permutes the residues of a power of two.
  const auto flow = static_cast<uint32_t>((n * 2654435761u) & (workload.flows - 1));
  const uint32_t endpoint = flow % workload.eips;
  return {.eip = eip_of(endpoint),
          .dip = dip_of(endpoint),
          .client = Ipv4Addr::from_host(0xc6120000 + (flow & 0x1ffff)),  // 198.18.0.0/15
          .service = static_cast<uint16_t>(first_service + (flow / workload.eips) % 4),
          .client_port = static_cast<uint16_t>(1024 + (flow >> 17))};
}

void build(std::span<uint8_t> frame, Mac destination_mac, Mac source_mac, Ipv4Addr source,
           Ipv4Addr destination, uint16_t source_port, uint16_t destination_port, uint8_t ttl,
           uint8_t flags) {
  const EthernetHeader ethernet{
      .destination = destination_mac, .source = source_mac, .ether_type = ether_type::ipv4};
  constexpr uint16_t total_length = frame_length - sizeof(EthernetHeader);
  constexpr uint16_t l4_length = total_length - sizeof(Ipv4Header);
  Ipv4Header ip{.version_ihl = 0x45,
                .dscp_ecn = 0,
                .total_length = Be16::from_host(total_length),
                .identification = {},
                .flags_fragment_offset = Be16::from_host(0x4000),
                .ttl = ttl,
                .protocol = ip_protocol::tcp,
                .checksum = {},
                .source = source,
                .destination = destination};
  std::array<uint8_t, sizeof(Ipv4Header)> ip_bytes;
  std::memcpy(ip_bytes.data(), &ip, sizeof ip);
  ip.checksum = Be16::from_wire(static_cast<uint16_t>(~internet_sum(ip_bytes)));
  TcpHeader tcp{.source_port = Port::from_host(source_port),
                .destination_port = Port::from_host(destination_port),
                .sequence = Be32::from_host(1),
                .acknowledgment = Be32::from_host(1),
                .data_offset = 0x50,
                .flags = flags,
                .window = Be16::from_host(65535),
                .checksum = {},
                .urgent = {}};
  std::array<uint8_t, l4_length> l4{};
  std::memcpy(l4.data(), &tcp, sizeof tcp);
  // RFC 9293, 3.1: the pseudo-header.
  std::array<uint8_t, 12> pseudo{};
  std::memcpy(pseudo.data(), &source, 4);
  std::memcpy(pseudo.data() + 4, &destination, 4);
  pseudo[9] = ip_protocol::tcp;
  const Be16 length = Be16::from_host(l4_length);
  std::memcpy(pseudo.data() + 10, &length, 2);
  tcp.checksum = Be16::from_wire(static_cast<uint16_t>(~internet_sum(l4, internet_sum(pseudo))));
  std::memcpy(l4.data(), &tcp, sizeof tcp);
  uint8_t* at = frame.data();
  std::memcpy(at, &ethernet, sizeof ethernet);
  std::memcpy(at + sizeof ethernet, &ip, sizeof ip);
  std::memcpy(at + sizeof ethernet + sizeof ip, l4.data(), l4.size());
}

uint8_t flags_of(const Workload& workload, Way way) {
  // A flow that an endpoint opens begins by an ACK that picks it up, so that one frame serves a whole run.
  return workload.tracked || way == Way::out ? tcp_flag::ack : static_cast<uint8_t>(tcp_flag::ack | 0x08);
}

}  // namespace

Ipv4Addr eip_of(uint32_t n) {
  return Ipv4Addr::from_host(pool.first().host() + 1 + n);
}
Ipv4Addr dip_of(uint32_t n) {
  return Ipv4Addr::from_host(Ipv4Addr::of(10, 0, 0, 1).host() + n);
}

compile::Image image_of(const Workload& workload, const Macs& macs) {
  compile::Image image;
  image.pools[pool.first()] = {.prefix = pool};
  for (uint32_t n = 0; n < workload.eips; ++n) {
    compile::CompiledBinding binding{.eip = eip_of(n),
                                     .dip = dip_of(n),
                                     .port = "endpoint",
                                     .mac = macs.vm,
                                     .edge = true,
                                     .incarnation = n + 1,
                                     .binding_generation = 1,
                                     .list_generation = 1,
                                     .kept_from = 1};
    for (uint16_t r = 0; r < 4; ++r) {
      const auto service = static_cast<uint16_t>(first_service + r);
      PermitRule rule{.protocol = ip_protocol::tcp};
      if (workload.tracked) rule.flags = PermitRule::outbound;
      (workload.tracked ? rule.remote_ports : rule.local_ports) = {service, service};
      binding.rules.push_back({.rule = rule, .tag = std::nullopt, .name = "service-" + std::to_string(r)});
    }
    image.bindings[binding.eip] = std::move(binding);
  }
  return image;
}

void write_frame(const Workload& workload, const Macs& macs, uint64_t n, Way way, std::span<uint8_t> frame) {
  const Flow flow = flow_of(workload, n);
  // Tracked: the endpoint is the client, the outside the service.
  const uint16_t own_port = workload.tracked ? flow.client_port : flow.service;
  const uint16_t remote_port = workload.tracked ? flow.service : flow.client_port;
  if (way == Way::in)
    build(frame, macs.uplink, macs.client, flow.client, flow.eip, remote_port, own_port, 64,
          flags_of(workload, way));
  else
    build(frame, macs.endpoint_port, macs.vm, flow.dip, flow.client, own_port, remote_port, 64,
          flags_of(workload, way));
}

Frame expected_frame(const Workload& workload, const Macs& macs, uint64_t n, Way way) {
  const Flow flow = flow_of(workload, n);
  const uint16_t own_port = workload.tracked ? flow.client_port : flow.service;
  const uint16_t remote_port = workload.tracked ? flow.service : flow.client_port;
  Frame frame{};
  if (way == Way::in)
    build(frame, macs.vm, macs.endpoint_port, flow.client, flow.dip, remote_port, own_port, 63,
          flags_of(workload, way));
  else
    build(frame, macs.client, macs.uplink, flow.eip, flow.client, own_port, remote_port, 63,
          flags_of(workload, way));
  return frame;
}

}  // namespace portcullis::bench
