#include "src/portctl/manual.h"

#include <iostream>
#include <sstream>

namespace portcullis::portctl {
namespace {

constexpr auto date = "2026-11-27";  // of what is written here by hand

// As it is, whatever it means to roff.
std::string plain(const std::string& text) {
  std::string escaped;
  for (const char letter : text) {
    if (letter == '\\') {
      escaped += "\\e";
    } else if (letter == '-') {
      escaped += "\\-";
    } else if (letter == '\'') {
      escaped += "\\(aq";
    } else if (letter == '^') {
      escaped += "\\(ha";
    } else if (letter == '~') {
      escaped += "\\(ti";
    } else if (letter == '`') {
      escaped += "\\(ga";
    } else {
      escaped += letter;
    }
  }
  return escaped.starts_with('.') ? "\\&" + escaped : escaped;
}

std::string bold(const std::string& text) {
  return "\\fB" + plain(text) + "\\fR";
}
std::string italic(const std::string& text) {
  return "\\fI" + plain(text) + "\\fR";
}

std::string words_of(const Parameter& parameter) {
  if (!parameter.names.front().starts_with('-'))
    return italic(parameter.names.front()) + (parameter.repeats ? " ..." : "");
  std::string text;
  for (const std::string& name : parameter.names) text += (text.empty() ? "" : ", ") + bold(name);
  if (!parameter.value.empty()) text += " " + italic(parameter.value);
  return text;
}

std::string parameters(const std::vector<Parameter>& all) {
  std::string text, group;
  for (const Parameter& parameter : all) {
    if (parameter.group != group && !parameter.group.empty())
      text += ".PP\n" + plain(parameter.group) + ":\n";
    group = parameter.group;
    text += ".TP\n" + words_of(parameter) + "\n" + plain(parameter.description) + ".\n";
    if (!parameter.choices.empty()) {
      text += "One of:";
      for (const std::string& choice : parameter.choices) text += " " + bold(choice);
      text += ".\n";
    }
    if (parameter.is_required && parameter.names.front().starts_with('-')) text += "Must be given.\n";
    if (!parameter.otherwise.empty()) text += "Otherwise " + bold(parameter.otherwise) + ".\n";
    if (!parameter.environment.empty()) text += "Also from " + bold(parameter.environment) + ".\n";
  }
  return text;
}

// The end of a help text: indented lines stand as they are, others are a paragraph.
std::string footer(const std::string& text) {
  std::istringstream lines(text);
  std::string roff, line;
  bool as_is = false, begins = true;
  const auto end_block = [&] {
    if (as_is) roff += ".EE\n.RE\n";
    as_is = false;
  };
  while (std::getline(lines, line)) {
    if (line.empty()) {
      end_block();
      begins = true;
    } else if (line.starts_with("  ")) {
      if (!as_is) roff += ".PP\n.RS 2\n.EX\n";
      as_is = true;
      roff += plain(line.substr(2)) + "\n";
    } else {
      if (begins || as_is) {
        end_block();
        roff += ".PP\n";
      }
      begins = false;
      roff += plain(line) + "\n";
    }
  }
  end_block();
  return roff;
}

std::string synopsis(const Command& command) {
  std::string text = bold("portctl") + " " + bold(command.path);
  for (const Parameter& option : command.options)
    if (option.is_required) text += " " + bold(option.names.back()) + " " + italic(option.value);
  bool has_more = false;
  for (const Parameter& option : command.options)
    has_more |= !option.is_required && option.names.back() != "--help";
  if (has_more) text += " [" + italic("OPTIONS") + "]";
  for (const Parameter& argument : command.arguments)
    text += argument.is_required ? " " + words_of(argument) : " [" + words_of(argument) + "]";
  return text;
}

std::string section(const Command& command) {
  std::string text;
  if (command.commands.empty()) {
    text = ".SS " + plain(command.path) + "\n" + synopsis(command) + "\n.PP\n" + plain(command.description) +
           ".\n";
    std::vector<Parameter> options;
    for (const Parameter& option : command.options)
      if (option.names.back() != "--help") options.push_back(option);
    text += parameters(command.arguments) + parameters(options) + footer(command.footer);
  }
  for (const Command& verb : command.commands) text += section(verb);
  return text;
}

constexpr auto rest_of_page = R"(.SH EXIT STATUS
.TP
0
Done.
.TP
1
Refused by portcullisd; nothing has changed, or of a batch what stands before.
.TP
2
Wrong usage; of a batch: in a line, what stands before has been carried out.
.TP
3
Portcullisd was not reached, went away, or did not answer in time.
The call may have been carried out.
.SH FILES
.TP
.I /run/portcullis/api.sock
The socket of portcullisd.
)";

}  // namespace

void add_manual(CLI::App& app) {
  CLI::App* command = app.add_subcommand("manual", "Print the manual page, portctl(1), in roff");
  command->footer("\nExample:\n  portctl manual | man -l -");
  command->callback([&app] { std::cout << manual(command_tree(app)); });
}

std::string manual(const Command& root) {
  std::string text =
      std::string(".TH PORTCTL 1 ") + date + " \"Portcullis " PORTCULLIS_VERSION "\"\n" +
      ".SH NAME\nportctl \\- the command line of the Portcullis gateway\n" + ".SH SYNOPSIS\n" +
      bold("portctl") + " [" + italic("OPTIONS") + "] " + italic("NOUN VERB") + " [" + italic("ARGUMENTS") +
      "]\n" + ".SH DESCRIPTION\n" + plain(root.description) +
      "\nEach command is a call of the API of portcullisd, or a few.\nOptions may stand anywhere.\n" +
      footer(root.footer) + ".SH OPTIONS\n" + parameters(root.options) + ".SH COMMANDS\n";
  for (const Command& command : root.commands) text += section(command);
  return text + rest_of_page;
}

}  // namespace portcullis::portctl
