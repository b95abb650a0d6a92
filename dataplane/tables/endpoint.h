// Endpoints by where their packets come from: (port, DIP) -> slot of the binding record. rte_hash with
// lock-free readers; a key's value is replaced in place when the record moves to another slot.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "dataplane/tables/binding.h"
#include "src/base/expected.h"

struct rte_hash;

namespace portcullis {

struct EndpointKey {
  Ipv4Addr dip;
  PortId port = 0;
  uint16_t zero = 0;  // a VLAN or tunnel number will join the key
};
static_assert(sizeof(EndpointKey) == 8);

class EndpointTable {
 public:
  [[nodiscard]] static Expected<EndpointTable> create(uint32_t capacity, int numa_node);
  // Any thread. `keys` at most 64; slots[i] is 0 when keys[i] is unknown.
  void find(const EndpointKey* const* keys, uint32_t count, Slot* slots) const;
  // Control only.
  [[nodiscard]] bool set(EndpointKey key, Slot slot);
  void erase(EndpointKey key);  // readers may still find it until a grace period has passed
  void release_erased();        // after grace: room of erased keys may be used again
  [[nodiscard]] uint32_t capacity() const { return capacity_; }

 private:
  struct Free {
    void operator()(rte_hash* hash) const;
  };
  std::unique_ptr<rte_hash, Free> hash_;
  std::vector<int32_t> erased_;
  uint32_t capacity_ = 0;
};

}  // namespace portcullis
