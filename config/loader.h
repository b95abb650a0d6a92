// Text -> Settings. Every mistake is reported, each with the place it stands at; a file with a mistake gives
// no settings. Thread: any; nothing outside the arguments is read but the file.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "config/settings.h"

namespace portcullis::config {

// What the rules need to know of the machine.
struct Machine {
  std::vector<uint32_t> cores;  // ascending: those a thread of this process may run on
  // What a file holds; nothing if it cannot be read.
  std::function<std::optional<std::string>(const std::string& path)> read_file = [](const std::string&) {
    return std::nullopt;
  };
  [[nodiscard]] static Machine local();
  [[nodiscard]] static std::optional<std::string> contents(const std::string& path);
};

struct Mistake {
  std::string file;
  int line = 1;         // from 1
  int column = 1;       // from 1
  std::string message;  // what is wrong, and what was expected
  // "lab.txtpb:12:3: ports[0].mtu is 20, expected ..."
  [[nodiscard]] std::string to_string() const;
};

// In the order of the text, never empty.
using Mistakes = std::vector<Mistake>;

[[nodiscard]] tl::expected<Settings, Mistakes> parse(std::string_view file_name, std::string_view text,
                                                     const Machine& machine);
// A file that cannot be read is one mistake at 1:1.
[[nodiscard]] tl::expected<Settings, Mistakes> load(const std::string& path, const Machine& machine);

}  // namespace portcullis::config
