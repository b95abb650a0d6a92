// Many commands, one after another, of one process: `portctl batch`.
#include <cstdio>
#include <fstream>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <string_view>
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

// As a shell takes a line apart that knows quotes, 'as it is' and "with \" and \\", and comments. Throws
// Failure.
std::vector<std::string> words_of(std::string_view line) {
  std::vector<std::string> words;
  bool in_word = false;
  char quote = '\0';
  for (size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    const bool is_escape =
        quote == '"' && c == '\\' && i + 1 < line.size() && (line[i + 1] == '"' || line[i + 1] == '\\');
    if (is_escape) {
      words.back() += line[++i];
    } else if (quote != '\0' && c == quote) {
      quote = '\0';
    } else if (quote != '\0') {
      words.back() += c;
    } else if (c == ' ' || c == '\t' || c == '\r') {
      in_word = false;
    } else if (c == '#' && !in_word) {
      break;
    } else {
      if (!in_word) words.emplace_back();
      in_word = true;
      if (c == '\'' || c == '"')
        quote = c;
      else
        words.back() += c;
    }
  }
  if (quote != '\0') throw Failure{usage, "portctl: a quote has no end\n"};
  return words;
}

// Of one line: a batch is of one gateway, whatever the environment says, and a line has an answer.
void add_line_commands(CLI::App& app, Options& options) {
  add_commands(app, options);
  for (const char* name : {"--socket", "--server", "--tls-cert", "--tls-key", "--tls-ca"})
    app.remove_option(app.get_option(name));
  for (CLI::Option* option : app.get_options()) option->envname("");
  for (const char* name : {"batch", "capture", "completion", "events", "manual", "trace", "watch"})
    app.get_subcommand(name)->callback([name] {
      throw Failure{usage, std::string("portctl: ") + name + " cannot be in a batch; call it by itself\n"};
    });
}

// What a line has come to.
struct Answer {
  Outcome outcome;
  std::string said;   // on standard output
  std::string notes;  // on standard error, beside the error
};

Answer carry_out_line(const std::vector<std::string>& words, const Options& defaults) {
  std::ostringstream said, notes;
  const Redirection output(std::cout, said.rdbuf()), error(std::cerr, notes.rdbuf());
  Options options = defaults;
  CLI::App app;
  add_line_commands(app, options);
  Answer answer;
  answer.outcome = carry_out(app, words);
  answer.said = said.str();
  answer.notes = notes.str();
  return answer;
}

// As it is if it is JSON, else as a string.
Json value_of(const std::string& text) {
  Json value = Json::parse(text, nullptr, false);
  return value.is_discarded() ? Json(text) : value;
}

std::string json_of(const Answer& answer, size_t line) {
  const auto& [status, error] = answer.outcome;
  Json told{{"line", line}, {"status", static_cast<int>(status)}};
  if (status == ok || !answer.said.empty()) told["answer"] = value_of(answer.said);
  if (status != ok) told["error"] = value_of(error);
  if (!answer.notes.empty()) told["notes"] = answer.notes;
  return told.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

class Batch {
 public:
  Batch(const Options& options, std::string file, bool keep_going)
      : options_(options), file_(std::move(file)), keep_going_(keep_going) {}

  // The status of the first command that failed. Throws Failure: it cannot be read, or its answers not be
  // written.
  ExitCode carry_out_all(std::istream& in) {
    ExitCode first = ok;
    std::string line;
    for (size_t number = 1; std::getline(in, line); ++number) {
      const ExitCode status = carry_out(number, line);
      if (first == ok) first = status;
      if (status != ok && !keep_going_) break;
    }
    // The buffer of standard input takes an error for an end.
    if (in.bad() || (file_ == "-" && std::ferror(stdin) != 0))
      throw Failure{usage, "portctl: cannot read " + file_ + "\n"};
    return first;
  }

 private:
  ExitCode carry_out(size_t number, const std::string& line) {
    Answer answer;
    try {
      const std::vector<std::string> words = words_of(line);
      if (words.empty()) return ok;
      answer = carry_out_line(words, options_);
    } catch (const Failure& failure) {
      answer.outcome = {failure.code, failure.text};
    }
    const std::string& error = answer.outcome.error;
    std::cout << (options_.json ? json_of(answer, number) : answer.said) << std::flush;
    if (!std::cout) throw Failure{usage, "portctl: standard output takes no more: the batch ends\n"};
    if (!options_.json && !(answer.notes + error).empty())
      std::cerr << "portctl: " << (file_ == "-" ? "<stdin>" : file_) << ":" << number << ": " << line << "\n"
                << answer.notes << error;
    return answer.outcome.status;
  }

  const Options& options_;
  const std::string file_;
  const bool keep_going_;
};

}  // namespace

void add_batch(CLI::App& app, const Options& options) {
  struct Arguments {
    std::string file = "-";
    bool keep_going = false;
  };
  auto args = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("batch", "Carry out commands from a file, one a line");
  command->add_option("FILE", args->file, "Commands without the word portctl; - is standard input")
      ->capture_default_str();
  command->add_flag("-k,--keep-going", args->keep_going, "Go on after a command that fails");
  command->footer(R"(
Each line is a change of its own; `portctl apply` makes many changes as one. A word with spaces stands in quotes, # begins
a comment. The options of portctl that are given to the batch hold for every line; a line may have others, but is of the
same gateway. The batch ends at the first command that fails, with its exit status: what stands before has been carried
out. With --json each command is answered by one line, as soon as it is done:
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
    const ExitCode status = Batch(options, args->file, args->keep_going).carry_out_all(in);
    if (status != ok) throw Failure{status, {}};
  });
}

}  // namespace portcullis::portctl
