// deliver: the frame for its next hop: MAC addresses, TTL less one (RFC 1812, 5.3.1), link padding taken off.
//
// Reads Burst::out_port, ::next_hop_mac, ::ip, ::total_length; writes the frame. Drops nothing.
#pragma once

#include <cstddef>
#include <cstring>
#include <string_view>

#include "dataplane/stages/translate.h"
#include "dataplane/worker_state.h"

namespace portcullis::stages {

struct Deliver {
  static constexpr std::string_view name = "deliver";
  // The word of TTL and protocol less 0x0100: the difference does not depend on either (RFC 1141).
  static constexpr ChecksumDelta ttl_less_one =
      ChecksumDelta().replace(Be16::from_host(0x0100), Be16::from_host(0));

  template <typename Group>
  static void run(Burst& burst, const Tables& tables, WorkerState&) noexcept {
    for_each_packet(burst.live, [&](uint32_t i) {
      uint8_t* const frame = frame_of(burst.mbuf[i]);
      const MacWord source(tables.ports.ports[burst.out_port[i]].mac);
      const uint64_t first = burst.next_hop_mac[i].before(source);
      const uint32_t rest = source.rest();
      std::memcpy(frame, &first, sizeof first);
      std::memcpy(frame + sizeof first, &rest, sizeof rest);
      uint8_t* const ip = frame + l3_offset;
      const auto ttl = static_cast<uint8_t>(burst.ip[i].ttl - 1);
      if ((burst.ipv6 >> i & 1) != 0) {
        ip[offsetof(Ipv6Header, hop_limit)] = ttl;
      } else {
        ip[offsetof(Ipv4Header, ttl)] = ttl;
        apply_to_field(ip + offsetof(Ipv4Header, checksum), ttl_less_one);
      }
      const uint32_t length = l3_offset + burst.total_length[i];
      if (burst.mbuf[i]->pkt_len > length) [[unlikely]]
        // Fails only when the last of several buffers is all padding; the padding then goes along.
        static_cast<void>(
            rte_pktmbuf_trim(burst.mbuf[i], static_cast<uint16_t>(burst.mbuf[i]->pkt_len - length)));
    });
  }
};

}  // namespace portcullis::stages
