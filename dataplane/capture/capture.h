// A capture: copies of the packets that somebody asks to see, as they are received, transmitted, punted or
// dropped; or a trace: what the stages make of such packets (tracer.h). One of them at a time, for workers
// that nobody looks at pay for one question, whoever may look. Tables::capture leads to it once a turn.
//
// Control writes the filter before it publishes the capture, and takes the capture back with a grace period;
// meanwhile each worker writes its own share.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "dataplane/capture/capture_filter.h"
#include "dataplane/capture/copy_ring.h"
#include "dataplane/capture/tracer.h"
#include "dataplane/counter.h"
#include "dataplane/tables/tables.h"
#include "src/base/expected.h"

struct rte_rcu_qsbr;

namespace portcullis {

struct Capture {
  struct alignas(64) Share {  // a worker's
    CopyRing* ring = nullptr;
    uint32_t passed_over = 0;  // by one_in, since the last copy
    Counter lost;
    std::unique_ptr<Tracer> tracer;  // of a trace; then nothing is copied
  };
  CaptureFilter filter;
  std::vector<Share> shares;  // by worker

  // The worker: copies a packet that the filter asks for.
  // `taken_off`: as CaptureFilter::is_about says.
  void offer(uint32_t worker, const rte_mbuf& packet, PortId port, Fate fate, Drop reason = {},
             std::optional<LinkId> taken_off = {}) noexcept;
};

class Captures {
 public:
  // Ends the capture when it goes away. Thread: one, but for leave().
  class Session {
   public:
    ~Session();
    Session(Session&& other) noexcept;
    Session& operator=(Session&&) = delete;
    // The next copy of any worker; null when there is none now.
    [[nodiscard]] Copy take();
    // The same of a trace: what a worker says of a packet.
    [[nodiscard]] std::optional<TraceRecord> take_trace();
    // Packets of which there was no room for a copy or a record; 0 after leave().
    [[nodiscard]] uint64_t lost() const;
    // No worker copies any more; what is copied may still be taken. Idempotent.
    void stop();
    // Ends it: the place is free, and there is nothing more to take. For whoever waits no longer for the
    // thread whose session it is. Any thread; idempotent.
    void leave() const;

   private:
    friend class Captures;
    Session(Captures& captures, uint64_t number) : captures_(&captures), number_(number) {}
    // Under the lock: whether the place is still this one's.
    [[nodiscard]] bool has_place() const { return captures_->holder_ == number_; }
    Captures* captures_;
    uint64_t number_;
    size_t next_ = 0;  // worker whose turn it is
  };

  static constexpr uint32_t copies_of_worker = 1024;
  // Of frames up to that length all bytes fit.
  [[nodiscard]] static uint32_t frame_bytes(uint16_t mtu);

  // `numa_nodes`: of each worker. What is handed in outlives it. resource_exhausted if the copies do not fit.
  [[nodiscard]] static Expected<std::unique_ptr<Captures>> create(Tables& tables, rte_rcu_qsbr* rcu,
                                                                  const std::vector<int>& numa_nodes,
                                                                  uint16_t mtu);
  // Workers copy from now on, or trace. failed_precondition while another capture or trace goes on. Any
  // thread.
  [[nodiscard]] Expected<Session> begin(const CaptureFilter& filter);
  [[nodiscard]] Expected<Session> begin_trace(const CaptureFilter& filter);

 private:
  Captures(Tables& tables, rte_rcu_qsbr* rcu, uint64_t marked)
      : tables_(tables), rcu_(rcu), marked_(marked) {}
  [[nodiscard]] Expected<Session> begin(const CaptureFilter& filter, bool traces);
  // Under the lock.
  void stop();
  [[nodiscard]] uint64_t lost() const;

  Tables& tables_;
  rte_rcu_qsbr* const rcu_;
  const uint64_t marked_;                         // Tracer's
  std::vector<std::unique_ptr<CopyRing>> rings_;  // by worker
  std::mutex mutex_;                              // of the next
  uint64_t holder_ = 0;                           // number of the session whose place it is; 0: it is free
  uint64_t sessions_ = 0;
  uint32_t next_mark_ = 0;  // of the next trace
  Capture capture_;
};

}  // namespace portcullis
