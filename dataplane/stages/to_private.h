// to_private: the destination in its private form, EIP -> DIP; in what ICMP errors to it quote it is the
// source. An endpoint whose DIP is its EIP passes unchanged.
//
// Reads DIP and BindingRecord::to_private; writes the frame. Drops nothing.
#pragma once

#include <cstddef>
#include <string_view>

#include "dataplane/stages/translate.h"
#include "dataplane/worker_state.h"

namespace portcullis::stages {

struct ToPrivate {
  static constexpr std::string_view name = "to_private";

  template <typename Group>
  static void run(Burst& burst, const Tables&, WorkerState&) noexcept {
    const uint64_t packets = burst.live & burst.has_destination;
    translate<&Ipv4Endpoint::dip, &BindingRecord::to_private>(burst, packets & ~burst.ipv6, burst.destination,
                                                              offsetof(Ipv4Header, destination),
                                                              offsetof(Ipv4Header, source));
    if ((packets & burst.ipv6) != 0) [[unlikely]]
      translate_ipv6<&Ipv6Endpoint::dip, &BindingRecord::to_private>(
          burst, packets & burst.ipv6, burst.destination, offsetof(Ipv6Header, destination),
          offsetof(Ipv6Header, source));
  }
};

}  // namespace portcullis::stages
