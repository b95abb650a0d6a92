#include "config/loader.h"

#include <algorithm>
#include <bit>
#include <map>
#include <regex>

#include "config/between.h"
#include "config/certificate.h"
#include "config/config.pb.h"
#include "config/forms.h"
#include "config/text.h"
#include "control/model/martian.h"
#include "control/model/model.h"
#include "control/model/names.h"
#include "control/service/convert.h"
#include "dataplane/tables/error_rate.h"
#include "dataplane/tables/fragment.h"
#include "dataplane/tables/port.h"

namespace portcullis::config {
namespace {

constexpr uint32_t min_mtu = 576;  // RFC 791: what every host must take
constexpr uint32_t max_mtu = 9216;
constexpr uint32_t max_idle_seconds = 30 * 24 * 3600;
constexpr size_t max_gateway_addresses = 16;
constexpr size_t max_interface_name = 15;  // IFNAMSIZ less its zero
constexpr size_t max_socket_path = 107;    // sun_path less its zero
constexpr uint32_t most_links = 65'000;    // their numbers have 16 bits, and some are ports or wait for grace

std::string list_of(const std::vector<uint32_t>& cores) {
  std::string list;
  for (const uint32_t core : cores) list += (list.empty() ? "" : ", ") + std::to_string(core);
  return list;
}

// Checks a Config field by field and builds the Settings of it; what is wrong goes to the text's mistakes.
class Checker {
 public:
  Checker(Text& text, const Machine& machine) : text_(text), machine_(machine) {}

  Settings check(const Config& config) {
    eal(config.eal());
    workers(config.workers());
    gateway(config.gateway());
    ports(config);
    pools(config);
    capacity(config.capacity());
    flows(config.flows());
    api(config);
    check_between_parts(config, settings_, text_);
    return std::move(settings_);
  }

 private:
  // `value`, or `otherwise` when it is 0; a mistake unless it is in first..last.
  uint32_t number(const std::string& path, uint32_t value, uint32_t otherwise, uint32_t first,
                  uint32_t last) {
    if (value == 0) return otherwise;
    if (value < first || value > last)
      text_.mistake(path, "is " + std::to_string(value) + ", expected " + std::to_string(first) + ".." +
                              std::to_string(last) + ", or 0 for " + std::to_string(otherwise));
    return value;
  }

  void core(const std::string& path, uint32_t value) {
    if (std::ranges::find(machine_.cores, value) == machine_.cores.end())
      text_.mistake(path, "is " + std::to_string(value) +
                              ", but this process may not run on such a core, expected one of " +
                              list_of(machine_.cores));
  }

  void name(const std::string& path, const std::string& value, std::map<std::string, std::string>& seen) {
    if (!model::is_valid_id(value)) {
      text_.mistake(
          path,
          "is \"" + value + "\", expected 1 to 63 of a-z, 0-9 and -, with a letter or digit first and last");
      return;
    }
    if (const auto [first, is_new] = seen.emplace(value, path); !is_new)
      text_.mistake(path, "\"" + value + "\" is taken by " + first->second + ", expected another name");
  }

  std::optional<Ipv4Addr> host_address(const std::string& path, const std::string& value) {
    const auto address = Ipv4Addr::parse(value);
    if (!address) {
      text_.mistake(path, "is \"" + value + "\", expected an IPv4 address such as 198.51.100.254");
    } else if (is_martian(*address)) {
      text_.mistake(path, "is " + value + ", expected an address that a host can have");
      return std::nullopt;
    }
    return address;
  }

  void eal(const Eal& eal) {
    settings_.eal.no_huge = eal.no_huge();
    settings_.eal.memory_mb = eal.memory_mb();
    if (eal.memory_mb() > 1024 * 1024)
      text_.mistake("eal.memory_mb", "is " + std::to_string(eal.memory_mb()) +
                                         ", expected at most 1048576 (1 TiB), or 0 for what is needed");
    static const std::regex prefix("[A-Za-z0-9][A-Za-z0-9_.-]{0,63}");
    if (!eal.file_prefix().empty()) settings_.eal.file_prefix = eal.file_prefix();
    if (!std::regex_match(settings_.eal.file_prefix, prefix))
      text_.mistake("eal.file_prefix",
                    "is \"" + eal.file_prefix() +
                        "\", expected 1 to 64 letters, digits, '_', '.', '-', with a letter or "
                        "digit first");
    settings_.eal.main_core = eal.main_core();
    core("eal.main_core", eal.main_core());
  }

  void workers(const Workers& workers) {
    Settings::Workers& out = settings_.workers;
    out.cores.assign(workers.cores().begin(), workers.cores().end());
    if (out.cores.empty() || out.cores.size() > max_workers)
      text_.mistake("workers.cores", "names " + std::to_string(out.cores.size()) +
                                         " worker cores, expected 1.." + std::to_string(max_workers));
    for (int i = 0; i < workers.cores_size(); ++i) {
      const std::string path = element("workers.cores", i);
      core(path, workers.cores(i));
      if (machine_.cores.size() == 1 || workers.idle_polls() != 0) continue;
      const auto of_others = out.cores.begin() + i;
      const bool is_main = workers.cores(i) == settings_.eal.main_core;
      if (is_main || std::find(out.cores.begin(), of_others, workers.cores(i)) != of_others)
        text_.mistake(path,
                      "is " + std::to_string(workers.cores(i)) + ", which " +
                          (is_main ? "is eal.main_core" : "another worker has") +
                          ", expected another core: a worker polls and leaves no time to others, unless "
                          "workers.idle_polls lets it sleep");
    }
    out.idle_polls = workers.idle_polls();
    out.idle_sleep_us =
        number("workers.idle_sleep_us", workers.idle_sleep_us(), out.idle_sleep_us, 1, 10'000);
  }

  void gateway(const Gateway& gateway) {
    Settings::Gateway& out = settings_.gateway;
    if (gateway.addresses_size() > static_cast<int>(max_gateway_addresses))
      text_.mistake(element("gateway.addresses", max_gateway_addresses),
                    "is one too many, expected at most " + std::to_string(max_gateway_addresses));
    for (int i = 0; i < gateway.addresses_size(); ++i) {
      const std::string path = element("gateway.addresses", i);
      const std::string& value = gateway.addresses(i);
      const auto address = interface_address(path, value);
      if (!address) continue;
      if (std::ranges::find(out.addresses, address->address, &InterfaceAddress::address) !=
          out.addresses.end())
        text_.mistake(path, "is " + value + " once more, expected each address once");
      else
        out.addresses.push_back(*address);
    }
    permit(gateway);
    out.icmp_error_rate = number("gateway.icmp_error_rate", gateway.icmp_error_rate(), out.icmp_error_rate, 1,
                                 ErrorRate::highest);
    if (!gateway.tap().empty()) out.tap = gateway.tap();
    static const std::regex interface("[A-Za-z0-9][A-Za-z0-9_.-]*");
    if (out.tap.size() > max_interface_name || !std::regex_match(out.tap, interface))
      text_.mistake("gateway.tap",
                    "is \"" + out.tap +
                        "\", expected an interface name: 1 to 15 letters, digits, '_', '.', '-', with "
                        "a letter or digit first");
  }

  void permit(const Gateway& gateway) {
    constexpr std::string_view alone_path = "rules[0]";
    std::map<std::string, std::string> names;
    for (int i = 0; i < gateway.permit_size(); ++i) {
      const std::string path = element("gateway.permit", i);
      google::protobuf::RepeatedPtrField<v1::PermitRule> alone;
      *alone.Add() = gateway.permit(i);
      auto rules = service::to_model(alone);
      const auto checked = rules ? model::check_rules(*rules, std::nullopt) : tl::unexpected(rules.error());
      if (!checked) {
        text_.mistake(path + checked.error().field.substr(alone_path.size()),
                      "is wrong: " + checked.error().message);
        continue;
      }
      const auto rule = rules->begin();
      name(path + ".name", rule->name, names);
      if (rule->direction != model::Direction::inbound)
        text_.mistake(path + ".direction",
                      "is OUTBOUND, expected INBOUND: what the gateway sends is not judged");
      if (std::holds_alternative<std::vector<std::string>>(rule->remote))
        text_.mistake(path + ".remote",
                      "names tags, expected prefixes or any: the gateway belongs to no tenant");
      if (rule->tracked)
        text_.mistake(path + ".tracked",
                      "is true, expected false: the gateway's own traffic has no flow entries");
      settings_.gateway.permit.push_back(std::move(*rule));
    }
  }

  void ports(const Config& config) {
    std::map<std::string, std::string> names;
    std::map<std::string, std::string> devices;
    std::string uplink;
    bool has_endpoint = false;
    if (config.ports_size() > max_ports)
      text_.mistake(element("ports", max_ports),
                    "is one too many, expected at most " + std::to_string(max_ports) + " ports");
    for (int i = 0; i < config.ports_size(); ++i) {
      const std::string path = element("ports", i);
      const Port& port = config.ports(i);
      Settings::Port out;
      out.name = port.name();
      name(path + ".name", port.name(), names);
      out.device = port.device();
      device(path + ".device", port.device(), devices);
      switch (port.role()) {
        case Port::UPLINK:
          out.role = PortRole::uplink;
          if (!uplink.empty())
            text_.mistake(path + ".role", "is UPLINK, but so is " + uplink + ", expected exactly one uplink");
          uplink = path;
          break;
        case Port::ENDPOINT:
          out.role = PortRole::endpoint;
          has_endpoint = true;
          break;
        default:
          text_.mistake(path + ".role", "is not given, expected UPLINK or ENDPOINT");
          break;
      }
      if (port.mtu() != 0 && (port.mtu() < min_mtu || port.mtu() > max_mtu))
        text_.mistake(path + ".mtu", "is " + std::to_string(port.mtu()) + ", expected " +
                                         std::to_string(min_mtu) + ".." + std::to_string(max_mtu) +
                                         " bytes, or 0 for the device's own");
      out.mtu = static_cast<uint16_t>(port.mtu());
      out.rx_descriptors =
          static_cast<uint16_t>(number(path + ".rx_descriptors", port.rx_descriptors(), 1024, 64, 32768));
      out.tx_descriptors =
          static_cast<uint16_t>(number(path + ".tx_descriptors", port.tx_descriptors(), 1024, 64, 32768));
      // More than workers would be received into and never looked at.
      const auto most_queues = static_cast<uint32_t>(std::max<size_t>(settings_.workers.cores.size(), 1));
      out.queues = static_cast<uint16_t>(number(
          path + ".queues", port.queues(), is_pci_address(out.device) ? most_queues : 1, 1, most_queues));
      out.punt_rate = number(path + ".punt_rate", port.punt_rate(), 1000, 1, 1'000'000);
      if (out.role == PortRole::uplink) uplink_fields(path, port, out);
      if (out.role == PortRole::endpoint) endpoint_fields(path, port, out);
      settings_.ports.push_back(std::move(out));
    }
    if (uplink.empty()) text_.mistake("", "no port has the role UPLINK, expected exactly one");
    if (!has_endpoint) text_.mistake("", "no port has the role ENDPOINT, expected at least one");
  }

  void device(const std::string& path, const std::string& value, std::map<std::string, std::string>& seen) {
    if (!is_pci_address(value) && !is_vdev(value)) {
      text_.mistake(path,
                    "is \"" + value +
                        "\", expected a PCI address (0000:3b:00.0) or a vdev (net_af_packet0,iface=veth0)");
      return;
    }
    if (const auto [first, is_new] = seen.emplace(value.substr(0, value.find(',')), path); !is_new)
      text_.mistake(path, "names the device " + first->first + ", which is taken by " + first->second +
                              ", expected another");
  }

  void uplink_fields(const std::string& path, const Port& port, Settings::Port& out) {
    const NextHop& next_hop = port.next_hop();
    if (next_hop.address().empty() && next_hop.mac().empty())
      text_.mistake(path + ".next_hop",
                    "is not given, expected an address to resolve by ARP, or a fixed mac");
    if (!next_hop.address().empty())
      out.next_hop = host_address(path + ".next_hop.address", next_hop.address());
    if (!next_hop.mac().empty()) out.next_hop_mac = station(path + ".next_hop.mac", next_hop.mac());
    if (!next_hop.address().empty() && next_hop.mac().empty() &&
        settings_.gateway.addresses_of(IpFamily::ipv4).empty())
      text_.mistake(path + ".next_hop.address",
                    "is to be resolved by ARP, but gateway.addresses has no IPv4 address to ask from, "
                    "expected one there, "
                    "or a fixed mac here");
    if (port.has_next_hop6()) next_hop6(path + ".next_hop6", port.next_hop6(), out);
    out.proxy_arp = port.proxy_arp();
    if (!port.endpoint_next_hop().empty())
      text_.mistake(path + ".endpoint_next_hop", "is given, expected it on ENDPOINT ports only");
    if (!port.endpoint_next_hop6().empty())
      text_.mistake(path + ".endpoint_next_hop6", "is given, expected it on ENDPOINT ports only");
    if (port.has_tunnel()) text_.mistake(path + ".tunnel", "is given, expected it on ENDPOINT ports only");
  }

  void next_hop6(const std::string& path, const NextHop& next_hop, Settings::Port& out) {
    if (next_hop.address().empty() && next_hop.mac().empty())
      text_.mistake(path,
                    "says nothing, expected an address to resolve by Neighbor Discovery, or a fixed mac");
    if (!next_hop.address().empty()) out.next_hop6 = router6(path + ".address", next_hop.address());
    if (!next_hop.mac().empty()) out.next_hop6_mac = station(path + ".mac", next_hop.mac());
    if (!next_hop.address().empty() && next_hop.mac().empty() &&
        settings_.gateway.addresses_of(IpFamily::ipv6).empty())
      text_.mistake(
          path + ".address",
          "is to be resolved by Neighbor Discovery, but gateway.addresses has no IPv6 address to ask "
          "from, expected one there, or a fixed mac here");
  }

  // An address on the link: mostly a link-local one.
  std::optional<Ipv6Addr> router6(const std::string& path, const std::string& value) {
    const auto address = Ipv6Addr::parse(value);
    if (address && (address->is_link_local() || !is_martian(*address))) return address;
    text_.mistake(path, "is \"" + value + "\", expected the IPv6 address of one station, fe80::1");
    return std::nullopt;
  }

  std::optional<Mac> station(const std::string& path, const std::string& value) {
    const auto mac = Mac::parse(value);
    if (!mac || mac->is_multicast() || mac->is_zero())
      text_.mistake(path, "is \"" + value + "\", expected the MAC of one station, 02:00:00:00:00:01");
    return mac;
  }

  void endpoint_fields(const std::string& path, const Port& port, Settings::Port& out) {
    if (port.has_next_hop()) text_.mistake(path + ".next_hop", "is given, expected it on the UPLINK only");
    if (port.has_next_hop6()) text_.mistake(path + ".next_hop6", "is given, expected it on the UPLINK only");
    if (!port.endpoint_next_hop6().empty())
      out.endpoint_next_hop6 = router6(path + ".endpoint_next_hop6", port.endpoint_next_hop6());
    if (port.proxy_arp()) text_.mistake(path + ".proxy_arp", "is true, expected it on the UPLINK only");
    if (!port.endpoint_next_hop().empty())
      out.endpoint_next_hop = host_address(path + ".endpoint_next_hop", port.endpoint_next_hop());
    if (port.has_tunnel()) out.tunnel = tunnel_end(path + ".tunnel", port.tunnel());
  }

  Settings::TunnelEnd tunnel_end(const std::string& path, const TunnelEnd& tunnel) {
    Settings::TunnelEnd out;
    if (tunnel.addresses().empty())
      text_.mistake(path + ".addresses", "is not given, expected an address of one family, or of each");
    for (int i = 0; i < tunnel.addresses_size(); ++i) {
      const std::string here = element(path + ".addresses", i);
      const auto address = interface_address(here, tunnel.addresses(i));
      if (!address) continue;
      auto& slot = address->address.is_v4() ? out.ipv4 : out.ipv6;
      if (slot) text_.mistake(here, "is " + tunnel.addresses(i) + ", expected at most one of each family");
      slot = address;
    }
    if (!tunnel.next_hop().empty())
      if (const auto address =
              tunnel_next_hop(path + ".next_hop", tunnel.next_hop(), out.ipv4, IpFamily::ipv4))
        out.next_hop = address->v4();
    if (!tunnel.next_hop6().empty())
      if (const auto address =
              tunnel_next_hop(path + ".next_hop6", tunnel.next_hop6(), out.ipv6, IpFamily::ipv6))
        out.next_hop6 = address->v6();
    out.strip_inner_vlan = tunnel.strip_inner_vlan();
    out.zero_udp_checksum = tunnel.zero_udp_checksum();
    return out;
  }

  // A router on the link of the port's own tunnel address.
  std::optional<IpAddr> tunnel_next_hop(const std::string& path, const std::string& value,
                                        const std::optional<InterfaceAddress>& own, IpFamily family) {
    const auto address = IpAddr::parse(value);
    const char* const example = family == IpFamily::ipv4 ? "192.0.2.254" : "fe80::1";
    if (!address || address->family() != family) {
      text_.mistake(path, "is \"" + value + "\", expected an address such as " + example);
      return std::nullopt;
    }
    if (!own || *address == own->address || !is_station_on(*own, *address)) {
      text_.mistake(
          path, "is " + value + ", expected another station on the link of the tunnel address of its family");
      return std::nullopt;
    }
    return address;
  }

  // "198.51.100.1/24"
  std::optional<InterfaceAddress> interface_address(const std::string& path, const std::string& value) {
    const auto own = interface_address_in(value);
    if (!own) {
      text_.mistake(path, "is \"" + value +
                              "\", expected an address and the length of its prefix, 198.51.100.1/24 or "
                              "2001:db8::1/64");
    } else if (is_martian(own->address)) {
      text_.mistake(path, "is " + value + ", expected an address that a host can have");
      return std::nullopt;
    }
    return own;
  }

  void pools(const Config& config) {
    std::map<std::string, std::string> names;
    for (int i = 0; i < config.pools_size(); ++i) {
      const std::string path = element("pools", i);
      const Pool& pool = config.pools(i);
      name(path + ".name", pool.name(), names);
      const auto prefix = IpPrefix::parse(pool.prefix());
      if (!prefix) {
        text_.mistake(path + ".prefix", "is \"" + pool.prefix() +
                                            "\", expected a prefix without bits beyond its length, "
                                            "203.0.113.0/24 or 2001:db8::/64");
        continue;
      }
      if (model::martian_in(*prefix))
        text_.mistake(path + ".prefix",
                      "is " + prefix->to_string() + ", expected addresses that hosts can have");
      for (size_t other = 0; other < settings_.pools.size(); ++other)
        if (settings_.pools[other].prefix.overlaps(*prefix))
          text_.mistake(path + ".prefix", "is " + prefix->to_string() + ", which overlaps " +
                                              settings_.pools[other].prefix.to_string() + " of pool " +
                                              settings_.pools[other].id + ", expected pools apart");
      settings_.pools.push_back(
          {pool.name(), *prefix, pool.provider() ? model::PoolKind::provider : model::PoolKind::local});
    }
  }

  void capacity(const Capacity& capacity) {
    constexpr uint32_t most = 1 << 24;
    Settings::Capacity& out = settings_.capacity;
    out.eips = number("capacity.eips", capacity.eips(), out.eips, 1, most);
    out.index_pages = number("capacity.index_pages", capacity.index_pages(), out.index_pages, 1, 65536);
    out.permit_chunks =
        number("capacity.permit_chunks", capacity.permit_chunks(), out.permit_chunks, 1, most);
    const auto roomy =
        static_cast<uint32_t>(std::min<uint64_t>(out.rules_per_eip, permit_rules_within(out.permit_chunks)));
    out.rules_per_eip =
        number("capacity.rules_per_eip", capacity.rules_per_eip(), roomy, 1, max_permit_rules);
    out.flows = power_of_two("capacity.flows", capacity.flows(), out.flows, FlowTable::ways, 1 << 28);
    out.fragments =
        power_of_two("capacity.fragments", capacity.fragments(), out.fragments, FragmentTable::ways, 1 << 24);
    out.ipv6_flows =
        power_of_two("capacity.ipv6_flows", capacity.ipv6_flows(), out.flows, FlowTable::ways, 1 << 28);
    out.ipv6_eips = number("capacity.ipv6_eips", capacity.ipv6_eips(), out.eips, 1, out.eips);
    out.flows_per_eip = number("capacity.flows_per_eip", capacity.flows_per_eip(),
                               std::min(out.flows_per_eip, out.flows), 1, out.flows);
    out.tag_sets = number("capacity.tag_sets", capacity.tag_sets(), out.eips, 1, most);
    out.eips_per_tenant = number("capacity.eips_per_tenant", capacity.eips_per_tenant(), out.eips, 1, most);
    out.packet_buffers = capacity.packet_buffers();
    if (out.packet_buffers != 0 && (out.packet_buffers < 1024 || out.packet_buffers > most))
      text_.mistake("capacity.packet_buffers", "is " + std::to_string(out.packet_buffers) +
                                                   ", expected 1024.." + std::to_string(most) +
                                                   ", or 0 for as many as queues and bursts need");
    out.vms = number("capacity.vms", capacity.vms(), out.eips, 1, most);
    out.tenants =
        number("capacity.tenants", capacity.tenants(), std::min(out.eips, out.tenants), 1, out.eips);
    out.links = number("capacity.links", capacity.links(), out.links, 1, most_links);
    out.rules_per_tenant =
        number("capacity.rules_per_tenant", capacity.rules_per_tenant(), out.rules_per_tenant, 1, UINT32_MAX);
    out.flows_per_tenant =
        number("capacity.flows_per_tenant", capacity.flows_per_tenant(), out.flows_per_tenant, 1, UINT32_MAX);
    out.default_rules_per_eip = number("capacity.default_rules_per_eip", capacity.default_rules_per_eip(),
                                       out.rules_per_eip, 1, out.rules_per_eip);
    out.tunnel_remotes =
        number("capacity.tunnel_remotes", capacity.tunnel_remotes(), out.tunnel_remotes, 1, most_links);
  }

  // As number(), one that is in first..last a power of two.
  uint32_t power_of_two(const std::string& path, uint32_t value, uint32_t otherwise, uint32_t first,
                        uint32_t last) {
    if (value >= first && value <= last && !std::has_single_bit(value))
      text_.mistake(path, "is " + std::to_string(value) +
                              ", expected a power of two: " + std::to_string(std::bit_floor(value)) + " or " +
                              std::to_string(std::bit_ceil(value)));
    return number(path, value, otherwise, first, last);
  }

  uint32_t idle_ms(const std::string& path, uint32_t seconds, uint32_t otherwise_ms) {
    return number(path, seconds, otherwise_ms / 1000, 1, max_idle_seconds) * 1000;
  }

  void flows(const Flows& flows) {
    FlowTimeouts& out = settings_.timeouts;
    out.tcp_established_ms =
        idle_ms("flows.tcp_established", flows.tcp_established(), out.tcp_established_ms);
    out.tcp_transitory_ms = idle_ms("flows.tcp_transitory", flows.tcp_transitory(), out.tcp_transitory_ms);
    out.udp_ms = idle_ms("flows.udp", flows.udp(), out.udp_ms);
    out.icmp_ms = idle_ms("flows.icmp", flows.icmp(), out.icmp_ms);
    out.other_ms = idle_ms("flows.other", flows.other(), out.other_ms);
    out.fragment_ms = idle_ms("flows.fragment", flows.fragment(), out.fragment_ms);
    settings_.quarantine_ms =
        idle_ms("flows.quarantine", flows.quarantine(), static_cast<uint32_t>(settings_.quarantine_ms));
  }

  void api(const Config& config) {
    if (!config.store().path().empty()) settings_.store_path = config.store().path();
    absolute_path("store.path", settings_.store_path);
    settings_.compact_after =
        number("store.compact_after", config.store().compact_after(), settings_.compact_after, 1, 10'000'000);
    settings_.compact_after_mb = number("store.compact_after_mb", config.store().compact_after_mb(),
                                        settings_.compact_after_mb, 1, 65'536);

    Settings::Api& out = settings_.api;
    if (!config.api().socket().empty()) out.socket = config.api().socket();
    if (out.socket[0] != '/' || out.socket.size() > max_socket_path)
      text_.mistake("api.socket", "is \"" + out.socket + "\", expected an absolute path of at most " +
                                      std::to_string(max_socket_path) + " bytes");
    out.audit_log = settings_.store_path.substr(0, settings_.store_path.rfind('/') + 1) + "audit.log";
    if (!config.api().audit_log().empty()) {
      out.audit_log = config.api().audit_log();
      absolute_path("api.audit_log", out.audit_log);
    }
    if (config.api().has_tls()) tls(config.api().tls());
    settings_.metrics_listen = config.metrics().listen();
    if (config.has_metrics()) listen_address("metrics.listen", settings_.metrics_listen);
    if (config.has_denied_log())
      settings_.denied_packets_a_second =
          number("denied_log.packets_a_second", config.denied_log().packets_a_second(), 10, 1, 1000);
  }

  void listen_address(const std::string& path, const std::string& value) {
    if (!is_listen_address(value))
      text_.mistake(path, "is \"" + value +
                              "\", expected an address of this machine and a port, 192.0.2.1:8443 or "
                              "[2001:db8::1]:8443");
  }

  void absolute_path(const std::string& path, const std::string& value) {
    if (value[0] != '/') text_.mistake(path, "is \"" + value + "\", expected an absolute path");
  }

  void tls(const Tls& tls) {
    listen_address("api.tls.listen", tls.listen());
    const std::string certificate = file("api.tls.certificate", tls.certificate(), certificate_fault);
    file("api.tls.key", tls.key(), [&](const std::string& pem) { return key_fault(pem, certificate); });
    file("api.tls.client_ca", tls.client_ca(), certificate_fault);
    settings_.api.tls = {tls.listen(), tls.certificate(), tls.key(), tls.client_ca()};
  }

  // What the file that `value` names holds; a mistake unless `fault` finds nothing wrong with it.
  template <typename Fault>
  std::string file(const std::string& path, const std::string& value, Fault&& fault) {
    if (value.empty() || value[0] != '/') {
      text_.mistake(path, "is \"" + value + "\", expected the absolute path of a PEM file");
      return {};
    }
    const std::optional<std::string> held = machine_.read_file(value);
    const std::string wrong = held ? fault(*held) : "cannot be read";
    if (!wrong.empty()) text_.mistake(path, "is \"" + value + "\", which " + wrong);
    return held.value_or("");
  }

  Text& text_;
  const Machine& machine_;
  Settings settings_;
};

}  // namespace

std::string Mistake::to_string() const {
  return file + ":" + std::to_string(line) + ":" + std::to_string(column) + ": " + message;
}

tl::expected<Settings, Mistakes> parse(std::string_view file_name, std::string_view text,
                                       const Machine& machine) {
  Text source(file_name, text);
  Config config;
  // What was not read to its end would only be found incomplete.
  if (!source.read_into(config)) return tl::unexpected(source.take());
  Settings settings = Checker(source, machine).check(config);
  if (Mistakes mistakes = source.take(); !mistakes.empty()) return tl::unexpected(std::move(mistakes));
  return settings;
}

tl::expected<Settings, Mistakes> load(const std::string& path, const Machine& machine) {
  const std::optional<std::string> text = Machine::contents(path);
  if (!text)
    return tl::unexpected(
        Mistakes{{path, 1, 1, "cannot be read, expected a configuration in Protobuf text format"}});
  return parse(path, *text, machine);
}

}  // namespace portcullis::config
