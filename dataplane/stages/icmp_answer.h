// ICMP errors that the gateway makes itself (RFC 792, RFC 1812 4.3): the refused packet's own buffer becomes
// the error and goes back by the port that it came from. It quotes the packet as its sender sent it.
#pragma once

#include <rte_mbuf.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>

#include "dataplane/worker_state.h"
#include "src/net/checksum.h"
#include "src/net/headers.h"

namespace portcullis::stages {

struct IcmpAnswer {
  uint8_t type;
  uint8_t code;
  uint16_t next_hop_mtu = 0;  // Fragmentation Needed (RFC 1191, 4), Packet Too Big (RFC 4443, 3.2)

  // Drops packet i by `reason` and answers it, if an error may be sent about it and its EIP's rate allows.
  [[gnu::noinline, gnu::cold]] static void drop_and_answer(Burst& burst, const Tables& tables,
                                                           WorkerState& worker, uint32_t i, Drop reason,
                                                           const IcmpAnswer& answer) {
    // Of two endpoints the one that sent it.
    const BindingRecord& charged = burst.source[i] != nullptr ? *burst.source[i] : *burst.destination[i];
    // RFC 1122, 3.2.2: never about an error, nor about a fragment after the first.
    const uint64_t never = burst.errors | burst.later_fragments;
    const bool is_ipv6 = (burst.ipv6 >> i & 1) != 0;
    const uint32_t headers = is_ipv6 ? ipv6_headers : ipv4_headers;
    const bool may_answer = (never >> i & 1) == 0 && rte_pktmbuf_headroom(burst.mbuf[i]) >= headers &&
                            (!is_ipv6 || has_ipv6_address(burst, tables)) &&
                            worker.error_rate->has_token(charged.id, burst.now_ms);
    if (!may_answer) return drop(burst, worker, i, reason);
    if (burst.rehearsal == nullptr) {
      worker.error_rate->take(charged.id, burst.now_ms);
      worker.counters.originated.add(1);
      if (worker.shows_drops) show_dropped(worker, burst, i, reason);
    }
    if (is_ipv6)
      answer.write(burst, tables.ports.ports[burst.in_port], own_ipv6_address(burst, tables), i);
    else
      answer.write(burst, tables.ports.ports[burst.in_port], own_address(burst, tables), i);
    // The packet is lost, and another one has come to be.
    lose(burst, worker, i, reason);
    burst.answered |= uint64_t{1} << i;
  }

 private:
  static constexpr uint32_t ipv4_headers = sizeof(Ipv4Header) + sizeof(IcmpHeader);
  static constexpr uint32_t ipv6_headers = sizeof(Ipv6Header) + sizeof(IcmpHeader);
  static constexpr uint32_t longest = 576;                 // RFC 1812, 4.3.2.3
  static constexpr uint32_t longest_ipv6 = 1280;           // RFC 4443, 2.4 c
  static constexpr uint8_t internetwork_control = 6 << 5;  // RFC 1812, 4.3.2.5
  static constexpr uint8_t ttl = 64;

  // To an endpoint, its next hop; to the outside the gateway's address there. One that has none answers by
  // the address that is for this (RFC 7600, 4.8).
  static Ipv4Addr own_address(const Burst& burst, const Tables& tables) {
    constexpr Ipv4Addr dummy = Ipv4Addr::of(192, 0, 0, 8);
    if (burst.in_role == PortRole::endpoint) return tables.ports.ports[burst.in_port].endpoint_next_hop;
    return tables.gateway.addresses.empty() ? dummy : tables.gateway.addresses.front();
  }

  // The same for IPv6: there is no address that stands for one.
  static bool has_ipv6_address(const Burst& burst, const Tables& tables) {
    return burst.in_role == PortRole::endpoint || !tables.gateway.addresses6.empty();
  }
  static Ipv6Addr own_ipv6_address(const Burst& burst, const Tables& tables) {
    if (burst.in_role == PortRole::endpoint) return tables.ports.ports[burst.in_port].endpoint_next_hop6;
    return tables.gateway.addresses6.front();
  }

  // Room for `headers` before what is quoted, of which there are as many bytes as this says; and the Ethernet
  // header back to whom the packet came from.
  static uint32_t make_room(Burst& burst, const PortInfo& port, uint32_t headers, uint32_t most, uint32_t i) {
    rte_mbuf* const mbuf = burst.mbuf[i];
    EthernetHeader ethernet;
    std::memcpy(&ethernet, frame_of(mbuf), sizeof ethernet);
    // Only what lies in the first buffer is quoted, and no padding.
    rte_pktmbuf_free(mbuf->next);
    mbuf->next = nullptr;
    mbuf->nb_segs = 1;
    const uint32_t quoted =
        std::min({uint32_t{burst.total_length[i]}, most - headers, uint32_t{mbuf->data_len} - l3_offset});
    mbuf->data_off = static_cast<uint16_t>(mbuf->data_off - headers);
    mbuf->data_len = static_cast<uint16_t>(l3_offset + headers + quoted);
    mbuf->pkt_len = mbuf->data_len;
    ethernet.destination = ethernet.source;
    ethernet.source = port.mac;
    std::memcpy(frame_of(mbuf), &ethernet, sizeof ethernet);
    return quoted;
  }

  void write(Burst& burst, const PortInfo& port, const Ipv6Addr& own, uint32_t i) const {
    const uint32_t quoted = make_room(burst, port, ipv6_headers, longest_ipv6, i);
    const auto length = static_cast<uint16_t>(sizeof(IcmpHeader) + quoted);
    const Ipv6Header ip{
        .version_class_label = Be32::from_host(6u << 28 | uint32_t{internetwork_control} << 20),
        .payload_length = Be16::from_host(length),
        .next_header = ip_protocol::icmpv6,
        .hop_limit = ttl,
        .source = own,
        .destination = burst.source6[i]};
    // The MTU is the second half of a word of 32 bits.
    IcmpHeader icmp{.type = type,
                    .code = code,
                    .checksum = {},
                    .identifier = {},
                    .sequence = Be16::from_host(next_hop_mtu)};
    uint8_t* const l3 = frame_of(burst.mbuf[i]) + l3_offset;
    uint8_t* const message = l3 + sizeof ip;
    std::memcpy(l3, &ip, sizeof ip);
    std::memcpy(message, &icmp, sizeof icmp);
    icmp.checksum =
        Be16::from_wire(static_cast<uint16_t>(~icmpv6_sum(ip.source, ip.destination, {message, length})));
    std::memcpy(message, &icmp, sizeof icmp);
  }

  void write(Burst& burst, const PortInfo& port, Ipv4Addr own, uint32_t i) const {
    constexpr uint32_t headers = ipv4_headers;
    const uint32_t quoted = make_room(burst, port, headers, longest, i);
    Ipv4Header ip{.version_ihl = 0x45,
                  .dscp_ecn = internetwork_control,
                  .total_length = Be16::from_host(static_cast<uint16_t>(headers + quoted)),
                  .identification = {},
                  .flags_fragment_offset = {},
                  .ttl = ttl,
                  .protocol = ip_protocol::icmp,
                  .checksum = {},
                  .source = own,
                  .destination = burst.ip[i].source};
    ip.checksum = checksum_of(std::as_bytes(std::span(&ip, 1)));
    IcmpHeader icmp{.type = type,
                    .code = code,
                    .checksum = {},
                    .identifier = {},
                    .sequence = Be16::from_host(next_hop_mtu)};
    uint8_t* const frame = frame_of(burst.mbuf[i]);
    std::memcpy(frame + l3_offset, &ip, sizeof ip);
    std::memcpy(frame + l4_offset, &icmp, sizeof icmp);
    icmp.checksum = checksum_of(std::as_bytes(std::span(frame + l4_offset, sizeof icmp + quoted)));
    std::memcpy(frame + l4_offset, &icmp, sizeof icmp);
  }

  static Be16 checksum_of(std::span<const std::byte> bytes) {
    const auto* begin = reinterpret_cast<const uint8_t*>(bytes.data());
    return Be16::from_wire(static_cast<uint16_t>(~internet_sum({begin, bytes.size()})));
  }
};

}  // namespace portcullis::stages
