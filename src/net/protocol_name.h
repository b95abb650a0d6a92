// Names of IP protocols in rules, by IANA's registry; what has none here is written as a number.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "src/net/headers.h"

namespace portcullis {

struct ProtocolName {
  std::string_view name;
  uint8_t number;
};

inline constexpr std::array protocol_names{
    ProtocolName{"tcp", ip_protocol::tcp},   ProtocolName{"udp", ip_protocol::udp},
    ProtocolName{"icmp", ip_protocol::icmp}, ProtocolName{"icmpv6", ip_protocol::icmpv6},
    ProtocolName{"sctp", ip_protocol::sctp}, ProtocolName{"gre", ip_protocol::gre},
    ProtocolName{"esp", ip_protocol::esp},   ProtocolName{"ah", ip_protocol::ah}};

// "tcp, udp, …", for messages.
inline std::string listed_protocol_names() {
  std::string list;
  for (const ProtocolName& protocol : protocol_names) {
    if (!list.empty()) list += ", ";
    list += protocol.name;
  }
  return list;
}

}  // namespace portcullis
