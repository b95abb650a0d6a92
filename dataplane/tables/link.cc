#include "dataplane/tables/link.h"

#include <rte_hash.h>
#include <rte_jhash.h>
#include <rte_random.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "src/net/checksum.h"

namespace portcullis {
namespace {

constexpr uint8_t ttl = 64;
constexpr uint32_t least_hash_entries = 8;  // rte_hash has buckets of eight
constexpr Be16 dont_fragment = Be16::from_host(0x4000);

// Writes headers one behind the other.
class LinkWriter {
 public:
  explicit LinkWriter(LinkRecord& record) : record_(record) {}
  template <typename Header>
  void write(const Header& header) {
    std::memcpy(record_.header.data() + record_.header_length, &header, sizeof header);
    record_.header_length = static_cast<uint8_t>(record_.header_length + sizeof header);
  }

 private:
  LinkRecord& record_;
};

void write_tags(LinkRecord& record, const VlanTags& tags) {
  LinkWriter writer(record);
  const auto tag = [](Be16 type, uint16_t identifier) {
    return VlanTag{.type = type, .control = Be16::from_host(identifier)};
  };
  if (tags.inner == 0) return writer.write(tag(ether_type::vlan, tags.outer));
  writer.write(tag(ether_type::service_vlan, tags.outer));
  writer.write(tag(ether_type::vlan, tags.inner));
}

void write_tunnel(LinkRecord& record, const PortInfo& port, const Tunnel& tunnel) {
  LinkWriter writer(record);
  const bool is_vxlan = tunnel.protocol == TunnelProtocol::vxlan;
  writer.write(EthernetHeader{.destination = {},
                              .source = port.mac,
                              .ether_type = tunnel.remote.is_v4() ? ether_type::ipv4 : ether_type::ipv6});
  if (tunnel.remote.is_v4()) {
    Ipv4Header ip{.version_ihl = 0x45,
                  .dscp_ecn = 0,
                  .total_length = {},
                  .identification = {},
                  .flags_fragment_offset = dont_fragment,
                  .ttl = ttl,
                  .protocol = ip_protocol::udp,
                  .checksum = {},
                  .source = port.tunnel.ipv4,
                  .destination = tunnel.remote.v4()};
    // Of the header as it is; length and ECN come in as differences.
    ip.checksum = Be16::from_wire(
        static_cast<uint16_t>(~internet_sum({reinterpret_cast<const uint8_t*>(&ip), sizeof ip})));
    writer.write(ip);
  } else {
    writer.write(Ipv6Header{.version_class_label = Be32::from_host(6u << 28),
                            .payload_length = {},
                            .next_header = ip_protocol::udp,
                            .hop_limit = ttl,
                            .source = port.tunnel.ipv6,
                            .destination = tunnel.remote.v6()});
  }
  writer.write(UdpHeader{.source_port = {},
                         .destination_port = is_vxlan ? udp_port::vxlan : udp_port::geneve,
                         .length = {},
                         .checksum = {}});
  const Be32 vni = Be32::from_host(tunnel.vni << 8);
  if (is_vxlan)
    writer.write(VxlanHeader{.flags = Be32::from_host(VxlanHeader::vni_is_valid), .vni = vni});
  else
    writer.write(GeneveHeader{.version_length = 0, .flags = 0, .protocol = ether_type::ethernet, .vni = vni});
}

}  // namespace

LinkKey LinkKey::of(PortId port, const Encapsulation& encapsulation) {
  if (const auto* tags = std::get_if<VlanTags>(&encapsulation)) return vlan(port, tags->outer, tags->inner);
  const auto& to = std::get<Tunnel>(encapsulation);
  const LinkKind kind = to.protocol == TunnelProtocol::vxlan ? LinkKind::vxlan : LinkKind::geneve;
  return to.remote.is_v4() ? tunnel(port, kind, to.remote.v4(), to.vni)
                           : tunnel(port, kind, to.remote.v6(), to.vni);
}

LinkRecord make_link(PortId port, const PortInfo& info, const Encapsulation& encapsulation,
                     NeighborId neighbor) {
  LinkRecord record;
  record.port = port;
  record.mtu = info.mtu;
  if (const auto* tags = std::get_if<VlanTags>(&encapsulation)) {
    write_tags(record, *tags);
    // One customer tag counts for no MTU (IEEE 802.3, 3.2.7). Of a service tag few links know (Linux' packet
    // sockets do not), so frames with two are no longer than untagged ones.
    if (tags->inner != 0) record.mtu = static_cast<uint16_t>(info.mtu - record.header_length);
    return record;
  }
  const auto& tunnel = std::get<Tunnel>(encapsulation);
  record.kind = tunnel.protocol == TunnelProtocol::vxlan ? LinkKind::vxlan : LinkKind::geneve;
  record.family = tunnel.remote.family();
  record.udp_checksum = tunnel.remote.is_v6() && !info.tunnel.zero_udp_checksum;
  record.neighbor = neighbor;
  write_tunnel(record, info, tunnel);
  // The outer Ethernet header counts for no MTU, the inner one does.
  record.mtu = static_cast<uint16_t>(info.mtu - record.header_length);
  return record;
}

Expected<LinkTable> LinkTable::create(uint32_t capacity, int numa_node) {
  static std::atomic<uint32_t> ever{0};
  LinkTable table;
  auto on_port = TableArray<std::atomic<uint32_t>>::create("links of ports", max_ports, numa_node);
  if (!on_port) return tl::unexpected(on_port.error());
  table.on_port_ = std::move(*on_port);
  auto records = TableArray<LinkRecord>::create("links", capacity, numa_node);
  if (!records) return tl::unexpected(records.error());
  table.records_ = std::move(*records);
  auto positions = TableArray<int32_t>::create("positions of links", capacity, numa_node);
  if (!positions) return tl::unexpected(positions.error());
  table.positions_ = std::move(*positions);
  table.free_ = IndexPool(0, capacity);
  const std::string name = "links" + std::to_string(ever.fetch_add(1));
  const rte_hash_parameters parameters{
      .name = name.c_str(),
      .entries = std::max(capacity, least_hash_entries),
      .reserved = 0,
      .key_len = sizeof(LinkKey),
      .hash_func = rte_jhash,
      .hash_func_init_val = static_cast<uint32_t>(rte_rand()),
      .socket_id = numa_node,
      .extra_flag = RTE_HASH_EXTRA_FLAGS_RW_CONCURRENCY_LF | RTE_HASH_EXTRA_FLAGS_EXT_TABLE};
  table.hash_.reset(rte_hash_create(&parameters));
  if (!table.hash_)
    return fail(ErrorCode::resource_exhausted,
                "no memory to find links by; raise eal.memory_mb or lower capacity.links");
  return table;
}

void LinkTable::FreeHash::operator()(rte_hash* hash) const {
  rte_hash_free(hash);
}

std::optional<LinkId> LinkTable::find(const LinkKey& key) const {
  void* link = nullptr;
  if (rte_hash_lookup_data(hash_.get(), &key, &link) < 0) return std::nullopt;
  return static_cast<LinkId>(reinterpret_cast<uintptr_t>(link));
}

Expected<LinkId> LinkTable::set(const LinkKey& key, const LinkRecord& record) {
  uint32_t index = 0;
  if (!free_.take(index))
    return fail(ErrorCode::resource_exhausted, "every link is taken; raise capacity.links");
  const auto link = static_cast<LinkId>(max_ports + index);
  records_[index] = record;
  if (rte_hash_add_key_data(hash_.get(), &key, reinterpret_cast<void*>(uintptr_t{link})) != 0) {
    free_.give(index);
    return fail(ErrorCode::resource_exhausted, "no room to find a further link by; raise capacity.links");
  }
  on_port_[key.port].fetch_add(1, std::memory_order_release);
  return link;
}

void LinkTable::erase(const LinkKey& key) {
  const std::optional<LinkId> link = find(key);
  if (!link) return;
  positions_[*link - max_ports] = rte_hash_del_key(hash_.get(), &key);
  on_port_[key.port].fetch_sub(1, std::memory_order_release);
}

void LinkTable::free(LinkId link) {
  const uint32_t index = link - max_ports;
  rte_hash_free_key_with_position(hash_.get(), positions_[index]);
  free_.give(index);
}

}  // namespace portcullis
