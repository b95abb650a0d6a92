#include "tests/model/source_ports.h"

#include "tests/model/frames_link.h"

namespace portcullis::testing {
namespace {

constexpr uint16_t first_dynamic_port = 49152;  // RFC 6335, 6

// What tells its inner packet's flow from others, if it has ports.
std::optional<std::string> flow_of(const Bytes& frame) {
  const auto [link, inner] = unlinked(frame);
  const std::optional<Layout> packet = layout_of(inner);
  if (!packet || packet->is_fragment || !packet->has(4)) return std::nullopt;
  if (packet->protocol != tcp && packet->protocol != udp && packet->protocol != sctp) return std::nullopt;
  return to_string(link) + " " + get_mac(inner, 0).to_string() + " " + packet->source.to_string() + " " +
         packet->destination.to_string() + " " + std::to_string(packet->protocol) + " " +
         std::to_string(get16(inner, packet->transport_at)) + " " +
         std::to_string(get16(inner, packet->transport_at + 2));
}

}  // namespace

Bytes SourcePorts::without(const reference::PortSetup& port, Bytes frame, std::vector<std::string>& wrong) {
  if (port.tunnel.ends.empty() || !is_tunnel_packet(frame)) return frame;
  const Layout outer = layout_of(frame).value();
  const uint16_t source_port = get16(frame, outer.transport_at);
  if (source_port < first_dynamic_port)
    wrong.push_back("tunnel packet from UDP port " + std::to_string(source_port));
  if (!transport_checksum_right(frame)) wrong.emplace_back("tunnel packet with a wrong UDP checksum");
  if (const auto flow = flow_of(frame)) {
    const uint16_t seen = seen_.try_emplace(*flow, source_port).first->second;
    if (seen != source_port)
      wrong.push_back(*flow + ": in a tunnel from UDP ports " + std::to_string(seen) + " and " +
                      std::to_string(source_port));
  }
  put16(frame, outer.transport_at, 0);
  if (get16(frame, outer.transport_at + 6) != 0) fix_udp_checksum(frame);
  return frame;
}

}  // namespace portcullis::testing
