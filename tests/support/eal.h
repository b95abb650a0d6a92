// DPDK for a test, or for a program that measures without hugepages: no devices, nothing shared with another
// process.
#pragma once

#include <rte_eal.h>

#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <vector>

namespace portcullis::testing {

// Ends the process when DPDK does not start: nothing could be tested.
inline void start_eal(const char* megabytes = "512", std::initializer_list<const char*> more = {}) {
  std::vector<const char*> arguments{"test",        "--no-huge",
                                     "-m",          megabytes,
                                     "--no-pci",    "--no-telemetry",
                                     "--no-shconf", "--log-level=lib.eal:error",
                                     "-l",          "0"};
  arguments.insert(arguments.end(), more);
  if (rte_eal_init(static_cast<int>(arguments.size()), const_cast<char**>(arguments.data())) < 0) {
    std::fprintf(stderr, "cannot initialise the EAL\n");
    std::exit(1);
  }
}

}  // namespace portcullis::testing
