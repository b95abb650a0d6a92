// Single packets of endpoints behind VLANs and tunnels: what is taken off and put on, byte for byte, and each
// reason for which decapsulate drops.
#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>
#include <random>

#include "tests/unit/dataplane/pipeline_links_rows.h"

namespace portcullis {
namespace {

TEST_F(LinkRows, TagsAreTakenOffAndPutOn) {
  expect_out("one tag, in", uplink(), build(to(tagged)), first(),
             with_tags(build(at_vm(to(tagged), first())), {{0x8100, 100}}), in(tagged));
  expect_out("one tag with a priority, out", first(),
             with_tags(build(from_vm(first())), {{0x8100, 0xe000 | 100}}), uplink(),
             build(out_of(from_vm(first()), tagged)), out(tagged));
  expect_out("a service tag alone", first(), with_tags(build(from_vm(first())), {{0x88a8, 100}}), uplink(),
             build(out_of(from_vm(first()), tagged)), out(tagged));
  expect_out("two tags, in", uplink(), build(to(double_tagged)), first(),
             with_tags(build(at_vm(to(double_tagged), first())), {{0x88a8, 200}, {0x8100, 30}}),
             in(double_tagged));
  for (const uint16_t type : {uint16_t{0x88a8}, uint16_t{0x8100}})
    expect_out("two tags, out", first(), with_tags(build(from_vm(first())), {{type, 200}, {0x8100, 30}}),
               uplink(), build(out_of(from_vm(first()), double_tagged)), out(double_tagged));
  expect_out("untagged, as before", uplink(), build(PipelineRows::from_client()), first(), build([] {
               Packet there = PipelineRows::from_client();
               there.to = web_mac;
               there.from = mac_of(first());
               there.destination = web_dip;
               --there.ttl;
               return there;
             }()),
             {{binding("in", web), 1}, {"rule hits", 1}});
}

TEST_F(LinkRows, TagsOfNoLocationAreDroppedByName) {
  const Bytes frame = build(from_vm(first()));
  expect_drop("another VLAN", first(), with_tags(frame, {{0x8100, 101}}), Drop::vlan_unknown);
  expect_drop("a priority tag", first(), with_tags(frame, {{0x8100, 0}}), Drop::vlan_unknown);
  expect_drop("the outer tag alone", first(), with_tags(frame, {{0x88a8, 200}}), Drop::vlan_unknown);
  expect_drop("the inner tag alone", first(), with_tags(frame, {{0x8100, 30}}), Drop::vlan_unknown);
  expect_drop("tags the other way round", first(), with_tags(frame, {{0x88a8, 30}, {0x8100, 200}}),
              Drop::vlan_unknown);
  expect_drop("a second tag without a number", first(), with_tags(frame, {{0x8100, 100}, {0x8100, 0}}),
              Drop::vlan_unknown);
  expect_drop("three tags", first(), with_tags(frame, {{0x88a8, 200}, {0x8100, 30}, {0x8100, 1}}),
              Drop::unknown_ether_type);
  expect_drop("on another port", second(), with_tags(build(from_vm(second())), {{0x8100, 100}}),
              Drop::vlan_unknown);
  expect_drop("on the uplink", uplink(), with_tags(build(to(tagged)), {{0x8100, 100}}),
              Drop::unknown_ether_type);
  expect_drop("no tag at all", first(), frame, Drop::spoofed_source);
  Packet other = from_vm(first());
  other.source = Ipv4Addr::of(10, 0, 0, 21);
  expect_drop("another DIP in the VLAN", first(), with_tags(build(other), {{0x8100, 100}}),
              Drop::spoofed_source);
  other = from_vm(first());
  other.from = web_mac;
  expect_drop("another MAC in the VLAN", first(), with_tags(build(other), {{0x8100, 100}}),
              Drop::spoofed_mac);
  expect_drop("cut short behind its tag", first(), cut(with_tags(frame, {{0x8100, 100}}), 17),
              Drop::truncated);
  expect_drop("cut short in its tag", first(), cut(with_tags(frame, {{0x8100, 100}}), 15),
              Drop::unknown_ether_type);
}

TEST_F(LinkRows, TunnelHeadersAreTakenOffAndPutOn) {
  const Bytes inner_in = build(at_vm(to(behind_vxlan), second()));
  Bytes sent = passed(uplink(), build(to(behind_vxlan)), second());
  const uint16_t source_port = testing::get16(sent, testing::transport_at);
  EXPECT_GE(source_port, 49152);
  EXPECT_EQ(sent, sent_by_vxlan(inner_in, source_port)) << testing::describe(sent);
  EXPECT_EQ(passed(uplink(), build(to(behind_vxlan)), second()), sent) << "one flow, one source port";
  Packet other = to(behind_vxlan);
  other.source_port = 40001;
  EXPECT_NE(testing::get16(passed(uplink(), build(other), second()), testing::transport_at), source_port);
  expect_out("out", second(), build(outer(vxlan_header() + build(from_vm(second())))), uplink(),
             build(out_of(from_vm(second()), behind_vxlan)), out(behind_vxlan));

  sent = passed(uplink(), build(to(behind_geneve)), second());
  EXPECT_EQ(sent, sent_by_geneve(build(at_vm(to(behind_geneve), second())),
                                 testing::get16(sent, testing::transport6_at)));
  expect_out("out", second(), build(outer6(geneve_header() + build(from_vm(second())), geneve_port)),
             uplink(), build(out_of(from_vm(second()), behind_geneve)), out(behind_geneve));
  expect_out("with options that need not be understood", second(),
             build(outer6(geneve_header(geneve_vni, 2) + Bytes(8, 0x77) + build(from_vm(second())))),
             uplink(), build(out_of(from_vm(second()), behind_geneve)), out(behind_geneve));
  Bytes padded = build(outer(vxlan_header() + build(from_vm(second()))));
  padded.resize(padded.size() + 30);
  expect_out("with link padding", second(), padded, uplink(), build(out_of(from_vm(second()), behind_vxlan)),
             out(behind_vxlan));
}

// RFC 1071, 2 (B): the second buffer begins within a word.
TEST_F(LinkRows, TheUdpChecksumIsThatOfAllBuffers) {
  Packet packet = to(behind_geneve);
  packet.payload = Bytes(200, 0xff);
  for (const uint32_t first_segment : {60u, 61u, 77u}) {
    const auto seen = pass(uplink(), build(packet), first_segment);
    ASSERT_EQ(seen.size(), 1u);
    const Bytes& sent = seen.begin()->second.at(0);
    EXPECT_EQ(sent,
              sent_by_geneve(build(at_vm(packet, second())), testing::get16(sent, testing::transport6_at)))
        << first_segment << " bytes in the first buffer";
  }
}

TEST_F(LinkRows, EndpointsOfTwoTunnelsTalk) {
  Packet across = from_vm(second());
  across.destination = behind_geneve;
  across.flags = testing::syn;
  Packet there = across;
  there.to = vm_mac;
  there.from = mac_of(second());
  there.source = behind_vxlan;
  there.destination = dip;
  --there.ttl;
  const Bytes sent = passed(second(), build(outer(vxlan_header() + build(across))), second());
  EXPECT_EQ(sent, sent_by_geneve(build(there), testing::get16(sent, testing::transport6_at)));
}

TEST_F(LinkRows, TunnelsOfNoLocationAreDroppedByName) {
  const Bytes inner_frame = build(from_vm(second()));
  const Bytes good = build(outer(vxlan_header() + inner_frame));
  expect_drop("another VNI", second(), build(outer(vxlan_header(vni + 1) + inner_frame)),
              Drop::tunnel_unknown);
  Packet other = outer(vxlan_header() + inner_frame);
  other.source = Ipv4Addr::of(192, 0, 2, 8);
  expect_drop("another remote", second(), build(other), Drop::tunnel_unknown);
  expect_drop("another protocol", second(), build(outer(geneve_header(vni) + inner_frame, geneve_port)),
              Drop::tunnel_unknown);
  other = outer(vxlan_header() + inner_frame);
  other.destination = Ipv4Addr::of(192, 0, 2, 2);
  expect_drop("not to the port's own address", second(), build(other), Drop::spoofed_source);
  other = outer(vxlan_header() + inner_frame);
  other.to = mac_of(first());
  expect_drop("on another port", first(), build(other), Drop::spoofed_source);
  other = outer(vxlan_header() + inner_frame);
  other.to = vm_mac;
  expect_drop("not to the port's MAC", second(), build(other), Drop::wrong_destination_mac);
  other = outer(vxlan_header() + inner_frame);
  other.destination_port = 4790;
  expect_drop("to another UDP port", second(), build(other), Drop::spoofed_source);
  other.destination_port = 80;
  other.protocol = testing::tcp;
  expect_drop("no UDP", second(), build(other), Drop::spoofed_source);

  expect_drop("without a valid VNI", second(), build(outer(vxlan_header(vni, 0) + inner_frame)),
              Drop::tunnel_malformed);
  expect_drop("cut short in its header", second(), build(outer(cut(vxlan_header(), 7))),
              Drop::tunnel_malformed);
  expect_drop("Geneve of another version", second(),
              build(outer6(geneve_header(geneve_vni, 0x40) + inner_frame)), Drop::tunnel_malformed);
  expect_drop("Geneve with a critical option", second(),
              build(outer6(geneve_header(geneve_vni, 1, 0x40) + Bytes(4) + inner_frame)),
              Drop::tunnel_malformed);
  expect_drop("Geneve's control packet", second(),
              build(outer6(geneve_header(geneve_vni, 0, 0x80) + inner_frame)), Drop::tunnel_malformed);
  expect_drop("Geneve with another payload", second(),
              build(outer6(geneve_header(geneve_vni, 0, 0, 0x0800) + inner_frame)), Drop::tunnel_malformed);
  expect_drop("options beyond the packet", second(), build(outer6(geneve_header(geneve_vni, 63))),
              Drop::tunnel_malformed);
  Bytes short_udp = good;
  testing::put16(short_udp, testing::transport_at + 4, 12);
  expect_drop("a header beyond the UDP datagram", second(), short_udp, Drop::tunnel_malformed);

  expect_drop("first fragment", second(), edited(good, testing::ip_at + 6, {0x20, 0}), Drop::tunnel_fragment);
  expect_drop("later fragment", second(), edited(good, testing::ip_at + 6, {0, 5}), Drop::tunnel_fragment);
  Packet6 fragment = outer6(geneve_header() + inner_frame);
  fragment.extensions = {{44, Bytes{0, 0, 1, 0, 0, 0, 1}}};
  expect_drop("fragment of IPv6", second(), build(fragment), Drop::tunnel_fragment);

  expect_drop("outer checksum", second(), edited(good, testing::ip_at + 10, {0, 0}, false),
              Drop::ip_checksum);
  expect_drop("outer length", second(), cut(good, good.size() - 1), Drop::ip_total_length);
  expect_drop("inner frame cut short", second(), build(outer(vxlan_header() + cut(inner_frame, 13))),
              Drop::truncated);
  expect_drop("inner packet cut short", second(),
              build(outer(vxlan_header() + cut(inner_frame, inner_frame.size() - 1))), Drop::ip_total_length);
  Packet spoofed = from_vm(second());
  spoofed.source = Ipv4Addr::of(10, 0, 0, 21);
  expect_drop("another DIP inside", second(), build(outer(vxlan_header() + build(spoofed))),
              Drop::spoofed_source);
  spoofed = from_vm(second());
  spoofed.from = web_mac;
  expect_drop("another MAC inside", second(), build(outer(vxlan_header() + build(spoofed))),
              Drop::spoofed_mac);
  spoofed = from_vm(second());
  spoofed.to = web_mac;
  expect_drop("not to the gateway's MAC inside", second(), build(outer(vxlan_header() + build(spoofed))),
              Drop::wrong_destination_mac);
}

TEST_F(LinkRows, TagsInsideATunnelAreDroppedUnlessTakenOff) {
  const Bytes frame = build(outer(vxlan_header() + with_tags(build(from_vm(second())), {{0x8100, 100}})));
  expect_drop("a tag inside", second(), frame, Drop::tunnel_inner_vlan);
  tables_->ports.ports[second().id()].tunnel.strip_inner_vlan = true;
  expect_out("a tag taken off", second(), frame, uplink(), build(out_of(from_vm(second()), behind_vxlan)),
             out(behind_vxlan));
  expect_out("two tags taken off", second(),
             build(outer(vxlan_header() + with_tags(build(from_vm(second())), {{0x88a8, 5}, {0x8100, 100}}))),
             uplink(), build(out_of(from_vm(second()), behind_vxlan)), out(behind_vxlan));
  expect_drop("three tags", second(),
              build(outer(vxlan_header() +
                          with_tags(build(from_vm(second())), {{0x88a8, 5}, {0x8100, 100}, {0x8100, 1}}))),
              Drop::unknown_ether_type);
}

// RFC 6040.
TEST_F(LinkRows, CongestionMarksCrossTheTunnel) {
  const auto marked = [](const Bytes& frame, uint8_t ecn) {
    return edited(frame, testing::ip_at + 1, {ecn});
  };
  const Bytes inner_frame = build(from_vm(second()));
  const Bytes left = build(out_of(from_vm(second()), behind_vxlan));
  expect_out("none outside", second(), build(outer(vxlan_header() + marked(inner_frame, 1))), uplink(),
             marked(left, 1), out(behind_vxlan));
  expect_out("capable outside", second(), marked(build(outer(vxlan_header() + marked(inner_frame, 1))), 2),
             uplink(), marked(left, 1), out(behind_vxlan));
  for (uint8_t ecn = 1; ecn <= 3; ++ecn)
    expect_out("experienced outside", second(),
               marked(build(outer(vxlan_header() + marked(inner_frame, ecn))), 3), uplink(), marked(left, 3),
               out(behind_vxlan));
  expect_drop("experienced outside, not capable inside", second(),
              marked(build(outer(vxlan_header() + inner_frame)), 3), Drop::tunnel_congestion);
  Packet6 outside = outer6(geneve_header() + marked(inner_frame, 2));
  expect_out("experienced in IPv6", second(), edited(build(outside), testing::ip_at + 1, {0x30}, false),
             uplink(), marked(build(out_of(from_vm(second()), behind_geneve)), 3), out(behind_geneve));
  const Bytes sent = passed(uplink(), marked(build(to(behind_vxlan)), 3), second());
  EXPECT_EQ(sent, sent_by_vxlan(marked(build(at_vm(to(behind_vxlan), second())), 3),
                                testing::get16(sent, testing::transport_at), 3));
}

TEST_F(LinkRows, NextHopsAreAskedForAndAnsweredByLink) {
  Arp ask{.to = broadcast_mac,
          .from = vm_mac,
          .sender_mac = vm_mac,
          .sender = dip,
          .target_mac = {},
          .target = link_local_next_hop};
  Arp answer{.to = vm_mac,
             .from = mac_of(first()),
             .operation = 2,
             .sender_mac = mac_of(first()),
             .sender = link_local_next_hop,
             .target_mac = vm_mac,
             .target = dip};
  expect_out("ARP in a VLAN", first(), with_tags(build(ask), {{0x8100, 100}}), first(),
             with_tags(build(answer), {{0x8100, 100}}), {});
  answer.from = answer.sender_mac = mac_of(second());
  expect_out("ARP in a tunnel", second(), build(outer(vxlan_header() + build(ask))), second(),
             sent_by_vxlan(build(answer), 49152), {});
  // Of the underlay.
  ask.target = own;
  ask.from = ask.sender_mac = answer.to = answer.target_mac = remote_mac;
  ask.sender = answer.target = remote;
  answer.sender = own;
  expect_out("ARP for the tunnel address", second(), build(ask), second(), build(answer), {});
  ask.from = ask.sender_mac = vm_mac;
  expect_drop("the same inside the tunnel", second(), build(outer(vxlan_header() + build(ask))),
              Drop::arp_ignored);
  Arp reply{.to = mac_of(second()),
            .from = remote_mac,
            .operation = 2,
            .sender_mac = remote_mac,
            .sender = remote,
            .target_mac = mac_of(second()),
            .target = own};
  before_ = take();
  EXPECT_TRUE(pass(second(), build(reply)).empty());
  EXPECT_EQ(take().since(before_), (Moved{{"received " + std::to_string(second().id()), 1}, {"punted", 1}}));
  expect_drop("the same inside the tunnel", second(), build(outer(vxlan_header() + build(reply))),
              Drop::arp_ignored);
  reply.sender = Ipv4Addr::of(10, 9, 9, 9);
  expect_drop("of nobody on the link", second(), build(reply), Drop::arp_ignored);
}

TEST_F(LinkRows, WhatCannotLeaveIsRefusedAtRoute) {
  Packet big = to(behind_vxlan);
  big.payload = Bytes(1000 - 50 - 40 + 1, 1);
  expect_drop("one byte beyond the tunnel", uplink(), edited(build(big), testing::ip_at + 6, {0, 0}),
              Drop::packet_too_big);
  big.payload.pop_back();
  EXPECT_EQ(passed(uplink(), build(big), second()).size(), 1000u + 14);
  // Path-MTU discovery: the sender learns what is left inside the tunnel.
  big.payload.push_back(1);
  const Bytes told = passed(uplink(), edited(build(big), testing::ip_at + 6, {0x40, 0}), uplink());
  EXPECT_EQ(testing::get16(told, testing::transport_at + 6), 950);
  tables_->neighbors.for_each(
      [&](NeighborId id, const NeighborKey&, uint32_t) { tables_->neighbors.clear(id); });
  expect_drop("no next hop", uplink(), build(to(behind_vxlan)), Drop::next_hop_unresolved);
  Arp ask{.to = broadcast_mac,
          .from = vm_mac,
          .sender_mac = vm_mac,
          .sender = dip,
          .target_mac = {},
          .target = link_local_next_hop};
  expect_drop("an answer without next hop", second(), build(outer(vxlan_header() + build(ask))),
              Drop::answer_not_sent);
}

// Frames of all links, bytes changed, cut and grown at random: each comes out or is dropped by name, and
// (seen at the end of every test) its buffer comes back.
TEST_F(LinkRows, WhateverIsInAFrameItComesOutOrIsDroppedByName) {
  const Bytes inner_frame = build(from_vm(second()));
  const std::pair<testing::RingPort*, Bytes> frames[] = {
      {&first(), with_tags(build(from_vm(first())), {{0x8100, 100}})},
      {&first(), with_tags(build(from_vm(first())), {{0x88a8, 200}, {0x8100, 30}})},
      {&second(), build(outer(vxlan_header() + inner_frame))},
      {&second(), build(outer6(geneve_header() + inner_frame))},
      {&second(), build(outer6(geneve_header(geneve_vni, 2) + Bytes(8, 0x77) + inner_frame))},
      {&second(), build(outer(vxlan_header() + with_tags(inner_frame, {{0x8100, 100}})))},
  };
  std::mt19937 random(1);
  const auto below = [&](size_t n) { return static_cast<size_t>(random() % n); };
  constexpr int rounds = 60'000;
  uint64_t passed = 0, dropped = 0;
  for (int n = 0; n < rounds; ++n) {
    auto [port, frame] = frames[below(std::size(frames))];
    for (size_t changes = below(4); changes != 0; --changes)
      frame[below(std::min<size_t>(frame.size(), 120))] = static_cast<uint8_t>(random());
    if (below(6) == 0) frame.resize(1 + below(frame.size() + 40), 0x33);
    tables_->ports.ports[second().id()].tunnel.strip_inner_vlan = below(2) == 0;
    const uint32_t first_segment = below(8) == 0 ? static_cast<uint32_t>(1 + below(frame.size())) : 0;
    const Snapshot before = take();
    for (const auto& [out, seen] : pass(*port, frame, first_segment)) passed += seen.size();
    uint64_t drops = 0;
    for (const auto& [name, moved] : take().since(before))
      if (name.starts_with("drop ")) drops += static_cast<uint64_t>(moved);
    ASSERT_LE(drops, 1u) << "round " << n;
    dropped += drops;
    if (n % 1000 == 0) now_ms_ += 1000;
  }
  EXPECT_GT(passed, uint64_t{rounds} / 5);
  EXPECT_GT(dropped, uint64_t{rounds} / 5);
}

TEST_F(LinkRows, ABufferWithoutRoomForTheHeaderIsRefused) {
  constexpr uint16_t room = 8;
  const auto feed_without_room = [&](const Bytes& frame) {
    rte_mbuf* const packet = ports().pool.make(frame, 0);
    std::memmove(static_cast<uint8_t*>(packet->buf_addr) + room, rte_pktmbuf_mtod(packet, uint8_t*),
                 packet->data_len);
    packet->data_off = room;
    EXPECT_TRUE(uplink().feed(packet));
    before_ = take();
    worker_->poll(now_ms_);
  };
  feed_without_room(build(to(behind_vxlan)));
  EXPECT_TRUE(second().collect().empty());
  EXPECT_EQ(take().since(before_),
            (Moved{{"received " + std::to_string(uplink().id()), 1}, {"drop no_headroom", 1}}));
  feed_without_room(build(to(double_tagged)));
  EXPECT_EQ(first().collect().size(), 1u) << "two tags fit";
}

// The link goes with its last endpoint, and comes back for the next.
TEST_F(LinkRows, LinksLiveAsLongAsTheirEndpoints) {
  publish(place(tagged, "first", VlanTags{101}, 21, 2));
  expect_drop("where it was", first(), with_tags(build(from_vm(first())), {{0x8100, 100}}),
              Drop::vlan_unknown);
  expect_out("where it is", first(), with_tags(build(from_vm(first())), {{0x8100, 101}}), uplink(),
             build(out_of(from_vm(first()), tagged)), out(tagged));
  publish(place(tagged, "second", Tunnel{TunnelProtocol::vxlan, remote, vni + 1}, 21, 3));
  expect_drop("where it was", first(), with_tags(build(from_vm(first())), {{0x8100, 101}}),
              Drop::vlan_unknown);
  expect_out("behind a tunnel", second(), build(outer(vxlan_header(vni + 1) + build(from_vm(second())))),
             uplink(), build(out_of(from_vm(second()), tagged)), out(tagged));
  publish(place(tagged, "first", {}, 21, 4));
  expect_out("untagged", first(), build(from_vm(first())), uplink(), build(out_of(from_vm(first()), tagged)),
             out(tagged));
  // More moves than there are links: each is given back.
  for (uint32_t n = 0; n < 600; ++n)
    publish(place(tagged, "second", Tunnel{TunnelProtocol::vxlan, Ipv4Addr::of(192, 0, 2, 10), 6000 + n}, 21,
                  5 + n));
  uint32_t neighbors = 0;
  tables_->neighbors.for_each([&](NeighborId, const NeighborKey&, uint32_t) { ++neighbors; });
  EXPECT_EQ(neighbors, 3u);
}

}  // namespace
}  // namespace portcullis
