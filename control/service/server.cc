#include "control/service/server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <thread>
#include <utility>

#include "control/service/reflection_seats.h"
#include "src/base/unix_socket.h"

namespace portcullis::service {
namespace {

constexpr std::chrono::seconds stop_patience{5};
constexpr unsigned reload_seconds = 1;

// Makes the directory and sees to it that nothing is in the way.
Expected<void> prepare(const std::string& socket) {
  if (socket.size() >= sizeof sockaddr_un::sun_path)
    return fail(ErrorCode::invalid_argument,
                "socket path " + socket + " is too long; the system takes " +
                    std::to_string(sizeof sockaddr_un::sun_path - 1) + " bytes",
                "api.socket");
  const std::filesystem::path directory = std::filesystem::path(socket).parent_path();
  std::error_code error;
  if (!directory.empty()) std::filesystem::create_directories(directory, error);
  if (error)
    return fail(ErrorCode::failed_precondition,
                "cannot make directory " + directory.string() + ": " + error.message(), "api.socket");

  struct stat status {};
  if (lstat(socket.c_str(), &status) != 0) {
    if (errno == ENOENT) return {};
    return fail(ErrorCode::failed_precondition, "cannot look at " + socket + ": " + std::strerror(errno),
                "api.socket");
  }
  if (!S_ISSOCK(status.st_mode))
    return fail(ErrorCode::failed_precondition,
                socket + " exists and is no socket; remove it or name another path", "api.socket");
  const int probe = probe_unix_socket(socket);
  if (probe == 0)
    return fail(ErrorCode::failed_precondition,
                "somebody listens on " + socket + " already; stop that portcullisd or name another path",
                "api.socket");
  if (probe != ECONNREFUSED)
    return fail(ErrorCode::failed_precondition, "cannot probe " + socket + ": " + std::strerror(probe),
                "api.socket");
  if (unlink(socket.c_str()) != 0)
    return fail(ErrorCode::failed_precondition,
                "cannot remove the stale socket " + socket + ": " + std::strerror(errno), "api.socket");
  return {};
}

// Mutual TLS: a client without a certificate of client_ca gets no connection.
std::shared_ptr<grpc::ServerCredentials> credentials(const TlsConfig& tls) {
  grpc::experimental::TlsServerCredentialsOptions options(
      std::make_shared<grpc::experimental::FileWatcherCertificateProvider>(tls.key, tls.certificate,
                                                                           tls.client_ca, reload_seconds));
  options.watch_root_certs();
  options.watch_identity_key_cert_pairs();
  options.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  return grpc::experimental::TlsServerCredentials(options);
}

// Which state the lines that follow begin with: a change before it without a line is the gateway's own, or a
// kill or a power cut has kept its line from being written.
Expected<void> note_start(AuditLog& log, Control& control) {
  const auto generation = control.run([](Control::View view) { return view.model.state().generation; });
  if (!generation) return Unexpected(generation.error());
  log.append({.who = "gateway", .call = "Start", .status = "OK", .generation = *generation});
  return {};
}

}  // namespace

Server::Server(std::unique_ptr<AuditLog> log, const ServerConfig& config, Control& control, Sources sources)
    : log_(std::move(log)),
      guard_(log_.get()),
      reflection_(most_reflection, "streams of server reflection"),
      tenant_(control, sources.next_hop_patience),
      provider_(control, sources.next_hop_patience, config.messages),
      observe_(control, std::move(sources)),
      local_({guard_, reflection_, tenant_, provider_, observe_}),
      remote_({guard_, reflection_, tenant_, provider_, observe_}) {}

Server::~Server() {
  stop();
}

Expected<std::unique_ptr<Server>> Server::start(const ServerConfig& config, Control& control,
                                                Sources sources) {
  if (auto prepared = prepare(config.socket); !prepared) return Unexpected(std::move(prepared.error()));
  std::unique_ptr<AuditLog> log;
  if (!config.audit_log.empty()) {
    auto opened = AuditLog::open(config.audit_log);
    if (!opened) return Unexpected(std::move(opened.error()));
    log = std::move(*opened);
    if (auto begun = note_start(*log, control); !begun) return Unexpected(std::move(begun.error()));
  }

  std::unique_ptr<Server> server(new Server(std::move(log), config, control, std::move(sources)));
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  if (config.tls)
    server->tls_port_ = server->remote_.start(config.tls->listen, credentials(*config.tls),
                                              config.connections, config.messages.by_tls);
  if (config.tls && server->tls_port_ == 0)
    return fail(ErrorCode::failed_precondition,
                "cannot listen on " + config.tls->listen +
                    "; is the address one of this machine, and the port not taken by somebody else?",
                "api.tls.listen");
  // The socket is born with its mode: there is no moment in which others may open it.
  const mode_t mask = umask(0117);
  const int has_socket = server->local_.start("unix:" + config.socket, grpc::InsecureServerCredentials(),
                                              config.connections, config.messages.by_socket);
  umask(mask);
  if (has_socket == 0)
    return fail(ErrorCode::failed_precondition,
                "cannot listen on " + config.socket + "; is its directory writable for this user?",
                "api.socket");
  if (!config.metrics.empty()) {
    auto page = MetricsPage::start(config.metrics, server->observe_);
    if (!page) return Unexpected(std::move(page.error()));
    server->metrics_ = std::move(*page);
  }
  return server;
}

void Server::stop() {
  metrics_ = nullptr;
  observe_.stop();
  const auto deadline = std::chrono::steady_clock::now() + stop_patience;
  const std::jthread meanwhile([&] { remote_.stop(deadline); });
  local_.stop(deadline);
}

}  // namespace portcullis::service
