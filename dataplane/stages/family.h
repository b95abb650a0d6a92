// What stages that serve both address families need to know of one: where its packets' addresses lie, what
// its records say, which tables are its own. A stage is written once, as a template over these two.
#pragma once

#include <cstdint>

#include "dataplane/worker_state.h"
#include "src/net/headers.h"

namespace portcullis::stages {

struct Ipv4 {
  using Address = Ipv4Addr;
  using Tuple = SideTuple;
  static constexpr uint32_t header = sizeof(Ipv4Header);  // at least
  static constexpr uint8_t icmp = ip_protocol::icmp;

  static uint64_t packets(const Burst& burst) { return ~burst.ipv6; }
  static Ipv4Addr source(const Burst& burst, uint32_t i) { return burst.ip[i].source; }
  static Ipv4Addr destination(const Burst& burst, uint32_t i) { return burst.ip[i].destination; }
  static Ipv4Addr source(const QuotedPacket& quoted) { return quoted.source; }
  static Ipv4Addr destination(const QuotedPacket& quoted) { return quoted.destination; }
  static Ipv4Addr eip(const BindingRecord& record) { return record.ipv4.eip; }
  static Ipv4Addr dip(const BindingRecord& record) { return record.ipv4.dip; }
  static const FlowTerms& terms(const BindingRecord& record, const Tables&) { return record.ipv4.terms; }

  static const SideTuple* keys(const SideVerdicts& verdicts) { return verdicts.key; }
  static SideTuple* keys(SideVerdicts& verdicts) { return verdicts.key; }
  static SideTuple key(const BindingRecord& side, Ipv4Addr remote, Port local_port, Port remote_port,
                       uint8_t protocol, uint8_t icmp_query) {
    return SideTuple::of(side.ipv4.eip, remote, local_port, remote_port, protocol, icmp_query);
  }
  static FlowTable& flows(WorkerState& worker) { return worker.flows; }
  static const FlowTable& flows(const WorkerState& worker) { return worker.flows; }
  static FragmentTable& fragments(WorkerState& worker) { return worker.fragments; }
  static uint64_t& flow_version(Burst& burst) { return burst.flow_version; }
  static uint64_t flow_version(const Burst& burst) { return burst.flow_version; }
  static FragmentKey fragment_key(const Burst& burst, uint32_t i) {
    return {.source = burst.ip[i].source,
            .destination = burst.ip[i].destination,
            .identification = Be16::from_host(static_cast<uint16_t>(burst.fragment[i].identification.host())),
            .protocol = burst.ip[i].protocol,
            .link = link_of(burst, i)};
  }

  static constexpr bool has_no_meaning(uint8_t protocol) {
    return ip_protocol::has_no_meaning_in_ipv4(protocol);
  }
  static constexpr bool is_error(uint8_t type) { return is_icmp_error(type); }
  static constexpr bool is_query(uint8_t type) { return is_icmp_query(type); }
  static constexpr bool is_reply(uint8_t type) { return is_icmp_reply(type); }
  static constexpr uint8_t query_of(uint8_t type) { return icmp_query_of(type); }
  static PermitQuery query(Direction direction, uint8_t protocol, uint16_t local_port, uint16_t remote_port,
                           Ipv4Addr remote, TagSetId remote_tags) {
    return {.direction = direction,
            .protocol = protocol,
            .local_port = local_port,
            .remote_port = remote_port,
            .remote = remote,
            .remote_tags = remote_tags};
  }
};

struct Ipv6 {
  using Address = Ipv6Addr;
  using Tuple = SideTuple6;
  static constexpr uint32_t header = sizeof(Ipv6Header);
  static constexpr uint8_t icmp = ip_protocol::icmpv6;

  static uint64_t packets(const Burst& burst) { return burst.ipv6; }
  static const Ipv6Addr& source(const Burst& burst, uint32_t i) { return burst.source6[i]; }
  static const Ipv6Addr& destination(const Burst& burst, uint32_t i) { return burst.destination6[i]; }
  static const Ipv6Addr& source(const QuotedPacket& quoted) { return quoted.source6; }
  static const Ipv6Addr& destination(const QuotedPacket& quoted) { return quoted.destination6; }
  static const Ipv6Addr& eip(const BindingRecord& record) { return record.ipv6.eip; }
  static const Ipv6Addr& dip(const BindingRecord& record) { return record.ipv6.dip; }
  static const FlowTerms& terms(const BindingRecord& record, const Tables& tables) {
    return tables.binding.ipv6_terms(record);
  }

  static const SideTuple6* keys(const SideVerdicts& verdicts) { return verdicts.key6; }
  static SideTuple6* keys(SideVerdicts& verdicts) { return verdicts.key6; }
  static SideTuple6 key(const BindingRecord& side, const Ipv6Addr& remote, Port local_port, Port remote_port,
                        uint8_t protocol, uint8_t icmp_query) {
    return SideTuple6::of(side.id, remote, local_port, remote_port, protocol, icmp_query);
  }
  static FlowTable6& flows(WorkerState& worker) { return worker.flows6; }
  static const FlowTable6& flows(const WorkerState& worker) { return worker.flows6; }
  static FragmentTable6& fragments(WorkerState& worker) { return worker.fragments6; }
  static uint64_t& flow_version(Burst& burst) { return burst.flow_version6; }
  static uint64_t flow_version(const Burst& burst) { return burst.flow_version6; }
  static FragmentKey6 fragment_key(const Burst& burst, uint32_t i) {
    return {.source = burst.source6[i],
            .destination = burst.destination6[i],
            .identification = burst.fragment[i].identification,
            .link = link_of(burst, i)};
  }

  static constexpr bool has_no_meaning(uint8_t protocol) {
    return ip_protocol::has_no_meaning_in_ipv6(protocol);
  }
  static constexpr bool is_error(uint8_t type) { return is_icmpv6_error(type); }
  static constexpr bool is_query(uint8_t type) { return type == icmpv6_type::echo_request; }
  static constexpr bool is_reply(uint8_t type) { return type == icmpv6_type::echo_reply; }
  static constexpr uint8_t query_of(uint8_t type) {
    return type == icmpv6_type::echo_reply ? icmpv6_type::echo_request : type;
  }
  static PermitQuery6 query(Direction direction, uint8_t protocol, uint16_t local_port, uint16_t remote_port,
                            const Ipv6Addr& remote, TagSetId remote_tags) {
    return PermitQuery6::of(direction, protocol, local_port, remote_port, remote, remote_tags);
  }
};

// What is still judged of one family.
template <typename Family>
inline uint64_t live_of(const Burst& burst) {
  return burst.live & Family::packets(burst);
}

// What a stage does for each family: Stage::of_family<Group, Family>(). For IPv6 a function of its own, which
// bursts without any do not call.
template <typename Stage>
struct OfIpv6 {
  template <typename Group>
  static void run(Burst& burst, const Tables& tables, WorkerState& worker) noexcept {
    Stage::template of_family<Group, Ipv6>(burst, tables, worker);
  }
};
template <typename Group, typename Stage>
inline void for_each_family(Burst& burst, const Tables& tables, WorkerState& worker) {
  Stage::template of_family<Group, Ipv4>(burst, tables, worker);
  if (live_of<Ipv6>(burst) != 0) [[unlikely]]
    Group::template call<OfIpv6<Stage>>(burst, tables, worker);
}

// The packet as its destination's list sees it.
template <typename Family>
inline auto inbound_query(const Burst& burst, uint32_t i, const typename Family::Address& remote,
                          TagSetId remote_tags) {
  const Ipv4Fields& ip = burst.ip[i];
  const bool icmp = ip.protocol == Family::icmp;
  return Family::query(Direction::inbound, ip.protocol,
                       icmp ? uint16_t{burst.icmp_type[i]} : ip.destination_port.host(),
                       icmp ? uint16_t{burst.icmp_code[i]} : ip.source_port.host(), remote, remote_tags);
}

// The packet as its source's list sees it.
template <typename Family>
inline auto outbound_query(const Burst& burst, uint32_t i, const typename Family::Address& remote,
                           TagSetId remote_tags) {
  const Ipv4Fields& ip = burst.ip[i];
  const bool icmp = ip.protocol == Family::icmp;
  return Family::query(Direction::outbound, ip.protocol,
                       icmp ? uint16_t{burst.icmp_type[i]} : ip.source_port.host(),
                       icmp ? uint16_t{burst.icmp_code[i]} : ip.destination_port.host(), remote, remote_tags);
}

}  // namespace portcullis::stages
