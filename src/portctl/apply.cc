// Many changes as one: a file of operations, and the whole state as a document. And changes as they come.
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/util/json_util.h>

#include <fstream>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "portcullis/v1/observe_service.grpc.pb.h"
#include "portcullis/v1/provider_service.grpc.pb.h"
#include "src/portctl/commands.h"

namespace portcullis::portctl {
namespace {

using Provider = v1::ProviderService::Stub;
using google::protobuf::Message;

// The first thing that is wrong with a text.
class FirstError final : public google::protobuf::io::ErrorCollector {
 public:
  void AddError(int line, google::protobuf::io::ColumnNumber column, const std::string& message) override {
    if (text.empty()) text = std::to_string(line + 1) + ":" + std::to_string(column + 1) + ": " + message;
  }
  std::string text;
};

std::string read(const std::string& path) {
  std::ifstream file;
  if (path != "-") file.open(path);
  std::optional<std::string> text = read_all(path == "-" ? std::cin : file);
  if (!text) throw Failure{usage, "portctl: cannot read " + path + "\n"};
  return std::move(*text);
}

// JSON if it begins with a brace, else Protobuf text.
void parse(const std::string& path, Message& message) {
  const std::string text = read(path);
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first != std::string::npos && text[first] == '{') {
    const auto status = google::protobuf::util::JsonStringToMessage(text, &message);
    if (!status.ok()) throw Failure{usage, "portctl: " + path + ": " + std::string(status.message()) + "\n"};
    return;
  }
  FirstError error;
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&error);
  if (!parser.ParseFromString(text, &message))
    throw Failure{usage, "portctl: " + path + ":" + error.text + "\n"};
}

// A file that was cut short or is a wrong one shall not delete everything.
void read_document(const std::string& path, v1::Document& document) {
  constexpr auto hint = "\n  hint:   --empty makes the state empty\n";
  if (path.empty())
    throw Failure{usage, std::string("portctl: no document is given; -f FILE names one") + hint};
  parse(path, document);
  if (document.pools().empty() && document.vms().empty() && document.eips().empty() &&
      document.resting().empty() && document.quotas().empty())
    throw Failure{usage, "portctl: " + path + " holds no object" + hint};
}

std::string_view verb_of(v1::ObjectChange::Kind kind) {
  switch (kind) {
    case v1::ObjectChange::CREATED:
      return "created";
    case v1::ObjectChange::DELETED:
      return "deleted";
    default:
      return "changed";
  }
}

// Any of the answers that say what was done to which object.
template <typename Reply>
std::string changes_text(const Reply& reply, bool dry_run) {
  std::string text;
  for (const v1::ObjectChange& change : reply.changes())
    text += std::string(verb_of(change.kind())) + " " + change.name() + "\n";
  const int count = reply.changes_size();
  return text + (dry_run ? "would change " : "") + std::to_string(count) +
         (count == 1 ? " object" : " objects") + (dry_run ? "" : " changed") + " (generation " +
         std::to_string(reply.generation()) + ")\n";
}

struct FileArguments {
  std::string file;
  bool dry_run = false;

  void add_options(CLI::App& command) {
    command.add_option("-f,--file", file, "Protobuf text or JSON; - is standard input")->required();
    command.add_flag("--dry-run", dry_run, "Check it and show what it would change; change nothing");
  }
};

}  // namespace

void add_apply(CLI::App& app, const Options& options) {
  auto args = std::make_shared<FileArguments>();
  CLI::App* command = app.add_subcommand("apply", "Carry out a file of operations, all or none");
  args->add_options(*command);
  command->footer(R"(
An operation is a request of the API, docs/api.md; they are carried out in their order as one change. What is as the file
wants it stays untouched, so that a file can be applied again.

A file:
  operations { create_pool { pool { name: "pools/public" prefix: "203.0.113.0/24" kind: LOCAL } } }
  operations { create_vm { vm { name: "tenants/acme/vms/web" location { port: "vm0" mac: "02:00:00:00:00:01" }
                                dip: "10.0.0.2" } } }
  operations { request_eip { vm: "tenants/acme/vms/web" } }

Examples:
  portctl apply -f town.txtpb --dry-run
  portctl apply -f town.txtpb --expected-generation 12)");
  command->callback([&options, args] {
    v1::ApplyRequest request;
    parse(args->file, request);
    if (args->dry_run) request.set_dry_run(true);
    const v1::ApplyResponse reply = Client(options).call(&Provider::Apply, request);
    print(options, reply, [&] { return changes_text(reply, request.dry_run()); });
  });
}

void add_export(CLI::App& app, const Options& options) {
  CLI::App* command = app.add_subcommand(
      "export", "Print the whole state as one document: Protobuf text, or JSON with --json");
  command->footer("\nExample:\n  portctl export > state.txtpb        portctl import -f state.txtpb reads it");
  command->callback([&options] {
    const v1::Document reply = Client(options).call(&Provider::Export, v1::ExportRequest());
    print(options, reply, [&] {
      std::string text;
      google::protobuf::TextFormat::PrintToString(reply, &text);
      return text;
    });
  });
}

void add_import(CLI::App& app, const Options& options) {
  auto args = std::make_shared<FileArguments>();
  CLI::App* command =
      app.add_subcommand("import", "Make the state be what a document says; what it lacks is deleted");
  args->add_options(*command);
  auto empty = std::make_shared<bool>(false);
  command->add_flag("--empty", *empty, "Instead of a document: nothing, and all is deleted")
      ->excludes(command->get_option("--file")->required(false));
  command->footer(R"(
A document is what `portctl export` prints. What is there as the document has it stays untouched, with its flows.

Examples:
  portctl import -f state.txtpb --dry-run
  portctl import -f state.txtpb --expected-generation 12
  portctl import --empty)");
  command->callback([&options, args, empty] {
    v1::ImportRequest request;
    request.mutable_document();
    if (!*empty) read_document(args->file, *request.mutable_document());
    request.set_dry_run(args->dry_run);
    const v1::ImportResponse reply = Client(options).call(&Provider::Import, request);
    print(options, reply, [&] { return changes_text(reply, args->dry_run); });
  });
}

void add_events(CLI::App& app, const Options& options) {
  struct Arguments {
    std::optional<uint64_t> after;
    bool follow = false;
  };
  auto args = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("events", "Show what has changed, generation by generation");
  command->add_option("--after", args->after,
                      "Begin after this generation; otherwise with the oldest that is held");
  command->add_flag("--follow", args->follow, "Go on as changes come, until you end it");
  command->footer(
      "\nA line for each object: generation, what was done, name. With --json a line for each generation, of "
      "one\n"
      "tenant also some without changes: until there nothing was its own. The gateway holds the last changes "
      "since\n"
      "it started; of older ones it says that they are gone.\n"
      "\nExamples:\n"
      "  portctl events --tenant -                       of all tenants, and pools\n"
      "  portctl events --tenant acme --after 120 --follow");
  command->callback([&options, args] {
    v1::WatchEventsRequest request;
    request.set_parent("tenants/" + options.tenant);
    if (args->after) request.set_after_generation(*args->after);
    request.set_until_now(!args->follow);
    Client(options).stream(&v1::ObserveService::Stub::WatchEvents, request, args->follow,
                           [&](const v1::Event& event) {
                             if (options.json) std::cout << to_json_line(event);
                             for (const v1::ObjectChange& change : event.changes())
                               if (!options.json)
                                 std::cout << event.generation() << " " << verb_of(change.kind()) << " "
                                           << change.name() << "\n";
                             std::cout.flush();
                             return true;
                           });
  });
}

}  // namespace portcullis::portctl
