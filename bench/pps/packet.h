// One packet of the generator: what is sent, and what the gateway must make of it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "dataplane/drop.h"
#include "src/net/headers.h"

namespace portcullis::bench {

inline constexpr uint16_t smallest_frame = 60;       // 64 with FCS
inline constexpr uint16_t smallest_ipv6_frame = 74;  // headers alone
inline constexpr uint16_t largest_frame = 1514;

// in: external -> EIP, by the uplink. out: EIP -> external, by the endpoint port.
enum class Way : uint8_t { in, out };

// Whose frames they are. The gateway's ports are told theirs, whatever the devices say.
struct Macs {
  Mac uplink, endpoint_port, client, vm;
};
inline constexpr Macs macs{.uplink = {{0x02, 0, 0, 0, 1, 0}},
                           .endpoint_port = {{0x02, 0, 0, 0, 1, 1}},
                           .client = {{0x02, 0, 0, 0, 0, 1}},
                           .vm = {{0x02, 0, 0, 0, 0, 2}}};

// TCP between an EIP (`local`) and the outside (`remote`). Its payload is all zeroes. Over IPv6 each address
// stands for one of that family (ipv6_eip, ipv6_dip, ipv6_remote).
struct Packet {
  Ipv4Addr eip, dip, remote;
  uint16_t local_port = 0, remote_port = 0;
  uint16_t length = smallest_frame;  // of the frame
  uint8_t flags = tcp_flag::ack;
  Way way = Way::in;
  bool ipv6 = false;
  bool may_be_refused = false;  // for want of room in the flow table
  std::optional<Drop> drop;     // why the gateway must drop it; absent: it must come out
  uint32_t number = 0;  // travels as the TCP sequence number, so that what comes out can be told apart
};

// 2001:db8:64::/108, of the EIPs' pool; fd00::/96; 2600::/96.
inline constexpr Ipv6Prefix ipv6_pool{Ipv6Addr::of(0x20010db800640000, 0), 108};
inline constexpr uint32_t ipv6_pool_eips = 1u << 20;
[[nodiscard]] Ipv6Addr ipv6_eip(Ipv4Addr eip);
[[nodiscard]] Ipv6Addr ipv6_dip(Ipv4Addr dip);
[[nodiscard]] Ipv6Addr ipv6_remote(Ipv4Addr remote);

// The packet as it is sent. Writes headers only: the payload lies there as zeroes.
void write_frame(const Packet& packet, uint8_t* frame);
// The frame that must come out, computed from the packet and not from what was sent. `frame` is as long as
// it.
void write_expected(const Packet& packet, std::span<uint8_t> frame);
// Packet::number of a frame that came out.
[[nodiscard]] uint32_t number_of(const uint8_t* frame);

}  // namespace portcullis::bench
