// A gateway of ring ports with a real worker, for rows of one packet each. A row says what must come out,
// byte for byte, or the one drop reason; every other counter must stay where it was.
#pragma once

#include <gtest/gtest.h>
#include <rte_rcu_qsbr.h>

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <set>

#include "control/publish/publisher.h"
#include "dataplane/tables/error_rate.h"
#include "dataplane/tables/fragment.h"
#include "dataplane/tables/tables.h"
#include "dataplane/worker.h"
#include "dataplane/worker_state.h"
#include "tests/model/frames.h"
#include "tests/model/ring_port.h"
#include "tests/support/model_rule.h"
#include "tests/unit/control/data_plane.h"

namespace portcullis {

using testing::Arp;
using testing::build;
using testing::Bytes;
using testing::Packet;

inline constexpr Ipv4Addr client = Ipv4Addr::of(198, 51, 100, 2);
inline constexpr Ipv4Addr gateway = Ipv4Addr::of(198, 51, 100, 1);
inline constexpr Ipv4Addr web = Ipv4Addr::of(203, 0, 113, 10), web_dip = Ipv4Addr::of(10, 0, 0, 10);
inline constexpr Ipv4Addr inner = Ipv4Addr::of(203, 0, 113, 11),
                          inner_dip = Ipv4Addr::of(10, 0, 0, 10);  // the same DIP
inline constexpr Ipv4Addr same = Ipv4Addr::of(203, 0, 113, 12);    // DIP = EIP
inline constexpr Ipv4Addr free_address = Ipv4Addr::of(203, 0, 113, 99);
inline constexpr Ipv4Addr elsewhere = Ipv4Addr::of(192, 88, 99, 7);  // in a provider pool
inline constexpr Ipv4Addr stranger = Ipv4Addr::of(192, 0, 2, 77);    // in no pool
inline const Mac router_mac = *Mac::parse("02:00:00:00:01:01");
inline const Mac web_mac = *Mac::parse("02:00:00:00:02:10");
inline const Mac inner_mac = *Mac::parse("02:00:00:00:03:11");
inline const Mac same_mac = *Mac::parse("02:00:00:00:02:12");

// What an ICMP error quotes of a packet: `length` bytes from its IPv4 header on, or all.
inline Bytes quote_of(const Packet& packet, size_t length = SIZE_MAX) {
  const Bytes frame = build(packet);
  const auto begin = frame.begin() + testing::ip_at;
  return {begin, begin + static_cast<std::ptrdiff_t>(std::min(frame.size() - testing::ip_at, length))};
}

struct Snapshot {
  std::map<std::string, uint64_t> values;  // those that are not zero

  static Snapshot of(const Worker& worker, PortId ports) {
    Snapshot snapshot;
    const WorkerCounters& c = worker.counters();
    const auto put = [&](const std::string& name, const Counter& counter) {
      if (counter.get() != 0) snapshot.values[name] = counter.get();
    };
    for (size_t reason = 0; reason < drop_count; ++reason)
      put("drop " + std::string(drop_registry[reason].name), c.dropped[reason]);
    for (PortId port = 0; port < ports; ++port) {
      put("received " + std::to_string(port), c.ports[port].received_packets);
      put("transmitted " + std::to_string(port), c.ports[port].transmitted_packets);
    }
    put("punted", c.punted);
    put("originated", c.originated);
    put("held", c.held);
    uint64_t hits = 0;
    for (Slot slot = 0; slot < c.slots.size(); ++slot) {
      put("in of slot " + std::to_string(slot), c.slots[slot].in_packets);
      put("out of slot " + std::to_string(slot), c.slots[slot].out_packets);
      for (const Counter& rule : c.slots[slot].rule_hits) hits += rule.get();
    }
    for (uint32_t n = 0; n < c.chunk_hits.size(); ++n) hits += c.chunk_hits[n].get();
    if (hits != 0) snapshot.values["rule hits"] = hits;
    if (worker.flows().size() != 0) snapshot.values["flows"] = worker.flows().size();
    if (worker.flows6().size() != 0) snapshot.values["flows6"] = worker.flows6().size();
    return snapshot;
  }

  // What moved since `before`.
  [[nodiscard]] std::map<std::string, int64_t> since(const Snapshot& before) const {
    std::map<std::string, int64_t> moved;
    for (const auto& [name, value] : values) moved[name] += static_cast<int64_t>(value);
    for (const auto& [name, value] : before.values) moved[name] -= static_cast<int64_t>(value);
    std::erase_if(moved, [](const auto& entry) { return entry.second == 0; });
    return moved;
  }
};

using Moved = std::map<std::string, int64_t>;

// The ports outlive the tests: an ethdev id is not given back.
struct Ports {
  testing::FramePool pool{"rows", 2047};
  testing::RingPort uplink{"row-uplink", pool, 64}, first{"row-first", pool, 64},
      second{"row-second", pool, 64};
};
inline Ports& ports() {
  static Ports* all = new Ports;
  return *all;
}

inline model::PermitRule rule(const char* name, const PermitRule& compiled) {
  return model_rule(name, compiled);
}

class PipelineRows : public ::testing::Test {
 protected:
  PipelineRows()
      : tables_(*Tables::create({.eips = 16,
                                 .ipv6_eips = 16,
                                 .spare_records = 16,
                                 .index_pages = 4,
                                 .permit_chunks = 8,
                                 .tag_sets = 8,
                                 .links = 8,
                                 .tunnel_remotes = 4},
                                -1)) {
    PortTable& table = tables_->ports;
    table.ports[uplink().id()] = {.role = PortRole::uplink,
                                  .mac = mac_of(uplink()),
                                  .proxy_arp = true,
                                  .punt_rate = 640,
                                  .next_hop = client};
    table.ports[first().id()] = {.role = PortRole::endpoint, .mac = mac_of(first()), .mtu = 1500};
    table.ports[second().id()] = {.role = PortRole::endpoint,
                                  .mac = mac_of(second()),
                                  .mtu = 1000,
                                  .endpoint_next_hop = Ipv4Addr::of(10, 0, 0, 1)};
    table.uplink = uplink().id();
    table.in_use = {uplink().id(), first().id(), second().id()};
    tables_->gateway.addresses = {gateway};
    tables_->gateway.permit = {{.protocol = testing::icmp}};
    tables_->next_hop.set(uplink().id(), router_mac);
    punt_ = testing::make_ring("row-punt", 15);
    publisher_.emplace(*tables_, rcu_.get(),
                       std::map<std::string, PortId>{{"first", first().id()}, {"second", second().id()}},
                       /*flow_quota=*/3);
    worker_ = *Worker::create({.flow_capacity = 64, .ipv6_flow_capacity = 64, .to_punt = punt_.get()},
                              *tables_, rcu_.get());
    EXPECT_TRUE(publisher_->publish(compile::update_of(image())));
    worker_->online();
    before_ = take();
  }

  ~PipelineRows() override {
    worker_->offline();
    rte_mbuf* packet = nullptr;
    while (rte_ring_sc_dequeue(punt_.get(), reinterpret_cast<void**>(&packet)) == 0) rte_pktmbuf_free(packet);
    worker_.reset();
    for (testing::RingPort* port : {&uplink(), &first(), &second()}) static_cast<void>(port->collect());
    EXPECT_EQ(ports().pool.in_use(), 0u) << "a packet buffer is lost";
  }

  // One on the second port is only for other EIPs: not in the edge view.
  static void bind(compile::Image& image, const IpAddr& eip, const IpAddr& dip, const char* port, Mac mac,
                   uint32_t incarnation, model::PermitList permit) {
    image.bindings[eip] = {.eip = eip,
                           .dip = dip,
                           .port = port,
                           .mac = mac,
                           .edge = std::string_view(port) == "first",
                           .incarnation = incarnation,
                           .binding_generation = 1,
                           .list_generation = 1,
                           .kept_from = 1,
                           .permit = std::move(permit)};
  }
  static compile::Image image() {
    compile::Image image;
    const Ipv4Prefix local = *Ipv4Prefix::parse("203.0.113.0/24");
    const Ipv4Prefix provider = *Ipv4Prefix::parse("192.88.99.0/24");
    image.pools[local.first()] = {.prefix = local, .kind = model::PoolKind::local};
    image.pools[provider.first()] = {.prefix = provider, .kind = model::PoolKind::provider};
    bind(image, web, web_dip, "first", web_mac, 1,
         {rule("http", {.protocol = testing::tcp, .local_ports = {80, 80}}),
          rule("ping", {.protocol = testing::icmp}),
          rule("dns", {.protocol = testing::udp, .local_ports = {53, 53}}),
          rule("out", {.flags = PermitRule::outbound, .protocol = testing::tcp, .remote_ports = {443, 443}}),
          rule("ntp", {.flags = PermitRule::tracked, .protocol = testing::udp, .local_ports = {123, 123}})});
    bind(image, inner, inner_dip, "second", inner_mac, 2,
         {rule("from-web", {.remote = web.host(),
                            .prefix_length = 32,
                            .protocol = testing::tcp,
                            .local_ports = {443, 443}})});
    bind(image, same, same, "first", same_mac, 3, {rule("all", {.flags = PermitRule::any_protocol})});
    return image;
  }

  // The worker does not poll meanwhile.
  void publish(const compile::Update& update) {
    worker_->offline();
    EXPECT_TRUE(publisher_->publish(update));
    worker_->online();
  }

  static testing::RingPort& uplink() { return ports().uplink; }
  static testing::RingPort& first() { return ports().first; }
  static testing::RingPort& second() { return ports().second; }
  static Mac mac_of(const testing::RingPort& port) {
    Mac mac = *Mac::parse("02:00:00:00:ff:00");
    mac.bytes[5] = static_cast<uint8_t>(port.id());
    return mac;
  }
  Snapshot take() const { return Snapshot::of(*worker_, max_ports); }

  // A SYN of the client to the web server's permitted port.
  static Packet from_client() {
    return {.to = mac_of(uplink()),
            .from = router_mac,
            .source = client,
            .destination = web,
            .protocol = testing::tcp,
            .source_port = 40000,
            .destination_port = 80,
            .flags = testing::syn,
            .payload = Bytes(10, 0x5a)};
  }
  static Packet from_web() {
    return {.to = mac_of(first()),
            .from = web_mac,
            .source = web_dip,
            .destination = client,
            .protocol = testing::tcp,
            .source_port = 80,
            .destination_port = 40000,
            .flags = testing::syn | testing::ack,
            .payload = {}};
  }

  // Feeds one frame, and says what came out of all ports.
  std::map<PortId, std::vector<Bytes>> pass(testing::RingPort& port, const Bytes& frame,
                                            uint32_t first_segment = 0) {
    EXPECT_TRUE(port.feed(frame, first_segment));
    worker_->poll(now_ms_);
    std::map<PortId, std::vector<Bytes>> out;
    for (testing::RingPort* p : {&uplink(), &first(), &second()})
      if (auto frames = p->collect(); !frames.empty()) out[p->id()] = std::move(frames);
    return out;
  }

  void expect_drop(const char* row, testing::RingPort& port, const Bytes& frame, Drop reason,
                   uint32_t first_segment = 0) {
    SCOPED_TRACE(row);
    before_ = take();
    EXPECT_TRUE(pass(port, frame, first_segment).empty()) << "the packet was seen outside";
    EXPECT_EQ(take().since(before_), (Moved{{"received " + std::to_string(port.id()), 1},
                                            {"drop " + std::string(describe(reason).name), 1}}));
  }

  void expect_out(const char* row, testing::RingPort& port, const Bytes& frame, testing::RingPort& out,
                  const Bytes& expected, Moved also) {
    SCOPED_TRACE(row);
    before_ = take();
    const auto seen = pass(port, frame);
    ASSERT_EQ(seen.size(), 1u);
    ASSERT_EQ(seen.begin()->first, out.id());
    ASSERT_EQ(seen.begin()->second.size(), 1u);
    EXPECT_EQ(seen.begin()->second[0], expected) << testing::describe(seen.begin()->second[0]);
    also["received " + std::to_string(port.id())] = 1;
    also["transmitted " + std::to_string(out.id())] = 1;
    EXPECT_EQ(take().since(before_), also);
  }

  std::string binding(const char* direction, Ipv4Addr eip) const {
    const IndexEntry entry = tables_->binding.find(View::local, eip);
    return direction + std::string(" of slot ") + std::to_string(entry.slot());
  }

  Rcu rcu_ = make_rcu(1);
  std::unique_ptr<Tables> tables_;
  testing::RingPtr punt_;
  std::optional<publish::Publisher> publisher_;
  std::unique_ptr<Worker> worker_;
  uint64_t now_ms_ = 1000;
  Snapshot before_;
};

inline Bytes edited(Bytes frame, size_t at, std::initializer_list<uint8_t> bytes, bool fix_checksum = true) {
  std::copy(bytes.begin(), bytes.end(), frame.begin() + static_cast<std::ptrdiff_t>(at));
  if (fix_checksum) testing::fix_header_checksum(frame);
  return frame;
}

inline Bytes cut(Bytes frame, size_t length) {
  frame.resize(length);
  return frame;
}

}  // namespace portcullis
