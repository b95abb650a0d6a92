// One compiled permit rule, what one side's list is asked, and what it means for them to match: the
// definition that every faster form (permit_quad.h, permit_tree.h) is tested against.
#pragma once

#include <cstdint>

#include "dataplane/tables/tag.h"
#include "src/net/address.h"

namespace portcullis {

enum class Direction : uint8_t { inbound = 0, outbound = 1 };

// One (rule, remote) pair. A named rule with several prefixes or tags becomes several of these.
struct PermitRule {
  static constexpr uint8_t outbound = 1;      // else inbound
  static constexpr uint8_t tracked = 2;       // inbound only: demands an entry
  static constexpr uint8_t any_protocol = 4;  // `protocol` and ports are not looked at
  static constexpr uint8_t remote_tag = 8;    // `remote` is a TagId, else an address under `prefix_length`

  uint32_t remote = 0;  // IPv4 address in host order, or TagId
  uint8_t prefix_length = 0;
  uint8_t flags = 0;
  uint8_t protocol = 0;  // IANA number
  uint8_t zero = 0;
  PortRange local_ports;   // host order; for ICMP the range of types
  PortRange remote_ports;  // host order; for ICMP the range of codes

  [[nodiscard]] constexpr Direction direction() const {
    return (flags & outbound) != 0 ? Direction::outbound : Direction::inbound;
  }
  [[nodiscard]] constexpr bool is_tracked() const { return (flags & tracked) != 0; }
  [[nodiscard]] constexpr bool is_any_protocol() const { return (flags & any_protocol) != 0; }
  [[nodiscard]] constexpr bool names_tag() const { return (flags & remote_tag) != 0; }
  friend constexpr bool operator==(const PermitRule&, const PermitRule&) = default;
};
static_assert(sizeof(PermitRule) == 16);

// All of a rule of either family but its address.
constexpr const PermitRule& match_of(const PermitRule& rule) {
  return rule;
}

// Which rules a list has at all: what none of them could say yes to need not be asked.
class RuleKinds {
 public:
  constexpr void add(const PermitRule& rule) {
    set(rule.direction() == Direction::outbound ? outbound : rule.is_tracked() ? tracked : untracked);
  }
  constexpr void add_rests() { set(rests); }
  // Of an IPv6 list: what its first rules say is not all in the record (PermitRests).
  [[nodiscard]] constexpr bool needs_rests() const { return (bits_ & rests) != 0; }
  [[nodiscard]] constexpr bool has_inbound() const { return (bits_ & (tracked | untracked)) != 0; }
  [[nodiscard]] constexpr bool has_untracked() const { return (bits_ & untracked) != 0; }
  [[nodiscard]] constexpr bool has_outbound() const { return (bits_ & outbound) != 0; }
  // Whether a packet that the list permits may open a flow entry.
  [[nodiscard]] constexpr bool opens() const { return (bits_ & (outbound | tracked)) != 0; }

 private:
  constexpr void set(uint8_t bit) { bits_ = static_cast<uint8_t>(bits_ | bit); }
  static constexpr uint8_t untracked = 1, tracked = 2, outbound = 4, rests = 8;
  uint8_t bits_ = 0;
};

// Ports in host order; for ICMP `local_port` is the type and `remote_port` the code.
struct PermitQuery {
  Direction direction;
  uint8_t protocol;
  uint16_t local_port;
  uint16_t remote_port;
  Ipv4Addr remote;
  TagSetId remote_tags;  // tags of the remote EIP, empty_tag_set for an external remote
};

[[nodiscard]] inline bool matches(const PermitRule& rule, const PermitQuery& query, const TagSetTable& tags) {
  if (rule.direction() != query.direction) return false;
  if (!rule.is_any_protocol() &&
      (rule.protocol != query.protocol || !rule.local_ports.contains(query.local_port) ||
       !rule.remote_ports.contains(query.remote_port)))
    return false;
  if (rule.names_tag()) return tags.contains(query.remote_tags, rule.remote);
  return ((rule.remote ^ query.remote.host()) & Ipv4Prefix::mask(rule.prefix_length)) == 0;
}

}  // namespace portcullis
