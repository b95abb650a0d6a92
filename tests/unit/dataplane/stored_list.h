// One permit list, stored, behind a record: as find_rule finds it on each back end, and as it is defined.
#pragma once

#include <gtest/gtest.h>

#include <span>
#include <utility>
#include <vector>

#include "dataplane/stages/permit_match.h"

namespace portcullis::testing {

// Who derives says where the record lies and fills in its rules. `Rule`: PermitRule or PermitRule6.
template <typename Rule>
class StoredList {
 public:
  StoredList(PermitTable& table, const std::vector<Rule>& rules, BindingRecord& at)
      : record(at), table_(table), rules_(rules) {
    auto place = table.store(std::span<const Rule>(rules));
    EXPECT_TRUE(place.has_value()) << place.error().message;
    if (!place) return;
    place_ = std::move(*place);
    record = {};
    record.set_rule_count(rules.size());
    record.chunk = place_.first;
  }
  ~StoredList() { table_.free(place_); }  // NOLINT(clang-analyzer-unix.Malloc): a member, not free(3)
  StoredList(const StoredList&) = delete;
  StoredList& operator=(const StoredList&) = delete;

  // Where the hit of a rule is counted.
  [[nodiscard]] RuleHit hit_of(uint32_t rule) const {
    return rule < inline_permit_rules ? RuleHit::of_inline(rule) : RuleHit::of_chunk(place_.chunk_hit(rule));
  }
  // The number of the first rule that matches, rules().size() if none does.
  template <typename Query>
  [[nodiscard]] size_t first_by_definition(const Query& query, const TagSetTable& tags) const {
    size_t rule = 0;
    while (rule < rules_.size() && !matches(rules_[rule], query, tags)) ++rule;
    return rule;
  }
  [[nodiscard]] const PermitPlace& place() const { return place_; }
  [[nodiscard]] const std::vector<Rule>& rules() const { return rules_; }

  BindingRecord& record;

 private:
  PermitTable& table_;
  const std::vector<Rule>& rules_;
  PermitPlace place_;
};

template <typename Query>
stages::RuleMatch find_on(Isa isa, const BindingRecord& record, const Query& query, const Tables& tables) {
#if defined(__x86_64__)
  if (isa == Isa::avx2) return stages::find_rule<Avx2Group>(record, query, tables);
  if (isa == Isa::avx512) return stages::find_rule<Avx512Group>(record, query, tables);
#endif
  return stages::find_rule<ScalarGroup>(record, query, tables);
}

}  // namespace portcullis::testing
