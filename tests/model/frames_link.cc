#include "tests/model/frames_link.h"

#include <algorithm>

namespace portcullis::testing {
namespace {

bool is_tag(uint16_t type) {
  return type == customer_tag || type == service_tag;
}

Bytes rest_of(const Bytes& frame, size_t at) {
  return {frame.begin() + static_cast<std::ptrdiff_t>(at), frame.end()};
}

}  // namespace

Bytes with_tags(Bytes frame, const std::vector<Tag>& tags) {
  Bytes inserted(tags.size() * tag_bytes);
  for (size_t n = 0; n < tags.size(); ++n) {
    put16(inserted, n * tag_bytes, tags[n].first);
    put16(inserted, n * tag_bytes + 2, tags[n].second);
  }
  // What is cut short before has them at its end.
  const size_t at = std::min(tag_at, frame.size());
  frame.insert(frame.begin() + static_cast<std::ptrdiff_t>(at), inserted.begin(), inserted.end());
  return frame;
}

Bytes tunnel_header(TunnelProtocol protocol, uint32_t vni) {
  Bytes header(8);
  if (protocol == TunnelProtocol::vxlan)
    header[0] = 8;
  else
    put16(header, 2, 0x6558);
  put16(header, 4, static_cast<uint16_t>(vni >> 8));
  header[6] = static_cast<uint8_t>(vni);
  return header;
}

Bytes behind(const Encapsulation& link, const Bytes& frame, const UnderlayPath& path) {
  if (const auto* tags = std::get_if<VlanTags>(&link)) {
    if (tags->inner == 0) return with_tags(frame, {{customer_tag, tags->outer}});
    return with_tags(frame, {{service_tag, tags->outer}, {customer_tag, tags->inner}});
  }
  const auto* tunnel = std::get_if<Tunnel>(&link);
  if (tunnel == nullptr) return frame;
  Bytes payload = tunnel_header(tunnel->protocol, tunnel->vni);
  payload.insert(payload.end(), frame.begin(), frame.end());
  return build(
      AnyPacket{.to = path.gateway_mac,
                .from = path.station_mac,
                .source = tunnel->remote,
                .destination = path.own,
                .protocol = udp,
                .source_port = 50000,
                .destination_port = tunnel->protocol == TunnelProtocol::vxlan ? vxlan_port : geneve_port,
                .extensions = {},
                .payload = std::move(payload)});
}

bool is_tunnel_packet(const Bytes& frame) {
  const std::optional<Layout> packet = layout_of(frame);
  if (!packet || packet->is_fragment || packet->protocol != udp || !packet->has(tunnel_headers)) return false;
  const uint16_t port = get16(frame, packet->transport_at + 2);
  return port == vxlan_port || port == geneve_port;
}

Unlinked unlinked(const Bytes& frame) {
  if (frame.size() >= tag_at + tag_bytes && is_tag(get16(frame, tag_at))) {
    VlanTags tags{.outer = static_cast<uint16_t>(get16(frame, tag_at + 2) & 0xfff)};
    size_t length = tag_bytes;
    if (frame.size() >= tag_at + 2 * tag_bytes && is_tag(get16(frame, tag_at + length))) {
      tags.inner = get16(frame, tag_at + length + 2) & 0xfff;
      length += tag_bytes;
    }
    Bytes inner = rest_of(frame, length);
    std::copy_n(frame.begin(), tag_at, inner.begin());
    return {tags, std::move(inner)};
  }
  if (!is_tunnel_packet(frame)) return {{}, frame};
  const Layout outer = layout_of(frame).value();
  const size_t header = outer.transport_at + 8;
  return {Tunnel{.protocol = get16(frame, outer.transport_at + 2) == vxlan_port ? TunnelProtocol::vxlan
                                                                                : TunnelProtocol::geneve,
                 .remote = outer.destination,
                 .vni = uint32_t{get16(frame, header + 4)} << 8 | frame[header + 6]},
          rest_of(frame, outer.transport_at + tunnel_headers)};
}

void mark(Bytes& frame, uint8_t ecn) {
  if (is_ipv4(frame)) {
    const bool was_right = header_checksum_right(frame);
    frame[ip_at + 1] = static_cast<uint8_t>((frame[ip_at + 1] & 0xfc) | ecn);
    if (was_right) fix_header_checksum(frame);
  } else if (is_ipv6(frame)) {
    frame[ip_at + 1] = static_cast<uint8_t>((frame[ip_at + 1] & 0xcf) | ecn << 4);
  }
}

void fix_outer(Bytes& frame) {
  const bool ipv4 = is_ipv4(frame);
  const size_t udp_at = ipv4 ? transport_at : transport6_at;
  if ((!ipv4 && !is_ipv6(frame)) || frame.size() < udp_at + 8) return;
  put16(frame, ip_at + (ipv4 ? 2 : 4), static_cast<uint16_t>(frame.size() - (ipv4 ? ip_at : udp_at)));
  put16(frame, udp_at + 4, static_cast<uint16_t>(frame.size() - udp_at));
  if (ipv4) fix_header_checksum(frame);
  fix_udp_checksum(frame);
}

}  // namespace portcullis::testing
