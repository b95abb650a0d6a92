// DPDK, and, for root, a network of this process's own, so that no test touches the machine's.
#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <fstream>

#include "tests/support/eal.h"
#include "tests/unit/ports/own_network.h"

namespace portcullis::testing {
namespace {
bool has_network = false;
}

bool has_own_network() {
  return has_network;
}
}  // namespace portcullis::testing

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  portcullis::testing::has_network = unshare(CLONE_NEWNET) == 0 && access("/dev/net/tun", R_OK | W_OK) == 0;
  // The kernel's own IPv6 solicitations would come and go among the frames that the tests count.
  if (portcullis::testing::has_network) std::ofstream("/proc/sys/net/ipv6/conf/default/disable_ipv6") << 1;
  portcullis::testing::start_eal();
  return RUN_ALL_TESTS();
}
