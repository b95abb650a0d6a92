// The log of denied packets, on the worker's side: of each reason so many copies a second, for a thread that
// writes a line of each. What is beyond is counted before anything is copied, so a flood costs no copying.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "dataplane/burst.h"
#include "dataplane/capture/copy_ring.h"
#include "dataplane/drop.h"
#include "dataplane/tables/tables.h"
#include "src/base/expected.h"

namespace portcullis {

// The reasons that are a denial, of what somebody may or claims to be; others are faults of packets, or want
// of room.
constexpr bool is_denial(Drop reason) {
  switch (reason) {
    case Drop::gateway_not_permitted:
    case Drop::gateway_spoofed_source:
    case Drop::spoofed_source:
    case Drop::spoofed_mac:
    case Drop::spoofed_pool_source:
    case Drop::unbound:
    case Drop::source_not_permitted:
    case Drop::destination_not_permitted:
      return true;
    default:
      return false;
  }
}

// A worker's.
class DeniedLog {
 public:
  static constexpr uint32_t copies = 64;
  static constexpr uint32_t frame_bytes = 256;  // headers, those of a tunnel included

  // `packets_a_second`: of each reason, of all `workers` together; from 1 to 1000. resource_exhausted if the
  // copies do not fit.
  [[nodiscard]] static Expected<std::unique_ptr<DeniedLog>> create(uint32_t worker, uint32_t workers,
                                                                   uint32_t packets_a_second, int numa_node);

  // The worker: a packet that it drops, as it stands in the burst.
  void offer(const Burst& burst, uint32_t i, Drop reason) noexcept;
  // The reader: the next one; null when there is none now.
  [[nodiscard]] Copy take() { return ring_->take(); }

 private:
  explicit DeniedLog(uint64_t interval_ms) : interval_ms_(interval_ms) {}
  struct Turn {  // of a reason
    uint64_t due_ms = 0;
    uint64_t unsaid = 0;
  };
  const uint64_t interval_ms_;
  std::array<Turn, drop_count> turns_{};
  std::unique_ptr<CopyRing> ring_;
};

// "reason=destination_not_permitted port=uplink source=198.51.100.2 …": what is known, as name=value. `port`:
// the name of the port that it came by.
[[nodiscard]] std::string line_of(rte_mbuf& copy, std::string_view port);

}  // namespace portcullis
