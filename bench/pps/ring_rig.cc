#include "bench/pps/ring_rig.h"

#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include <utility>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace portcullis::bench {
namespace {

// Out of every cache, as after a DMA write that goes to memory.
void evict([[maybe_unused]] const uint8_t* frame) {
#if defined(__x86_64__)
  _mm_clflush(frame);
#endif
}

}  // namespace

RingRig::RingRig(const Workload& workload, bool cold, std::shared_ptr<RingPorts> ports,
                 std::shared_ptr<Gateway> gateway, Worker& worker, uint16_t queue)
    : workload_(workload),
      ways_(workload.ways),
      cold_(cold),
      drops_(workload.work == Work::unbound || workload.work == Work::not_permitted || workload.miss),
      ports_(std::move(ports)),
      gateway_(std::move(gateway)),
      worker_(worker),
      queue_(queue),
      ledger_(worker.counters()) {}

Expected<std::unique_ptr<RingRig>> RingRig::create(const Workload& workload, Isa isa, bool cold) {
  auto ports = RingPorts::create(workload.workers, Gateway::queue_of(workload.workers - 1) + 1u);
  if (!ports) return Unexpected(ports.error());
  auto made = Gateway::create(workload, (*ports)->in(Way::in), (*ports)->in(Way::out), isa);
  if (!made) return Unexpected(made.error());
  std::shared_ptr<Gateway> gateway = std::move(*made);
  Worker& worker = gateway->worker();
  return std::unique_ptr<RingRig>(
      new RingRig(workload, cold, std::move(*ports), std::move(gateway), worker, 0));
}

std::unique_ptr<RingRig> RingRig::of_worker(uint32_t n) const {
  return std::unique_ptr<RingRig>(
      new RingRig(workload_, cold_, ports_, gateway_, gateway_->one_of_several(n), Gateway::queue_of(n)));
}

RingRig::~RingRig() {
  release();
}

void RingRig::send(Way way, std::span<const Packet> packets) {
  std::array<rte_mbuf*, burst_size> mbufs;
  const auto count = static_cast<unsigned>(packets.size());
  if (count == 0 || rte_pktmbuf_alloc_bulk(ports_->pool(), mbufs.data(), count) != 0) return;
  for (unsigned n = 0; n < count; ++n) {
    rte_mbuf* const mbuf = mbufs[n];
    mbuf->data_len = packets[n].length;
    mbuf->pkt_len = packets[n].length;
    write_frame(packets[n], frame_of(mbuf));
    if (cold_) evict(frame_of(mbuf));
  }
  rte_ring_enqueue_bulk(ports_->to_worker(way, queue_), reinterpret_cast<void**>(mbufs.data()), count,
                        nullptr);
  ledger_.sent(packets);
}

uint32_t RingRig::feed(Source& source, uint32_t limit) {
  std::array<Packet, burst_size> packets;
  uint32_t all = 0;
  for (const Way way : ways_) {
    const uint32_t count = source.fill(way, std::span(packets).first(limit));
    send(way, std::span(packets).first(count));
    all += count;
  }
  return all;
}

uint64_t RingRig::poll(Poller& poller) {
  const uint64_t now_ms = clock_ / (rte_get_tsc_hz() / 1000) + 1;
  const uint64_t begin = clock_now();
  poller.poll(worker_, now_ms);
  const uint64_t clocks = clock_now() - begin;
  clock_ += clocks;
  return clocks;
}

uint64_t RingRig::poll_empty() {
  const uint64_t begin = clock_now();
  for (const Way way : {Way::in, Way::out}) {
    rte_mbuf** const first = out_.data() + out_count_;
    const uint16_t count = rte_eth_rx_burst(ports_->in(way), queue_, first, burst_size);
    if (count == 0) continue;
    if (drops_)
      out_count_ += count;
    else
      rte_eth_tx_burst(ports_->out(way), queue_, first, count);
  }
  return clock_now() - begin;
}

std::span<rte_mbuf* const> RingRig::collect(Way way) {
  rte_mbuf** const first = out_.data() + out_count_;
  const unsigned count = rte_ring_dequeue_burst(
      ports_->from_worker(way, queue_), reinterpret_cast<void**>(first), most_out - out_count_, nullptr);
  out_count_ += count;
  ledger_.came_out(count);
  return {first, count};
}

void RingRig::release() {
  if (out_count_ != 0) rte_pktmbuf_free_bulk(out_.data(), out_count_);
  out_count_ = 0;
}

void RingRig::take_back(Source& source) {
  for (const Way way : ways_) source.came_out(way, collect(way));
  release();
  advance_to(source.due_clocks());
}

void RingRig::discard() {
  for (const Way way : ways_) collect(way);
  release();
}

Turn RingRig::turn(Source& source, Poller& poller, uint32_t limit) {
  const uint32_t packets = feed(source, limit);
  const uint64_t clocks = poll(poller);
  take_back(source);
  return {.clocks = clocks, .packets = packets};
}

Turn RingRig::empty_turn(Source& source) {
  const uint32_t packets = feed(source, burst_size);
  const uint64_t clocks = poll_empty();
  discard();
  return {.clocks = clocks, .packets = packets};
}

}  // namespace portcullis::bench
