// Why a packet is refused, if it is: std::optional<Drop> in one register.
#pragma once

#include <cstdint>

#include "dataplane/drop.h"

namespace portcullis::stages {

class Refusal {
 public:
  constexpr Refusal() : code_(none) {}
  constexpr Refusal(Drop reason) : code_(static_cast<uint32_t>(reason)) {}
  [[nodiscard]] constexpr bool is_one() const { return code_ != none; }
  [[nodiscard]] constexpr Drop reason() const { return static_cast<Drop>(code_); }

 private:
  static constexpr uint32_t none = drop_count;
  uint32_t code_;
};

}  // namespace portcullis::stages
