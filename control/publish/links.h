// The links of the data plane, each there as long as an endpoint lives behind it, and of tunnels the next hop
// that they share. Part of the publisher.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "dataplane/tables/tables.h"
#include "src/base/expected.h"
#include "src/net/encapsulation.h"

namespace portcullis::publish {

// A VLAN or tunnel.
using LinkPlace = std::pair<PortId, Encapsulation>;

struct TunnelNextHop {
  NeighborKey key;
  std::optional<Mac> mac;    // none: it does not answer
  uint64_t answered_ms = 0;  // when it last has, as NeighborTable says it
  uint32_t tunnels = 0;
  std::vector<IpAddr> remotes;  // of these tunnels, in order
};

class Links {
 public:
  explicit Links(Tables& tables) : tables_(&tables) {}

  // One user more. resource_exhausted: there is no room for a further link, or for a further next hop.
  [[nodiscard]] Expected<LinkId> acquire(const LinkPlace& place);
  // One user less. Frames do not find the link of the last one any more, records that are still read may.
  void release(const LinkPlace& place);

  // Frees what has lost its last user: a grace period has passed since.
  void free_released();

  // Of a tunnel that an endpoint lives behind: its next hop is new, for less than `patience`, and has not
  // answered.
  [[nodiscard]] bool awaits_next_hop(const LinkPlace& place, std::chrono::milliseconds patience) const;

  // At most `most` next hops of tunnels, in order of their keys: those after `after`, or the first ones.
  [[nodiscard]] std::vector<TunnelNextHop> next_hops(const std::optional<NeighborKey>& after,
                                                     size_t most) const;

 private:
  struct Link {
    LinkId id;
    std::optional<NeighborKey> neighbor;  // of a tunnel: its next hop
    uint32_t users;                       // placements
  };
  struct Neighbor {
    NeighborId id;
    std::chrono::steady_clock::time_point since;
    std::map<IpAddr, uint32_t> users;  // links, by their remote
  };

  [[nodiscard]] Expected<NeighborId> acquire_neighbor(const NeighborKey& key, const IpAddr& remote);
  void release_neighbor(const NeighborKey& key, const IpAddr& remote);

  Tables* tables_;
  std::map<LinkPlace, Link> links_;
  std::map<NeighborKey, Neighbor> neighbors_;
  // Without a user.
  std::vector<LinkId> released_links_;
  std::vector<NeighborId> released_neighbors_;
};

}  // namespace portcullis::publish
