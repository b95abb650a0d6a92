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
    const uint64_t translated = burst.live & burst.has_source;
    for_each_packet(translated & ~burst.later_fragments, [&](uint32_t i) {
      const BindingRecord& source = *burst.source[i];
      if (source.dip != source.eip)
        replace_address(burst, i, offsetof(Ipv4Header, source), source.eip, source.to_public);
    });
    for_each_packet(translated & burst.later_fragments, [&](uint32_t i) {
      const BindingRecord& source = *burst.source[i];
      if (source.dip != source.eip)
        replace_in_header(frame_of(burst.mbuf[i]) + l3_offset, offsetof(Ipv4Header, source), source.eip,
                          source.to_public);
    });
    for_each_packet(translated & burst.errors, [&](uint32_t i) {
      const BindingRecord& source = *burst.source[i];
      if (source.dip != source.eip)
        replace_quoted_address(burst, i, offsetof(Ipv4Header, destination), source.eip, source.to_public);
    });
  }
};

}  // namespace portcullis::stages
