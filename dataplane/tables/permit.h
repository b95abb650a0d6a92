// Compiled permit rules (semantics: "Default-off, exactly", 2). Four lie inline in the binding record,
// further ones in chunks from a pool of fixed size (permit_room.h says how many), so that room reserved at
// validation is always usable. Written by control before publication, immutable after; read by workers.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/tables/memory.h"
#include "dataplane/tables/permit_chunk.h"
#include "dataplane/tables/permit_interval.h"
#include "dataplane/tables/permit_quad.h"
#include "dataplane/tables/permit_rule.h"
#include "dataplane/tables/permit_tree.h"
#include "src/base/expected.h"

namespace portcullis {

// Where the rules of a list beyond the inline ones lie.
struct PermitPlace {
  uint32_t first = no_permit_chunk;           // the plain chunk, or the first header of shapes
  std::vector<uint32_t> chunks;               // all that it took, ascending
  uint32_t chunk_rules = permit_chunk_rules;  // that lie in each, or count their hits there

  // The chunk counter of rule `i`, which is not inline: WorkerCounters::chunk_hits.
  [[nodiscard]] uint32_t chunk_hit(uint32_t i) const {
    const uint32_t beyond = i - inline_permit_rules;
    return chunks[beyond / chunk_rules] * permit_chunk_rules + beyond % chunk_rules;
  }
};

// The pool of chunks. Thread: readers any; store and free by control, free only after a grace period.
class PermitTable {
 public:
  [[nodiscard]] static Expected<PermitTable> create(uint32_t chunk_capacity, int numa_node);

  // --- any thread ---
  [[nodiscard]] const PermitChunk& chunk(uint32_t index) const { return chunks_[index]; }
  void prefetch(uint32_t index) const {
    constexpr size_t line = 64;
    for (size_t offset = 0; offset < sizeof(PermitChunk); offset += line)
      prefetch_line(reinterpret_cast<const uint8_t*>(&chunks_[index]) + offset);
  }
  // Which of the first `rules` rules of a plain chunk match, as bits.
  template <typename Group>
  [[nodiscard]] uint32_t matching_in_plain(uint32_t index, uint32_t rules, const PermitQuery& query,
                                           const TagSetTable& tags) const;
  // The first rule that matches of those of a plain IPv6 list beyond the inline ones, `rules` of them. Its
  // number is that of the chunk hit.
  template <typename Group>
  [[nodiscard]] PermitVerdict find_in_plain6(uint32_t first, uint32_t rules, const PermitQuery6& query,
                                             const TagSetTable& tags) const;
  // The first rule that matches of a list whose first header is chunk `first`.
  template <typename Group>
  [[nodiscard]] PermitVerdict find_in_families(uint32_t first, const PermitQuery& query,
                                               const TagSetTable& tags) const {
    return find_by_key<Group>(first, query, query.remote.host(), tags);
  }
  template <typename Group>
  [[nodiscard]] PermitVerdict find_in_families(uint32_t first, const PermitQuery6& query,
                                               const TagSetTable& tags) const {
    const PermitInterval interval = interval_of<Group>(first, query.whole);
    // Most senders of a flood are where no rule is; a remote with tags may be named by them.
    if (!interval.is_covered() && query.remote_tags == empty_tag_set) return {};
    return find_by_key<Group>(first, query, interval.number(), tags);
  }

  // --- control only ---
  // Stores a whole list, whose first rules the record holds inline. resource_exhausted when too few chunks
  // are free, or the list has more than max_permit_families families; then nothing is taken.
  [[nodiscard]] Expected<PermitPlace> store(std::span<const PermitRule> rules);
  [[nodiscard]] Expected<PermitPlace> store(std::span<const PermitRule6> rules);
  void free(const PermitPlace& place);
  [[nodiscard]] uint32_t capacity() const { return chunks_.size(); }
  [[nodiscard]] uint32_t free_chunks() const { return free_.size(); }

 private:
  // The first rule of the list that matches, of whose trees `remote` is the key.
  template <typename Group>
  [[nodiscard]] PermitVerdict find_by_key(uint32_t first, const PermitQuery& query, uint32_t remote,
                                          const TagSetTable& tags) const;
  // The interval, of the list whose first header is chunk `first`, that has the address.
  template <typename Group>
  [[nodiscard]] PermitInterval interval_of(uint32_t first, const Ipv6Addr& address) const;
  // What a tree says of `key`: of a remote, a tag, or a port. Before the first boundary, that no rule does.
  template <typename Group>
  [[nodiscard]] uint32_t find_in_tree(PermitNodeRef root, uint32_t key) const;
  // The root of the shape of family `f` that has the query's port; of an empty tree if none has.
  template <typename Group>
  [[nodiscard]] PermitNodeRef find_shape(const PermitHeader& header, uint32_t f,
                                         const PermitQuery& query) const;

  // A list that is too long to be plain.
  template <typename Rule>
  [[nodiscard]] Expected<PermitPlace> store_families(std::span<const Rule> rules);
  [[nodiscard]] Expected<PermitPlace> take_chunks(uint64_t needed);

  TableArray<PermitChunk> chunks_;
  IndexPool free_;
};

template <typename Group>
inline PermitVerdict PermitTable::find_in_plain6(uint32_t first, uint32_t rules, const PermitQuery6& query,
                                                 const TagSetTable& tags) const {
  uint32_t index = first;
  for (uint32_t rule = 0; rule < rules; rule += PermitQuad::lanes) {
    const uint32_t in_chunk = rule % ipv6_chunk_rules;
    const PermitPlain6& plain = chunks_[index].plain6;
    const uint32_t quad = in_chunk / PermitQuad::lanes;
    const uint32_t found = matching_lanes<Group>(plain.quads[quad], plain.rests[quad], query, tags);
    if (found != 0) {
      const auto lane = static_cast<uint32_t>(std::countr_zero(found));
      return {PermitVerdict::hit_in_chunk(index, in_chunk + lane), plain.quads[quad].is_tracked(lane)};
    }
    if (quad == 1) index = plain.rests[0].next;
  }
  return {};
}

template <typename Group>
inline uint32_t PermitTable::matching_in_plain(uint32_t index, uint32_t rules, const PermitQuery& query,
                                               const TagSetTable& tags) const {
  const PermitPlain& plain = chunks_[index].plain;
  uint32_t found = 0;
  for (uint32_t rule = 0; rule < rules; rule += PermitQuad::lanes)
    found |= matching_lanes<Group>(plain.quads[rule / PermitQuad::lanes], query, tags) << rule;
  return found;
}

template <typename Group>
inline uint32_t PermitTable::find_in_tree(PermitNodeRef ref, uint32_t key) const {
  for (;;) {
    const PermitNode& node = chunks_[ref.chunk()].node;
    __builtin_prefetch(&node.value[0]);  // one of them is read once the keys are compared
    __builtin_prefetch(&node.value[permit_node_keys / 2]);
    const uint32_t up_to = keys_up_to(Group{}, node, key) & ref.keys();
    const uint32_t last = static_cast<uint32_t>(std::bit_width(up_to)) - 1;
    const uint32_t value = node.value[last % permit_node_keys];
    // No branch: whether a remote is covered cannot be predicted. All ones is no rule.
    if (ref.is_leaf()) return value | (0 - uint32_t{up_to == 0});
    ref = PermitNodeRef(value);
  }
}

template <typename Group>
inline PermitNodeRef PermitTable::find_shape(const PermitHeader& header, uint32_t f,
                                             const PermitQuery& query) const {
  if ((header.by_port >> f & 1) == 0) return PermitNodeRef(header.root[f]);
  const uint16_t port = query.direction == Direction::outbound ? query.remote_port : query.local_port;
  return PermitNodeRef(find_in_tree<Group>(PermitNodeRef(header.root[f]), port));
}

template <typename Group>
inline PermitInterval PermitTable::interval_of(uint32_t first, const Ipv6Addr& address) const {
  const PermitHeader& header = chunks_[first].header;
  uint32_t found = header.intervals;
  for (uint32_t level = header.interval_levels; level != 0; --level) {
    const PermitIntervalNode& node = chunks_[found].interval;
    __builtin_prefetch(&node.value[0]);  // one of them is read once the cuts are compared
    found = node.value[cuts_up_to(Group{}, node, address)];
  }
  return PermitInterval(found);
}

template <typename Group>
inline PermitVerdict PermitTable::find_by_key(uint32_t first, const PermitQuery& query, uint32_t remote,
                                              const TagSetTable& tags) const {
  uint32_t best = PermitVerdict().raw();
  for (uint32_t index = first; index != no_permit_chunk;) {
    const PermitHeader& header = chunks_[index].header;
    for (uint32_t found = match_families(Group{}, header, query, 0); found != 0; found &= found - 1) {
      const PermitNodeRef root =
          find_shape<Group>(header, static_cast<uint32_t>(std::countr_zero(found)), query);
      best = std::min(best, find_in_tree<Group>(root, remote));
    }
    if (query.remote_tags != empty_tag_set) [[unlikely]]
      for (uint32_t found = match_families(Group{}, header, query, PermitShape::tag); found != 0;
           found &= found - 1) {
        const PermitNodeRef root =
            find_shape<Group>(header, static_cast<uint32_t>(std::countr_zero(found)), query);
        for (const TagId tag : tags.tags_of(query.remote_tags))
          best = std::min(best, find_in_tree<Group>(root, tag));
      }
    index = header.next;
  }
  return PermitVerdict(best);
}

}  // namespace portcullis
