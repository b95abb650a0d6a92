#include "bench/pps/workload.h"

#include <algorithm>
#include <array>
#include <bit>
#include <string>

#include "bench/pps/order.h"

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

// First octets 11 to 90: no pool, no martian.
uint32_t outside(uint64_t random) {
  return static_cast<uint32_t>((11 + (random >> 40) % 80) << 24 | (random & 0xffffff));
}

}  // namespace

Ipv4Addr random_source(uint64_t random) {
  return Ipv4Addr::from_host(outside(random));
}

std::vector<PermitRule> shaped_rules(uint32_t count, uint32_t shapes) {
  // A shape: how long a prefix, and whether the remote port is any or above 1023. The order makes the first
  // few shapes hold each of the three classes.
  constexpr std::array<uint8_t, 8> lengths{32, 24, 0, 16, 28, 8, 20, 12};
  const uint32_t used = std::clamp<uint32_t>(shapes, 1, 16);
  const auto of_class = [&](auto&& in_class) {
    std::vector<uint32_t> found;
    for (uint32_t shape = 0; shape < used; ++shape)
      if (in_class(lengths[shape % lengths.size()])) found.push_back(shape);
    return found;
  };
  const std::array classes{of_class([](uint8_t length) { return length == 32; }),
                           of_class([](uint8_t length) { return length != 32 && length != 0; }),
                           of_class([](uint8_t length) { return length == 0; })};
  constexpr uint16_t first_port = 10000;
  constexpr uint32_t ports = 50000;
  std::vector<PermitRule> rules;
  rules.reserve(count);
  for (uint32_t r = 0; r < count; ++r) {
    const uint32_t tenth = r % 10;
    const auto& wanted = classes[tenth < 3 ? 0 : tenth < 8 ? 1 : 2];
    const uint32_t shape = wanted.empty() ? r % used : wanted[(r / 10) % wanted.size()];
    const uint8_t length = lengths[shape % lengths.size()];
    const auto port = static_cast<uint16_t>(first_port + r % ports);
    rules.push_back({.remote = length == 0 ? 0 : outside(mix(r + 1)) & Ipv4Prefix::mask(length),
                     .prefix_length = length,
                     .protocol = ip_protocol::tcp,
                     .local_ports = {port, port},
                     .remote_ports = {shape >= lengths.size() ? uint16_t{1024} : uint16_t{0}, 65535}});
  }
  return rules;
}

std::vector<PermitRule> list_of(const Workload& workload) {
  if (workload.shapes != 0) return shaped_rules(workload.rules, workload.shapes);
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

compile::CompiledBinding binding_of(uint32_t n, const std::vector<PermitRule>& list) {
  compile::CompiledBinding binding{.eip = eip_of(n),
                                   .dip = dip_of(n),
                                   .port = "endpoint",
                                   .mac = macs.vm,
                                   .edge = true,
                                   .incarnation = n + 1,
                                   .binding_generation = 1,
                                   .list_generation = 1,
                                   .kept_from = 1};
  binding.rules.reserve(list.size());
  for (const PermitRule& rule : list)
    binding.rules.push_back(
        {.rule = rule, .tag = std::nullopt, .name = "r" + std::to_string(binding.rules.size())});
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
