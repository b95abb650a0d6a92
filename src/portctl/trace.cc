// What the stages make of live packets.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <iostream>
#include <memory>
#include <string>
#include <utility>

#include "portcullis/v1/observe_service.grpc.pb.h"
#include "src/portctl/commands.h"
#include "src/portctl/explanation.h"
#include "src/portctl/looking.h"

namespace portcullis::portctl {
namespace {

struct TraceArguments : PacketFilter {
  uint32_t count = 0;
};

// RFC 3339, in UTC, with microseconds.
std::string time_text(uint64_t nanoseconds) {
  constexpr uint64_t second = 1'000'000'000, microsecond = 1000;
  const auto seconds = static_cast<std::time_t>(nanoseconds / second);
  std::tm fields{};
  gmtime_r(&seconds, &fields);
  char text[40];
  const size_t length = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &fields);
  std::snprintf(text + length, sizeof text - length, ".%06uZ",
                static_cast<unsigned>(nanoseconds % second / microsecond));
  return text;
}

// A line of when, where and who, what Explain would say, and an empty line.
std::string packet_text(const v1::TracedPacket& packet) {
  const v1::Explanation& explanation = packet.explanation();
  const v1::Frame& received = explanation.received();
  return time_text(packet.time_ns()) + " " + id_of(received.port()) + ", " +
         std::to_string(received.length()) + " bytes, " + received.headers() + "\n" +
         explanation_text(explanation) + "\n";
}

void trace(const Options& options, const TraceArguments& args) {
  Client client(options);
  end_by_signals();
  auto request = request_of<v1::TraceRequest>(options, args);
  request.set_packets(args.count);
  uint64_t told = 0, lost = 0;
  bool has_begun = false;
  client.stream(&v1::ObserveService::Stub::Trace, request, true, [&](const v1::TraceChunk& chunk) {
    if (!std::exchange(has_begun, true)) std::cerr << "tracing; Ctrl-C ends it\n";
    for (const v1::TracedPacket& packet : chunk.packets())
      std::cout << (options.json ? to_json_line(packet) : packet_text(packet));
    std::cout << std::flush;
    told = chunk.told();
    lost = chunk.lost();
    return std::cout.good() && !is_ended();
  });
  if (!std::cout.good())
    throw Failure{refused, std::string("portctl: cannot write the trace: ") + std::strerror(errno) + "\n"};
  std::cerr << packet_totals(told, lost) << "\n";
}

}  // namespace

void add_trace(CLI::App& app, const Options& options) {
  constexpr uint32_t most_packets = 100'000, most = 1'000'000'000;
  auto args = std::make_shared<TraceArguments>();
  CLI::App* command = app.add_subcommand("trace", "What the stages make of packets as they come, and why");
  command->add_flag("--dropped", args->dropped, "Packets that are dropped, or answered because they are");
  command->add_flag("--passed", args->passed, "Packets that pass: --transmitted --punted");
  command->add_flag("--transmitted", args->transmitted, "Packets that leave, and those that are answered");
  command->add_flag("--punted", args->punted, "Packets to the gateway's own addresses that are permitted");
  command
      ->add_option("--reason", args->reasons,
                   "Packets that are dropped for it (portctl show drops --all); may be repeated")
      ->take_all();
  command->add_option("--port", args->ports, "Packets that come by it; may be repeated")->take_all();
  command->add_option("--eip", args->eip, "Packets to the EIP, and from its vm's private address");
  command->add_option("--address", args->address, "Packets to or from the address, as they come");
  command->add_option("--count", args->count, "End after so many packets; otherwise 100")
      ->check(CLI::Range(1u, most_packets));
  command->add_option("--seconds", args->seconds, "End after so many seconds; otherwise 300")
      ->check(CLI::Range(1, 86'400));
  command->add_option("--one-in", args->one_in, "One of so many packets that come; otherwise each")
      ->check(CLI::Range(1u, most));
  command->footer(
      "\nIt ends by itself, or by Ctrl-C. Without one of the options from --dropped to --punted all\n"
      "packets are told, with --reason those that are dropped. A packet is told if all options say so,\n"
      "as explain tells one: each stage, on which worker, and by which rule. The gateway is not slowed:\n"
      "what there is no room to tell of is counted as lost. One capture or trace at a time.\n"
      "\nExamples:\n"
      "  portctl trace --eip 203.0.113.1 --count 10\n"
      "  portctl trace --dropped --address 198.51.100.2\n"
      "  portctl trace --reason destination_not_permitted --port uplink --seconds 10\n"
      "  portctl --json trace --passed --one-in 1000 --count 5");
  command->callback([&options, args] { trace(options, *args); });
}

}  // namespace portcullis::portctl
