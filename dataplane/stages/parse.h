// parse: from bytes to fields. Bounded reads, checks in the order of RFC 791, 9293, 768 and 792, lengths
// before use. L4 checksums are not verified: they are only ever changed by differences, so a wrong one stays
// wrong.
//
// Reads the frame; writes the "parse" fields of Burst, Burst::arp and the port's receive counters.
// Drops: unknown_ether_type … icmp_type.
#pragma once

#include <rte_prefetch.h>

#include <array>
#include <cstring>
#include <optional>
#include <string_view>

#include "dataplane/worker_state.h"
#include "src/net/checksum.h"
#include "src/net/cursor.h"
#include "src/net/headers.h"

namespace portcullis::stages {

struct Parse {
  static constexpr std::string_view name = "parse";

  template <typename Group>
  static void run(Burst& burst, const Tables& tables, WorkerState& worker) noexcept {
    constexpr uint32_t prefetch_distance = 8;
    for (uint32_t i = 0; i < prefetch_distance && i < burst.count; ++i)
      rte_prefetch0(frame_of(burst.mbuf[i]));
    const Mac& own_mac = tables.ports.ports[burst.in_port].mac;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < burst.count; ++i) {
      if (i + prefetch_distance < burst.count) rte_prefetch0(frame_of(burst.mbuf[i + prefetch_distance]));
      bytes += burst.mbuf[i]->pkt_len;
      if (const auto reason = ethernet(burst, i, own_mac)) drop(burst, worker, i, *reason);
    }
    PortCounters& port = worker.counters.ports[burst.in_port];
    port.received_packets.add(burst.count);
    port.received_bytes.add(bytes);
  }

 private:
  using Refusal = std::optional<Drop>;

  static Refusal ethernet(Burst& burst, uint32_t i, const Mac& own_mac) {
    const rte_mbuf* mbuf = burst.mbuf[i];
    Cursor cursor({frame_of(mbuf), mbuf->data_len});
    EthernetHeader header;
    if (!cursor.read(header)) return cut_short(mbuf, Drop::truncated);
    const bool is_arp = header.ether_type == ether_type::arp;
    if (!is_arp && header.ether_type != ether_type::ipv4) return Drop::unknown_ether_type;
    if (header.destination != own_mac && !(is_arp && header.destination == broadcast_mac))
      return Drop::wrong_destination_mac;
    if (is_arp) return arp(burst, i, cursor);
    return ipv4(burst, i, cursor);
  }

  // RFC 826; the fields are read again by punt.
  static Refusal arp(Burst& burst, uint32_t i, Cursor& cursor) {
    ArpHeader header;
    if (!cursor.read(header)) return cut_short(burst.mbuf[i], Drop::arp_malformed);
    constexpr Be16 ethernet = Be16::from_host(1);
    if (header.hardware_type != ethernet || header.protocol_type != ether_type::ipv4 ||
        header.hardware_length != sizeof(Mac) || header.protocol_length != sizeof(Ipv4Addr))
      return Drop::arp_malformed;
    burst.arp |= uint64_t{1} << i;
    return std::nullopt;
  }

  static Refusal ipv4(Burst& burst, uint32_t i, Cursor& cursor) {
    const rte_mbuf* mbuf = burst.mbuf[i];
    const uint32_t present = mbuf->pkt_len - l3_offset;
    Ipv4Header header;
    if (!cursor.read(header)) return cut_short(mbuf, Drop::truncated);
    if (header.version_ihl >> 4 != 4) return Drop::ip_version;
    const uint32_t header_length = uint32_t{header.version_ihl & 0xfu} * 4;
    if (header_length < sizeof header || header_length > present) return Drop::ip_header_length;
    const uint32_t total_length = header.total_length.host();
    if (total_length < header_length || total_length > present) return Drop::ip_total_length;
    if (header_length == sizeof header) {
      if (header_sum(header) != 0xffff) return Drop::ip_checksum;
    } else {
      if (!cursor.skip(header_length - sizeof header)) return Drop::headers_not_contiguous;
      if (internet_sum({frame_of(mbuf) + l3_offset, header_length}) != 0xffff) return Drop::ip_checksum;
    }
    if (header_length > sizeof header) return Drop::ip_options;
    constexpr uint16_t more_fragments_or_offset = 0x3fff;
    if ((header.flags_fragment_offset.host() & more_fragments_or_offset) != 0) return Drop::fragment;
    if (is_martian(header.source)) return Drop::martian_source;
    if (is_martian(header.destination)) return Drop::martian_destination;
    burst.source_address[i] = header.source;
    burst.destination_address[i] = header.destination;
    burst.total_length[i] = static_cast<uint16_t>(total_length);
    burst.protocol[i] = header.protocol;
    burst.ttl[i] = header.ttl;
    const uint32_t l4_length = total_length - header_length;
    switch (header.protocol) {
      case ip_protocol::tcp:
        return tcp(burst, i, cursor, l4_length);
      case ip_protocol::udp:
        return udp(burst, i, cursor, l4_length);
      case ip_protocol::icmp:
        return icmp(burst, i, cursor, l4_length);
      default:
        return Drop::unknown_protocol;
    }
  }

  static Refusal tcp(Burst& burst, uint32_t i, Cursor& cursor, uint32_t length) {
    TcpHeader header;
    if (length < sizeof header) return Drop::tcp_header;
    if (!cursor.read(header)) return Drop::headers_not_contiguous;
    const uint32_t header_length = uint32_t{header.data_offset} / 16 * 4;
    if (header_length < sizeof header || header_length > length) return Drop::tcp_header;
    constexpr uint8_t all = 0x3f;
    constexpr uint8_t syn_fin = tcp_flag::syn | tcp_flag::fin;
    constexpr uint8_t syn_rst = tcp_flag::syn | tcp_flag::rst;
    const uint8_t flags = header.flags & all;
    if (flags == 0 || (flags & syn_fin) == syn_fin || (flags & syn_rst) == syn_rst) return Drop::tcp_flags;
    burst.tcp_flags[i] = flags;
    burst.source_port[i] = header.source_port;
    burst.destination_port[i] = header.destination_port;
    return std::nullopt;
  }

  static Refusal udp(Burst& burst, uint32_t i, Cursor& cursor, uint32_t length) {
    UdpHeader header;
    if (length < sizeof header) return Drop::udp_length;
    if (!cursor.read(header)) return Drop::headers_not_contiguous;
    if (header.length.host() < sizeof header || header.length.host() > length) return Drop::udp_length;
    burst.source_port[i] = header.source_port;
    burst.destination_port[i] = header.destination_port;
    return std::nullopt;
  }

  static Refusal icmp(Burst& burst, uint32_t i, Cursor& cursor, uint32_t length) {
    IcmpHeader header;
    if (length < sizeof header) return Drop::icmp_header;
    if (!cursor.read(header)) return Drop::headers_not_contiguous;
    if (!is_icmp_query(header.type) && !is_icmp_reply(header.type)) return Drop::icmp_type;
    burst.icmp_type[i] = header.type;
    burst.icmp_code[i] = header.code;
    burst.source_port[i] = header.identifier;
    burst.destination_port[i] = header.identifier;
    return std::nullopt;
  }

  // internet_sum of a header without options, by words of 32 bits (RFC 1071, 2.C).
  static uint16_t header_sum(const Ipv4Header& header) {
    std::array<uint32_t, sizeof header / 4> words;
    std::memcpy(words.data(), &header, sizeof header);
    uint64_t sum = uint64_t{words[0]} + words[1] + words[2] + words[3] + words[4];
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
    return static_cast<uint16_t>((sum & 0xffff) + (sum >> 16));
  }

  // RFC 6890: never the address of a host that this gateway forwards for or to.
  static constexpr bool is_martian(Ipv4Addr address) {
    const uint32_t host = address.host();
    const uint32_t high = host >> 24;
    return high == 0 || high == 127 || high >= 224 || host >> 16 == (169u << 8 | 254u);
  }

  static Drop cut_short(const rte_mbuf* mbuf, Drop reason) {
    return mbuf->nb_segs > 1 ? Drop::headers_not_contiguous : reason;
  }
};

}  // namespace portcullis::stages
