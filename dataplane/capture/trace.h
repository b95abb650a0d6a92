// What a trace says of one packet, and the way from a worker to the one reader: records are written where
// they lie, while the stages run, and become the reader's when the burst is done. The worker never waits:
// without a free place there is no record.
#pragma once

#include <rte_mbuf.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

#include "dataplane/capture/capture_filter.h"
#include "dataplane/passage.h"

namespace portcullis {

// The beginning of a frame, with all its headers as a rule.
struct TracedFrame {
  static constexpr uint32_t room = 256;  // those of a tunnel included
  uint32_t length = 0;                   // of the frame
  uint32_t copied = 0;
  PortId port = 0;  // by which it came, or leaves
  std::array<uint8_t, room> bytes;

  [[nodiscard]] static TracedFrame of(const rte_mbuf& packet, PortId port);
  [[nodiscard]] std::span<const uint8_t> copy() const { return {bytes.data(), copied}; }
};

// Of one packet on one worker; of a packet that is handed over there is another one, with the same mark.
struct TraceRecord {
  uint32_t mark = 0;
  uint32_t worker = 0;
  bool is_first = false;  // the worker has received it from a port
  uint64_t tsc = 0;       // when this worker got it
  TracedFrame received;   // of the first
  TracedFrame sent;       // of one that is transmitted, or whose answer is
  Passage passage;

  [[nodiscard]] bool goes_on() const { return passage.fate() == Verdict::handed_over; }
};
static_assert(std::is_trivially_copyable_v<TraceRecord>);

// Whether what became of a packet is what the filter asks for: one of its fates, by the reason.
[[nodiscard]] bool asks_for(const CaptureFilter& filter, const Passage& passage);

// Single producer, single consumer.
class TraceRing {
 public:
  static constexpr uint32_t places = 1024;
  TraceRing() : records_(places) {}

  // --- the worker ---
  // A place to write in; null when none is free.
  [[nodiscard]] TraceRecord* open() noexcept {
    if (opened_ - taken_.load(std::memory_order_acquire) == places) return nullptr;
    return &records_[opened_++ % places];
  }
  // What is open and `is_wanted` becomes the reader's; the other places are free again.
  template <typename IsWanted>
  void close(IsWanted&& is_wanted) noexcept {
    uint32_t kept = filled_.load(std::memory_order_relaxed);
    for (uint32_t n = kept; n != opened_; ++n) {
      TraceRecord& record = records_[n % places];
      if (!is_wanted(record)) continue;
      if (kept != n) records_[kept % places] = record;
      ++kept;
    }
    opened_ = kept;
    filled_.store(kept, std::memory_order_release);
  }

  // --- the reader ---
  // The oldest; null when there is none. It stays there until pop().
  [[nodiscard]] const TraceRecord* front() const noexcept {
    const uint32_t taken = taken_.load(std::memory_order_relaxed);
    return filled_.load(std::memory_order_acquire) == taken ? nullptr : &records_[taken % places];
  }
  void pop() noexcept { taken_.store(taken_.load(std::memory_order_relaxed) + 1, std::memory_order_release); }

 private:
  alignas(64) std::atomic<uint32_t> taken_{0};  // by the reader; places are counted on and wrap
  alignas(64) uint32_t opened_ = 0;             // by the worker, as the next
  std::atomic<uint32_t> filled_{0};
  std::vector<TraceRecord> records_;
};

}  // namespace portcullis
