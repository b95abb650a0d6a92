// Frames that nobody sends: the packet of an Explain call, made from its fields as its sender would make it.
#pragma once

#include <cstdint>
#include <vector>

#include "dataplane/tables/port.h"
#include "portcullis/v1/explain.pb.h"
#include "src/base/expected.h"
#include "src/net/address.h"
#include "src/net/encapsulation.h"
#include "src/net/headers.h"

namespace portcullis::service {

// A packet between two addresses, as it lies in a frame.
struct AskedPacket {
  Mac source_mac;
  Mac destination_mac;
  IpAddr source;
  IpAddr destination;  // of the same family
  uint8_t protocol = 0;
  uint8_t ttl = 64;
  uint16_t source_port = 49152;  // RFC 6335, 6: the first dynamic one
  uint16_t destination_port = 0;
  uint8_t tcp_flags = tcp_flag::syn;
  uint8_t icmp_type = 0;
  uint8_t icmp_code = 0;
  uint16_t icmp_identifier = 1;
  uint32_t length = 0;  // L3 bytes; 0: no more than there must be
};

// All but its ends' MACs and `source`. invalid_argument, by the field's path.
[[nodiscard]] Expected<AskedPacket> asked_packet(const v1::PacketFields& fields);

using FrameBytes = std::vector<uint8_t>;
// Untagged, with checksums that are right (of SCTP none: the gateway looks at no CRC).
[[nodiscard]] FrameBytes make_frame(const AskedPacket& packet);
// The frame of an endpoint as it comes by its port: with the tags or the tunnel's headers before it.
[[nodiscard]] FrameBytes behind_link(const FrameBytes& frame, PortId id, const PortInfo& port,
                                     const Encapsulation& encapsulation);

}  // namespace portcullis::service
