// What the gateway would do with one packet, and why.
#include <array>
#include <charconv>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "portcullis/v1/observe_service.grpc.pb.h"
#include "src/net/address.h"
#include "src/portctl/commands.h"
#include "src/portctl/explanation.h"

namespace portcullis::portctl {
namespace {

using Observe = v1::ObserveService::Stub;

constexpr std::array<std::pair<std::string_view, uint32_t>, 5> flag_names{
    {{"fin", 1}, {"syn", 2}, {"rst", 4}, {"psh", 8}, {"ack", 16}}};

// "syn,ack".
std::optional<uint32_t> flags_of(std::string_view text) {
  uint32_t flags = 0;
  while (!text.empty()) {
    const size_t comma = text.find(',');
    uint32_t flag = 0;
    for (const auto& [name, bit] : flag_names)
      if (text.substr(0, comma) == name) flag = bit;
    if (flag == 0) return std::nullopt;
    flags |= flag;
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
  }
  return flags == 0 ? std::nullopt : std::optional(flags);
}

// Hexadecimal digits, with white space and colons between them if one likes.
std::optional<std::string> bytes_of(std::string_view text) {
  std::string digits;
  for (const char c : text)
    if (std::string_view(" \t\r\n:").find(c) == std::string_view::npos) digits += c;
  if (digits.empty() || digits.size() % 2 != 0) return std::nullopt;
  std::string bytes;
  for (size_t at = 0; at < digits.size(); at += 2) {
    uint8_t byte = 0;
    const char* const end = digits.data() + at + 2;
    const auto [stop, error] = std::from_chars(digits.data() + at, end, byte, 16);
    if (error != std::errc() || stop != end) return std::nullopt;
    bytes += static_cast<char>(byte);
  }
  return bytes;
}

// What the command line asks about.
struct AskedPacket {
  std::string from, to, protocol, flags, frame, port;
  std::optional<uint32_t> destination_port, source_port, type, code, identifier, ttl, length;

  [[nodiscard]] v1::ExplainRequest request(const Options& options) const {
    v1::ExplainRequest request;
    if (!frame.empty())
      write_frame(*request.mutable_frame());
    else
      write_fields(options, *request.mutable_fields());
    return request;
  }

 private:
  void write_frame(v1::Frame& message) const {
    std::string text = frame;
    if (frame == "-") {
      const auto read = read_all(std::cin);
      if (!read) throw Failure{usage, "portctl: standard input cannot be read\n"};
      text = *read;
    }
    const auto bytes = bytes_of(text);
    if (!bytes)
      throw Failure{usage,
                    "portctl: a frame is written in hexadecimal digits, two for each byte\n"
                    "  hint:   xxd -p frame.bin | portctl explain --port wan --frame -\n"};
    message.set_port("ports/" + port);
    message.set_data(*bytes);
  }

  void write_fields(const Options& options, v1::PacketFields& fields) const {
    fields.set_source(IpAddr::parse(from) ? from : vm_name(options, from));
    fields.set_destination(to);
    fields.set_protocol(protocol);
    if (destination_port) fields.set_destination_port(*destination_port);
    if (source_port) fields.set_source_port(*source_port);
    if (!flags.empty()) fields.set_tcp_flags(*flags_of(flags));
    if (type) fields.set_icmp_type(*type);
    if (code) fields.set_icmp_code(*code);
    if (identifier) fields.set_icmp_identifier(*identifier);
    if (ttl) fields.set_ttl(*ttl);
    if (length) fields.set_length(*length);
  }
};

}  // namespace

void add_explain(CLI::App& app, const Options& options) {
  auto asked = std::make_shared<AskedPacket>();
  CLI::App& command = *app.add_subcommand(
      "explain", "What would become of one packet, stage by stage, and why; nothing is sent");
  CLI::Option* from = command.add_option("--from", asked->from, "Who sends: an address, an EIP, or a vm");
  CLI::Option* to = command.add_option("--to", asked->to, "Whom the packet is for");
  CLI::Option* protocol = command.add_option("PROTOCOL", asked->protocol,
                                             "tcp, udp, icmp, icmpv6, sctp, gre, esp, ah, or a number");
  command.add_option("PORT", asked->destination_port, "Destination port");
  command.add_option("--source-port", asked->source_port, "Source port; 49152 if left out");
  command.add_option("--flags", asked->flags, "TCP flags, syn,ack; syn if left out")
      ->check([](const std::string& text) {
        return flags_of(text) ? "" : "expected some of fin, syn, rst, psh and ack, with commas between them";
      });
  command.add_option("--type", asked->type, "ICMP type; an echo request if left out");
  command.add_option("--code", asked->code, "ICMP code");
  command.add_option("--identifier", asked->identifier, "ICMP identifier");
  command.add_option("--ttl", asked->ttl, "TTL, or hop limit; 64 if left out");
  command.add_option("--length", asked->length, "Bytes of the IP packet");
  CLI::Option* frame =
      command.add_option("--frame", asked->frame, "A whole frame in hexadecimal digits instead; - reads it");
  CLI::Option* port = command.add_option("--port", asked->port, "The port that the frame comes by");
  frame->needs(port)->excludes(from)->excludes(to)->excludes(protocol);
  port->needs(frame);
  command.footer(
      "\nExamples:\n"
      "  portctl explain --from 198.51.100.7 --to 203.0.113.1 tcp 80\n"
      "  portctl explain --from web --to 198.51.100.7 icmp\n"
      "  portctl explain --from 203.0.113.1 --to 203.0.113.2 udp 53 --json\n"
      "  xxd -p frame.bin | portctl explain --port wan --frame -");
  command.callback([&options, asked] {
    if (asked->frame.empty() && (asked->from.empty() || asked->to.empty() || asked->protocol.empty()))
      throw Failure{usage,
                    "portctl: a packet has --from, --to and a protocol; or give a whole frame by --frame\n"
                    "  hint:   portctl explain --help shows examples\n"};
    const v1::ExplainRequest request = asked->request(options);
    const v1::Explanation reply = Client(options).call(&Observe::Explain, request);
    print(options, reply, [&] { return explanation_text(reply); });
  });
}

}  // namespace portcullis::portctl
