// What is wrong with the words of a command line, and what to do.
#include <algorithm>
#include <iomanip>
#include <numeric>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "src/portctl/command_tree.h"
#include "src/portctl/commands.h"

namespace portcullis::portctl {
namespace {

// How many letters must be changed, added or taken away.
size_t distance(const std::string& from, const std::string& to) {
  std::vector<size_t> row(to.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < from.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i + 1);
    for (size_t j = 0; j < to.size(); ++j) {
      const size_t above = row[j + 1];
      row[j + 1] = std::min({above + 1, row[j] + 1, diagonal + (from[i] == to[j] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row.back();
}

// The word that was meant, perhaps; empty if none is like it.
std::string nearest(const std::string& word, const std::vector<std::string>& words) {
  std::string best;
  size_t least = std::max<size_t>(1, word.size() / 3) + 1;
  for (const std::string& other : words)
    if (const size_t letters = distance(word, other); letters < least) {
      least = letters;
      best = other;
    }
  return best;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

// The command that the words have come to.
const Command& reached(const CLI::App& app, const Command& root) {
  const Command* command = &root;
  for (const auto* parsed = &app; !parsed->get_subcommands().empty();) {
    parsed = parsed->get_subcommands().front();
    command = command->command(parsed->get_name());
  }
  return *command;
}

std::vector<std::string> names(const std::vector<Command>& commands) {
  std::vector<std::string> found;
  found.reserve(commands.size());
  for (const Command& command : commands) found.push_back(command.name());
  return found;
}

std::vector<std::string> option_names(const Command& root, const Command& command) {
  std::vector<std::string> found;
  for (const Command* of : {&command, &root})
    for (const Parameter& option : of->options) found.push_back(option.names.back());
  return found;
}

struct Advice {
  std::string what;
  std::string hint;  // empty: the command's help
};

Advice unknown_word(const std::string& word, const Command& root, const Command& command) {
  const bool is_option = word.starts_with('-');
  if (!is_option && command.commands.empty()) return {"'" + word + "' is one word too many", ""};
  const std::vector<std::string> known = is_option ? option_names(root, command) : names(command.commands);
  const std::string meant = nearest(word, known);
  Advice advice{"'" + word + (is_option ? "' is not an option here" : "' is not a command here"), ""};
  if (!meant.empty())
    advice.hint = "did you mean " + meant + "?";
  else if (!is_option)
    advice.hint = "one of " + joined(known) + " comes here";
  return advice;
}

// CLI11's own words, where they do not say enough.
Advice reworded(const CLI::ParseError& error, const Command& root, const Command& command) {
  const std::string said = error.what();
  const size_t list = said.find('[');
  if (said.starts_with("Requires at most 1 ") && list != std::string::npos)
    return {"only one may be given of " + said.substr(list + 1, said.find(']') - list - 1), ""};
  const size_t colon = said.find(": ");
  const std::string name = said.substr(0, colon);
  const Parameter* option = command.option(name) != nullptr ? command.option(name) : root.option(name);
  const auto argument = std::ranges::find(command.arguments, name,
                                          [](const Parameter& parameter) { return parameter.names.front(); });
  if (option == nullptr && argument != command.arguments.end()) option = &*argument;
  if (colon == std::string::npos || option == nullptr) return {said, ""};
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr)
    return {name + " needs a value: " + option->value, ""};
  std::istringstream range(said.substr(colon + 2));
  std::string word, value;
  double first = 0, last = 0;
  if (range >> word >> value >> word >> word >> word >> first >> word >> last && word == "to") {
    std::ostringstream expected;
    expected << std::setprecision(12) << name << " is '" << value << "', expected " << first << " to "
             << last;
    return {expected.str(), ""};
  }
  if (!option->choices.empty()) {
    const std::string given = said.substr(colon + 2, said.find(" not in ") - colon - 2);
    return {name + " is '" + given + "', expected one of " + joined(option->choices), ""};
  }
  return {said, ""};
}

}  // namespace

std::string usage_message(const CLI::App& app, const CLI::ParseError& error) {
  const Command root = command_tree(app);
  const Command& command = reached(app, root);
  const std::string called = "portctl" + (command.path.empty() ? "" : " " + command.path);
  // A word that nobody took is more to the point than the one that is missing because of it.
  const std::vector<std::string> unknown = app.remaining(true);
  Advice advice;
  if (!unknown.empty())
    advice = unknown_word(unknown.front(), root, command);
  else if (std::string(error.what()) == "A subcommand is required")
    advice = {command.path.empty() ? "a command is missing" : command.path + " needs a command",
              "one of " + joined(names(command.commands)) + " comes next"};
  else
    advice = reworded(error, root, command);
  std::string text = "portctl: " + advice.what + "\n";
  if (!advice.hint.empty()) text += "  hint:   " + advice.hint + "\n";
  return text + (advice.hint.empty() ? "  hint:   " : "          ") + called + " --help shows examples\n";
}

}  // namespace portcullis::portctl
