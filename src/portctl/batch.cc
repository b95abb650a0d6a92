// Many commands, one after another, over one connection: `portctl batch`.
#include <fstream>
#include <iomanip>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "src/portctl/commands.h"

namespace portcullis::portctl {
namespace {

using Json = nlohmann::ordered_json;

// A stream that writes to, or reads from, another buffer as long as this lives.
class Redirection {
 public:
  Redirection(std::ios& stream, std::streambuf* buffer) : stream_(stream), before_(stream.rdbuf(buffer)) {}
  ~Redirection() { stream_.rdbuf(before_); }
  Redirection(const Redirection&) = delete;
  Redirection& operator=(const Redirection&) = delete;

 private:
  std::ios& stream_;
  std::streambuf* before_;
};

// A word with spaces stands in quotes: 'as it is', or "with \" and \\". # begins a comment. Throws Failure.
std::vector<std::string> words_of(const std::string& line) {
  std::istringstream in(line);
  std::vector<std::string> words;
  while ((in >> std::ws).good() && in.peek() != '#') {
    std::string word;
    const auto first = static_cast<char>(in.peek());
    if (first == '"')
      in >> std::quoted(word);
    else if (first == '\'')
      in >> std::quoted(word, '\'', '\0');
    else
      in >> word;
    if (!in) throw Failure{usage, "portctl: a quote has no end\n"};
    words.push_back(std::move(word));
  }
  return words;
}

// Of one line. Options that it lacks are those of the batch, whatever the environment says.
void add_line_commands(CLI::App& app, Options& options) {
  add_commands(app, options);
  for (CLI::Option* option : app.get_options()) option->envname("");
  // What goes on until it is ended, or is not of a gateway.
  for (const char* name : {"batch", "capture", "completion", "manual", "trace", "watch"})
    app.get_subcommand(name)->callback([name] {
      throw Failure{usage, std::string("portctl: ") + name + " cannot be in a batch; call it by itself\n"};
    });
  CLI::App* const events = app.get_subcommand("events");
  events->remove_option(events->get_option("--follow"));
}

Outcome carry_out_line(const std::string& line, const Options& defaults) {
  try {
    const std::vector<std::string> words = words_of(line);
    Options options = defaults;
    CLI::App app;
    add_line_commands(app, options);
    return carry_out(app, words);
  } catch (const Failure& failure) {
    return {failure.code, failure.text};
  }
}

// As it is if it is JSON, else as a string.
Json value_of(const std::string& text) {
  Json value = Json::parse(text, nullptr, false);
  return value.is_discarded() ? Json(text) : value;
}

struct Line {
  size_t number;
  std::string text;
};

// One line of JSON for what became of it.
Outcome tell(const Line& line, const Options& options) {
  std::ostringstream said;
  Outcome outcome;
  {
    const Redirection redirection(std::cout, said.rdbuf());
    outcome = carry_out_line(line.text, options);
  }
  Json answer{{"line", line.number}, {"status", static_cast<int>(outcome.status)}};
  if (outcome.status == ok)
    answer["answer"] = value_of(said.str());
  else
    answer["error"] = value_of(std::exchange(outcome.error, {}));
  std::cout << answer.dump(-1, ' ', false, Json::error_handler_t::replace) << std::endl;
  return outcome;
}

bool is_empty(const std::string& line) {
  const size_t first = line.find_first_not_of(" \t\r");
  return first == std::string::npos || line[first] == '#';
}

struct Arguments {
  std::string file = "-";
  bool keep_going = false;
};

void carry_out_all(std::istream& in, const Arguments& args, const Options& options) {
  ExitCode first = ok;
  Line line{};
  while (std::getline(in, line.text)) {
    ++line.number;
    if (is_empty(line.text)) continue;
    const Outcome outcome = options.json ? tell(line, options) : carry_out_line(line.text, options);
    std::cout.flush();
    if (outcome.status == ok) continue;
    if (!options.json)
      std::cerr << "portctl: " << (args.file == "-" ? "<stdin>" : args.file) << ":" << line.number << ": "
                << line.text << "\n"
                << outcome.error;
    if (first == ok) first = outcome.status;
    if (!args.keep_going) break;
  }
  if (in.bad()) throw Failure{usage, "portctl: cannot read " + args.file + "\n"};
  if (first != ok) throw Failure{first, {}};
}

}  // namespace

void add_batch(CLI::App& app, const Options& options) {
  auto args = std::make_shared<Arguments>();
  CLI::App* command =
      app.add_subcommand("batch", "Carry out commands from a file, one a line, over one connection");
  command->add_option("file", args->file, "Commands without the word portctl; - is standard input")
      ->capture_default_str();
  command->add_flag("-k,--keep-going", args->keep_going, "Go on after a command that fails");
  command->footer(R"(
Each line is a change of its own; `portctl apply` makes many changes as one. A word with spaces stands in quotes, # begins
a comment. The options of portctl that are given to the batch hold for every line; a line may have others. It ends at the
first command that fails, with its exit status. With --json each command is answered by one line, as soon as it is done:
  {"line":1,"status":0,"answer":{...}}    {"line":2,"status":1,"error":{...}}

Examples:
  portctl batch town.commands
  portctl --tenant acme --json batch --keep-going < town.commands)");
  command->callback([&options, args] {
    if (options.expected_generation || !options.request_id.empty())
      throw Failure{
          usage,
          "portctl: --expected-generation and --request-id are of one command; give them in its line\n"};
    std::ifstream file;
    std::istream standard(std::cin.rdbuf());
    if (args->file != "-") file.open(args->file);
    std::istream& in = args->file == "-" ? standard : file;
    if (!in) throw Failure{usage, "portctl: cannot read " + args->file + "\n"};
    const Redirection nothing(std::cin, nullptr);  // commands cannot read what may be the batch
    carry_out_all(in, *args, options);
  });
}

}  // namespace portcullis::portctl
