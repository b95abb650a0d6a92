// Which turns are rehearsed: those of one frame. What several do to each other depends on their order.
#include <algorithm>

#include "tests/model/world.h"

namespace portcullis::testing {

using reference::PortNumber;

void World::rehearse(const Arrivals& arrivals, const std::vector<Bytes>& originated) {
  rehearsals_.forget();
  size_t frames = originated.size();
  for (const auto& of_port : arrivals) frames += of_port.size();
  if (frames != 1 || !originated.empty()) return;
  const auto in = std::ranges::find_if(arrivals, [](const auto& of_port) { return !of_port.empty(); });
  const auto port = static_cast<PortNumber>(in - arrivals.begin());
  rehearsals_.rehearse(*gateway_, reference_.setup().workers.receiver(port, in->front().bytes), port,
                       in->front(), now_ms_, differences_);
}

void World::compare_rehearsal(const Arrivals& arrivals) {
  for (PortNumber port = 0; port < arrivals.size(); ++port)
    if (!arrivals[port].empty())
      rehearsals_.compare(*gateway_, reference_.setup(), turn_.verdicts[port].front(), source_ports_,
                          differences_);
}

}  // namespace portcullis::testing
