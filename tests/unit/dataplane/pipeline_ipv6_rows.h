// The gateway of pipeline_rows.h with IPv6 endpoints, too.
#pragma once

#include "tests/unit/dataplane/pipeline_rows.h"

namespace portcullis {

using testing::Packet6;

inline Ipv6Addr address(const char* text) {
  return *Ipv6Addr::parse(text);
}

inline const Ipv6Addr client6 = address("2001:db8:f00::2"), gateway6 = address("2001:db8:f00::1");
inline const Ipv6Addr web6 = address("2001:db8:1::10"), web6_dip = address("fd00::10");
inline const Ipv6Addr inner6 = address("2001:db8:1::11"), inner6_dip = address("fd00::10");  // the same DIP
inline const Ipv6Addr same6 = address("2001:db8:1::12");                                     // DIP = EIP
inline const Ipv6Addr free6 = address("2001:db8:1::99");
inline const Ipv6Addr elsewhere6 = address("2001:db8:ff::7");  // in a provider pool
inline const Ipv6Addr stranger6 = address("2001:db8:abcd::77");
inline const Mac router6_mac = *Mac::parse("02:00:00:00:01:06");

inline model::PermitRule rule6(const char* name, const PermitRule& match, const char* remote = "::/0") {
  return model_rule(name, match, *Ipv6Prefix::parse(remote));
}

class Ipv6Rows : public PipelineRows {
 protected:
  Ipv6Rows() {
    tables_->gateway.addresses6 = {gateway6};
    tables_->gateway.permit6 = {{{.protocol = testing::icmpv6}, Ipv6Prefix()}};
    tables_->ports.ports[uplink().id()].next_hop6 = address("fe80::99");
    tables_->next_hop6.set(uplink().id(), router6_mac);
    const compile::Image both = image6();
    compile::Update update{.pools = both.pools, .bindings = {}};
    for (const auto& [eip, binding] : both.bindings) update.bindings.emplace(eip, binding);
    publish(update);
  }

  static compile::Image image6() {
    compile::Image image = PipelineRows::image();
    const Ipv6Prefix local = *Ipv6Prefix::parse("2001:db8:1::/112");
    const Ipv6Prefix provider = *Ipv6Prefix::parse("2001:db8:ff::/48");
    image.pools[local.first()] = {.prefix = local, .kind = model::PoolKind::local};
    image.pools[provider.first()] = {.prefix = provider, .kind = model::PoolKind::provider};
    bind(image, web6, web6_dip, "first", web_mac, 11,
         {rule6("http", {.protocol = testing::tcp, .local_ports = {80, 80}}, "2001:db8:f00::/48"),
          rule6("ping", {.protocol = testing::icmpv6}),
          rule6("dns", {.protocol = testing::udp, .local_ports = {53, 53}}, "2001:db8:f00::2/127"),
          rule6("esp", {.protocol = testing::esp}),
          // Beyond the inline ones.
          rule6("out", {.flags = PermitRule::outbound, .protocol = testing::tcp, .remote_ports = {443, 443}}),
          rule6("ntp", {.flags = PermitRule::tracked, .protocol = testing::udp, .local_ports = {123, 123}})});
    bind(image, inner6, inner6_dip, "second", inner_mac, 12,
         {rule6("from-web", {.protocol = testing::tcp, .local_ports = {443, 443}}, "2001:db8:1::10/128")});
    bind(image, same6, same6, "first", same_mac, 13, {rule6("all", {.flags = PermitRule::any_protocol})});
    return image;
  }

  static Packet6 from_client() {
    return {.to = mac_of(uplink()),
            .from = router6_mac,
            .source = client6,
            .destination = web6,
            .protocol = testing::tcp,
            .source_port = 40000,
            .destination_port = 80,
            .flags = testing::syn,
            .extensions = {},
            .payload = Bytes(10, 0x5a)};
  }
  static Packet6 from_web() {
    return {.to = mac_of(first()),
            .from = web_mac,
            .source = web6_dip,
            .destination = client6,
            .protocol = testing::tcp,
            .source_port = 80,
            .destination_port = 40000,
            .flags = testing::syn | testing::ack,
            .extensions = {},
            .payload = {}};
  }
  // As they leave.
  static Packet6 at_web(Packet6 packet) {
    packet.to = web_mac;
    packet.from = mac_of(first());
    packet.destination = web6_dip;
    --packet.hop_limit;
    return packet;
  }
  static Packet6 at_router(Packet6 packet) {
    packet.to = router6_mac;
    packet.from = mac_of(uplink());
    packet.source = web6;
    --packet.hop_limit;
    return packet;
  }

  std::string counter(const char* direction, const Ipv6Addr& eip) const {
    return direction + std::string(" of slot ") +
           std::to_string(tables_->binding.find(View::local, eip).slot());
  }
  Moved in_web() const { return {{counter("in", web6), 1}, {"rule hits", 1}}; }
  Moved out_of_web() const { return {{counter("out", web6), 1}, {"rule hits", 1}}; }
};

inline Bytes body_of(const Packet6& packet) {
  const Bytes frame = build(packet);
  return {frame.begin() + testing::ip_at, frame.end()};
}

// All but the first byte of an extension header of so many times eight bytes.
inline Bytes options(uint8_t more_eights = 0, uint8_t fourth = 0) {
  Bytes header(7 + more_eights * size_t{8}, 0);
  header[0] = more_eights;
  header[1] = 1;  // PadN
  header[2] = fourth;
  return header;
}

inline Bytes fragment_header(uint16_t offset, bool more, uint32_t id) {
  const auto field = static_cast<uint16_t>(offset << 3 | (more ? 1 : 0));
  return {0,
          static_cast<uint8_t>(field >> 8),
          static_cast<uint8_t>(field),
          static_cast<uint8_t>(id >> 24),
          static_cast<uint8_t>(id >> 16),
          static_cast<uint8_t>(id >> 8),
          static_cast<uint8_t>(id)};
}

}  // namespace portcullis
