// fragments: what has no transport header of its own gets that of the first fragment of its datagram, and is
// judged by it as if it were its own. The first one has passed before, or is before it in the same burst;
// else nobody can say what the packet is.
//
// Reads the fragment table (FragmentEntry); writes Burst::ip (ports), ::can_be, ::tcp_flags, ::icmp_type,
// ::icmp_code of later fragments. Drops: fragment_first_unseen.
#pragma once

#include <string_view>

#include "dataplane/stages/family.h"
#include "dataplane/worker_state.h"

namespace portcullis::stages {

// Whose share of the fragment table a packet uses: that of the endpoint that gets it, or sends it outside.
inline const BindingRecord& fragment_owner(const Burst& burst, uint32_t i) {
  return burst.destination[i] != nullptr ? *burst.destination[i] : *burst.source[i];
}

inline TransportFields transport_fields(const Burst& burst, uint32_t i) {
  return {.source_port = burst.ip[i].source_port,
          .destination_port = burst.ip[i].destination_port,
          .can_be = burst.can_be[i],
          .tcp_flags = burst.tcp_flags[i],
          .icmp_type = burst.icmp_type[i],
          .icmp_code = burst.icmp_code[i]};
}

struct Fragments {
  static constexpr std::string_view name = "fragments";

  template <typename Group>
  static void run(Burst& burst, const Tables&, WorkerState& worker) noexcept {
    if ((burst.live & burst.later_fragments) == 0) [[likely]]
      return;
    follow<Ipv4>(burst, worker);
    follow<Ipv6>(burst, worker);
  }

 private:
  template <typename Family>
  [[gnu::noinline, gnu::cold]] static void follow(Burst& burst, WorkerState& worker) {
    const auto& table = Family::fragments(worker);
    for_each_packet(live_of<Family>(burst) & burst.later_fragments, [&](uint32_t i) {
      const auto key = Family::fragment_key(burst, i);
      TransportFields first;
      uint8_t protocol = 0;
      // The nearest before it, if there are several.
      bool seen = false;
      const uint64_t before = (uint64_t{1} << i) - 1;
      const uint64_t firsts = live_of<Family>(burst) & burst.fragments & ~burst.later_fragments;
      for_each_packet(firsts & before, [&](uint32_t j) {
        if (Family::fragment_key(burst, j) != key) return;
        first = transport_fields(burst, j);
        protocol = burst.ip[j].protocol;
        seen = true;
      });
      if (!seen) {
        const uint32_t index = table.find(key, Family::eip(fragment_owner(burst, i)), burst.now_ms);
        if (index == FragmentTable::none) return drop(burst, worker, i, Drop::fragment_first_unseen);
        first = table.entry(index).first;
        protocol = table.entry(index).protocol;
      }
      // An IPv6 header does not say it: further extension headers may come first.
      burst.ip[i].protocol = protocol;
      burst.ip[i].source_port = first.source_port;
      burst.ip[i].destination_port = first.destination_port;
      burst.can_be[i] = first.can_be;
      burst.tcp_flags[i] = first.tcp_flags;
      burst.icmp_type[i] = first.icmp_type;
      burst.icmp_code[i] = first.icmp_code;
    });
  }
};

}  // namespace portcullis::stages
