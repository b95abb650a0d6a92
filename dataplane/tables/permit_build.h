// From a list of rules to its shapes: what permit_tree.h searches. Thread: control.
#pragma once

#include <compare>
#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/tables/permit_rule.h"

namespace portcullis {

// From here up to the next boundary, this rule is the first of its shape to cover a remote.
struct PermitBoundary {
  static constexpr uint32_t no_rule = UINT32_MAX;
  uint32_t key;  // an address, or a TagId
  uint32_t rule = no_rule;
};

// What the rules of one shape have in common.
struct PermitShape {
  uint16_t key = 0;  // PermitShapes::key
  PortRange local_ports;
  PortRange remote_ports;
  friend constexpr auto operator<=>(const PermitShape&, const PermitShape&) = default;
};

struct PermitShapeTree {
  PermitShape shape;
  std::vector<PermitBoundary> boundaries;  // ascending; before the first one there is no rule
};

// The shapes of `rules`, in the order in which they appear first.
[[nodiscard]] std::vector<PermitShapeTree> permit_shapes_of(std::span<const PermitRule> rules);

}  // namespace portcullis
