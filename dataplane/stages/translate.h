// One address of an IPv4 packet replaced, with every checksum that covers it (RFC 1624, equation 3). What
// to_public and to_private share.
#pragma once

#include <cstring>

#include "dataplane/burst.h"
#include "src/net/checksum.h"
#include "src/net/headers.h"

namespace portcullis::stages {

inline void apply_to_field(uint8_t* field, ChecksumDelta delta) {
  Be16 checksum;
  std::memcpy(&checksum, field, sizeof checksum);
  checksum = delta.apply(checksum);
  std::memcpy(field, &checksum, sizeof checksum);
}

// `address_offset`: of the address within the IPv4 header. TCP and UDP cover addresses by their
// pseudo-header, ICMP (RFC 792) and SCTP (RFC 9260) do not.
inline void replace_address(const Burst& burst, uint32_t i, size_t address_offset, Ipv4Addr address,
                            ChecksumDelta delta) {
  uint8_t* const ip = frame_of(burst.mbuf[i]) + l3_offset;
  std::memcpy(ip + address_offset, &address, sizeof address);
  apply_to_field(ip + offsetof(Ipv4Header, checksum), delta);
  uint8_t* const l4 = ip + sizeof(Ipv4Header);
  const uint8_t protocol = burst.ip[i].protocol;
  if (protocol == ip_protocol::tcp) {
    apply_to_field(l4 + offsetof(TcpHeader, checksum), delta);
  } else if (protocol == ip_protocol::udp) {
    uint8_t* const field = l4 + offsetof(UdpHeader, checksum);
    Be16 checksum;
    std::memcpy(&checksum, field, sizeof checksum);
    // RFC 768: zero says that there is no checksum, and a sum of zero is sent as all ones.
    constexpr Be16 none = Be16::from_host(0);
    if (checksum == none) return;
    checksum = delta.apply(checksum);
    if (checksum == none) checksum = Be16::from_host(0xffff);
    std::memcpy(field, &checksum, sizeof checksum);
  }
}

}  // namespace portcullis::stages
