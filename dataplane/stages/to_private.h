// to_private: the destination in its private form, EIP -> DIP; in what ICMP errors to it quote it is the
// source. An endpoint whose DIP is its EIP passes unchanged.
//
// Reads BindingRecord::dip, ::to_private; writes the frame. Drops nothing.
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
    const uint64_t translated = burst.live & burst.has_destination;
    for_each_packet(translated & ~burst.later_fragments, [&](uint32_t i) {
      const BindingRecord& destination = *burst.destination[i];
      if (destination.dip != destination.eip)
        replace_address(burst, i, offsetof(Ipv4Header, destination), destination.dip, destination.to_private);
    });
    for_each_packet(translated & burst.later_fragments, [&](uint32_t i) {
      const BindingRecord& destination = *burst.destination[i];
      if (destination.dip != destination.eip)
        replace_in_header(frame_of(burst.mbuf[i]) + l3_offset, offsetof(Ipv4Header, destination),
                          destination.dip, destination.to_private);
    });
    for_each_packet(translated & burst.errors, [&](uint32_t i) {
      const BindingRecord& destination = *burst.destination[i];
      if (destination.dip != destination.eip)
        replace_quoted_address(burst, i, offsetof(Ipv4Header, source), destination.dip,
                               destination.to_private);
    });
  }
};

}  // namespace portcullis::stages
