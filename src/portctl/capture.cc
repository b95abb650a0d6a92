// Packets of the gateway, as a pcapng file.
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "portcullis/v1/observe_service.grpc.pb.h"
#include "src/portctl/commands.h"
#include "src/portctl/looking.h"

namespace portcullis::portctl {
namespace {

struct CaptureArguments : PacketFilter {
  bool received = false;
  uint64_t count = 0;
  uint32_t snap_length = 0;
  std::string file;
};

v1::CaptureRequest request_of(const Options& options, const CaptureArguments& args) {
  auto request = request_of<v1::CaptureRequest>(options, static_cast<const PacketFilter&>(args));
  if (args.received) request.add_fates(v1::CaptureRequest::RECEIVED);
  request.set_snap_length(args.snap_length);
  request.set_packets(args.count);
  return request;
}

// The file that is written, or standard output.
class Output {
 public:
  explicit Output(std::string path) : path_(std::move(path)) {}
  ~Output() { close(); }
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  [[nodiscard]] bool is_standard() const { return path_ == "-"; }
  // Opened by the first piece: a capture that is refused leaves no file. False: it is said in error().
  [[nodiscard]] bool write(const std::string& piece) {
    if (file_ == nullptr) file_ = is_standard() ? stdout : std::fopen(path_.c_str(), "wb");
    if (file_ == nullptr || std::fwrite(piece.data(), 1, piece.size(), file_) != piece.size() ||
        std::fflush(file_) != 0)
      error_ = std::strerror(errno);
    return error_.empty();
  }
  [[nodiscard]] const std::string& error() const { return error_; }

 private:
  void close() {
    if (file_ != nullptr && !is_standard()) std::fclose(file_);
  }
  const std::string path_;
  std::FILE* file_ = nullptr;
  std::string error_;
};

void capture(const Options& options, const CaptureArguments& args) {
  if (args.file == "-" && isatty(STDOUT_FILENO) != 0)
    throw Failure{usage,
                  "portctl: -w - writes a pcapng file to the terminal\n  hint:   portctl capture -w - | "
                  "tshark -r - reads it; or name a file\n"};
  Client client(options);
  Output output(args.file);
  end_by_signals();
  const bool shows_progress = isatty(STDERR_FILENO) != 0 && !options.json;
  v1::CaptureChunk last;
  client.stream(&v1::ObserveService::Stub::Capture, request_of(options, args), true,
                [&](const v1::CaptureChunk& chunk) {
                  last.set_packets(chunk.packets());
                  last.set_lost(chunk.lost());
                  if (shows_progress)
                    std::cerr << "\r" << packet_totals(chunk.packets(), chunk.lost()) << std::flush;
                  return output.write(chunk.pcapng()) && !is_ended();
                });
  if (shows_progress) std::cerr << "\r";
  if (!output.error().empty())
    throw Failure{refused, "portctl: cannot write " + args.file + ": " + output.error() + "\n"};
  std::ostream& said = output.is_standard() || !options.json ? std::cerr : std::cout;
  if (options.json)
    said << nlohmann::ordered_json{{"packets", last.packets()}, {"lost", last.lost()}, {"file", args.file}}
                .dump()
         << "\n";
  else
    said << packet_totals(last.packets(), last.lost()) << "\n";
}

}  // namespace

void add_capture(CLI::App& app, const Options& options) {
  constexpr uint32_t most = 1'000'000'000;
  auto args = std::make_shared<CaptureArguments>();
  CLI::App* command =
      app.add_subcommand("capture", "Write packets to a pcapng file, with the reason why they were dropped");
  command->add_flag("--dropped", args->dropped, "Packets that are dropped, as the stage found them");
  command->add_flag("--passed", args->passed, "Packets that pass: --transmitted --punted");
  command->add_flag("--received", args->received, "Packets as they come in by a port");
  command->add_flag("--transmitted", args->transmitted, "Packets as they leave by a port");
  command->add_flag("--punted", args->punted, "Packets to the gateway's own addresses that are permitted");
  command
      ->add_option("--reason", args->reasons,
                   "Packets that are dropped for it (portctl show drops --all); may be repeated")
      ->take_all();
  command
      ->add_option("--port", args->ports, "Packets that come or, transmitted, leave by it; may be repeated")
      ->take_all();
  command->add_option("--eip", args->eip, "Packets to and from the EIP, or its vm's private address");
  command->add_option("--address", args->address, "Packets to or from the address");
  command->add_option("--count", args->count, "End after so many packets")
      ->check(CLI::Range(uint64_t{1}, uint64_t{most}));
  command->add_option("--seconds", args->seconds, "End after so many seconds")->check(CLI::Range(1, 86'400));
  command->add_option("--snap-length", args->snap_length, "Bytes of each frame; otherwise all")
      ->check(CLI::Range(1, 65'535));
  command->add_option("--one-in", args->one_in, "One of so many packets; otherwise each")
      ->check(CLI::Range(1u, most));
  command->add_option("-w,--write", args->file, "File to write; - is standard output")->required();
  command->footer(
      "\nWithout a limit it goes on until Ctrl-C. Without one of the options from --dropped to --punted all\n"
      "are written, with --reason those that are dropped. A packet is written if all options say so. The\n"
      "comment of a dropped packet is its reason. The gateway is not slowed: what there is no room to copy\n"
      "is counted as lost. One capture or trace at a time.\n"
      "\nExamples:\n"
      "  portctl capture --dropped --count 100 -w drops.pcapng\n"
      "  portctl capture --eip 203.0.113.1 --seconds 10 -w web.pcapng\n"
      "  portctl capture --reason destination_not_permitted --address 198.51.100.2 --count 1 -w - | tshark "
      "-r - "
      "-V\n"
      "  portctl capture --passed --port uplink --snap-length 96 --one-in 1000 --seconds 60 -w "
      "sample.pcapng");
  command->callback([&options, args] { capture(options, *args); });
}

}  // namespace portcullis::portctl
