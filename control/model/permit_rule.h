// One rule of a permit list, as it is given and shown.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "src/net/address.h"

namespace portcullis::model {

enum class Direction : uint8_t { inbound, outbound };

struct AnyRemote {
  friend auto operator<=>(const AnyRemote&, const AnyRemote&) = default;
};
using Remote =
    std::variant<AnyRemote, std::vector<IpPrefix>, std::vector<std::string>>;  // any, prefixes, tags

// Canonical form, in which lists are kept and compared: rules by name, prefixes and tags ascending, none
// twice.
struct PermitRule {
  std::string name;  // unique in its list
  Direction direction = Direction::inbound;
  Remote remote;
  std::optional<uint8_t> protocol;   // IANA number; any if absent (then no ports, no ICMP type)
  PortRange local_ports;             // TCP, UDP and SCTP only
  PortRange remote_ports;            // TCP, UDP and SCTP only
  std::optional<uint8_t> icmp_type;  // ICMP and ICMPv6 only
  std::optional<uint8_t> icmp_code;  // only with a type
  bool tracked = false;              // inbound only
  friend bool operator==(const PermitRule&, const PermitRule&) = default;
};

// Prefixes or tags; none for `any`.
[[nodiscard]] inline size_t ranges_of(const PermitRule& rule) {
  if (const auto* prefixes = std::get_if<std::vector<IpPrefix>>(&rule.remote)) return prefixes->size();
  if (const auto* tags = std::get_if<std::vector<std::string>>(&rule.remote)) return tags->size();
  return 0;
}

}  // namespace portcullis::model
