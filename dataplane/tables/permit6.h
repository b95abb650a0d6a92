// Permit rules of IPv6 endpoints. What an IPv4 rule says in one line (permit_quad.h), and of its remote the
// first 32 bits, lies there too; the other 96 bits and the length of the prefix lie in a line beside it and
// are read for those rules alone that match so far. So both families are compared by the same code.
//
// Lists of up to plain_ipv6_permit_rules are searched in their order: four rules inline, then chunks of
// eight. Longer ones are searched as IPv4's are, by the intervals of their addresses (permit_interval.h).
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <span>

#include "dataplane/tables/permit_quad.h"
#include "dataplane/tables/permit_room.h"
#include "dataplane/tables/permit_rule.h"

namespace portcullis {

// A rule of a list, as control compiles it.
struct PermitRule6 {
  PermitRule match;  // its remote is of meaning only if it names a tag
  Ipv6Prefix remote;
};

struct PermitQuery6 : PermitQuery {
  Ipv6Addr whole;  // PermitQuery::remote is its first 32 bits

  static PermitQuery6 of(Direction direction, uint8_t protocol, uint16_t local_port, uint16_t remote_port,
                         const Ipv6Addr& remote, TagSetId remote_tags) {
    return {{.direction = direction,
             .protocol = protocol,
             .local_port = local_port,
             .remote_port = remote_port,
             .remote = first_word(remote),
             .remote_tags = remote_tags},
            remote};
  }
  static constexpr Ipv4Addr first_word(const Ipv6Addr& address) {
    return Ipv4Addr::from_host(static_cast<uint32_t>(address.high() >> 32));
  }
};

constexpr const PermitRule& match_of(const PermitRule6& rule) {
  return rule.match;
}

// The definition.
[[nodiscard]] inline bool matches(const PermitRule6& rule, const PermitQuery6& query,
                                  const TagSetTable& tags) {
  PermitRule but_remote = rule.match;
  if (!but_remote.names_tag()) but_remote.remote = but_remote.prefix_length = 0;
  return matches(but_remote, query, tags) && (rule.match.names_tag() || rule.remote.contains(query.whole));
}

// The rule as PermitQuad holds it.
constexpr PermitRule quad_rule_of(const PermitRule6& rule) {
  PermitRule made = rule.match;
  if (made.names_tag()) return made;
  made.remote = PermitQuery6::first_word(rule.remote.address()).host();
  made.prefix_length = rule.remote.length() < 32 ? rule.remote.length() : uint8_t{32};
  return made;
}

// Of four rules: their remotes from the 33rd bit on, host order.
struct alignas(64) PermitRests {
  std::array<uint64_t, PermitQuad::lanes> low{};
  std::array<uint32_t, PermitQuad::lanes> second{};
  std::array<uint8_t, PermitQuad::lanes> length{};  // from 32 on; of a tag 32
  uint32_t next = no_permit_chunk;                  // in a chunk: the one that goes on

  // Whether a rule has something here: its prefix is longer than what lies in its quad.
  [[nodiscard]] static constexpr bool has(const PermitRule6& rule) {
    return !rule.match.names_tag() && rule.remote.length() > 32;
  }
  constexpr void put(uint32_t lane, const PermitRule6& rule) {
    const bool is_long = has(rule);
    length[lane] = is_long ? rule.remote.length() : uint8_t{32};
    second[lane] = is_long ? static_cast<uint32_t>(rule.remote.address().high()) : 0;
    low[lane] = is_long ? rule.remote.address().low() : 0;
  }
  // Whether the remote of a rule covers an address whose first 32 bits it covers.
  [[nodiscard]] constexpr bool covers(uint32_t lane, const Ipv6Addr& address) const {
    const uint32_t bits = length[lane];
    const uint64_t upper = second[lane] ^ (address.high() & UINT32_MAX);
    if (bits <= 64) return upper >> (64 - bits) == 0;
    return upper == 0 && (low[lane] ^ address.low()) >> (128 - bits) == 0;
  }
};
static_assert(sizeof(PermitRests) == 64);

// Eight rules of a longer list.
struct PermitPlain6 {
  std::array<PermitQuad, ipv6_chunk_rules / PermitQuad::lanes> quads;
  std::array<PermitRests, ipv6_chunk_rules / PermitQuad::lanes> rests;
};
static_assert(sizeof(PermitPlain6) == 256);

// At most four rules, the first ones of `rules`.
inline void put_rules(std::span<const PermitRule6> rules, PermitQuad& quad, PermitRests& rests) {
  std::array<PermitRule, PermitQuad::lanes> made;
  const auto count = static_cast<uint32_t>(rules.size() < made.size() ? rules.size() : made.size());
  for (uint32_t lane = 0; lane < count; ++lane) {
    made[lane] = quad_rule_of(rules[lane]);
    rests.put(lane, rules[lane]);
  }
  quad = PermitQuad(std::span(made).first(count));
}

// Which lanes match, as bits 0..3. The rests are read only of those rules that may have some.
template <typename Group>
inline uint32_t matching_lanes(const PermitQuad& quad, const PermitRests& rests, const PermitQuery6& query,
                               const TagSetTable& tags) {
  uint32_t found = matching_lanes<Group>(quad, query, tags);
  for (uint32_t left = found; left != 0; left &= left - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(left));
    if (quad.compares_whole_remote(lane) && !rests.covers(lane, query.whole)) found &= ~(1u << lane);
  }
  return found;
}

}  // namespace portcullis
