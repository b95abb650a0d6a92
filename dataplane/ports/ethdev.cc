#include "dataplane/ports/ethdev.h"

#include <rte_bus.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <vector>

#include "dataplane/ports/receive_scaling.h"

namespace portcullis {
namespace {

// Ethernet header and two VLAN tags: what a driver may deliver around L3.
constexpr uint32_t frame_overhead = 14 + 2 * 4;

uint16_t buffer_room(uint16_t mtu) {
  const uint32_t frame = RTE_PKTMBUF_HEADROOM + uint32_t{mtu} + frame_overhead;
  const uint32_t room = std::max<uint32_t>(frame, RTE_MBUF_DEFAULT_BUF_SIZE);
  return static_cast<uint16_t>((room + 63) / 64 * 64);
}

}  // namespace

Unexpected EthPort::failure(const std::string& what, int error) const {
  return fail(ErrorCode::failed_precondition,
              "device " + device_ + ": " + what + ": " + rte_strerror(error < 0 ? -error : error));
}

Expected<EthPort> EthPort::probe(const std::string& device) {
  // A PCI device on EAL's list was probed with it.
  if (const int error = rte_dev_probe(device.c_str()); error != 0 && error != -EEXIST)
    return fail(ErrorCode::failed_precondition,
                "device " + device + " cannot be opened" +
                    (error == -1 ? std::string() : std::string(": ") + rte_strerror(-error)) +
                    "; check its address and parameters, and that a driver that DPDK knows is bound to it");
  rte_dev_iterator iterator;
  PortId id;
  PortId found = none;
  RTE_ETH_FOREACH_MATCHING_DEV(id, device.c_str(), &iterator) {
    found = id;
    rte_eth_iterator_cleanup(&iterator);
    break;
  }
  if (found == none)
    return fail(ErrorCode::failed_precondition, "device " + device + " has no Ethernet port");
  return EthPort(device, found);
}

EthPort::~EthPort() {
  if (id_ == none) return;
  (void)rte_eth_dev_stop(id_);
  (void)rte_eth_dev_close(id_);
}

int EthPort::numa_node() const {
  return rte_eth_dev_socket_id(id_);
}

Mac EthPort::mac() const {
  rte_ether_addr address{};
  Mac mac;
  if (rte_eth_macaddr_get(id_, &address) == 0)
    std::memcpy(mac.bytes.data(), address.addr_bytes, sizeof mac.bytes);
  return mac;
}

uint16_t EthPort::mtu() const {
  uint16_t mtu = RTE_ETHER_MTU;
  (void)rte_eth_dev_get_mtu(id_, &mtu);
  // A driver over a kernel interface does not ask it.
  if (const auto index = interface_index()) {
    ifreq request{};
    const int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (if_indextoname(*index, request.ifr_name) != nullptr && ioctl(control, SIOCGIFMTU, &request) == 0)
      mtu = static_cast<uint16_t>(std::min<int>(mtu, request.ifr_mtu));
    close(control);
  }
  return mtu;
}

std::optional<unsigned> EthPort::interface_index() const {
  rte_eth_dev_info info{};
  if (rte_eth_dev_info_get(id_, &info) != 0 || info.if_index == 0) return std::nullopt;
  return info.if_index;
}

Expected<void> EthPort::configure(const EthPortConfig& config, rte_mempool* pool) {
  rte_eth_dev_info info{};
  if (const int error = rte_eth_dev_info_get(id_, &info); error != 0)
    return failure("does not say what it can do", error);
  receive_queues_ = std::min(config.queues, info.max_rx_queues);
  // Its sockets take part in the kernel's spreading from when they are opened, read or not.
  if (std::string_view(info.driver_name) == "net_af_packet" && info.max_rx_queues > receive_queues_)
    return fail(ErrorCode::failed_precondition,
                "device " + device_ + ": has " + std::to_string(info.max_rx_queues) +
                    " queues (qpairs), but " + std::to_string(receive_queues_) +
                    " would be read and the frames in the others lost; set ports.queues to as many");
  transmit_queues_ = std::min(config.queues, info.max_tx_queues);
  rte_eth_conf conf{};
  conf.rxmode.mtu = config.mtu != 0 ? config.mtu : mtu();
  ReceiveScaling scaling;
  if (receive_queues_ > 1) scaling = ReceiveScaling::of(info, config.remote_is_source, config.has_tunnels);
  if (scaling.fields != 0) {
    conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
    conf.rx_adv_conf.rss_conf.rss_hf = scaling.fields;
    if (!scaling.key.empty()) conf.rx_adv_conf.rss_conf.rss_key = scaling.key.data();
    conf.rx_adv_conf.rss_conf.rss_key_len = static_cast<uint8_t>(scaling.key.size());
    spreads_by_remote_ = scaling.is_by_remote;
  }
  if (const int error = rte_eth_dev_configure(id_, receive_queues_, transmit_queues_, &conf); error != 0)
    return failure("refuses " + std::to_string(receive_queues_) + " receive and " +
                       std::to_string(transmit_queues_) + " transmit queues at an MTU of " +
                       std::to_string(conf.rxmode.mtu),
                   error);
  // Drivers without a medium of their own cannot set it, and need not.
  if (const int error = config.mtu != 0 ? rte_eth_dev_set_mtu(id_, config.mtu) : 0;
      error != 0 && error != -ENOTSUP)
    return failure("refuses an MTU of " + std::to_string(config.mtu), error);
  return set_up_queues(config, pool);
}

Expected<void> EthPort::set_up_queues(const EthPortConfig& config, rte_mempool* pool) {
  uint16_t rx = config.rx_descriptors;
  uint16_t tx = config.tx_descriptors;
  if (const int error = rte_eth_dev_adjust_nb_rx_tx_desc(id_, &rx, &tx); error != 0)
    return failure("refuses its queues' sizes", error);
  const auto socket = static_cast<unsigned>(numa_node());
  for (uint16_t queue = 0; queue < receive_queues_; ++queue)
    if (const int error = rte_eth_rx_queue_setup(id_, queue, rx, socket, nullptr, pool); error != 0)
      return failure("refuses a receive queue of " + std::to_string(rx), error);
  for (uint16_t queue = 0; queue < transmit_queues_; ++queue)
    if (const int error = rte_eth_tx_queue_setup(id_, queue, tx, socket, nullptr); error != 0)
      return failure("refuses a transmit queue of " + std::to_string(tx), error);
  return {};
}

Expected<void> EthPort::set_redirection() const {
  rte_eth_dev_info info{};
  if (const int error = rte_eth_dev_info_get(id_, &info); error != 0 || info.reta_size == 0) return {};
  std::vector<rte_eth_rss_reta_entry64> table = redirection_of(info.reta_size, receive_queues_);
  const int error = rte_eth_dev_rss_reta_update(id_, table.data(), info.reta_size);
  if (error != 0 && error != -ENOTSUP) return failure("refuses its redirection table", error);
  return {};
}

Expected<void> EthPort::start() {
  if (const int error = rte_eth_dev_start(id_); error != 0) return failure("does not start", error);
  return spreads_by_remote_ ? set_redirection() : Expected<void>();
}

bool link_is_up(PortId port) {
  rte_eth_link link{};
  return rte_eth_link_get_nowait(port, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
}

uint64_t missed_frames(PortId port) {
  rte_eth_stats stats{};
  return rte_eth_stats_get(port, &stats) == 0 ? stats.imissed + stats.rx_nombuf : 0;
}

Expected<rte_mempool*> create_packet_pool(const std::string& name, uint32_t buffers, uint16_t mtu,
                                          int numa_node) {
  rte_mempool* pool =
      rte_pktmbuf_pool_create(name.c_str(), buffers, packet_pool_cache, 0, buffer_room(mtu), numa_node);
  if (pool == nullptr)
    return fail(ErrorCode::resource_exhausted, std::to_string(buffers) + " packet buffers of " +
                                                   std::to_string(buffer_room(mtu)) + " bytes do not fit (" +
                                                   rte_strerror(rte_errno) +
                                                   "); raise eal.memory_mb or lower capacity.packet_buffers");
  return pool;
}

size_t packet_pool_bytes(uint32_t buffers, uint16_t mtu) {
  const auto element = static_cast<uint32_t>(sizeof(rte_mbuf)) + buffer_room(mtu);
  return size_t{buffers} * rte_mempool_calc_obj_size(element, 0, nullptr);
}

}  // namespace portcullis
