#include "dataplane/port_queues.h"

namespace portcullis {

std::vector<WorkerQueues> assign_queues(const std::vector<QueueCounts>& ports, uint32_t workers) {
  std::vector<WorkerQueues> assigned(workers);
  for (uint32_t position = 0; position < ports.size(); ++position) {
    const QueueCounts& counts = ports[position];
    const bool has_one_for_each = counts.receive == workers;
    const uint32_t first = has_one_for_each ? 0 : position % workers;  // the worker of queue 0
    for (uint32_t worker = 0; worker < workers; ++worker) {
      PortQueues& queues = assigned[worker][counts.port];
      const uint32_t queue = (worker + workers - first) % workers;
      queues.receive = queue < counts.receive ? static_cast<uint16_t>(queue) : PortQueues::none;
      queues.receivers = counts.receive;
      queues.transmitter = first;
      if (counts.transmit == workers)
        queues.transmit = static_cast<uint16_t>(worker);
      else
        queues.transmit = worker == first ? uint16_t{0} : PortQueues::none;
    }
  }
  return assigned;
}

}  // namespace portcullis
