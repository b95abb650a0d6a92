// Traces: which packets are chosen, what is told of each, by one worker and by two, and what is lost. That
// packets fare as they would without is tests/model's to show (trace_check.h).
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/capture/capture.h"
#include "dataplane/capture/frame_summary.h"
#include "dataplane/capture/trace_parts.h"
#include "dataplane/handover.h"
#include "dataplane/port_queues.h"
#include "dataplane/rehearsal.h"
#include "tests/unit/dataplane/session_rows.h"

namespace portcullis {
namespace {

using Told = std::vector<std::string>;

constexpr uint32_t places = TraceRing::places;

// "identify admit: dropped destination_not_permitted", of a stage that passes its name.
std::string text_of(const Passage& passage) {
  constexpr const char* verdicts[] = {"", "answered", "transmitted", "dropped", "punted", "handed over"};
  std::string text;
  for (const PassedStage& stage : passage.stages()) {
    text.append(text.empty() ? "" : " ").append(stage.stage);
    if (stage.verdict == Verdict::passed) continue;
    text.append(": ").append(verdicts[static_cast<size_t>(stage.verdict)]);
    if (stage.reason) text.append(" ").append(describe(*stage.reason).name);
  }
  return text;
}

Told texts_of(const std::vector<TraceRecord>& traces) {
  Told texts;
  for (const TraceRecord& trace : traces) texts.push_back(text_of(trace.passage));
  return texts;
}

Bytes bytes_of(const TracedFrame& frame) {
  return {frame.copy().begin(), frame.copy().end()};
}

const std::string to_transmit =
    "decapsulate parse punt identify hand_over fragments admit route commit to_public to_private deliver "
    "encapsulate transmit: transmitted";
const std::string denied =
    "decapsulate parse punt identify hand_over fragments admit: dropped destination_not_permitted";

class TraceRows : public SessionRows {
 protected:
  Captures::Session begin(const CaptureFilter& filter) {
    auto session = captures_->begin_trace(filter);
    EXPECT_TRUE(session);
    return std::move(*session);
  }
  static std::vector<TraceRecord> all_of(Captures::Session& session) {
    std::vector<TraceRecord> all;
    while (const auto record = session.take_trace()) all.push_back(*record);
    return all;
  }
  Bytes question() const {
    return build(Arp{.to = broadcast_mac,
                     .from = web_mac,
                     .sender_mac = web_mac,
                     .sender = web_dip,
                     .target_mac = {},
                     .target = link_local_next_hop});
  }
  static Bytes ping_gateway() {
    return build(Packet{.to = mac_of(uplink()),
                        .from = router_mac,
                        .source = client,
                        .destination = gateway,
                        .protocol = testing::icmp});
  }
  Slot slot_of(Ipv4Addr eip) const { return tables_->binding.find(View::local, eip).slot(); }
};

TEST_F(TraceRows, WithoutOneNothingIsTold) {
  auto session = begin(everything());
  end(session);
  expect_drop("closed", uplink(), to_closed_port(), Drop::destination_not_permitted);
  EXPECT_FALSE(pass(uplink(), build(from_client())).empty());
  EXPECT_EQ(texts_of(all_of(session)), Told());
  EXPECT_EQ(session.lost(), 0u);
}

TEST_F(TraceRows, OneThatPassesIsToldThroughAllStagesAndByWhichRule) {
  auto session = begin(everything());
  const Bytes frame = build(from_client());
  const Bytes out = pass(uplink(), frame).at(first().id()).at(0);
  const auto traces = all_of(session);
  ASSERT_EQ(texts_of(traces), Told{to_transmit});
  const TraceRecord& trace = traces[0];
  EXPECT_EQ(bytes_of(trace.received), frame);
  EXPECT_EQ(trace.received.port, uplink().id());
  EXPECT_EQ(bytes_of(trace.sent), out);
  EXPECT_EQ(trace.sent.port, first().id());
  EXPECT_EQ(trace.passage.source().slot, 0u);
  const PassageSide& side = trace.passage.destination();
  EXPECT_EQ(side.slot, slot_of(web));
  EXPECT_EQ(side.eip, IpAddr(web));
  EXPECT_EQ(side.stamp, tables_->binding.record(slot_of(web)).stamp);
  EXPECT_TRUE(side.is_asked && side.permits && side.hit.is_inline());
  EXPECT_EQ(side.hit.counter(), 0u) << "http, the first";
  end(session);
}

TEST_F(TraceRows, OneThatAFlowEntryLetsThroughIsToldByIt) {
  Packet packet = from_web();
  packet.source_port = 40000;
  packet.destination_port = 443;
  packet.flags = testing::syn;
  EXPECT_FALSE(pass(first(), build(packet)).empty());
  auto session = begin(everything());
  Packet reply = from_client();
  reply.source_port = 443;
  reply.destination_port = 40000;
  reply.flags = testing::syn | testing::ack;
  EXPECT_FALSE(pass(uplink(), build(reply)).empty());
  const auto traces = all_of(session);
  ASSERT_EQ(texts_of(traces), Told{to_transmit});
  const PassageSide& side = traces[0].passage.destination();
  EXPECT_EQ(side.slot, slot_of(web));
  EXPECT_TRUE(side.permits && side.has_entry);
  EXPECT_FALSE(side.hit.is_one());
  EXPECT_EQ(side.opened, Direction::outbound);
  end(session);
}

TEST_F(TraceRows, OneThatIsDroppedEndsAtItsStageWithTheReason) {
  auto session = begin(everything());
  expect_drop("closed", uplink(), to_closed_port(), Drop::destination_not_permitted);
  expect_drop("cut", uplink(), cut(build(from_client()), 20), Drop::truncated);
  Packet spoofed = from_web();
  spoofed.from = inner_mac;
  expect_drop("spoofed", first(), build(spoofed), Drop::spoofed_mac);
  const auto traces = all_of(session);
  EXPECT_EQ(texts_of(traces), (Told{denied, "decapsulate parse: dropped truncated",
                                    "decapsulate parse punt identify: dropped spoofed_mac"}));
  EXPECT_TRUE(traces[0].passage.destination().is_asked);
  EXPECT_FALSE(traces[0].passage.destination().permits);
  for (const TraceRecord& trace : traces) EXPECT_EQ(trace.sent.length, 0u);
  end(session);
}

TEST_F(TraceRows, AnAnswerIsToldToWhereItLeaves) {
  auto session = begin(everything());
  const Bytes answer = pass(first(), question()).at(first().id()).at(0);
  Packet packet = from_client();
  packet.ttl = 1;
  const Bytes error = pass(uplink(), build(packet)).at(uplink().id()).at(0);
  const auto traces = all_of(session);
  ASSERT_EQ(texts_of(traces),
            (Told{"decapsulate parse punt: answered encapsulate transmit: transmitted",
                  "decapsulate parse punt identify hand_over fragments admit route: answered ttl_exceeded "
                  "encapsulate transmit: transmitted"}));
  EXPECT_EQ(bytes_of(traces[0].sent), answer);
  EXPECT_EQ(bytes_of(traces[1].received), build(packet));
  EXPECT_EQ(bytes_of(traces[1].sent), error);
  EXPECT_EQ(traces[1].sent.port, uplink().id());
  end(session);
}

TEST_F(TraceRows, OneForTheGatewayIsPuntedUntilThereIsNoRoom) {
  auto session = begin(everything());
  const auto room = rte_ring_free_count(punt_.get());
  for (unsigned n = 0; n < room + 1; ++n) EXPECT_TRUE(pass(uplink(), ping_gateway()).empty());
  Told expected(room, "decapsulate parse punt: punted");
  expected.emplace_back("decapsulate parse punt: dropped punt_full");
  EXPECT_EQ(texts_of(all_of(session)), expected);
  end(session);
}

TEST_F(TraceRows, OfABurstThoseThatAreAskedForAreTold) {
  CaptureFilter filter = everything();
  filter.address = stranger;
  auto session = begin(filter);
  Packet other = from_client();
  other.source = stranger;
  Packet closed = other;
  closed.destination_port = 81;
  for (const Bytes& frame :
       {build(from_client()), build(other), to_closed_port(), build(closed), build(from_client())})
    ASSERT_TRUE(uplink().feed(frame));
  worker_->poll(now_ms_);
  EXPECT_EQ(first().collect().size(), 3u);
  const auto traces = all_of(session);
  EXPECT_EQ(texts_of(traces), (Told{to_transmit, denied}));
  EXPECT_EQ(bytes_of(traces.at(0).received), build(other));
  EXPECT_EQ(bytes_of(traces.at(1).received), build(closed));
  end(session);
}

TEST_F(TraceRows, FiltersAreAllTrue) {
  const auto traced = [&](const CaptureFilter& filter, testing::RingPort& port, const Bytes& frame) {
    auto session = begin(filter);
    static_cast<void>(pass(port, frame));
    const size_t count = all_of(session).size();
    EXPECT_EQ(session.lost(), 0u);
    end(session);
    return count;
  };
  const Bytes open = build(from_client()), closed = to_closed_port();
  Packet expiring = from_client();
  expiring.ttl = 1;
  EXPECT_EQ(traced(only(Fate::transmitted), uplink(), open), 1u);
  EXPECT_EQ(traced(only(Fate::transmitted), uplink(), closed), 0u);
  EXPECT_EQ(traced(only(Fate::transmitted), first(), question()), 1u) << "an answer leaves";
  EXPECT_EQ(traced(only(Fate::dropped), uplink(), closed), 1u);
  EXPECT_EQ(traced(only(Fate::dropped), uplink(), open), 0u);
  EXPECT_EQ(traced(only(Fate::dropped), uplink(), build(expiring)), 1u) << "answered because it is lost";
  EXPECT_EQ(traced(only(Fate::dropped), first(), question()), 0u);
  EXPECT_EQ(traced(only(Fate::punted), uplink(), ping_gateway()), 1u);
  EXPECT_EQ(traced(only(Fate::punted), uplink(), open), 0u);
  CaptureFilter filter = only(Fate::dropped);
  filter.reasons = {};
  filter.reasons[static_cast<size_t>(Drop::ttl_exceeded)] = true;
  EXPECT_EQ(traced(filter, uplink(), build(expiring)), 1u);
  EXPECT_EQ(traced(filter, uplink(), closed), 0u);

  filter = everything();
  filter.ports = {};
  filter.ports[first().id()] = true;
  EXPECT_EQ(traced(filter, uplink(), open), 0u) << "by which it leaves";
  EXPECT_EQ(traced(filter, first(), build(from_web())), 1u);
  filter = everything();
  filter.endpoint = {.eip = web, .dip = web_dip, .mac = web_mac, .port = first().id()};
  EXPECT_EQ(traced(filter, uplink(), open), 1u);
  EXPECT_EQ(traced(filter, first(), build(from_web())), 1u);
  filter.address = stranger;
  EXPECT_EQ(traced(filter, uplink(), open), 0u);
}

TEST_F(TraceRows, OneInN) {
  CaptureFilter filter = everything();
  filter.one_in = 3;
  auto session = begin(filter);
  for (int n = 0; n < 7; ++n) static_cast<void>(pass(uplink(), to_closed_port()));
  EXPECT_EQ(texts_of(all_of(session)), Told(2, denied));
  end(session);
}

// Behind one that is not asked for the others move up.
TEST_F(TraceRows, WhatIsNotAskedForTakesNoPlace) {
  auto session = begin(only(Fate::dropped));
  const Bytes open = build(from_client()), closed = to_closed_port();
  for (uint32_t n = 0; n < 3 * places; ++n) EXPECT_FALSE(pass(uplink(), open).empty());
  for (const Bytes& frame : {open, closed, open, open, closed}) ASSERT_TRUE(uplink().feed(frame));
  worker_->poll(now_ms_);
  EXPECT_EQ(first().collect().size(), 3u);
  const auto traces = all_of(session);
  EXPECT_EQ(texts_of(traces), Told(2, denied));
  for (const TraceRecord& trace : traces) EXPECT_EQ(bytes_of(trace.received), closed);
  EXPECT_EQ(session.lost(), 0u);
  end(session);
}

TEST_F(TraceRows, WithoutRoomThePacketsGoOnAndTheLossIsCounted) {
  auto session = begin(everything());
  const Bytes frame = build(from_client());
  for (uint32_t n = 0; n < places + 5; ++n) EXPECT_EQ(pass(uplink(), frame).size(), 1u);
  EXPECT_EQ(session.lost(), 5u);
  EXPECT_EQ(all_of(session).size(), places);
  EXPECT_EQ(pass(uplink(), frame).size(), 1u);
  EXPECT_EQ(texts_of(all_of(session)), Told{to_transmit}) << "there is room again";
  EXPECT_EQ(session.lost(), 5u);
  end(session);
}

TEST_F(TraceRows, OfALongFrameTheHeadersAreThere) {
  auto session = begin(everything());
  Packet longer = from_client();
  longer.payload = Bytes(900, 0x77);
  const Bytes frame = build(longer);
  const Bytes out = pass(uplink(), frame, 300).at(first().id()).at(0);
  const auto traces = all_of(session);
  ASSERT_EQ(traces.size(), 1u);
  EXPECT_EQ(traces[0].received.length, frame.size());
  EXPECT_EQ(bytes_of(traces[0].received), cut(frame, TracedFrame::room));
  EXPECT_EQ(traces[0].sent.length, out.size());
  EXPECT_EQ(bytes_of(traces[0].sent), cut(out, TracedFrame::room));
  end(session);
}

TEST_F(TraceRows, ThereIsOneAtATimeACaptureIncluded) {
  const auto refuses = [&] {
    for (const auto& refused : {captures_->begin(everything()), captures_->begin_trace(everything())}) {
      ASSERT_FALSE(refused);
      EXPECT_EQ(refused.error().code, ErrorCode::failed_precondition);
    }
  };
  {
    auto session = begin(everything());
    refuses();
    static_cast<void>(pass(uplink(), build(from_client())));
    worker_->offline();  // for the session's end
  }
  worker_->online();
  {
    auto capture = *captures_->begin(everything());
    refuses();
    static_cast<void>(pass(uplink(), build(from_client())));
    EXPECT_NE(capture.take(), nullptr) << "a capture copies";
    worker_->offline();
  }
  worker_->online();
  auto next = begin(everything());
  EXPECT_EQ(texts_of(all_of(next)), Told()) << "what another one has left";
  end(next);
}

TEST_F(TraceRows, ARehearsalIsNoPacket) {
  auto session = begin(everything());
  for (const Bytes& frame : {build(from_client()), to_closed_port(), question(), ping_gateway()}) {
    Rehearsal rehearsal(uplink().id(), frame);
    worker_->carry_out(rehearsal, now_ms_);
  }
  EXPECT_EQ(texts_of(all_of(session)), Told());
  EXPECT_EQ(session.lost(), 0u);
  end(session);
}

// --- two workers ---

// The uplink and the second port are the first worker's, the first port is the second's.
class TraceOfTwo : public TraceRows {
 protected:
  TraceOfTwo() {
    const auto queues =
        assign_queues({{.port = uplink().id()}, {.port = first().id()}, {.port = second().id()}}, 2);
    for (uint32_t id = 0; id < 2; ++id)
      workers_.push_back(*Worker::create({.id = id,
                                          .flow_capacity = 64,
                                          .ipv6_flow_capacity = 64,
                                          .handover = handover_.get(),
                                          .queues = queues[id]},
                                         *tables_, rcu2_.get()));
    captures_ = *Captures::create(*tables_, rcu2_.get(), {-1, -1}, 1500);
    while (handover_->owner(Spread::fold(far_)) != 1) far_ = Ipv4Addr::from_host(far_.host() + 1);
    near_ = far_;
    while (handover_->owner(Spread::fold(near_)) != 0) near_ = Ipv4Addr::from_host(near_.host() + 1);
  }
  // A turn of each; the second worker's may be one of `judges` only.
  void turn(std::initializer_list<uint32_t> judges = {0, 1, 0}) {
    for (const uint32_t id : judges) workers_[id]->poll(now_ms_);
  }
  static Bytes from(Ipv4Addr source, uint16_t port = 80) {
    Packet packet = from_client();
    packet.source = source;
    packet.destination_port = port;
    return build(packet);
  }

  const std::unique_ptr<Handover> handover_ = *Handover::create(2, -1);
  Rcu rcu2_ = make_rcu(2);
  std::vector<std::unique_ptr<Worker>> workers_;
  Ipv4Addr far_ = client, near_;  // whose packets the second worker owns, and the first
  const CaptureFilter filter_ = everything();
};

const std::string handed = "decapsulate parse punt identify hand_over: handed over";
const std::string by_owner =
    "parse identify hand_over fragments admit route commit to_public to_private deliver encapsulate "
    "transmit: "
    "transmitted";

const std::string handed_to_transmit = std::string(handed).append(" ").append(by_owner);

TEST_F(TraceOfTwo, APacketIsFollowedToItsOwner) {
  auto session = begin(filter_);
  ASSERT_TRUE(uplink().feed(from(far_)));
  ASSERT_TRUE(uplink().feed(from(far_, 81)));
  ASSERT_TRUE(uplink().feed(from(near_)));
  turn();
  EXPECT_EQ(first().collect().size(), 2u);
  const auto records = all_of(session);
  ASSERT_EQ(records.size(), 5u);
  // Whichever comes first.
  for (const bool is_reversed : {false, true}) {
    TraceParts parts(filter_);
    std::vector<TraceRecord> in_order = records, traces;
    if (is_reversed) std::ranges::reverse(in_order);
    for (const TraceRecord& record : in_order)
      if (auto trace = parts.add(record, {})) traces.push_back(*trace);
    parts.give_up_all();
    EXPECT_EQ(parts.lost(), 0u);
    std::ranges::sort(traces, {}, &TraceRecord::mark);
    EXPECT_EQ(texts_of(traces),
              (Told{handed_to_transmit,
                    handed + " parse identify hand_over fragments admit: dropped destination_not_permitted",
                    to_transmit}));
    EXPECT_EQ(bytes_of(traces[0].received), from(far_));
    EXPECT_EQ(traces[0].sent.port, first().id());
    std::vector<uint32_t> workers;
    for (const PassedStage& stage : traces[0].passage.stages()) workers.push_back(stage.worker);
    EXPECT_EQ(std::ranges::count(workers, 0u), 5);
    EXPECT_EQ(std::ranges::count(workers, 1u), 12);
    EXPECT_EQ(traces[0].passage.destination().eip, IpAddr(web));
  }
  session.stop();
}

TEST_F(TraceOfTwo, WhatIsAskedForIsAskedAtTheEnd) {
  const CaptureFilter drops = only(Fate::dropped);
  auto session = begin(drops);
  ASSERT_TRUE(uplink().feed(from(far_)));
  ASSERT_TRUE(uplink().feed(from(far_, 81)));
  turn();
  TraceParts parts(drops);
  std::vector<TraceRecord> traces;
  for (const TraceRecord& record : all_of(session))
    if (auto trace = parts.add(record, {})) traces.push_back(*trace);
  parts.give_up_all();
  ASSERT_EQ(traces.size(), 1u);
  EXPECT_EQ(traces[0].passage.reason(), Drop::destination_not_permitted);
  EXPECT_EQ(parts.lost(), 0u);
  session.stop();
  EXPECT_EQ(first().collect().size(), 1u);
}

TEST_F(TraceOfTwo, WhoIsNotChosenIsNotFollowed) {
  CaptureFilter filter = everything();
  filter.address = far_;
  auto session = begin(filter);
  Ipv4Addr other = Ipv4Addr::from_host(far_.host() + 1);
  while (handover_->owner(Spread::fold(other)) != 1) other = Ipv4Addr::from_host(other.host() + 1);
  ASSERT_TRUE(uplink().feed(from(other)));
  ASSERT_TRUE(uplink().feed(from(far_)));
  turn();
  EXPECT_EQ(first().collect().size(), 2u);
  Told told = texts_of(all_of(session));
  std::ranges::sort(told);
  EXPECT_EQ(told, (Told{handed, by_owner}));
  session.stop();
}

// Between two workers when the trace ends, or when the next has begun.
TEST_F(TraceOfTwo, AnOlderTracesPacketIsNotTold) {
  {
    auto session = begin(filter_);
    ASSERT_TRUE(uplink().feed(from(far_)));
    turn({0});
    TraceParts parts(filter_);
    for (const TraceRecord& record : all_of(session)) EXPECT_EQ(parts.add(record, {}), std::nullopt);
    parts.give_up_all();
    EXPECT_EQ(parts.lost(), 1u);
    session.stop();
  }
  auto session = begin(filter_);
  turn();
  ASSERT_TRUE(uplink().feed(from(far_)));
  turn();
  EXPECT_EQ(first().collect().size(), 2u);
  TraceParts parts(filter_);
  std::vector<TraceRecord> traces;
  for (const TraceRecord& record : all_of(session))
    if (auto trace = parts.add(record, {})) traces.push_back(*trace);
  parts.give_up_all();
  EXPECT_EQ(texts_of(traces), Told{handed_to_transmit});
  EXPECT_EQ(parts.lost(), 0u) << "the older trace has lost it";
  session.stop();
}

TEST_F(TraceOfTwo, WhomAnotherWorkerHasNoPlaceForIsLost) {
  auto session = begin(filter_);
  std::vector<TraceRecord> of_first;
  for (uint32_t n = 0; n < places + 1; ++n) {
    ASSERT_TRUE(uplink().feed(from(far_)));
    turn({0});
    // The first worker's have room all the time.
    if (n == 0) of_first = all_of(session);
    turn({1});
    static_cast<void>(first().collect());
  }
  TraceParts parts(filter_);
  std::vector<TraceRecord> records = all_of(session);
  records.insert(records.begin(), of_first.begin(), of_first.end());
  uint64_t whole = 0;
  for (const TraceRecord& record : records)
    if (parts.add(record, {})) ++whole;
  EXPECT_EQ(whole, places);
  const TraceParts::Clock::time_point began{};
  parts.give_up(began);
  EXPECT_EQ(parts.lost(), 0u) << "its time is not over";
  parts.give_up(began + TraceParts::patience);
  EXPECT_EQ(parts.lost(), 1u);
  EXPECT_EQ(session.lost(), 0u);
  session.stop();
}

TEST_F(TraceOfTwo, AFullRingIsADrop) {
  auto session = begin(filter_);
  rte_ring* const ring = handover_->to_owner(0, 1);
  while (rte_ring_full(ring) == 0) ASSERT_EQ(rte_ring_sp_enqueue(ring, ports().pool.make(from(far_))), 0);
  ASSERT_TRUE(uplink().feed(from(far_)));
  turn({0});
  EXPECT_EQ(texts_of(all_of(session)),
            Told{"decapsulate parse punt identify hand_over: dropped handover_full"});
  session.stop();
}

TEST(TraceParts, OfTooManyThatWaitTheNewestAreLost) {
  const CaptureFilter filter = everything();
  TraceParts parts(filter);
  TraceRecord record;
  record.is_first = true;
  record.passage.hand_over(1);
  record.passage.note("hand_over", 0, false);
  for (uint32_t n = 0; n < TraceParts::most + 3; ++n) {
    record.mark = n;
    EXPECT_EQ(parts.add(record, {}), std::nullopt);
  }
  EXPECT_EQ(parts.lost(), 3u);
}

TEST(FrameHeaders, AreOneLine) {
  EXPECT_EQ(headers_of(build(Packet{.source = client,
                                    .destination = web,
                                    .protocol = testing::tcp,
                                    .source_port = 40000,
                                    .destination_port = 80,
                                    .payload = {}})),
            "198.51.100.2:40000 > 203.0.113.10:80 tcp");
  EXPECT_EQ(headers_of(build(testing::Packet6{.source = Ipv6Addr::of(0x20010db800000000, 2),
                                              .destination = Ipv6Addr::of(0x20010db800000000, 4),
                                              .protocol = testing::udp,
                                              .source_port = 1000,
                                              .destination_port = 53,
                                              .payload = {}})),
            "[2001:db8::2]:1000 > [2001:db8::4]:53 udp");
  EXPECT_EQ(headers_of(build(Packet{.source = client, .destination = web, .protocol = testing::icmp})),
            "198.51.100.2 > 203.0.113.10 icmp type 8 code 0");
  EXPECT_EQ(headers_of(build(Packet{.source = client, .destination = web, .protocol = testing::gre})),
            "198.51.100.2 > 203.0.113.10 gre");
  EXPECT_EQ(headers_of(build(Arp{.sender = web_dip, .target = client})), "10.0.0.10 > 198.51.100.2 arp");
  Bytes inside(8, 0);  // the VXLAN header, and the frame
  std::ranges::copy(build(Packet{.source = web_dip, .destination = client, .protocol = testing::gre}),
                    std::back_inserter(inside));
  const Packet tunnel{.source = client,
                      .destination = web,
                      .protocol = testing::udp,
                      .source_port = 50000,
                      .destination_port = 4789,
                      .payload = inside};
  EXPECT_EQ(headers_of(build(tunnel)),
            "198.51.100.2:50000 > 203.0.113.10:4789 udp [10.0.0.10 > 198.51.100.2 gre]");
  EXPECT_EQ(headers_of(cut(build(Packet{.to = web_mac, .from = router_mac}), 14)),
            "02:00:00:00:01:01 > 02:00:00:00:02:10");
  EXPECT_EQ(headers_of(Bytes(13, 0)), "no Ethernet header");
}

}  // namespace
}  // namespace portcullis
