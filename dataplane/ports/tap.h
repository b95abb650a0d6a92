// A TAP device: where the gateway's own addresses live, so that ping, a BGP daemon or probes are ordinary
// Linux programs. What the kernel sends from these addresses leaves by the TAP, whatever the host's other
// routes are; no other traffic of the host does. The device, its addresses, routes and rules go with the
// object.
//
// The device does no ARP and no Neighbor Discovery: it has one neighbour, this process, and the kernel
// addresses all frames to the device's own MAC.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "src/base/expected.h"
#include "src/net/address.h"
#include "src/net/interface_address.h"

namespace portcullis {

struct TapConfig {
  std::string name;  // 1 to 15 characters
  Mac mac;
  uint16_t mtu = 1500;
  std::vector<InterfaceAddress> addresses;
};

class Tap {
 public:
  [[nodiscard]] static Expected<Tap> create(const TapConfig& config);
  Tap(Tap&& other) noexcept
      : descriptor_(std::exchange(other.descriptor_, -1)),
        config_(std::move(other.config_)),
        table_(other.table_) {}
  Tap& operator=(Tap&&) = delete;
  ~Tap();

  // Readable when the kernel has sent a frame; reads do not block.
  [[nodiscard]] int descriptor() const { return descriptor_; }
  [[nodiscard]] const TapConfig& config() const { return config_; }
  // Gives the kernel one whole frame; false if it does not take it.
  [[nodiscard]] bool write(std::span<const uint8_t> frame);
  // Takes the next frame of the kernel: its length, or 0 when there is none.
  [[nodiscard]] size_t read(std::span<uint8_t> frame);

 private:
  Tap(int descriptor, TapConfig config) : descriptor_(descriptor), config_(std::move(config)) {}
  [[nodiscard]] Expected<void> set_up();
  [[nodiscard]] Expected<void> add(const InterfaceAddress& address, unsigned index);
  [[nodiscard]] Expected<void> route_all(IpFamily family, unsigned index);
  [[nodiscard]] Expected<void> route(const IpAddr& from);
  void drop_rules(const IpAddr& from);
  [[nodiscard]] Unexpected failure(const std::string& what, int error) const;

  int descriptor_ = -1;
  TapConfig config_;
  uint32_t table_ = 0;  // of the routes for what its addresses send
};

}  // namespace portcullis
