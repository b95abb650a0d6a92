// A public five-tuple as one *side* sees it: local is the endpoint's own EIP, remote the other end, whichever
// way the packet goes. For ICMP queries and their replies both ports hold the identifier.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <type_traits>

#include "src/net/address.h"

namespace portcullis {

struct SideTuple {
  Ipv4Addr local;
  Ipv4Addr remote;
  Port local_port;
  Port remote_port;
  uint8_t protocol = 0;    // IANA number
  uint8_t icmp_query = 0;  // type of the query (8 or 13) that opened or would open it; 0 if not ICMP
  uint8_t zero[2] = {};    // named so that a key has no padding
  // Written by two words, not by fields: what is read again at once as words is then not put together in the
  // store buffer.
  static constexpr SideTuple of(Ipv4Addr local, Ipv4Addr remote, Port local_port, Port remote_port,
                                uint8_t protocol, uint8_t icmp_query) {
    static_assert(std::endian::native == std::endian::little);
    return std::bit_cast<SideTuple>(std::array<uint64_t, 2>{
        local.wire() | uint64_t{remote.wire()} << 32, local_port.wire() | uint64_t{remote_port.wire()} << 16 |
                                                          uint64_t{protocol} << 32 |
                                                          uint64_t{icmp_query} << 40});
  }
  // By two words, not by fields.
  friend constexpr bool operator==(const SideTuple& a, const SideTuple& b) {
    using Words = std::array<uint64_t, 2>;
    const auto x = std::bit_cast<Words>(a);
    const auto y = std::bit_cast<Words>(b);
    return ((x[0] ^ y[0]) | (x[1] ^ y[1])) == 0;
  }
};
static_assert(sizeof(SideTuple) == 16);
static_assert(std::has_unique_object_representations_v<SideTuple>);

// The same of IPv6. The side is named by its binding, which has one EIP for life: so the entry of a flow
// fits into a cache line.
struct SideTuple6 {
  Ipv6Addr remote;
  uint32_t local = 0;  // binding id
  Port local_port;
  Port remote_port;
  uint8_t protocol = 0;    // IANA number
  uint8_t icmp_query = 0;  // 128 for ICMPv6, else 0
  uint8_t zero[6] = {};
  static constexpr SideTuple6 of(uint32_t local, const Ipv6Addr& remote, Port local_port, Port remote_port,
                                 uint8_t protocol, uint8_t icmp_query) {
    return std::bit_cast<SideTuple6>(std::array<uint64_t, 4>{
        remote.wire_high(), remote.wire_low(),
        local | uint64_t{local_port.wire()} << 32 | uint64_t{remote_port.wire()} << 48,
        protocol | uint64_t{icmp_query} << 8});
  }
  friend constexpr bool operator==(const SideTuple6& a, const SideTuple6& b) {
    using Words = std::array<uint64_t, 4>;
    const auto x = std::bit_cast<Words>(a);
    const auto y = std::bit_cast<Words>(b);
    return ((x[0] ^ y[0]) | (x[1] ^ y[1]) | (x[2] ^ y[2]) | (x[3] ^ y[3])) == 0;
  }
};
static_assert(sizeof(SideTuple6) == 32);
static_assert(std::has_unique_object_representations_v<SideTuple6>);

}  // namespace portcullis
