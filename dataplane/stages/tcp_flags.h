// What TCP flags make of a packet for a permit list, by a table: which flags come next cannot be predicted.
#pragma once

#include <array>
#include <cstdint>

#include "dataplane/burst.h"
#include "src/net/headers.h"

namespace portcullis::stages {

inline constexpr uint8_t all_tcp_flags = 0x3f;  // FIN, SYN, RST, PSH, ACK, URG

// By flags: bits of CanBe; 0 for what no sender uses (no flag at all, SYN+FIN, SYN+RST).
inline constexpr auto can_be_by_tcp_flags = [] {
  std::array<uint8_t, all_tcp_flags + 1> table{};
  for (uint8_t flags = 1; flags <= all_tcp_flags; ++flags) {
    constexpr uint8_t syn_fin = tcp_flag::syn | tcp_flag::fin;
    constexpr uint8_t syn_rst = tcp_flag::syn | tcp_flag::rst;
    if ((flags & syn_fin) == syn_fin || (flags & syn_rst) == syn_rst) continue;
    constexpr uint8_t shape = tcp_flag::syn | tcp_flag::ack | tcp_flag::rst | tcp_flag::fin;
    if ((flags & (tcp_flag::syn | tcp_flag::ack)) == tcp_flag::syn)
      table[flags] = CanBe::beginning | CanBe::opener;
    else if ((flags & shape) == tcp_flag::ack)  // to pick up after a restart
      table[flags] = CanBe::reply | CanBe::opener;
    else
      table[flags] = CanBe::reply;
  }
  return table;
}();

}  // namespace portcullis::stages
