#include "bench/pps/feed_rig.h"

#include <rte_bus.h>
#include <rte_cycles.h>
#include <rte_dev.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>

#include "bench/pps/capture.h"
#include "dataplane/burst.h"

namespace portcullis::bench {
namespace {

constexpr uint32_t ring_size = 1024;
// Few: a turn as long as a stall would pass for one.
constexpr uint32_t polls_in_turn = 4;

}  // namespace

Expected<void> FeedRig::open(FeedPort& port, const char* device, const std::string& arguments) {
  const auto failed = [&](const char* what) {
    return fail(ErrorCode::internal,
                std::string("cannot ") + what + " the port " + device + " with " + arguments);
  };
  if (rte_eal_hotplug_add("vdev", device, arguments.c_str()) != 0) return failed("make");
  port.device = device;
  if (rte_eth_dev_get_port_by_name(device, &port.id) != 0) return failed("find");
  const rte_eth_conf conf{};
  if (rte_eth_dev_configure(port.id, 1, 1, &conf) != 0 ||
      rte_eth_rx_queue_setup(port.id, 0, ring_size, 0, nullptr, pool_) != 0 ||
      rte_eth_tx_queue_setup(port.id, 0, ring_size, 0, nullptr) != 0 || rte_eth_dev_start(port.id) != 0)
    return failed("start");
  return {};
}

Expected<std::unique_ptr<FeedRig>> FeedRig::create(const Workload& workload, const FlowSource& source,
                                                   Isa isa) {
  if (source.period() > most_packets)
    return fail(ErrorCode::invalid_argument,
                "rig A holds each packet in a buffer: at most " + std::to_string(most_packets) + " flows");
  std::unique_ptr<FeedRig> rig(new FeedRig);
  rig->ways_ = workload.ways;
  // net_pcap keeps the file in buffers of this pool and copies each packet into another.
  constexpr uint32_t spare_buffers = 4095;
  const auto buffers = static_cast<uint32_t>(source.period() * workload.ways.size()) + spare_buffers;
  const uint16_t room = RTE_PKTMBUF_HEADROOM + (workload.sizes ? 2048 : 128);
  rig->pool_ = rte_pktmbuf_pool_create("feed", buffers, 256, 0, room, SOCKET_ID_ANY);
  if (rig->pool_ == nullptr)
    return fail(ErrorCode::resource_exhausted,
                "no memory for " + std::to_string(buffers) + " packet buffers");
  for (const Way way : {Way::in, Way::out}) {
    FeedPort& port = rig->port_in(way);
    const bool is_uplink = way == Way::in;
    if (std::ranges::find(workload.ways, way) == workload.ways.end()) {
      if (auto done = rig->open(port, is_uplink ? "net_null0" : "net_null1", "no-rx=1"); !done)
        return Unexpected(done.error());
      continue;
    }
    for (uint64_t n = 0; n < source.period(); ++n) port.packets.push_back(source.at(way, n));
    rig->drop_ = port.packets.front().drop;
    auto file = CaptureFile::write(port.packets);
    if (!file) return Unexpected(file.error());
    if (auto done = rig->open(port, is_uplink ? "net_pcap0" : "net_pcap1",
                              "rx_pcap=" + file->path() + ",infinite_rx=1");
        !done)
      return Unexpected(done.error());
  }
  auto gateway = Gateway::create(workload, rig->port_in(Way::in).id, rig->port_in(Way::out).id, isa);
  if (!gateway) return Unexpected(gateway.error());
  rig->gateway_ = std::move(*gateway);
  return rig;
}

FeedRig::~FeedRig() {
  gateway_.reset();
  for (const FeedPort& port : ports_) {
    if (port.device.empty()) continue;
    rte_eth_dev_stop(port.id);
    rte_eal_hotplug_remove("vdev", port.device.c_str());
  }
  rte_mempool_free(pool_);
}

void FeedRig::Comparison::look_at(const rte_mbuf* mbuf) {
  ++compared;
  if (!fault.empty()) return;
  const uint32_t number = number_of(frame_of(mbuf));
  if (next == SIZE_MAX) {
    const auto first = std::ranges::find(*packets, number, &Packet::number);
    next = static_cast<size_t>(first - packets->begin()) % packets->size();
  }
  const Packet& packet = (*packets)[next];
  next = (next + 1) % packets->size();
  std::array<uint8_t, largest_frame> expected;
  write_expected(packet, std::span(expected).first(packet.length));
  if (mbuf->pkt_len != packet.length || std::memcmp(frame_of(mbuf), expected.data(), packet.length) != 0)
    fault = "packet " + std::to_string(packet.number) + " came out wrong, or packet " +
            std::to_string(number) + " in its place";
}

Expected<void> FeedRig::verify() {
  PlainPoller poller;
  const Worker& worker = gateway_->worker();
  // Two rounds of the files, so that every flow is open by both ways.
  const uint64_t period = port_in(ways_.front()).packets.size();
  const uint64_t round = period * ways_.size();
  for (const uint64_t end = worker.counters().received() + 2 * round; worker.counters().received() < end;)
    poll(poller);
  reset_balance();
  const auto look = [](PortId, uint16_t, rte_mbuf** frames, uint16_t count, void* comparison) {
    for (uint16_t n = 0; n < count; ++n) static_cast<Comparison*>(comparison)->look_at(frames[n]);
    return count;
  };
  std::vector<Comparison> comparisons(ways_.size());
  std::vector<const rte_eth_rxtx_callback*> callbacks;
  for (size_t n = 0; n < ways_.size(); ++n) {
    comparisons[n] = {.packets = &port_in(ways_[n]).packets, .fault = {}};
    callbacks.push_back(rte_eth_add_tx_callback(port_out(ways_[n]).id, 0, look, &comparisons[n]));
    if (callbacks.back() == nullptr)
      return fail(ErrorCode::internal, "this DPDK has no transmit callbacks, so nothing can be verified");
  }
  for (const uint64_t end = worker.counters().received() + round + burst_size;
       worker.counters().received() < end;)
    poll(poller);
  for (size_t n = 0; n < ways_.size(); ++n) {
    rte_eth_remove_tx_callback(port_out(ways_[n]).id, 0, callbacks[n]);
    const Comparison& comparison = comparisons[n];
    if (!comparison.fault.empty()) return fail(ErrorCode::internal, comparison.fault);
    if (!drop_ && comparison.compared < period)
      return fail(ErrorCode::internal, "only " + std::to_string(comparison.compared) + " packets of " +
                                           std::to_string(period) + " came out");
  }
  return balance();
}

void FeedRig::poll(Poller& poller) {
  poller.poll(gateway_->worker(), rte_rdtsc() / (rte_get_tsc_hz() / 1000));
}

Turn FeedRig::turn(Source&, Poller& poller, uint32_t) {
  const WorkerCounters& counters = gateway_->worker().counters();
  const uint64_t received = counters.received();
  const uint64_t begin = clock_now();
  for (uint32_t n = 0; n < polls_in_turn; ++n) poll(poller);
  const uint64_t clocks = clock_now() - begin;
  return {.clocks = clocks, .packets = counters.received() - received};
}

Turn FeedRig::empty_turn(Source&) {
  Turn turn;
  rte_mbuf* frames[burst_size];
  const uint64_t begin = clock_now();
  for (uint32_t n = 0; n < polls_in_turn; ++n)
    for (const Way way : {Way::in, Way::out}) {
      const uint16_t count = rte_eth_rx_burst(port_in(way).id, 0, frames, burst_size);
      if (count == 0) continue;
      rte_eth_tx_burst(port_out(way).id, 0, frames, count);
      turn.packets += count;
    }
  turn.clocks = clock_now() - begin;
  return turn;
}

uint64_t FeedRig::dropped() const {
  return gateway_->worker().counters().dropped_all();
}

void FeedRig::reset_balance() {
  const WorkerCounters& counters = gateway_->worker().counters();
  received_before_ = counters.received();
  transmitted_before_ = counters.transmitted();
  dropped_before_ = counters.dropped_all();
  drop_before_ = drop_ ? counters.dropped[static_cast<size_t>(*drop_)].get() : 0;
}

Expected<void> FeedRig::balance() {
  const WorkerCounters& counters = gateway_->worker().counters();
  const uint64_t received = counters.received() - received_before_;
  const uint64_t transmitted = counters.transmitted() - transmitted_before_;
  const uint64_t all_dropped = dropped() - dropped_before_;
  const uint64_t as_meant =
      drop_ ? counters.dropped[static_cast<size_t>(*drop_)].get() - drop_before_ : uint64_t{0};
  const bool good = drop_ ? as_meant == received && transmitted == 0 : transmitted == received;
  if (good && all_dropped == as_meant) return {};
  return fail(ErrorCode::internal, "of " + std::to_string(received) + " packets " +
                                       std::to_string(transmitted) + " came out and " +
                                       std::to_string(all_dropped) + " were dropped");
}

}  // namespace portcullis::bench
