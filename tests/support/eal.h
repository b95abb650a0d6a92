// DPDK for a test binary: no hugepages, no devices, nothing shared with another process.
#pragma once

#include <rte_eal.h>

#include <cstdio>
#include <cstdlib>

namespace portcullis::testing {

// Ends the process when DPDK does not start: nothing could be tested.
inline void start_eal() {
  const char* arguments[] = {"test",        "--no-huge",
                             "-m",          "512",
                             "--no-pci",    "--no-telemetry",
                             "--no-shconf", "--log-level=lib.eal:error",
                             "-l",          "0"};
  constexpr int count = sizeof arguments / sizeof *arguments;
  if (rte_eal_init(count, const_cast<char**>(arguments)) < 0) {
    std::fprintf(stderr, "cannot initialise the EAL\n");
    std::exit(1);
  }
}

}  // namespace portcullis::testing
