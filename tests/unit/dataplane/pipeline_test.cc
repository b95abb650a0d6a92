// The pipeline by rows, IPv4 (pipeline_rows.h).

#include "tests/unit/dataplane/pipeline_rows.h"

namespace portcullis {
namespace {

// Rows of pipeline_ipv6_parse_test.cc.
bool is_of_ipv6(std::string_view reason) {
  return reason.starts_with("ipv6_") || reason.starts_with("neighbor_");
}

TEST_F(PipelineRows, ParseRefusesByName) {
  const Bytes good = build(from_client());
  std::set<std::string_view> met;
  size_t kinds = 0;
  const auto row = [&](const char* name, const Bytes& frame, Drop reason, uint32_t first_segment = 0) {
    expect_drop(name, uplink(), frame, reason, first_segment);
    met.insert(describe(reason).name);
    ++kinds;
  };
  row("IPv6 by its EtherType only", edited(good, 12, {0x86, 0xdd}, false), Drop::ip_version);
  row("LLDP", edited(good, 12, {0x88, 0xcc}, false), Drop::unknown_ether_type);
  row("VLAN tag", edited(good, 12, {0x81, 0x00}, false), Drop::unknown_ether_type);
  row("another MAC", edited(good, 0, {2, 9, 9, 9, 9, 9}, false), Drop::wrong_destination_mac);
  row("broadcast IPv4", edited(good, 0, {255, 255, 255, 255, 255, 255}, false), Drop::wrong_destination_mac);
  row("no Ethernet header", cut(good, 13), Drop::truncated);
  row("no IPv4 header", cut(good, 33), Drop::truncated);
  row("version 6", edited(good, 14, {0x65}), Drop::ip_version);
  row("IHL 4", edited(good, 14, {0x44}), Drop::ip_header_length);
  row("IHL beyond the frame", edited(cut(good, 60), 14, {0x4f}), Drop::ip_header_length);
  row("total length below header", edited(good, 16, {0, 19}), Drop::ip_total_length);
  row("total length beyond frame", edited(good, 16, {1, 0}), Drop::ip_total_length);
  row("checksum", edited(good, 24, {0xde, 0xad}, false), Drop::ip_checksum);
  const auto with_options = [&](std::array<uint8_t, 4> options) {
    Bytes frame(good);
    frame.insert(frame.begin() + 34, options.begin(), options.end());
    frame[14] = 0x46;
    testing::put16(frame, 16, static_cast<uint16_t>(frame.size() - 14));
    testing::fix_header_checksum(frame);
    return frame;
  };
  row("option of length 0", with_options({7, 0, 0, 0}), Drop::ip_options);
  row("option of length 1", with_options({1, 7, 1, 0}), Drop::ip_options);
  row("option beyond the header", with_options({7, 5, 4, 0}), Drop::ip_options);
  row("option without a length", with_options({1, 1, 1, 7}), Drop::ip_options);
  row("loose source route", with_options({131, 4, 4, 0}), Drop::ip_source_route);
  row("strict source route", with_options({1, 137, 3, 4}), Drop::ip_source_route);
  row("fragment of no multiple of eight", edited(good, 20, {0x20, 0x00}), Drop::fragment_length);
  row("empty fragment", edited(cut(good, 34), 16, {0, 20, 0, 0, 0x20, 0x00}), Drop::fragment_length);
  row("fragment that ends beyond 65,535", edited(good, 20, {0x1f, 0xff}), Drop::fragment_length);
  row("first fragment of 16 bytes of TCP", edited(cut(good, 50), 16, {0, 36, 0, 0, 0x20, 0x00}),
      Drop::fragment_short);
  row("fragment that reaches TCP's flags", edited(good, 20, {0x00, 0x01}), Drop::fragment_offset);
  row("fragment that reaches TCP's checksum", edited(good, 20, {0x00, 0x02}), Drop::fragment_offset);
  row("later fragment of a reserved protocol", edited(good, 20, {0x00, 0x04, 64, 255}),
      Drop::unknown_protocol);
  for (const auto& [first_octet, second_octet] :
       {std::pair{0, 1}, {127, 0}, {169, 254}, {224, 0}, {240, 0}, {255, 255}}) {
    const auto a = static_cast<uint8_t>(first_octet);
    const auto b = static_cast<uint8_t>(second_octet);
    row("martian source", edited(good, 26, {a, b, 0, 1}), Drop::martian_source);
    row("martian destination", edited(good, 30, {a, b, 0, 1}), Drop::martian_destination);
  }
  for (const uint8_t protocol : std::initializer_list<uint8_t>{0, 43, 44, 58, 59, 60, 255})
    row("a protocol of IPv6, or reserved", edited(good, 23, {protocol}), Drop::unknown_protocol);
  Packet association = from_client();
  association.protocol = testing::sctp;
  row("SCTP of 15 bytes", edited(cut(build(association), 49), 16, {0, 35}), Drop::sctp_header);
  row("TCP of 19 bytes", edited(cut(good, 53), 16, {0, 39}), Drop::tcp_header);
  row("TCP data offset 4", edited(good, 46, {0x40}), Drop::tcp_header);
  row("TCP data offset beyond", edited(good, 46, {0xf0}), Drop::tcp_header);
  row("TCP without flags", edited(good, 47, {0x00}), Drop::tcp_flags);
  row("TCP only ECE and CWR", edited(good, 47, {0xc0}), Drop::tcp_flags);
  row("TCP SYN+FIN", edited(good, 47, {0x03}), Drop::tcp_flags);
  row("TCP SYN+RST", edited(good, 47, {0x06}), Drop::tcp_flags);
  Packet dns = from_client();
  dns.protocol = testing::udp;
  dns.destination_port = 53;
  const Bytes udp = build(dns);
  row("UDP of 7 bytes", edited(cut(udp, 41), 16, {0, 27}), Drop::udp_length);
  row("UDP length 7", edited(udp, 38, {0, 7}), Drop::udp_length);
  row("UDP length beyond", edited(udp, 38, {0, 99}), Drop::udp_length);
  Packet ping = from_client();
  ping.protocol = testing::icmp;
  const Bytes icmp = build(ping);
  row("ICMP of 7 bytes", edited(cut(icmp, 41), 16, {0, 27}), Drop::icmp_header);
  row("ICMP redirect", edited(icmp, 34, {5}), Drop::icmp_type);
  row("ICMP source quench", edited(icmp, 34, {4}), Drop::icmp_type);
  row("ICMP router advertisement", edited(icmp, 34, {9}), Drop::icmp_type);
  {
    Packet quoted = from_web();
    quoted.source = web;
    Packet error = from_client();
    error.protocol = testing::icmp;
    error.icmp_type = 3;
    const auto quoting = [&](const Bytes& quote) {
      error.payload = quote;
      return build(error);
    };
    const Bytes quote = quote_of(quoted);
    row("error that quotes nothing", quoting({}), Drop::icmp_error_quote);
    row("error that quotes 19 bytes", quoting(cut(quote, 19)), Drop::icmp_error_quote);
    row("error that quotes 7 bytes of TCP", quoting(cut(quote, 27)), Drop::icmp_error_quote);
    row("error about IPv6", quoting(edited(quote, 0, {0x60}, false)), Drop::icmp_error_quote);
    row("error about IHL 4", quoting(edited(quote, 0, {0x44}, false)), Drop::icmp_error_quote);
    row("error about a header that it does not quote whole", quoting(edited(quote, 0, {0x4f}, false)),
        Drop::icmp_error_quote);
    row("error about a later fragment", quoting(edited(quote, 6, {0, 1}, false)), Drop::icmp_error_quote);
    row("error about another's packet", quoting(edited(quote, 15, {11}, false)), Drop::icmp_error_quote);
    row("error about a reserved protocol", quoting(edited(quote, 9, {255}, false)), Drop::icmp_error_quote);
    quoted.protocol = testing::icmp;
    quoted.icmp_type = 11;
    row("error about an error", quoting(quote_of(quoted)), Drop::icmp_error_quote);
    row("error in fragments", edited(quoting(cut(quote, 32)), 20, {0x20, 0x00}), Drop::icmp_error_quote);
    row("quoted header in the second buffer", quoting(quote), Drop::headers_not_contiguous, 50);
    row("quoted TCP header over two buffers", quoting(quote), Drop::headers_not_contiguous, 70);
  }
  row("Ethernet header over two buffers", good, Drop::headers_not_contiguous, 13);
  row("IPv4 header over two buffers", good, Drop::headers_not_contiguous, 30);
  row("TCP header in the second buffer", good, Drop::headers_not_contiguous, 40);
  row("UDP header in the second buffer", udp, Drop::headers_not_contiguous, 41);
  row("ICMP header in the second buffer", icmp, Drop::headers_not_contiguous, 41);
  row("SCTP header in the second buffer", build(association), Drop::headers_not_contiguous, 49);
  const Bytes arp =
      build(Arp{.to = broadcast_mac, .from = router_mac, .sender_mac = router_mac, .target = web});
  row("ARP cut short", cut(arp, 41), Drop::arp_malformed);
  row("ARP over two buffers", arp, Drop::headers_not_contiguous, 20);
  row("ARP for IPv6", edited(arp, 16, {0x86, 0xdd}, false), Drop::arp_malformed);
  row("ARP of another hardware", edited(arp, 14, {0, 6}, false), Drop::arp_malformed);
  EXPECT_GE(kinds, 40u);
  for (const DropInfo& info : drop_registry)
    EXPECT_TRUE(info.stage != "parse" || is_of_ipv6(info.name) || met.contains(info.name))
        << info.name << " is never met";
}

TEST_F(PipelineRows, ArpIsAnsweredOnlyForWhatIsOurs) {
  const auto ask = [](const testing::RingPort& port, Ipv4Addr target, uint16_t operation = 1) {
    return build(Arp{.to = broadcast_mac,
                     .from = web_mac,
                     .operation = operation,
                     .sender_mac = web_mac,
                     .sender = web_dip,
                     .target_mac = operation == 1 ? Mac{} : mac_of(port),
                     .target = target});
  };
  const auto answer = [](const testing::RingPort& port, Ipv4Addr target) {
    return build(Arp{.to = web_mac,
                     .from = mac_of(port),
                     .operation = 2,
                     .sender_mac = mac_of(port),
                     .sender = target,
                     .target_mac = web_mac,
                     .target = web_dip});
  };
  expect_out("link-local next hop", first(), ask(first(), link_local_next_hop), first(),
             answer(first(), link_local_next_hop), {});
  expect_out("configured next hop", second(), ask(second(), Ipv4Addr::of(10, 0, 0, 1)), second(),
             answer(second(), Ipv4Addr::of(10, 0, 0, 1)), {});
  expect_out("gateway address", uplink(), ask(uplink(), gateway), uplink(), answer(uplink(), gateway), {});
  expect_out("a bound EIP", uplink(), ask(uplink(), web), uplink(), answer(uplink(), web), {});
  expect_out("an address of the pool that nobody holds", uplink(), ask(uplink(), free_address), uplink(),
             answer(uplink(), free_address), {});
  Arp relayed{.to = broadcast_mac,
              .from = same_mac,
              .operation = 1,
              .sender_mac = web_mac,
              .sender = web_dip,
              .target_mac = Mac{},
              .target = link_local_next_hop};
  expect_out("answered to the hardware address in the ARP, not to the frame's", first(), build(relayed),
             first(), answer(first(), link_local_next_hop), {});
  expect_drop("a neighbour's address", first(), ask(first(), inner_dip), Drop::arp_ignored);
  expect_drop("another port's next hop", first(), ask(first(), Ipv4Addr::of(10, 0, 0, 1)), Drop::arp_ignored);
  expect_drop("an EIP, asked by a vm", first(), ask(first(), web), Drop::arp_ignored);
  expect_drop("the client's own address", uplink(), ask(uplink(), client), Drop::arp_ignored);
  expect_drop("a provider pool's address", uplink(), ask(uplink(), elsewhere), Drop::arp_ignored);
  expect_drop("a reply of a vm", first(), ask(first(), link_local_next_hop, 2), Drop::arp_ignored);
  expect_drop("cut short", first(), cut(ask(first(), link_local_next_hop), 41), Drop::arp_malformed);
  expect_drop("hardware type", first(), edited(ask(first(), link_local_next_hop), 14, {0, 6}, false),
              Drop::arp_malformed);
  expect_drop("address length", first(), edited(ask(first(), link_local_next_hop), 19, {16}, false),
              Drop::arp_malformed);
}

TEST_F(PipelineRows, TheGatewayIsDefaultOffAndMetered) {
  Packet ping = from_client();
  ping.protocol = testing::icmp;
  ping.destination = gateway;
  EXPECT_TRUE(pass(uplink(), build(ping)).empty());
  EXPECT_EQ(take().since(before_), (Moved{{"received " + std::to_string(uplink().id()), 1}, {"punted", 1}}));
  Packet http = from_client();
  http.destination = gateway;
  expect_drop("no rule", uplink(), build(http), Drop::gateway_not_permitted);
  Packet spoofed = ping;
  spoofed.source = free_address;
  expect_drop("source in a pool", uplink(), build(spoofed), Drop::gateway_spoofed_source);
  Packet inside = from_web();
  inside.protocol = testing::icmp;
  inside.destination = gateway;
  expect_drop("from an endpoint", first(), build(inside), Drop::gateway_not_permitted);
  // The ring holds 15; the meter 64 (640 a second, a tenth of it as burst).
  for (int n = 1; n < 15; ++n) static_cast<void>(pass(uplink(), build(ping)));
  expect_drop("ring full", uplink(), build(ping), Drop::punt_full);
  for (int n = 16; n < 64; ++n) static_cast<void>(pass(uplink(), build(ping)));
  expect_drop("over the rate", uplink(), build(ping), Drop::punt_rate);
  now_ms_ += 100;
  expect_drop("the meter fills again", uplink(), build(ping), Drop::punt_full);
}

TEST_F(PipelineRows, TheNextHopsArpReplyGoesToThePuntThread) {
  const Bytes reply = build(Arp{.to = mac_of(uplink()),
                                .from = router_mac,
                                .operation = 2,
                                .sender_mac = router_mac,
                                .sender = client,
                                .target_mac = mac_of(uplink()),
                                .target = gateway});
  EXPECT_TRUE(pass(uplink(), reply).empty());
  EXPECT_EQ(take().since(before_), (Moved{{"received " + std::to_string(uplink().id()), 1}, {"punted", 1}}));
  const Bytes other = build(Arp{.to = mac_of(uplink()),
                                .from = router_mac,
                                .operation = 2,
                                .sender_mac = router_mac,
                                .sender = stranger,
                                .target_mac = mac_of(uplink()),
                                .target = gateway});
  expect_drop("somebody else's", uplink(), other, Drop::arp_ignored);
}

TEST_F(PipelineRows, IdentifyStopsSpoofedSourcesAndUnboundDestinations) {
  Packet packet = from_web();
  packet.source = Ipv4Addr::of(10, 0, 0, 11);
  expect_drop("a DIP nobody has", first(), build(packet), Drop::spoofed_source);
  packet = from_web();
  packet.source = web;
  expect_drop("an EIP as source", first(), build(packet), Drop::spoofed_source);
  packet = from_web();
  packet.from = same_mac;
  expect_drop("the neighbour's MAC", first(), build(packet), Drop::spoofed_mac);
  packet = from_web();
  packet.to = mac_of(second());
  expect_drop("on a port where its MAC is not", second(), build(packet), Drop::spoofed_mac);
  packet = from_web();
  packet.destination = free_address;
  expect_drop("to an address of the pool that nobody holds", first(), build(packet), Drop::unbound);
  packet = from_client();
  packet.source = free_address;
  expect_drop("a pool's address from outside", uplink(), build(packet), Drop::spoofed_pool_source);
  packet.source = elsewhere;
  expect_drop("a provider pool's address from outside", uplink(), build(packet), Drop::spoofed_pool_source);
  packet = from_client();
  packet.destination = free_address;
  expect_drop("unbound", uplink(), build(packet), Drop::unbound);
  packet.destination = inner;
  expect_drop("bound for the local view only", uplink(), build(packet), Drop::unbound);
  packet.destination = elsewhere;
  expect_drop("another gateway's", uplink(), build(packet), Drop::not_ours);
  packet.destination = stranger;
  expect_drop("nobody's", uplink(), build(packet), Drop::not_ours);
}

TEST_F(PipelineRows, TranslatesInAndOut) {
  Packet in = from_client();
  Packet in_expected = in;
  in_expected.to = web_mac;
  in_expected.from = mac_of(first());
  in_expected.destination = web_dip;
  in_expected.ttl = 63;
  expect_out("TCP in", uplink(), build(in), first(), build(in_expected),
             {{binding("in", web), 1}, {"rule hits", 1}});
  in.protocol = in_expected.protocol = testing::udp;
  in.destination_port = in_expected.destination_port = 53;
  expect_out("UDP in", uplink(), build(in), first(), build(in_expected),
             {{binding("in", web), 1}, {"rule hits", 1}});
  Bytes unsummed = build(in);
  testing::put16(unsummed, testing::transport_at + 6, 0);
  Bytes unsummed_expected = build(in_expected);
  testing::put16(unsummed_expected, testing::transport_at + 6, 0);
  expect_out("a UDP checksum of zero stays zero", uplink(), unsummed, first(), unsummed_expected,
             {{binding("in", web), 1}, {"rule hits", 1}});
  in.protocol = in_expected.protocol = testing::icmp;
  expect_out("ping in", uplink(), build(in), first(), build(in_expected),
             {{binding("in", web), 1}, {"rule hits", 1}});
  Bytes padded = build(from_client());
  padded.resize(padded.size() + 7, 0xee);
  Packet trimmed = from_client();
  trimmed.to = web_mac;
  trimmed.from = mac_of(first());
  trimmed.destination = web_dip;
  trimmed.ttl = 63;
  expect_out("link padding does not go on", uplink(), padded, first(), build(trimmed),
             {{binding("in", web), 1}, {"rule hits", 1}});

  const Packet out = from_web();
  Packet out_expected = out;
  out_expected.to = router_mac;
  out_expected.from = mac_of(uplink());
  out_expected.source = web;
  out_expected.ttl = 63;
  expect_out("stateless reply", first(), build(out), uplink(), build(out_expected),
             {{binding("out", web), 1}, {"rule hits", 1}});
}

TEST_F(PipelineRows, DipEqualToEipIsNotTranslated) {
  Packet in = from_client();
  in.destination = same;
  Packet expected = in;
  expected.to = same_mac;
  expected.from = mac_of(first());
  expected.ttl = 63;
  expect_out("in", uplink(), build(in), first(), build(expected),
             {{binding("in", same), 1}, {"rule hits", 1}});
}

TEST_F(PipelineRows, AdmitRefusesWhatNoListLetsThrough) {
  Packet packet = from_client();
  packet.destination_port = 81;
  expect_drop("a port without a rule", uplink(), build(packet), Drop::destination_not_permitted);
  packet = from_client();
  packet.source_port = 443;
  packet.destination_port = 50000;
  packet.flags = testing::syn | testing::ack;
  expect_drop("a reply to nothing", uplink(), build(packet), Drop::destination_not_permitted);
  packet = from_web();
  packet.flags = testing::syn;
  expect_drop("a SYN is no reply", first(), build(packet), Drop::source_not_permitted);
  packet = from_web();
  packet.source_port = 81;
  expect_drop("a reply from another port", first(), build(packet), Drop::source_not_permitted);
  packet = from_web();
  packet.protocol = testing::icmp;
  packet.icmp_type = 8;
  expect_drop("its own ping", first(), build(packet), Drop::source_not_permitted);
  packet = from_web();
  packet.protocol = testing::udp;
  packet.source_port = 123;
  expect_drop("a tracked rule lets no reply out without its entry", first(), build(packet),
              Drop::source_not_permitted);
}

TEST_F(PipelineRows, EachSideOfEipToEipIsAsked) {
  Packet packet{.to = mac_of(first()),
                .from = web_mac,
                .source = web_dip,
                .destination = inner,
                .protocol = testing::tcp,
                .source_port = 50000,
                .destination_port = 443,
                .flags = testing::syn,
                .payload = {}};
  Packet expected = packet;
  expected.to = inner_mac;
  expected.from = mac_of(second());
  expected.source = web;
  expected.destination = inner_dip;
  expected.ttl = 63;
  expect_out("both permit", first(), build(packet), second(), build(expected),
             {{binding("out", web), 1}, {binding("in", inner), 1}, {"rule hits", 2}, {"flows", 1}});
  // Same DIP, other port: the answer is the other vm's, and its stateless reply meets the opener's entry.
  Packet reply{.to = mac_of(second()),
               .from = inner_mac,
               .source = inner_dip,
               .destination = web,
               .protocol = testing::tcp,
               .source_port = 443,
               .destination_port = 50000,
               .flags = testing::syn | testing::ack,
               .payload = {}};
  Packet reply_expected = reply;
  reply_expected.to = web_mac;
  reply_expected.from = mac_of(first());
  reply_expected.source = inner;
  reply_expected.destination = web_dip;
  reply_expected.ttl = 63;
  expect_out("the reply", second(), build(reply), first(), build(reply_expected),
             {{binding("out", inner), 1}, {binding("in", web), 1}, {"rule hits", 1}});
  packet.source = same;
  packet.from = same_mac;
  expect_drop("the source permits, the destination does not", first(), build(packet),
              Drop::source_not_permitted);
  reply.source_port = 444;
  expect_drop("the source's list first", second(), build(reply), Drop::source_not_permitted);
}

TEST_F(PipelineRows, OutboundRuleOpensAndItsRepliesComeBack) {
  Packet out = from_web();
  out.source_port = 50000;
  out.destination_port = 443;
  out.flags = testing::syn;
  Packet expected = out;
  expected.to = router_mac;
  expected.from = mac_of(uplink());
  expected.source = web;
  expected.ttl = 63;
  Packet reply = from_client();
  reply.source_port = 443;
  reply.destination_port = 50000;
  reply.flags = testing::syn | testing::ack;
  expect_drop("before the opener", uplink(), build(reply), Drop::destination_not_permitted);
  expect_out("SYN opens", first(), build(out), uplink(), build(expected),
             {{binding("out", web), 1}, {"rule hits", 1}, {"flows", 1}});
  Packet reply_expected = reply;
  reply_expected.to = web_mac;
  reply_expected.from = mac_of(first());
  reply_expected.destination = web_dip;
  reply_expected.ttl = 63;
  expect_out("the reply needs no rule", uplink(), build(reply), first(), build(reply_expected),
             {{binding("in", web), 1}});
  reply.flags = testing::syn;
  expect_drop("a SYN is no reply", uplink(), build(reply), Drop::destination_not_permitted);
  reply.flags = testing::ack;
  reply.source_port = 444;
  expect_drop("another port is no reply", uplink(), build(reply), Drop::destination_not_permitted);
  now_ms_ += 7'440'000;
  reply.source_port = 443;
  expect_drop("idle for too long", uplink(), build(reply), Drop::destination_not_permitted);
  worker_->age_all(now_ms_);
  EXPECT_EQ(worker_->flows().size(), 0u);
}

TEST_F(PipelineRows, WhatCannotOpenLeavesNoEntry) {
  for (const uint8_t flags : {testing::rst, testing::fin, uint8_t{testing::fin | testing::ack},
                              uint8_t{testing::syn | testing::ack}, uint8_t{testing::rst | testing::ack}}) {
    Packet out = from_web();
    out.source_port = 50001;
    out.destination_port = 443;
    out.flags = flags;
    EXPECT_EQ(pass(first(), build(out)).size(), 1u) << "the rule lets it pass";
    EXPECT_EQ(worker_->flows().size(), 0u) << "flags " << int{flags};
  }
}

TEST_F(PipelineRows, QuotaRefusesByNameAndExistingFlowsGoOn) {
  Packet out = from_web();
  out.destination_port = 443;
  out.flags = testing::syn;
  for (uint16_t port = 50000; port < 50003; ++port) {
    out.source_port = port;
    EXPECT_EQ(pass(first(), build(out)).size(), 1u);
  }
  out.source_port = 50003;
  expect_drop("one too many", first(), build(out), Drop::flow_quota);
  out.source_port = 50002;
  EXPECT_EQ(pass(first(), build(out)).size(), 1u);
  EXPECT_EQ(worker_->flows().size(), 3u);
}

TEST_F(PipelineRows, AnEipsOwnQuotaIsItsAlone) {
  const auto outbound_all = rule("all", {.flags = PermitRule::any_protocol | PermitRule::outbound});
  compile::Image next = image();
  next.bindings.at(web).flow_quota = 5;
  next.bindings.at(same).flow_quota = 1;
  next.bindings.at(same).permit = {outbound_all};
  next.bindings.at(inner).permit = {outbound_all};
  publish(
      {.pools = std::nullopt,
       .bindings = {
           {web, next.bindings.at(web)}, {same, next.bindings.at(same)}, {inner, next.bindings.at(inner)}}});
  Packet out = from_web();
  out.flags = testing::syn;
  const auto fill = [&](uint16_t entries, testing::RingPort& port, const char* row) {
    for (out.source_port = 50000; out.source_port < 50000 + entries; ++out.source_port)
      EXPECT_EQ(pass(port, build(out)).size(), 1u) << row << " " << out.source_port;
    expect_drop(row, port, build(out), Drop::flow_quota);
  };
  out.destination_port = 443;
  fill(5, first(), "raised above the default");
  out.from = same_mac;
  out.source = same;
  fill(1, first(), "lowered below the default");
  out.to = mac_of(second());
  out.from = inner_mac;
  out.source = inner_dip;
  fill(3, second(), "the default");

  // Below what is there: its flows go on, and nothing is added.
  const auto set_quota_of_web = [&](uint32_t flows) {
    next.bindings.at(web).flow_quota = flows;
    publish({.pools = std::nullopt, .bindings = {{web, next.bindings.at(web)}}});
  };
  set_quota_of_web(2);
  out.to = mac_of(first());
  out.from = web_mac;
  out.source = web_dip;
  out.source_port = 50004;
  EXPECT_EQ(pass(first(), build(out)).size(), 1u) << "an entry that is there";
  EXPECT_EQ(worker_->flows().size(), 9u);
  out.source_port = 50005;
  expect_drop("lowered below what is there", first(), build(out), Drop::flow_quota);
  set_quota_of_web(0);
  expect_drop("back to the default, which is used up", first(), build(out), Drop::flow_quota);
  set_quota_of_web(6);
  EXPECT_EQ(pass(first(), build(out)).size(), 1u);
}

TEST_F(PipelineRows, ATenantsQuotaIsOfAllItsEipsTogetherAndOfNobodyElses) {
  const auto outbound_all = rule("all", {.flags = PermitRule::any_protocol | PermitRule::outbound});
  compile::Image next = image();
  compile::Update update{.pools = std::nullopt, .bindings = {}, .flow_quotas = {{"acme", 3}}};
  uint32_t incarnation = 1000;
  for (const auto& [eip, tenant] :
       std::map<IpAddr, const char*>{{web, "acme"}, {same, "acme"}, {inner, "other"}}) {
    compile::CompiledBinding& binding = next.bindings.at(eip);
    binding.tenant = tenant;
    binding.incarnation = ++incarnation;
    binding.flow_quota = 10;
    binding.permit = {outbound_all};
    update.bindings[eip] = binding;
  }
  publish(update);
  Packet out = from_web();
  out.flags = testing::syn;
  out.destination_port = 443;
  const auto from = [&](Mac mac, Ipv4Addr address, testing::RingPort& port, uint16_t source_port) {
    out.to = mac_of(port);
    out.from = mac;
    out.source = address;
    out.source_port = source_port;
    return build(out);
  };
  EXPECT_EQ(pass(first(), from(web_mac, web_dip, first(), 50000)).size(), 1u);
  EXPECT_EQ(pass(first(), from(web_mac, web_dip, first(), 50001)).size(), 1u);
  EXPECT_EQ(pass(first(), from(same_mac, same, first(), 50000)).size(), 1u);
  expect_drop("one too many, of the one", first(), from(same_mac, same, first(), 50001),
              Drop::tenant_flow_quota);
  expect_drop("and of the other", first(), from(web_mac, web_dip, first(), 50002), Drop::tenant_flow_quota);
  EXPECT_EQ(pass(first(), from(web_mac, web_dip, first(), 50001)).size(), 1u) << "an entry that is there";
  for (uint16_t port = 50000; port < 50010; ++port)
    EXPECT_EQ(pass(second(), from(inner_mac, inner_dip, second(), port)).size(), 1u) << "another tenant's";
  expect_drop("its EIP's own quota", second(), from(inner_mac, inner_dip, second(), 50010), Drop::flow_quota);

  const auto set_quota = [&](uint32_t flows) {
    publish({.pools = std::nullopt, .bindings = {}, .flow_quotas = {{"acme", flows}}});
  };
  set_quota(4);
  EXPECT_EQ(pass(first(), from(same_mac, same, first(), 50001)).size(), 1u);
  expect_drop("raised by one", first(), from(same_mac, same, first(), 50002), Drop::tenant_flow_quota);
  set_quota(0);
  EXPECT_EQ(pass(first(), from(same_mac, same, first(), 50002)).size(), 1u) << "the default is no bound";
  set_quota(2);
  expect_drop("lowered", first(), from(web_mac, web_dip, first(), 50003), Drop::tenant_flow_quota);
  EXPECT_EQ(pass(first(), from(same_mac, same, first(), 50002)).size(), 1u) << "nothing is taken away";
}

}  // namespace
}  // namespace portcullis
