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

#include <cerrno>
#include <cstring>

#include "dataplane/ports/netlink.h"

namespace portcullis {
namespace {

// Before the main table (32766). Also what tells our rules from others when those of a killed process are
// removed.
constexpr uint32_t rule_priority = 20547;
// Routing tables are numbered with 32 bits; this range and the interface's index keep out of others' way.
constexpr uint32_t first_table = 0x50430000;

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

  for (const InterfaceAddress& address : config_.addresses) {
    ifaddrmsg message{};
    message.ifa_family = AF_INET;
    message.ifa_prefixlen = address.length;
    message.ifa_index = index;
    // No route to the prefix: the host may reach it another way, and is not to lose that.
    if (const int error = NetlinkRequest(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, message)
                              .with(IFA_LOCAL, address.address)
                              .with(IFA_ADDRESS, address.address)
                              .with(IFA_FLAGS, uint32_t{IFA_F_NOPREFIXROUTE})
                              .send();
        error != 0)
      return failure("refuses the address " + address.address.to_string(), error);
  }

  table_ = first_table + index;
  rtmsg route{};
  route.rtm_family = AF_INET;
  route.rtm_scope = RT_SCOPE_LINK;
  route.rtm_type = RTN_UNICAST;
  route.rtm_protocol = RTPROT_STATIC;
  if (const int error = NetlinkRequest(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, route)
                            .with(RTA_TABLE, table_)
                            .with(RTA_OIF, uint32_t{index})
                            .send();
      error != 0)
    return failure("refuses a default route", error);
  for (const InterfaceAddress& address : config_.addresses)
    if (auto done = this->route(address.address); !done) return done;
  return {};
}

// What the kernel sends from `from` goes by the TAP. Reverse-path filters ask the same rule, so they pass
// what comes in here and refuse what comes to the address by other interfaces.
Expected<void> Tap::route(Ipv4Addr from) {
  drop_rules(from);
  fib_rule_hdr rule{};
  rule.family = AF_INET;
  rule.src_len = 32;
  rule.action = FR_ACT_TO_TBL;
  if (const int error = NetlinkRequest(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, rule)
                            .with(FRA_SRC, from)
                            .with(FRA_PRIORITY, rule_priority)
                            .with(FRA_TABLE, table_)
                            .send();
      error != 0)
    return failure("refuses a routing rule for " + from.to_string(), error);
  return {};
}

// All of them: a process that was killed leaves its own behind.
void Tap::drop_rules(Ipv4Addr from) {
  fib_rule_hdr rule{};
  rule.family = AF_INET;
  rule.src_len = 32;
  while (NetlinkRequest(RTM_DELRULE, 0, rule).with(FRA_SRC, from).with(FRA_PRIORITY, rule_priority).send() ==
         0) {
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
