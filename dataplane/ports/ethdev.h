// A port: one ethdev, without offloads but receive-side scaling, so that any driver will do. It has one queue
// each way, or several for several workers: then the device spreads what it receives by the remote's address
// (spread.h), if it can; what it spreads otherwise, workers hand over.
// probe -> configure -> start; nothing is received before start. Thread: control only; errors name the
// device.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "dataplane/tables/binding.h"
#include "src/base/expected.h"
#include "src/net/address.h"

struct rte_mempool;

namespace portcullis {

struct EthPortConfig {
  uint16_t mtu = 0;                // L3 bytes; 0: the device's own
  uint16_t rx_descriptors = 1024;  // the nearest that the device allows
  uint16_t tx_descriptors = 1024;
  uint16_t queues = 1;            // each way; fewer, if the device has no more
  bool remote_is_source = false;  // of what the port receives: an uplink's
  bool has_tunnels = false;       // whose outer headers have no remote of a flow in them
};

class EthPort {
 public:
  // `device`: a PCI address or a vdev string, as in config.proto.
  [[nodiscard]] static Expected<EthPort> probe(const std::string& device);
  EthPort(EthPort&& other) noexcept
      : device_(std::move(other.device_)),
        id_(std::exchange(other.id_, none)),
        receive_queues_(other.receive_queues_),
        transmit_queues_(other.transmit_queues_),
        spreads_by_remote_(other.spreads_by_remote_) {}
  EthPort& operator=(EthPort&&) = delete;
  ~EthPort();  // stops and closes it

  [[nodiscard]] PortId id() const { return id_; }
  [[nodiscard]] const std::string& device() const { return device_; }
  [[nodiscard]] int numa_node() const;  // -1 when the device has none
  [[nodiscard]] Mac mac() const;
  [[nodiscard]] uint16_t mtu() const;  // in force; the device's own before configure
  // The network interface beneath a virtual port (af_packet, af_xdp), if any.
  [[nodiscard]] std::optional<unsigned> interface_index() const;

  // `pool`: on numa_node(), with room for a whole frame of the MTU in each buffer.
  [[nodiscard]] Expected<void> configure(const EthPortConfig& config, rte_mempool* pool);
  [[nodiscard]] Expected<void> start();
  // As configured.
  [[nodiscard]] uint16_t receive_queues() const { return receive_queues_; }
  [[nodiscard]] uint16_t transmit_queues() const { return transmit_queues_; }
  // Whether the device was told to spread what it receives by the remote's address alone.
  [[nodiscard]] bool spreads_by_remote() const { return spreads_by_remote_; }

 private:
  static constexpr PortId none = UINT16_MAX;
  EthPort(std::string device, PortId id) : device_(std::move(device)), id_(id) {}
  [[nodiscard]] Unexpected failure(const std::string& what, int error) const;
  [[nodiscard]] Expected<void> set_up_queues(const EthPortConfig& config, rte_mempool* pool);
  [[nodiscard]] Expected<void> set_redirection() const;
  std::string device_;
  PortId id_ = none;
  uint16_t receive_queues_ = 1;
  uint16_t transmit_queues_ = 1;
  bool spreads_by_remote_ = false;
};

// Of any configured port. Thread: any.
[[nodiscard]] bool link_is_up(PortId port);
// Frames that the driver lost before a worker saw them.
[[nodiscard]] uint64_t missed_frames(PortId port);

// Buffers that stay behind in a pool's per-thread cache.
inline constexpr uint32_t packet_pool_cache = 256;
// Packet buffers on `numa_node` (-1: any), each with room for a frame of `mtu` L3 bytes.
[[nodiscard]] Expected<rte_mempool*> create_packet_pool(const std::string& name, uint32_t buffers,
                                                        uint16_t mtu, int numa_node);
// Bytes that such a pool takes.
[[nodiscard]] size_t packet_pool_bytes(uint32_t buffers, uint16_t mtu);

}  // namespace portcullis
