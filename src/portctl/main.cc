// portctl: the command line of Portcullis. A gRPC client and nothing else.
#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "src/portctl/commands.h"
#include "src/portctl/completion.h"
#include "src/portctl/manual.h"

namespace portcullis::portctl {
namespace {

constexpr auto summary =
    "Portcullis from the command line: endpoint addresses, default-off, and what they permit.";

constexpr auto first_examples = R"(
Examples:
  portctl pool create public 203.0.113.0/24             a range to take addresses from
  portctl vm create web --port vm0 --mac 02:00:00:00:00:01 --dip 10.0.0.2
  portctl eip request web                               an address: nothing reaches it yet
  portctl permit set 203.0.113.1 'in tcp 80 from any'   now port 80 is open, and no other
  portctl permit set 203.0.113.1 --empty                and closed again, at once
  portctl show drops                                    why packets were dropped
  portctl watch                                         rates, each second
  portctl capture --dropped -w drops.pcapng             the packets themselves, with the reason
  portctl trace --eip 203.0.113.1                       what each stage makes of packets as they come
  portctl NOUN VERB --help                              more, with examples

A rule: [NAME=](in|out) PROTO [PORTS] (from|to) (any|PREFIX[,...]|tag:T[,tag:U]) [port PORTS] [type T[/C]] [tracked]
An object is named by its id, or whole: tenants/T/vms/ID, tenants/T/eips/A.B.C.D, pools/P.
Exit status: 0 ok, 1 refused by portcullisd, 2 wrong usage, 3 portcullisd not reached.)";

}  // namespace

void add_options(CLI::App& app, Options& options) {
  app.add_option("--socket", options.socket, "UNIX socket of portcullisd")
      ->envname("PORTCULLIS_SOCKET")
      ->capture_default_str();
  app.add_option("--server", options.server, "portcullisd over TLS instead: HOST:PORT")
      ->envname("PORTCULLIS_SERVER");
  app.add_option("--tls-cert", options.tls_certificate, "With --server: PEM file of your certificate")
      ->envname("PORTCULLIS_TLS_CERT");
  app.add_option("--tls-key", options.tls_key, "With --server: PEM file of its private key")
      ->envname("PORTCULLIS_TLS_KEY");
  app.add_option("--tls-ca", options.tls_ca,
                 "With --server: PEM file of who issued the gateway's certificate")
      ->envname("PORTCULLIS_TLS_CA");
  app.add_option("--tenant", options.tenant, "Tenant whose objects are meant; in lists - means all tenants")
      ->envname("PORTCULLIS_TENANT")
      ->capture_default_str();
  app.add_flag("--json", options.json, "Print replies and errors as JSON, every field");
  app.add_option("--timeout", options.timeout, "Seconds to wait for each answer")
      ->check(CLI::Range(0.001, 86400.0))
      ->capture_default_str();
  app.add_option("--expected-generation", options.expected_generation,
                 "Change nothing unless the state is of this generation");
  app.add_option("--request-id", options.request_id,
                 "Change something once: a repeat with this id, within a day, gets the same answer");
}

void add_commands(CLI::App& app, Options& options) {
  app.name("portctl")->description(summary);
  app.fallthrough();  // the options below may stand anywhere
  app.require_subcommand(1);
  app.set_version_flag("--version", "portctl " PORTCULLIS_VERSION);
  add_options(app, options);

  add_vm(app, options);
  add_pool(app, options);
  add_eip(app, options);
  add_permit(app, options);
  add_tag(app, options);
  add_quota(app, options);
  add_apply(app, options);
  add_export(app, options);
  add_import(app, options);
  add_events(app, options);
  add_show(app, options);
  add_explain(app, options);
  add_flows(app, options);
  add_watch(app, options);
  add_capture(app, options);
  add_trace(app, options);
  add_batch(app, options);
  add_paper_names(app, options);
  add_completion(app);
  add_manual(app);
  app.footer(first_examples);
  add_help(app);
}

Outcome carry_out(CLI::App& app, std::vector<std::string> words) {
  try {
    std::ranges::reverse(words);  // as CLI11 takes them
    app.parse(std::move(words));
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return {static_cast<ExitCode>(app.exit(error)), {}};  // --help, --version
    return {usage, usage_message(app, error)};
  } catch (const Failure& failure) {
    return {failure.code, failure.text};
  }
  return {};
}

namespace {

int run(int argc, char** argv) {
  setenv("GRPC_VERBOSITY", "NONE", 0);  // what it has to say is in the status of the call
  Options options;
  CLI::App app;
  add_commands(app, options);

  const std::vector<std::string> words(argv + 1, argv + argc);
  if (!words.empty() && words.front() == "complete") {  // the shells' scripts ask
    std::cout << complete(app, {words.begin() + 1, words.end()});
    return ok;
  }

  const auto [status, error] = carry_out(app, words);
  std::cerr << error;
  return status;
}

}  // namespace

CLI::App& add_noun(CLI::App& app, const std::string& name, const std::string& description) {
  CLI::App* noun = app.add_subcommand(name, description);
  noun->require_subcommand(1);
  return *noun;
}

void print(const Options& options, const google::protobuf::Message& reply,
           const std::function<std::string()>& text) {
  std::cout << (options.json ? to_json(reply) : text());
}

}  // namespace portcullis::portctl

// NOLINTNEXTLINE(bugprone-exception-escape): only for want of memory, and then nothing else is left to do.
int main(int argc, char** argv) {
  return portcullis::portctl::run(argc, argv);
}
