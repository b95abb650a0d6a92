// Next hops on uplinks: one 64-bit word a port, so that a reader sees a whole MAC or none. Written by the
// punt thread (ARP) or at start (fixed MAC), read by workers.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <cstring>

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
  void set(PortId port, Mac mac) {
    uint64_t word = 0;
    std::memcpy(&word, mac.bytes.data(), sizeof mac.bytes);
    words_[port].store(word | resolved, std::memory_order_release);
  }
  void clear(PortId port) { words_[port].store(0, std::memory_order_release); }

 private:
  static_assert(std::endian::native == std::endian::little);
  static constexpr uint64_t resolved = uint64_t{1} << 63;
  std::array<std::atomic<uint64_t>, max_ports> words_{};
};

}  // namespace portcullis
