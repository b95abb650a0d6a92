// Puts together what several workers say of one packet, on the reader's side: a record of one worker may come
// before that of the one that has handed the packet over.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "dataplane/capture/trace.h"

namespace portcullis {

class TraceParts {
 public:
  using Clock = std::chrono::steady_clock;
  // How long parts wait for the others: a packet that another worker has not judged by then, or had no place
  // for, is lost to the trace.
  static constexpr std::chrono::milliseconds patience{1000};
  static constexpr size_t most = 4096;  // packets that wait

  // The filter outlives it.
  explicit TraceParts(const CaptureFilter& filter) : filter_(filter) {}

  // A record of some worker. All of the packet's as one if it is the last, and is asked for.
  [[nodiscard]] std::optional<TraceRecord> add(const TraceRecord& part, Clock::time_point now);
  // Gives up those that have waited since `before`.
  void give_up(Clock::time_point before);
  void give_up_all() { give_up(Clock::time_point::max()); }
  // Packets that were given up.
  [[nodiscard]] uint64_t lost() const { return lost_; }

 private:
  struct Waiting {
    Clock::time_point since;
    std::vector<TraceRecord> parts;
  };
  [[nodiscard]] static std::optional<TraceRecord> whole(std::vector<TraceRecord>& parts);

  const CaptureFilter& filter_;
  std::map<uint32_t, Waiting> waiting_;  // by mark
  uint64_t lost_ = 0;
};

}  // namespace portcullis
