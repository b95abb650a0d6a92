// Next hops on uplinks: one 64-bit word a port, so that a reader sees a whole MAC or none. Written by the
// punt thread (ARP) or at start (fixed MAC), read by workers. Beside it when it last answered, for those who
// look.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <cstring>

#include "dataplane/counter.h"
#include "dataplane/tables/binding.h"
#include "src/net/address.h"

namespace portcullis {

inline constexpr PortId max_ports = 32;

class NextHopTable {
 public:
  [[nodiscard]] bool find(PortId port, MacWord& mac) const {
    const uint64_t word = words_[port].load(std::memory_order_acquire);
    mac = MacWord::of_load(word);
    return (word & resolved) != 0;
  }
  [[nodiscard]] bool find(PortId port, Mac& mac) const {
    const uint64_t word = words_[port].load(std::memory_order_acquire);
    std::memcpy(mac.bytes.data(), &word, sizeof mac.bytes);
    return (word & resolved) != 0;
  }
  // `answered_ms`: now, of a steady clock; 0 of a MAC that is fixed.
  void set(PortId port, Mac mac, uint64_t answered_ms = 0) {
    uint64_t word = 0;
    std::memcpy(&word, mac.bytes.data(), sizeof mac.bytes);
    words_[port].store(word | resolved, std::memory_order_release);
    answered_ms_[port].set(answered_ms);
  }
  void clear(PortId port) { words_[port].store(0, std::memory_order_release); }
  // When it last answered, also if that was so long ago that its MAC has been cleared; 0: never.
  [[nodiscard]] uint64_t answered_ms(PortId port) const { return answered_ms_[port].get(); }

 private:
  static_assert(std::endian::native == std::endian::little);
  static constexpr uint64_t resolved = uint64_t{1} << 63;
  std::array<std::atomic<uint64_t>, max_ports> words_{};
  std::array<Counter, max_ports> answered_ms_{};
};

}  // namespace portcullis
