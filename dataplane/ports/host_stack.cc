#include "dataplane/ports/host_stack.h"

#include <net/if.h>

#include <array>
#include <fstream>
#include <utility>

namespace portcullis {
namespace {

// Linux Documentation/networking/ip-sysctl.rst.
struct Wanted {
  const char* family;
  const char* setting;
  const char* value;
};
constexpr std::array settings{
    Wanted{"ipv4", "arp_ignore", "1"},    // ARP only for addresses of the interface
    Wanted{"ipv4", "rp_filter", "1"},     // strict (RFC 3704): nothing for the TAP's addresses comes in here
    Wanted{"ipv4", "forwarding", "0"},    // the host is no way round the permit lists
    Wanted{"ipv6", "disable_ipv6", "1"},  // no link-local address of the host's to talk to
};

bool write(const std::string& path, const std::string& value) {
  std::ofstream file(path);
  return bool(file << value << std::flush);
}

}  // namespace

std::string HostStackGuard::protect(unsigned interface_index) {
  char name[IFNAMSIZ];
  if (if_indextoname(interface_index, name) == nullptr) return {};
  for (const auto& [family, setting, value] : settings) {
    const std::string path = std::string("/proc/sys/net/") + family + "/conf/" + name + "/" + setting;
    std::string before;
    // A kernel without IPv6 has nothing to set.
    if (!(std::ifstream(path) >> before) || before == value) continue;
    if (!write(path, value))
      return path + " cannot be set to " + value +
             "; set it yourself, or the host answers for the gateway's addresses on " + name;
    changed_.push_back({path, before});
  }
  // The kernel takes the larger of this and the interface's own.
  std::string all;
  if (std::ifstream("/proc/sys/net/ipv4/conf/all/rp_filter") >> all && all == "2")
    return "net.ipv4.conf.all.rp_filter is 2 and overrides the strict check on " + std::string(name) +
           ": the host itself may take packets for the gateway's addresses past its permit list; set it to 0 "
           "or 1";
  return {};
}

HostStackGuard::~HostStackGuard() {
  for (const Setting& setting : changed_) (void)write(setting.path, setting.before);
}

}  // namespace portcullis
