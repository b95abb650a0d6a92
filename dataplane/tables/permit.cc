#include "dataplane/tables/permit.h"

#include <algorithm>
#include <array>
#include <bit>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "dataplane/tables/permit_build.h"

namespace portcullis {
namespace {

// Writes the headers and trees of one list into the chunks that it has taken, one after another.
class ChunkWriter {
 public:
  template <typename Rule>
  ChunkWriter(TableArray<PermitChunk>& chunks, const PermitPlace& place, std::span<const Rule> rules)
      : chunks_(chunks), place_(place) {
    verdicts_.reserve(rules.size());
    for (uint32_t rule = 0; rule < rules.size(); ++rule)
      verdicts_.emplace_back(rule < inline_permit_rules ? rule : inline_permit_rules + place_.chunk_hit(rule),
                             match_of(rules[rule]).is_tracked());
  }

  void write(const PermitShapes& list, std::span<const PermitFamily> families) {
    PermitHeader* header = nullptr;
    for (size_t n = 0; n < families.size(); ++n) {
      const size_t f = n % permit_header_families;
      if (f == 0) header = append_header(header);
      const PermitShape& hull = families[n].hull;
      header->key[f] = hull.key;
      header->local_low[f] = hull.local_ports.first;
      header->local_high[f] = hull.local_ports.last;
      header->remote_low[f] = hull.remote_ports.first;
      header->remote_high[f] = hull.remote_ports.last;
      header->root[f] = write_family(list, families[n]).raw();
      if (families[n].members.size() > 1) header->by_port |= 1u << f;
    }
    const bool is_of_ipv6 = !list.is_covered.empty();
    if (is_of_ipv6) write_intervals(list, chunks_[place_.first].header);
  }

 private:
  struct Entry {
    uint32_t key;
    uint32_t value;
  };

  uint32_t take_chunk() { return place_.chunks[taken_++]; }

  PermitHeader* append_header(PermitHeader* before) {
    const uint32_t index = take_chunk();
    PermitHeader* header = std::construct_at(&chunks_[index].header, PermitHeader{});
    header->next = no_permit_chunk;
    if (before != nullptr) before->next = index;
    return header;
  }

  PermitNodeRef write_family(const PermitShapes& list, const PermitFamily& family) {
    if (family.members.size() == 1) return write_shape(list.boundaries[family.members.front()]);
    std::vector<Entry> by_port;
    uint32_t end = 0;  // of the member before
    for (const uint32_t member : family.members) {
      const PortRange ports = list.shapes[member].ports();
      if (!by_port.empty() && ports.first != end) by_port.push_back({end, no_rules().raw()});
      by_port.push_back({ports.first, write_shape(list.boundaries[member]).raw()});
      end = uint32_t{ports.last} + 1;
    }
    by_port.push_back({end, no_rules().raw()});
    return write_tree(std::move(by_port));
  }

  // The tree of a port that no rule has: no branch need ask whether there is one.
  PermitNodeRef no_rules() {
    if (!no_rules_) no_rules_ = write_shape(std::vector<PermitBoundary>{{.key = 0}});
    return *no_rules_;
  }

  PermitNodeRef write_shape(std::span<const PermitBoundary> boundaries) {
    std::vector<Entry> entries;
    entries.reserve(boundaries.size());
    for (const PermitBoundary& boundary : boundaries)
      entries.push_back({boundary.key, verdict(boundary.rule).raw()});
    return write_tree(std::move(entries));
  }

  // `level`: what the leaves say, not empty.
  PermitNodeRef write_tree(std::vector<Entry> level) {
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
    return rule == PermitBoundary::no_rule ? PermitVerdict() : verdicts_[rule];
  }

  // The tree from an address to its interval, into the first header.
  void write_intervals(const PermitShapes& list, PermitHeader& first) {
    struct Below {
      Uint128 from;
      uint32_t chunk;
    };
    std::vector<Below> level;
    const size_t cuts = list.cuts.size();
    for (size_t n = 0; n < cuts; n += permit_interval_cuts) {
      PermitIntervalNode node = empty_interval_node();
      for (size_t cut = 0; cut < node.high.size() && n + cut < cuts; ++cut)
        set_cut(node, cut, list.cuts[n + cut]);
      for (size_t part = 0; part < node.value.size(); ++part)
        node.value[part] = interval_at(list, n + part).raw();
      level.push_back({list.cuts[n], put(node)});
    }
    for (; level.size() > 1; ++first.interval_levels) {
      std::vector<Below> above;
      for (size_t n = 0; n < level.size(); n += permit_interval_cuts + 1) {
        PermitIntervalNode node = empty_interval_node();
        for (size_t child = 0; child < node.value.size(); ++child)
          node.value[child] = level[std::min(n + child, level.size() - 1)].chunk;
        for (size_t child = 1; child < node.value.size() && n + child < level.size(); ++child)
          set_cut(node, child - 1, level[n + child].from);
        above.push_back({level[n].from, put(node)});
      }
      level = std::move(above);
    }
    if (level.empty()) {
      first.intervals = interval_at(list, 0).raw();
      return;
    }
    first.intervals = level.front().chunk;
    ++first.interval_levels;
  }

  // The interval of that number, or the last.
  static PermitInterval interval_at(const PermitShapes& list, size_t number) {
    const size_t known = std::min(number, list.cuts.size());
    return {static_cast<uint32_t>(known), list.is_covered[known]};
  }

  static void set_cut(PermitIntervalNode& node, size_t cut, Uint128 address) {
    node.high[cut] = static_cast<uint64_t>(address >> 64);
    node.low[cut] = static_cast<uint64_t>(address);
  }

  static PermitIntervalNode empty_interval_node() {
    PermitIntervalNode node{};
    node.high.fill(UINT64_MAX);
    node.low.fill(UINT64_MAX);
    return node;
  }

  uint32_t put(const PermitIntervalNode& node) {
    const uint32_t index = take_chunk();
    std::construct_at(&chunks_[index].interval, node);
    return index;
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
  std::vector<PermitVerdict> verdicts_;  // of each rule
  size_t taken_ = 0;
  std::optional<PermitNodeRef> no_rules_;
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
  if (rules.size() <= inline_permit_rules) return PermitPlace{};
  if (rules.size() > plain_permit_rules) return store_families(rules);
  auto place = take_chunks(1);
  if (!place) return place;
  PermitPlain* plain = std::construct_at(&chunks_[place->first].plain, PermitPlain{});
  for (size_t rule = inline_permit_rules, quad = 0; rule < rules.size(); rule += PermitQuad::lanes, ++quad)
    plain->quads[quad] =
        PermitQuad(rules.subspan(rule, std::min<size_t>(rules.size() - rule, PermitQuad::lanes)));
  return place;
}

template <typename Rule>
Expected<PermitPlace> PermitTable::store_families(std::span<const Rule> rules) {
  const PermitShapes list = permit_shapes_of(rules);
  const std::vector<PermitFamily> families = permit_families_of(list.shapes);
  if (families.size() > max_permit_families)
    return fail(ErrorCode::resource_exhausted, "permit table: the list has " +
                                                   std::to_string(families.size()) + " families, at most " +
                                                   std::to_string(max_permit_families) + " are searched");
  std::vector<uint64_t> boundaries;
  for (const auto& of_shape : list.boundaries) boundaries.push_back(of_shape.size());
  auto place =
      take_chunks(permit_chunks_for(rules.size(), families, list.shapes, boundaries, list.cuts.size()));
  if (place) ChunkWriter(chunks_, *place, rules).write(list, families);
  return place;
}

Expected<PermitPlace> PermitTable::take_chunks(uint64_t needed) {
  if (needed > free_.size())
    return fail(ErrorCode::resource_exhausted, "permit table: " + std::to_string(needed) +
                                                   " chunks needed, " + std::to_string(free_.size()) +
                                                   " free; raise capacity.permit_chunks");
  PermitPlace place;
  place.chunks.resize(needed);
  for (uint32_t& index : place.chunks)
    if (!free_.take(index)) break;  // cannot happen: counted above
  std::ranges::sort(place.chunks);
  place.first = place.chunks.front();
  return place;
}

Expected<PermitPlace> PermitTable::store(std::span<const PermitRule6> rules) {
  if (rules.size() <= inline_permit_rules) return PermitPlace{};
  if (rules.size() > plain_ipv6_permit_rules) return store_families(rules);
  auto place = take_chunks(plain_ipv6_permit_chunks(rules.size()));
  if (!place) return place;
  place->chunk_rules = ipv6_chunk_rules;
  for (size_t n = 0; n < place->chunks.size(); ++n) {
    PermitPlain6* plain = std::construct_at(&chunks_[place->chunks[n]].plain6, PermitPlain6{});
    if (n + 1 < place->chunks.size()) plain->rests[0].next = place->chunks[n + 1];
    for (size_t quad = 0; quad < plain->quads.size(); ++quad) {
      const size_t first = inline_permit_rules + n * ipv6_chunk_rules + quad * PermitQuad::lanes;
      if (first < rules.size()) put_rules(rules.subspan(first), plain->quads[quad], plain->rests[quad]);
    }
  }
  return place;
}

void PermitTable::free(const PermitPlace& place) {
  for (const uint32_t index : place.chunks) free_.give(index);
}

}  // namespace portcullis
