// What control asks of a worker: an errand, carried out on the worker's own thread between two bursts, so
// that what the worker alone may touch needs no lock. A worker without mail pays one relaxed load a turn.
#pragma once

#include <atomic>
#include <chrono>
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
  // Waits until the errand is done, after those of others. False: for so long its turn has not come, or no
  // step of it was carried out; it is withdrawn and nobody touches it any more. Any thread but the worker's.
  [[nodiscard]] bool ask(Errand& errand, std::chrono::milliseconds patience);

  // --- the worker's thread ---
  [[nodiscard]] bool has_mail() const { return waiting_.load(std::memory_order_relaxed) != nullptr; }
  // One step of what waits.
  void carry_out(WorkerState& worker, uint64_t now_ms) noexcept;

 private:
  std::atomic<bool> is_asked_{false};  // one errand at a time
  // Taken out while a step runs, so that it can be withdrawn between two only.
  std::atomic<Errand*> waiting_{nullptr};
  std::atomic<bool> is_done_{false};
  std::atomic<uint64_t> steps_{0};
};

}  // namespace portcullis
