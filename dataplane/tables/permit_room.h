// How much room a permit list takes: what the model reserves when it validates a list, and what the permit
// table never exceeds when it stores it. Numbers only, so that both can ask.
//
//   up to 4 rules       inline, in the binding record
//   up to 20            these and one chunk of 16 in their order
//   more                headers of 16 families of shapes, and search trees (permit_tree.h)
//
// An IPv6 list of up to 36 rules takes chunks of 8 beyond the first four (permit6.h); a longer one takes what
// an IPv4 list does, and the nodes of its cuts (permit_interval.h).
//
// A shape is all of a rule but the place of its remote: direction, protocol, ports, and whether it names a
// tag. Shapes that differ by ports only, which do not overlap, are a family: of them at most one matches a
// packet.
#pragma once

#include <algorithm>
#include <compare>
#include <cstdint>
#include <set>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

#include "src/net/address.h"

namespace portcullis {

inline constexpr uint32_t no_permit_chunk = UINT32_MAX;
inline constexpr uint32_t inline_permit_rules = 4;
inline constexpr uint32_t permit_chunk_rules =
    16;  // that lie in a chunk, and hit counters that belong to one
inline constexpr uint32_t plain_permit_rules = inline_permit_rules + permit_chunk_rules;
inline constexpr uint32_t ipv6_chunk_rules = 8;  // the same of an IPv6 list that is searched in its order
inline constexpr uint32_t plain_ipv6_permit_rules = inline_permit_rules + 4 * ipv6_chunk_rules;
inline constexpr uint32_t permit_header_families = 16;
inline constexpr uint32_t max_permit_families = 1024;    // of one list: they are compared 16 at a time
inline constexpr uint32_t max_permit_rules = 1'000'000;  // of one list

inline constexpr uint32_t permit_node_keys = 32;  // a node is a chunk, or a slice of one: 4, 8 or 16 keys
inline constexpr uint32_t permit_slice_keys = 4;
inline constexpr uint32_t permit_interval_cuts = 12;  // of a node of the tree from an IPv6 address

// The keys that a node of `entries` takes: its slice, or whole chunks.
constexpr uint64_t permit_slice_for(uint64_t entries) {
  uint64_t slice = permit_slice_keys;
  while (slice < entries) slice *= 2;
  return slice;
}

// The keys that a whole tree of `entries` boundaries takes: full nodes, the slice that is left
// over, and so on up to the root. Rises with `entries`.
constexpr uint64_t permit_tree_keys(uint64_t entries) {
  uint64_t keys = 0;
  do {
    const uint64_t full = entries / permit_node_keys;
    const uint64_t rest = entries % permit_node_keys;
    keys += full * permit_node_keys + (rest == 0 ? 0 : permit_slice_for(rest));
    entries = full + (rest == 0 ? 0 : 1);
  } while (entries > 1);
  return keys;
}

// The chunks of the tree over so many cuts: a node of its upper levels has one more below it than cuts.
constexpr uint64_t permit_interval_chunks(uint64_t cuts) {
  uint64_t nodes = (cuts + permit_interval_cuts - 1) / permit_interval_cuts;
  uint64_t chunks = nodes;
  while (nodes > 1) {
    nodes = (nodes + permit_interval_cuts) / (permit_interval_cuts + 1);
    chunks += nodes;
  }
  return chunks;
}

struct PermitShape {
  // Of `key`: the protocol, and:
  static constexpr uint16_t outbound = 1u << 8;
  static constexpr uint16_t any_protocol = 1u << 9;  // with protocol 0
  static constexpr uint16_t tag = 1u << 10;
  static constexpr uint16_t used = 1u << 15;  // zero is no shape

  uint16_t key = 0;
  PortRange local_ports;
  PortRange remote_ports;

  // The ports by which the members of a family differ: those of whoever is asked for a service.
  [[nodiscard]] constexpr PortRange& ports() { return (key & outbound) != 0 ? remote_ports : local_ports; }
  [[nodiscard]] constexpr PortRange ports() const {
    return (key & outbound) != 0 ? remote_ports : local_ports;
  }
  friend constexpr auto operator<=>(const PermitShape&, const PermitShape&) = default;
};

struct PermitFamily {
  PermitShape hull;               // of the ports by which its members differ: all that they cover
  std::vector<uint32_t> members;  // of the shapes, ascending by those ports

  // Boundaries of the tree that leads from a port to the member that has it. One member needs none.
  [[nodiscard]] uint64_t boundaries(std::span<const PermitShape> shapes) const {
    uint64_t count = 0;
    for (size_t m = 0; members.size() > 1 && m < members.size(); ++m) {
      const uint32_t end = uint32_t{shapes[members[m]].ports().last} + 1;
      const bool touches_next = m + 1 < members.size() && shapes[members[m + 1]].ports().first == end;
      count += touches_next ? 1 : 2;
    }
    return count;
  }
};

// Each shape by itself if one header has room for all: that is one step less. Else as few families as
// possible: in the order of their first ports, each shape joins one that has ended.
inline std::vector<PermitFamily> permit_families_of(std::span<const PermitShape> shapes) {
  const auto without_ports = [&](uint32_t s) {
    PermitShape shape = shapes[s];
    shape.ports() = {};
    return shape;
  };
  std::vector<uint32_t> order;
  for (uint32_t s = 0; s < shapes.size(); ++s) order.push_back(s);
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    const auto by_group = without_ports(a) <=> without_ports(b);
    return by_group != 0 ? by_group < 0 : shapes[a].ports() < shapes[b].ports();
  });
  std::vector<PermitFamily> families;
  const bool may_join = shapes.size() > permit_header_families;
  std::set<std::pair<uint16_t, size_t>> ended;  // (last port, family) of this group, the first to end first
  for (size_t i = 0; i < order.size(); ++i) {
    if (i == 0 || without_ports(order[i]) != without_ports(order[i - 1])) ended.clear();
    const PortRange ports = shapes[order[i]].ports();
    size_t family = families.size();
    if (may_join && !ended.empty() && ended.begin()->first < ports.first) {
      family = ended.begin()->second;
      ended.erase(ended.begin());
      families[family].hull.ports().last = ports.last;
    } else {
      families.push_back({shapes[order[i]], {}});
    }
    families[family].members.push_back(order[i]);
    ended.emplace(ports.last, family);
  }
  return families;
}

// What a list of `rules` compiled rules with these families takes, whose shapes have trees of so many
// boundaries, and that cuts the IPv6 addresses at so many. A prefix or a tag begins and ends: two; `any`
// begins.
inline uint64_t permit_chunks_for(uint64_t rules, std::span<const PermitFamily> families,
                                  std::span<const PermitShape> shapes, std::span<const uint64_t> boundaries,
                                  uint64_t cuts) {
  if (rules <= inline_permit_rules) return 0;
  // Every rule beyond the inline ones has a hit counter, too, of which each chunk brings some.
  const uint64_t by_counters = (rules - inline_permit_rules + permit_chunk_rules - 1) / permit_chunk_rules;
  if (rules <= plain_permit_rules) return by_counters;
  uint64_t keys = 0;
  for (const uint64_t count : boundaries) keys += permit_tree_keys(count);
  bool has_gaps = false;
  for (const PermitFamily& family : families) {
    if (family.members.size() == 1) continue;
    keys += permit_tree_keys(family.boundaries(shapes));
    has_gaps = true;
  }
  if (has_gaps) keys += permit_slice_keys;  // where no member has the port
  const uint64_t headers = (families.size() + permit_header_families - 1) / permit_header_families;
  return std::max(by_counters,
                  headers + (keys + permit_node_keys - 1) / permit_node_keys + permit_interval_chunks(cuts));
}

// What an IPv6 list of up to plain_ipv6_permit_rules takes.
constexpr uint64_t plain_ipv6_permit_chunks(uint64_t rules) {
  return rules <= inline_permit_rules
             ? 0
             : (rules - inline_permit_rules + ipv6_chunk_rules - 1) / ipv6_chunk_rules;
}

// The most chunks that any list of so many rules takes. In 32nds of a chunk: 4 r for a shape of r rules, and
// for a family of m shapes, with its place in a header, 4 m; the tests try all r and m. What is rounded up,
// and the one slice of a list that has no rule, is in the 3.
constexpr uint64_t most_ipv4_permit_chunks(uint64_t rules) {
  if (rules <= plain_permit_rules) return rules <= inline_permit_rules ? 0 : 1;
  return rules / 4 + 3;
}

// The same of either family: an IPv6 list is cut where a prefix begins, and behind its end.
constexpr uint64_t most_permit_chunks(uint64_t rules) {
  if (rules <= plain_ipv6_permit_rules)
    return std::max(plain_ipv6_permit_chunks(rules), most_ipv4_permit_chunks(rules));
  return most_ipv4_permit_chunks(rules) + permit_interval_chunks(2 * rules);
}

// So many rules find room in `chunks`, whatever their shapes.
constexpr uint64_t permit_rules_within(uint64_t chunks) {
  const uint64_t plain =
      std::min<uint64_t>(inline_permit_rules + chunks * ipv6_chunk_rules, plain_permit_rules);
  // 31/72 of a chunk each: a quarter, and 1/6 + 1/78 + ... = 13/72 for two cuts. What is rounded up on each
  // level is in the 12.
  constexpr uint64_t rounded_up = 12;
  return std::max((std::max(chunks, rounded_up) - rounded_up) * 72 / 31, plain);
}

}  // namespace portcullis
