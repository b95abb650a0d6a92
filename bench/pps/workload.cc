#include "bench/pps/workload.h"

#include <algorithm>
#include <array>
#include <bit>
#include <string>

#include "bench/pps/order.h"
#include "tests/support/model_rule.h"

namespace portcullis::bench {
namespace {

// Rules that are not asked for a packet of a flood, so that its list has four.
constexpr uint16_t unused_port = 22;

PermitRule inbound(uint16_t port, uint8_t flags = 0) {
  return {.flags = flags, .protocol = ip_protocol::tcp, .local_ports = {port, port}};
}

PermitRule outbound(uint16_t first, uint16_t last) {
  return {.flags = PermitRule::outbound, .protocol = ip_protocol::tcp, .remote_ports = {first, last}};
}

constexpr uint16_t first_shaped_port = 10000;

// What covers the IPv6 remotes of those that the rule's covers (ipv6_remote).
Ipv6Prefix ipv6_prefix(const PermitRule& rule) {
  if (rule.prefix_length == 0) return {};
  constexpr uint32_t behind = 96;
  return {ipv6_remote(Ipv4Addr::from_host(rule.remote)), static_cast<uint8_t>(behind + rule.prefix_length)};
}

// First octets 11 to 90: no pool, no martian.
uint32_t outside(uint64_t random) {
  return static_cast<uint32_t>((11 + (random >> 40) % 80) << 24 | (random & 0xffffff));
}

}  // namespace

Ipv4Addr source_in_no_rule(uint64_t random) {
  constexpr uint64_t lowest = 130, count = 30;
  return Ipv4Addr::from_host(
      static_cast<uint32_t>((lowest + (random >> 40) % count) << 24 | (random & 0xffffff)));
}

Ipv4Addr random_source(uint64_t random) {
  return Ipv4Addr::from_host(outside(random));
}

std::vector<PermitRule> shaped_rules(uint32_t count, uint32_t shapes) {
  constexpr std::array<uint8_t, 6> lengths{24, 16, 28, 8, 20, 12};
  constexpr uint32_t ports = 50000;
  // So many shapes hold what is from any.
  const uint32_t any_shapes = shapes > 1 ? std::max(1u, shapes / 5) : 0;
  std::vector<PermitRule> rules;
  rules.reserve(count);
  for (uint32_t r = 0; r < count; ++r) {
    const uint32_t tenth = r % 10;
    const uint8_t length = tenth < 3   ? uint8_t{32}
                           : tenth < 8 ? lengths[mix(r) % lengths.size()]
                                       : uint8_t{0};
    PermitRule rule{.remote = outside(mix(r + 1)) & Ipv4Prefix::mask(length),
                    .prefix_length = length,
                    .protocol = ip_protocol::tcp};
    if (shapes == 0) {
      const auto port = static_cast<uint16_t>(first_shaped_port + r % ports);
      rule.local_ports = {port, port};
      if (r % 2 != 0) rule.remote_ports = {1024, 65535};
    } else {
      const uint64_t shape = length == 0 && any_shapes != 0 ? shapes - 1 - r / 10 % any_shapes
                                                            : mix(r + 2) % (shapes - any_shapes);
      // Every other one a range.
      constexpr uint16_t distance = 200, width = 100;
      const auto first = static_cast<uint16_t>(first_shaped_port + shape * distance);
      rule.local_ports = {first, static_cast<uint16_t>(shape % 2 == 0 ? first : first + width)};
    }
    rules.push_back(rule);
  }
  std::stable_partition(rules.begin(), rules.end(),
                        [](const PermitRule& rule) { return rule.prefix_length != 0; });
  return rules;
}

std::vector<PermitRule> list_of(const Workload& workload) {
  if (workload.has_long_list()) return shaped_rules(workload.rules, workload.shapes);
  std::vector<PermitRule> list;
  if (workload.work == Work::flood) {
    // Rules that track nothing come first (compile).
    const bool tracked = workload.flood != Flood::listed;
    list = {inbound(unused_port), inbound(flooded_port, tracked ? PermitRule::tracked : uint8_t{0}),
            outbound(unused_port, unused_port), outbound(first_service, first_service + 3)};
    return list;
  }
  for (uint32_t r = 0; r < workload.rules; ++r) {
    const auto service = static_cast<uint16_t>(first_service + r);
    const bool opens = workload.work == Work::tracked || workload.work == Work::storm;
    list.push_back(opens ? outbound(service, service) : inbound(service));
  }
  return list;
}

compile::CompiledBinding binding_of(uint32_t n, const std::vector<PermitRule>& list, bool ipv6) {
  compile::CompiledBinding binding{.eip = ipv6 ? IpAddr(ipv6_eip(eip_of(n))) : eip_of(n),
                                   .dip = ipv6 ? IpAddr(ipv6_dip(dip_of(n))) : dip_of(n),
                                   .port = "endpoint",
                                   .mac = macs.vm,
                                   .edge = true,
                                   .incarnation = n + 1,
                                   .binding_generation = 1,
                                   .list_generation = 1,
                                   .kept_from = 1};
  std::vector<model::PermitRule> permit;
  permit.reserve(list.size());
  for (const PermitRule& rule : list)
    permit.push_back(model_rule("r" + std::to_string(permit.size()), rule,
                                ipv6 ? IpPrefix(ipv6_prefix(rule)) : IpPrefix()));
  binding.permit = std::move(permit);
  return binding;
}

uint32_t flow_slots_of(const Workload& workload) {
  if (workload.flow_slots != 0) return workload.flow_slots;
  constexpr uint32_t least = 65536;
  if (workload.work != Work::tracked && workload.work != Work::flood) return least;
  // A quarter full; the largest tables half full, since they would not fit into most machines else.
  constexpr uint32_t large = 1u << 22;
  return std::max(least, std::bit_ceil(workload.flows) * (workload.flows > large ? 2 : 4));
}

}  // namespace portcullis::bench
