#include "src/portctl/completion.h"

#include <algorithm>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "portcullis/v1/observe_service.grpc.pb.h"
#include "portcullis/v1/provider_service.grpc.pb.h"
#include "portcullis/v1/tenant_service.grpc.pb.h"
#include "src/portctl/command_tree.h"
#include "src/portctl/commands.h"

namespace portcullis::portctl {
namespace {

constexpr double patience = 0.5;         // seconds that a gateway has to name its objects
constexpr uint32_t most_objects = 1000;  // one page

constexpr auto bash_script =
    R"(# Completion of portctl for bash. What may stand where is asked of portctl itself.
_portctl() {
  local rest=${COMP_LINE:0:COMP_POINT} words=() part
  # bash breaks words at : and =, too, and addresses and options have these: put them together again.
  for part in "${COMP_WORDS[@]:0:COMP_CWORD+1}"; do
    if [[ ${#words[@]} == 0 || $rest == [[:space:]]* ]]; then
      rest=${rest#"${rest%%[![:space:]]*}"}
      words+=('')
    fi
    [[ $rest == "$part"* ]] || part=$rest
    words[-1]+=$part
    rest=${rest#"$part"}
  done
  mapfile -t COMPREPLY < <("$1" complete "${words[@]}" 2>/dev/null)
  if [[ ${COMPREPLY[0]-} == :files ]]; then
    COMPREPLY=()
    compopt -o default
    return
  fi
  # What bash takes for the current word begins after the last break.
  local breaks=${COMP_WORDBREAKS//[^:=]/} before=''
  [[ $breaks ]] && before=${words[-1]%"${words[-1]##*[$breaks]}"}
  COMPREPLY=("${COMPREPLY[@]%%$'\t'*}")
  COMPREPLY=("${COMPREPLY[@]#"$before"}")
}
complete -F _portctl portctl
)";

constexpr auto zsh_script = R"(#compdef portctl
# Completion of portctl for zsh. What may stand where is asked of portctl itself.
_portctl() {
  local -a lines described
  local line
  lines=("${(@f)$("${words[1]}" complete "${(@Q)words[1,CURRENT-1]}" "$PREFIX" 2>/dev/null)}")
  if [[ $lines[1] == :files ]]; then
    compset -P '*='
    _files
    return
  fi
  for line in $lines; do
    described+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
  done
  (( $#described )) && _describe 'portctl' described
}
if [[ $funcstack[1] == _portctl ]]; then
  _portctl "$@"
else
  compdef _portctl portctl
fi
)";

// The words before the one that is completed, read from left to right.
struct Before {
  const Command* command;
  const Parameter* option = nullptr;  // whose value comes next
  size_t arguments = 0;
  std::vector<std::string> of_all;  // options of portctl itself, with their values
};

Before read(const Command& root, const std::vector<std::string>& words) {
  Before before{&root};
  for (size_t i = 1; i + 1 < words.size(); ++i) {
    const std::string& word = words[i];
    if (before.option != nullptr) {
      if (root.option(before.option->names.back()) != nullptr) before.of_all.push_back(word);
      before.option = nullptr;
    } else if (word.size() > 1 && word[0] == '-') {
      const size_t equals = word.find('=');
      const std::string name = word.substr(0, equals);
      const Parameter* of_all = root.option(name);
      const Parameter* option = of_all != nullptr ? of_all : before.command->option(name);
      if (of_all != nullptr) before.of_all.push_back(word);
      if (option != nullptr && !option->value.empty() && equals == std::string::npos) before.option = option;
    } else if (const Command* command = before.command->command(word)) {
      before.command = command;
    } else {
      ++before.arguments;
    }
  }
  return before;
}

// The gateway that the words mean, or the environment.
Options options_of(std::vector<std::string> words) {
  Options options;
  CLI::App app;
  add_options(app, options);
  std::ranges::reverse(words);  // as CLI11 takes them
  app.parse(std::move(words));
  options.timeout = patience;
  return options;
}

using Candidates = std::map<std::string, std::string>;  // word -> description

template <typename Objects>
Candidates ids(const Objects& objects) {
  Candidates found;
  for (const auto& object : objects) found.emplace(id_of(object.name()), "");
  return found;
}

Candidates objects(const std::string& kind, const Options& options) {
  const std::string parent = "tenants/" + options.tenant;
  if (kind == "VM") {
    v1::ListVmsRequest request;
    request.set_parent(parent);
    request.set_page_size(most_objects);
    return ids(Client(options).call(&v1::ProviderService::Stub::ListVms, request).vms());
  }
  if (kind == "EIP") {
    v1::ListEipsRequest request;
    request.set_parent(parent);
    request.set_page_size(most_objects);
    return ids(Client(options).call(&v1::TenantService::Stub::ListEips, request).eips());
  }
  if (kind == "POOL") {
    v1::ListPoolsRequest request;
    request.set_page_size(most_objects);
    return ids(Client(options).call(&v1::ProviderService::Stub::ListPools, request).pools());
  }
  Candidates found;
  const v1::ListPortsResponse reply =
      Client(options).call(&v1::ObserveService::Stub::ListPorts, v1::ListPortsRequest());
  for (const v1::PortStatistics& port : reply.ports())
    if (port.role() == v1::PortStatistics::ENDPOINT) found.emplace(id_of(port.name()), "");
  return found;
}

// Of which objects a value is the name: "VM", "EIP", "POOL", "PORT"; empty: of none that there is yet.
std::string kind_of(const Command& command, const std::string& value) {
  if (value != "ID")
    return value == "VM" || value == "EIP" || value == "POOL" || value == "PORT" ? value : "";
  if (command.name() == "create") return "";
  if (command.path.starts_with("vm ")) return "VM";
  return command.path.starts_with("pool ") ? "POOL" : "";
}

// Nothing: file names are meant.
std::optional<Candidates> values_for(const Before& before, const Parameter& parameter) {
  if (parameter.value == "FILE" || parameter.value == "PATH") return std::nullopt;
  Candidates found;
  for (const std::string& choice : parameter.choices) found.emplace(choice, "");
  const std::string kind = kind_of(*before.command, parameter.value);
  if (kind.empty()) return found;
  try {
    return objects(kind, options_of(before.of_all));
  } catch (const Failure&) {  // no gateway, no names
  } catch (const CLI::ParseError&) {
  }
  return found;
}

Candidates options(const Command& root, const Command& command) {
  Candidates found;
  for (const Command* of : {&command, &root})
    for (const Parameter& option : of->options) found.emplace(option.names.back(), option.description);
  return found;
}

std::optional<Candidates> candidates(const Command& root, const Before& before, const std::string& word) {
  const Command& command = *before.command;
  if (before.option != nullptr) return values_for(before, *before.option);
  if (word.starts_with('-')) return options(root, command);
  if (!command.commands.empty()) {
    Candidates found;
    for (const Command& verb : command.commands) found.emplace(verb.name(), verb.description);
    return found;
  }
  if (before.arguments < command.arguments.size())
    return values_for(before, command.arguments[before.arguments]);
  if (!command.arguments.empty() && command.arguments.back().repeats)
    return values_for(before, command.arguments.back());
  return options(root, command);
}

}  // namespace

void add_completion(CLI::App& app) {
  auto shell = std::make_shared<std::string>();
  CLI::App* command =
      app.add_subcommand("completion", "Print a script that makes a shell complete portctl's words");
  command->add_option("SHELL", *shell, "bash or zsh")->required()->check(CLI::IsMember({"bash", "zsh"}));
  command->footer(
      "\nCommands and options come from portctl, names of vms, EIPs, pools and ports from the gateway. "
      "`meson "
      "install`\nputs the scripts where the shells look for them.\n"
      "\nExamples:\n"
      "  source <(portctl completion bash)      for this shell; in ~/.bashrc for all\n"
      "  source <(portctl completion zsh)       the same of zsh, after compinit");
  command->callback([shell] { std::cout << (*shell == "bash" ? bash_script : zsh_script); });
}

std::string complete(const CLI::App& app, const std::vector<std::string>& words) {
  const Command root = command_tree(app);
  Before before = read(root, words);
  std::string word = words.size() > 1 ? words.back() : "";
  // --port=ep: the value of an option that stands with it in one word.
  std::string ahead;
  if (const size_t equals = word.find('='); word.starts_with("--") && equals != std::string::npos) {
    ahead = word.substr(0, equals + 1);
    const std::string name = word.substr(0, equals);
    before.option = before.command->option(name);
    if (before.option == nullptr) before.option = root.option(name);
    if (before.option == nullptr) return "";
    word.erase(0, equals + 1);
  }
  const auto found = candidates(root, before, word);
  if (!found) return ":files\n";
  std::string lines;
  for (const auto& [candidate, description] : *found) {
    if (candidate.starts_with(word))
      lines.append(ahead).append(candidate).append("\t").append(description).append("\n");
  }
  return lines;
}

}  // namespace portcullis::portctl
