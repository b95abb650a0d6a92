// Rows of endpoints behind VLANs and tunnels: four that have one private address and one MAC, and what their
// frames look like on the ports.
#pragma once

#include <initializer_list>
#include <utility>

#include "tests/unit/dataplane/pipeline_ipv6_rows.h"

namespace portcullis {

inline Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

class LinkRows : public Ipv6Rows {
 protected:
  static inline const Ipv4Addr tagged = Ipv4Addr::of(203, 0, 113, 20),
                               double_tagged = Ipv4Addr::of(203, 0, 113, 21),
                               behind_vxlan = Ipv4Addr::of(203, 0, 113, 22),
                               behind_geneve = Ipv4Addr::of(203, 0, 113, 23);
  // Of all four: private addresses are each link's own.
  static inline const Ipv4Addr dip = Ipv4Addr::of(10, 0, 0, 20);
  static inline const Mac vm_mac = *Mac::parse("02:00:00:00:02:20");
  static inline const Ipv4Addr own = Ipv4Addr::of(192, 0, 2, 1), remote = Ipv4Addr::of(192, 0, 2, 7);
  static inline const Ipv6Addr own6 = address("2001:db8:7::1"), remote6 = address("2001:db8:7::9");
  static inline const Mac remote_mac = *Mac::parse("02:00:00:00:07:07"),
                          remote6_mac = *Mac::parse("02:00:00:00:07:09");
  static constexpr uint32_t vni = 5000, geneve_vni = 0xabcdef;
  static constexpr uint16_t vxlan_port = 4789, geneve_port = 6081;

  // What the frame looks like with tags: (TPID, control) each.
  static Bytes with_tags(Bytes frame, std::initializer_list<std::pair<uint16_t, uint16_t>> tags) {
    Bytes inserted;
    for (const auto& [type, control] : tags)
      for (const uint16_t word : {type, control}) {
        inserted.push_back(static_cast<uint8_t>(word >> 8));
        inserted.push_back(static_cast<uint8_t>(word));
      }
    frame.insert(frame.begin() + 12, inserted.begin(), inserted.end());
    return frame;
  }

  static Bytes vxlan_header(uint32_t number = vni, uint8_t flags = 8) {
    return {flags,
            0,
            0,
            0,
            static_cast<uint8_t>(number >> 16),
            static_cast<uint8_t>(number >> 8),
            static_cast<uint8_t>(number),
            0};
  }
  static Bytes geneve_header(uint32_t number = geneve_vni, uint8_t version_length = 0, uint8_t flags = 0,
                             uint16_t protocol = 0x6558) {
    return {version_length,
            flags,
            static_cast<uint8_t>(protocol >> 8),
            static_cast<uint8_t>(protocol),
            static_cast<uint8_t>(number >> 16),
            static_cast<uint8_t>(number >> 8),
            static_cast<uint8_t>(number),
            0};
  }

  LinkRows() {
    TunnelEnd& tunnel = tables_->ports.ports[second().id()].tunnel;
    tunnel = {.ipv4 = own, .ipv6 = own6, .ipv4_length = 24, .ipv6_length = 64};
    tables_->links.expect_tunnels_on(second().id());
    publish(place(tagged, "first", VlanTags{100}, 21));
    publish(place(double_tagged, "first", VlanTags{200, 30}, 22));
    publish(place(behind_vxlan, "second", Tunnel{TunnelProtocol::vxlan, remote, vni}, 23));
    publish(place(behind_geneve, "second", Tunnel{TunnelProtocol::geneve, remote6, geneve_vni}, 24));
    resolve();
  }

  static compile::Update place(Ipv4Addr eip, const char* port, const Encapsulation& encapsulation,
                               uint32_t incarnation, uint32_t generation = 1) {
    compile::Image image;
    bind(image, eip, dip, port, vm_mac, incarnation,
         {rule("all", {.flags = PermitRule::any_protocol}),
          rule("out", {.flags = PermitRule::any_protocol | PermitRule::outbound})});
    image.bindings[eip].edge = true;
    image.bindings[eip].encapsulation = encapsulation;
    image.bindings[eip].binding_generation = generation;
    compile::Update update;
    for (const auto& [address, binding] : image.bindings) update.bindings.emplace(address, binding);
    return update;
  }

  // As the punt thread does.
  void resolve() {
    tables_->neighbors.for_each([&](NeighborId id, const NeighborKey& key, uint32_t) {
      EXPECT_EQ(key.port, second().id());
      tables_->neighbors.set(id, key.address.is_v4() ? remote_mac : remote6_mac, 0);
    });
  }

  static Packet to(Ipv4Addr eip) {
    Packet packet = PipelineRows::from_client();
    packet.destination = eip;
    return packet;
  }
  // As its endpoint gets it.
  static Packet at_vm(Packet packet, testing::RingPort& port) {
    packet.to = vm_mac;
    packet.from = mac_of(port);
    packet.destination = dip;
    --packet.ttl;
    return packet;
  }
  static Packet from_vm(testing::RingPort& port) {
    return {.to = mac_of(port),
            .from = vm_mac,
            .source = dip,
            .destination = client,
            .protocol = testing::tcp,
            .source_port = 80,
            .destination_port = 40000,
            .flags = testing::syn | testing::ack,
            .payload = Bytes(3, 0x11)};
  }
  static Packet out_of(Packet packet, Ipv4Addr eip) {
    packet.to = router_mac;
    packet.from = mac_of(uplink());
    packet.source = eip;
    --packet.ttl;
    return packet;
  }

  // From the remote to the port's tunnel address, or the other way.
  static Packet outer(Bytes payload, uint16_t port = vxlan_port) {
    return {.to = mac_of(second()),
            .from = remote_mac,
            .source = remote,
            .destination = own,
            .protocol = testing::udp,
            .source_port = 50000,
            .destination_port = port,
            .payload = std::move(payload)};
  }
  static Packet6 outer6(Bytes payload, uint16_t port = geneve_port) {
    return {.to = mac_of(second()),
            .from = remote6_mac,
            .source = remote6,
            .destination = own6,
            .protocol = testing::udp,
            .source_port = 50000,
            .destination_port = port,
            .extensions = {},
            .payload = std::move(payload)};
  }
  // What the gateway sends for an inner frame. The source port is its own choice.
  static Bytes sent_by_vxlan(const Bytes& carried, uint16_t source_port, uint8_t ecn = 0) {
    Packet packet = outer(vxlan_header() + carried);
    packet.to = remote_mac;
    packet.from = mac_of(second());
    std::swap(packet.source, packet.destination);
    packet.source_port = source_port;
    Bytes frame = build(packet);
    testing::put16(frame, testing::transport_at + 6, 0);               // no checksum
    return edited(edited(frame, testing::ip_at + 4, {0, 0, 0x40, 0}),  // do not fragment
                  testing::ip_at + 1, {ecn});
  }
  static Bytes sent_by_geneve(const Bytes& carried, uint16_t source_port) {
    Packet6 packet = outer6(geneve_header() + carried);
    packet.to = remote6_mac;
    packet.from = mac_of(second());
    std::swap(packet.source, packet.destination);
    packet.source_port = source_port;
    return build(packet);
  }

  // The one frame that a port gave out.
  Bytes passed(testing::RingPort& port, const Bytes& frame, testing::RingPort& out) {
    auto seen = pass(port, frame);
    EXPECT_EQ(seen.size(), 1u);
    if (seen.size() != 1 || seen.begin()->first != out.id() || seen.begin()->second.size() != 1) {
      ADD_FAILURE() << "not one frame out of the port";
      return Bytes(100);
    }
    return seen.begin()->second[0];
  }
  Moved in(Ipv4Addr eip) const { return {{binding("in", eip), 1}, {"rule hits", 1}}; }
  Moved out(Ipv4Addr eip) const { return {{binding("out", eip), 1}, {"rule hits", 1}}; }
};

}  // namespace portcullis
