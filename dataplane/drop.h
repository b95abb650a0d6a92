// Drop reasons: one registry (drop.def) feeds counters, API, CLI and tests.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace portcullis {

// A drop without a reason is not expressible: there is no "none".
enum class Drop : uint8_t {
#define DROP(name, stage, text) name,
#include "dataplane/drop.def"
#undef DROP
};

struct DropInfo {
  std::string_view name;
  std::string_view stage;
  std::string_view text;
};

inline constexpr std::array drop_registry{
#define DROP(name, stage, text) DropInfo{#name, #stage, text},
#include "dataplane/drop.def"
#undef DROP
};
inline constexpr size_t drop_count = drop_registry.size();

constexpr const DropInfo& describe(Drop reason) {
  return drop_registry[static_cast<size_t>(reason)];
}

}  // namespace portcullis
