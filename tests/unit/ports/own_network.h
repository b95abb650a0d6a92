#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>

#include "src/net/address.h"

namespace portcullis::testing {

inline const Ipv4Addr gateway = Ipv4Addr::of(198, 51, 100, 1);
inline const Ipv4Addr outside = Ipv4Addr::of(192, 0, 2, 7);

// Whether this process has a network name space of its own, with TAP devices; else tests that need one are
// skipped.
[[nodiscard]] bool has_own_network();

// What a command prints.
inline std::string output_of(const std::string& command) {
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  std::string output;
  for (int byte; (byte = std::fgetc(pipe)) != EOF;) output.push_back(static_cast<char>(byte));
  pclose(pipe);
  return output;
}

}  // namespace portcullis::testing

#define NEEDS_OWN_NETWORK()                      \
  if (!::portcullis::testing::has_own_network()) \
  GTEST_SKIP() << "needs root and /dev/net/tun: makes a network name space"
