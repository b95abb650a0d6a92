// The manual page, portctl(1), made of the command tree.
#pragma once

#include <CLI/CLI.hpp>

#include <string>

#include "src/portctl/command_tree.h"

namespace portcullis::portctl {

// `portctl manual` prints it.
void add_manual(CLI::App& app);

// In roff with the macros of man(7).
[[nodiscard]] std::string manual(const Command& root);

}  // namespace portcullis::portctl
