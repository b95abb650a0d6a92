// Which worker a packet belongs to: a hash of the remote's address, so that both directions of a flow, its
// fragments and the ICMP errors about it meet on one worker, and no entry needs a lock. Between two endpoints
// each is the other's remote: there it is a hash of the pair, the same in both directions.
//
// It is the hash that NICs spread packets by (Toeplitz, [MS-RSS] "RSS Hashing Functions"), with a key that
// repeats every 16 bits: of an address only the exclusive or of its 16-bit words counts, wherever in the
// hashed fields it lies.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "src/net/address.h"

namespace portcullis {

// The key's words. One that spreads well under such a repetition: its 16 rotations are linearly independent
// (Woo and Park, "Scalable TCP Session Monitoring with Symmetric Receive-Side Scaling", KAIST 2012).
inline constexpr uint16_t spread_key_word = 0x6d5a;

namespace detail {
// Toeplitz is linear: the hash of a word is that of its octets, each with zeroes beside it. The first bit
// of the input goes with the key as it is, each further one with the key a bit further on.
constexpr std::array<uint16_t, 256> hashes_of_octet(uint32_t first_bit) {
  std::array<uint16_t, 256> hashes{};
  for (uint32_t value = 0; value < hashes.size(); ++value)
    for (uint32_t bit = 0; bit < 8; ++bit) {
      const uint32_t at = first_bit + bit;
      const auto rotated = static_cast<uint16_t>(spread_key_word << at | spread_key_word >> (16 - at));
      if ((value >> (7 - bit) & 1) != 0) hashes[value] = static_cast<uint16_t>(hashes[value] ^ rotated);
    }
  return hashes;
}
}  // namespace detail

class Spread {
 public:
  // Values of bucket(): no more than most NICs' redirection tables have entries. With a smaller one more
  // packets change hands.
  static constexpr uint32_t buckets = 128;

  // What of an address counts.
  static constexpr uint16_t fold(Ipv4Addr address) {
    return static_cast<uint16_t>(address.host() >> 16 ^ address.host());
  }
  static constexpr uint16_t fold(const Ipv6Addr& address) {
    const uint64_t both = address.high() ^ address.low();
    const auto half = static_cast<uint32_t>(both >> 32 ^ both);
    return static_cast<uint16_t>(half >> 16 ^ half);
  }

  // Of a NIC's hash, which has 32 bits, both halves.
  static constexpr uint16_t hash(uint16_t folded) { return by_high_[folded >> 8] ^ by_low_[folded & 0xff]; }
  static constexpr uint32_t bucket(uint16_t folded) { return hash(folded) % buckets; }
  static constexpr uint32_t worker_of_bucket(uint32_t bucket, uint32_t workers) { return bucket % workers; }

 private:
  static constexpr std::array<uint16_t, 256> by_high_ = detail::hashes_of_octet(0);
  static constexpr std::array<uint16_t, 256> by_low_ = detail::hashes_of_octet(8);
};

}  // namespace portcullis
