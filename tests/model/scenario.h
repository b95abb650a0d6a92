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
  void change_pools();
  void change_vms();
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
  void deliver(std::vector<std::vector<reference::Arrival>> arrivals);
  [[nodiscard]] reference::Arrival make_arrival(reference::PortNumber port);
  [[nodiscard]] Bytes make_frame(reference::PortNumber port);
  void cut_into_parts(reference::PortNumber port, Bytes& frame);
  [[nodiscard]] Bytes make_arp(reference::PortNumber port);
  [[nodiscard]] AnyPacket from_uplink(IpFamily family);
  [[nodiscard]] AnyPacket from_endpoint(reference::PortNumber port, IpFamily family);
  void choose_transport(AnyPacket& packet);
  void add_extension_headers(AnyPacket& packet);
  // Makes it the kind of packet that a rule of the endpoint's list speaks of, in or out.
  void aim(AnyPacket& packet, const IpAddr& eip, bool leaving);
  [[nodiscard]] std::optional<IpAddr> address_in(const model::Remote& remote, const model::TenantId& tenant,
                                                 IpFamily family);
  [[nodiscard]] uint8_t make_flags();
  void damage(reference::PortNumber port, Bytes& frame);
  // Of every kind that parse tells apart, mostly of no use to anybody.
  [[nodiscard]] Bytes make_odd_ipv6_frame(reference::PortNumber port);
  [[nodiscard]] Bytes make_neighbor(reference::PortNumber port);
  [[nodiscard]] Ipv6Addr some_ipv6_address();
  void damage_ipv6(reference::PortNumber port, Bytes& frame);
  void make_zero_after_translation(reference::PortNumber port, Bytes& frame);
  // Either end of a flow that is known says something more.
  void recall_flow();
  [[nodiscard]] bool has_eip_at(reference::PortNumber port, IpFamily family) const;
  // What the host that got `frame` from `port` answers.
  void answer(reference::PortNumber port, const Bytes& frame);
  void report(reference::PortNumber port, const Bytes& frame);
  [[nodiscard]] IpAddr outside_host(IpFamily family);
  [[nodiscard]] IpAddr some_destination(IpFamily family);

  // time
  void let_time_pass();

  Random random_;
  std::unique_ptr<World> world_;
  std::vector<reference::PortSetup> port_setups_;
  Link link_;
  std::map<reference::PortNumber, std::deque<Bytes>> parts_;  // fragments still to come
  std::deque<std::pair<reference::PortNumber, Bytes>> sent_before_;
  unsigned next_vm_ = 0;
};

}  // namespace portcullis::testing
