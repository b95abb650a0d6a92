// Which packets somebody asks to see: of a capture (capture.h) and of a trace (trace.h).
#pragma once

#include <rte_mbuf.h>

#include <array>
#include <cstdint>
#include <optional>

#include "dataplane/drop.h"
#include "dataplane/tables/binding.h"
#include "dataplane/tables/port.h"
#include "src/net/address.h"
#include "src/net/encapsulation.h"

namespace portcullis {

// What became of a packet where it was seen.
enum class Fate : uint8_t { received, transmitted, punted, dropped };

struct CaptureFilter {
  // An endpoint by what its packets say on either side of the gateway.
  struct Endpoint {
    IpAddr eip;
    IpAddr dip;
    // With these, where the private address is its.
    Mac mac;
    PortId port = 0;
    Encapsulation encapsulation = {};
    std::optional<LinkId> link = {};  // the number of that on the port; none: it is untagged
  };

  std::array<bool, 4> fates{};             // by Fate
  std::array<bool, drop_count> reasons{};  // of dropped packets
  std::array<bool, max_ports> ports{};     // by which they came, or, captured as transmitted, leave
  std::optional<IpAddr> address;           // source or destination, inside of tunnels too
  std::optional<Endpoint> endpoint;
  uint32_t snap_length = UINT32_MAX;  // bytes of a frame that are copied
  uint32_t one_in = 1;                // of so many packets, on each worker

  // Whether a frame of that port is to or from the address and the endpoint. `taken_off`: the link whose tags
  // or headers it has no more; none: it is as it came, or as it leaves.
  [[nodiscard]] bool is_about(const rte_mbuf& packet, PortId port,
                              std::optional<LinkId> taken_off = {}) const;
};

}  // namespace portcullis
