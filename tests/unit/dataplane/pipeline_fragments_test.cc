// Datagrams in fragments by rows, IPv4.

#include "tests/unit/dataplane/pipeline_rows.h"

namespace portcullis {
namespace {

// `packet` in fragments whose payloads are `sizes` long; the last one holds the rest.
std::vector<Bytes> in_fragments(const Packet& packet, std::initializer_list<size_t> sizes) {
  const Bytes whole = build(packet);
  std::vector<Bytes> fragments;
  size_t at = testing::transport_at;
  const auto add = [&](size_t size, bool more) {
    Bytes fragment(whole.begin(), whole.begin() + testing::transport_at);
    fragment.resize(testing::transport_at + size);
    std::copy_n(whole.begin() + static_cast<std::ptrdiff_t>(at), size,
                fragment.begin() + testing::transport_at);
    testing::put16(fragment, 16, static_cast<uint16_t>(20 + size));
    testing::put16(fragment, 20,
                   static_cast<uint16_t>((more ? 0x2000 : 0) | (at - testing::transport_at) / 8));
    testing::fix_header_checksum(fragment);
    fragments.push_back(std::move(fragment));
    at += size;
  };
  for (const size_t size : sizes) add(size, true);
  add(whole.size() - at, false);
  return fragments;
}

class FragmentRows : public PipelineRows {
 protected:
  // A query to the web server's port 53, in three fragments, and what its vm gets.
  std::vector<Bytes> sent(uint16_t port = 53, uint8_t last_octet_of_id = 0x34) {
    Packet query = from_client();
    query.protocol = testing::udp;
    query.destination_port = port;
    query.payload = Bytes(60, 0x5a);
    std::vector<Bytes> fragments = in_fragments(query, {24, 16});
    for (Bytes& fragment : fragments) fragment = edited(fragment, 19, {last_octet_of_id});
    return fragments;
  }
  std::vector<Bytes> received() {
    Packet query = from_client();
    query.to = web_mac;
    query.from = mac_of(first());
    query.destination = web_dip;
    query.ttl = 63;
    query.protocol = testing::udp;
    query.destination_port = 53;
    query.payload = Bytes(60, 0x5a);
    return in_fragments(query, {24, 16});
  }
  void expect_in(const char* row, const Bytes& fragment, const Bytes& expected) {
    expect_out(row, uplink(), fragment, first(), expected, {{binding("in", web), 1}, {"rule hits", 1}});
  }
  uint64_t under_way() {
    FragmentTable& fragments = worker_->state().fragments;
    fragments.age(fragments.capacity(), now_ms_);
    return fragments.size();
  }
};

TEST_F(FragmentRows, LaterOnesFollowTheirFirst) {
  const auto in = sent();
  const auto out = received();
  expect_drop("before its first", uplink(), in[1], Drop::fragment_first_unseen);
  expect_in("first", in[0], out[0]);
  EXPECT_EQ(under_way(), 1u);
  expect_in("last", in[2], out[2]);
  expect_drop("of another datagram", uplink(), edited(in[1], 19, {9}), Drop::fragment_first_unseen);
  expect_drop("of another sender", uplink(), edited(in[1], 29, {77}), Drop::fragment_first_unseen);
  expect_in("middle", in[1], out[1]);
  EXPECT_EQ(under_way(), 0u) << "it is whole";
  expect_drop("once more", uplink(), in[1], Drop::fragment_first_unseen);
}

TEST_F(FragmentRows, AllInOneBurst) {
  for (const Bytes& fragment : sent()) EXPECT_TRUE(uplink().feed(fragment));
  worker_->poll(now_ms_);
  EXPECT_EQ(first().collect(), received());
  EXPECT_EQ(under_way(), 0u);
}

TEST_F(FragmentRows, WhatFollowsARefusedOneIsRefused) {
  const auto in = sent(54);
  expect_drop("first", uplink(), in[0], Drop::destination_not_permitted);
  expect_drop("later", uplink(), in[1], Drop::fragment_first_unseen);
  EXPECT_EQ(under_way(), 0u);
  before_ = take();
  for (const Bytes& fragment : in) EXPECT_TRUE(uplink().feed(fragment));
  worker_->poll(now_ms_);
  EXPECT_TRUE(first().collect().empty());
  EXPECT_EQ(take().since(before_)["drop destination_not_permitted"], 3);
}

TEST_F(FragmentRows, AnOverlapEndsTheDatagram) {
  const auto in = sent();
  const auto out = received();
  expect_in("first", in[0], out[0]);
  expect_in("second", in[1], out[1]);
  expect_drop("the second again", uplink(), in[1], Drop::fragment_overlap);
  expect_drop("a fragment that fits", uplink(), in[2], Drop::fragment_overlap);
  expect_drop("another first", uplink(), in[0], Drop::fragment_overlap);
  now_ms_ += 15'000;
  expect_in("when it is forgotten", in[0], out[0]);
}

TEST_F(FragmentRows, WhatNeverComesWholeIsAgedAway) {
  worker_->age(now_ms_);
  for (uint8_t id = 0; id < 10; ++id) EXPECT_EQ(pass(uplink(), sent(53, id)[0]).size(), 1u);
  const auto age_for = [&](uint64_t ms) {
    for (const uint64_t until = now_ms_ + ms; now_ms_ != until; worker_->age(++now_ms_)) {
    }
  };
  age_for(14'999);
  EXPECT_EQ(worker_->fragments().size(), 10u);
  expect_drop("it is there until then", uplink(), sent(53, 3)[0], Drop::fragment_overlap);
  age_for(5'001);
  EXPECT_EQ(worker_->fragments().size(), 0u);
  EXPECT_EQ(worker_->fragments6().size(), 0u);
}

TEST_F(FragmentRows, ATakenPlaceIsCountedOnce) {
  const auto expect_size = [&](uint64_t expected) { EXPECT_EQ(worker_->fragments().size(), expected); };
  EXPECT_EQ(pass(uplink(), sent()[0]).size(), 1u);
  expect_size(1);
  now_ms_ += 15'000;  // expired, and nobody has met it
  expect_size(1);
  EXPECT_EQ(pass(uplink(), sent()[0]).size(), 1u);
  expect_size(1);
  for (const size_t part : {1, 2}) EXPECT_EQ(pass(uplink(), sent()[part]).size(), 1u);
  expect_size(0);
}

TEST_F(FragmentRows, AnEipHasItsShareAndNoMore) {
  for (uint8_t id = 0; id < FragmentTable::share + 2; ++id)
    EXPECT_EQ(pass(uplink(), sent(53, id)[0]).size(), 1u);
  EXPECT_EQ(under_way(), FragmentTable::share);
  expect_drop("its oldest made room", uplink(), sent(53, 1)[1], Drop::fragment_first_unseen);
  EXPECT_EQ(pass(uplink(), sent(53, 2)[1]).size(), 1u);
}

TEST_F(FragmentRows, AReplyInFragmentsLeavesTranslated) {
  Packet reply = from_web();
  reply.protocol = testing::udp;
  reply.source_port = 53;
  reply.payload = Bytes(60, 0xa5);
  Packet seen = reply;
  seen.to = router_mac;
  seen.from = mac_of(uplink());
  seen.source = web;
  seen.ttl = 63;
  const auto in = in_fragments(reply, {24, 16});
  const auto out = in_fragments(seen, {24, 16});
  for (size_t n = 0; n < in.size(); ++n)
    expect_out("part", first(), in[n], uplink(), out[n], {{binding("out", web), 1}, {"rule hits", 1}});
}

TEST_F(FragmentRows, OnePrivateAddressAtTwoPortsIsTwoSenders) {
  Packet datagram = from_web();
  datagram.protocol = testing::udp;
  datagram.source_port = 53;
  datagram.destination = same;
  datagram.payload = Bytes(60, 0xa5);
  EXPECT_EQ(pass(first(), in_fragments(datagram, {24})[0]).size(), 1u);
  datagram.to = mac_of(second());
  datagram.from = inner_mac;
  expect_drop("the same part from the other port", second(), in_fragments(datagram, {24})[1],
              Drop::fragment_first_unseen);
}

TEST_F(FragmentRows, NoneIsForTheGatewayItself) {
  Packet ping = from_client();
  ping.destination = gateway;
  ping.protocol = testing::icmp;
  ping.payload = Bytes(40, 0);
  for (const Bytes& fragment : in_fragments(ping, {24}))
    expect_drop("part of a ping", uplink(), fragment, Drop::gateway_not_permitted);
}

}  // namespace
}  // namespace portcullis
