// What a fuzzer's input says: frames for the ports of a gateway, and time between them.
//
// An input is a row of steps. A step begins with a byte: below 192 a frame, of the port that it says modulo
// four, and modulo eight whether the gateway polls before the next, with two bytes of length (modulo 2048,
// little-endian) and the frame; from 192 on, time, by how much the byte says. What the input has too few
// bytes for ends it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <variant>
#include <vector>

#include "tests/model/frames.h"

namespace portcullis::fuzz {

using testing::Bytes;

inline constexpr size_t ports = 4;  // of the gateway

struct Frame {
  size_t port = 0;
  Bytes bytes;
  bool polled = true;  // else the next one comes in the same turn
};
struct Pause {
  uint64_t milliseconds = 0;
};
using Step = std::variant<Frame, Pause>;
using Script = std::vector<Step>;

[[nodiscard]] Script decode(std::span<const uint8_t> input);
[[nodiscard]] Bytes encode(const Script& script);

}  // namespace portcullis::fuzz
