// What --help says beyond what the commands say of themselves.
#include <array>
#include <string_view>
#include <utility>

#include "src/portctl/commands.h"

namespace portcullis::portctl {
namespace {

using Word = std::pair<std::string_view, const char*>;

// What the value of an option is called.
constexpr std::array value_names{
    Word{"socket", "PATH"},
    Word{"server", "HOST:PORT"},
    Word{"tls-cert", "FILE"},
    Word{"tls-key", "FILE"},
    Word{"tls-ca", "FILE"},
    Word{"tenant", "TENANT"},
    Word{"timeout", "SECONDS"},
    Word{"file", "FILE"},
    Word{"port", "PORT"},
    Word{"mac", "MAC"},
    Word{"dip", "ADDRESS"},
    Word{"dip6", "ADDRESS"},
    Word{"vlan", "VLAN"},
    Word{"vxlan", "REMOTE,VNI"},
    Word{"geneve", "REMOTE,VNI"},
    Word{"pool", "POOL"},
    Word{"eip", "EIP"},
    Word{"interval", "SECONDS"},
    Word{"count", "N"},
    Word{"family", "FAMILY"},
    Word{"reason", "REASON"},
    Word{"address", "ADDRESS"},
    Word{"seconds", "SECONDS"},
    Word{"snap-length", "BYTES"},
    Word{"one-in", "N"},
    Word{"write", "FILE"},
    Word{"from", "SENDER"},
    Word{"to", "ADDRESS"},
    Word{"source-port", "PORT"},
    Word{"flags", "FLAGS"},
    Word{"type", "TYPE"},
    Word{"code", "CODE"},
    Word{"identifier", "ID"},
    Word{"ttl", "TTL"},
    Word{"length", "BYTES"},
    Word{"frame", "HEX"},
    Word{"remote", "PREFIX"},
    Word{"protocol", "PROTOCOL"},
    Word{"local-port", "PORT"},
    Word{"remote-port", "PORT"},
    Word{"eips", "N"},
    Word{"rules", "N"},
    Word{"flows", "N"},
};

// Of commands whose help needs no other words.
constexpr std::array examples{
    Word{"vm delete", "portctl eip release 203.0.113.1 && portctl vm delete web"},
    Word{"vm get", "portctl vm get web\n  portctl vm get tenants/acme/vms/web --json"},
    Word{"pool delete", "portctl pool delete public"},
    Word{"pool get", "portctl pool get public"},
    Word{"pool list", "portctl pool list"},
    Word{"eip release", "portctl eip release 203.0.113.1"},
    Word{"eip get", "portctl eip get 203.0.113.1\n  portctl eip get 203.0.113.1 --json | jq .tags"},
    Word{"permit get",
         "portctl permit get 203.0.113.1\n  portctl permit get 203.0.113.1 --rules > web.rules"},
    Word{"show drops", "portctl show drops\n  portctl show drops --all"},
    Word{"show ports", "portctl show ports"},
    Word{"show workers", "portctl show workers"},
    Word{"show next-hops",
         "portctl show next-hops\n"
         "  portctl show next-hops --json | jq '.nextHops[] | select(.state == \"UNRESOLVED\")'"},
    Word{"show eip", "portctl show eip 203.0.113.1"},
    Word{"show gateway", "portctl show gateway --json"},
    Word{"release-eip", "portctl release-eip 203.0.113.1"},
};

void name_values(CLI::App& app) {
  for (CLI::Option* option :
       app.get_options([](CLI::Option* option) { return option->get_expected_max() != 0; })) {
    if (!option->nonpositional()) option->type_name("");  // its name says it
    for (const auto& [name, value] : value_names)
      if (option->check_lname(std::string(name))) option->type_name(value);
    // A range is for who leaves it.
    if (option->get_type_name().find(" in [") != std::string::npos) option->get_validator()->description("");
  }
}

void add_to(CLI::App& app, const std::string& path) {
  name_values(app);
  bool is_noun = false;
  for (CLI::App* below : app.get_subcommands([](CLI::App*) { return true; })) {
    const std::string& name = below->get_name();  // empty: a group of options
    is_noun |= !name.empty();
    std::string whole = path;
    if (!path.empty() && !name.empty()) whole += " ";
    add_to(*below, whole += name);
  }
  if (!app.get_footer().empty()) return;
  if (is_noun) app.footer("\nportctl " + path + " VERB --help has examples.");
  for (const auto& [command, text] : examples)
    if (command == path) app.footer(std::string("\nExamples:\n  ") + text);
}

}  // namespace

void add_help(CLI::App& app) {
  add_to(app, "");
}

}  // namespace portcullis::portctl
