// Who speaks to whom in a frame, as far as its bytes go: for filters of captures, for traces and for the log
// of denied packets, where a frame may be of any form. The pipeline has its own parse, which decides.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "src/net/address.h"
#include "src/net/encapsulation.h"

namespace portcullis {

struct FrameSummary {
  Mac source_mac;
  Mac destination_mac;
  int tag_count = 0;  // of VLANs, two at most
  VlanTags tags;      // their identifiers; 0 is also a priority alone
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
  TunnelProtocol tunnel = TunnelProtocol::vxlan;  // that it is in, and by which number
  uint32_t vni = 0;
};

// Nothing of a frame that is too short for an Ethernet header.
[[nodiscard]] std::optional<FrameSummary> summary_of(std::span<const uint8_t> frame);

// "tcp", or the number if it has no name in rules.
[[nodiscard]] std::string protocol_text(uint8_t number);
// One line for people, "198.51.100.2:40622 > 203.0.113.1:80 tcp"; of a tunnel with that of the frame inside
// in brackets.
[[nodiscard]] std::string headers_of(std::span<const uint8_t> frame);

}  // namespace portcullis
