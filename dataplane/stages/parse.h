// parse: from bytes to fields. Bounded reads, checks in the order of RFC 791 and then of the transport
// (parse_transport.h), of fragments (parse_fragment.h) or of what an ICMP error quotes (parse_quoted.h),
// lengths before use. IPv6 has a part of its own (parse_ipv6.h). L4 checksums are not verified: they are only
// ever changed by differences, so a wrong one stays wrong.
//
// Reads the frame; writes the "parse" fields of Burst, Burst::arp, ::options and the port's receive counters.
// Drops: unknown_ether_type … arp_malformed.
#pragma once

#include <rte_prefetch.h>

#include <array>
#include <cstddef>
#include <span>
#include <string_view>

#include "dataplane/stages/martian.h"
#include "dataplane/stages/parse_fragment.h"
#include "dataplane/stages/parse_ipv6.h"
#include "dataplane/stages/parse_transport.h"
#include "dataplane/worker_state.h"
#include "src/net/checksum.h"
#include "src/net/cursor.h"
#include "src/net/headers.h"

namespace portcullis::stages {

struct Parse {
  static constexpr std::string_view name = "parse";

  template <typename Group>
  static void run(Burst& burst, const Tables& tables, WorkerState& worker) noexcept {
    // A frame can be prefetched only by its mbuf, which is prefetched before it.
    constexpr uint32_t frame_distance = burst_lookahead / 2;
    for (uint32_t i = 0; i < burst_lookahead; ++i) rte_prefetch0(burst.mbuf[i]);
    for (uint32_t i = 0; i < frame_distance; ++i) rte_prefetch0(frame_of(burst.mbuf[i]));
    const MacWord own_mac(tables.ports.ports[burst.in_port].mac);
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < burst.count; ++i) {
      rte_prefetch0(burst.mbuf[i + burst_lookahead]);
      rte_prefetch0(frame_of(burst.mbuf[i + frame_distance]));
      bytes += burst.mbuf[i]->pkt_len;
      const Refusal refusal = accepted(burst, i, own_mac);
      if (refusal.is_one()) [[unlikely]]
        drop(burst, worker, i, refusal.reason());
    }
    if (burst.taken_over) return;
    PortCounters& port = worker.counters.ports[burst.in_port];
    port.received_packets.add(burst.count);
    port.received_bytes.add(bytes);
  }

 private:
  static Refusal accepted(Burst& burst, uint32_t i, MacWord own_mac) {
    const rte_mbuf* const mbuf = burst.mbuf[i];
    if (is_ipv6(mbuf)) [[unlikely]]
      return ParseIpv6::is_plain(mbuf, own_mac) ? ParseIpv6::plain(burst, i) : exact(burst, i, own_mac);
    return is_plain(mbuf, own_mac) ? plain(burst, i) : exact(burst, i, own_mac);
  }

  static bool is_ipv6(const rte_mbuf* mbuf) {
    return mbuf->data_len >= plain_headers &&
           HeaderView<EthernetHeader>(frame_of(mbuf)).load<Be16>(offsetof(EthernetHeader, ether_type)) ==
               ether_type::ipv6;
  }

  static constexpr uint8_t without_options = 0x45;  // IPv4, a header of five words
  static constexpr uint32_t plain_headers = l4_offset + sizeof(TcpHeader);
  // As they lie in the frame.
  static constexpr uint32_t plain_type_version = ether_type::ipv4.wire() | without_options << 16;
  static constexpr Be16 ipv6_multicast = Be16::from_host(0x3333);  // the first octets (RFC 2464, 7)
  static constexpr Be16 fragment_bits = Be16::from_host(0x3fff);   // more fragments, or an offset

  // Most frames, by one test of a few words: IPv4 to this port, whole, without options, no martian, its
  // headers in one buffer. Which test fails does not matter here: exact() says so in the order of the RFCs.
  static bool is_plain(const rte_mbuf* mbuf, MacWord own_mac) {
    if (mbuf->data_len < plain_headers) return false;
    const HeaderView<std::array<uint8_t, plain_headers>> frame(frame_of(mbuf));
    const auto destination = MacWord::of_load(frame.load<uint64_t>(0));
    // Ether type, version and header length, and the byte behind them, which may be anything.
    const auto type_version = frame.load<uint32_t>(offsetof(EthernetHeader, ether_type));
    const auto fragment = frame.load<Be16>(l3_offset + offsetof(Ipv4Header, flags_fragment_offset));
    const uint32_t length = frame.load<Be16>(l3_offset + offsetof(Ipv4Header, total_length)).host();
    const uint64_t differs = destination.differs(own_mac) | ((type_version ^ plain_type_version) & 0xffffff) |
                             (fragment.wire() & fragment_bits.wire());
    // One's complement sums of words of any width are alike modulo 0xffff (RFC 1071, 2.B).
    uint64_t sum = frame.load<uint64_t>(l3_offset);
    sum = with_carry(sum, frame.load<uint64_t>(l3_offset + 8));
    sum = with_carry(sum, frame.load<uint32_t>(l3_offset + 16));
    const uint8_t martian =
        martian_octets[frame.load<uint8_t>(l3_offset + offsetof(Ipv4Header, source))] |
        martian_octets[frame.load<uint8_t>(l3_offset + offsetof(Ipv4Header, destination))];
    // One comparison for both bounds of the length: what is below the lower one wraps.
    constexpr uint32_t least = sizeof(Ipv4Header);
    return ((differs | martian) == 0) & is_multiple_of_ffff(sum) &
           (length - least <= mbuf->pkt_len - l3_offset - least);
  }

  static uint64_t with_carry(uint64_t sum, uint64_t word) {
    sum += word;
    return sum + uint64_t{sum < word};
  }

  // By the inverse of 0xffff modulo 2^64: only multiples stay small. A remainder takes twice as long.
  static bool is_multiple_of_ffff(uint64_t sum) {
    constexpr uint64_t inverse = 0 - uint64_t{0x0001000100010001};
    static_assert(inverse * 0xffff == 1);
    return sum * inverse <= UINT64_MAX / 0xffff;
  }

  static Refusal plain(Burst& burst, uint32_t i) {
    const uint8_t* const ip = frame_of(burst.mbuf[i]) + l3_offset;
    const auto total_length = HeaderView<Ipv4Header>(ip).load<Be16>(offsetof(Ipv4Header, total_length));
    return ParseTransport::accepted(burst, i, ip, sizeof(Ipv4Header), plain_headers - l4_offset,
                                    total_length.host() - static_cast<uint32_t>(sizeof(Ipv4Header)));
  }

  [[gnu::noinline, gnu::cold]] static Refusal exact(Burst& burst, uint32_t i, MacWord own_mac) {
    const rte_mbuf* mbuf = burst.mbuf[i];
    Cursor cursor({frame_of(mbuf), mbuf->data_len});
    HeaderView<EthernetHeader> header;
    if (!cursor.view(header)) return cut_short(mbuf, Drop::truncated);
    const auto type = header.load<Be16>(offsetof(EthernetHeader, ether_type));
    const bool is_arp = type == ether_type::arp;
    const auto destination = MacWord::of_load(header.load<uint64_t>(offsetof(EthernetHeader, destination)));
    if (type == ether_type::ipv6) {
      const bool is_own = destination == own_mac;
      if (!is_own && header.load<Be16>(0) != ipv6_multicast) return Drop::wrong_destination_mac;
      return ParseIpv6::accepted(burst, i, !is_own);
    }
    if (!is_arp && type != ether_type::ipv4) return Drop::unknown_ether_type;
    if (destination != own_mac && !(is_arp && destination == MacWord(broadcast_mac)))
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
    return Refusal();
  }

  static Refusal ipv4(Burst& burst, uint32_t i, Cursor& cursor) {
    const rte_mbuf* mbuf = burst.mbuf[i];
    const uint32_t present = mbuf->pkt_len - l3_offset;
    HeaderView<Ipv4Header> header;
    if (!cursor.view(header)) return cut_short(mbuf, Drop::truncated);
    const auto version_ihl = header.load<uint8_t>(offsetof(Ipv4Header, version_ihl));
    uint32_t header_length = sizeof(Ipv4Header);
    if (version_ihl != without_options) [[unlikely]] {
      if (version_ihl >> 4 != 4) return Drop::ip_version;
      header_length = uint32_t{version_ihl & 0xfu} * 4;
      if (header_length < sizeof(Ipv4Header) || header_length > present) return Drop::ip_header_length;
    }
    const uint32_t total_length = header.load<Be16>(offsetof(Ipv4Header, total_length)).host();
    if (total_length < header_length || total_length > present) return Drop::ip_total_length;
    if (!cursor.skip(header_length - sizeof(Ipv4Header))) return Drop::headers_not_contiguous;
    burst.options |= uint64_t{header_length != sizeof(Ipv4Header)} << i;
    const std::span<const uint8_t> whole(frame_of(mbuf) + l3_offset, header_length);
    if (internet_sum(whole) != 0xffff) return Drop::ip_checksum;
    if (const Refusal refusal = options(whole.subspan(sizeof(Ipv4Header))); refusal.is_one()) return refusal;
    if (is_martian(header.load<Ipv4Addr>(offsetof(Ipv4Header, source)))) return Drop::martian_source;
    if (is_martian(header.load<Ipv4Addr>(offsetof(Ipv4Header, destination))))
      return Drop::martian_destination;
    const uint32_t in_buffer = mbuf->data_len - l3_offset - header_length;
    const auto fragment = header.load<Be16>(offsetof(Ipv4Header, flags_fragment_offset));
    if ((fragment.wire() & fragment_bits.wire()) != 0)
      return ParseFragment::accepted(burst, i, whole.data(), header_length, in_buffer);
    return ParseTransport::accepted(burst, i, whole.data(), header_length, in_buffer,
                                    total_length - header_length);
  }

  // RFC 791, 3.1: two options are one byte long, all others say their length. The sender does not choose the
  // way (RFC 7126, 4.3 and 4.4); all other options are for hosts and routers beyond, and stay as they are.
  static Refusal options(std::span<const uint8_t> options) {
    while (!options.empty() && options[0] != ip_option::end_of_list) {
      if (options[0] == ip_option::loose_source_route || options[0] == ip_option::strict_source_route)
        return Drop::ip_source_route;
      size_t length = 1;
      if (options[0] != ip_option::no_operation) {
        if (options.size() < 2) return Drop::ip_options;
        length = options[1];
        if (length < 2 || length > options.size()) return Drop::ip_options;
      }
      options = options.subspan(length);
    }
    return Refusal();
  }

  static Drop cut_short(const rte_mbuf* mbuf, Drop reason) {
    return mbuf->nb_segs > 1 ? Drop::headers_not_contiguous : reason;
  }
};

}  // namespace portcullis::stages
