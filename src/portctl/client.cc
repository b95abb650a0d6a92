#include "src/portctl/client.h"

#include <google/protobuf/util/json_util.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <fstream>
#include <string_view>
#include <utility>
#include <vector>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "src/base/unix_socket.h"

namespace portcullis::portctl {
namespace {

// What the server takes by its UNIX socket; by TLS it takes less.
constexpr int max_message_bytes = 512 << 20;

std::string_view code_name(grpc::StatusCode code) {
  switch (code) {
    case grpc::OK:
      return "OK";
    case grpc::CANCELLED:
      return "CANCELLED";
    case grpc::UNKNOWN:
      return "UNKNOWN";
    case grpc::INVALID_ARGUMENT:
      return "INVALID_ARGUMENT";
    case grpc::DEADLINE_EXCEEDED:
      return "DEADLINE_EXCEEDED";
    case grpc::NOT_FOUND:
      return "NOT_FOUND";
    case grpc::ALREADY_EXISTS:
      return "ALREADY_EXISTS";
    case grpc::PERMISSION_DENIED:
      return "PERMISSION_DENIED";
    case grpc::RESOURCE_EXHAUSTED:
      return "RESOURCE_EXHAUSTED";
    case grpc::FAILED_PRECONDITION:
      return "FAILED_PRECONDITION";
    case grpc::ABORTED:
      return "ABORTED";
    case grpc::OUT_OF_RANGE:
      return "OUT_OF_RANGE";
    case grpc::UNIMPLEMENTED:
      return "UNIMPLEMENTED";
    case grpc::INTERNAL:
      return "INTERNAL";
    case grpc::UNAVAILABLE:
      return "UNAVAILABLE";
    case grpc::DATA_LOSS:
      return "DATA_LOSS";
    case grpc::UNAUTHENTICATED:
      return "UNAUTHENTICATED";
    default:
      return "UNKNOWN";
  }
}

std::string_view socket_hint(int error) {
  switch (error) {
    case ENOENT:
      return "is portcullisd running? Or name its socket: --socket PATH, or PORTCULLIS_SOCKET";
    case ECONNREFUSED:
      return "portcullisd has ended without removing its socket: start it again";
    case EACCES:
      return "the socket is for its owner and group only: use sudo";
    default:
      return "name the socket of portcullisd: --socket PATH, or PORTCULLIS_SOCKET";
  }
}

// What to look at next; the message itself says what is wrong.
std::string_view refusal_hint(grpc::StatusCode code, std::string_view object) {
  if (code == grpc::NOT_FOUND) {
    if (object.find("/vms/") != std::string_view::npos)
      return "portctl vm list shows the vms; --tenant T chooses the tenant";
    if (object.find("/eips/") != std::string_view::npos)
      return "portctl eip list shows the EIPs; --tenant T chooses the tenant";
    if (object.starts_with("pools/")) return "portctl pool list shows the pools";
  }
  if (code == grpc::ALREADY_EXISTS && object.find("/eips/") == std::string_view::npos)
    return "delete it first, or choose another id";
  if (code == grpc::RESOURCE_EXHAUSTED)
    return "portctl show gateway shows what is used and what there is room for";
  if (code == grpc::PERMISSION_DENIED)
    return "use a certificate of the provider, or the gateway's UNIX socket";
  if (code == grpc::UNAUTHENTICATED)
    return "openssl x509 -noout -ext subjectAltName -in FILE shows who it says";
  if (code == grpc::UNIMPLEMENTED)
    return "portcullisd is of another version: compare portctl --version and portctl show gateway";
  if (code == grpc::INTERNAL) return "the gateway's log says more: journalctl -u portcullis";
  if (code == grpc::UNAVAILABLE) return "the gateway is not able to answer now: try again";
  return {};
}

// Why a server does not answer, as far as gRPC says it.
std::string_view server_hint(std::string_view message) {
  if (message.find("certificate verify failed") != std::string_view::npos ||
      message.find("is not in peer certificate") != std::string_view::npos)
    return "the server's certificate is not of --tls-ca, has ended, or is not for the host in --server";
  if (message.find("Ssl handshake failed") != std::string_view::npos ||
      message.find("Socket closed") != std::string_view::npos)
    return "the gateway may not take --tls-cert: is it of the gateway's api.tls.client_ca, and in date?";
  return "is the gateway's api.tls.listen this address, and may it be reached from here?";
}

Failure describe(const grpc::Status& status, const std::string& target, bool over_tls, bool json) {
  google::rpc::Status details;
  details.ParseFromString(status.error_details());
  if (details.code() != status.error_code()) {  // an answer without details: not from a handler
    details.set_code(status.error_code());
    details.set_message(status.error_message());
  }
  google::rpc::ErrorInfo info;
  google::rpc::BadRequest bad_request;
  for (const google::protobuf::Any& detail : details.details()) {
    if (detail.Is<google::rpc::ErrorInfo>()) detail.UnpackTo(&info);
    if (detail.Is<google::rpc::BadRequest>()) detail.UnpackTo(&bad_request);
  }
  const bool answered = info.domain() == "portcullis";
  const bool lost = !answered && (status.error_code() == grpc::UNAVAILABLE ||
                                  status.error_code() == grpc::DEADLINE_EXCEEDED);
  const ExitCode code = lost ? unreachable : refused;
  if (json) return {code, to_json(details)};

  std::string text;
  std::string_view hint;
  if (lost) {
    const bool late = status.error_code() == grpc::DEADLINE_EXCEEDED;
    text = "portctl: portcullisd at " + target +
           (late       ? " did not answer in time"
            : over_tls ? " is not reached: " + status.error_message()
                       : " went away: " + status.error_message());
    hint = late       ? "it may still carry the call out; --timeout SECONDS waits longer"
           : over_tls ? server_hint(status.error_message())
                      : "is portcullisd still running?";
  } else {
    text = "portctl: " + std::string(code_name(status.error_code())) + ": " + status.error_message();
    for (const auto& violation : bad_request.field_violations()) text += "\n  field:  " + violation.field();
    const auto object = info.metadata().find("object");
    if (object != info.metadata().end()) text += "\n  object: " + object->second;
    hint = refusal_hint(status.error_code(),
                        object != info.metadata().end() ? object->second : std::string_view());
  }
  if (!hint.empty()) text += "\n  hint:   " + std::string(hint);
  return {code, text + "\n"};
}

// What the file of an option holds.
std::string pem(const char* option, const char* variable, const std::string& path) {
  if (path.empty())
    throw Failure{usage, std::string("portctl: --server needs ") + option + " FILE, or " + variable + "\n"};
  std::ifstream file(path);
  std::optional<std::string> text = read_all(file);
  if (!text || text->find("-----BEGIN ") == std::string::npos)
    throw Failure{usage, std::string("portctl: ") + option + ": " + path +
                             (text ? " is no PEM file\n" : " cannot be read\n")};
  return std::move(*text);
}

std::shared_ptr<grpc::ChannelCredentials> tls_credentials(const Options& options) {
  grpc::SslCredentialsOptions tls;
  tls.pem_cert_chain = pem("--tls-cert", "PORTCULLIS_TLS_CERT", options.tls_certificate);
  tls.pem_private_key = pem("--tls-key", "PORTCULLIS_TLS_KEY", options.tls_key);
  tls.pem_root_certs = pem("--tls-ca", "PORTCULLIS_TLS_CA", options.tls_ca);
  return grpc::SslCredentials(tls);
}

std::string named(const std::string& prefix, const std::string& text) {
  return text.find('/') == std::string::npos ? prefix + text : text;
}

std::vector<std::string> segments(const std::string& name) {
  std::vector<std::string> parts(1);
  for (const char c : name) {
    if (c == '/') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

}  // namespace

Client::Client(const Options& options)
    : target_(options.server.empty() ? options.socket : options.server),
      over_tls_(!options.server.empty()),
      json_(options.json),
      timeout_(std::chrono::duration_cast<std::chrono::milliseconds>(
          std::chrono::duration<double>(options.timeout))),
      expected_generation_(options.expected_generation),
      request_id_(options.request_id) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(max_message_bytes);
  arguments.SetMaxSendMessageSize(max_message_bytes);
  if (over_tls_) {
    channel_ = grpc::CreateCustomChannel(target_, tls_credentials(options), arguments);
    return;
  }
  if (const int error = probe_unix_socket(target_); error != 0) {
    const std::string message = "no answer at " + target_ + ": " + std::strerror(error);
    if (json_) {
      google::rpc::Status status;
      status.set_code(grpc::UNAVAILABLE);
      status.set_message(message);
      throw Failure{unreachable, to_json(status)};
    }
    throw Failure{unreachable,
                  "portctl: " + message + "\n  hint:   " + std::string(socket_hint(error)) + "\n"};
  }
  channel_ = grpc::CreateCustomChannel("unix:" + target_, grpc::InsecureChannelCredentials(), arguments);
}

void Client::check(const grpc::Status& status) const {
  if (!status.ok()) throw describe(status, target_, over_tls_, json_);
}

void Client::check_reading() const {
  if (expected_generation_ || !request_id_.empty())
    throw Failure{usage,
                  "portctl: --expected-generation and --request-id are for commands that change something\n"};
}

// Through the stream, which makes a state of an error; its buffer by itself throws.
std::optional<std::string> read_all(std::istream& in) {
  if (!in) return std::nullopt;
  std::string text;
  std::array<char, 1 << 16> piece;
  while (in) {
    in.read(piece.data(), piece.size());
    text.append(piece.data(), static_cast<size_t>(in.gcount()));
  }
  if (in.bad()) return std::nullopt;
  return text;
}

namespace {

std::string json_of(const google::protobuf::Message& message, bool indented) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = indented;
  options.always_print_primitive_fields = true;
  std::string text;
  // Fails only for an Any of unknown type, and the messages here hold none but the two error details.
  if (!google::protobuf::util::MessageToJsonString(message, &text, options).ok())
    text = message.DebugString();
  if (!text.ends_with('\n')) text += '\n';
  return text;
}

}  // namespace

std::string to_json(const google::protobuf::Message& message) {
  return json_of(message, true);
}

std::string to_json_line(const google::protobuf::Message& message) {
  return json_of(message, false);
}

std::string vm_name(const Options& options, const std::string& text) {
  return named("tenants/" + options.tenant + "/vms/", text);
}

std::string eip_name(const Options& options, const std::string& text) {
  return named("tenants/" + options.tenant + "/eips/", text);
}

std::string pool_name(const std::string& text) {
  return named("pools/", text);
}

std::string id_of(const std::string& name) {
  const std::vector<std::string> parts = segments(name);
  if (parts.size() >= 4 && parts[0] == "tenants") return parts[3];
  return parts.back();
}

std::string tenant_of(const std::string& name) {
  const std::vector<std::string> parts = segments(name);
  return parts.size() >= 2 && parts[0] == "tenants" ? parts[1] : std::string();
}

}  // namespace portcullis::portctl
