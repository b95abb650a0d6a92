#include "bench/pps/ring_rig.h"

#include <rte_dev.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include <algorithm>
#include <cstring>
#include <string>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace portcullis::bench {
namespace {

constexpr uint32_t ring_size = 1024;
constexpr uint32_t pool_size = 4095;
constexpr uint32_t pool_cache = 256;

// Every buffer all zeroes: the generator writes headers and nothing else.
bool clear_buffers(rte_mempool* pool) {
  std::vector<void*> buffers(pool_size);
  if (rte_mempool_get_bulk(pool, buffers.data(), pool_size) != 0) return false;
  for (void* buffer : buffers) {
    auto* mbuf = static_cast<rte_mbuf*>(buffer);
    std::memset(mbuf->buf_addr, 0, mbuf->buf_len);
  }
  rte_mempool_put_bulk(pool, buffers.data(), pool_size);
  return true;
}

// Out of every cache, as after a DMA write that goes to memory.
void evict([[maybe_unused]] const uint8_t* frame) {
#if defined(__x86_64__)
  _mm_clflush(frame);
#endif
}

}  // namespace

Expected<void> RingRig::open(RingPort& port, const char* name) {
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
  port.is_open = true;
  const rte_eth_conf conf{};
  if (rte_eth_dev_configure(port.id, 1, 1, &conf) != 0 ||
      rte_eth_rx_queue_setup(port.id, 0, ring_size, 0, nullptr, pool_) != 0 ||
      rte_eth_tx_queue_setup(port.id, 0, ring_size, 0, nullptr) != 0 || rte_eth_dev_start(port.id) != 0)
    return fail(ErrorCode::internal, "cannot start the ring port " + base);
  return {};
}

Expected<std::unique_ptr<RingRig>> RingRig::create(const Workload& workload, Isa isa, bool cold) {
  std::unique_ptr<RingRig> rig(new RingRig);
  rig->ways_ = workload.ways;
  rig->cold_ = cold;
  rig->drops_ = workload.work == Work::unbound || workload.work == Work::not_permitted || workload.miss;
  rig->pool_ =
      rte_pktmbuf_pool_create("bench", pool_size, pool_cache, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
  if (rig->pool_ == nullptr || !clear_buffers(rig->pool_))
    return fail(ErrorCode::resource_exhausted, "no memory for packet buffers");
  if (auto done = rig->open(rig->port_in(Way::in), "uplink"); !done) return Unexpected(done.error());
  if (auto done = rig->open(rig->port_in(Way::out), "endpoint"); !done) return Unexpected(done.error());
  auto gateway = Gateway::create(workload, rig->port_in(Way::in).id, rig->port_in(Way::out).id, isa);
  if (!gateway) return Unexpected(gateway.error());
  rig->gateway_ = std::move(*gateway);
  rig->ledger_ = std::make_unique<Ledger>(rig->gateway_->worker().counters());
  return rig;
}

RingRig::~RingRig() {
  release();
  ledger_.reset();
  gateway_.reset();
  for (RingPort& port : ports_) {
    if (port.is_open) {
      char device[RTE_ETH_NAME_MAX_LEN] = {};
      rte_eth_dev_get_name_by_port(port.id, device);
      rte_eth_dev_stop(port.id);
      rte_eth_dev_close(port.id);
      rte_eal_hotplug_remove("vdev", device);  // else no other rig could have one of its name
    }
    rte_ring_free(port.to_worker);
    rte_ring_free(port.from_worker);
  }
  rte_mempool_free(pool_);
}

void RingRig::send(Way way, std::span<const Packet> packets) {
  std::array<rte_mbuf*, burst_size> mbufs;
  const auto count = static_cast<unsigned>(packets.size());
  if (count == 0 || rte_pktmbuf_alloc_bulk(pool_, mbufs.data(), count) != 0) return;
  for (unsigned n = 0; n < count; ++n) {
    rte_mbuf* const mbuf = mbufs[n];
    mbuf->data_len = packets[n].length;
    mbuf->pkt_len = packets[n].length;
    write_frame(packets[n], frame_of(mbuf));
    if (cold_) evict(frame_of(mbuf));
  }
  rte_ring_enqueue_bulk(port_in(way).to_worker, reinterpret_cast<void**>(mbufs.data()), count, nullptr);
  ledger_->sent(packets);
}

uint64_t RingRig::poll(Poller& poller) {
  const uint64_t now_ms = clock_ / (rte_get_tsc_hz() / 1000) + 1;
  Worker& worker = gateway_->worker();
  const uint64_t begin = clock_now();
  poller.poll(worker, now_ms);
  const uint64_t clocks = clock_now() - begin;
  clock_ += clocks;
  return clocks;
}

std::span<rte_mbuf* const> RingRig::collect(Way way) {
  rte_mbuf** const first = out_.data() + out_count_;
  const unsigned count = rte_ring_dequeue_burst(port_out(way).from_worker, reinterpret_cast<void**>(first),
                                                most_out - out_count_, nullptr);
  out_count_ += count;
  ledger_->came_out(count);
  return {first, count};
}

void RingRig::release() {
  if (out_count_ != 0) rte_pktmbuf_free_bulk(out_.data(), out_count_);
  out_count_ = 0;
}

Turn RingRig::turn(Source& source, Poller& poller, uint32_t limit) {
  std::array<Packet, burst_size> packets;
  Turn turn;
  for (const Way way : ways_) {
    const uint32_t count = source.fill(way, std::span(packets).first(limit));
    send(way, std::span(packets).first(count));
    turn.packets += count;
  }
  turn.clocks = poll(poller);
  for (const Way way : ways_) source.came_out(way, collect(way));
  release();
  advance_to(source.due_clocks());
  return turn;
}

Turn RingRig::empty_turn(Source& source) {
  std::array<Packet, burst_size> packets;
  Turn turn;
  for (const Way way : ways_) {
    const uint32_t count = source.fill(way, packets);
    send(way, std::span(packets).first(count));
    turn.packets += count;
  }
  const uint64_t begin = clock_now();
  for (const Way way : {Way::in, Way::out}) {
    rte_mbuf** const first = out_.data() + out_count_;
    const uint16_t count = rte_eth_rx_burst(port_in(way).id, 0, first, burst_size);
    if (count == 0) continue;
    if (drops_)
      out_count_ += count;
    else
      rte_eth_tx_burst(port_out(way).id, 0, first, count);
  }
  turn.clocks = clock_now() - begin;
  for (const Way way : ways_) collect(way);
  release();
  return turn;
}

}  // namespace portcullis::bench
