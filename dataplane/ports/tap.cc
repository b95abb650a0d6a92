#include "dataplane/ports/tap.h"

#include <fcntl.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

#include "dataplane/ports/netlink.h"

namespace portcullis {
namespace {

// Before the main table (32766). Also what tells our rules from others when those of a killed process are
// removed.
constexpr uint32_t rule_priority = 20547;
// Routing tables are numbered with 32 bits; this range and the interface's index keep out of others' way.
constexpr uint32_t first_table = 0x50430000;

uint8_t family_of(const IpAddr& address) {
  return address.is_v4() ? AF_INET : AF_INET6;
}

// As an attribute of a request.
NetlinkRequest&& with(NetlinkRequest&& request, uint16_t type, const IpAddr& address) {
  return address.is_v4() ? std::move(request.with(type, address.v4()))
                         : std::move(request.with(type, address.v6()));
}

// A setting of the kernel's for IPv6 on one interface; false if it does not take it.
bool set_ipv6(const std::string& interface, const char* name, const char* value) {
  std::ofstream setting("/proc/sys/net/ipv6/conf/" + interface + "/" + name);
  setting << value << std::flush;
  return setting.good();
}

fib_rule_hdr rule_from(const IpAddr& address) {
  fib_rule_hdr rule{};
  rule.family = family_of(address);
  rule.src_len = address.is_v4() ? 32 : 128;
  return rule;
}

}  // namespace

Unexpected Tap::failure(const std::string& what, int error) const {
  return fail(ErrorCode::failed_precondition,
              "TAP " + config_.name + ": " + what + ": " + std::strerror(error));
}

Expected<Tap> Tap::create(const TapConfig& config) {
  Tap tap(open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC), config);
  if (tap.descriptor_ < 0) return tap.failure("/dev/net/tun cannot be opened", errno);
  ifreq request{};
  config.name.copy(request.ifr_name, IFNAMSIZ - 1);
  // EXCL: an interface that someone else made is not ours to change.
  request.ifr_flags = static_cast<short>(IFF_TAP | IFF_NO_PI | IFF_TUN_EXCL);
  if (ioctl(tap.descriptor_, TUNSETIFF, &request) != 0) {
    const int error = errno;
    return tap.failure(error == EBUSY
                           ? "cannot be created, an interface of this name exists; remove it, or choose "
                             "another name in gateway.tap"
                           : "cannot be created",
                       error);
  }
  if (auto done = tap.set_up(); !done) return Unexpected(done.error());
  return tap;
}

Expected<void> Tap::set_up() {
  const unsigned index = if_nametoindex(config_.name.c_str());
  ifinfomsg link{};
  link.ifi_index = static_cast<int>(index);
  link.ifi_flags = IFF_UP | IFF_NOARP;
  link.ifi_change = IFF_UP | IFF_NOARP;
  if (const int error = NetlinkRequest(RTM_NEWLINK, 0, link)
                            .with(IFLA_ADDRESS, config_.mac)
                            .with(IFLA_MTU, uint32_t{config_.mtu})
                            .send();
      error != 0)
    return failure("cannot be set up", error);

  table_ = first_table + index;
  const auto is_ipv6 = [](const InterfaceAddress& address) { return address.address.is_v6(); };
  // Hosts that use no IPv6 otherwise have it off by default. There is no router to ask on this link.
  if (std::ranges::any_of(config_.addresses, is_ipv6) &&
      !(set_ipv6(config_.name, "accept_ra", "0") && set_ipv6(config_.name, "router_solicitations", "0") &&
        set_ipv6(config_.name, "disable_ipv6", "0")))
    return failure("cannot have IPv6 addresses: the kernel has no IPv6", errno);
  for (const InterfaceAddress& address : config_.addresses)
    if (auto done = add(address, index); !done) return done;
  for (const IpFamily family : {IpFamily::ipv4, IpFamily::ipv6}) {
    const bool is_used = std::ranges::any_of(config_.addresses, [&](const InterfaceAddress& address) {
      return address.address.family() == family;
    });
    if (!is_used) continue;
    if (auto done = route_all(family, index); !done) return done;
  }
  for (const InterfaceAddress& address : config_.addresses)
    if (auto done = route(address.address); !done) return done;
  return {};
}

Expected<void> Tap::add(const InterfaceAddress& address, unsigned index) {
  ifaddrmsg message{};
  message.ifa_family = family_of(address.address);
  message.ifa_prefixlen = address.length;
  message.ifa_index = index;
  // No route to the prefix: the host may reach it another way, and is not to lose that. Nor is anybody asked
  // whether he has the address: there is only this process to ask.
  const uint32_t flags = IFA_F_NOPREFIXROUTE | (address.address.is_v6() ? IFA_F_NODAD : 0);
  NetlinkRequest request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, message);
  const int error = with(with(std::move(request), IFA_LOCAL, address.address), IFA_ADDRESS, address.address)
                        .with(IFA_FLAGS, flags)
                        .send();
  if (error != 0) return failure("refuses the address " + address.address.to_string(), error);
  return {};
}

Expected<void> Tap::route_all(IpFamily family, unsigned index) {
  rtmsg route{};
  route.rtm_family = family == IpFamily::ipv4 ? AF_INET : AF_INET6;
  route.rtm_scope = RT_SCOPE_LINK;
  route.rtm_type = RTN_UNICAST;
  route.rtm_protocol = RTPROT_STATIC;
  if (const int error = NetlinkRequest(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, route)
                            .with(RTA_TABLE, table_)
                            .with(RTA_OIF, uint32_t{index})
                            .send();
      error != 0)
    return failure("refuses a default route", error);
  return {};
}

// What the kernel sends from `from` goes by the TAP. Reverse-path filters ask the same rule, so they pass
// what comes in here and refuse what comes to the address by other interfaces.
Expected<void> Tap::route(const IpAddr& from) {
  drop_rules(from);
  fib_rule_hdr rule = rule_from(from);
  rule.action = FR_ACT_TO_TBL;
  NetlinkRequest request(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, rule);
  const int error = with(std::move(request), FRA_SRC, from)
                        .with(FRA_PRIORITY, rule_priority)
                        .with(FRA_TABLE, table_)
                        .send();
  if (error != 0) return failure("refuses a routing rule for " + from.to_string(), error);
  return {};
}

// All of them: a process that was killed leaves its own behind.
void Tap::drop_rules(const IpAddr& from) {
  const auto drop_one = [&] {
    NetlinkRequest request(RTM_DELRULE, 0, rule_from(from));
    return with(std::move(request), FRA_SRC, from).with(FRA_PRIORITY, rule_priority).send() == 0;
  };
  while (drop_one()) {
  }
}

Tap::~Tap() {
  if (descriptor_ < 0) return;
  if (table_ != 0)
    for (const InterfaceAddress& address : config_.addresses) drop_rules(address.address);
  close(descriptor_);  // and with it the device, its addresses and its routes
}

bool Tap::write(std::span<const uint8_t> frame) {
  return ::write(descriptor_, frame.data(), frame.size()) == static_cast<ssize_t>(frame.size());
}

size_t Tap::read(std::span<uint8_t> frame) {
  const ssize_t size = ::read(descriptor_, frame.data(), frame.size());
  return size > 0 ? static_cast<size_t>(size) : 0;
}

}  // namespace portcullis
