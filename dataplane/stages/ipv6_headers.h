// The chain of extension headers between the IPv6 header and what it carries (RFC 8200, 4), walked once and
// within bounds. AH and ESP are taken for what is carried: by address, as in IPv4.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "src/net/cursor.h"
#include "src/net/headers.h"

namespace portcullis::stages {

struct HeaderChain {
  enum class End : uint8_t {
    upper_layer,
    later_fragment,  // what is carried lies in the first one
    cut_short,       // the packet ends before the chain does
    not_contiguous,  // the chain goes on in another buffer
    malformed,       // too long, or hop-by-hop options that are not the first
    source_route,    // the packet has not come to the last of its routing header's addresses
  };
  static constexpr uint32_t most_headers = 8;

  End end = End::upper_layer;
  uint8_t protocol = 0;
  uint16_t at = 0;           // of what is carried, from the IPv6 header on
  uint16_t fragment_at = 0;  // of the fragment header; 0 also for that of a whole packet (RFC 6946)

  // `length`: bytes of the packet, at least those of its header; `present`: those that lie in one buffer.
  static HeaderChain walk(const uint8_t* ip, uint32_t length, uint32_t present) {
    HeaderChain chain;
    uint32_t at = sizeof(Ipv6Header);
    const auto ends = [&](End end) {
      chain.at = static_cast<uint16_t>(at);
      chain.end = end;
      return chain;
    };
    chain.protocol = HeaderView<Ipv6Header>(ip).load<uint8_t>(offsetof(Ipv6Header, next_header));
    bool has_fragment_header = false;
    for (uint32_t n = 0;; ++n) {
      if (!is_extension(chain.protocol)) return ends(at > present ? End::not_contiguous : End::upper_layer);
      if (n == most_headers || (chain.protocol == ipv6_extension::hop_by_hop && n != 0))
        return ends(End::malformed);
      if (at + least > length) return ends(End::cut_short);
      if (at + least > present) return ends(End::not_contiguous);
      const uint8_t* const header = ip + at;
      uint32_t size = least;
      if (chain.protocol == ipv6_extension::fragment) {
        if (has_fragment_header) return ends(End::malformed);
        has_fragment_header = true;
        const uint32_t field = uint32_t{header[2]} << 8 | header[3];
        if ((field & (offset_bits | more_fragments)) != 0) chain.fragment_at = static_cast<uint16_t>(at);
        if ((field & offset_bits) != 0) {
          at += size;
          return ends(End::later_fragment);
        }
      } else {
        size += uint32_t{header[1]} * least;
        if (chain.protocol == ipv6_extension::routing && header[3] != 0) return ends(End::source_route);
      }
      if (at + size > length) return ends(End::cut_short);
      chain.protocol = header[0];
      at += size;
    }
  }

  static constexpr uint32_t offset_bits = 0xfff8;
  static constexpr uint32_t more_fragments = 1;

 private:
  static constexpr uint32_t least = 8;
  static constexpr bool is_extension(uint8_t protocol) {
    return protocol == ipv6_extension::hop_by_hop || protocol == ipv6_extension::routing ||
           protocol == ipv6_extension::fragment || protocol == ipv6_extension::destination_options;
  }
};

}  // namespace portcullis::stages
