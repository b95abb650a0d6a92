// to_public: the source in its public form, DIP -> EIP; in what its ICMP errors quote it is the destination.
// An endpoint whose DIP is its EIP passes unchanged.
//
// Reads EIP and BindingRecord::to_public; writes the frame. Drops nothing.
#pragma once

#include <cstddef>
#include <string_view>

#include "dataplane/stages/translate.h"
#include "dataplane/worker_state.h"

namespace portcullis::stages {

struct ToPublic {
  static constexpr std::string_view name = "to_public";

  template <typename Group>
  static void run(Burst& burst, const Tables&, WorkerState&) noexcept {
    const uint64_t packets = burst.live & burst.has_source;
    translate<&Ipv4Endpoint::eip, &BindingRecord::to_public>(burst, packets & ~burst.ipv6, burst.source,
                                                             offsetof(Ipv4Header, source),
                                                             offsetof(Ipv4Header, destination));
    if ((packets & burst.ipv6) != 0) [[unlikely]]
      translate_ipv6<&Ipv6Endpoint::eip, &BindingRecord::to_public>(burst, packets & burst.ipv6, burst.source,
                                                                    offsetof(Ipv6Header, source),
                                                                    offsetof(Ipv6Header, destination));
  }
};

}  // namespace portcullis::stages
