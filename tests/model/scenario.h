// A random world and what happens in it: configurations, calls, packets and time, all from one seed, biased
// to where gateways go wrong (replies, spoofed and malformed packets, timeouts, quotas, narrowed lists).
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "tests/model/world.h"

namespace portcullis::testing {

// What a run has met, over all its seeds.
struct Coverage {
  uint64_t packets = 0, transmitted = 0;
  std::map<std::string, uint64_t> dropped;
  std::map<std::string, uint64_t> events;  // reference::Counts::events
};

class Scenario {
 public:
  explicit Scenario(uint64_t seed);
  // Takes one random step; false once the two gateways have differed.
  bool step();
  // The end of the world: buffers are counted.
  void finish() { world_->finish(); }
  [[nodiscard]] World& world() { return *world_; }
  void add_to(Coverage& coverage) const;

 private:
  using Random = std::mt19937_64;
  using Arrivals = std::vector<std::vector<reference::Arrival>>;  // by port

  // Where vms may be: a port, and a link on it. The first ones are the ports themselves, untagged, in their
  // order; so the uplink's number is that of its place.
  using PlaceNumber = size_t;
  struct Place {
    reference::PortNumber port = 0;
    Encapsulation link = {};
  };

  [[nodiscard]] uint64_t below(uint64_t bound) { return random_() % bound; }
  [[nodiscard]] bool chance(unsigned percent) { return below(100) < percent; }
  template <typename Container>
  [[nodiscard]] auto pick(const Container& values) {
    auto at = values.begin();
    std::advance(at, below(values.size()));
    return *at;
  }
  template <typename T>
  [[nodiscard]] T pick(std::initializer_list<T> values) {
    return values.begin()[below(values.size())];
  }

  // configuration
  [[nodiscard]] reference::Setup make_setup();
  [[nodiscard]] Sizes make_sizes();
  void populate();
  [[nodiscard]] model::Vm make_vm();

  // calls
  void change();
  void change_list(const IpAddr& eip);
  void set_some_flow_quota(const IpAddr& eip);
  void change_pools();
  void change_vms();
  void move_some_vm();
  [[nodiscard]] model::PermitRule make_rule(const std::string& name, IpFamily family);
  [[nodiscard]] std::vector<model::PermitRule> make_list(IpFamily family);
  [[nodiscard]] model::Remote make_remote(IpFamily family);
  [[nodiscard]] std::optional<IpAddr> some_eip(std::optional<IpFamily> family = std::nullopt);

  // packets
  void traffic();
  void punt_flood();
  void storm();
  void fragment_storm();
  void expiry_storm();
  void deliver(const Arrivals& arrivals);
  [[nodiscard]] reference::Arrival make_arrival(PlaceNumber place);
  [[nodiscard]] Bytes make_frame(PlaceNumber place);
  void cut_into_parts(PlaceNumber place, Bytes& frame);
  [[nodiscard]] Bytes make_arp(PlaceNumber place);
  [[nodiscard]] AnyPacket from_uplink(IpFamily family);
  [[nodiscard]] AnyPacket from_endpoint(PlaceNumber place, IpFamily family);
  void choose_transport(AnyPacket& packet);
  void add_extension_headers(AnyPacket& packet);
  // Makes it the kind of packet that a rule of the endpoint's list speaks of, in or out.
  void aim(AnyPacket& packet, const IpAddr& eip, bool leaving);
  [[nodiscard]] std::optional<IpAddr> address_in(const model::Remote& remote, const model::TenantId& tenant,
                                                 IpFamily family);
  [[nodiscard]] uint8_t make_flags();
  void damage(PlaceNumber place, Bytes& frame);
  // Of every kind that parse tells apart, mostly of no use to anybody.
  [[nodiscard]] Bytes make_odd_ipv6_frame(PlaceNumber place);
  [[nodiscard]] Bytes make_neighbor(PlaceNumber place);
  [[nodiscard]] Ipv6Addr some_ipv6_address();
  void damage_ipv6(PlaceNumber place, Bytes& frame);
  void make_zero_after_translation(PlaceNumber place, Bytes& frame);
  // Either end of a flow that is known says something more.
  void recall_flow();
  [[nodiscard]] bool has_eip_at(PlaceNumber place, IpFamily family) const;
  // What the host that got `frame` at the place answers.
  void answer(PlaceNumber place, const Bytes& frame);
  void report(PlaceNumber place, const Bytes& frame);
  [[nodiscard]] IpAddr outside_host(IpFamily family);
  [[nodiscard]] IpAddr some_destination(IpFamily family);

  // places (scenario_links.cc)
  [[nodiscard]] reference::TunnelSetup make_tunnel_end(reference::PortNumber port);
  void make_places();
  [[nodiscard]] const reference::PortSetup& setup_at(PlaceNumber place) const {
    return port_setups_[places_[place].port];
  }
  [[nodiscard]] PlaceNumber place_at(reference::PortNumber port, const Encapsulation& link) const;
  [[nodiscard]] PlaceNumber place_of(const model::Location& location) const;
  [[nodiscard]] bool is_at(const model::Vm& vm, PlaceNumber place) const;
  [[nodiscard]] bool is_underlay(PlaceNumber place) const;
  [[nodiscard]] PlaceNumber some_home();
  [[nodiscard]] PlaceNumber some_place_on(reference::PortNumber port);
  [[nodiscard]] PlaceNumber some_place() { return some_place_on(below(port_setups_.size())); }
  // Of the underlay of a port: a remote or router of some tunnel, or somebody else.
  [[nodiscard]] IpAddr some_station(reference::PortNumber port, IpFamily family);
  [[nodiscard]] Bytes behind_link(PlaceNumber place, const Bytes& frame);
  [[nodiscard]] Bytes behind_odd_tags(const VlanTags& tags, Bytes frame);
  [[nodiscard]] Bytes behind_odd_tunnel(PlaceNumber place, Bytes frame);
  // The frame as it comes by the place's link, mostly as it must.
  [[nodiscard]] reference::Arrival on_wire(PlaceNumber place, const Bytes& frame);
  void change_underlay();
  void learn_stations(const Arrivals& arrivals, const reference::Turn& turn);

  // time
  void let_time_pass();

  Random random_;
  std::unique_ptr<World> world_;
  std::vector<reference::PortSetup> port_setups_;
  Link link_;
  std::vector<Place> places_;
  std::map<PlaceNumber, std::deque<Bytes>> parts_;  // fragments still to come
  std::deque<std::pair<PlaceNumber, Bytes>> sent_before_;
  std::map<std::string, uint64_t> events_;  // beside the reference's
  unsigned next_vm_ = 0;
};

}  // namespace portcullis::testing
