// Ring ports: ethdevs whose wire is a test. What is fed arrives at the next receive burst; what the gateway
// transmits waits until it is collected, so a port that nobody collects from is a link that takes no more.
#pragma once

#include <rte_mbuf.h>
#include <rte_ring.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/tables/binding.h"
#include "tests/model/frames.h"

namespace portcullis::testing {

// A buffer pool; every buffer that leaves it must come back.
class FramePool {
 public:
  FramePool(const std::string& name, uint32_t buffers);
  FramePool(const FramePool&) = delete;
  FramePool& operator=(const FramePool&) = delete;
  ~FramePool();
  [[nodiscard]] rte_mempool* get() const { return pool_; }
  [[nodiscard]] uint32_t in_use() const;
  // The frame in a buffer, or in two when `first_segment` is not 0. `headroom`: free bytes before it.
  [[nodiscard]] rte_mbuf* make(const Bytes& frame, uint32_t first_segment = 0,
                               uint32_t headroom = RTE_PKTMBUF_HEADROOM) const;

 private:
  rte_mempool* pool_;
};

// The bytes of a packet, from all of its buffers; the packet goes back to its pool.
[[nodiscard]] Bytes take_bytes(rte_mbuf* packet);

struct FreeRing {
  void operator()(rte_ring* ring) const { rte_ring_free(ring); }
};
using RingPtr = std::unique_ptr<rte_ring, FreeRing>;
// A ring for exactly `capacity` pointers, one producer, one consumer.
[[nodiscard]] RingPtr make_ring(const std::string& name, uint32_t capacity);

// Of a port with several queues the test is the device that spreads, too: it says by which one a frame comes.
class RingPort {
 public:
  // Lives as long as the process: an ethdev port id is not worth giving back. `depth`: frames each way, of
  // each queue.
  RingPort(const std::string& name, const FramePool& pool, uint32_t depth, uint16_t queues = 1);
  [[nodiscard]] PortId id() const { return id_; }
  // False when the receive ring is full.
  [[nodiscard]] bool feed(const Bytes& frame, uint32_t first_segment = 0,
                          uint32_t headroom = RTE_PKTMBUF_HEADROOM, uint32_t queue = 0);
  [[nodiscard]] bool feed(rte_mbuf* packet, uint32_t queue = 0) {
    fed_.fetch_add(1, std::memory_order_release);
    return rte_ring_sp_enqueue(receive_[queue].get(), packet) == 0;
  }
  // Of all queues, one queue after another.
  [[nodiscard]] std::vector<Bytes> collect();
  // Up to 64 packets that now belong to the caller.
  [[nodiscard]] uint32_t collect(rte_mbuf** packets, uint32_t count);
  // Frames that the link would take now from a transmit queue.
  [[nodiscard]] uint32_t room(uint32_t queue = 0) const {
    return rte_ring_free_count(transmit_[queue].get());
  }
  [[nodiscard]] uint32_t waiting() const;
  // On the receiving thread, after a packet has arrived.
  void note_arrival() const { static_cast<void>(fed_.load(std::memory_order_acquire)); }

 private:
  const FramePool* pool_;
  std::vector<RingPtr> receive_, transmit_;  // by queue
  PortId id_;
  // The receive ring orders a packet's bytes before its arrival, but within DPDK's libraries, where a thread
  // sanitizer does not look. The receiving thread reads this as a packet arrives, so that it sees the order.
  std::atomic<uint64_t> fed_{0};
};

// Frames on their way to a gateway's ports, on links that lose, delay and reorder them.
class Link {
 public:
  void send(size_t port, Bytes frame) { in_flight_.emplace_back(port, std::move(frame)); }
  // The next frame for `port`, if there is one; the others are delayed.
  [[nodiscard]] bool receive(size_t port, Bytes& frame);
  void lose_one(std::mt19937_64& random);
  void reorder(std::mt19937_64& random);
  [[nodiscard]] size_t size() const { return in_flight_.size(); }

 private:
  std::deque<std::pair<size_t, Bytes>> in_flight_;
};

}  // namespace portcullis::testing
