// ICMP errors by rows, IPv4: those that the gateway makes, and those that cross it.

#include "tests/unit/dataplane/pipeline_rows.h"

namespace portcullis {
namespace {

// An error that the gateway makes itself about the packet in `frame`, which came in by `port`.
Bytes answer_about(const Bytes& frame, Mac port, Ipv4Addr own_address, uint8_t type, uint8_t code,
                   uint16_t mtu) {
  Packet error{.to = testing::get_mac(frame, 6),
               .from = port,
               .source = own_address,
               .destination = testing::get_address(frame, 26),
               .protocol = testing::icmp,
               .icmp_type = type,
               .icmp_code = code,
               .payload = {}};
  error.payload.assign(frame.begin() + testing::ip_at,
                       frame.begin() + static_cast<std::ptrdiff_t>(std::min<size_t>(frame.size(), 14 + 548)));
  Bytes answer = build(error);
  answer[15] = 0xc0;              // RFC 1812, 4.3.2.5: internetwork control
  testing::put16(answer, 18, 0);  // no identification
  testing::put16(answer, 20, 0);  // may be fragmented
  testing::put16(answer, 40, mtu);
  testing::fix_header_checksum(answer);
  testing::fix_icmp_checksum(answer);
  return answer;
}

TEST_F(PipelineRows, RouteRefusesLast) {
  Packet packet = from_client();
  packet.ttl = 1;
  const auto expect_answer = [&](const char* row, testing::RingPort& port, const Bytes& frame, Drop reason,
                                 const Bytes& answer) {
    expect_out(row, port, frame, port, answer,
               {{"drop " + std::string(describe(reason).name), 1}, {"originated", 1}});
  };
  const auto time_exceeded = [&](const Bytes& frame) {
    return answer_about(frame, mac_of(uplink()), gateway, 11, 0, 0);
  };
  expect_answer("TTL 1", uplink(), build(packet), Drop::ttl_exceeded, time_exceeded(build(packet)));
  packet.ttl = 0;
  expect_answer("TTL 0", uplink(), build(packet), Drop::ttl_exceeded, time_exceeded(build(packet)));
  packet = from_client();
  packet.payload.resize(1500 - 40 + 1);
  const Bytes too_big = build(packet);
  expect_answer("1501 bytes that must not be fragmented", uplink(), too_big, Drop::packet_too_big,
                answer_about(too_big, mac_of(uplink()), gateway, 3, 4, 1500));
  expect_drop("1501 bytes that may be", uplink(), edited(too_big, 20, {0, 0}), Drop::packet_too_big);
  packet.payload.resize(1500 - 40);
  EXPECT_EQ(pass(uplink(), build(packet)).size(), 1u);
  Packet big{.to = mac_of(first()),
             .from = web_mac,
             .source = web_dip,
             .destination = inner,
             .protocol = testing::tcp,
             .source_port = 50000,
             .destination_port = 443,
             .flags = testing::syn,
             .payload = Bytes(1000 - 40 + 1, 0)};
  expect_answer("the MTU is that of the port it leaves by, and nothing was opened", first(), build(big),
                Drop::packet_too_big,
                answer_about(build(big), mac_of(first()), link_local_next_hop, 3, 4, 1000));
  tables_->next_hop.clear(uplink().id());
  expect_drop("next hop unresolved", first(), build(from_web()), Drop::next_hop_unresolved);
}

TEST_F(PipelineRows, AnswersAreAsManyAsTheRateAllows) {
  Packet packet = from_client();
  packet.ttl = 1;
  for (uint32_t n = 0; n < ErrorRate::burst; ++n) EXPECT_EQ(pass(uplink(), build(packet)).size(), 1u);
  expect_drop("one too many at once", uplink(), build(packet), Drop::ttl_exceeded);
  packet.destination = same;
  EXPECT_EQ(pass(uplink(), build(packet)).size(), 1u) << "every EIP has its own";
  packet.destination = web;
  now_ms_ += 10;  // 100 a second
  EXPECT_EQ(pass(uplink(), build(packet)).size(), 1u);
  expect_drop("one too soon", uplink(), build(packet), Drop::ttl_exceeded);
  now_ms_ += (uint64_t{1} << 26) - 10'000;  // the clock of the rate is about to wrap
  for (uint32_t n = 0; n < ErrorRate::burst; ++n) EXPECT_EQ(pass(uplink(), build(packet)).size(), 1u);
}

TEST_F(PipelineRows, AGatewayWithoutAnAddressAnswersByTheDummyOne) {
  tables_->gateway.addresses.clear();
  Packet packet = from_client();
  packet.ttl = 1;
  const auto seen = pass(uplink(), build(packet));
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(testing::get_address(seen.begin()->second[0], 26), Ipv4Addr::of(192, 0, 0, 8));
}

TEST_F(PipelineRows, ErrorsComeInByWhatTheyQuote) {
  Packet reply = from_web();  // what the web server's list lets out, as it was seen outside
  reply.source = web;
  Packet error = from_client();
  error.source = stranger;  // a router on the way
  error.protocol = testing::icmp;
  error.icmp_type = 3;
  error.icmp_code = 4;
  Packet expected = error;
  expected.to = web_mac;
  expected.from = mac_of(first());
  expected.destination = web_dip;
  expected.ttl = 63;
  const auto passes = [&](const char* row, Packet quoted, size_t length, Moved also) {
    error.payload = quote_of(quoted, length);
    quoted.source = web_dip;
    expected.payload = quote_of(quoted, length);
    constexpr size_t half_of_tcps_checksum = 36;
    if (length == half_of_tcps_checksum + 1)
      expected.payload[half_of_tcps_checksum] = error.payload[half_of_tcps_checksum];
    also[binding("in", web)] = 1;
    expect_out(row, uplink(), build(error), first(), build(expected), std::move(also));
  };
  const auto refused = [&](const char* row, const Packet& quoted) {
    error.payload = quote_of(quoted);
    expect_drop(row, uplink(), build(error), Drop::destination_not_permitted);
  };
  passes("about a reply by TCP", reply, SIZE_MAX, {{"rule hits", 1}});
  passes("with as little as RFC 792 asks for", reply, 28, {{"rule hits", 1}});
  passes("with half a checksum, which stays as it is", reply, 37, {{"rule hits", 1}});
  reply.source_port = 81;
  refused("about a port that no rule names", reply);
  reply.protocol = testing::udp;
  reply.source_port = 53;
  passes("about a reply by UDP", reply, SIZE_MAX, {{"rule hits", 1}});
  reply.protocol = testing::icmp;
  reply.icmp_type = 0;
  passes("about an answer to a ping", reply, SIZE_MAX, {{"rule hits", 1}});
  reply.icmp_type = 8;
  refused("about a ping that no rule lets out", reply);

  Packet opener = from_web();
  opener.source_port = 50000;
  opener.destination_port = 443;
  opener.flags = testing::syn;
  Packet seen = opener;
  seen.source = web;
  refused("about a flow that nobody opened, though a rule would let it out", seen);
  EXPECT_EQ(pass(first(), build(opener)).size(), 1u);
  passes("about a flow that is there", seen, SIZE_MAX, {});
  seen.destination_port = 444;
  refused("about another flow", seen);
  seen.destination_port = 443;
  seen.destination = inner;
  refused("about a packet to an EIP, which nobody outside can have seen", seen);
}

TEST_F(PipelineRows, ErrorsLeaveByWhatTheyQuote) {
  Packet query = from_client();  // as the web server's vm got it
  query.protocol = testing::udp;
  query.destination = web_dip;
  query.destination_port = 53;
  Packet error = from_web();
  error.protocol = testing::icmp;
  error.icmp_type = 3;
  error.icmp_code = 3;
  Packet expected = error;
  expected.to = router_mac;
  expected.from = mac_of(uplink());
  expected.source = web;
  expected.ttl = 63;
  const auto passes = [&](const char* row, Packet quoted, Moved also) {
    error.payload = quote_of(quoted);
    quoted.destination = web;
    expected.payload = quote_of(quoted);
    also[binding("out", web)] = 1;
    expect_out(row, first(), build(error), uplink(), build(expected), std::move(also));
  };
  const auto refused = [&](const char* row, const Packet& quoted) {
    error.payload = quote_of(quoted);
    expect_drop(row, first(), build(error), Drop::source_not_permitted);
  };
  passes("about what a rule let in", query, {{"rule hits", 1}});
  query.destination_port = 54;
  refused("about what no rule lets in", query);
  query.destination_port = 123;
  refused("about what a tracked rule would let in", query);
  Packet tracked = query;
  tracked.destination = web;
  EXPECT_EQ(pass(uplink(), build(tracked)).size(), 1u);
  passes("about what it did let in", query, {});
  query.destination_port = 53;
  query.destination = Ipv4Addr::of(10, 0, 0, 11);
  refused("about a packet to another address", query);
}

TEST_F(PipelineRows, ErrorsOfAnEndpointAreAsManyAsItsRateAllows) {
  Packet reply = from_web();
  reply.source = web;
  Packet error = from_client();
  error.protocol = testing::icmp;
  error.icmp_type = 11;
  error.payload = quote_of(reply);
  for (uint32_t n = 0; n < ErrorRate::burst; ++n) EXPECT_EQ(pass(uplink(), build(error)).size(), 1u);
  expect_drop("one too many", uplink(), build(error), Drop::icmp_error_rate);
}

}  // namespace
}  // namespace portcullis
