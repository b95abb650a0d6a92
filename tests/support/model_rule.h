// A rule as a tenant gives it, of what the data plane compares: for those who write the latter down.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "control/model/permit_rule.h"
#include "dataplane/tables/permit_rule.h"
#include "src/net/headers.h"

namespace portcullis {

// `remote`: of an IPv6 list; the default is what `rule` says. No rule that names a tag.
inline model::PermitRule model_rule(std::string name, const PermitRule& rule,
                                    IpPrefix remote = Ipv4Prefix()) {
  model::PermitRule made{.name = std::move(name), .tracked = rule.is_tracked()};
  if (rule.direction() == Direction::outbound) made.direction = model::Direction::outbound;
  if (rule.prefix_length != 0) remote = Ipv4Prefix(Ipv4Addr::from_host(rule.remote), rule.prefix_length);
  if (remote.length() != 0) made.remote = std::vector<IpPrefix>{remote};
  if (rule.is_any_protocol()) return made;
  made.protocol = rule.protocol;
  const bool is_icmp = ip_protocol::is_icmp(rule.protocol);
  if (!is_icmp) {
    made.local_ports = rule.local_ports;
    made.remote_ports = rule.remote_ports;
  } else if (!rule.local_ports.is_any()) {
    made.icmp_type = static_cast<uint8_t>(rule.local_ports.first);
    if (!rule.remote_ports.is_any()) made.icmp_code = static_cast<uint8_t>(rule.remote_ports.first);
  }
  return made;
}

}  // namespace portcullis
