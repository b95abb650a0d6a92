// How the frames of an endpoint are told from those of others on its port, and carried on it.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <variant>

#include "src/net/address.h"

namespace portcullis {

// VLAN identifiers, 1 to 4094 (IEEE 802.1Q). With an inner one the frame has two tags: a service tag outside,
// a customer tag inside (802.1ad, "QinQ").
struct VlanTags {
  uint16_t outer = 0;
  uint16_t inner = 0;  // 0: one tag alone
  friend auto operator<=>(const VlanTags&, const VlanTags&) = default;
};

enum class TunnelProtocol : uint8_t {
  vxlan,   // RFC 7348
  geneve,  // RFC 8926, Ethernet payload
};

// Over UDP, between the port's own tunnel address and `remote`.
struct Tunnel {
  TunnelProtocol protocol = TunnelProtocol::vxlan;
  IpAddr remote;
  uint32_t vni = 0;  // 24 bits
  friend auto operator<=>(const Tunnel&, const Tunnel&) = default;
};

// Neither: frames as they are, untagged.
using Encapsulation = std::variant<std::monostate, VlanTags, Tunnel>;

// "untagged", "VLAN 100", "VLAN 100.200", "VXLAN 192.0.2.7 VNI 5000", "Geneve 2001:db8::7 VNI 5000".
[[nodiscard]] std::string to_string(const Encapsulation& encapsulation);

}  // namespace portcullis
