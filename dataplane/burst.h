// Up to 64 packets of one receive burst, in structure-of-arrays form: what one stage finds out and later ones
// read. A burst is judged as one moment: one clock, and no packet sees what another one changes.
//
// Nothing is initialised that nobody reads: an array element is valid once the stage named beside it has run
// and the packet is still live.
#pragma once

#include <rte_mbuf.h>

#include <bit>
#include <cstddef>
#include <cstdint>

#include "dataplane/tables/binding.h"
#include "dataplane/tables/fragment.h"
#include "dataplane/tables/port.h"
#include "src/net/five_tuple.h"
#include "src/net/headers.h"

namespace portcullis {

inline constexpr uint32_t burst_size = 64;
inline constexpr uint32_t burst_lookahead = 12;

// What most stages read of an IPv4 packet, as it lies in the frame from the TTL on: one load and one store.
// For ICMP queries and their replies both ports hold the identifier. Of an IPv6 packet `ttl` is the hop
// limit, `protocol` what follows its extension headers; its addresses are Burst::source6 and ::destination6.
struct alignas(16) Ipv4Fields {
  uint8_t ttl;
  uint8_t protocol;
  Be16 header_checksum;
  Ipv4Addr source;
  Ipv4Addr destination;
  Port source_port;
  Port destination_port;
};
static_assert(sizeof(Ipv4Fields) == 16);
static_assert(offsetof(Ipv4Fields, source) == offsetof(Ipv4Header, source) - offsetof(Ipv4Header, ttl));
static_assert(offsetof(Ipv4Fields, source_port) == sizeof(Ipv4Header) - offsetof(Ipv4Header, ttl));

// What a packet can be for a permit list, by its protocol and what its header says. Bits.
struct CanBe {
  static constexpr uint8_t reply = 1;      // a stateless one
  static constexpr uint8_t opener = 2;     // the first packet of an entry
  static constexpr uint8_t beginning = 4;  // TCP SYN without ACK, SCTP INIT: no entry admits it
};

class Rehearsal;

// The packet that an ICMP error is about: what is left of it behind the error's own header.
struct QuotedPacket {
  Ipv4Addr source;
  Ipv4Addr destination;
  Ipv6Addr source6;
  Ipv6Addr destination6;
  Port source_port;  // for ICMP queries and their replies both ports hold the identifier
  Port destination_port;
  uint8_t protocol;
  uint8_t icmp_type;
  uint8_t icmp_code;
  uint16_t ip_offset;  // in the frame
  uint16_t l4_offset;
  uint16_t l4_length;  // bytes of layer 4 that are quoted
};

// Where in its datagram a fragment lies.
struct FragmentPlace {
  Be32 identification;  // of IPv4 16 bits
  FragmentSpan span;
  bool is_last;
};

// Where the hit of a rule is counted.
class RuleHit {
 public:
  constexpr RuleHit() = default;  // no rule decided
  static constexpr RuleHit of_inline(uint32_t lane) { return RuleHit(lane); }
  static constexpr RuleHit of_chunk(uint32_t counter) { return RuleHit(in_chunk | counter); }
  [[nodiscard]] constexpr bool is_one() const { return raw_ != none; }
  [[nodiscard]] constexpr bool is_inline() const { return raw_ < in_chunk; }
  // Of the record's SlotCounters::rule_hits, or of WorkerCounters::chunk_hits.
  [[nodiscard]] constexpr uint32_t counter() const { return raw_ & ~in_chunk; }
  friend constexpr bool operator==(RuleHit, RuleHit) = default;

 private:
  static constexpr uint32_t none = UINT32_MAX;
  static constexpr uint32_t in_chunk = uint32_t{1} << 31;
  explicit constexpr RuleHit(uint32_t raw) : raw_(raw) {}
  uint32_t raw_ = none;
};

// What admit finds out about one side of each packet and commit acts on. Bit i of a mask: of packet i.
struct SideVerdicts {
  RuleHit hit[burst_size];
  // The side touches its flow entry: one that counts is refreshed. What follows is valid for these packets
  // only.
  uint64_t entry = 0;
  SideTuple key[burst_size];
  SideTuple6 key6[burst_size];
  uint32_t hash[burst_size];
  uint32_t found[burst_size];  // index of the live entry, FlowTable::none if there is none
  uint64_t opens = 0;          // a rule lets an entry be opened when there is none that counts
  uint64_t stands = 0;         // the entry found counts, judged under list and remote as they are now
};

struct Burst {
  uint32_t count = 0;
  PortId in_port = 0;
  PortRole in_role = PortRole::none;
  uint64_t now_ms = 0;
  bool taken_over = false;         // from another worker, which has counted it as received
  Rehearsal* rehearsal = nullptr;  // its one packet is rehearsed: nothing is counted, written or sent
  uint64_t live = 0;               // bit i: packet i is still being judged
  uint64_t from_link = 0;          // bit i: it came with tags or by a tunnel (decapsulate)
  uint64_t ipv6 = 0;               // bit i: an IPv6 packet (parse)
  uint64_t arp = 0;                // bit i: an ARP packet (parse)
  uint64_t neighbor = 0;           // bit i: Neighbor Discovery (parse)
  uint64_t errors = 0;             // bit i: an ICMP error (parse)
  uint64_t fragments = 0;          // bit i: a fragment (parse)
  uint64_t later_fragments = 0;    // bit i: not the first of its datagram: it has no transport header (parse)
  uint64_t options = 0;            // bit i: its IPv4 header has options (parse)
  uint64_t answered = 0;           // bit i: rewritten in place as an answer, leaves by in_port (punt, route)
  // Beyond `count`: the last again, so that prefetching ahead needs no bounds.
  rte_mbuf* mbuf[burst_size + burst_lookahead];

  // decapsulate
  LinkId in_link[burst_size];  // of packets in from_link only

  // parse
  Ipv4Fields ip[burst_size];
  Ipv6Addr source6[burst_size];  // of IPv6 packets only, as the next two
  Ipv6Addr destination6[burst_size];
  uint16_t l4_at[burst_size];         // where in the frame layer 4 begins
  uint16_t total_length[burst_size];  // L3 bytes
  uint8_t can_be[burst_size];         // bits of CanBe
  uint8_t tcp_flags[burst_size];
  uint8_t icmp_type[burst_size];
  uint8_t icmp_code[burst_size];
  QuotedPacket quoted[burst_size];     // of errors only
  FragmentPlace fragment[burst_size];  // of fragments only

  // identify
  uint64_t has_source = 0;  // bit i: the source is an endpoint here
  uint64_t has_destination = 0;
  const BindingRecord* source[burst_size];  // nullptr if it is none
  const BindingRecord* destination[burst_size];

  // admit
  SideVerdicts leaving;       // of the source's list
  SideVerdicts entering;      // of the destination's
  uint64_t flow_version = 0;  // `found` holds while the flow table has this version
  uint64_t flow_version6 = 0;

  // route
  PortId out_port[burst_size];
  MacWord next_hop_mac[burst_size];
  uint64_t to_link = 0;              // bit i: leaves with tags or by a tunnel
  LinkId out_link[burst_size];       // of packets in to_link only, as the next
  MacWord underlay_mac[burst_size];  // next hop of a tunnel
};

// The link that a packet came by.
inline LinkId link_of(const Burst& burst, uint32_t i) {
  return (burst.from_link >> i & 1) != 0 ? burst.in_link[i] : burst.in_port;
}

// Calls body(i) for every set bit, lowest first. The mask is read once: body may drop packets.
template <typename Body>
inline void for_each_packet(uint64_t mask, Body&& body) {
  for (; mask != 0; mask &= mask - 1) body(static_cast<uint32_t>(std::countr_zero(mask)));
}

inline uint8_t* frame_of(const rte_mbuf* mbuf) {
  return rte_pktmbuf_mtod(mbuf, uint8_t*);
}

// Layer 3 begins behind an untagged Ethernet header.
inline constexpr uint32_t l3_offset = sizeof(EthernetHeader);
inline constexpr uint32_t l4_offset = l3_offset + sizeof(Ipv4Header);

}  // namespace portcullis
