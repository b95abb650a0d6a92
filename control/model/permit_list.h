// A permit list as it is kept: never changed, and shared. Whoever copies an EIP copies none of its rules.
#pragma once

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <memory>
#include <utility>
#include <vector>

#include "control/model/permit_rule.h"

namespace portcullis::model {

class PermitList {
 public:
  PermitList() = default;
  // Not explicit: rules are a list.
  PermitList(std::vector<PermitRule> rules)
      : rules_(rules.empty() ? nullptr : std::make_shared<const std::vector<PermitRule>>(std::move(rules))) {}
  PermitList(std::initializer_list<PermitRule> rules) : PermitList(std::vector<PermitRule>(rules)) {}

  [[nodiscard]] const PermitRule* begin() const { return rules_ == nullptr ? nullptr : rules_->data(); }
  [[nodiscard]] const PermitRule* end() const { return begin() + size(); }
  [[nodiscard]] size_t size() const { return rules_ == nullptr ? 0 : rules_->size(); }
  [[nodiscard]] bool empty() const { return rules_ == nullptr; }
  [[nodiscard]] const PermitRule& operator[](size_t i) const { return (*rules_)[i]; }
  // A copy, to make another list of.
  [[nodiscard]] std::vector<PermitRule> rules() const { return {begin(), end()}; }

  friend bool operator==(const PermitList& a, const PermitList& b) {
    return a.rules_ == b.rules_ || (a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin()));
  }

 private:
  std::shared_ptr<const std::vector<PermitRule>> rules_;
};

}  // namespace portcullis::model
