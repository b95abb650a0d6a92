// A pcapng file of the gateway's packets: a section, an interface for each port by its name in the
// configuration, and a block for each copy, with the drop reason as its comment. rte_pcapng has made the
// blocks; it names interfaces by their devices, and knows no comments before DPDK 23.03, so the rest is
// written here. draft-ietf-opsawg-pcapng.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dataplane/capture/tsc_clock.h"
#include "dataplane/tables/binding.h"
#include "src/net/address.h"

struct rte_mbuf;

namespace portcullis {

// 4.3: what an enhanced packet block begins with; the frame follows, then options, then the length again.
struct PacketBlock {
  uint32_t type;
  uint32_t length;  // bytes of the whole block
  uint32_t interface;
  uint32_t time_high, time_low;  // nanoseconds since 1970
  uint32_t captured_length;
  uint32_t original_length;
};
static_assert(sizeof(PacketBlock) == 28);

class Pcapng {
 public:
  struct Interface {
    PortId port = 0;
    std::string name;
    Mac mac;
  };
  // The clock of all its packets is set now.
  explicit Pcapng(std::vector<Interface> interfaces);

  // What a file begins with. `comment`: what it is of.
  [[nodiscard]] std::string header(const std::string& comment) const;
  // The block of a copy, which stays the caller's; none of a port that is no interface here.
  void append(std::string& file, rte_mbuf& copy) const;

 private:
  const std::vector<Interface> interfaces_;
  const TscClock clock_;
};

}  // namespace portcullis
