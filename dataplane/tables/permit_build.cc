#include "dataplane/tables/permit_build.h"

#include <algorithm>
#include <map>
#include <utility>

#include "dataplane/tables/permit_tree.h"

namespace portcullis {
namespace {

// The keys that a rule covers, both ends included. Prefixes nest or are apart, they never overlap in part.
struct Range {
  uint32_t first;
  uint32_t last;
  uint32_t rule;
};

PermitShape shape_of(const PermitRule& rule) {
  PermitShape shape;
  if (rule.is_any_protocol()) {
    shape.key = shape_key_of_any(rule.direction());
  } else {
    shape.key = shape_key(rule.direction(), rule.protocol);
    shape.local_ports = rule.local_ports;
    shape.remote_ports = rule.remote_ports;
  }
  if (rule.names_tag()) shape.key |= PermitShape::tag;
  return shape;
}

Range range_of(const PermitRule& rule, uint32_t number) {
  if (rule.names_tag()) return {rule.remote, rule.remote, number};
  const uint32_t mask = Ipv4Prefix::mask(rule.prefix_length);
  return {rule.remote & mask, rule.remote | ~mask, number};
}

// Behind the last address of all there is no cut, and none before the first.
std::vector<Uint128> cuts_of(std::span<const PermitRule6> rules) {
  std::vector<Uint128> cuts;
  for (const PermitRule6& rule : rules) {
    if (rule.match.names_tag()) continue;
    for (const Uint128 cut : {wide(rule.remote.first()), wide(rule.remote.last()) + 1})
      if (cut != 0) cuts.push_back(cut);
  }
  std::sort(cuts.begin(), cuts.end());
  cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
  return cuts;
}

uint32_t interval_of(const std::vector<Uint128>& cuts, Uint128 address) {
  return static_cast<uint32_t>(std::upper_bound(cuts.begin(), cuts.end(), address) - cuts.begin());
}

Range range_of(const PermitRule6& rule, uint32_t number, const std::vector<Uint128>& cuts) {
  if (rule.match.names_tag()) return {rule.match.remote, rule.match.remote, number};
  const Uint128 end = wide(rule.remote.last()) + 1;
  return {interval_of(cuts, wide(rule.remote.first())), end == 0 ? UINT32_MAX : interval_of(cuts, end) - 1,
          number};
}

void add(std::vector<PermitBoundary>& boundaries, uint32_t key, uint32_t rule) {
  if (!boundaries.empty() && boundaries.back().key == key) {
    boundaries.back().rule = rule;
    const size_t size = boundaries.size();
    const uint32_t before = size > 1 ? boundaries[size - 2].rule : PermitBoundary::no_rule;
    if (before == rule) boundaries.pop_back();
    return;
  }
  const uint32_t before = boundaries.empty() ? PermitBoundary::no_rule : boundaries.back().rule;
  if (before != rule) boundaries.push_back({key, rule});
}

// A sweep from the lowest address to the highest. `open` holds the ranges that have begun and not ended, the
// outer before the inner, each with the lowest rule down to it: that is the first that covers.
std::vector<PermitBoundary> boundaries_of(std::vector<Range>& ranges) {
  std::ranges::sort(ranges, [](const Range& a, const Range& b) {
    return a.first != b.first ? a.first < b.first : a.last > b.last;
  });
  std::vector<PermitBoundary> boundaries;
  std::vector<Range> open;
  const auto close = [&] {
    const uint32_t last = open.back().last;
    open.pop_back();
    if (last != UINT32_MAX)
      add(boundaries, last + 1, open.empty() ? PermitBoundary::no_rule : open.back().rule);
  };
  for (const Range& range : ranges) {
    while (!open.empty() && open.back().last < range.first) close();
    const uint32_t covers = open.empty() ? range.rule : std::min(open.back().rule, range.rule);
    open.push_back({range.first, range.last, covers});
    add(boundaries, range.first, covers);
  }
  while (!open.empty()) close();
  return boundaries;
}

// `range`: of a rule and its number.
template <typename Rule, typename RangeOf>
PermitShapes shapes_of(std::span<const Rule> rules, const RangeOf& range) {
  std::map<PermitShape, size_t> known;
  PermitShapes list;
  std::vector<std::vector<Range>> ranges;
  for (uint32_t number = 0; number < rules.size(); ++number) {
    const PermitShape shape = shape_of(match_of(rules[number]));
    const auto [found, is_new] = known.try_emplace(shape, list.shapes.size());
    if (is_new) {
      list.shapes.push_back(shape);
      ranges.emplace_back();
    }
    ranges[found->second].push_back(range(rules[number], number));
  }
  for (std::vector<Range>& of_shape : ranges) list.boundaries.push_back(boundaries_of(of_shape));
  return list;
}

}  // namespace

PermitShapes permit_shapes_of(std::span<const PermitRule> rules) {
  return shapes_of(rules, [](const PermitRule& rule, uint32_t number) { return range_of(rule, number); });
}

PermitShapes permit_shapes_of(std::span<const PermitRule6> rules) {
  std::vector<Uint128> cuts = cuts_of(rules);
  // At each interval: remotes that begin there, less those that ended with the one before.
  std::vector<int64_t> begin(cuts.size() + 2);
  PermitShapes list = shapes_of(rules, [&](const PermitRule6& rule, uint32_t number) {
    const Range range = range_of(rule, number, cuts);
    if (!rule.match.names_tag()) {
      ++begin[range.first];
      --begin[std::min<size_t>(range.last, cuts.size()) + 1];
    }
    return range;
  });
  int64_t covering = 0;
  for (size_t number = 0; number <= cuts.size(); ++number) {
    covering += begin[number];
    list.is_covered.push_back(covering != 0);
  }
  list.cuts = std::move(cuts);
  return list;
}

}  // namespace portcullis
