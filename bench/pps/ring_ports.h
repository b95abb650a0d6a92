// Two ports made of rings and the buffers: what the rigs of several workers share.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "bench/pps/packet.h"
#include "dataplane/tables/next_hop.h"
#include "src/base/expected.h"

struct rte_mempool;
struct rte_ring;

namespace portcullis::bench {

class RingPorts {
 public:
  [[nodiscard]] static Expected<std::shared_ptr<RingPorts>> create(uint32_t workers, uint32_t queues);
  ~RingPorts();
  RingPorts(const RingPorts&) = delete;
  RingPorts& operator=(const RingPorts&) = delete;

  // The port at which packets of `way` arrive.
  [[nodiscard]] PortId in(Way way) const { return port_in(way).id; }
  // The port by which they leave.
  [[nodiscard]] PortId out(Way way) const { return port_out(way).id; }
  [[nodiscard]] rte_ring* to_worker(Way way, uint16_t queue) const { return port_in(way).to_worker[queue]; }
  [[nodiscard]] rte_ring* from_worker(Way way, uint16_t queue) const {
    return port_out(way).from_worker[queue];
  }
  [[nodiscard]] rte_mempool* pool() const { return pool_; }

 private:
  struct Port {
    PortId id = 0;
    bool is_open = false;
    std::vector<rte_ring*> to_worker, from_worker;  // by queue
  };
  RingPorts() = default;
  [[nodiscard]] Expected<void> open(Port& port, const char* name, uint32_t queues);
  [[nodiscard]] const Port& port_in(Way way) const { return ports_[static_cast<size_t>(way)]; }
  [[nodiscard]] const Port& port_out(Way way) const { return ports_[1 - static_cast<size_t>(way)]; }

  rte_mempool* pool_ = nullptr;
  std::array<Port, 2> ports_;  // uplink, endpoint: by the way that arrives there
};

}  // namespace portcullis::bench
