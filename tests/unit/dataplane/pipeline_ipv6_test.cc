// The pipeline by rows, IPv6: what is judged, translated and passed on.

#include "tests/unit/dataplane/pipeline_ipv6_rows.h"

namespace portcullis {
namespace {

TEST_F(Ipv6Rows, IdentifyStopsSpoofedSourcesAndUnboundDestinations) {
  Packet6 in = from_client();
  in.source = free6;
  expect_drop("a pool's source outside", uplink(), build(in), Drop::spoofed_pool_source);
  in.source = elsewhere6;
  expect_drop("a provider's source outside", uplink(), build(in), Drop::spoofed_pool_source);
  in = from_client();
  in.destination = free6;
  expect_drop("not bound", uplink(), build(in), Drop::unbound);
  in.destination = inner6;
  expect_drop("not for the outside", uplink(), build(in), Drop::unbound);
  in.destination = elsewhere6;
  expect_drop("a provider's", uplink(), build(in), Drop::not_ours);
  in.destination = stranger6;
  expect_drop("nobody's", uplink(), build(in), Drop::not_ours);
  Packet6 out = from_web();
  out.source = address("fd00::11");
  expect_drop("no DIP", first(), build(out), Drop::spoofed_source);
  out.source = web6;
  expect_drop("its own EIP", first(), build(out), Drop::spoofed_source);
  out = from_web();
  out.from = same_mac;
  expect_drop("another's MAC", first(), build(out), Drop::spoofed_mac);
  out = from_web();
  out.destination = free6;
  expect_drop("to what is not bound", first(), build(out), Drop::unbound);
}

TEST_F(Ipv6Rows, TranslatesInAndOut) {
  expect_out("TCP in", uplink(), build(from_client()), first(), build(at_web(from_client())), in_web());
  expect_out("TCP out, a reply", first(), build(from_web()), uplink(), build(at_router(from_web())),
             out_of_web());
  Packet6 ping = from_client();
  ping.protocol = testing::icmpv6;
  ping.icmp_id = 77;
  expect_out("ping in", uplink(), build(ping), first(), build(at_web(ping)), in_web());
  Packet6 pong = from_web();
  pong.protocol = testing::icmpv6;
  pong.icmp_type = 129;
  pong.icmp_id = 77;
  expect_out("and its reply", first(), build(pong), uplink(), build(at_router(pong)), out_of_web());
  Packet6 dns = from_client();
  dns.protocol = testing::udp;
  dns.destination_port = 53;
  expect_out("UDP in", uplink(), build(dns), first(), build(at_web(dns)), in_web());
  Packet6 esp = from_client();
  esp.protocol = testing::esp;
  expect_out("ESP in, by address", uplink(), build(esp), first(), build(at_web(esp)), in_web());
  Packet6 optioned = from_client();
  optioned.extensions = {{0, options()}, {60, options(1)}, {43, options(2)}};
  expect_out("behind extension headers", uplink(), build(optioned), first(), build(at_web(optioned)),
             in_web());
  Bytes padded = build(from_client());
  padded.resize(padded.size() + 9);
  expect_out("with link padding", uplink(), padded, first(), build(at_web(from_client())), in_web());
}

TEST_F(Ipv6Rows, DipEqualToEipIsNotTranslated) {
  Packet6 in = from_client();
  in.destination = same6;
  in.destination_port = 9;
  Packet6 there = in;
  there.to = same_mac;
  there.from = mac_of(first());
  --there.hop_limit;
  expect_out("in", uplink(), build(in), first(), build(there), {{counter("in", same6), 1}, {"rule hits", 1}});
}

TEST_F(Ipv6Rows, AdmitRefusesWhatNoListLetsThrough) {
  Packet6 in = from_client();
  in.destination_port = 81;
  expect_drop("port", uplink(), build(in), Drop::destination_not_permitted);
  in = from_client();
  in.source = stranger6;
  expect_drop("remote beyond the 48 bits", uplink(), build(in), Drop::destination_not_permitted);
  in.protocol = testing::udp;
  in.destination_port = 53;
  in.source = address("2001:db8:f00::4");
  expect_drop("remote beyond the 127 bits", uplink(), build(in), Drop::destination_not_permitted);
  in.source = address("2001:db8:f00::3");
  expect_out("the last of the 127 bits", uplink(), build(in), first(), build(at_web(in)), in_web());
  Packet6 out = from_web();
  out.flags = testing::syn;
  expect_drop("a vm's own connection from a service port", first(), build(out), Drop::source_not_permitted);
  out = from_web();
  out.protocol = testing::icmpv6;
  expect_drop("a vm's own ping", first(), build(out), Drop::source_not_permitted);
}

TEST_F(Ipv6Rows, EachSideOfEipToEipIsAsked) {
  Packet6 across = from_web();
  across.destination = inner6;
  across.source_port = 5000;
  across.destination_port = 443;
  across.flags = testing::syn;
  Packet6 there = at_router(across);
  there.to = inner_mac;
  there.from = mac_of(second());
  there.destination = inner6_dip;
  expect_out("permitted by both", first(), build(across), second(), build(there),
             {{counter("out", web6), 1}, {counter("in", inner6), 1}, {"rule hits", 2}, {"flows6", 1}});
  across.destination_port = 444;
  expect_drop("by neither", first(), build(across), Drop::source_not_permitted);
  Packet6 other = across;
  other.from = same_mac;
  other.source = same6;
  other.destination_port = 443;
  expect_drop("not by the destination", first(), build(other), Drop::source_not_permitted);
}

TEST_F(Ipv6Rows, OutboundRuleOpensAndItsRepliesComeBack) {
  Packet6 out = from_web();
  out.source_port = 5000;
  out.destination_port = 443;
  out.flags = testing::syn;
  Packet6 in = from_client();
  in.source_port = 443;
  in.destination_port = 5000;
  in.flags = testing::syn | testing::ack;
  expect_drop("a reply to nothing", uplink(), build(in), Drop::destination_not_permitted);
  expect_out("opens", first(), build(out), uplink(), build(at_router(out)),
             {{counter("out", web6), 1}, {"rule hits", 1}, {"flows6", 1}});
  expect_out("the reply", uplink(), build(in), first(), build(at_web(in)), {{counter("in", web6), 1}});
  Packet6 other = in;
  other.source_port = 442;
  expect_drop("a reply of another port", uplink(), build(other), Drop::destination_not_permitted);
  other = in;
  other.source = address("2001:db8:f00::3");
  expect_drop("of another address", uplink(), build(other), Drop::destination_not_permitted);
  other = in;
  other.flags = testing::syn;
  expect_drop("a connection", uplink(), build(other), Drop::destination_not_permitted);
  now_ms_ += 7'440'000;
  expect_drop("too late", uplink(), build(in), Drop::destination_not_permitted);
  worker_->age_all(now_ms_);
  EXPECT_EQ(worker_->flows6().size(), 0u);
}

TEST_F(Ipv6Rows, AgeingTakesWhatCountsNoMore) {
  Packet6 out = from_web();
  out.destination_port = 443;
  out.flags = testing::syn;
  static_cast<void>(pass(first(), build(out)));
  worker_->age_all(now_ms_);
  EXPECT_EQ(worker_->flows6().size(), 1u);
  compile::CompiledBinding narrower = image6().bindings.at(web6);
  std::vector<model::PermitRule> fewer = narrower.permit.rules();
  fewer.erase(fewer.begin() + 4);
  narrower.permit = std::move(fewer);
  narrower.list_generation = narrower.kept_from = narrower.incarnation + 1;
  publish({.pools = std::nullopt, .bindings = {{web6, narrower}}});
  worker_->age_all(now_ms_);
  EXPECT_EQ(worker_->flows6().size(), 0u) << "the list lets it out no more";
  publish({.pools = std::nullopt, .bindings = {{web6, image6().bindings.at(web6)}}});
  static_cast<void>(pass(first(), build(out)));
  EXPECT_EQ(worker_->flows6().size(), 1u);
  publish({.pools = std::nullopt, .bindings = {{web6, std::nullopt}}});
  worker_->age_all(now_ms_);
  EXPECT_EQ(worker_->flows6().size(), 0u) << "nobody owns it";
}

// So many that some share a bucket, where four bytes of a DIP lie.
TEST_F(Ipv6Rows, EndpointsWhoseDipsEndAlikeAreToldApart) {
  constexpr uint32_t count = 10;
  const auto eip = [](uint32_t n) { return Ipv6Addr::of(web6.high(), web6.low() + 0x10 + n); };
  const auto dip = [](uint32_t n) { return Ipv6Addr::of(web6_dip.high(), uint64_t{n} << 32 | 0x10); };
  compile::Image image;
  for (uint32_t n = 1; n <= count; ++n)
    bind(image, eip(n), dip(n), "first", web_mac, 30 + n,
         {rule6("out", {.flags = PermitRule::outbound | PermitRule::any_protocol})});
  compile::Update update;
  for (const auto& [address, binding] : image.bindings) update.bindings.emplace(address, binding);
  publish(update);
  Packet6 out = from_web();
  out.destination_port = 443;
  out.flags = testing::syn;
  for (uint32_t n = 1; n <= count; ++n) {
    out.source = dip(n);
    const Bytes sent = pass(first(), build(out)).at(uplink().id()).at(0);
    Packet6 expected = out;
    expected.to = router6_mac;
    expected.from = mac_of(uplink());
    expected.source = eip(n);
    --expected.hop_limit;
    EXPECT_EQ(sent, build(expected)) << n;
  }
  out.source = dip(count + 1);
  expect_drop("nobody's, of the same end", first(), build(out), Drop::spoofed_source);
}

// An error that the gateway makes itself about the packet in `frame`.
Bytes answer_about(const Bytes& frame, Mac port, const Ipv6Addr& own, uint8_t type, uint16_t mtu) {
  Packet6 error{.to = testing::get_mac(frame, 6),
                .from = port,
                .source = own,
                .destination = testing::get_address6(frame, 22),
                .protocol = testing::icmpv6,
                .icmp_type = type,
                .icmp_sequence = mtu,
                .extensions = {},
                .payload = {}};
  error.payload.assign(
      frame.begin() + testing::ip_at,
      frame.begin() + static_cast<std::ptrdiff_t>(std::min<size_t>(frame.size(), 14 + 1232)));
  Bytes answer = build(error);
  answer[14] = 0x6c;  // internetwork control
  return answer;
}

TEST_F(Ipv6Rows, RouteRefusesLastAndTellsTheSender) {
  const auto expect_told = [&](const char* row, testing::RingPort& port, const Bytes& frame, Drop reason,
                               const Bytes& told) {
    expect_out(row, port, frame, port, told,
               {{"drop " + std::string(describe(reason).name), 1}, {"originated", 1}});
  };
  Packet6 last = from_client();
  last.hop_limit = 1;
  expect_told("hop limit, from outside", uplink(), build(last), Drop::ttl_exceeded,
              answer_about(build(last), mac_of(uplink()), gateway6, 3, 0));
  Packet6 out = from_web();
  out.hop_limit = 1;
  expect_told("hop limit, from a vm", first(), build(out), Drop::ttl_exceeded,
              answer_about(build(out), mac_of(first()), address("fe80::1"), 3, 0));
  Packet6 big = from_web();
  big.destination = inner6;
  big.destination_port = 443;
  big.source_port = 5000;
  big.flags = testing::syn;
  big.payload = Bytes(1300, 7);
  expect_told("longer than the MTU", first(), build(big), Drop::packet_too_big,
              answer_about(build(big), mac_of(first()), address("fe80::1"), 2, 1000));
  tables_->gateway.addresses6.clear();
  expect_drop("a gateway without an address tells nobody outside", uplink(), build(last), Drop::ttl_exceeded);
  tables_->next_hop6.clear(uplink().id());
  expect_drop("no next hop", first(), build(from_web()), Drop::next_hop_unresolved);
}

TEST_F(Ipv6Rows, ErrorsCrossByWhatTheyQuote) {
  // About a reply of the web server, from a router on its way.
  Packet6 reply = from_web();
  reply.source = web6;
  Packet6 error{.to = mac_of(uplink()),
                .from = router6_mac,
                .source = stranger6,
                .destination = web6,
                .protocol = testing::icmpv6,
                .icmp_type = 2,
                .icmp_sequence = 1280,
                .extensions = {},
                .payload = body_of(reply)};
  Packet6 inside = reply;
  inside.source = web6_dip;
  Packet6 translated = at_web(error);
  translated.payload = body_of(inside);
  expect_out("in: TCP", uplink(), build(error), first(), build(translated), in_web());
  reply.protocol = inside.protocol = testing::icmpv6;
  reply.icmp_type = inside.icmp_type = 129;
  error.payload = body_of(reply);
  translated.payload = body_of(inside);
  expect_out("in: a ping's reply", uplink(), build(error), first(), build(translated), in_web());
  error.payload = cut(body_of(reply), 48);
  translated.payload = cut(body_of(inside), 48);
  expect_out("in: cut short behind its checksum", uplink(), build(error), first(), build(translated),
             in_web());
  reply.protocol = inside.protocol = testing::esp;
  error.payload = body_of(reply);
  expect_drop("in: about what did not leave", uplink(), build(error), Drop::destination_not_permitted);

  // The vm reports a closed port.
  Packet6 asked = from_client();
  asked.protocol = testing::udp;
  asked.destination_port = 53;
  Packet6 seen = asked;
  seen.destination = web6_dip;
  Packet6 closed{.to = mac_of(first()),
                 .from = web_mac,
                 .source = web6_dip,
                 .destination = client6,
                 .protocol = testing::icmpv6,
                 .icmp_type = 1,
                 .icmp_code = 4,
                 .icmp_sequence = 0,
                 .extensions = {},
                 .payload = body_of(seen)};
  Packet6 outside = at_router(closed);
  outside.payload = body_of(asked);
  expect_out("out: UDP", first(), build(closed), uplink(), build(outside), out_of_web());
  seen.destination_port = 54;
  closed.payload = body_of(seen);
  expect_drop("out: about what could not come", first(), build(closed), Drop::source_not_permitted);
}

TEST_F(Ipv6Rows, FragmentsFollowTheirFirst) {
  Packet6 whole = from_client();
  whole.protocol = testing::udp;
  whole.destination_port = 53;
  whole.payload = Bytes(64, 3);  // 72 with UDP's header
  const Bytes frame = build(whole);
  const Bytes translated = build(at_web(whole));
  // 8-byte units [from, to) of what the datagram carries, as fragments of `of`.
  const auto part = [&](const Bytes& of, uint16_t from, uint16_t to, bool more, uint32_t id = 7) {
    Bytes fragment(of.begin(), of.begin() + 54);
    fragment[20] = 44;
    fragment.push_back(testing::udp);
    const Bytes header = fragment_header(from, more, id);
    fragment.insert(fragment.end(), header.begin(), header.end());
    const auto begin = static_cast<std::ptrdiff_t>(of.size() - 72);
    fragment.insert(fragment.end(), of.begin() + begin + std::ptrdiff_t{from} * 8,
                    of.begin() + begin + std::ptrdiff_t{to} * 8);
    testing::put16(fragment, 18, static_cast<uint16_t>(fragment.size() - 54));
    return fragment;
  };
  const Moved counted{{counter("in", web6), 1}, {"rule hits", 1}};
  expect_drop("a later one before its first", uplink(), part(frame, 4, 9, false),
              Drop::fragment_first_unseen);
  expect_out("the first", uplink(), part(frame, 0, 4, true), first(), part(translated, 0, 4, true), counted);
  expect_drop("of another datagram", uplink(), part(frame, 4, 9, false, 8), Drop::fragment_first_unseen);
  expect_out("a later one", uplink(), part(frame, 4, 6, true), first(), part(translated, 4, 6, true),
             counted);
  expect_out("the last", uplink(), part(frame, 6, 9, false), first(), part(translated, 6, 9, false), counted);
  expect_drop("whole: it is gone", uplink(), part(frame, 6, 9, false), Drop::fragment_first_unseen);
  expect_out("the first of a next", uplink(), part(frame, 0, 4, true, 9), first(),
             part(translated, 0, 4, true, 9), counted);
  expect_drop("one that overlaps", uplink(), part(frame, 3, 6, true, 9), Drop::fragment_overlap);
  expect_drop("nothing more of it", uplink(), part(frame, 6, 9, false, 9), Drop::fragment_overlap);
  expect_out("a fragment header of a whole packet", uplink(), part(frame, 0, 9, false), first(),
             part(translated, 0, 9, false), counted);
  Bytes closed = part(frame, 0, 4, true, 10);
  closed[54 + 8 + 3] = 54;  // the port
  expect_drop("a first one to a closed port", uplink(), closed, Drop::destination_not_permitted);
  expect_drop("and what follows it", uplink(), part(frame, 4, 9, false, 10), Drop::fragment_first_unseen);
}

TEST_F(Ipv6Rows, TheGatewayIsDefaultOff) {
  Packet6 ping = from_client();
  ping.destination = gateway6;
  ping.protocol = testing::icmpv6;
  before_ = take();
  EXPECT_TRUE(pass(uplink(), build(ping)).empty());
  EXPECT_EQ(take().since(before_), (Moved{{"received " + std::to_string(uplink().id()), 1}, {"punted", 1}}));
  ping.protocol = testing::tcp;
  expect_drop("TCP", uplink(), build(ping), Drop::gateway_not_permitted);
  ping.protocol = testing::icmpv6;
  ping.source = web6;
  expect_drop("in an EIP's name", uplink(), build(ping), Drop::gateway_spoofed_source);
  Packet6 from_vm = from_web();
  from_vm.destination = gateway6;
  from_vm.protocol = testing::icmpv6;
  expect_drop("from a vm", first(), build(from_vm), Drop::gateway_not_permitted);
}

TEST_F(Ipv6Rows, BothFamiliesInOneBurst) {
  const Packet in4{.to = mac_of(uplink()),
                   .from = router_mac,
                   .source = client,
                   .destination = web,
                   .protocol = testing::tcp,
                   .source_port = 40000,
                   .destination_port = 80,
                   .flags = testing::syn,
                   .payload = {}};
  for (int n = 0; n < 10; ++n) {
    ASSERT_TRUE(uplink().feed(build(in4)));
    ASSERT_TRUE(uplink().feed(build(from_client())));
  }
  worker_->poll(now_ms_);
  const auto seen = first().collect();
  ASSERT_EQ(seen.size(), 20u);
  for (size_t n = 1; n < seen.size(); n += 2) EXPECT_EQ(seen[n], build(at_web(from_client())));
  for (size_t n = 0; n < seen.size(); n += 2) EXPECT_EQ(testing::get_address(seen[n], 30), web_dip);
}

}  // namespace
}  // namespace portcullis
