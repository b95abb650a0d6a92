// FNV-1a, 64 bits: any one changed byte changes it. Against mistakes and rot, not against malice. The same
// for ever, so what is stored may hold it.
#pragma once

#include <cstdint>
#include <string_view>

namespace portcullis {

[[nodiscard]] constexpr uint64_t fnv1a(std::string_view bytes) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : bytes) {
    hash ^= static_cast<uint8_t>(c);
    hash *= 0x100000001b3;
  }
  return hash;
}

}  // namespace portcullis
