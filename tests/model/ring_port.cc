#include "tests/model/ring_port.h"

#include <rte_errno.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>

#include <algorithm>
#include <stdexcept>

namespace portcullis::testing {
namespace {

void require(bool holds, const std::string& what) {
  if (!holds) throw std::runtime_error(what + ": " + rte_strerror(rte_errno));
}

rte_mbuf* allocate(rte_mempool* pool, const uint8_t* bytes, size_t length,
                   uint32_t headroom = RTE_PKTMBUF_HEADROOM) {
  rte_mbuf* buffer = rte_pktmbuf_alloc(pool);
  require(buffer != nullptr, "no buffer is left");
  buffer->data_off = static_cast<uint16_t>(headroom);
  void* data = rte_pktmbuf_append(buffer, static_cast<uint16_t>(length));
  require(data != nullptr, "a frame of " + std::to_string(length) + " bytes is too long for a buffer");
  std::copy_n(bytes, length, static_cast<uint8_t*>(data));
  return buffer;
}

#if defined(__SANITIZE_THREAD__)
uint16_t after_receive(uint16_t, uint16_t, rte_mbuf**, uint16_t count, uint16_t, void* port) {
  static_cast<const RingPort*>(port)->note_arrival();
  return count;
}
#endif

}  // namespace

// A relaxed-tail ring: with the default one a thread waits for the tail of another that the scheduler took
// away in the middle of a call, and where two share a core each then spends its whole time slice waiting for
// the other.
FramePool::FramePool(const std::string& name, uint32_t buffers)
    : pool_(rte_pktmbuf_pool_create_by_ops(name.c_str(), buffers, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
                                           static_cast<int>(rte_socket_id()), "ring_mt_rts")) {
  require(pool_ != nullptr, "frame pool");
}

FramePool::~FramePool() {
  rte_mempool_free(pool_);
}

uint32_t FramePool::in_use() const {
  return rte_mempool_in_use_count(pool_);
}

rte_mbuf* FramePool::make(const Bytes& frame, uint32_t first_segment, uint32_t headroom) const {
  const size_t first = first_segment == 0 ? frame.size() : std::min<size_t>(first_segment, frame.size());
  rte_mbuf* packet = allocate(pool_, frame.data(), first, headroom);
  if (first < frame.size())
    require(rte_pktmbuf_chain(packet, allocate(pool_, frame.data() + first, frame.size() - first)) == 0,
            "chain");
  return packet;
}

Bytes take_bytes(rte_mbuf* packet) {
  Bytes bytes;
  bytes.reserve(packet->pkt_len);
  for (const rte_mbuf* segment = packet; segment != nullptr; segment = segment->next) {
    const uint8_t* data = rte_pktmbuf_mtod(segment, const uint8_t*);
    bytes.insert(bytes.end(), data, data + segment->data_len);
  }
  rte_pktmbuf_free(packet);
  return bytes;
}

RingPtr make_ring(const std::string& name, uint32_t capacity) {
  RingPtr ring(rte_ring_create(name.c_str(), capacity, static_cast<int>(rte_socket_id()),
                               RING_F_SP_ENQ | RING_F_SC_DEQ | RING_F_EXACT_SZ));
  require(ring != nullptr, "ring " + name);
  return ring;
}

RingPort::RingPort(const std::string& name, const FramePool& pool, uint32_t depth, uint16_t queues)
    : pool_(&pool) {
  std::vector<rte_ring*> receive, transmit;
  for (uint16_t queue = 0; queue < queues; ++queue) {
    const std::string number = std::to_string(queue);
    receive.push_back(
        receive_.emplace_back(make_ring(std::string(name).append("-rx").append(number), depth)).get());
    transmit.push_back(
        transmit_.emplace_back(make_ring(std::string(name).append("-tx").append(number), depth)).get());
  }
  const int port =
      rte_eth_from_rings(name.c_str(), receive.data(), queues, transmit.data(), queues, rte_socket_id());
  require(port >= 0, "ring port " + name);
  id_ = static_cast<PortId>(port);
  const rte_eth_conf configuration{};
  require(rte_eth_dev_configure(id_, queues, queues, &configuration) == 0, "configure " + name);
  for (uint16_t queue = 0; queue < queues; ++queue) {
    require(rte_eth_rx_queue_setup(id_, queue, 0, rte_socket_id(), nullptr, pool.get()) == 0,
            "receive queue of " + name);
    require(rte_eth_tx_queue_setup(id_, queue, 0, rte_socket_id(), nullptr) == 0,
            "transmit queue of " + name);
#if defined(__SANITIZE_THREAD__)
    require(rte_eth_add_rx_callback(id_, queue, after_receive, this) != nullptr,
            "receive callback of " + name);
#endif
  }
  require(rte_eth_dev_start(id_) == 0, "start " + name);
}

uint32_t RingPort::waiting() const {
  uint32_t frames = 0;
  for (const RingPtr& ring : receive_) frames += rte_ring_count(ring.get());
  return frames;
}

bool RingPort::feed(const Bytes& frame, uint32_t first_segment, uint32_t headroom, uint32_t queue) {
  rte_mbuf* packet = pool_->make(frame, first_segment, headroom);
  if (feed(packet, queue)) return true;
  rte_pktmbuf_free(packet);
  return false;
}

std::vector<Bytes> RingPort::collect() {
  std::vector<Bytes> frames;
  for (const RingPtr& ring : transmit_) {
    void* packet = nullptr;
    while (rte_ring_sc_dequeue(ring.get(), &packet) == 0)
      frames.push_back(take_bytes(static_cast<rte_mbuf*>(packet)));
  }
  return frames;
}

uint32_t RingPort::collect(rte_mbuf** packets, uint32_t count) {
  uint32_t collected = 0;
  for (const RingPtr& ring : transmit_)
    collected += rte_ring_sc_dequeue_burst(ring.get(), reinterpret_cast<void**>(packets + collected),
                                           count - collected, nullptr);
  return collected;
}

bool Link::receive(size_t port, Bytes& frame) {
  const auto next = std::find_if(in_flight_.begin(), in_flight_.end(),
                                 [&](const auto& sent) { return sent.first == port; });
  if (next == in_flight_.end()) return false;
  frame = std::move(next->second);
  in_flight_.erase(next);
  return true;
}

void Link::lose_one(std::mt19937_64& random) {
  if (in_flight_.empty()) return;
  in_flight_.erase(in_flight_.begin() + static_cast<std::ptrdiff_t>(random() % in_flight_.size()));
}

void Link::reorder(std::mt19937_64& random) {
  std::shuffle(in_flight_.begin(), in_flight_.end(), random);
}

}  // namespace portcullis::testing
