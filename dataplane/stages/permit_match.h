// What admit and punt ask permit lists, and how a packet becomes such a question.
#pragma once

#include <bit>

#include "dataplane/burst.h"
#include "dataplane/tables/permit.h"
#include "dataplane/tables/tables.h"

namespace portcullis::stages {

struct RuleMatch {
  RuleHit hit;
  bool tracked = false;
  [[nodiscard]] constexpr bool is_one() const { return hit.is_one(); }
};

// Which of the rules that lie in the record match, as bits.
template <typename Group>
inline uint32_t matching_inline(const BindingRecord& record, const PermitQuery& query, const Tables& tables) {
  return matching_lanes<Group>(record.rules, query, tables.tags);
}
template <typename Group>
inline uint32_t matching_inline(const BindingRecord& record, const PermitQuery6& query,
                                const Tables& tables) {
  return matching_lanes<Group>(record.rules, tables.binding.rests(record), query, tables.tags);
}

// The first rule that matches of a list that lies in its record.
template <typename Group, typename Query>
inline RuleMatch find_inline_rule(const BindingRecord& record, const Query& query, const Tables& tables) {
  const uint32_t found = matching_inline<Group>(record, query, tables);
  if (found == 0) return {};
  const auto lane = static_cast<uint32_t>(std::countr_zero(found));
  return {RuleHit::of_inline(lane), record.rules.is_tracked(lane)};
}

// That a list's families gave.
inline RuleMatch match_of(PermitVerdict found) {
  if (!found.is_rule()) return {};
  return {found.is_inline() ? RuleHit::of_inline(found.hit())
                            : RuleHit::of_chunk(found.hit() - inline_permit_rules),
          found.is_tracked()};
}

// The same of a longer one. A function of its own: within the loops of admit its registers would be spilled.
struct FindLongRule {
  template <typename Group>
  static void run(const BindingRecord& record, const PermitQuery6& query, const Tables& tables,
                  RuleMatch& match) noexcept {
    if (record.rule_count > plain_ipv6_permit_rules) {
      match = match_of(tables.permit.find_in_families<Group>(record.chunk, query, tables.tags));
      return;
    }
    match = find_inline_rule<Group>(record, query, tables);
    if (match.is_one()) return;
    match = match_of(tables.permit.find_in_plain6<Group>(
        record.chunk, record.rule_count - inline_permit_rules, query, tables.tags));
  }

  template <typename Group>
  static void run(const BindingRecord& record, const PermitQuery& query, const Tables& tables,
                  RuleMatch& match) noexcept {
    if (record.rule_count > plain_permit_rules) {
      match = match_of(tables.permit.find_in_families<Group>(record.chunk, query, tables.tags));
      return;
    }
    uint32_t found = matching_lanes<Group>(record.rules, query, tables.tags);
    found |= tables.permit.matching_in_plain<Group>(record.chunk, record.rule_count - inline_permit_rules,
                                                    query, tables.tags)
             << inline_permit_rules;
    if (found == 0) return;
    const auto rule = static_cast<uint32_t>(std::countr_zero(found));
    // By index and not by branch: where the rule lies cannot be predicted.
    const uint32_t quad = rule / PermitQuad::lanes;
    const uint32_t beyond = quad == 0 ? 0 : 1;
    const PermitQuad* quads[2] = {&record.rules, tables.permit.chunk(record.chunk).plain.quads.data()};
    const RuleHit hits[2] = {RuleHit::of_inline(rule), RuleHit::of_chunk(record.chunk * permit_chunk_rules +
                                                                         rule - inline_permit_rules)};
    match = {hits[beyond], quads[beyond][quad - beyond].is_tracked(rule % PermitQuad::lanes)};
  }
};

template <typename Group, typename Query>
inline RuleMatch find_long_rule(const BindingRecord& record, const Query& query, const Tables& tables) {
  RuleMatch match;
  Group::template call<FindLongRule>(record, query, tables, match);
  return match;
}

// The first rule of a record's list that matches. Rules that track nothing come first (compile), so a match
// that is tracked says that no untracked one exists.
template <typename Group, typename Query>
inline RuleMatch find_rule(const BindingRecord& record, const Query& query, const Tables& tables) {
  return record.has_long_list() ? find_long_rule<Group>(record, query, tables)
                                : find_inline_rule<Group>(record, query, tables);
}

}  // namespace portcullis::stages
