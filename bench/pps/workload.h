// What the generator sends: IPv4 TCP frames of 60 bytes (64 with FCS) between clients and EIPs, and the
// tables that let them pass.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "control/compile/compile.h"
#include "src/net/address.h"

namespace portcullis::bench {

inline constexpr uint32_t frame_length = 60;
using Frame = std::array<uint8_t, frame_length>;

enum class Way : uint8_t { in, out, both };  // external -> EIP, EIP -> external, bursts of each in turn

struct Workload {
  uint32_t eips = 254;
  uint32_t flows = 4096;  // a power of two
  Way way = Way::in;
  bool tracked = false;  // out: flows that the endpoints opened, by an outbound rule; else stateless replies
};

struct Macs {
  Mac uplink, endpoint_port, client, vm;
};

inline constexpr Ipv4Prefix pool{Ipv4Addr::of(100, 64, 0, 0), 10};

[[nodiscard]] Ipv4Addr eip_of(uint32_t n);
[[nodiscard]] Ipv4Addr dip_of(uint32_t n);

// The image the gateway runs: every EIP with four rules, each for one port, so that the position of the rule
// that matches is uniform over the flows.
[[nodiscard]] compile::Image image_of(const Workload& workload, const Macs& macs);

// The frame of the n-th packet: flows in a full-period permutation, checksums right.
void write_frame(const Workload& workload, const Macs& macs, uint64_t n, Way way, std::span<uint8_t> frame);
// What the gateway must make of it, byte for byte, computed independently of the data plane.
[[nodiscard]] Frame expected_frame(const Workload& workload, const Macs& macs, uint64_t n, Way way);

}  // namespace portcullis::bench
