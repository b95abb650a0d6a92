// What stands before a frame of an endpoint on its link, as tests make it and take it off: VLAN tags, headers
// of VXLAN and Geneve.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "src/net/encapsulation.h"
#include "tests/model/frames.h"

namespace portcullis::testing {

inline constexpr uint16_t vxlan_port = 4789, geneve_port = 6081;
inline constexpr uint16_t customer_tag = 0x8100, service_tag = 0x88a8;
inline constexpr size_t tag_at = 12, tag_bytes = 4;
inline constexpr size_t tunnel_headers = 16;  // UDP's and the tunnel's own, without options

using Tag = std::pair<uint16_t, uint16_t>;  // TPID, control
[[nodiscard]] Bytes with_tags(Bytes frame, const std::vector<Tag>& tags);

// Eight bytes that say the VNI.
[[nodiscard]] Bytes tunnel_header(TunnelProtocol protocol, uint32_t vni);

// The two ends of a tunnel, as frames of the remote to the gateway have them.
struct UnderlayPath {
  Mac gateway_mac, station_mac;
  IpAddr own;  // the gateway's
};
// As an endpoint behind the link sends it to the gateway. Untagged: as it is.
[[nodiscard]] Bytes behind(const Encapsulation& link, const Bytes& frame, const UnderlayPath& path);

// UDP to the port of VXLAN or Geneve, whole, with all of the tunnel's header.
[[nodiscard]] bool is_tunnel_packet(const Bytes& frame);

// A frame that left by an endpoint port: by which link, and what its endpoint gets.
struct Unlinked {
  Encapsulation link;
  Bytes frame;
};
[[nodiscard]] Unlinked unlinked(const Bytes& frame);

// Says in an IP header what its sender or a router does of congestion (RFC 3168, 5); a checksum that was
// right is right again.
void mark(Bytes& frame, uint8_t ecn);

// After a change of the outer packet of a tunnel: its lengths and checksums made right again.
void fix_outer(Bytes& frame);

}  // namespace portcullis::testing
