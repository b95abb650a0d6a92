#include "config/between.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <string>
#include <vector>

#include "config/forms.h"
#include "control/model/model.h"
#include "dataplane/tables/permit_room.h"

namespace portcullis::config {
namespace {

// An address of the gateway's, or of a router that it sends to, and where it is said.
struct Said {
  int port;
  std::string path;
  IpAddr address;
};

std::vector<Said> tunnel_addresses(const Config& config) {
  std::vector<Said> found;
  for (int i = 0; i < config.ports_size(); ++i) {
    const TunnelEnd& tunnel = config.ports(i).tunnel();
    for (int k = 0; k < tunnel.addresses_size(); ++k)
      if (const auto own = interface_address_in(tunnel.addresses(k)))
        found.push_back({i, element(element("ports", i) + ".tunnel.addresses", k), own->address});
  }
  return found;
}

std::vector<Said> next_hops(const Config& config) {
  std::vector<Said> found;
  const auto add = [&](int port, const char* field, const std::string& value) {
    if (const auto address = IpAddr::parse(value))
      found.push_back({port, element("ports", port) + field, *address});
  };
  for (int i = 0; i < config.ports_size(); ++i) {
    const Port& port = config.ports(i);
    add(i, ".next_hop.address", port.next_hop().address());
    add(i, ".next_hop6.address", port.next_hop6().address());
    add(i, ".tunnel.next_hop", port.tunnel().next_hop());
    add(i, ".tunnel.next_hop6", port.tunnel().next_hop6());
  }
  return found;
}

void check_next_hops(const Config& config, const Settings& settings, Text& text) {
  for (const Said& next_hop : next_hops(config))
    if (std::ranges::count(settings.gateway.addresses, next_hop.address, &InterfaceAddress::address) != 0)
      text.mistake(next_hop.path, "is " + next_hop.address.to_string() +
                                      ", which is the gateway's own address, expected another router's");
}

void check_tunnel_addresses(const Config& config, Text& text) {
  const std::vector<Said> all = tunnel_addresses(config);
  for (auto said = all.begin(); said != all.end(); ++said) {
    const auto first = std::find_if(all.begin(), said, [&](const Said& other) {
      return other.address == said->address && other.port != said->port;
    });
    if (first != said)
      text.mistake(said->path, "is " + said->address.to_string() + ", which " + first->path +
                                   " is, too, expected an address of this port alone");
  }
}

// What is sent to the underlay's addresses is no endpoint's.
void check_pools(const Config& config, Text& text) {
  std::vector<Said> underlay = tunnel_addresses(config);
  std::ranges::copy_if(next_hops(config), std::back_inserter(underlay),
                       [](const Said& said) { return said.path.find(".tunnel.") != std::string::npos; });
  for (int i = 0; i < config.pools_size(); ++i) {
    const auto prefix = IpPrefix::parse(config.pools(i).prefix());
    if (!prefix) continue;
    for (const Said& said : underlay)
      if (prefix->contains(said.address))
        text.mistake(element("pools", i) + ".prefix", "is " + prefix->to_string() + ", which has " +
                                                          said.address.to_string() + " of " + said.path +
                                                          " in it, expected a pool apart from the underlay");
  }
}

void check_capacity(const Settings& settings, Text& text) {
  std::set<uint32_t> ipv4_pages;
  uint64_t ipv6_pages = 0;
  for (const model::Pool& pool : settings.pools) {
    if (pool.prefix.is_v6()) {
      ipv6_pages += model::ipv6_pages_of(pool);
      continue;
    }
    for (uint32_t page = pool.prefix.v4().first().host() >> 16; page <= pool.prefix.v4().last().host() >> 16;
         ++page)
      ipv4_pages.insert(page);
  }
  const uint64_t pages = ipv4_pages.size() + ipv6_pages;
  if (pages > settings.capacity.index_pages)
    text.mistake("capacity.index_pages", "is " + std::to_string(settings.capacity.index_pages) +
                                             ", but the pools touch " + std::to_string(pages) +
                                             " /16s, expected at least as many");
  const uint64_t chunks = most_permit_chunks(settings.capacity.rules_per_eip);
  if (chunks > settings.capacity.permit_chunks)
    text.mistake("capacity.permit_chunks", "is " + std::to_string(settings.capacity.permit_chunks) +
                                               ", but one list of capacity.rules_per_eip rules takes up to " +
                                               std::to_string(chunks) + ", expected at least as many");
}

}  // namespace

void check_between_parts(const Config& config, const Settings& settings, Text& text) {
  check_next_hops(config, settings, text);
  check_tunnel_addresses(config, text);
  check_pools(config, text);
  check_capacity(settings, text);
}

}  // namespace portcullis::config
