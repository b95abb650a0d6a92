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

class PermitList {
 public:
  PermitList() = default;
  // Not explicit: rules are a list.
  PermitList(std::vector<PermitRule> rules);
  PermitList(std::initializer_list<PermitRule> rules) : PermitList(std::vector<PermitRule>(rules)) {}
  PermitList(const PermitList&) = default;
  PermitList& operator=(const PermitList&) = default;
  // What is moved from is empty.
  PermitList(PermitList&& other) noexcept
      : rules_(std::move(other.rules_)), said_(std::exchange(other.said_, {})) {}
  PermitList& operator=(PermitList&& other) noexcept {
    rules_ = std::move(other.rules_);
    said_ = std::exchange(other.said_, {});
    return *this;
  }
  ~PermitList() = default;

  [[nodiscard]] const PermitRule* begin() const { return rules_.get(); }
  [[nodiscard]] const PermitRule* end() const { return begin() + size(); }
  [[nodiscard]] size_t size() const { return said_.rules; }
  [[nodiscard]] bool empty() const { return rules_ == nullptr; }
  [[nodiscard]] const PermitRule& operator[](size_t i) const {
    return rules_[static_cast<std::ptrdiff_t>(i)];
  }
  // Rules as the data plane compares them: one per prefix or tag, one for `any`.
  [[nodiscard]] uint32_t compiled_rules() const { return said_.compiled; }
  // Whether the remote of one of the rules is `any`.
  [[nodiscard]] bool has_any() const { return said_.has_any; }
  // Whether the remote of one of the rules is a list of prefixes.
  [[nodiscard]] bool has_prefixes() const { return said_.has_prefixes; }
  // The first rules into the caches, which are all of most lists.
  void prefetch() const {
    constexpr size_t some = 4;
    for (size_t i = 0; i < std::min(some, size()); ++i) prefetch_object((*this)[i]);
  }
  // A copy, to make another list of.
  [[nodiscard]] std::vector<PermitRule> rules() const { return {begin(), end()}; }

  friend bool operator==(const PermitList& a, const PermitList& b) {
    return a.rules_ == b.rules_ || (a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin()));
  }

 private:
  std::shared_ptr<const PermitRule[]> rules_;  // null if there is none
  struct Said {
    uint32_t rules = 0;
    uint32_t compiled = 0;
    bool has_any = false;
    bool has_prefixes = false;
  };
  Said said_;
};

}  // namespace portcullis::model
