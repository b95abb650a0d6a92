#include "dataplane/ports/host_stack.h"

#include <net/if.h>

#include <array>
#include <fstream>
#include <utility>

namespace portcullis {
namespace {

// Linux Documentation/networking/ip-sysctl.rst: 1 = only for addresses of the interface; 1 = strict (RFC
// 3704).
constexpr std::array settings{std::pair{"arp_ignore", "1"}, std::pair{"rp_filter", "1"}};

bool write(const std::string& path, const std::string& value) {
  std::ofstream file(path);
  return bool(file << value << std::flush);
}

}  // namespace

std::string HostStackGuard::protect(unsigned interface_index) {
  char name[IFNAMSIZ];
  if (if_indextoname(interface_index, name) == nullptr) return {};
  for (const auto& [setting, value] : settings) {
    const std::string path = std::string("/proc/sys/net/ipv4/conf/") + name + "/" + setting;
    std::string before;
    std::ifstream(path) >> before;
    if (before == value) continue;
    if (!write(path, value))
      return path + " cannot be set to " + value +
             "; set it yourself, or the host answers for the gateway's addresses on " + name;
    changed_.push_back({path, before});
  }
  return {};
}

HostStackGuard::~HostStackGuard() {
  for (const Setting& setting : changed_) (void)write(setting.path, setting.before);
}

}  // namespace portcullis
