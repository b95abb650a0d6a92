// A worker's side of a trace: which packets of a burst are traced, and their records while the stages run
// (trace_pipeline.h). A packet that goes on with another worker has a mark, by which that one knows it.
#pragma once

#include <rte_mbuf.h>

#include <array>
#include <cstdint>

#include "dataplane/burst.h"
#include "dataplane/capture/trace.h"
#include "dataplane/counter.h"
#include "src/base/expected.h"

namespace portcullis {

class Tracer {
 public:
  // The bit of rte_mbuf::ol_flags that says that rte_mbuf::hash.fdir.hi is a mark. Of the process, whoever
  // asks. resource_exhausted if none is left.
  [[nodiscard]] static Expected<uint64_t> mark_bit();
  // `marked`: that bit. `first_mark`: no packet that is still under way has it, nor one of those that follow.
  // The filter outlives the tracer.
  Tracer(const CaptureFilter& filter, uint32_t worker, uint64_t marked, uint32_t first_mark)
      : filter_(filter), worker_(worker), marked_(marked), first_mark_(first_mark) {}

  // --- the worker ---
  // Of a burst as it was received, those that the filter asks for; of one from other workers, those that have
  // a mark. False: there are none.
  [[nodiscard]] bool choose(const Burst& burst) noexcept;
  [[nodiscard]] bool take_over(const Burst& burst) noexcept;
  // Bit i: packet i of the burst is traced.
  [[nodiscard]] uint64_t traced() const { return traced_; }
  [[nodiscard]] Passage& passage(uint32_t i) { return records_[i]->passage; }
  void lose(uint32_t i, Drop reason) noexcept {
    gone_ |= uint64_t{1} << i;
    if (is_traced(i)) passage(i).lose(reason);
  }
  void punt(uint32_t i) noexcept {
    if (is_traced(i)) passage(i).punt();
  }
  // Packets that are lost by now have left the burst, and those behind them have moved up (decapsulate).
  void close_up() noexcept;
  // What is about to leave.
  void transmit(const Burst& burst) noexcept;
  // Another worker may be about to get it; it has not.
  void mark(rte_mbuf& packet, uint32_t i) const noexcept {
    packet.ol_flags |= marked_;
    packet.hash.fdir.hi = records_[i]->mark;
  }
  void unmark(rte_mbuf& packet) const noexcept { packet.ol_flags &= ~marked_; }
  // The burst is done.
  void finish() noexcept;

  // --- the reader ---
  [[nodiscard]] TraceRing& ring() { return ring_; }
  // Packets for which there was no place.
  [[nodiscard]] uint64_t lost() const { return lost_.get(); }
  // Of a worker that traces no more: the mark that comes next.
  [[nodiscard]] uint32_t next_mark() const { return first_mark_ + begun_; }

 private:
  [[nodiscard]] bool is_traced(uint32_t i) const { return (traced_ >> i & 1) != 0; }
  // `received`: from the port; null: it is taken over. False: there is no place.
  bool begin(uint32_t i, uint32_t mark, const rte_mbuf* received, PortId port) noexcept;

  const CaptureFilter& filter_;
  const uint32_t worker_;
  const uint64_t marked_;
  const uint32_t first_mark_;
  uint32_t begun_ = 0;
  uint32_t passed_over_ = 0;  // by one_in, since the last
  uint64_t traced_ = 0;
  uint64_t gone_ = 0;                               // bit i: packet i of the burst is lost, traced or not
  std::array<TraceRecord*, burst_size> records_{};  // of traced packets
  Counter lost_;
  TraceRing ring_;
};

}  // namespace portcullis
