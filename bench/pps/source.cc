#include "bench/pps/source.h"

#include <algorithm>

#include "dataplane/burst.h"
#include "dataplane/spread.h"

namespace portcullis::bench {
namespace {

// Clients, of which each flow has one: 198.18.0.0/15 (RFC 2544) and a port.
constexpr uint32_t client_net = 198u << 24 | 18u << 16;
constexpr uint32_t client_bits = 17;
constexpr uint16_t first_client_port = 1024;

// Packet::number of a SYN of a flood: no flow has one as high.
constexpr uint32_t flood_number = uint32_t{1} << 31;

uint16_t mixed_length(uint16_t smallest, uint64_t random) {
  return static_cast<uint16_t>(smallest + random % (largest_frame - smallest + 1u));
}

}  // namespace

FlowSource::FlowSource(const Workload& workload)
    : workload_(workload), order_(workload.flows, workload.zipf) {
  if (workload.has_long_list()) shaped_ = shaped_rules(workload.rules, workload.shapes);
}

Packet FlowSource::at(Way way, uint64_t n) const {
  Packet packet = of_flow(way, order_(n));
  if (workload_.work == Work::unbound || workload_.work == Work::not_permitted)
    packet.remote = random_source(mix(n));
  return packet;
}

Packet FlowSource::of_flow(Way way, uint32_t flow) const {
  const uint64_t random = mix(flow + 1);
  const bool at_nobody = workload_.work == Work::unbound;
  const uint32_t endpoint = at_nobody ? workload_.eips + flow : flow % workload_.eips;
  const uint16_t service = static_cast<uint16_t>(first_service + random % 4);
  const uint16_t client_port = static_cast<uint16_t>(first_client_port + (flow >> client_bits));
  Packet packet{
      .eip = eip_of(endpoint),
      .dip = dip_of(endpoint),
      .remote = Ipv4Addr::from_host(client_net + (flow & ((1u << client_bits) - 1))),
      .local_port = service,
      .remote_port = client_port,
      .length = workload_.sizes ? mixed_length(workload_.smallest(), random >> 8) : workload_.smallest(),
      .way = way,
      .ipv6 = workload_.ipv6,
      .number = flow};
  switch (workload_.work) {
    case Work::unbound:
      packet.drop = Drop::unbound;
      break;
    case Work::not_permitted:
      packet.local_port = forbidden_port;
      packet.drop = Drop::destination_not_permitted;
      break;
    case Work::tracked:
    case Work::flood:  // the endpoint is the client, the outside the service
      packet.local_port = client_port;
      packet.remote_port = service;
      packet.may_be_refused = way == Way::out;
      break;
    default:
      if (!shaped_.empty()) aim_at_rule(packet, flow);
      break;
  }
  return packet;
}

// Flows go round over EIPs and rules alike. The remote lies anywhere under the rule's prefix.
void FlowSource::aim_at_rule(Packet& packet, uint32_t flow) const {
  const PermitRule& rule = shaped_[flow % shaped_.size()];
  const auto endpoint = static_cast<uint32_t>(flow / shaped_.size() % workload_.eips);
  const uint64_t random = mix(flow + 1);
  packet.eip = eip_of(endpoint);
  packet.dip = dip_of(endpoint);
  packet.remote = rule.prefix_length == 0
                      ? random_source(random)
                      : Ipv4Addr::from_host(rule.remote | (static_cast<uint32_t>(random) &
                                                           ~Ipv4Prefix::mask(rule.prefix_length)));
  const uint32_t ports = uint32_t{rule.local_ports.last} - rule.local_ports.first + 1;
  packet.local_port = static_cast<uint16_t>(rule.local_ports.first + (random >> 24) % ports);
  packet.remote_port = static_cast<uint16_t>(first_client_port + (random >> 32) % 60000);
  if (workload_.miss) {
    // Where a shape holds no rule from any, it is searched in vain; else no shape must have the port.
    packet.remote = source_in_no_rule(random);
    if (workload_.shapes < 2 || rule.prefix_length == 0) packet.local_port = forbidden_port;
    packet.drop = packet.way == Way::in ? Drop::destination_not_permitted : Drop::source_not_permitted;
  }
}

uint32_t FlowSource::fill(Way way, std::span<Packet> packets) {
  uint64_t& sent = sent_[static_cast<size_t>(way)];
  for (Packet& packet : packets) {
    do packet = at(way, sent++);
    while (is_refused(packet.number));
  }
  return static_cast<uint32_t>(packets.size());
}

Packet FlowSource::denied(Packet packet) const {
  const bool opened_by_endpoint = workload_.work == Work::tracked || workload_.work == Work::flood;
  if (packet.way == Way::out && opened_by_endpoint)
    packet.remote_port = forbidden_port;
  else
    packet.local_port = forbidden_port;
  if (!packet.drop)
    packet.drop = packet.way == Way::in ? Drop::destination_not_permitted : Drop::source_not_permitted;
  packet.may_be_refused = false;
  return packet;
}

void FlowSource::refuse(uint32_t flow) {
  if (refused_.empty()) refused_.resize(workload_.flows);
  if (refused_[flow]) return;
  refused_[flow] = true;
  ++refused_count_;
}

uint32_t owner_of(const Packet& packet, uint32_t workers) {
  const uint16_t folded =
      packet.ipv6 ? Spread::fold(ipv6_remote(packet.remote)) : Spread::fold(packet.remote);
  return Spread::worker_of_bucket(Spread::bucket(folded), workers);
}

uint32_t arrives_at(const Packet& packet, uint32_t workers, bool unspread) {
  if (!unspread) return owner_of(packet, workers);
  return static_cast<uint32_t>(mix(uint64_t{packet.number} * 2 + static_cast<uint64_t>(packet.way)) %
                               workers);
}

ShareSource::ShareSource(const FlowSource& flows, const Workload& workload, uint32_t worker)
    : flows_(flows), workers_(workload.workers), worker_(worker), unspread_(workload.unspread) {
  sent_.fill(std::vector<uint64_t>(workers_));
}

uint32_t ShareSource::fill(Way way, std::span<Packet> packets) {
  for (Packet& packet : packets) {
    const uint32_t owner = unspread_ ? turn_++ % workers_ : worker_;
    uint64_t& sent = sent_[static_cast<size_t>(way)][owner];
    do packet = flows_.at(way, sent++);
    while (owner_of(packet, workers_) != owner || arrives_at(packet, workers_, unspread_) != worker_ ||
           flows_.is_refused(packet.number));
  }
  return static_cast<uint32_t>(packets.size());
}

StormSource::StormSource(const Workload& workload, uint64_t tsc_hz)
    : workload_(workload),
      clocks_per_flow_(workload.pace > 0 ? static_cast<double>(tsc_hz) / (workload.pace * 1e6) : 0) {}

// The EIPs take turns; at each the client port moves before the remote address does, so that no five-tuple
// comes again within any idle time.
Packet StormSource::packet_of(Way way, uint32_t flow) const {
  constexpr uint32_t ports = 60000;
  const uint32_t endpoint = flow % workload_.eips;
  const uint32_t round = flow / workload_.eips;
  return {.eip = eip_of(endpoint),
          .dip = dip_of(endpoint),
          .remote = Ipv4Addr::from_host(client_net + round / ports % (1u << client_bits)),
          .local_port = static_cast<uint16_t>(first_client_port + round % ports),
          .remote_port = static_cast<uint16_t>(first_service + mix(flow) % 4),
          .flags = static_cast<uint8_t>(way == Way::out ? tcp_flag::syn : tcp_flag::syn | tcp_flag::ack),
          .way = way,
          .may_be_refused = way == Way::out,
          .number = flow};
}

uint32_t StormSource::fill(Way way, std::span<Packet> packets) {
  uint32_t count = 0;
  if (way == Way::out) {
    for (Packet& packet : packets) packet = packet_of(way, static_cast<uint32_t>(attempts_++));
    return static_cast<uint32_t>(packets.size());
  }
  for (; count < packets.size() && !to_answer_.empty(); to_answer_.pop_front())
    packets[count++] = packet_of(way, to_answer_.front());
  return count;
}

void StormSource::came_out(Way way, std::span<rte_mbuf* const> frames) {
  if (way != Way::out) return;
  opened_ += frames.size();
  for (const rte_mbuf* frame : frames) to_answer_.push_back(number_of(frame_of(frame)));
}

uint64_t StormSource::due_clocks() const {
  return static_cast<uint64_t>(clocks_per_flow_ * static_cast<double>(attempts_));
}

FloodSource::FloodSource(const Workload& workload, FlowSource& flows) : workload_(workload), flows_(flows) {}

uint32_t FloodSource::fill(Way way, std::span<Packet> packets) {
  for (Packet& packet : packets) {
    const uint64_t random = mix(++sent_);
    if ((random & 1) != 0) {
      flows_.fill(way, {&packet, 1});
      ++established_sent_;
      continue;
    }
    const auto endpoint = static_cast<uint32_t>((random >> 8) % workload_.eips);
    packet = {.eip = eip_of(endpoint),
              .dip = dip_of(endpoint),
              .remote = random_source(mix(random)),
              .local_port = unmatched_ ? forbidden_port : flooded_port,
              .remote_port = static_cast<uint16_t>(first_client_port + (random >> 40) % 60000),
              .flags = tcp_flag::syn,
              .way = way,
              .may_be_refused = !unmatched_,
              .number = flood_number};
    if (unmatched_) packet.drop = Drop::destination_not_permitted;
  }
  return static_cast<uint32_t>(packets.size());
}

void FloodSource::came_out(Way, std::span<rte_mbuf* const> frames) {
  established_out_ += static_cast<uint64_t>(std::ranges::count_if(
      frames, [](const rte_mbuf* frame) { return number_of(frame_of(frame)) != flood_number; }));
}

}  // namespace portcullis::bench
