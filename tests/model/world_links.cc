// The underlay of tunnels, as both gateways have it: stations that answer, and what leaves to them.
#include "tests/model/world.h"

namespace portcullis::testing {

using reference::PortNumber;

void World::set_underlay_neighbour(PortNumber port, const IpAddr& address, std::optional<Mac> mac) {
  note("station " + address.to_string() + " beyond port " + std::to_string(port) +
       (mac ? " is " + mac->to_string() : " is silent"));
  reference_.set_underlay_neighbour(port, address, mac);
  underlay_.erase({port, address});
  if (mac) {
    underlay_[{port, address}] = *mac;
    return resolve_underlay();
  }
  NeighborTable& neighbors = gateway_->tables().neighbors;
  neighbors.for_each([&](NeighborId id, const NeighborKey& key, uint32_t) {
    if (key == NeighborKey{gateway_->port_id(port), address}) neighbors.clear(id);
  });
}

// What the punt thread learns, as soon as it is asked for.
void World::resolve_underlay() {
  NeighborTable& neighbors = gateway_->tables().neighbors;
  neighbors.for_each([&](NeighborId id, const NeighborKey& key, uint32_t) {
    for (const auto& [station, mac] : underlay_)
      if (key == NeighborKey{gateway_->port_id(station.first), station.second}) neighbors.set(id, mac, 0);
  });
}

std::vector<Bytes> World::collect(PortNumber port) {
  std::vector<Bytes> frames = ports_[port]->collect();
  for (Bytes& frame : frames)
    frame = source_ports_.without(reference_.setup().ports[port], std::move(frame), differences_);
  return frames;
}

}  // namespace portcullis::testing
