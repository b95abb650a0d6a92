#include "bench/pps/rig.h"

#include <rte_cycles.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_rcu_qsbr.h>
#include <rte_ring.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "control/publish/publisher.h"
#include "dataplane/burst.h"

namespace portcullis::bench {
namespace {

constexpr uint32_t ring_size = 1024;
constexpr uint32_t pool_size = 4095;

Mac mac_of(PortId port) {
  rte_ether_addr address{};
  rte_eth_macaddr_get(port, &address);
  Mac mac;
  std::memcpy(mac.bytes.data(), address.addr_bytes, sizeof mac.bytes);
  return mac;
}

uint64_t now_ms() {
  return rte_rdtsc() / (rte_get_tsc_hz() / 1000);
}

}  // namespace

Expected<void> Rig::open(RingPort& port, const char* name) {
  const std::string base(name);
  port.to_worker =
      rte_ring_create((base + "-rx").c_str(), ring_size, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
  port.from_worker =
      rte_ring_create((base + "-tx").c_str(), ring_size, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
  if (port.to_worker == nullptr || port.from_worker == nullptr)
    return fail(ErrorCode::resource_exhausted, "no memory for the rings of " + base);
  const int id = rte_eth_from_rings(name, &port.to_worker, 1, &port.from_worker, 1, 0);
  if (id < 0) return fail(ErrorCode::internal, "cannot make a port of rings: " + base);
  port.id = static_cast<PortId>(id);
  const rte_eth_conf conf{};
  if (rte_eth_dev_configure(port.id, 1, 1, &conf) != 0 ||
      rte_eth_rx_queue_setup(port.id, 0, ring_size, 0, nullptr, pool_) != 0 ||
      rte_eth_tx_queue_setup(port.id, 0, ring_size, 0, nullptr) != 0 || rte_eth_dev_start(port.id) != 0)
    return fail(ErrorCode::internal, "cannot start the ring port " + base);
  return {};
}

Expected<std::unique_ptr<Rig>> Rig::create(const Workload& workload, uint32_t flow_capacity) {
  std::unique_ptr<Rig> rig(new Rig);
  rig->workload_ = workload;
  rig->pool_ = rte_pktmbuf_pool_create("bench", pool_size, 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
  if (rig->pool_ == nullptr) return fail(ErrorCode::resource_exhausted, "no memory for packet buffers");
  if (auto done = rig->open(rig->uplink_, "uplink"); !done) return tl::unexpected(done.error());
  if (auto done = rig->open(rig->endpoint_, "endpoint"); !done) return tl::unexpected(done.error());
  rig->macs_ = {.uplink = mac_of(rig->uplink_.id),
                .endpoint_port = mac_of(rig->endpoint_.id),
                .client = *Mac::parse("02:00:00:00:00:01"),
                .vm = *Mac::parse("02:00:00:00:00:02")};

  auto tables = Tables::create({.eips = workload.eips, .permit_chunks = 16, .tag_sets = 16}, SOCKET_ID_ANY);
  if (!tables) return tl::unexpected(tables.error());
  rig->tables_ = std::move(*tables);
  PortTable& ports = rig->tables_->ports;
  ports.ports[rig->uplink_.id] = {.role = PortRole::uplink, .mac = rig->macs_.uplink};
  ports.ports[rig->endpoint_.id] = {.role = PortRole::endpoint, .mac = rig->macs_.endpoint_port};
  ports.uplink = rig->uplink_.id;
  ports.in_use = {rig->uplink_.id, rig->endpoint_.id};
  rig->tables_->next_hop.set(rig->uplink_.id, rig->macs_.client);

  rig->rcu_ =
      static_cast<rte_rcu_qsbr*>(rte_zmalloc("rcu", rte_rcu_qsbr_get_memsize(1), RTE_CACHE_LINE_SIZE));
  if (rig->rcu_ == nullptr || rte_rcu_qsbr_init(rig->rcu_, 1) != 0)
    return fail(ErrorCode::resource_exhausted, "no memory for the RCU variable");
  publish::Publisher publisher(*rig->tables_, rig->rcu_, {{"endpoint", rig->endpoint_.id}}, UINT32_MAX);
  if (auto done = publisher.publish_all(image_of(workload, rig->macs_)); !done)
    return tl::unexpected(done.error());

  auto worker = Worker::create({.flow_capacity = flow_capacity}, *rig->tables_, rig->rcu_);
  if (!worker) return tl::unexpected(worker.error());
  rig->worker_ = std::move(*worker);
  rig->worker_->online();
  rig->buffers_.resize(burst_size);
  if (rte_mempool_get_bulk(rig->pool_, rig->buffers_.data(), burst_size) != 0)
    return fail(ErrorCode::resource_exhausted, "no packet buffers");
  return rig;
}

Rig::~Rig() {
  if (worker_) worker_->offline();
  for (RingPort* port : {&uplink_, &endpoint_})
    if (port->from_worker != nullptr) rte_eth_dev_stop(port->id);
  rte_free(rcu_);
}

Way Rig::next_way() {
  if (workload_.way != Way::both) return workload_.way;
  turn_ = !turn_;
  return turn_ ? Way::out : Way::in;
}

uint32_t Rig::feed(Way way) {
  uint64_t& sent = way == Way::in ? sent_in_ : sent_out_;
  for (void* buffer : buffers_) {
    auto* mbuf = static_cast<rte_mbuf*>(buffer);
    rte_pktmbuf_reset(mbuf);
    mbuf->data_len = frame_length;
    mbuf->pkt_len = frame_length;
    write_frame(workload_, macs_, sent++, way, {frame_of(mbuf), frame_length});
  }
  return rte_ring_enqueue_bulk(port_in(way).to_worker, buffers_.data(), burst_size, nullptr);
}

uint32_t Rig::collect(RingPort& port) {
  return rte_ring_dequeue_burst(port.from_worker, buffers_.data(), burst_size, nullptr);
}

Expected<void> Rig::verify(uint64_t packets) {
  for (uint64_t done = 0; done < packets; done += burst_size) {
    const Way way = next_way();
    const uint64_t first = way == Way::in ? sent_in_ : sent_out_;
    feed(way);
    worker_->poll(now_ms());
    const uint32_t count = collect(port_out(way));
    if (count != burst_size)
      return fail(ErrorCode::internal, std::to_string(burst_size - count) + " of 64 packets from number " +
                                           std::to_string(first) + " on did not come out");
    for (uint32_t i = 0; i < count; ++i) {
      const auto* mbuf = static_cast<const rte_mbuf*>(buffers_[i]);
      const Frame expected = expected_frame(workload_, macs_, first + i, way);
      const uint8_t* frame = frame_of(mbuf);
      if (mbuf->pkt_len != frame_length || !std::equal(expected.begin(), expected.end(), frame))
        return fail(ErrorCode::internal,
                    "packet number " + std::to_string(first + i) + " came out wrong, at byte " +
                        std::to_string(std::mismatch(expected.begin(), expected.end(), frame).first -
                                       expected.begin()));
    }
  }
  return {};
}

Expected<Trial> Rig::measure(double seconds) {
  const auto budget = static_cast<uint64_t>(seconds * static_cast<double>(rte_get_tsc_hz()));
  uint64_t clocks = 0;
  uint64_t packets = 0;
  while (clocks < budget) {
    const Way way = next_way();
    feed(way);
    const uint64_t ms = now_ms();
    const uint64_t begin = rte_rdtsc_precise();
    worker_->poll(ms);
    worker_->age(ms);
    clocks += rte_rdtsc_precise() - begin;
    if (collect(port_out(way)) != burst_size)
      return fail(ErrorCode::internal,
                  "packets were lost while measuring: the figure would be of other work");
    packets += burst_size;
  }
  return Trial{static_cast<double>(clocks) / static_cast<double>(packets), packets};
}

Trial Rig::measure_floor(double seconds) {
  const auto budget = static_cast<uint64_t>(seconds * static_cast<double>(rte_get_tsc_hz()));
  uint64_t clocks = 0;
  uint64_t packets = 0;
  rte_mbuf* burst[burst_size];
  while (clocks < budget) {
    const Way way = next_way();
    feed(way);
    const uint64_t begin = rte_rdtsc_precise();
    for (RingPort* port : {&uplink_, &endpoint_}) {
      const uint16_t count = rte_eth_rx_burst(port->id, 0, burst, burst_size);
      if (count != 0) rte_eth_tx_burst(port_out(way).id, 0, burst, count);
    }
    clocks += rte_rdtsc_precise() - begin;
    packets += collect(port_out(way));
  }
  return {static_cast<double>(clocks) / static_cast<double>(packets), packets};
}

}  // namespace portcullis::bench
