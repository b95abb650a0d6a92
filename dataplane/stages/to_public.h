// to_public: the source in its public form, DIP -> EIP; in what its ICMP errors quote it is the destination.
// An endpoint whose DIP is its EIP passes unchanged.
//
// Reads BindingRecord::eip, ::to_public; writes the frame. Drops nothing.
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
    translate<&BindingRecord::eip, &BindingRecord::to_public>(burst, burst.live & burst.has_source,
                                                              burst.source, offsetof(Ipv4Header, source),
                                                              offsetof(Ipv4Header, destination));
  }
};

}  // namespace portcullis::stages
