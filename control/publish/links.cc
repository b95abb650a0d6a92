#include "control/publish/links.h"

#include <utility>

namespace portcullis::publish {

Expected<LinkId> Links::acquire(const LinkPlace& place) {
  if (const auto known = links_.find(place); known != links_.end()) {
    ++known->second.users;
    return known->second.id;
  }
  const auto& [port, encapsulation] = place;
  const PortInfo& info = tables_->ports.ports[port];
  std::optional<NeighborKey> neighbor;
  NeighborId neighbor_id = 0;
  if (const auto* tunnel = std::get_if<Tunnel>(&encapsulation)) {
    neighbor = NeighborKey{port, info.tunnel.next_hop_to(tunnel->remote)};
    const auto acquired = acquire_neighbor(*neighbor, tunnel->remote);
    if (!acquired) return Unexpected(acquired.error());
    neighbor_id = *acquired;
  }
  Expected<LinkId> link =
      tables_->links.set(LinkKey::of(port, encapsulation), make_link(port, info, encapsulation, neighbor_id));
  if (link)
    links_.emplace(place, Link{*link, neighbor, 1});
  else if (neighbor)
    release_neighbor(*neighbor, std::get<Tunnel>(encapsulation).remote);
  return link;
}

// Frames from it find it no more; records that are still read may.
void Links::release(const LinkPlace& place) {
  const auto link = links_.find(place);
  if (--link->second.users != 0) return;
  tables_->links.erase(LinkKey::of(place.first, place.second));
  released_links_.push_back(link->second.id);
  if (link->second.neighbor) release_neighbor(*link->second.neighbor, std::get<Tunnel>(place.second).remote);
  links_.erase(link);
}

Expected<NeighborId> Links::acquire_neighbor(const NeighborKey& key, const IpAddr& remote) {
  if (const auto known = neighbors_.find(key); known != neighbors_.end()) {
    ++known->second.users[remote];
    return known->second.id;
  }
  NeighborId id = 0;
  if (!tables_->neighbors.take(key, id))
    return fail(ErrorCode::resource_exhausted,
                "every next hop of tunnels is taken; raise capacity.tunnel_remotes");
  neighbors_.emplace(key, Neighbor{id, std::chrono::steady_clock::now(), {{remote, 1}}});
  return id;
}

void Links::release_neighbor(const NeighborKey& key, const IpAddr& remote) {
  const auto neighbor = neighbors_.find(key);
  auto& users = neighbor->second.users;
  const auto user = users.find(remote);
  if (--user->second == 0) users.erase(user);
  if (!users.empty()) return;
  tables_->neighbors.retire(neighbor->second.id);
  released_neighbors_.push_back(neighbor->second.id);
  neighbors_.erase(neighbor);
}

void Links::free_released() {
  for (const LinkId link : std::exchange(released_links_, {})) tables_->links.free(link);
  for (const NeighborId neighbor : std::exchange(released_neighbors_, {})) tables_->neighbors.free(neighbor);
}

bool Links::awaits_next_hop(const LinkPlace& place, std::chrono::milliseconds patience) const {
  const auto link = links_.find(place);
  if (link == links_.end() || !link->second.neighbor) return false;
  const Neighbor& neighbor = neighbors_.at(*link->second.neighbor);
  Mac mac;
  return !tables_->neighbors.find(neighbor.id, mac) &&
         std::chrono::steady_clock::now() - neighbor.since < patience;
}

std::vector<TunnelNextHop> Links::next_hops(const std::optional<NeighborKey>& after, size_t most) const {
  std::vector<TunnelNextHop> next_hops;
  auto at = after ? neighbors_.upper_bound(*after) : neighbors_.begin();
  for (; at != neighbors_.end() && next_hops.size() < most; ++at) {
    const auto& [key, neighbor] = *at;
    TunnelNextHop& next_hop = next_hops.emplace_back();
    next_hop.key = key;
    if (Mac mac; tables_->neighbors.find(neighbor.id, mac)) next_hop.mac = mac;
    next_hop.answered_ms = tables_->neighbors.answered_ms(neighbor.id);
    for (const auto& [remote, tunnels] : neighbor.users) {
      next_hop.tunnels += tunnels;
      next_hop.remotes.push_back(remote);
    }
  }
  return next_hops;
}

}  // namespace portcullis::publish
