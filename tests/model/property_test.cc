// Random worlds: the gateway against the reference. PORTCULLIS_PROPERTY_SEED replays one seed,
// PORTCULLIS_PROPERTY_SEEDS and PORTCULLIS_PROPERTY_STEPS say how many worlds and how long they live.
#include <gtest/gtest.h>

#include <cstdlib>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "dataplane/drop.h"
#include "tests/model/scenario.h"

namespace portcullis::testing {
namespace {

constexpr uint64_t default_seeds = 1000;
constexpr uint64_t default_steps = 200;

std::optional<uint64_t> number_from(const char* variable) {
  const char* text = std::getenv(variable);
  return text == nullptr ? std::nullopt : std::optional<uint64_t>(std::strtoull(text, nullptr, 10));
}

// Reasons that no packet of IPv6 is dropped for, and that of a frame that nobody knows the family of.
const std::set<std::string> not_of_ipv6{"unknown_ether_type", "ip_header_length", "ip_checksum",
                                        "ip_options",         "fragment_offset",  "arp_malformed",
                                        "arp_ignored",        "transmit_full"};

// All kinds of location (docs/locations.md).
const std::vector<std::string> locations{
    "untagged", "VLAN", "QinQ", "VXLAN over IPv4", "VXLAN over IPv6", "Geneve over IPv4", "Geneve over IPv6"};

// What must have befallen packets of each family, beside the reasons why they were dropped
// (reference_events.cc).
std::vector<std::string> wanted_events() {
  std::vector<std::string> wanted{
      "passed: translated",    "passed: as it was", "refused: withdrawn entry",    "refused: expired entry",
      "aged: withdrawn entry", "punted: packet",    "passed: by one of many rules"};
  for (const char* way : {"stateless reply", "outbound rule", "inbound rule", "tracked rule", "entry",
                          "kept entry", "error about what a rule lets in", "error about a flow"})
    wanted.push_back(std::string("passed: ") + way);
  for (const std::string way : {"passed in", "passed out", "passed between endpoints"}) {
    wanted.push_back(way);
    for (const char* what : {"TCP", "UDP", "ICMP query", "ICMP reply", "SCTP", "other protocol",
                             "first fragment", "later fragment", "error about TCP", "error about UDP",
                             "error about ICMP query", "error about SCTP", "error about other protocol"})
      wanted.push_back(way + ": " + what);
  }
  for (const char* side : {"inside", "outside"})
    for (const char* reason : {"ttl_exceeded", "packet_too_big"})
      wanted.push_back(std::string("told ") + side + ": " + reason);
  for (const std::string& location : locations) {
    if (location == "untagged") continue;
    for (const char* what : {"passed from ", "passed to ", "told by "}) wanted.push_back(what + location);
  }
  wanted.insert(wanted.end(), {"passed: congestion told inside", "passed: inner tags taken off"});
  return wanted;
}

// Of both families together.
std::vector<std::string> wanted_of_links() {
  std::vector<std::string> wanted{"ARP punted: underlay", "learned by ARP", "learned by Neighbor Discovery"};
  for (const std::string& location : locations) wanted.push_back("ARP answered: " + location);
  const std::vector<std::string> kinds{"untagged", "VLAN", "QinQ", "VXLAN", "Geneve"};
  for (const std::string& kind : kinds)
    for (const std::string& next : kinds)
      wanted.push_back(std::string("moved: ").append(kind).append(" to ").append(next));
  return wanted;
}

// Reasons that a turn of one frame hardly ever or never has, or that its rehearsal cannot foresee
// (rehearsal_check.cc).
const std::set<std::string> not_rehearsed{
    "headers_not_contiguous", "fragment_first_lost", "handover_full",  "punt_full", "punt_rate",
    "transmit_full",          "icmp_error_rate",     "flow_table_full"};

// A world of its own; the report if the gateways ever differed.
std::optional<std::string> live(uint64_t seed, uint64_t steps, Coverage& coverage) {
  Scenario scenario(seed);
  bool equal = scenario.world().differences().empty();
  for (uint64_t step = 0; equal && step < steps; ++step) equal = scenario.step();
  scenario.add_to(coverage);
  scenario.finish();
  if (scenario.world().differences().empty()) return std::nullopt;
  return scenario.world().report();
}

TEST(Property, GatewayMeansWhatTheReferenceMeans) {
  const auto only_seed = number_from("PORTCULLIS_PROPERTY_SEED");
  const uint64_t seeds = only_seed ? 1 : number_from("PORTCULLIS_PROPERTY_SEEDS").value_or(default_seeds);
  const uint64_t steps = number_from("PORTCULLIS_PROPERTY_STEPS").value_or(default_steps);
  Coverage coverage;
  for (uint64_t n = 0; n < seeds; ++n) {
    const uint64_t seed = only_seed.value_or(n + 1);
    if (const auto report = live(seed, steps, coverage))
      FAIL() << "seed " << seed << " (PORTCULLIS_PROPERTY_SEED=" << seed << " replays it)\n" << *report;
  }
  std::printf("%llu packets, %llu transmitted\n", static_cast<unsigned long long>(coverage.packets),
              static_cast<unsigned long long>(coverage.transmitted));
  for (const DropInfo& reason : drop_registry)
    std::printf("  %-28s %llu\n", std::string(reason.name).c_str(),
                static_cast<unsigned long long>(coverage.dropped[std::string(reason.name)]));
  for (const auto& [event, count] : coverage.events)
    std::printf("  %-48s %llu\n", event.c_str(), static_cast<unsigned long long>(count));
  if (seeds < default_seeds || steps < default_steps) return;
  // A run that met too little would prove too little. Every reason can be met on ring ports.
  EXPECT_GT(coverage.transmitted * 5, coverage.packets) << "of " << coverage.packets << " packets";
  for (const DropInfo& reason : drop_registry) {
    EXPECT_GT(coverage.dropped[std::string(reason.name)], 0u) << reason.name << " was never met";
  }
  for (const DropInfo& reason : drop_registry) {
    if (not_of_ipv6.contains(std::string(reason.name))) continue;
    EXPECT_GT(coverage.events["IPv6 dropped: " + std::string(reason.name)], 0u)
        << reason.name << " was never met by a packet of IPv6";
  }
  for (const DropInfo& reason : drop_registry) {
    const std::string name(reason.name);
    if (not_rehearsed.contains(name)) continue;
    EXPECT_GT(coverage.events["rehearsed: " + name], 0u) << name << " was never rehearsed";
  }
  for (const char* event : {"rehearsed: transmitted", "rehearsed: answered", "rehearsed: punted"})
    EXPECT_GT(coverage.events[event], 0u) << event << " was never met";
  for (const DropInfo& reason : drop_registry) {
    const std::string name(reason.name);
    EXPECT_GT(coverage.events["traced: dropped " + name] + coverage.events["traced: answered " + name], 0u)
        << name << " was never traced";
  }
  for (const char* event : {"traced: transmitted", "traced: answered", "traced: punted"})
    EXPECT_GT(coverage.events[event], 0u) << event << " was never met";
  for (const std::string& event : wanted_events())
    for (const char* family : {"IPv4 ", "IPv6 "})
      EXPECT_GT(coverage.events[family + event], 0u) << family << event << " was never met";
  for (const char* event : {"IPv6 passed: behind extension headers", "IPv6 answered: Neighbor Discovery",
                            "IPv6 punted: Neighbor Discovery", "IPv6 punted: underlay",
                            "received by its owner's queue", "handed over from another's queue"})
    EXPECT_GT(coverage.events[event], 0u) << event << " was never met";
  for (const std::string& event : wanted_of_links())
    EXPECT_GT(coverage.events[event], 0u) << event << " was never met";
}

}  // namespace
}  // namespace portcullis::testing
