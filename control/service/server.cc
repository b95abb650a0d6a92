#include "control/service/server.h"

#include <grpc/support/time.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <grpcpp/server_builder.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "control/service/document.h"
#include "src/base/unix_socket.h"

namespace portcullis::service {
namespace {

constexpr std::chrono::seconds stop_patience{5};
constexpr unsigned reload_seconds = 1;
// Of what gRPC has received of requests and not handed over, and of what it has to send; it reads no further
// then.
constexpr size_t max_buffered_bytes = 16 * max_message_bytes;

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

// Of all callers together. Whom a call is refused beyond that gRPC does not look at; the guard refuses before
// it comes to that.
void set_bounds(grpc::ServerBuilder& builder) {
  // By default a thread ends that has made a call when two others wait for one, and the next call begins one.
  constexpr int waiting_threads = 16;
  builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, waiting_threads);
  // Health, reflection, and calls that are being refused.
  constexpr int other_threads = 64;
  grpc::ResourceQuota quota("api");
  quota.SetMaxThreads(static_cast<int>(most_provider_calls + most_tenant_calls) + waiting_threads +
                      other_threads);
  quota.Resize(max_buffered_bytes);
  builder.SetResourceQuota(quota);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, static_cast<int>(most_provider_calls));
}

// Which state the lines that follow begin with: where it is beyond the last of the lines before, changes have
// been made durable whose line a kill or a power cut has kept from being written.
Expected<void> note_start(AuditLog& log, Control& control) {
  const auto generation = control.run([](Control::View view) { return view.model.state().generation; });
  if (!generation) return Unexpected(generation.error());
  log.append({.who = "gateway", .call = "Start", .status = "OK", .generation = *generation});
  return {};
}

void set_terms(grpc::ServerBuilder& builder, const ConnectionTerms& terms) {
  const auto set = [&](const char* argument, std::chrono::milliseconds time) {
    builder.AddChannelArgument(argument, static_cast<int>(time.count()));
  };
  set(GRPC_ARG_MAX_CONNECTION_AGE_MS, terms.age);
  set(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, terms.grace);
  set(GRPC_ARG_KEEPALIVE_TIME_MS, terms.keepalive);
  set(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, terms.keepalive_patience);
  // Also of connections without a call, and as often as it takes while nothing else is sent.
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
}

}  // namespace

Server::Server(std::unique_ptr<AuditLog> log, Control& control, Sources sources)
    : log_(std::move(log)),
      guard_(log_.get()),
      tenant_(control, sources.next_hop_patience),
      provider_(control, sources.next_hop_patience),
      observe_(control, std::move(sources)),
      tenant_front_(guard_, tenant_),
      provider_front_(guard_, provider_),
      observe_front_(guard_, observe_) {}

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

  std::unique_ptr<Server> server(new Server(std::move(log), control, std::move(sources)));
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(static_cast<int>(max_message_bytes));
  builder.SetMaxSendMessageSize(static_cast<int>(max_message_bytes));
  set_bounds(builder);
  set_terms(builder, config.connections);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);  // nobody else listens at our address
  int socket_port = 0;                                      // gRPC's word that it listens
  builder.AddListeningPort("unix:" + config.socket, grpc::InsecureServerCredentials(), &socket_port);
  if (config.tls) builder.AddListeningPort(config.tls->listen, credentials(*config.tls), &server->tls_port_);
  const std::array<grpc::Service*, 3> services{&server->tenant_front_, &server->provider_front_,
                                               &server->observe_front_};
  for (grpc::Service* service : services) builder.RegisterService(service);

  // The socket is born with its mode: there is no moment in which others may open it.
  const mode_t mask = umask(0117);
  server->server_ = builder.BuildAndStart();
  umask(mask);
  if (server->server_ == nullptr && socket_port == 0)
    return fail(ErrorCode::failed_precondition,
                "cannot listen on " + config.socket + "; is its directory writable for this user?",
                "api.socket");
  if (server->server_ == nullptr)
    return fail(ErrorCode::failed_precondition,
                "cannot listen on " + config.tls->listen +
                    "; is the address one of this machine, and the port not taken by somebody else?",
                "api.tls.listen");
  if (!config.metrics.empty()) {
    auto page = MetricsPage::start(config.metrics, server->observe_);
    if (!page) return Unexpected(std::move(page.error()));
    server->metrics_ = std::move(*page);
  }
  grpc::HealthCheckServiceInterface* health = server->server_->GetHealthCheckService();
  for (const char* name : {v1::TenantService::service_full_name(), v1::ProviderService::service_full_name(),
                           v1::ObserveService::service_full_name()})
    health->SetServingStatus(name, true);
  return server;
}

void Server::stop() {
  metrics_ = nullptr;
  observe_.stop();
  if (server_ == nullptr) return;
  // By the clock that does not jump.
  server_->Shutdown(
      gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(stop_patience.count(), GPR_TIMESPAN)));
  server_->Wait();
  server_ = nullptr;
}

}  // namespace portcullis::service
