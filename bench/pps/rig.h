// A rig feeds a gateway and takes back what it sends. Time is counted while the worker works and not while
// the generator does.
#pragma once

#include <cstdint>
#include <string_view>

#include "bench/pps/gateway.h"
#include "bench/pps/ledger.h"
#include "bench/pps/probe.h"
#include "bench/pps/source.h"
#include "src/base/expected.h"

namespace portcullis::bench {

// One turn: what the worker was given, and the TSC ticks that it took.
struct Turn {
  uint64_t clocks = 0;
  uint64_t packets = 0;
};

class Rig {
 public:
  virtual ~Rig() = default;
  [[nodiscard]] virtual std::string_view name() const = 0;
  [[nodiscard]] virtual Gateway& gateway() = 0;
  // The generator hands each port at most `limit` packets, the worker polls once.
  virtual Turn turn(Source& source, Poller& poller, uint32_t limit) = 0;
  // The same with nothing between receive and transmit: what the ports themselves cost.
  virtual Turn empty_turn(Source& source) = 0;
  // Since the last reset(), what came out agrees with what was sent. internal, saying what does not.
  [[nodiscard]] virtual Expected<void> balance() = 0;
  virtual void reset_balance() = 0;
  // Packets since the last reset_balance() that the flow table had no room for.
  [[nodiscard]] virtual uint64_t refused() = 0;
};

}  // namespace portcullis::bench
