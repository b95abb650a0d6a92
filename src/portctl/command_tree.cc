#include "src/portctl/command_tree.h"

#include <algorithm>

namespace portcullis::portctl {
namespace {

// A type is "WORD", or "WORD:{4,6}" if only these values are taken.
void read_type(const CLI::Option& option, Parameter& parameter) {
  const std::string type = option.get_type_name();
  const size_t brace = type.find(":{");
  if (brace != std::string::npos)
    parameter.choices = CLI::detail::split(type.substr(brace + 2, type.rfind('}') - brace - 2), ',');
  if (option.get_items_expected_max() != 0) parameter.value = type.substr(0, brace);
}

Parameter parameter_of(const CLI::Option& option, const std::string& group) {
  Parameter parameter;
  if (option.nonpositional()) {
    for (const std::string& name : option.get_snames()) parameter.names.push_back("-" + name);
    for (const std::string& name : option.get_lnames()) parameter.names.push_back("--" + name);
  } else {
    parameter.names.push_back(option.get_name(true));
  }
  read_type(option, parameter);
  if (!option.nonpositional()) parameter.value = parameter.names.front();
  parameter.description = option.get_description();
  parameter.group = group;
  parameter.environment = option.get_envname();
  parameter.otherwise = option.get_default_str();
  parameter.is_required = option.get_required();
  parameter.repeats = option.get_expected_max() > 1;
  return parameter;
}

void read_parameters(const CLI::App& app, const std::string& group, Command& command) {
  for (const CLI::Option* option : app.get_options({})) {
    if (option->get_group().empty()) continue;  // hidden
    (option->nonpositional() ? command.options : command.arguments).push_back(parameter_of(*option, group));
  }
  // Groups of options are nameless apps.
  for (const CLI::App* nested :
       app.get_subcommands([](const CLI::App* below) { return below->get_name().empty(); }))
    read_parameters(*nested, nested->get_description(), command);
}

Command command_at(const CLI::App& app, const std::string& path) {
  Command command;
  command.path = path;
  command.description = app.get_description();
  command.footer = app.get_footer();
  read_parameters(app, "", command);
  for (const CLI::App* verb :
       app.get_subcommands([](const CLI::App* below) { return !below->get_name().empty(); }))
    command.commands.push_back(
        command_at(*verb, path.empty() ? verb->get_name() : path + " " + verb->get_name()));
  return command;
}

}  // namespace

const Command* Command::command(const std::string& name) const {
  const auto found = std::ranges::find(commands, name, &Command::name);
  return found == commands.end() ? nullptr : &*found;
}

const Parameter* Command::option(const std::string& name) const {
  const auto found = std::ranges::find_if(
      options, [&](const Parameter& option) { return std::ranges::count(option.names, name) != 0; });
  return found == options.end() ? nullptr : &*found;
}

Command command_tree(const CLI::App& app) {
  return command_at(app, "");
}

}  // namespace portcullis::portctl
