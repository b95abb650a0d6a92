// Which worker polls which queue of which port. A port with a receive queue for every worker gives each its
// own; the queues of one with fewer go around, so that ports with one queue each do not all load one worker.
// A port with a transmit queue for every worker is everybody's; of one with fewer, one worker transmits.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "dataplane/tables/next_hop.h"

namespace portcullis {

// What of a port is a worker's.
struct PortQueues {
  static constexpr uint16_t none = UINT16_MAX;
  uint16_t receive = 0;      // its receive queue
  uint16_t transmit = 0;     // its transmit queue; none: `transmitter` sends what it has for the port
  uint32_t transmitter = 0;  // a worker's id
  uint32_t receivers = 1;    // workers that receive from the port: each has its share of the punt rate
};

using WorkerQueues = std::array<PortQueues, max_ports>;  // by port

// Queues that a port was set up with, from 1 to the number of workers.
struct QueueCounts {
  PortId port = 0;
  uint16_t receive = 1;
  uint16_t transmit = 1;
};

// By worker.
[[nodiscard]] std::vector<WorkerQueues> assign_queues(const std::vector<QueueCounts>& ports,
                                                      uint32_t workers);

}  // namespace portcullis
