// Who speaks to whom in a frame, as far as its bytes go: for filters of captures and for the log of denied
// packets, where a frame may be of any form. The pipeline has its own parse, which decides.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "src/net/address.h"

namespace portcullis {

struct FrameSummary {
  Mac source_mac;
  Mac destination_mac;
  // Of ARP the sender's and the target's.
  std::optional<IpAddr> source;
  std::optional<IpAddr> destination;
  std::optional<uint8_t> protocol;  // of IP, behind extension headers
  struct Ports {
    uint16_t source = 0;
    uint16_t destination = 0;
  };
  std::optional<Ports> ports;  // TCP, UDP, SCTP
  struct Icmp {
    uint8_t type = 0;
    uint8_t code = 0;
  };
  std::optional<Icmp> icmp;
  size_t inner_frame = 0;  // where that of VXLAN or Geneve begins, by their UDP ports; 0: there is none
};

// Nothing of a frame that is too short for an Ethernet header.
[[nodiscard]] std::optional<FrameSummary> summary_of(std::span<const uint8_t> frame);

}  // namespace portcullis
