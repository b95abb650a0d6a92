// Links: how frames of endpoints are told apart, and carried, on a port. A number: below max_ports the
// untagged link of that port; from there on a VLAN or a tunnel of this table. What a link adds to a frame is
// taken off before parse and put on after deliver, so no stage between sees it.
//
// Found by rte_hash without locks; keys are the provider's, so nobody can choose ones that collide. One
// writer. A record is written before its key is there to be found, and given to another key only after a
// grace period.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>

#include "dataplane/tables/binding.h"
#include "dataplane/tables/memory.h"
#include "dataplane/tables/neighbor.h"
#include "dataplane/tables/port.h"
#include "src/base/expected.h"
#include "src/net/encapsulation.h"
#include "src/net/headers.h"

struct rte_hash;

namespace portcullis {

enum class LinkKind : uint8_t { vlan, vxlan, geneve };

// What a frame says of its link. As it is hashed: no padding.
struct LinkKey {
  uint64_t remote_high = 0;
  uint64_t remote_low = 0;  // of an IPv4 remote its wire form alone
  uint32_t number = 0;      // VNI; VLAN identifiers, the outer one << 12
  PortId port = 0;
  LinkKind kind = LinkKind::vlan;
  IpFamily family = IpFamily::ipv4;  // of the remote

  static LinkKey vlan(PortId port, uint16_t outer, uint16_t inner) {
    return {.number = uint32_t{outer} << 12 | inner, .port = port};
  }
  static LinkKey tunnel(PortId port, LinkKind kind, Ipv4Addr remote, uint32_t vni) {
    return {.remote_low = remote.wire(), .number = vni, .port = port, .kind = kind};
  }
  static LinkKey tunnel(PortId port, LinkKind kind, const Ipv6Addr& remote, uint32_t vni) {
    return {.remote_high = remote.wire_high(),
            .remote_low = remote.wire_low(),
            .number = vni,
            .port = port,
            .kind = kind,
            .family = IpFamily::ipv6};
  }
  // Not of an untagged one.
  static LinkKey of(PortId port, const Encapsulation& encapsulation);
};
static_assert(sizeof(LinkKey) == 24);

// Bytes of a tag, and what a tunnel adds before the inner frame at most.
inline constexpr uint32_t vlan_tag_bytes = sizeof(VlanTag);
inline constexpr uint32_t longest_tunnel_header =
    sizeof(EthernetHeader) + sizeof(Ipv6Header) + sizeof(UdpHeader) + sizeof(VxlanHeader);

struct alignas(64) LinkRecord {
  PortId port = 0;
  LinkKind kind = LinkKind::vlan;
  IpFamily family = IpFamily::ipv4;  // of the underlay
  uint16_t mtu = 0;                  // L3 bytes of a packet inside
  uint8_t header_length = 0;         // bytes that it adds to a frame
  bool udp_checksum = false;         // computed; else zero (RFC 7348, RFC 6935)
  NeighborId neighbor = 0;           // of a tunnel: its next hop
  // The tags of a VLAN; of a tunnel all that is before the inner frame. What differs from packet to packet is
  // left 0: the next hop's MAC, lengths, checksums, the UDP source port.
  std::array<uint8_t, longest_tunnel_header> header{};
};
static_assert(sizeof(LinkRecord) == 128);

class LinkTable {
 public:
  // `capacity`: VLANs and tunnels of all ports, those that wait for grace among them.
  [[nodiscard]] static Expected<LinkTable> create(uint32_t capacity, int numa_node);

  // --- any thread ---
  // Whether frames of the port may have tags or come by a tunnel.
  [[nodiscard]] bool any_on(PortId port) const { return on_port_[port].load(std::memory_order_acquire) != 0; }
  [[nodiscard]] std::optional<LinkId> find(const LinkKey& key) const;
  [[nodiscard]] const LinkRecord& record(LinkId link) const { return records_[link - max_ports]; }

  // --- control only ---
  // Ports with a tunnel end count as one that has links, before any is there.
  void expect_tunnels_on(PortId port) { on_port_[port].fetch_add(1, std::memory_order_release); }
  // resource_exhausted when every number is taken.
  [[nodiscard]] Expected<LinkId> set(const LinkKey& key, const LinkRecord& record);
  void erase(const LinkKey& key);  // its record stays for those that read it
  void free(LinkId link);          // after grace
  [[nodiscard]] size_t bytes() const { return records_.bytes(); }
  // What create() takes for each link of `capacity`, about.
  static constexpr size_t bytes_each = sizeof(LinkRecord) + 96;

 private:
  struct FreeHash {
    void operator()(rte_hash* hash) const;
  };
  std::unique_ptr<rte_hash, FreeHash> hash_;
  TableArray<LinkRecord> records_;
  TableArray<int32_t> positions_;  // in the hash, of the key of each record
  IndexPool free_;
  TableArray<std::atomic<uint32_t>> on_port_;
};

// The record of an encapsulation on a port, whose tunnel end it lies behind if it is a tunnel.
[[nodiscard]] LinkRecord make_link(PortId port, const PortInfo& info, const Encapsulation& encapsulation,
                                   NeighborId neighbor);

}  // namespace portcullis
