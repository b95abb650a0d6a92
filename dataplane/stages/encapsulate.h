// encapsulate: what the link of an endpoint adds is put on: VLAN tags, or the headers of VXLAN (RFC 7348) or
// Geneve (RFC 8926) with the inner packet's congestion marks (RFC 6040, 4.1). route has seen to it that there
// is a next hop and room; the gateway's own answers have not been there.
//
// Reads Burst::to_link, ::out_link, ::underlay_mac, ::answered, ::from_link, ::in_link, LinkRecord; writes
// the frame. Drops: answer_not_sent.
#pragma once

#include <rte_mbuf.h>

#include <cstddef>
#include <cstring>
#include <string_view>

#include "dataplane/stages/outer_headers.h"
#include "dataplane/stages/translate.h"
#include "dataplane/worker_state.h"
#include "src/net/checksum.h"
#include "src/net/headers.h"

namespace portcullis::stages {

struct Encapsulate {
  static constexpr std::string_view name = "encapsulate";

  template <typename Group>
  static void run(Burst& burst, const Tables& tables, WorkerState& worker) noexcept {
    if (((burst.live & burst.to_link) | (burst.answered & burst.from_link)) != 0) [[unlikely]]
      Group::template call<Links>(burst, tables, worker);
  }

 private:
  // A function of its own, for bursts that have some.
  struct Links {
    template <typename Group>
    static void run(Burst& burst, const Tables& tables, WorkerState& worker) noexcept {
      for_each_packet(burst.live & burst.to_link, [&](uint32_t i) {
        put_on(tables.links.record(burst.out_link[i]), burst.mbuf[i], burst.underlay_mac[i],
               flow_of(burst, i));
      });
      for_each_packet(burst.answered & burst.from_link,
                      [&](uint32_t i) { answer(burst, tables, worker, i); });
    }
  };

  // Back by the link that the question came by.
  static void answer(Burst& burst, const Tables& tables, WorkerState& worker, uint32_t i) {
    const LinkRecord& link = tables.links.record(burst.in_link[i]);
    MacWord next_hop;
    if ((link.kind == LinkKind::vlan || tables.neighbors.find(link.neighbor, next_hop)) &&
        rte_pktmbuf_headroom(burst.mbuf[i]) >= link.header_length)
      return put_on(link, burst.mbuf[i], next_hop, 0);
    burst.answered &= ~(uint64_t{1} << i);
    drop(burst, worker, i, Drop::answer_not_sent);
  }

  // The same for all packets of a flow in one direction, and different for most flows.
  static uint32_t flow_of(const Burst& burst, uint32_t i) {
    const Ipv4Fields& ip = burst.ip[i];
    uint64_t mixed =
        uint64_t{ip.source_port.wire()} << 24 | uint64_t{ip.destination_port.wire()} << 8 | ip.protocol;
    if ((burst.ipv6 >> i & 1) != 0)
      mixed ^= burst.source6[i].wire_low() * 3 ^ burst.destination6[i].wire_low();
    else
      mixed ^= uint64_t{ip.source.wire()} << 32 ^ ip.destination.wire();
    return static_cast<uint32_t>(mixed * multiplier >> 32);
  }

  static void put_on(const LinkRecord& link, rte_mbuf* mbuf, MacWord next_hop, uint32_t flow) {
    if (link.kind == LinkKind::vlan) return put_tags_on(link, mbuf);
    const uint8_t inner_ecn = ecn_of(mbuf);
    rte_pktmbuf_prepend(mbuf, link.header_length);
    uint8_t* const frame = frame_of(mbuf);
    std::memcpy(frame, link.header.data(), link.header_length);
    const uint64_t mac = next_hop.before(MacWord());
    std::memcpy(frame, &mac, sizeof(Mac));
    // RFC 7348, 5: of the range of dynamic ports.
    const Be16 source_port = Be16::from_host(static_cast<uint16_t>(first_dynamic_port | (flow & 0x3fff)));
    uint8_t* const ip = frame + l3_offset;
    uint8_t* const udp = ip + (link.family == IpFamily::ipv4 ? sizeof(Ipv4Header) : sizeof(Ipv6Header));
    const Be16 length =
        Be16::from_host(static_cast<uint16_t>(mbuf->pkt_len - static_cast<uint32_t>(udp - frame)));
    std::memcpy(udp + offsetof(UdpHeader, source_port), &source_port, sizeof source_port);
    std::memcpy(udp + offsetof(UdpHeader, length), &length, sizeof length);
    if (link.family == IpFamily::ipv4) {
      const Be16 total = Be16::from_host(static_cast<uint16_t>(mbuf->pkt_len - l3_offset));
      Be16 before;
      std::memcpy(&before, ip, sizeof before);
      const Be16 after = Be16::from_host(before.host() | inner_ecn);
      std::memcpy(ip, &after, sizeof after);
      std::memcpy(ip + offsetof(Ipv4Header, total_length), &total, sizeof total);
      apply_to_field(ip + offsetof(Ipv4Header, checksum),
                     ChecksumDelta().replace(before, after).replace(Be16(), total));
    } else {
      ip[1] = static_cast<uint8_t>(ip[1] | inner_ecn << 4);
      std::memcpy(ip + offsetof(Ipv6Header, payload_length), &length, sizeof length);
      if (link.udp_checksum) write_checksum(mbuf, ip, udp, length);
    }
  }

  static void put_tags_on(const LinkRecord& link, rte_mbuf* mbuf) {
    uint8_t macs[2 * sizeof(Mac)];
    std::memcpy(macs, frame_of(mbuf), sizeof macs);
    rte_pktmbuf_prepend(mbuf, link.header_length);
    std::memcpy(frame_of(mbuf), macs, sizeof macs);
    std::memcpy(frame_of(mbuf) + sizeof macs, link.header.data(), link.header_length);
  }

  static uint8_t ecn_of(const rte_mbuf* mbuf) {
    const uint8_t* const frame = frame_of(mbuf);
    Be16 type;
    std::memcpy(&type, frame + offsetof(EthernetHeader, ether_type), sizeof type);
    if (type == ether_type::ipv4) return frame[l3_offset + offsetof(Ipv4Header, dscp_ecn)] & ecn_mask;
    if (type == ether_type::ipv6) return frame[l3_offset + 1] >> 4 & ecn_mask;
    return 0;
  }

  // RFC 8200, 8.1: over all that is sent, and all ones for a sum of zero.
  static void write_checksum(const rte_mbuf* mbuf, const uint8_t* ip, uint8_t* udp, Be16 length) {
    struct {
      Be32 length;
      Be32 next_header;
    } const pseudo{Be32::from_host(length.host()), Be32::from_host(ip_protocol::udp)};
    constexpr size_t addresses = 2 * sizeof(Ipv6Addr);
    uint32_t sum = internet_sum({reinterpret_cast<const uint8_t*>(&pseudo), sizeof pseudo});
    sum = internet_sum({ip + offsetof(Ipv6Header, source), addresses}, sum);
    const auto checksum =
        static_cast<uint16_t>(~sum_of_buffers(mbuf, static_cast<uint32_t>(udp - frame_of(mbuf)), sum));
    const Be16 field = Be16::from_wire(checksum == 0 ? 0xffff : checksum);
    std::memcpy(udp + offsetof(UdpHeader, checksum), &field, sizeof field);
  }

  // From an offset in the first buffer on. (DPDK 22.11's rte_raw_cksum_mbuf loses the carries of a buffer
  // whose first byte is the second one of a word.)
  static uint16_t sum_of_buffers(const rte_mbuf* mbuf, uint32_t offset, uint32_t sum) {
    bool is_within_word = false;
    for (; mbuf != nullptr; mbuf = mbuf->next) {
      const uint32_t length = mbuf->data_len - offset;
      const uint16_t own = internet_sum({frame_of(mbuf) + offset, length});
      sum = internet_sum({}, sum + (is_within_word ? __builtin_bswap16(own) : own));
      is_within_word = is_within_word != (length % 2 != 0);
      offset = 0;
    }
    return static_cast<uint16_t>(sum);
  }

  static constexpr uint64_t multiplier = 0x9e3779b97f4a7c15u;  // 2^64 / the golden ratio
  static constexpr uint16_t first_dynamic_port = 0xc000;       // RFC 6335, 6
};

}  // namespace portcullis::stages
