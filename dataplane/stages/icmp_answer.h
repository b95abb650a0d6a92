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
  uint16_t next_hop_mtu = 0;  // Fragmentation Needed (RFC 1191, 4)

  // Drops packet i by `reason` and answers it, if an error may be sent about it and its EIP's rate allows.
  [[gnu::noinline, gnu::cold]] static void drop_and_answer(Burst& burst, const Tables& tables,
                                                           WorkerState& worker, uint32_t i, Drop reason,
                                                           const IcmpAnswer& answer) {
    // Of two endpoints the one that sent it.
    const BindingRecord& charged = burst.source[i] != nullptr ? *burst.source[i] : *burst.destination[i];
    // RFC 1122, 3.2.2: never about an error, nor about a fragment after the first.
    const uint64_t never = burst.errors | burst.later_fragments;
    const bool may_answer = (never >> i & 1) == 0 && rte_pktmbuf_headroom(burst.mbuf[i]) >= headers &&
                            worker.error_rate.has_token(charged.id, burst.now_ms);
    if (!may_answer) return drop(burst, worker, i, reason);
    worker.error_rate.take(charged.id, burst.now_ms);
    answer.write(burst, tables.ports.ports[burst.in_port], own_address(burst, tables), i);
    // The packet is lost, and another one has come to be.
    lose(burst, worker, i, reason);
    worker.counters.originated.add(1);
    burst.answered |= uint64_t{1} << i;
  }

 private:
  static constexpr uint32_t headers = sizeof(Ipv4Header) + sizeof(IcmpHeader);
  static constexpr uint32_t longest = 576;                 // RFC 1812, 4.3.2.3
  static constexpr uint8_t internetwork_control = 6 << 5;  // RFC 1812, 4.3.2.5
  static constexpr uint8_t ttl = 64;

  // To an endpoint, its next hop; to the outside the gateway's address there. One that has none answers by
  // the address that is for this (RFC 7600, 4.8).
  static Ipv4Addr own_address(const Burst& burst, const Tables& tables) {
    constexpr Ipv4Addr dummy = Ipv4Addr::of(192, 0, 0, 8);
    if (burst.in_role == PortRole::endpoint) return tables.ports.ports[burst.in_port].endpoint_next_hop;
    return tables.gateway.addresses.empty() ? dummy : tables.gateway.addresses.front();
  }

  void write(Burst& burst, const PortInfo& port, Ipv4Addr own, uint32_t i) const {
    rte_mbuf* const mbuf = burst.mbuf[i];
    EthernetHeader ethernet;
    std::memcpy(&ethernet, frame_of(mbuf), sizeof ethernet);
    // Only what lies in the first buffer is quoted, and no padding.
    rte_pktmbuf_free(mbuf->next);
    mbuf->next = nullptr;
    mbuf->nb_segs = 1;
    const uint32_t quoted =
        std::min({uint32_t{burst.total_length[i]}, longest - headers, uint32_t{mbuf->data_len} - l3_offset});
    mbuf->data_off = static_cast<uint16_t>(mbuf->data_off - headers);
    mbuf->data_len = static_cast<uint16_t>(l3_offset + headers + quoted);
    mbuf->pkt_len = mbuf->data_len;

    ethernet.destination = ethernet.source;
    ethernet.source = port.mac;
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
    uint8_t* const frame = frame_of(mbuf);
    std::memcpy(frame, &ethernet, sizeof ethernet);
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
