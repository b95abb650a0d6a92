// What is measured: how many EIPs, with which lists, and which packets.
#pragma once

#include <cstdint>
#include <vector>

#include "bench/pps/packet.h"
#include "control/compile/compile.h"
#include "dataplane/tables/permit.h"

namespace portcullis::bench {

enum class Work : uint8_t {
  listed,         // a rule of the list lets each packet pass, no entry: in, or out as stateless replies
  tracked,        // flows that the endpoints opened: every packet hits the flow table
  storm,          // the endpoints open new flows all the time, two packets each
  flood,          // half of what arrives belongs to open flows, half are SYNs from random sources
  unbound,        // dropped: the destination is in a local pool and bound to nobody
  not_permitted,  // dropped: no rule lets it in; random sources
};

// What the SYNs of a flood meet.
enum class Flood : uint8_t {
  listed,   // a rule without `tracked`: they pass and leave nothing behind
  tracked,  // a `tracked` rule: each opens an entry while there is room
  full,     // the same, the flow table full before the first figure
};

struct Workload {
  Work work = Work::listed;
  uint32_t eips = 254;
  uint32_t flows = 4096;
  std::vector<Way> ways{Way::in};
  uint32_t rules = 4;       // of each EIP's list
  uint32_t shapes = 0;      // of lists beyond four rules; 0: a port of its own for each rule
  bool miss = false;        // packets that no rule of such a list matches
  bool zipf = false;        // how often each flow is sent; else uniform
  bool sizes = false;       // frames of 60 to 1514 bytes; else all of 60
  bool ipv6 = false;        // the same by IPv6: 74 bytes for 60
  uint32_t flow_slots = 0;  // capacity of the flow table; 0: what the flows need
  uint32_t idle_ms = 0;     // TCP idle times; 0: those of the product
  double pace = 0;          // storm: millions of new flows a second; 0: as fast as the worker can
  Flood flood = Flood::tracked;
  uint32_t workers = 1;   // that share the gateway
  bool unspread = false;  // of several workers: a packet arrives at any of them; else at the one that owns it

  [[nodiscard]] bool has_long_list() const { return rules > 4 || shapes != 0; }
  [[nodiscard]] uint16_t smallest() const { return ipv6 ? smallest_ipv6_frame : smallest_frame; }
};

inline constexpr Ipv4Prefix pool{Ipv4Addr::of(100, 64, 0, 0), 10};
inline constexpr uint32_t most_eips = 1u << 22;

// Ports of the lists.
inline constexpr uint16_t first_service = 80;     // services: 80 .. 80 + rules - 1
inline constexpr uint16_t flooded_port = 8080;    // inbound, from any
inline constexpr uint16_t forbidden_port = 9999;  // in no list, local or remote

[[nodiscard]] constexpr Ipv4Addr eip_of(uint32_t n) {
  return Ipv4Addr::from_host(pool.first().host() + n);
}
[[nodiscard]] constexpr Ipv4Addr dip_of(uint32_t n) {
  return Ipv4Addr::from_host(Ipv4Addr::of(10, 0, 0, 0).host() + n);
}
// An external address that is in no pool and that RFC 6890 lets be a source.
[[nodiscard]] Ipv4Addr random_source(uint64_t random);
// One that no prefix of shaped_rules() covers.
[[nodiscard]] Ipv4Addr source_in_no_rule(uint64_t random);

// The list that every EIP has.
[[nodiscard]] std::vector<PermitRule> list_of(const Workload& workload);
// Row 9's distribution: 30 % /32, 50 % /8 to /28, 20 % any. A shape is a port or a range of them
// (docs/permit.md): with `shapes` of them, those that are named last hold the rules from any, which come last
// in the list, and the others the prefixes. Without, each rule has a port of its own, and half of them mind
// the remote port.
[[nodiscard]] std::vector<PermitRule> shaped_rules(uint32_t count, uint32_t shapes);
[[nodiscard]] compile::CompiledBinding binding_of(uint32_t n, const std::vector<PermitRule>& list, bool ipv6);
[[nodiscard]] uint32_t flow_slots_of(const Workload& workload);

}  // namespace portcullis::bench
