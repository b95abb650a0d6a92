// What semantics.md and the RFCs say of IPv6 frames where no endpoint has an IPv6 address: all end here, by
// name, but questions for the next hop of an endpoint port.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "src/net/address.h"

namespace portcullis::reference {

struct Ipv6Frame {
  std::vector<uint8_t> bytes;  // an Ethernet frame of IPv6
  uint32_t first_segment = 0;  // 0: all lies in one buffer
  bool from_uplink = false;
  Mac port;
};

struct Ipv6Fate {
  std::optional<std::string> reason;  // dropped: why
  std::vector<uint8_t> answer;        // else: what is answered
};

[[nodiscard]] Ipv6Fate fate_of(const Ipv6Frame& frame);

}  // namespace portcullis::reference
