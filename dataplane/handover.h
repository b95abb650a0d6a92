// Rings between the workers of a gateway, two for every ordered pair of them: for packets on their way to the
// worker that owns their flow, and for finished frames on their way to the one that transmits for a port.
// They carry packets, never references to records: who takes one over parses it and identifies it again.
//
// On its way to an owner a frame is as decapsulate left it; rte_mbuf::port is the port it came by and
// rte_mbuf::hash.usr its link; of one that is traced hash.fdir.hi is its mark (capture/tracer.h). On its way
// to a transmitter rte_mbuf::port is the port it leaves by.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "dataplane/spread.h"
#include "dataplane/tables/port.h"
#include "src/base/expected.h"

struct rte_ring;

namespace portcullis {

class Handover {
 public:
  static constexpr uint32_t ring_size = 1024;  // packets, of each ring

  // resource_exhausted if the rings do not fit. `workers`: from 2 to max_workers. `owner_ring_size`: of rings
  // to owners.
  [[nodiscard]] static Expected<std::unique_ptr<Handover>> create(uint32_t workers, int numa_node,
                                                                  uint32_t owner_ring_size = ring_size);

  [[nodiscard]] uint32_t workers() const { return workers_; }
  // Of what Spread::fold says of a packet's remote.
  [[nodiscard]] uint32_t owner(uint16_t folded) const { return owners_[Spread::bucket(folded)]; }
  // Single producer: worker `from`; single consumer: worker `to`. They differ.
  [[nodiscard]] rte_ring* to_owner(uint32_t from, uint32_t to) const { return at(from, to, owner_kind); }
  [[nodiscard]] rte_ring* to_transmitter(uint32_t from, uint32_t to) const {
    return at(from, to, transmitter_kind);
  }

  // Waits until all that lies in rings to owners now has been taken out of them, or until it is abandoned.
  // Thread: control. Every worker polls, or sleeps between two polls.
  void wait_until_taken() const;
  // Some worker polls no more. Any thread.
  void abandon() { is_abandoned_.store(true, std::memory_order_relaxed); }

  [[nodiscard]] static size_t bytes_for(uint32_t workers);

 private:
  // With what still lies in it.
  struct Free {
    void operator()(rte_ring* ring) const;
  };
  static constexpr uint32_t owner_kind = 0, transmitter_kind = 1, kinds = 2;

  explicit Handover(uint32_t workers);
  [[nodiscard]] rte_ring* at(uint32_t from, uint32_t to, uint32_t kind) const {
    return rings_[(from * workers_ + to) * kinds + kind].get();
  }

  uint32_t workers_;
  std::atomic<bool> is_abandoned_{false};
  std::array<uint8_t, Spread::buckets> owners_{};
  std::vector<std::unique_ptr<rte_ring, Free>> rings_;
};

}  // namespace portcullis
