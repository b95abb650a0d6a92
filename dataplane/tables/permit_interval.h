// From an IPv6 address to a number that says as much to one list. The prefixes of all its rules cut the
// addresses into intervals, and each rule covers an interval as a whole or not at all. So the trees of its
// shapes (permit_tree.h) have the numbers of intervals for keys, and are those of an IPv4 list. However many
// families match, the address is searched once.
//
// A static B+tree. Nodes are whole chunks. Written by control before publication, immutable after; read by
// workers.
#pragma once

#include <array>
#include <cstdint>

#include "dataplane/tables/permit_room.h"
#include "src/net/address.h"

namespace portcullis {

__extension__ using Uint128 = unsigned __int128;

constexpr Uint128 wide(const Ipv6Addr& address) {
  return Uint128{address.high()} << 64 | address.low();
}

struct alignas(64) PermitIntervalNode {
  std::array<Uint128, permit_interval_cuts> cut;  // addresses, ascending; the rest is all ones
  // Of a leaf, the first: the interval that its first cut ends. Else chunks: the node up to each cut, and the
  // one from the last cut on; the rest repeats that.
  std::array<uint32_t, permit_interval_cuts + 1> value;
  uint32_t zero[3];
};
static_assert(sizeof(PermitIntervalNode) == 256);

// How many cuts of a node are not above `address`. All are compared: less than it takes to mispredict one.
inline uint32_t cuts_up_to(const PermitIntervalNode& node, Uint128 address) {
  uint32_t count = 0;
  for (const Uint128 cut : node.cut) count += uint32_t{cut <= address};
  return count;
}

}  // namespace portcullis
