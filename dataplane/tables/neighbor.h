// Next hops of tunnels: (port, address), and the MAC that the punt thread has learned of each. Entries are
// control's, MACs the punt thread's; workers read MACs.
#pragma once

#include <atomic>
#include <compare>
#include <cstdint>
#include <cstring>

#include "dataplane/counter.h"
#include "dataplane/tables/memory.h"
#include "dataplane/tables/next_hop.h"
#include "src/base/expected.h"
#include "src/net/address.h"

namespace portcullis {

using NeighborId = uint16_t;

struct NeighborKey {
  PortId port = 0;
  IpAddr address;
  friend auto operator<=>(const NeighborKey&, const NeighborKey&) = default;
};

class NeighborTable {
 public:
  [[nodiscard]] static Expected<NeighborTable> create(uint32_t capacity, int numa_node);

  // --- any thread ---
  // False: it has not been resolved.
  [[nodiscard]] bool find(NeighborId id, MacWord& mac) const {
    const uint64_t word = macs_[id].load(std::memory_order_acquire);
    mac = MacWord::of_load(word);
    return (word & resolved) != 0;
  }
  [[nodiscard]] bool find(NeighborId id, Mac& mac) const {
    const uint64_t word = macs_[id].load(std::memory_order_acquire);
    std::memcpy(mac.bytes.data(), &word, sizeof mac.bytes);
    return (word & resolved) != 0;
  }
  // When it last answered, also if that was so long ago that its MAC has been cleared; 0: never.
  [[nodiscard]] uint64_t answered_ms(NeighborId id) const { return answered_ms_[id].get(); }

  // --- the punt thread, as a reader under RCU ---
  // body(id, key, incarnation) for each that is in use; the incarnation differs between two users of one id.
  template <typename Body>
  void for_each(Body&& body) const {
    for (uint32_t id = 0; id < states_.size(); ++id) {
      const uint32_t state = states_[id].load(std::memory_order_acquire);
      if ((state & in_use) != 0) body(static_cast<NeighborId>(id), keys_[id], state);
    }
  }
  // `answered_ms`: now, of a steady clock.
  void set(NeighborId id, Mac mac, uint64_t answered_ms) {
    uint64_t word = 0;
    std::memcpy(&word, mac.bytes.data(), sizeof mac.bytes);
    macs_[id].store(word | resolved, std::memory_order_release);
    answered_ms_[id].set(answered_ms);
  }
  void clear(NeighborId id) { macs_[id].store(0, std::memory_order_release); }
  [[nodiscard]] uint32_t capacity() const { return states_.size(); }

  // --- control only ---
  // False when every number is taken.
  [[nodiscard]] bool take(const NeighborKey& key, NeighborId& id);
  void retire(NeighborId id);  // nobody asks for it any more
  void free(NeighborId id);    // after grace
  [[nodiscard]] size_t bytes() const {
    return macs_.bytes() + answered_ms_.bytes() + states_.bytes() + keys_.bytes();
  }
  // What create() takes for each of `capacity`.
  static constexpr size_t bytes_each =
      sizeof(std::atomic<uint64_t>) + sizeof(Counter) + sizeof(std::atomic<uint32_t>) + sizeof(NeighborKey);

 private:
  static constexpr uint64_t resolved = uint64_t{1} << 63;
  static constexpr uint32_t in_use = 1;  // of a state, the lowest bit; the others count users

  TableArray<std::atomic<uint64_t>> macs_;
  TableArray<Counter> answered_ms_;
  TableArray<std::atomic<uint32_t>> states_;
  TableArray<NeighborKey> keys_;
  IndexPool free_;
};

}  // namespace portcullis
