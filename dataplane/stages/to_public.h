// to_public: the source in its public form, DIP -> EIP. An endpoint whose DIP is its EIP passes unchanged.
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
    for_each_packet(burst.live & burst.has_source, [&](uint32_t i) {
      const BindingRecord& source = *burst.source[i];
      if (source.dip != source.eip)
        replace_address(burst, i, offsetof(Ipv4Header, source), source.eip, source.to_public);
    });
  }
};

}  // namespace portcullis::stages
