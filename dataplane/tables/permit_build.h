// From a list of rules to its shapes: what permit_tree.h searches. Thread: control.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/tables/permit6.h"
#include "dataplane/tables/permit_interval.h"
#include "dataplane/tables/permit_room.h"
#include "dataplane/tables/permit_rule.h"

namespace portcullis {

// From here up to the next boundary, this rule is the first of its shape to cover a remote.
struct PermitBoundary {
  static constexpr uint32_t no_rule = UINT32_MAX;
  uint32_t key;  // an IPv4 address, the number of an interval of IPv6's, or a TagId
  uint32_t rule = no_rule;
};

// The shapes of a list, and of each the tree of its remotes: ascending; before the first one there is no
// rule.
struct PermitShapes {
  std::vector<PermitShape> shapes;
  std::vector<std::vector<PermitBoundary>> boundaries;
  // Of IPv6 addresses, ascending, above ::; interval i begins at cut i - 1, the first at ::.
  std::vector<Uint128> cuts;
  std::vector<bool> is_covered;  // of each interval, by the remote of some rule
};

[[nodiscard]] PermitShapes permit_shapes_of(std::span<const PermitRule> rules);
[[nodiscard]] PermitShapes permit_shapes_of(std::span<const PermitRule6> rules);

}  // namespace portcullis
