// The commands as data, read from the parser: what completion and the manual page show is what is parsed.
#pragma once

#include <CLI/CLI.hpp>

#include <string>
#include <vector>

namespace portcullis::portctl {

// An argument or an option.
struct Parameter {
  std::vector<std::string> names;    // "-f", "--file"; of an argument "EIP"
  std::string value;                 // what it takes, "FILE"; empty: nothing, it is a flag
  std::vector<std::string> choices;  // "4", "6": the only values
  std::string description;
  std::string group;  // said of it and its neighbours together
  std::string environment;
  std::string otherwise;  // its value when it is not given
  bool is_required = false;
  bool repeats = false;
};

struct Command {
  std::string path;  // "vm create"; of portctl itself empty
  std::string description;
  std::string footer;
  std::vector<Parameter> arguments;
  std::vector<Parameter> options;
  std::vector<Command> commands;

  [[nodiscard]] std::string name() const { return path.substr(path.rfind(' ') + 1); }
  // Nullptr if there is none.
  [[nodiscard]] const Command* command(const std::string& name) const;
  [[nodiscard]] const Parameter* option(const std::string& name) const;
};

[[nodiscard]] Command command_tree(const CLI::App& app);

}  // namespace portcullis::portctl
