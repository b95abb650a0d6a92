#include "tests/fuzz/script.h"

#include <algorithm>
#include <array>

namespace portcullis::fuzz {
namespace {

constexpr uint8_t first_pause = 192;
constexpr size_t longest = 2047;
// None so short that the phase of a meter's clock mattered.
constexpr std::array<uint64_t, 4> pauses{1'500, 3'000, 20'000, 300'000};

}  // namespace

Script decode(std::span<const uint8_t> input) {
  Script script;
  while (!input.empty()) {
    const uint8_t what = input[0];
    input = input.subspan(1);
    if (what >= first_pause) {
      script.emplace_back(Pause{pauses[what % pauses.size()]});
      continue;
    }
    if (input.size() < 2) break;
    const size_t length = (input[0] | size_t{input[1]} << 8) & longest;
    input = input.subspan(2);
    const size_t present = std::min(length, input.size());
    script.emplace_back(Frame{what % ports, Bytes(input.begin(), input.begin() + static_cast<long>(present)),
                              what % (2 * ports) < ports});
    input = input.subspan(present);
  }
  return script;
}

Bytes encode(const Script& script) {
  Bytes input;
  for (const Step& step : script) {
    if (const auto* pause = std::get_if<Pause>(&step)) {
      const auto at = std::ranges::find(pauses, pause->milliseconds) - pauses.begin();
      input.push_back(static_cast<uint8_t>(first_pause + at % static_cast<long>(pauses.size())));
      continue;
    }
    const Frame& frame = std::get<Frame>(step);
    const size_t length = std::min(frame.bytes.size(), longest);
    input.push_back(static_cast<uint8_t>(frame.port + (frame.polled ? 0 : ports)));
    input.push_back(static_cast<uint8_t>(length));
    input.push_back(static_cast<uint8_t>(length >> 8));
    input.insert(input.end(), frame.bytes.begin(), frame.bytes.begin() + static_cast<long>(length));
  }
  return input;
}

}  // namespace portcullis::fuzz
