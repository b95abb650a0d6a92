// What was sent against what came out and what the worker's counters say: a figure is of the work it names,
// or there is none.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "bench/pps/packet.h"
#include "dataplane/counters.h"
#include "src/base/expected.h"

namespace portcullis::bench {

class Ledger {
 public:
  explicit Ledger(const WorkerCounters& counters) : counters_(counters) { open(); }
  // From here on.
  void open();
  void sent(std::span<const Packet> packets);
  void came_out(uint64_t frames) { came_out_ += frames; }
  // internal, saying what does not agree. Between bursts.
  [[nodiscard]] Expected<void> balance() const { return balance({this, 1}); }
  // Of workers that hand packets over to each other, together: what one was sent may come out of another.
  [[nodiscard]] static Expected<void> balance(std::span<const Ledger> ledgers);
  // Packets since open() that the flow table had no room or no quota for.
  [[nodiscard]] uint64_t refused() const;

 private:
  using Drops = std::array<uint64_t, drop_count>;
  [[nodiscard]] uint64_t dropped(Drop reason) const;

  const WorkerCounters& counters_;
  Drops before_{};
  Drops expected_{};
  uint64_t must_pass_ = 0;
  uint64_t may_be_refused_ = 0;
  uint64_t came_out_ = 0;
};

}  // namespace portcullis::bench
