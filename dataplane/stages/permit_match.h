// What admit and punt ask permit lists, and how a packet becomes such a question.
#pragma once

#include <optional>

#include "dataplane/burst.h"
#include "dataplane/tables/permit.h"
#include "dataplane/tables/tables.h"

namespace portcullis::stages {

struct RuleMatch {
  RuleHit hit;
  bool tracked = false;
};

// The first rule of a record's list that matches. Rules that track nothing come first (compile), so a match
// that is tracked says that no untracked one exists.
template <typename Group>
inline std::optional<RuleMatch> find_rule(const BindingRecord& record, const PermitQuery& query,
                                          const Tables& tables) {
  const uint32_t lane = first_match<Group>(record.rules, query, tables.tags);
  if (lane < PermitQuad::lanes)
    return RuleMatch{{record.slot * inline_permit_rules + lane}, record.rules.is_tracked(lane)};
  if (record.rule_count <= inline_permit_rules) return std::nullopt;
  uint32_t left = record.rule_count - inline_permit_rules;
  for (uint32_t index = record.chunk; left > 0 && index != no_permit_chunk;) {
    const PermitChunk& chunk = tables.permit.chunk(index);
    for (uint32_t r = 0; r < permit_chunk_rules && left > 0; ++r, --left)
      if (matches(chunk.rules[r], query, tables.tags))
        return RuleMatch{{RuleHit::in_chunk | (index * permit_chunk_rules + r)}, chunk.rules[r].is_tracked()};
    index = chunk.next;
  }
  return std::nullopt;
}

// The packet as its destination's list sees it.
inline PermitQuery inbound_query(const Burst& burst, uint32_t i, Ipv4Addr remote, TagSetId remote_tags) {
  const bool icmp = burst.protocol[i] == ip_protocol::icmp;
  return {.direction = Direction::inbound,
          .protocol = burst.protocol[i],
          .local_port = icmp ? uint16_t{burst.icmp_type[i]} : burst.destination_port[i].host(),
          .remote_port = icmp ? uint16_t{burst.icmp_code[i]} : burst.source_port[i].host(),
          .remote = remote,
          .remote_tags = remote_tags};
}

// The packet as its source's list sees it.
inline PermitQuery outbound_query(const Burst& burst, uint32_t i, Ipv4Addr remote, TagSetId remote_tags) {
  const bool icmp = burst.protocol[i] == ip_protocol::icmp;
  return {.direction = Direction::outbound,
          .protocol = burst.protocol[i],
          .local_port = icmp ? uint16_t{burst.icmp_type[i]} : burst.source_port[i].host(),
          .remote_port = icmp ? uint16_t{burst.icmp_code[i]} : burst.destination_port[i].host(),
          .remote = remote,
          .remote_tags = remote_tags};
}

}  // namespace portcullis::stages
