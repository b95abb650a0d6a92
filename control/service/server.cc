#include "control/service/server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
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

#include "src/base/unix_socket.h"

namespace portcullis::service {
namespace {

// A permit list of the longest that a configuration allows.
constexpr int max_message_bytes = 64 << 20;
constexpr std::chrono::seconds stop_patience{5};

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

}  // namespace

Server::Server(Control& control, Sources sources)
    : tenant_(control), provider_(control), observe_(control, std::move(sources)) {}

Server::~Server() {
  stop();
}

Expected<std::unique_ptr<Server>> Server::start(const std::string& socket, Control& control,
                                                Sources sources) {
  if (auto prepared = prepare(socket); !prepared) return Unexpected(std::move(prepared.error()));

  std::unique_ptr<Server> server(new Server(control, std::move(sources)));
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(max_message_bytes);
  builder.SetMaxSendMessageSize(max_message_bytes);
  builder.AddListeningPort("unix:" + socket, grpc::InsecureServerCredentials());
  const std::array<grpc::Service*, 3> services{&server->tenant_, &server->provider_, &server->observe_};
  for (grpc::Service* service : services) builder.RegisterService(service);

  // The socket is born with its mode: there is no moment in which others may open it.
  const mode_t mask = umask(0117);
  server->server_ = builder.BuildAndStart();
  umask(mask);
  if (server->server_ == nullptr)
    return fail(ErrorCode::failed_precondition,
                "cannot listen on " + socket + "; is its directory writable for this user?", "api.socket");
  grpc::HealthCheckServiceInterface* health = server->server_->GetHealthCheckService();
  for (const char* name : {v1::TenantService::service_full_name(), v1::ProviderService::service_full_name(),
                           v1::ObserveService::service_full_name()})
    health->SetServingStatus(name, true);
  return server;
}

void Server::stop() {
  if (server_ == nullptr) return;
  server_->Shutdown(std::chrono::system_clock::now() + stop_patience);
  server_->Wait();
  server_ = nullptr;
}

}  // namespace portcullis::service
