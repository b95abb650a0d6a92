// Flow entries: listed and cleared.
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include "portcullis/v1/observe_service.grpc.pb.h"
#include "src/portctl/commands.h"
#include "src/portctl/table.h"

namespace portcullis::portctl {
namespace {

using Observe = v1::ObserveService::Stub;

// Which entries the command line means.
struct AskedFlows {
  std::string eip, remote, protocol;
  std::optional<uint32_t> local_port, remote_port;
  bool all = false;

  template <typename Request>
  [[nodiscard]] Request request(const Options& options) const {
    Request request;
    if (!eip.empty()) request.set_eip(eip_name(options, eip));
    v1::FlowFilter filter;
    filter.set_remote(remote);
    filter.set_protocol(protocol);
    if (local_port) filter.set_local_port(*local_port);
    if (remote_port) filter.set_remote_port(*remote_port);
    if (filter.ByteSizeLong() != 0) *request.mutable_filter() = filter;
    return request;
  }
};

void add_asked(CLI::App& command, const std::shared_ptr<AskedFlows>& asked) {
  command.add_option("EIP", asked->eip, "Whose entries; left out: everybody's");
  command.add_option("--remote", asked->remote, "With this other end: a prefix or an address");
  command.add_option("--protocol", asked->protocol, "tcp, udp, icmp, and so on, or a number");
  command.add_option("--local-port", asked->local_port, "The EIP's port; of ICMP the identifier")
      ->check(CLI::Range(0, UINT16_MAX));
  command.add_option("--remote-port", asked->remote_port, "The other end's port")
      ->check(CLI::Range(0, UINT16_MAX));
}

std::string state_text(v1::Flow::State state) {
  switch (state) {
    case v1::Flow::OPENING:
      return "opening";
    case v1::Flow::ESTABLISHED:
      return "established";
    case v1::Flow::CLOSING:
      return "closing";
    default:
      return "";
  }
}

std::string seconds_text(double seconds) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", seconds);
  return text;
}

std::string flow_table(const v1::ListFlowsResponse& reply) {
  Table table({{"EIP"},
               {"PORT", right},
               {"REMOTE"},
               {"PORT", right},
               {"PROTOCOL"},
               {"OPENED"},
               {"STATE"},
               {"EXPIRES", right},
               {"WORKER", right}});
  for (const v1::Flow& flow : reply.flows())
    table.add({flow.eip(), std::to_string(flow.local_port()), flow.remote(),
               std::to_string(flow.remote_port()), flow.protocol(),
               flow.opened() == v1::Flow::INBOUND ? "in" : "out", state_text(flow.state()),
               seconds_text(flow.expires_in_seconds()), std::to_string(flow.worker())});
  return table.empty() ? "no flow entry\n" : table.to_string();
}

}  // namespace

void add_flows(CLI::App& app, const Options& options) {
  CLI::App& noun = add_noun(app, "flows", "Flow entries: what endpoints or tracked rules have opened");

  auto listed = std::make_shared<AskedFlows>();
  CLI::App* list = noun.add_subcommand("list", "Entries that count now (seconds until each expires)");
  add_asked(*list, listed);
  list->footer(
      "\nExamples:\n"
      "  portctl flows list\n"
      "  portctl flows list 203.0.113.1 --protocol tcp --remote 198.51.100.0/24\n"
      "  portctl flows list --json | jq '.flows | length'");
  list->callback([&options, listed] {
    Client client(options);
    const auto reply = list_all(client, &Observe::ListFlows, listed->request<v1::ListFlowsRequest>(options));
    print(options, reply, [&] { return flow_table(reply); });
  });

  auto cleared = std::make_shared<AskedFlows>();
  CLI::App* clear = noun.add_subcommand("clear", "Take entries away; who may open them may do so again");
  add_asked(*clear, cleared);
  clear->add_flag("--all", cleared->all, "Everybody's, if no EIP is given");
  clear->footer(
      "\nExamples:\n"
      "  portctl flows clear 203.0.113.1\n"
      "  portctl flows clear 203.0.113.1 --protocol udp --remote-port 53\n"
      "  portctl flows clear --all --remote 198.51.100.7");
  clear->callback([&options, cleared] {
    if (cleared->eip.empty() != cleared->all)
      throw Failure{usage,
                    "portctl: either one EIP, or --all for the entries of every EIP\n"
                    "  hint:   portctl flows clear --help shows examples\n"};
    const auto reply =
        Client(options).call(&Observe::ClearFlows, cleared->request<v1::ClearFlowsRequest>(options));
    print(options, reply, [&] { return std::to_string(reply.cleared()) + " flow entries cleared\n"; });
  });
}

}  // namespace portcullis::portctl
