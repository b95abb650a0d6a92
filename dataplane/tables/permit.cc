#include "dataplane/tables/permit.h"

#include <algorithm>
#include <array>
#include <bit>
#include <memory>
#include <string>
#include <utility>

#include "dataplane/tables/permit_build.h"

namespace portcullis {
namespace {

// Writes the shapes and trees of one list into the chunks that it has taken, one after another.
class Writer {
 public:
  // `rules` for their number and for which are tracked.
  Writer(TableArray<PermitChunk>& chunks, const PermitPlace& place, std::span<const PermitRule> rules)
      : chunks_(chunks), place_(place), rules_(rules) {}

  void write(std::span<const PermitShapeTree> trees) {
    PermitShapes* header = nullptr;
    for (size_t t = 0; t < trees.size(); ++t) {
      const size_t s = t % permit_header_shapes;
      if (s == 0) header = append_header(header);
      const PermitShape& shape = trees[t].shape;
      header->key[s] = shape.key;
      header->local_low[s] = shape.local_ports.first;
      header->local_high[s] = shape.local_ports.last;
      header->remote_low[s] = shape.remote_ports.first;
      header->remote_high[s] = shape.remote_ports.last;
      header->root[s] = write_tree(trees[t].boundaries).raw();
    }
  }

 private:
  struct Entry {
    uint32_t key;
    uint32_t value;
  };

  uint32_t take_chunk() { return place_.chunks[taken_++]; }

  PermitShapes* append_header(PermitShapes* before) {
    const uint32_t index = take_chunk();
    PermitShapes* header = std::construct_at(&chunks_[index].shapes, PermitShapes{});
    header->next = no_permit_chunk;
    if (before != nullptr) before->next = index;
    return header;
  }

  PermitNodeRef write_tree(std::span<const PermitBoundary> boundaries) {
    std::vector<Entry> level;
    level.reserve(boundaries.size());
    for (const PermitBoundary& boundary : boundaries)
      level.push_back({boundary.key, verdict(boundary.rule).raw()});
    for (bool leaf = true;; leaf = false) {
      std::vector<Entry> above;
      for (size_t first = 0; first < level.size(); first += permit_node_keys) {
        const size_t count = std::min<size_t>(level.size() - first, permit_node_keys);
        above.push_back({level[first].key, write_node(std::span(level).subspan(first, count), leaf).raw()});
      }
      if (above.size() == 1) return PermitNodeRef(above.front().value);
      above.front().key = 0;  // whatever is asked, an inner node leads on
      level = std::move(above);
    }
  }

  [[nodiscard]] PermitVerdict verdict(uint32_t rule) const {
    if (rule == PermitBoundary::no_rule) return {};
    const uint32_t hit = rule < inline_permit_rules ? rule : inline_permit_rules + place_.chunk_hit(rule);
    return {hit, rules_[rule].is_tracked()};
  }

  PermitNodeRef write_node(std::span<const Entry> entries, bool leaf) {
    const auto keys = static_cast<uint32_t>(permit_slice_for(entries.size()));
    const PermitNodeRef ref = take_slice(keys, leaf);
    PermitNode& node = chunks_[ref.chunk()].node;
    const auto first = static_cast<uint32_t>(std::countr_zero(ref.keys()));
    for (uint32_t k = 0; k < keys; ++k) {
      const bool filled = k < entries.size();
      node.key[first + k] = filled ? entries[k].key : UINT32_MAX;
      node.value[first + k] = filled ? entries[k].value : entries.back().value;
    }
    return ref;
  }

  // The smallest free slice that holds so many keys, halved while it is too large. So there is never more
  // than one free slice of each size, and together they are less than a chunk: nothing is wasted beyond that.
  PermitNodeRef take_slice(uint32_t keys, bool leaf) {
    uint32_t size = keys;
    while (size < permit_node_keys && free_slice(size) == no_slice) size *= 2;
    Slice slice =
        size < permit_node_keys ? std::exchange(free_slice(size), no_slice) : Slice{take_chunk(), 0};
    if (size == permit_node_keys) std::construct_at(&chunks_[slice.chunk].node, PermitNode{});
    for (; size > keys; size /= 2) free_slice(size / 2) = {slice.chunk, slice.first + size / 2};
    return {slice.chunk, slice.first, keys, leaf};
  }

  struct Slice {
    uint32_t chunk;
    uint32_t first;
    friend bool operator==(const Slice&, const Slice&) = default;
  };
  static constexpr Slice no_slice{no_permit_chunk, 0};
  Slice& free_slice(uint32_t keys) {
    return free_slices_[static_cast<size_t>(std::countr_zero(keys / permit_slice_keys))];
  }

  TableArray<PermitChunk>& chunks_;
  const PermitPlace& place_;
  std::span<const PermitRule> rules_;
  size_t taken_ = 0;
  std::array<Slice, 3> free_slices_{no_slice, no_slice, no_slice};  // of 4, 8 and 16 keys
};

}  // namespace

Expected<PermitTable> PermitTable::create(uint32_t chunk_capacity, int numa_node) {
  auto chunks = TableArray<PermitChunk>::create("permit chunks", chunk_capacity, numa_node);
  if (!chunks) return tl::unexpected(chunks.error());
  PermitTable table;
  table.chunks_ = std::move(*chunks);
  table.free_ = IndexPool(0, chunk_capacity);
  return table;
}

Expected<PermitPlace> PermitTable::store(std::span<const PermitRule> rules) {
  PermitPlace place;
  if (rules.size() <= inline_permit_rules) return place;
  const bool is_plain = rules.size() <= plain_permit_rules;
  const std::vector<PermitShapeTree> trees =
      is_plain ? std::vector<PermitShapeTree>{} : permit_shapes_of(rules);
  if (trees.size() > max_permit_shapes)
    return fail(ErrorCode::resource_exhausted, "permit table: the list has " + std::to_string(trees.size()) +
                                                   " shapes, at most " + std::to_string(max_permit_shapes) +
                                                   " are searched");
  PermitRoom room(rules.size());
  for (const PermitShapeTree& tree : trees) room.add_tree(tree.boundaries.size());
  if (room.chunks() > free_.size())
    return fail(ErrorCode::resource_exhausted, "permit table: " + std::to_string(room.chunks()) +
                                                   " chunks needed, " + std::to_string(free_.size()) +
                                                   " free; raise capacity.permit_chunks");
  place.chunks.resize(room.chunks());
  for (uint32_t& index : place.chunks)
    if (!free_.take(index)) break;  // cannot happen: counted above
  std::ranges::sort(place.chunks);
  place.first = place.chunks.front();
  if (is_plain) {
    PermitPlain* plain = std::construct_at(&chunks_[place.first].plain, PermitPlain{});
    for (size_t rule = inline_permit_rules, quad = 0; rule < rules.size(); rule += PermitQuad::lanes, ++quad)
      plain->quads[quad] =
          PermitQuad(rules.subspan(rule, std::min<size_t>(rules.size() - rule, PermitQuad::lanes)));
  } else {
    Writer(chunks_, place, rules).write(trees);
  }
  return place;
}

void PermitTable::free(const PermitPlace& place) {
  for (const uint32_t index : place.chunks) free_.give(index);
}

}  // namespace portcullis
