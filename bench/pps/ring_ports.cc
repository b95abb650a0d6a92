#include "bench/pps/ring_ports.h"

#include <rte_dev.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include <cstring>
#include <string>

namespace portcullis::bench {
namespace {

constexpr uint32_t ring_size = 1024;
constexpr uint32_t pool_size = 4095;  // for each worker
constexpr uint32_t pool_cache = 256;

// Every buffer all zeroes: the generator writes headers and nothing else.
bool clear_buffers(rte_mempool* pool) {
  std::vector<void*> buffers(pool->size);
  if (rte_mempool_get_bulk(pool, buffers.data(), pool->size) != 0) return false;
  for (void* buffer : buffers) {
    auto* mbuf = static_cast<rte_mbuf*>(buffer);
    std::memset(mbuf->buf_addr, 0, mbuf->buf_len);
  }
  rte_mempool_put_bulk(pool, buffers.data(), pool->size);
  return true;
}

}  // namespace

Expected<std::shared_ptr<RingPorts>> RingPorts::create(uint32_t workers, uint32_t queues) {
  std::shared_ptr<RingPorts> ports(new RingPorts);
  ports->pool_ = rte_pktmbuf_pool_create("bench", pool_size * workers, pool_cache, 0,
                                         RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
  if (ports->pool_ == nullptr || !clear_buffers(ports->pool_))
    return fail(ErrorCode::resource_exhausted, "no memory for packet buffers");
  if (auto done = ports->open(ports->ports_[0], "uplink", queues); !done) return Unexpected(done.error());
  if (auto done = ports->open(ports->ports_[1], "endpoint", queues); !done) return Unexpected(done.error());
  return ports;
}

Expected<void> RingPorts::open(Port& port, const char* name, uint32_t queues) {
  const auto make = [](std::vector<rte_ring*>& rings, const std::string& ring_name) {
    rings.push_back(
        rte_ring_create(ring_name.c_str(), ring_size, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ));
    return rings.back() != nullptr;
  };
  const std::string base(name);
  for (uint32_t queue = 0; queue < queues; ++queue)
    if (!make(port.to_worker, base + "-rx" + std::to_string(queue)) ||
        !make(port.from_worker, base + "-tx" + std::to_string(queue)))
      return fail(ErrorCode::resource_exhausted, "no memory for the rings of " + base);
  const int id = rte_eth_from_rings(name, port.to_worker.data(), queues, port.from_worker.data(), queues, 0);
  if (id < 0) return fail(ErrorCode::internal, "cannot make a port of rings: " + base);
  port.id = static_cast<PortId>(id);
  port.is_open = true;
  const rte_eth_conf conf{};
  const auto failed = [&] { return fail(ErrorCode::internal, "cannot start the ring port " + base); };
  const auto count = static_cast<uint16_t>(queues);
  if (rte_eth_dev_configure(port.id, count, count, &conf) != 0) return failed();
  for (uint16_t queue = 0; queue < count; ++queue)
    if (rte_eth_rx_queue_setup(port.id, queue, ring_size, 0, nullptr, pool_) != 0 ||
        rte_eth_tx_queue_setup(port.id, queue, ring_size, 0, nullptr) != 0)
      return failed();
  if (rte_eth_dev_start(port.id) != 0) return failed();
  return {};
}

RingPorts::~RingPorts() {
  for (const Port& port : ports_) {
    if (port.is_open) {
      char device[RTE_ETH_NAME_MAX_LEN] = {};
      rte_eth_dev_get_name_by_port(port.id, device);
      rte_eth_dev_stop(port.id);
      rte_eth_dev_close(port.id);
      rte_eal_hotplug_remove("vdev", device);  // else no other rig could have one of its name
    }
    for (rte_ring* ring : port.to_worker) rte_ring_free(ring);
    for (rte_ring* ring : port.from_worker) rte_ring_free(ring);
  }
  rte_mempool_free(pool_);
}

}  // namespace portcullis::bench
