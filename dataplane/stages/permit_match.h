// What admit and punt ask permit lists, and how a packet becomes such a question.
#pragma once

#include <bit>
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
  if (record.rule_count > plain_permit_rules) {
    const PermitVerdict found = tables.permit.find_in_families<Group>(record.chunk, query, tables.tags);
    if (!found.is_rule()) return std::nullopt;
    return RuleMatch{{found.is_inline() ? record.slot * inline_permit_rules + found.hit()
                                        : RuleHit::in_chunk | (found.hit() - inline_permit_rules)},
                     found.is_tracked()};
  }
  uint32_t found = matching_lanes<Group>(record.rules, query, tables.tags);
  if (record.rule_count <= inline_permit_rules) {
    if (found == 0) return std::nullopt;
    const auto lane = static_cast<uint32_t>(std::countr_zero(found));
    return RuleMatch{{record.slot * inline_permit_rules + lane}, record.rules.is_tracked(lane)};
  }
  found |= tables.permit.matching_in_plain<Group>(record.chunk, record.rule_count - inline_permit_rules,
                                                  query, tables.tags)
           << inline_permit_rules;
  if (found == 0) return std::nullopt;
  const auto rule = static_cast<uint32_t>(std::countr_zero(found));
  // By index and not by branch: where the rule lies cannot be predicted.
  const uint32_t quad = rule / PermitQuad::lanes;
  const uint32_t beyond = quad == 0 ? 0 : 1;
  const PermitQuad* quads[2] = {&record.rules, tables.permit.chunk(record.chunk).plain.quads.data()};
  const uint32_t hits[2] = {record.slot * inline_permit_rules,
                            RuleHit::in_chunk | record.chunk * permit_chunk_rules};
  return RuleMatch{{hits[beyond] + rule - beyond * inline_permit_rules},
                   quads[beyond][quad - beyond].is_tracked(rule % PermitQuad::lanes)};
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
