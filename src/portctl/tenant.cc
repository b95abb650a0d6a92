// The calls of the paper: EIPs, their permit lists and tags.
#include <fstream>
#include <iostream>
#include <memory>
#include <vector>

#include "portcullis/v1/tenant_service.grpc.pb.h"
#include "src/portctl/commands.h"
#include "src/portctl/rule.h"
#include "src/portctl/table.h"

namespace portcullis::portctl {
namespace {

using Tenant = v1::TenantService::Stub;

std::string joined(const google::protobuf::RepeatedPtrField<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : ",") + part;
  return text;
}

std::string eip_table(const v1::ListEipsResponse& reply) {
  Table table({{"TENANT"}, {"EIP"}, {"VM"}, {"RULES", Table::Align::right}, {"BOUND"}, {"TAGS"}});
  for (const v1::Eip& eip : reply.eips()) {
    std::string bound;
    if (eip.bound_edge()) bound = "edge,";
    if (eip.bound_local()) bound += "local";
    if (eip.keep_established()) bound += ",keeping";
    table.add({tenant_of(eip.name()), eip.address(), id_of(eip.vm()), std::to_string(eip.rule_count()), bound,
               joined(eip.tags())});
  }
  return table.to_string();
}

void add_request_eip(CLI::App& parent, const std::string& name, const Options& options) {
  struct Arguments {
    std::string vm, pool;
    int family = 0;
  };
  auto args = std::make_shared<Arguments>();
  CLI::App* command = parent.add_subcommand(
      name, "Get an EIP for a vm and print its address; the same one if asked again. Nothing reaches it yet");
  command->add_option("VM", args->vm, "The vm")->required();
  command->add_option("--pool", args->pool,
                      "Pool to take it from; otherwise the first one with a free address");
  command
      ->add_option("--family", args->family,
                   "4 or 6; otherwise the only one that the vm has a private address of, or 4")
      ->check(CLI::IsMember({4, 6}));
  command->footer(
      "\nA vm with private addresses of both families may have an EIP of each. A private address that the "
      "pool\n"
      "hands out and that is free becomes the EIP itself.\n"
      "\nExamples:\n  EIP=$(portctl eip request web)\n  EIP6=$(portctl eip request web --family 6)");
  command->callback([&options, args] {
    v1::RequestEipRequest request;
    request.set_vm(vm_name(options, args->vm));
    if (!args->pool.empty()) request.set_pool(pool_name(args->pool));
    if (args->family != 0)
      request.set_family(args->family == 4 ? v1::RequestEipRequest::IPV4 : v1::RequestEipRequest::IPV6);
    const v1::RequestEipResponse reply = Client(options).call(&Tenant::RequestEip, request);
    print(options, reply, [&] { return reply.eip().address() + "\n"; });
  });
}

void add_release_eip(CLI::App& parent, const std::string& name, const Options& options) {
  auto eip = std::make_shared<std::string>();
  CLI::App* command = parent.add_subcommand(
      name,
      "Give an EIP back: its traffic stops at once, and the address rests before it is handed out again");
  command->add_option("EIP", *eip, "The EIP")->required();
  command->callback([&options, eip] {
    v1::ReleaseEipRequest request;
    request.set_name(eip_name(options, *eip));
    const v1::ReleaseEipResponse reply = Client(options).call(&Tenant::ReleaseEip, request);
    print(options, reply, [&] {
      return id_of(request.name()) + " is released (generation " + std::to_string(reply.generation()) + ")\n";
    });
  });
}

// Parses a line or ends the command with where it came from, what is wrong and a caret.
v1::PermitRule rule_of(const std::string& line, const std::string& where) {
  const tl::expected<v1::PermitRule, RuleError> rule = parse_rule(line);
  if (!rule.has_value()) throw Failure{usage, "portctl: " + where + explain(line, rule.error()) + "\n"};
  return *rule;
}

// One rule a line; `#` begins a comment.
std::vector<v1::PermitRule> rules_of_file(const std::string& path) {
  std::ifstream file;
  if (path != "-") {
    file.open(path);
    if (!file) throw Failure{usage, "portctl: cannot read " + path + "\n"};
  }
  std::istream& in = path == "-" ? std::cin : file;
  std::vector<v1::PermitRule> rules;
  std::string line;
  for (size_t number = 1; std::getline(in, line); ++number) {
    line.resize(std::min(line.find('#'), line.size()));
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    rules.push_back(rule_of(line, path + ":" + std::to_string(number) + ": "));
  }
  if (in.bad()) throw Failure{usage, "portctl: cannot read " + path + "\n"};
  return rules;
}

// What a command takes as rules: words or a file.
struct RuleArguments {
  std::vector<std::string> words;
  std::string file;

  void add_options(CLI::App& command) {
    CLI::Option* rules =
        command.add_option("RULE", words, "Rules, see below; each is one argument or several");
    command.add_option("-f,--file", file, "Read rules from a file, one a line; - is standard input")
        ->excludes(rules);
  }
  // With names. `hint`: what to do when there is none.
  [[nodiscard]] std::vector<v1::PermitRule> list(const std::string& hint) const {
    std::vector<v1::PermitRule> rules;
    if (!file.empty()) rules = rules_of_file(file);
    for (const std::string& line : join_rules(words)) rules.push_back(rule_of(line, ""));
    if (rules.empty())
      throw Failure{usage, "portctl: " + (file.empty() ? "no rule is given" : file + " holds no rule") +
                               "\n  hint:   " + hint + "\n"};
    for (const v1::PermitRule& rule : rules)
      if (const std::string text = doubt(rule); !text.empty()) std::cerr << "portctl: note: " << text << "\n";
    name_rules(rules);
    return rules;
  }
};

constexpr auto rule_grammar = R"(
A rule:
  [NAME=](in|out) PROTO [PORTS] (from|to) (any|PREFIX[,...]|tag:T[,tag:U]) [port PORTS] [type T[/C]] [tracked]
  PROTO is tcp, udp, icmp, icmpv6, sctp, gre, esp, ah, any or an IANA number; icmp is for IPv4 EIPs, icmpv6 for IPv6
  ones, and so are PREFIXes of their family. PORTS, 80 or 80-90, are the endpoint's own; the other end's follow the
  word port. An `in` rule permits replies too, by tcp, udp, icmp, icmpv6 and sctp; an `out` rule always does.
)";

// Any of the answers that hold a list.
template <typename Reply>
void print_list(const Options& options, const std::string& eip, const Reply& reply) {
  print(options, reply, [&] {
    const int count = reply.permit_list().rules_size();
    return id_of(eip) + ": " + std::to_string(count) + (count == 1 ? " rule" : " rules") +
           " in force (generation " + std::to_string(reply.generation()) + ")\n";
  });
}

void add_set_permit_list(CLI::App& parent, const std::string& name, const Options& options) {
  struct Arguments {
    std::string eip;
    RuleArguments rules;
    bool empty = false, keep_established = false;
  };
  auto args = std::make_shared<Arguments>();
  CLI::App* command = parent.add_subcommand(
      name, "Replace the whole permit list; what the new one does not permit stops at once");
  command->add_option("EIP", args->eip, "The EIP")->required();
  args->rules.add_options(*command);
  command->add_flag("--empty", args->empty, "An empty list: nothing passes")
      ->excludes(command->get_option("RULE"))
      ->excludes(command->get_option("--file"));
  command->add_flag("--keep-established", args->keep_established,
                    "Flows that have an entry may finish under the old list");
  command->footer(std::string(rule_grammar) + R"(
Examples:
  portctl permit set 203.0.113.1 in tcp 80 from any
  portctl permit set 203.0.113.1 'web=in tcp 80-90 from 198.51.100.0/24,192.0.2.7' 'out udp to any port 53'
  portctl permit set 203.0.113.1 'in tcp 5432 from tag:web' 'ping=in icmp from any type 8'
  portctl permit set 2001:db8:5::7 'in tcp 443 from 2001:db8:1::/48' 'ping=in icmpv6 from any type 128'
  portctl permit get 203.0.113.1 --rules | sed 's/ 80 / 8080 /' | portctl permit set 203.0.113.1 -f -
  portctl permit set 203.0.113.1 --empty)");
  command->callback([&options, args] {
    v1::SetPermitListRequest request;
    request.set_eip(eip_name(options, args->eip));
    if (!args->empty) {
      const auto list = args->rules.list("--empty sets an empty list: nothing passes");
      request.mutable_rules()->Assign(list.begin(), list.end());
    }
    request.set_keep_established(args->keep_established);
    print_list(options, request.eip(), Client(options).call(&Tenant::SetPermitList, request));
  });
}

void add_add_permit_rules(CLI::App& parent, const Options& options) {
  struct Arguments {
    std::string eip;
    RuleArguments rules;
  };
  auto args = std::make_shared<Arguments>();
  CLI::App* command = parent.add_subcommand("add", "Add rules to a permit list; one that is there stays");
  command->add_option("EIP", args->eip, "The EIP")->required();
  args->rules.add_options(*command);
  command->footer(std::string(rule_grammar) + R"(
A rule without a NAME gets one that follows from what it says: `permit get` shows it.

Examples:
  portctl permit add 203.0.113.1 https=in tcp 443 from any
  portctl permit add 203.0.113.1 'in tcp 22 from 198.51.100.0/24' 'out udp to any port 53')");
  command->callback([&options, args] {
    v1::AddPermitRulesRequest request;
    request.set_eip(eip_name(options, args->eip));
    const auto list = args->rules.list("permit add EIP 'in tcp 80 from any'");
    request.mutable_rules()->Assign(list.begin(), list.end());
    print_list(options, request.eip(), Client(options).call(&Tenant::AddPermitRules, request));
  });
}

void add_remove_permit_rules(CLI::App& parent, const Options& options) {
  struct Arguments {
    std::string eip;
    std::vector<std::string> names;
    bool keep_established = false;
  };
  auto args = std::make_shared<Arguments>();
  CLI::App* command = parent.add_subcommand(
      "remove", "Take rules from a permit list by their names; what the rest does not permit stops at once");
  command->add_option("EIP", args->eip, "The EIP")->required();
  command->add_option("NAME", args->names, "Names of rules, as `permit get` shows them")->required();
  command->add_flag("--keep-established", args->keep_established,
                    "Flows that have an entry may finish under the old list");
  command->footer(
      "\nA name that the list does not have is as good as removed.\n"
      "\nExamples:\n"
      "  portctl permit remove 203.0.113.1 https\n"
      "  portctl permit remove 203.0.113.1 in-tcp-22-from-198-51-100-0-24 out-udp-to-any-port-53");
  command->callback([&options, args] {
    v1::RemovePermitRulesRequest request;
    request.set_eip(eip_name(options, args->eip));
    request.mutable_names()->Assign(args->names.begin(), args->names.end());
    request.set_keep_established(args->keep_established);
    print_list(options, request.eip(), Client(options).call(&Tenant::RemovePermitRules, request));
  });
}

void add_set_tag(CLI::App& parent, const std::string& name, const Options& options) {
  struct Arguments {
    std::string eip;
    std::vector<std::string> tags;
  };
  auto args = std::make_shared<Arguments>();
  CLI::App* command = parent.add_subcommand(name, "Replace an EIP's tags; none clears them");
  command->add_option("EIP", args->eip, "The EIP")->required();
  command->add_option("TAG", args->tags, "Tags: a-z, 0-9 and -");
  command->footer(
      "\nExamples:\n"
      "  portctl tag set 203.0.113.1 web batch\n"
      "  portctl tag set 203.0.113.1              clears them: rules that name a tag no longer mean this "
      "EIP");
  command->callback([&options, args] {
    v1::SetTagRequest request;
    request.set_eip(eip_name(options, args->eip));
    request.mutable_tags()->Assign(args->tags.begin(), args->tags.end());
    const v1::SetTagResponse reply = Client(options).call(&Tenant::SetTag, request);
    print(options, reply, [&] {
      const std::string tags = reply.eip().tags().empty() ? "no tags" : "tags " + joined(reply.eip().tags());
      return reply.eip().address() + ": " + tags + " (generation " + std::to_string(reply.generation()) +
             ")\n";
    });
  });
}

}  // namespace

void add_eip(CLI::App& app, const Options& options) {
  CLI::App& noun =
      add_noun(app, "eip", "Endpoint addresses: publicly routable, default-off, one a vm and family");
  add_request_eip(noun, "request", options);
  add_release_eip(noun, "release", options);

  auto eip = std::make_shared<std::string>();
  CLI::App* get = noun.add_subcommand("get", "Show one EIP");
  get->add_option("EIP", *eip, "The EIP")->required();
  get->callback([&options, eip] {
    v1::GetEipRequest request;
    request.set_name(eip_name(options, *eip));
    const v1::Eip reply = Client(options).call(&Tenant::GetEip, request);
    print(options, reply, [&] {
      v1::ListEipsResponse list;
      *list.add_eips() = reply;
      return eip_table(list);
    });
  });

  CLI::App* list = noun.add_subcommand("list", "Show the tenant's EIPs");
  list->footer("\nExample:\n  portctl eip list --tenant -        the EIPs of all tenants");
  list->callback([&options] {
    v1::ListEipsRequest request;
    request.set_parent("tenants/" + options.tenant);
    Client client(options);
    const v1::ListEipsResponse reply = list_all(client, &Tenant::ListEips, request);
    print(options, reply, [&] { return eip_table(reply); });
  });
}

void add_permit(CLI::App& app, const Options& options) {
  CLI::App& noun = add_noun(app, "permit", "Permit lists: what may reach an EIP, and what it may reach");
  add_set_permit_list(noun, "set", options);
  add_add_permit_rules(noun, options);
  add_remove_permit_rules(noun, options);

  struct Arguments {
    std::string eip;
    bool rules = false;
  };
  auto args = std::make_shared<Arguments>();
  CLI::App* get = noun.add_subcommand("get", "Show an EIP's permit list");
  get->add_option("EIP", args->eip, "The EIP")->required();
  get->add_flag("--rules", args->rules, "One NAME=RULE a line, as `permit set -f` reads them");
  get->callback([&options, args] {
    v1::GetPermitListRequest request;
    request.set_eip(eip_name(options, args->eip));
    const v1::PermitList reply = Client(options).call(&Tenant::GetPermitList, request);
    print(options, reply, [&] {
      std::string lines;
      Table table({{"NAME"}, {"RULE"}});
      for (const v1::PermitRule& rule : reply.rules()) {
        lines += rule.name() + "=" + to_line(rule) + "\n";
        table.add({rule.name(), to_line(rule)});
      }
      if (args->rules) return lines;
      return table.empty() ? "the list is empty: nothing passes\n" : table.to_string();
    });
  });
}

void add_tag(CLI::App& app, const Options& options) {
  add_set_tag(add_noun(app, "tag", "Tags: names that rules may use instead of prefixes"), "set", options);
}

void add_paper_names(CLI::App& app, const Options& options) {
  add_request_eip(app, "request-eip", options);
  add_release_eip(app, "release-eip", options);
  add_set_permit_list(app, "set-permit-list", options);
  add_set_tag(app, "set-tag", options);
  for (const char* name : {"request-eip", "release-eip", "set-permit-list", "set-tag"})
    app.get_subcommand(name)->group("The calls of the paper, by its names");
}

}  // namespace portcullis::portctl
