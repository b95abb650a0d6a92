// What other threads ask of a worker: errands, carried out on the worker's own thread between two bursts, so
// that what the worker alone may touch needs no lock. A worker without mail pays one relaxed load a turn.
#pragma once

#include <rte_common.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace portcullis {

struct WorkerState;

// Whoever asks makes it, with all the room that its answer needs.
class Errand {
 public:
  virtual ~Errand() = default;
  // On the worker's thread, which is a reader of the tables until it returns. A bounded step: traffic waits
  // meanwhile. False: there is more to do, and it is called again after the next turn.
  virtual bool run(WorkerState& worker, uint64_t now_ms) noexcept = 0;
};

class Mailbox {
 public:
  // Errands that are carried out side by side, a step of each in turn: a short one does not wait for a long
  // one.
  static constexpr size_t places = 8;

  // Waits until the errand is done. False: for so long no place was free, or no step of it was carried out;
  // it is withdrawn and nobody touches it any more. Any thread but the worker's.
  [[nodiscard]] bool ask(Errand& errand, std::chrono::milliseconds patience);

  // --- the worker's thread ---
  [[nodiscard]] bool has_mail() const { return taken_.load(std::memory_order_relaxed) != 0; }
  // One step of what waits.
  void carry_out(WorkerState& worker, uint64_t now_ms) noexcept;

 private:
  struct Place {
    std::atomic<bool> is_taken{false};
    // Taken out while a step runs, so that it can be withdrawn between two only.
    std::atomic<Errand*> waiting{nullptr};
    std::atomic<bool> is_done{false};
    std::atomic<uint64_t> steps{0};
  };
  [[nodiscard]] Place* free_place();
  [[nodiscard]] static bool wait_in(Place& place, Errand& errand, std::chrono::milliseconds patience);

  std::atomic<uint64_t> taken_{0};
  uint64_t next_ = 0;  // the worker's
  alignas(RTE_CACHE_LINE_SIZE) std::array<Place, places> places_{};
};

}  // namespace portcullis
