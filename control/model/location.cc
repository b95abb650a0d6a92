// What may be said of where a vm is: its port, its MAC, and how its frames are told apart.
#include <algorithm>

#include "control/model/martian.h"
#include "control/model/model.h"
#include "control/model/names.h"

namespace portcullis::model {
namespace {

constexpr uint16_t first_vlan = 1, last_vlan = 4094;  // IEEE 802.1Q, 9.6
constexpr uint32_t last_vni = (1u << 24) - 1;

Expected<void> check_vlan(const VlanTags& tags, const std::string& field, const std::string& name) {
  const auto refuse = [&](uint16_t identifier, const char* tag) {
    return fail(ErrorCode::invalid_argument,
                "VLAN identifier " + std::to_string(identifier) + " is none; give one of 1 to 4094",
                field + ".vlan." + tag, name);
  };
  if (tags.outer == 0 && tags.inner != 0)
    return fail(
        ErrorCode::invalid_argument,
        "an inner VLAN " + std::to_string(tags.inner) + " needs an outer one; give both, or the outer alone",
        field + ".vlan.outer", name);
  if (tags.outer < first_vlan || tags.outer > last_vlan) return refuse(tags.outer, "outer");
  if (tags.inner > last_vlan) return refuse(tags.inner, "inner");
  return {};
}

std::string tunnel_field(const std::string& location_field, TunnelProtocol protocol) {
  return location_field + (protocol == TunnelProtocol::vxlan ? ".vxlan" : ".geneve");
}

Expected<void> check_tunnel(const Tunnel& tunnel, const std::string& port, const EndpointPort& facts,
                            const std::string& location_field, const std::string& name) {
  const std::string field = tunnel_field(location_field, tunnel.protocol);
  const std::string remote = tunnel.remote.to_string();
  if (tunnel.vni > last_vni)
    return fail(ErrorCode::invalid_argument,
                "VNI " + std::to_string(tunnel.vni) + " has more than 24 bits; give at most 16777215",
                field + ".vni", name);
  const std::optional<TunnelEnd>& end = facts.end(tunnel.remote.family());
  const std::string family = tunnel.remote.is_v4() ? "IPv4" : "IPv6";
  if (!end)
    return fail(
        ErrorCode::failed_precondition,
        "port " + port + " has no " + family +
            " tunnel address; give it one in the configuration (tunnel.addresses), or name another port",
        location_field + ".port", name);
  if (!is_station(tunnel.remote, end->link))
    return fail(ErrorCode::invalid_argument,
                remote + " is no other end of a tunnel; give the unicast address of the vm's host",
                field + ".remote", name);
  if (!end->link.contains(tunnel.remote) && !end->has_next_hop)
    return fail(ErrorCode::failed_precondition,
                remote + " is not on the link " + end->link.to_string() + " of port " + port +
                    ", which has no next hop for tunnels (tunnel.next_hop" +
                    (tunnel.remote.is_v4() ? "" : "6") + "); configure one, or give a remote on the link",
                field + ".remote", name);
  return {};
}

}  // namespace

// Packets to a remote leave by its port, those to a pool's address are judged: no address is both.
Expected<void> Model::check_remote(const Tunnel& tunnel, const std::string& location_field,
                                   const std::string& name) const {
  const std::string field = tunnel_field(location_field, tunnel.protocol) + ".remote";
  const std::string remote = tunnel.remote.to_string();
  const auto own = std::ranges::find_if(ports_, [&](const auto& port) {
    const auto& end = port.second.end(tunnel.remote.family());
    return end && end->address == tunnel.remote;
  });
  if (own != ports_.end())
    return fail(ErrorCode::invalid_argument,
                remote + " is the gateway's own tunnel address on port " + own->first +
                    "; give the address of the tunnel's other end",
                field, name);
  if (own_.contains(tunnel.remote))
    return fail(ErrorCode::invalid_argument,
                remote + " is the gateway's own address; give the address of the tunnel's other end", field,
                name);
  if (const std::string* pool = usage_.pool_of(tunnel.remote))
    return fail(ErrorCode::failed_precondition,
                remote + " lies in " + pool_name(*pool) +
                    ", whose addresses are EIPs; give the address that the vm's host has in the underlay",
                field, name);
  return {};
}

Expected<void> Model::check_location(const Location& location, const Location* left, const std::string& field,
                                     const std::string& name) const {
  if (location.mac.is_zero() || location.mac.is_multicast())
    return fail(ErrorCode::invalid_argument,
                "MAC " + location.mac.to_string() + " is not that of one interface; give a unicast address",
                field + ".mac", name);
  const auto port = ports_.find(location.port);
  if (port == ports_.end())
    return fail(ErrorCode::invalid_argument,
                "there is no endpoint port '" + location.port +
                    "'; name one of the configuration (portctl show ports)",
                field + ".port", name);
  if (const auto* tags = std::get_if<VlanTags>(&location.encapsulation)) {
    if (auto check = check_vlan(*tags, field, name); !check) return check;
  } else if (const auto* tunnel = std::get_if<Tunnel>(&location.encapsulation)) {
    if (auto check = check_tunnel(*tunnel, location.port, port->second, field, name); !check) return check;
    if (auto check = check_remote(*tunnel, field, name); !check) return check;
  } else if (port->second.has_tunnels()) {
    return fail(ErrorCode::failed_precondition,
                "port " + location.port +
                    " carries tunnels, so what is untagged on it is the underlay's; give a VLAN or a tunnel",
                field, name);
  }
  if (usage_.links_with(location, left) > limits_.links)
    return fail(ErrorCode::resource_exhausted,
                "all " + std::to_string(limits_.links) +
                    " VLANs and tunnels are in use; use one that is, or raise capacity.links",
                field, name);
  if (usage_.tunnel_remotes_with(location, left) > limits_.tunnel_remotes)
    return fail(ErrorCode::resource_exhausted,
                "all " + std::to_string(limits_.tunnel_remotes) +
                    " remotes of tunnels are in use; use one that is, or raise capacity.tunnel_remotes",
                field, name);
  return {};
}

}  // namespace portcullis::model
