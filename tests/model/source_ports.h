// The one thing that is the gateway's own choice in what it sends by a tunnel: the UDP source port, which
// must be of the dynamic range and the same for all packets of a flow in one direction (docs/locations.md).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tests/model/frames.h"
#include "tests/model/reference.h"

namespace portcullis::testing {

class SourcePorts {
 public:
  // A frame that left by the port, as the reference says it: with 0 for a tunnel's source port, and a
  // checksum that fits. What is wrong with them is added to `wrong`.
  [[nodiscard]] Bytes without(const reference::PortSetup& port, Bytes frame, std::vector<std::string>& wrong);
  // After a change private addresses may be others'.
  void forget() { seen_.clear(); }

 private:
  std::map<std::string, uint16_t> seen_;  // by remote and VNI, and inner addresses and ports
};

}  // namespace portcullis::testing
