#include "dataplane/ports/punt.h"

#include <poll.h>
#include <pthread.h>
#include <rte_mbuf.h>
#include <rte_rcu_qsbr.h>
#include <rte_ring.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <span>
#include <utility>

#include "src/net/checksum.h"
#include "src/net/cursor.h"
#include "src/net/headers.h"

namespace portcullis {
namespace {

constexpr unsigned batch = 64;
// Rings cannot be polled for: the longest that a punted packet waits, and one that comes after nothing has
// for a while. A thousand turns a second are 4 % of a CPU, which control and gRPC may need.
constexpr int sleep_ms = 1;
constexpr int quiet_sleep_ms = 10;
constexpr uint64_t quiet_after_ms = 2000;
// The largest frame that a TAP of the largest MTU gives.
constexpr size_t max_frame = 14 + 65535;

constexpr Be16 hardware_ethernet = Be16::from_host(1);

std::span<uint8_t> bytes_of(rte_mbuf* packet) {
  return {rte_pktmbuf_mtod(packet, uint8_t*), rte_pktmbuf_data_len(packet)};
}

}  // namespace

Expected<std::unique_ptr<PuntThread>> PuntThread::create(PuntConfig config, Tables& tables,
                                                         rte_rcu_qsbr* rcu) {
  std::unique_ptr<PuntThread> punt(new PuntThread(std::move(config), tables, rcu));
  punt->wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (punt->wake_ < 0)
    return fail(ErrorCode::internal, std::string("punt thread: no eventfd: ") + std::strerror(errno));
  if (punt->config_.tap) {
    auto tap = Tap::create(*punt->config_.tap);
    if (!tap) return Unexpected(tap.error());
    punt->tap_.emplace(std::move(*tap));
  }
  return punt;
}

PuntThread::PuntThread(PuntConfig config, Tables& tables, rte_rcu_qsbr* rcu)
    : config_(std::move(config)), tables_(tables), rcu_(rcu) {
  const PortInfo& uplink = tables.ports.ports[tables.ports.uplink];
  if (uplink.next_hop != Ipv4Addr{}) resolver_.emplace();
  if (uplink.next_hop6 != Ipv6Addr{}) resolver6_.emplace();
  neighbors_.resize(tables.neighbors.capacity());
  rte_rcu_qsbr_thread_register(rcu_, config_.rcu_id);
}

PuntThread::~PuntThread() {
  stop();
  rte_rcu_qsbr_thread_unregister(rcu_, config_.rcu_id);
  if (wake_ >= 0) close(wake_);
}

void PuntThread::start() {
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
  pthread_setname_np(thread_.native_handle(), "punt");
}

void PuntThread::stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  (void)eventfd_write(wake_, 1);
  thread_.join();
}

void PuntThread::run(const std::stop_token& stop) {
  pollfd sources[] = {{wake_, POLLIN, 0}, {tap_ ? tap_->descriptor() : -1, POLLIN, 0}};
  while (!stop.stop_requested()) {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    const auto now_ms =
        static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
    const bool is_busy = turn(now_ms);
    const bool is_quiet = now_ms - last_punted_ms_ > quiet_after_ms;
    (void)poll(sources, std::size(sources), is_busy ? 0 : is_quiet ? quiet_sleep_ms : sleep_ms);
    // Someone removed the device.
    if ((sources[1].revents & POLLERR) != 0) sources[1].fd = -1;
  }
}

bool PuntThread::turn(uint64_t now_ms) {
  const bool more_punted = take_punted(now_ms);
  resolve(now_ms);
  const bool more_from_kernel = take_from_kernel();
  return more_punted || more_from_kernel;
}

// --- from the worker ---

bool PuntThread::take_punted(uint64_t now_ms) {
  rte_mbuf* packets[batch];
  const unsigned taken =
      rte_ring_sc_dequeue_burst(config_.from_worker, reinterpret_cast<void**>(packets), batch, nullptr);
  if (taken != 0) last_punted_ms_ = now_ms;
  for (unsigned n = 0; n < taken; ++n) {
    EthernetHeader ethernet{};
    Cursor cursor(bytes_of(packets[n]));
    (void)cursor.read(ethernet);
    if (ethernet.ether_type == ether_type::arp)
      learn(bytes_of(packets[n]).subspan(cursor.offset()), packets[n]->port, now_ms);
    else if (ethernet.ether_type == ether_type::ipv4 ||
             (ethernet.ether_type == ether_type::ipv6 &&
              !learn_neighbor(bytes_of(packets[n]).subspan(cursor.offset()), packets[n]->port, now_ms)))
      give_kernel(packets[n]);
    else if (ethernet.ether_type != ether_type::ipv6)
      count(PuntOutcome::unknown_ether_type);
    rte_pktmbuf_free(packets[n]);
  }
  return taken == batch;
}

void PuntThread::learn(std::span<const uint8_t> frame, PortId port, uint64_t now_ms) {
  ArpHeader arp;
  const bool is_usable = Cursor(frame).read(arp) && arp.operation == arp_operation::reply &&
                         learn_next_hop({port, arp.sender_address.address()}, arp.sender_mac, now_ms);
  count(is_usable ? PuntOutcome::arp_learned : PuntOutcome::arp_unusable);
}

// False: it is the MAC of nobody that was asked for.
bool PuntThread::learn_next_hop(const NeighborKey& sender, Mac mac, uint64_t now_ms) {
  if (mac.is_multicast() || mac.is_zero()) return false;
  if (sender.port == tables_.ports.uplink) {
    const bool is_v4 = sender.address.is_v4();
    const PortInfo& uplink = tables_.ports.ports[sender.port];
    std::optional<NextHopResolver>& resolver = is_v4 ? resolver_ : resolver6_;
    if (!resolver || sender.address != (is_v4 ? IpAddr(uplink.next_hop) : IpAddr(uplink.next_hop6)))
      return false;
    (is_v4 ? tables_.next_hop : tables_.next_hop6).set(sender.port, mac, now_ms);
    resolver->answered(now_ms);
    return true;
  }
  bool is_known = false;
  rte_rcu_qsbr_thread_online(rcu_, config_.rcu_id);
  tables_.neighbors.for_each([&](NeighborId id, const NeighborKey& key, uint32_t) {
    if (key != sender) return;
    tables_.neighbors.set(id, mac, now_ms);
    neighbors_[id].resolver.answered(now_ms);
    is_known = true;
  });
  rte_rcu_qsbr_thread_offline(rcu_, config_.rcu_id);
  return is_known;
}

bool PuntThread::learn_neighbor(std::span<const uint8_t> packet, PortId port, uint64_t now_ms) {
  Cursor cursor(packet);
  Ipv6Header ip;
  NeighborHeader header;
  if (!cursor.read(ip) || ip.next_header != ip_protocol::icmpv6 || !cursor.read(header) ||
      !is_neighbor_discovery(header.type))
    return false;
  // RFC 4861, 4.6: options; of an unknown kind they are passed over.
  std::optional<Mac> mac;
  for (LinkAddressOption option; cursor.read(option) && option.length != 0;) {
    if (option.type == LinkAddressOption::target) mac = option.mac;
    if (!cursor.skip((option.length - 1u) * sizeof option)) break;
  }
  const bool is_usable = header.type == icmpv6_type::neighbor_advertisement && mac &&
                         learn_next_hop({port, header.target}, *mac, now_ms);
  count(is_usable ? PuntOutcome::neighbor_learned : PuntOutcome::neighbor_unusable);
  return true;
}

void PuntThread::give_kernel(rte_mbuf* packet) {
  // A TAP takes a frame in one piece; buffers are made for whole frames, so that they lie in one.
  const bool is_whole = packet->nb_segs == 1;
  if (is_whole && tap_) std::memcpy(bytes_of(packet).data(), &tap_->config().mac, sizeof(Mac));
  count(is_whole && tap_ && tap_->write(bytes_of(packet)) ? PuntOutcome::kernel_received
                                                          : PuntOutcome::kernel_refused);
}

// --- from the kernel ---

bool PuntThread::take_from_kernel() {
  if (!tap_) return false;
  uint8_t frame[max_frame];
  for (unsigned n = 0; n < batch; ++n) {
    const size_t size = tap_->read(frame);
    if (size == 0) return false;
    send_to_uplink({frame, size});
  }
  return true;
}

void PuntThread::send_to_uplink(std::span<uint8_t> frame) {
  const PortId uplink = tables_.ports.uplink;
  EthernetHeader ethernet;
  Cursor cursor(frame);
  if (!cursor.read(ethernet)) return count(PuntOutcome::not_ip);
  const bool is_ipv6 = ethernet.ether_type == ether_type::ipv6;
  IpAddr destination;
  Ipv4Header ip;
  Ipv6Header ip6;
  if (is_ipv6 && cursor.read(ip6))
    destination = ip6.destination;
  else if (ethernet.ether_type == ether_type::ipv4 && cursor.read(ip))
    destination = ip.destination;
  else
    return count(PuntOutcome::not_ip);
  // What the kernel says of itself on every link.
  if (is_ipv6 && (ip6.destination.is_multicast() || ip6.source.is_link_local() || ip6.source == Ipv6Addr()))
    return count(PuntOutcome::not_ip);
  if (is_in_pool(destination)) return count(PuntOutcome::to_pool);
  if (!(is_ipv6 ? tables_.next_hop6 : tables_.next_hop).find(uplink, ethernet.destination))
    return count(PuntOutcome::next_hop_unresolved);
  ethernet.source = tables_.ports.ports[uplink].mac;
  std::memcpy(frame.data(), &ethernet, sizeof ethernet);
  if (originate(frame, uplink)) count(PuntOutcome::uplink_sent);
}

bool PuntThread::is_in_pool(const IpAddr& address) const {
  rte_rcu_qsbr_thread_online(rcu_, config_.rcu_id);
  const IndexEntry entry = address.is_v4() ? tables_.binding.find(View::local, address.v4())
                                           : tables_.binding.find(View::local, address.v6());
  rte_rcu_qsbr_thread_offline(rcu_, config_.rcu_id);
  return entry.in_any_pool();
}

// --- next hops ---

void PuntThread::resolve(uint64_t now_ms) {
  const PortId port = tables_.ports.uplink;
  const PortInfo& uplink = tables_.ports.ports[port];
  if (resolver_)
    step(
        *resolver_, now_ms, [&] { tables_.next_hop.clear(port); },
        [&] { ask(port, config_.arp_source, uplink.next_hop); });
  if (resolver6_)
    step(
        *resolver6_, now_ms, [&] { tables_.next_hop6.clear(port); },
        [&] { ask(port, config_.neighbor_source, uplink.next_hop6); });
  resolve_neighbors(now_ms);
}

void PuntThread::resolve_neighbors(uint64_t now_ms) {
  rte_rcu_qsbr_thread_online(rcu_, config_.rcu_id);
  tables_.neighbors.for_each([&](NeighborId id, const NeighborKey& key, uint32_t incarnation) {
    NeighborResolver& neighbor = neighbors_[id];
    if (neighbor.incarnation != incarnation) neighbor = {.incarnation = incarnation, .resolver = {}};
    const TunnelEnd& tunnel = tables_.ports.ports[key.port].tunnel;
    step(
        neighbor.resolver, now_ms, [&] { tables_.neighbors.clear(id); },
        [&] {
          if (key.address.is_v4())
            ask(key.port, tunnel.ipv4, key.address.v4());
          else
            ask(key.port, tunnel.ipv6, key.address.v6());
        });
  });
  rte_rcu_qsbr_thread_offline(rcu_, config_.rcu_id);
}

template <typename Forget, typename Ask>
void PuntThread::step(NextHopResolver& resolver, uint64_t now_ms, Forget&& forget, Ask&& ask) {
  switch (resolver.at(now_ms)) {
    case NextHopResolver::Action::nothing:
      return;
    case NextHopResolver::Action::forget_and_ask:
      forget();
      count(PuntOutcome::next_hop_lost);
      [[fallthrough]];
    case NextHopResolver::Action::ask:
      ask();
  }
}

void PuntThread::ask(PortId port, Ipv4Addr source, Ipv4Addr target) {
  struct {
    EthernetHeader ethernet;
    ArpHeader arp;
  } request;
  static_assert(sizeof request == sizeof(EthernetHeader) + sizeof(ArpHeader));
  const Mac own = tables_.ports.ports[port].mac;
  request.ethernet = {broadcast_mac, own, ether_type::arp};
  request.arp = {.hardware_type = hardware_ethernet,
                 .protocol_type = ether_type::ipv4,
                 .hardware_length = sizeof(Mac),
                 .protocol_length = sizeof(Ipv4Addr),
                 .operation = arp_operation::request,
                 .sender_mac = own,
                 .sender_address = UnalignedIpv4::of(source),
                 .target_mac = {},
                 .target_address = UnalignedIpv4::of(target)};
  const auto bytes = std::bit_cast<std::array<uint8_t, sizeof request>>(request);
  if (originate(bytes, port)) count(PuntOutcome::arp_asked);
}

// RFC 4861, 7.2.2. By multicast also when its MAC is known: it may have moved to another.
void PuntThread::ask(PortId port, const Ipv6Addr& source, const Ipv6Addr& target) {
  const Mac own = tables_.ports.ports[port].mac;
  const auto low = static_cast<uint32_t>(target.low());
  const Ipv6Addr solicited_node = Ipv6Addr::of(0xff02000000000000, 0x00000001ff000000 | (low & 0xffffff));
  struct {
    NeighborHeader header;
    LinkAddressOption option;
  } message{.header = {.type = icmpv6_type::neighbor_solicitation,
                       .code = 0,
                       .checksum = {},
                       .flags = {},
                       .target = target},
            .option = {.type = LinkAddressOption::source, .length = 1, .mac = own}};
  static_assert(sizeof message == sizeof(NeighborHeader) + sizeof(LinkAddressOption));
  const Ipv6Header ip{.version_class_label = Be32::from_host(6u << 28),
                      .payload_length = Be16::from_host(sizeof message),
                      .next_header = ip_protocol::icmpv6,
                      .hop_limit = 255,
                      .source = source,
                      .destination = solicited_node};
  message.header.checksum = Be16::from_wire(static_cast<uint16_t>(
      ~icmpv6_sum(ip.source, ip.destination, {reinterpret_cast<const uint8_t*>(&message), sizeof message})));
  const Mac group{{0x33, 0x33, 0xff, static_cast<uint8_t>(low >> 16), static_cast<uint8_t>(low >> 8),
                   static_cast<uint8_t>(low)}};
  const EthernetHeader ethernet{group, own, ether_type::ipv6};
  std::array<uint8_t, sizeof ethernet + sizeof ip + sizeof message> frame;
  std::memcpy(frame.data(), &ethernet, sizeof ethernet);
  std::memcpy(frame.data() + sizeof ethernet, &ip, sizeof ip);
  std::memcpy(frame.data() + sizeof ethernet + sizeof ip, &message, sizeof message);
  if (originate(frame, port)) count(PuntOutcome::neighbor_asked);
}

// --- to the worker ---

bool PuntThread::originate(std::span<const uint8_t> frame, PortId port) {
  rte_mbuf* packet = rte_pktmbuf_alloc(config_.buffers);
  char* room = packet == nullptr ? nullptr : rte_pktmbuf_append(packet, static_cast<uint16_t>(frame.size()));
  if (room == nullptr) {
    rte_pktmbuf_free(packet);
    count(PuntOutcome::no_buffer);
    return false;
  }
  std::memcpy(room, frame.data(), frame.size());
  packet->port = port;
  if (rte_ring_sp_enqueue(config_.to_worker, packet) != 0) {
    rte_pktmbuf_free(packet);
    count(PuntOutcome::ring_full);
    return false;
  }
  return true;
}

}  // namespace portcullis
