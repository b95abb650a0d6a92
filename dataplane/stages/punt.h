// punt: what is for the gateway itself. ARP and Neighbor Discovery for the endpoints' next hop, for the
// gateway's addresses and for proxied pools is answered in place; what next hops reply and packets that the
// gateway's own permit list lets in go by ring to the punt thread, policed per port.
//
// Reads frames of ARP packets, destination addresses; writes Burst::answered.
// Drops: neighbor_ignored, arp_ignored, gateway_not_permitted, gateway_spoofed_source, punt_rate, punt_full.
#pragma once

#include <algorithm>
#include <cstring>
#include <string_view>

#include "dataplane/stages/family.h"
#include "dataplane/stages/neighbor_discovery.h"
#include "dataplane/stages/permit_match.h"
#include "dataplane/stages/to_punt_thread.h"
#include "dataplane/worker_state.h"
#include "src/net/headers.h"

namespace portcullis::stages {

struct Punt {
  static constexpr std::string_view name = "punt";

  template <typename Group>
  static void run(Burst& burst, const Tables& tables, WorkerState& worker) noexcept {
    for_each_packet(burst.live & burst.arp, [&](uint32_t i) { arp(burst, tables, worker, i); });
    if ((burst.live & burst.ipv6) != 0) [[unlikely]]
      ipv6(burst, tables, worker);
    uint64_t to_own = 0;
    for (const Ipv4Addr own : tables.gateway.addresses)
      to_own |= Group::equal64_words(burst.ip, offsetof(Ipv4Fields, destination) / sizeof own, own.wire());
    for_each_packet(burst.live & ~burst.arp & ~burst.ipv6 & to_own,
                    [&](uint32_t i) { to_gateway<Ipv4>(burst, tables, worker, i); });
  }

 private:
  static void ipv6(Burst& burst, const Tables& tables, WorkerState& worker) {
    for_each_packet(burst.live & burst.neighbor,
                    [&](uint32_t i) { NeighborDiscovery::run(burst, tables, worker, i); });
    for (const Ipv6Addr& own : tables.gateway.addresses6)
      for_each_packet(burst.live & burst.ipv6, [&](uint32_t i) {
        if (burst.destination6[i] == own) to_gateway<Ipv6>(burst, tables, worker, i);
      });
  }

  static void arp(Burst& burst, const Tables& tables, WorkerState& worker, uint32_t i) {
    const PortInfo& port = tables.ports.ports[burst.in_port];
    // A port with a tunnel end has no untagged endpoints: what is untagged there is its remotes' and
    // routers'.
    const bool is_underlay = port.tunnel.ipv4 != Ipv4Addr() && (burst.from_link >> i & 1) == 0;
    ArpHeader header;
    std::memcpy(&header, frame_of(burst.mbuf[i]) + l3_offset, sizeof header);
    if (header.operation == arp_operation::request &&
        (answers_for(port, tables, header.target_address.address()) ||
         (is_underlay && header.target_address.address() == port.tunnel.ipv4)))
      return answer(burst, port, header, i);
    const Ipv4Addr sender = header.sender_address.address();
    const bool has_next_hop =
        port.role == PortRole::uplink && port.next_hop != Ipv4Addr();  // else a fixed MAC
    if (header.operation == arp_operation::reply &&
        ((has_next_hop && sender == port.next_hop) || (is_underlay && port.tunnel.is_on_link(sender))))
      return to_punt_thread(burst, worker, worker.next_hop_meters[burst.in_port], i);
    drop(burst, worker, i, Drop::arp_ignored);
  }

  static bool answers_for(const PortInfo& port, const Tables& tables, Ipv4Addr target) {
    if (port.role == PortRole::endpoint)
      return target == link_local_next_hop || target == port.endpoint_next_hop;
    const auto& own = tables.gateway.addresses;
    if (std::find(own.begin(), own.end(), target) != own.end()) return true;
    // For the whole pool and not only for what is bound: who asks learns nothing about which EIPs exist.
    // The router speaks for itself, wherever its address lies.
    return port.proxy_arp && target != port.next_hop &&
           tables.binding.find(View::edge, target).in_local_pool();
  }

  // RFC 826: the request's own buffer becomes the reply.
  static void answer(Burst& burst, const PortInfo& port, const ArpHeader& request, uint32_t i) {
    EthernetHeader ethernet;
    uint8_t* frame = frame_of(burst.mbuf[i]);
    std::memcpy(&ethernet, frame, sizeof ethernet);
    ethernet.destination = request.sender_mac;
    ethernet.source = port.mac;
    ArpHeader reply = request;
    reply.operation = arp_operation::reply;
    reply.sender_mac = port.mac;
    reply.sender_address = request.target_address;
    reply.target_mac = request.sender_mac;
    reply.target_address = request.sender_address;
    std::memcpy(frame, &ethernet, sizeof ethernet);
    std::memcpy(frame + l3_offset, &reply, sizeof reply);
    const uint64_t bit = uint64_t{1} << i;
    burst.live &= ~bit;
    burst.answered |= bit;
  }

  template <typename Family>
  static void to_gateway(Burst& burst, const Tables& tables, WorkerState& worker, uint32_t i) {
    if (burst.in_role != PortRole::uplink) return drop(burst, worker, i, Drop::gateway_not_permitted);
    const auto& source = Family::source(burst, i);
    if (tables.binding.find(View::edge, source).in_any_pool())
      return drop(burst, worker, i, Drop::gateway_spoofed_source);
    // The kernel would put them together, whatever the first one was permitted as.
    if ((burst.fragments >> i & 1) != 0) return drop(burst, worker, i, Drop::gateway_not_permitted);
    const auto query = inbound_query<Family>(burst, i, source, empty_tag_set);
    const auto permits = [&](const auto& rule) { return matches(rule, query, tables.tags); };
    if (std::ranges::none_of(rules_of(tables.gateway, query), permits))
      return drop(burst, worker, i, Drop::gateway_not_permitted);
    to_punt_thread(burst, worker, worker.punt_meters[burst.in_port], i);
  }
  static const std::vector<PermitRule>& rules_of(const GatewayInfo& gateway, const PermitQuery&) {
    return gateway.permit;
  }
  static const std::vector<PermitRule6>& rules_of(const GatewayInfo& gateway, const PermitQuery6&) {
    return gateway.permit6;
  }
};

}  // namespace portcullis::stages
