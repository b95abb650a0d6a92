// punt: what is for the gateway itself. ARP for the endpoints' next hop, for the gateway's addresses and for
// proxied pools is answered in place; ARP replies of next hops and packets that the gateway's own permit list
// lets in go by ring to the punt thread, policed per port.
//
// Reads frames of ARP packets, destination addresses; writes Burst::answered.
// Drops: arp_ignored, gateway_not_permitted, gateway_spoofed_source, punt_rate, punt_full.
#pragma once

#include <rte_ring.h>

#include <algorithm>
#include <cstring>
#include <string_view>

#include "dataplane/stages/permit_match.h"
#include "dataplane/worker_state.h"
#include "src/net/headers.h"

namespace portcullis::stages {

struct Punt {
  static constexpr std::string_view name = "punt";

  template <typename Group>
  static void run(Burst& burst, const Tables& tables, WorkerState& worker) noexcept {
    for_each_packet(burst.live & burst.arp, [&](uint32_t i) { arp(burst, tables, worker, i); });
    uint64_t to_own = 0;
    for (const Ipv4Addr own : tables.gateway.addresses)
      to_own |= Group::equal64_words(burst.ip, offsetof(Ipv4Fields, destination) / sizeof own, own.wire());
    for_each_packet(burst.live & ~burst.arp & to_own,
                    [&](uint32_t i) { to_gateway(burst, tables, worker, i); });
  }

 private:
  static void arp(Burst& burst, const Tables& tables, WorkerState& worker, uint32_t i) {
    const PortInfo& port = tables.ports.ports[burst.in_port];
    ArpHeader header;
    std::memcpy(&header, frame_of(burst.mbuf[i]) + l3_offset, sizeof header);
    if (header.operation == arp_operation::request &&
        answers_for(port, tables, header.target_address.address()))
      return answer(burst, port, header, i);
    const bool has_next_hop =
        port.role == PortRole::uplink && port.next_hop != Ipv4Addr();  // else a fixed MAC
    if (header.operation == arp_operation::reply && has_next_hop &&
        header.sender_address.address() == port.next_hop)
      return punt(burst, worker, worker.next_hop_meters[burst.in_port], i);
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

  static void to_gateway(Burst& burst, const Tables& tables, WorkerState& worker, uint32_t i) {
    if (burst.in_role != PortRole::uplink) return drop(burst, worker, i, Drop::gateway_not_permitted);
    if (tables.binding.find(View::edge, burst.ip[i].source).in_any_pool())
      return drop(burst, worker, i, Drop::gateway_spoofed_source);
    // The kernel would put them together, whatever the first one was permitted as.
    if ((burst.fragments >> i & 1) != 0) return drop(burst, worker, i, Drop::gateway_not_permitted);
    const PermitQuery query = inbound_query(burst, i, burst.ip[i].source, empty_tag_set);
    const auto permits = [&](const PermitRule& rule) { return matches(rule, query, tables.tags); };
    if (std::none_of(tables.gateway.permit.begin(), tables.gateway.permit.end(), permits))
      return drop(burst, worker, i, Drop::gateway_not_permitted);
    punt(burst, worker, worker.punt_meters[burst.in_port], i);
  }

  static void punt(Burst& burst, WorkerState& worker, PuntMeter& meter, uint32_t i) {
    const uint64_t now_tsc = burst.now_ms * (worker.tsc_hz / 1000);
    if (rte_meter_srtcm_color_blind_check(&meter.meter, &meter.profile, now_tsc, 1) != RTE_COLOR_GREEN)
      return drop(burst, worker, i, Drop::punt_rate);
    if (worker.config.to_punt == nullptr || rte_ring_sp_enqueue(worker.config.to_punt, burst.mbuf[i]) != 0)
      return drop(burst, worker, i, Drop::punt_full);
    worker.counters.punted.add(1);
    burst.live &= ~(uint64_t{1} << i);
  }
};

}  // namespace portcullis::stages
