// How much room a permit list takes: what the model reserves when it validates a list, and what the permit
// table never exceeds when it stores it. Numbers only, so that both can ask.
//
//   up to 4 rules       inline, in the binding record
//   up to 20            these and one chunk of 16 in their order
//   more                headers of 16 shapes, and a search tree of remotes for each shape (permit_tree.h)
//
// A shape is all of a rule but the place of its remote: direction, protocol, ports, and whether it names a
// tag.
#pragma once

#include <algorithm>
#include <cstdint>

namespace portcullis {

inline constexpr uint32_t inline_permit_rules = 4;
inline constexpr uint32_t permit_chunk_rules =
    16;  // that lie in a chunk, and hit counters that belong to one
inline constexpr uint32_t plain_permit_rules = inline_permit_rules + permit_chunk_rules;
inline constexpr uint32_t permit_header_shapes = 16;
inline constexpr uint32_t max_permit_shapes = 1024;
inline constexpr uint32_t max_permit_rules = 1'000'000;  // of one list

inline constexpr uint32_t permit_node_keys = 32;  // a node is a chunk, or a slice of one: 4, 8 or 16 keys
inline constexpr uint32_t permit_slice_keys = 4;

// The keys that a node of `entries` takes: its slice, or whole chunks.
constexpr uint64_t permit_slice_for(uint64_t entries) {
  uint64_t slice = permit_slice_keys;
  while (slice < entries) slice *= 2;
  return slice;
}

// The keys that the whole tree of a shape with `entries` boundaries takes: full nodes, the slice that is left
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

// Adds up a list of `rules` compiled rules, shape by shape.
class PermitRoom {
 public:
  constexpr explicit PermitRoom(uint64_t rules) : rules_(rules) {}
  // A shape of `ranges` prefixes or tags, and perhaps `any`. A range begins and ends: two boundaries.
  constexpr void add_shape(uint64_t ranges, bool any) { add_tree(2 * ranges + (any ? 1 : 0)); }
  // A shape whose tree has `entries` boundaries.
  constexpr void add_tree(uint64_t entries) {
    ++shapes_;
    keys_ += permit_tree_keys(entries);
  }
  [[nodiscard]] constexpr uint64_t shapes() const { return shapes_; }
  // Every rule beyond the inline ones has a hit counter, too, of which each chunk brings some.
  [[nodiscard]] constexpr uint64_t chunks() const {
    if (rules_ <= inline_permit_rules) return 0;
    const uint64_t by_counters = (rules_ - inline_permit_rules + permit_chunk_rules - 1) / permit_chunk_rules;
    if (rules_ <= plain_permit_rules) return by_counters;
    const uint64_t headers = (shapes_ + permit_header_shapes - 1) / permit_header_shapes;
    return std::max(by_counters, headers + (keys_ + permit_node_keys - 1) / permit_node_keys);
  }

 private:
  uint64_t rules_;
  uint64_t shapes_ = 0;
  uint64_t keys_ = 0;
};

// The most chunks that any list of so many rules takes. In 32nds of a chunk a shape of r rules takes, with
// its place in a header, at most 6 r (r = 1), and at most 2 r and a little and 48 (a slice that is nearly
// half empty on each level); the tests try all r.
constexpr uint64_t most_permit_chunks(uint64_t rules) {
  if (rules <= plain_permit_rules) return rules <= inline_permit_rules ? 0 : 1;
  const uint64_t shapes = std::min<uint64_t>(rules, max_permit_shapes);
  const uint64_t parts = std::min(6 * rules, 2 * rules + rules / 8 + 48 * shapes);
  return parts / permit_node_keys + 2;
}

// So many rules find room in `chunks`, whatever their shapes.
constexpr uint64_t permit_rules_within(uint64_t chunks) {
  return std::max<uint64_t>((std::max<uint64_t>(chunks, 2) - 2) * permit_node_keys / 6, plain_permit_rules);
}

}  // namespace portcullis
