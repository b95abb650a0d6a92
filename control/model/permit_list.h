// A permit list as it is kept: never changed, and shared. Whoever copies an EIP copies none of its rules.
// What is asked of lists again and again is said by the list without its rules, which mostly lie in no cache.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <utility>
#include <vector>

#include "control/model/permit_rule.h"
#include "src/base/ahead.h"

namespace portcullis::model {

// Prefixes or tags of a rule; none for `any`.
[[nodiscard]] size_t ranges_of(const PermitRule& rule);

class PermitList {
 public:
  PermitList() = default;
  // Not explicit: rules are a list.
  PermitList(std::vector<PermitRule> rules);
  PermitList(std::initializer_list<PermitRule> rules) : PermitList(std::vector<PermitRule>(rules)) {}

  [[nodiscard]] const PermitRule* begin() const { return rules_ == nullptr ? nullptr : rules_->data(); }
  [[nodiscard]] const PermitRule* end() const { return begin() + size(); }
  [[nodiscard]] size_t size() const { return rules_ == nullptr ? 0 : rules_->size(); }
  [[nodiscard]] bool empty() const { return rules_ == nullptr; }
  [[nodiscard]] const PermitRule& operator[](size_t i) const { return (*rules_)[i]; }
  // Rules as the data plane compares them: one per prefix or tag, one for `any`.
  [[nodiscard]] uint32_t compiled_rules() const { return compiled_; }
  // Whether there is a rule whose remote is `any`, or prefixes.
  [[nodiscard]] bool has_any() const { return has_any_; }
  [[nodiscard]] bool has_prefixes() const { return has_prefixes_; }
  // Into the caches: where the rules lie, and, when that has come, the rules.
  void prefetch_place() const { __builtin_prefetch(rules_.get()); }
  void prefetch_rules() const {
    constexpr size_t some = 4;
    for (size_t i = 0; i < std::min(some, size()); ++i) prefetch_object((*rules_)[i]);
  }
  // A copy, to make another list of.
  [[nodiscard]] std::vector<PermitRule> rules() const { return {begin(), end()}; }

  friend bool operator==(const PermitList& a, const PermitList& b) {
    return a.rules_ == b.rules_ || (a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin()));
  }

 private:
  std::shared_ptr<const std::vector<PermitRule>> rules_;
  uint32_t compiled_ = 0;
  bool has_any_ = false;
  bool has_prefixes_ = false;
};

}  // namespace portcullis::model
