// A configuration without a mistake, line by line, for tests to put one in.
#pragma once

#include <string>
#include <vector>

#include "config/loader.h"
#include "tests/unit/config/pem.h"

namespace portcullis::config {

// Two cores, and a few files.
inline const Machine two_cores{{0, 1}, [](const std::string& path) -> std::optional<std::string> {
                                 if (path == "/gw.pem") return certificate_pem;
                                 if (path == "/gw.key") return key_pem;
                                 if (path == "/other.key") return other_key_pem;
                                 if (path == "/note") return "to do";
                                 return std::nullopt;
                               }};

// Line 1: the uplink. 2: an endpoint port. 3: workers. 4: the gateway. 5: a pool. Rows replace one line or
// more.
inline std::vector<std::string> good_lines() {
  return {
      R"(ports { name: "up" device: "net_null0" role: UPLINK next_hop { address: "198.51.100.2" } })",
      R"(ports { name: "ep" device: "0000:3b:00.0" role: ENDPOINT })",
      R"(workers { cores: 1 })",
      R"(gateway { addresses: "198.51.100.1/24" })",
      R"(pools { name: "public" prefix: "203.0.113.0/24" })",
  };
}

inline std::string join(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

inline std::vector<std::string> mistakes_in(const std::string& text, const Machine& machine = two_cores) {
  const auto settings = parse("c", text, machine);
  std::vector<std::string> messages;
  if (!settings)
    for (const Mistake& mistake : settings.error()) messages.push_back(mistake.to_string());
  return messages;
}

}  // namespace portcullis::config
