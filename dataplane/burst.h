// Up to 64 packets of one receive burst, in structure-of-arrays form: what one stage finds out and later ones
// read. A burst is judged as one moment: one clock, one look at every table.
//
// Nothing is initialised that nobody reads: an array element is valid once the stage named beside it has run
// and the packet is still live.
#pragma once

#include <rte_mbuf.h>

#include <bit>
#include <cstdint>

#include "dataplane/tables/binding.h"
#include "dataplane/tables/port.h"
#include "src/net/five_tuple.h"
#include "src/net/headers.h"

namespace portcullis {

inline constexpr uint32_t burst_size = 64;

// Where the hit of a rule is counted; `none` when no rule decided.
struct RuleHit {
  static constexpr uint32_t none = UINT32_MAX;
  static constexpr uint32_t in_chunk = uint32_t{1} << 31;
  uint32_t index = none;  // of WorkerCounters::inline_hits, or with in_chunk of ::chunk_hits
};

// What a side's verdict will do, once no reason to refuse the packet is left.
struct SideIntent {
  RuleHit hit;
  bool may_open = false;                      // an entry is opened when there is none that counts
  Direction direction = Direction::outbound;  // of the packet, as the side sees it
};

struct Burst {
  uint32_t count = 0;
  PortId in_port = 0;
  PortRole in_role = PortRole::none;
  uint64_t now_ms = 0;
  uint64_t live = 0;      // bit i: packet i is still being judged
  uint64_t arp = 0;       // bit i: an ARP packet (parse)
  uint64_t answered = 0;  // bit i: rewritten in place as an answer, leaves by in_port (punt)
  rte_mbuf* mbuf[burst_size];

  // parse
  Ipv4Addr source_address[burst_size];
  Ipv4Addr destination_address[burst_size];
  Port source_port[burst_size];  // ICMP: the identifier, in both
  Port destination_port[burst_size];
  uint16_t total_length[burst_size];  // L3 bytes
  uint8_t protocol[burst_size];
  uint8_t ttl[burst_size];
  uint8_t tcp_flags[burst_size];
  uint8_t icmp_type[burst_size];
  uint8_t icmp_code[burst_size];

  // identify: nullptr when that side is no endpoint here
  const BindingRecord* source[burst_size];
  const BindingRecord* destination[burst_size];

  // admit
  SideIntent source_intent[burst_size];
  SideIntent destination_intent[burst_size];
  // Bit i: that side of packet i touches its flow entry: one that counts is refreshed. Only there are valid:
  uint64_t source_entry = 0;
  uint64_t destination_entry = 0;
  SideTuple source_key[burst_size];
  SideTuple destination_key[burst_size];
  uint32_t source_hash[burst_size];
  uint32_t destination_hash[burst_size];
  uint32_t source_found[burst_size];  // index of the live entry, FlowTable::none if there is none, ...
  uint32_t destination_found[burst_size];
  uint64_t flow_version = 0;  // ... while the flow table has this version

  // route
  PortId out_port[burst_size];
  MacWord next_hop_mac[burst_size];
};

// Calls body(i) for every set bit, lowest first. The mask is read once: body may drop packets.
template <typename Body>
inline void for_each_packet(uint64_t mask, Body&& body) {
  for (; mask != 0; mask &= mask - 1) body(static_cast<uint32_t>(std::countr_zero(mask)));
}

inline uint8_t* frame_of(const rte_mbuf* mbuf) {
  return rte_pktmbuf_mtod(mbuf, uint8_t*);
}

// IPv4 begins behind an untagged Ethernet header.
inline constexpr uint32_t l3_offset = sizeof(EthernetHeader);
inline constexpr uint32_t l4_offset = l3_offset + sizeof(Ipv4Header);

}  // namespace portcullis
