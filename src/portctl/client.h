// The connection to portcullisd, and how its answers and refusals are shown.
#pragma once

#include <google/protobuf/message.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <cstdint>
#include <istream>
#include <memory>
#include <optional>
#include <string>

namespace portcullis::portctl {

// What every command takes.
struct Options {
  std::string socket = "/run/portcullis/api.sock";
  std::string server;  // "gw1.example.net:8443", over TLS; empty: the socket
  // PEM files, with a server.
  std::string tls_certificate;
  std::string tls_key;
  std::string tls_ca;  // who issued the server's certificate
  std::string tenant = "default";
  bool json = false;
  double timeout = 10;  // seconds
  // Of commands that change something.
  std::optional<uint64_t> expected_generation;
  std::string request_id;
};

enum ExitCode : int { ok = 0, refused = 1, usage = 2, unreachable = 3 };

// Ends the command: what to say on standard error, and the exit status.
struct Failure {
  ExitCode code;
  std::string text;
};

class Client {
 public:
  // Throws Failure: unreachable when nobody listens on the socket, usage when a TLS file is not there.
  explicit Client(const Options& options);

  // call(&v1::TenantService::Stub::GetEip, request). Throws Failure when the call is not answered with OK.
  template <typename Stub, typename Request, typename Reply>
  Reply call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Reply*), Request request) {
    if constexpr (requires { request.set_request_id(""); }) {
      if (expected_generation_) request.set_expected_generation(*expected_generation_);
      if (!request_id_.empty()) request.set_request_id(request_id_);
    } else {
      check_reading();
    }
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + timeout_);
    Stub stub(channel_);
    Reply reply;
    check((stub.*method)(&context, request, &reply));
    return reply;
  }

  // stream(&v1::ObserveService::Stub::WatchEvents, request, true, show): show(reply) for each reply, until
  // the stream's end, or until it gives false; for ever, without a deadline. Throws as call().
  template <typename Stub, typename Request, typename Reply, typename Show>
  void stream(std::unique_ptr<grpc::ClientReader<Reply>> (Stub::*method)(grpc::ClientContext*,
                                                                         const Request&),
              const Request& request, bool for_ever, Show&& show) {
    check_reading();
    grpc::ClientContext context;
    if (!for_ever) context.set_deadline(std::chrono::system_clock::now() + timeout_);
    Stub stub(channel_);
    const auto reader = (stub.*method)(&context, request);
    for (Reply reply; reader->Read(&reply);)
      if (!show(reply)) {
        context.TryCancel();
        static_cast<void>(reader->Finish());
        return;
      }
    check(reader->Finish());
  }

 private:
  void check(const grpc::Status& status) const;
  // Throws Failure when an option is given that only commands take that change something.
  void check_reading() const;

  std::string target_;  // what people call it: the socket's path, or the server
  bool over_tls_;
  bool json_;
  std::chrono::milliseconds timeout_;
  std::optional<uint64_t> expected_generation_;
  std::string request_id_;
  std::shared_ptr<grpc::Channel> channel_;
};

// All that is left of a stream; nothing if it cannot be read, because it is of a directory for example.
[[nodiscard]] std::optional<std::string> read_all(std::istream& in);

// Indented JSON with every field, zero ones too, and a newline.
[[nodiscard]] std::string to_json(const google::protobuf::Message& message);
// The same on one line.
[[nodiscard]] std::string to_json_line(const google::protobuf::Message& message);

// Names from what people type: an id stands for the object of `options.tenant`, a whole resource name for
// itself.
[[nodiscard]] std::string vm_name(const Options& options, const std::string& text);
[[nodiscard]] std::string eip_name(const Options& options, const std::string& text);
[[nodiscard]] std::string pool_name(const std::string& text);
// "tenants/acme/vms/web" -> "web"; "tenants/acme/eips/203.0.113.7/permitList" -> "203.0.113.7".
[[nodiscard]] std::string id_of(const std::string& name);
[[nodiscard]] std::string tenant_of(const std::string& name);

}  // namespace portcullis::portctl
