// to_private: the destination in its private form, EIP -> DIP. An endpoint whose DIP is its EIP passes
// unchanged.
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
    for_each_packet(burst.live & burst.has_destination, [&](uint32_t i) {
      const BindingRecord& destination = *burst.destination[i];
      if (destination.dip != destination.eip)
        replace_address(burst, i, offsetof(Ipv4Header, destination), destination.dip, destination.to_private);
    });
  }
};

}  // namespace portcullis::stages
