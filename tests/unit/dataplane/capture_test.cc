// What workers show of their packets: to a capture and to the log of denied packets.
#include "dataplane/capture/capture.h"

#include <gtest/gtest.h>
#include <rte_cycles.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "dataplane/capture/denied_log.h"
#include "dataplane/capture/frame_summary.h"
#include "dataplane/capture/pcapng.h"
#include "dataplane/capture/tsc_clock.h"
#include "tests/unit/dataplane/session_rows.h"

namespace portcullis {
namespace {

struct Seen {
  Fate fate;
  PortId port;
  std::string reason;  // of a dropped one
  Bytes frame;
  friend bool operator==(const Seen&, const Seen&) = default;
};

void PrintTo(const Seen& seen, std::ostream* out) {
  *out << "fate " << static_cast<int>(seen.fate) << " port " << seen.port << " " << seen.reason << " "
       << testing::describe(seen.frame);
}

class CaptureRows : public SessionRows {
 protected:
  Captures::Session begin(const CaptureFilter& filter) {
    auto session = captures_->begin(filter);
    EXPECT_TRUE(session);
    return std::move(*session);
  }
  static std::vector<Seen> all_of(Captures::Session& session) {
    std::vector<Seen> all;
    while (const Copy copy = session.take()) {
      const CopyNote& note = note_of(*copy);
      const auto frame = frame_of_copy(*copy);
      all.push_back({note.fate, note.port,
                     note.fate == Fate::dropped ? std::string(describe(note.reason).name) : "",
                     Bytes(frame.begin(), frame.end())});
    }
    return all;
  }
  Seen denied(const Bytes& frame) const {
    return {Fate::dropped, uplink().id(), "destination_not_permitted", frame};
  }
  ~CaptureRows() override { worker_->state().config.denied_log = nullptr; }
};

TEST_F(CaptureRows, WithoutOneNothingIsCopied) {
  auto session = begin(everything());
  end(session);
  expect_drop("closed", uplink(), to_closed_port(), Drop::destination_not_permitted);
  EXPECT_FALSE(pass(uplink(), build(from_client())).empty());
  EXPECT_EQ(all_of(session), std::vector<Seen>());
  EXPECT_EQ(session.lost(), 0u);
}

TEST_F(CaptureRows, ADroppedPacketIsCopiedAsItCameWithItsReason) {
  auto session = begin(only(Fate::dropped));
  const Bytes frame = to_closed_port();
  expect_drop("closed", uplink(), frame, Drop::destination_not_permitted);
  EXPECT_FALSE(pass(uplink(), build(from_client())).empty());
  EXPECT_EQ(all_of(session), std::vector{denied(frame)});
  // In two buffers, the first of which holds the headers.
  Packet longer = from_client();
  longer.destination_port = 81;
  longer.payload = Bytes(900, 0x77);
  expect_drop("in two buffers", uplink(), build(longer), Drop::destination_not_permitted, 100);
  EXPECT_EQ(all_of(session), std::vector{denied(build(longer))});
  end(session);
}

TEST_F(CaptureRows, OneThatPassesIsCopiedAsItComesAndAsItLeaves) {
  auto session = begin(everything());
  const Bytes frame = build(from_client());
  const Bytes out = pass(uplink(), frame).at(first().id()).at(0);
  EXPECT_EQ(all_of(session), (std::vector<Seen>{{Fate::received, uplink().id(), "", frame},
                                                {Fate::transmitted, first().id(), "", out}}));
  // Answered in place.
  const Bytes question = build(Arp{.to = broadcast_mac,
                                   .from = web_mac,
                                   .sender_mac = web_mac,
                                   .sender = web_dip,
                                   .target_mac = {},
                                   .target = link_local_next_hop});
  const Bytes answer = pass(first(), question).at(first().id()).at(0);
  EXPECT_EQ(all_of(session), (std::vector<Seen>{{Fate::received, first().id(), "", question},
                                                {Fate::transmitted, first().id(), "", answer}}));
  // To the gateway itself.
  Packet ping{.to = mac_of(uplink()),
              .from = router_mac,
              .source = client,
              .destination = gateway,
              .protocol = testing::icmp};
  EXPECT_TRUE(pass(uplink(), build(ping)).empty());
  EXPECT_EQ(all_of(session), (std::vector<Seen>{{Fate::received, uplink().id(), "", build(ping)},
                                                {Fate::punted, uplink().id(), "", build(ping)}}));
  end(session);
}

TEST_F(CaptureRows, OneThatIsAnsweredByAnErrorIsCopiedAsItsSenderSentIt) {
  auto session = begin(everything());
  Packet packet = from_client();
  packet.ttl = 1;
  const Bytes error = pass(uplink(), build(packet)).at(uplink().id()).at(0);
  EXPECT_EQ(all_of(session), (std::vector<Seen>{{Fate::received, uplink().id(), "", build(packet)},
                                                {Fate::dropped, uplink().id(), "ttl_exceeded", build(packet)},
                                                {Fate::transmitted, uplink().id(), "", error}}));
  end(session);
}

TEST_F(CaptureRows, FiltersAreAllTrue) {
  const auto copied = [&](const CaptureFilter& filter, const Bytes& frame) {
    auto session = begin(filter);
    static_cast<void>(pass(uplink(), frame));
    const size_t count = all_of(session).size();
    end(session);
    return count;
  };
  const Bytes closed = to_closed_port(), open = build(from_client());
  CaptureFilter filter = only(Fate::dropped);
  filter.reasons = {};
  filter.reasons[static_cast<size_t>(Drop::destination_not_permitted)] = true;
  EXPECT_EQ(copied(filter, closed), 1u);
  Packet nobody = from_client();
  nobody.destination = free_address;
  EXPECT_EQ(copied(filter, build(nobody)), 0u);

  filter = everything();
  EXPECT_EQ(copied(filter, open), 2u);
  filter.ports = {};
  filter.ports[first().id()] = true;
  EXPECT_EQ(copied(filter, open), 1u) << "what leaves by the port";

  filter = everything();
  for (const auto& [address, count] : {std::pair{client, 2}, {web, 1}, {web_dip, 1}, {stranger, 0}}) {
    filter.address = address;
    EXPECT_EQ(copied(filter, open), static_cast<size_t>(count)) << address.to_string();
  }

  filter = everything();
  filter.endpoint = CaptureFilter::Endpoint{.eip = web, .dip = web_dip, .mac = web_mac, .port = first().id()};
  EXPECT_EQ(copied(filter, open), 2u) << "by the EIP, and behind the translation by the private address";
  filter.address = client;
  EXPECT_EQ(copied(filter, open), 2u);
  filter.address = stranger;
  EXPECT_EQ(copied(filter, open), 0u);
  filter = everything();
  filter.endpoint = {.eip = inner, .dip = inner_dip, .mac = inner_mac, .port = second().id()};
  EXPECT_EQ(copied(filter, open), 0u) << "another's, with the same private address";
}

TEST_F(CaptureRows, OneThatItsPortDoesNotTakeIsOfThatPort) {
  CaptureFilter filter = only(Fate::dropped);
  filter.ports = {};
  filter.ports[first().id()] = true;
  filter.endpoint = CaptureFilter::Endpoint{.eip = web, .dip = web_dip, .mac = web_mac, .port = first().id()};
  auto session = begin(filter);
  // The link takes 64 frames, the queue holds 512.
  for (int n = 0; n < 64 + 512 + 2; ++n) {
    ASSERT_TRUE(uplink().feed(build(from_client())));
    worker_->poll(now_ms_);
  }
  const std::vector<Seen> seen = all_of(session);
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[0].port, first().id());
  EXPECT_EQ(seen[0].reason, "transmit_full");
  end(session);
  for (int n = 0; n < 9; ++n) {
    static_cast<void>(first().collect());
    worker_->poll(now_ms_);
  }
}

TEST_F(CaptureRows, SnapLengthAndOneInN) {
  CaptureFilter filter = only(Fate::dropped);
  filter.snap_length = 40;
  filter.one_in = 3;
  auto session = begin(filter);
  const Bytes frame = to_closed_port();
  for (int n = 0; n < 7; ++n) static_cast<void>(pass(uplink(), frame));
  const std::vector<Seen> copies = all_of(session);
  EXPECT_EQ(copies, std::vector(2, denied(cut(frame, 40))));
  end(session);
}

TEST_F(CaptureRows, WithoutRoomThePacketsGoOnAndTheLossIsCounted) {
  constexpr uint64_t room = Captures::copies_of_worker;
  auto session = begin(everything());
  const Bytes frame = build(from_client());
  for (uint64_t n = 0; n < room; ++n) EXPECT_EQ(pass(uplink(), frame).size(), 1u);
  EXPECT_EQ(session.lost(), room);
  EXPECT_EQ(all_of(session).size(), room);
  EXPECT_EQ(pass(uplink(), frame).size(), 1u);
  EXPECT_EQ(all_of(session).size(), 2u) << "there is room again";
  end(session);
}

TEST_F(CaptureRows, ThereIsOneAtATime) {
  {
    auto session = begin(everything());
    const auto refused = captures_->begin(everything());
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::failed_precondition);
    static_cast<void>(pass(uplink(), build(from_client())));
    worker_->offline();  // for the session's end
  }
  worker_->online();
  auto next = begin(everything());
  EXPECT_EQ(all_of(next), std::vector<Seen>()) << "what another one has left";
  end(next);
}

// A capture, and a trace.
TEST_F(CaptureRows, ThePlaceOfOneThatIsLeftIsAnothersAndItsEndDisturbsNobody) {
  for (const bool traces : {false, true}) {
    SCOPED_TRACE(traces);
    auto begun = traces ? captures_->begin_trace(everything()) : captures_->begin(everything());
    ASSERT_TRUE(begun);
    Captures::Session left = std::move(*begun);
    const auto has_nothing = [&] { return left.take() == nullptr && !left.take_trace() && left.lost() == 0; };
    static_cast<void>(pass(uplink(), build(from_client())));
    worker_->offline();  // for its end
    left.leave();
    worker_->online();
    EXPECT_EQ(tables_->capture.load(), nullptr);
    EXPECT_TRUE(has_nothing());

    auto next = begin(everything());
    static_cast<void>(pass(uplink(), build(from_client())));
    EXPECT_TRUE(has_nothing()) << "what there is is the other's";
    left.stop();
    left.leave();
    { const auto ended = std::move(left); }
    static_cast<void>(pass(uplink(), build(from_client())));
    EXPECT_EQ(all_of(next).size(), 4u);
    end(next);
  }
}

// --- the file ---

template <typename T>
T read(const std::string& file, size_t at) {
  T value{};
  EXPECT_LE(at + sizeof value, file.size());
  std::memcpy(&value, file.data() + at, std::min(sizeof value, file.size() - at));
  return value;
}

// tests/e2e/test_capture.py has tshark read files; here it is that blocks are chained.
TEST_F(CaptureRows, AFileIsBlocksWhoseLengthStandsAtBothEnds) {
  const Pcapng pcapng({{uplink().id(), "wan", mac_of(uplink())}, {first().id(), "vm0", mac_of(first())}});
  auto session = begin(everything());
  static_cast<void>(pass(uplink(), build(from_client())));
  static_cast<void>(pass(uplink(), to_closed_port()));
  std::string file = pcapng.header("a comment");
  while (const Copy copy = session.take()) pcapng.append(file, *copy);
  end(session);
  std::vector<uint32_t> types, interfaces;
  std::string comments;
  for (size_t at = 0; at < file.size();) {
    const auto block = read<PacketBlock>(file, at);
    ASSERT_GE(block.length, 12u);
    ASSERT_EQ(block.length % 4, 0u);
    ASSERT_LE(at + block.length, file.size());
    EXPECT_EQ(read<uint32_t>(file, at + block.length - 4), block.length);
    types.push_back(block.type);
    if (block.type == 6) {
      interfaces.push_back(block.interface);
      const std::string whole = file.substr(at, block.length);
      if (whole.find("destination_not_permitted") != std::string::npos) comments += "D";
    }
    at += block.length;
  }
  EXPECT_EQ(types, (std::vector<uint32_t>{0x0a0d0d0a, 1, 1, 6, 6, 6, 6}));
  EXPECT_EQ(interfaces, (std::vector<uint32_t>{0, 1, 0, 0}));
  EXPECT_EQ(comments, "D");
}

TEST_F(CaptureRows, APacketOfAPortThatTheFileHasNotIsLeftOut) {
  const Pcapng pcapng({{first().id(), "vm0", mac_of(first())}});
  auto session = begin(only(Fate::dropped));
  static_cast<void>(pass(uplink(), to_closed_port()));
  std::string file;
  pcapng.append(file, *session.take());
  EXPECT_EQ(file, "");
  end(session);
}

// --- the log of denied packets ---

class DeniedRows : public CaptureRows {
 protected:
  // Ten a second of each reason.
  DeniedRows() { worker_->state().config.denied_log = log_.get(); }
  std::vector<std::string> lines() {
    std::vector<std::string> all;
    while (const Copy copy = log_->take()) all.push_back(line_of(*copy, "wan"));
    return all;
  }
  std::unique_ptr<DeniedLog> log_ = *DeniedLog::create(0, 1, 10, -1);
};

TEST_F(DeniedRows, ALineSaysWhoWhatAndWhoseList) {
  expect_drop("closed", uplink(), to_closed_port(), Drop::destination_not_permitted);
  EXPECT_EQ(lines(), std::vector<std::string>{
                         "reason=destination_not_permitted port=wan mac=02:00:00:00:01:01 "
                         "source=198.51.100.2 source_port=40000 destination=203.0.113.10 destination_port=81 "
                         "protocol=tcp eip=203.0.113.10 unsaid=0"});
  Packet outward = from_web();
  outward.protocol = testing::icmp;
  expect_drop("outward", first(), build(outward), Drop::source_not_permitted);
  EXPECT_EQ(lines(), std::vector<std::string>{
                         "reason=source_not_permitted port=wan mac=02:00:00:00:02:10 source=10.0.0.10 "
                         "destination=198.51.100.2 protocol=icmp icmp_type=8 icmp_code=0 eip=203.0.113.10 "
                         "unsaid=0"});
  outward.protocol = testing::gre;
  outward.from = inner_mac;
  expect_drop("spoofed", first(), build(outward), Drop::spoofed_mac);
  EXPECT_EQ(lines(),
            std::vector<std::string>{"reason=spoofed_mac port=wan mac=02:00:00:00:03:11 source=10.0.0.10 "
                                     "destination=198.51.100.2 protocol=gre eip=203.0.113.10 unsaid=0"});
}

TEST_F(DeniedRows, WhatPassesAndWhatIsMalformedIsNoDenial) {
  EXPECT_FALSE(pass(uplink(), build(from_client())).empty());
  expect_drop("cut", uplink(), cut(build(from_client()), 20), Drop::truncated);
  EXPECT_EQ(lines(), std::vector<std::string>());
}

TEST_F(DeniedRows, OfAFloodTenASecondAreCopiedAndTheOthersCounted) {
  Packet unknown = from_client();
  unknown.destination = free_address;
  for (int n = 0; n < 40; ++n, now_ms_ += 10) {
    static_cast<void>(pass(uplink(), to_closed_port()));
    if (n == 5) static_cast<void>(pass(uplink(), build(unknown)));
  }
  std::vector<std::string> unsaid;
  for (const std::string& line : lines())
    unsaid.push_back(line.substr(7, 1) + line.substr(line.rfind('=') + 1));
  EXPECT_EQ(unsaid, (std::vector<std::string>{"d0", "u0", "d9", "d9", "d9"}))
      << "each reason has a rate of its own";
}

TEST_F(DeniedRows, NoMoreAreCopiedThanAreAskedFor) {
  log_ = *DeniedLog::create(0, 1, 600, -1);
  worker_->state().config.denied_log = log_.get();
  size_t copied = 0;
  for (int ms = 0; ms < 1000; ++ms, ++now_ms_) {
    static_cast<void>(pass(uplink(), to_closed_port()));
    copied += lines().size();
  }
  EXPECT_LE(copied, 600u);
  EXPECT_GE(copied, 400u);
}

TEST_F(DeniedRows, WithoutRoomTheyAreCountedAsUnsaid) {
  for (uint32_t n = 0; n < DeniedLog::copies + 9; ++n, now_ms_ += 1000)
    static_cast<void>(pass(uplink(), to_closed_port()));
  EXPECT_EQ(lines().size(), DeniedLog::copies);
  static_cast<void>(pass(uplink(), to_closed_port()));
  EXPECT_TRUE(lines().at(0).ends_with("unsaid=9"));
}

// --- times ---

// What DPDK says of the counter's speed may be wrong by some tenths of a percent, which would be half a
// millisecond here. Something may come in between two readings, but not each time.
TEST(TscClock, GoesAsFastAsTheMachinesClock) {
  using std::chrono::milliseconds, std::chrono::nanoseconds;
  const auto now = [] {
    return std::chrono::duration_cast<nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
        .count();
  };
  std::this_thread::sleep_for(milliseconds(150));  // of the program's time, for it to measure
  constexpr int64_t margin = 250'000;
  bool is_right = false;
  for (int n = 0; n < 5 && !is_right; ++n) {
    const TscClock clock;
    std::this_thread::sleep_for(milliseconds(300));
    const auto before = now();
    const auto told = static_cast<int64_t>(clock.nanoseconds(rte_rdtsc()));
    is_right = told >= before - margin && told <= now() + margin;
  }
  EXPECT_TRUE(is_right);
}

// --- frames of any form ---

TEST(FrameSummary, OfWhatIsCutShortIsWhatThereIs) {
  const testing::Packet6 packet{
      .source = Ipv6Addr::of(1, 2),
      .destination = Ipv6Addr::of(3, 4),
      .protocol = testing::tcp,
      .source_port = 1000,
      .destination_port = 80,
      .extensions = {{ipv6_extension::hop_by_hop, Bytes(7, 0)}, {ipv6_extension::fragment, Bytes(7, 0)}},
      .payload = {}};
  const Bytes frame = build(packet);
  for (size_t length = 0; length <= frame.size(); ++length) {
    const auto summary = summary_of({frame.data(), length});
    ASSERT_EQ(summary.has_value(), length >= 14);
    if (!summary) continue;
    EXPECT_EQ(summary->source.has_value(), length >= 54) << length;
    EXPECT_EQ(summary->ports.has_value(), length >= 54 + 16 + 4) << length;
  }
  EXPECT_EQ(summary_of(frame)->ports->destination, 80);
  EXPECT_EQ(summary_of(frame)->protocol, testing::tcp);
}

TEST(FrameSummary, LooksBehindTags) {
  Bytes frame = build(Packet{.source = client, .destination = web, .payload = {}});
  for (int tags = 1; tags <= 2; ++tags) {
    frame.insert(frame.begin() + 12, {0x81, 0x00, 0x00, 0x64});
    EXPECT_EQ(summary_of(frame)->source, IpAddr(client)) << tags;
    EXPECT_EQ(summary_of(frame)->tag_count, tags);
    EXPECT_EQ(summary_of(frame)->tags, (tags == 1 ? VlanTags{100} : VlanTags{100, 100}));
  }
}

TEST(FrameSummary, FindsTheFrameInATunnel) {
  Packet packet{.source = client, .destination = web, .destination_port = 4789, .payload = Bytes(20, 0)};
  packet.payload[4] = 0xab, packet.payload[5] = 0xcd, packet.payload[6] = 0xef;
  EXPECT_EQ(summary_of(build(packet))->inner_frame, 14u + 20 + 8 + 8);
  EXPECT_EQ(summary_of(build(packet))->tunnel, TunnelProtocol::vxlan);
  EXPECT_EQ(summary_of(build(packet))->vni, 0xabcdefu);
  packet.destination_port = 6081;
  packet.payload[0] = 2;  // words of options
  packet.payload[2] = 0x65, packet.payload[3] = 0x58;
  EXPECT_EQ(summary_of(build(packet))->inner_frame, 14u + 20 + 8 + 8 + 8);
  EXPECT_EQ(summary_of(build(packet))->tunnel, TunnelProtocol::geneve);
  EXPECT_EQ(summary_of(build(packet))->vni, 0xabcdefu);
  packet.payload[0] = 0x3f;
  EXPECT_EQ(summary_of(build(packet))->inner_frame, 0u) << "beyond the frame";
  packet.destination_port = 6082;
  EXPECT_EQ(summary_of(build(packet))->inner_frame, 0u);
}

}  // namespace
}  // namespace portcullis
