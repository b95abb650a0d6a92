// The commands: each adds a noun with its verbs below `app`. A command's callback does the call and prints.
#pragma once

#include <google/protobuf/message.h>
#include <CLI/CLI.hpp>

#include <functional>
#include <string>
#include <vector>

#include "src/portctl/client.h"

namespace portcullis::portctl {

// provider.cc
void add_vm(CLI::App& app, const Options& options);
void add_pool(CLI::App& app, const Options& options);
// tenant.cc
void add_eip(CLI::App& app, const Options& options);
void add_permit(CLI::App& app, const Options& options);
void add_tag(CLI::App& app, const Options& options);
// The calls by their names in the paper: request-eip, release-eip, set-permit-list, set-tag.
void add_paper_names(CLI::App& app, const Options& options);
// quota.cc
void add_quota(CLI::App& app, const Options& options);
// apply.cc: many changes as one, from a file.
void add_apply(CLI::App& app, const Options& options);
void add_export(CLI::App& app, const Options& options);
void add_import(CLI::App& app, const Options& options);
void add_events(CLI::App& app, const Options& options);
// show.cc
void add_show(CLI::App& app, const Options& options);
// capture.cc
void add_capture(CLI::App& app, const Options& options);
// explain.cc
void add_explain(CLI::App& app, const Options& options);
// flows.cc
void add_flows(CLI::App& app, const Options& options);
// trace.cc
void add_trace(CLI::App& app, const Options& options);
// watch.cc
void add_watch(CLI::App& app, const Options& options);
// batch.cc: many commands, one after another.
void add_batch(CLI::App& app, const Options& options);

// main.cc: all of them, and the options of portctl itself, in an empty `app`.
void add_commands(CLI::App& app, Options& options);
// What became of a command line: prints all but the error.
struct Outcome {
  ExitCode status = ok;
  std::string error;  // for standard error
};
[[nodiscard]] Outcome carry_out(CLI::App& app, std::vector<std::string> words);

// The options of portctl itself.
void add_options(CLI::App& app, Options& options);
// help.cc: names of values, and examples where a command has none; when all commands are there.
void add_help(CLI::App& app);
// usage.cc: what to say on standard error of words that are no command.
[[nodiscard]] std::string usage_message(const CLI::App& app, const CLI::ParseError& error);

// A noun: a command that is nothing without one of its verbs.
CLI::App& add_noun(CLI::App& app, const std::string& name, const std::string& description);

// Prints the reply as JSON if that is asked for, else what `text` makes of it.
void print(const Options& options, const google::protobuf::Message& reply,
           const std::function<std::string()>& text);

// Calls a List method until its last page and returns all as one reply.
template <typename Stub, typename Request, typename Reply>
Reply list_all(Client& client, grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Reply*),
               Request request) {
  Reply all;
  do {
    all.clear_next_page_token();
    all.MergeFrom(client.call(method, request));
    request.set_page_token(all.next_page_token());
  } while (!all.next_page_token().empty());
  return all;
}

}  // namespace portcullis::portctl
