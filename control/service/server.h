// The API on its UNIX socket and, if that is wanted, on TCP with mutual TLS: the three services behind their
// guard, gRPC health and reflection. Thread: made and ended by the main thread; handlers run on gRPC's.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "control/control.h"
#include "control/service/audit_log.h"
#include "control/service/document.h"
#include "control/service/guard.h"
#include "control/service/listener.h"
#include "control/service/metrics.h"
#include "control/service/observe_service.h"
#include "control/service/provider_service.h"
#include "control/service/tenant_service.h"
#include "src/base/expected.h"

namespace portcullis::service {

// PEM files. They are read again every second: a new one serves the connections that begin after it came.
struct TlsConfig {
  std::string listen;       // "192.0.2.1:8443"; port 0: any free one
  std::string certificate;  // the server's, with its chain
  std::string key;
  std::string client_ca;  // who issues clients' certificates; one without such is refused
};

struct ServerConfig {
  std::string socket;
  std::optional<TlsConfig> tls;
  std::string audit_log;  // path; empty: none is kept
  std::string metrics;    // address of the page for Prometheus (metrics.h); empty: none
  ConnectionTerms connections{};
  MessageBounds messages{};
};

class Server {
 public:
  // Listens on the socket, mode 0660: who may open it is the provider. Makes its directory, and takes the
  // place of a socket that nobody listens on. failed_precondition when somebody does, when the path is
  // something else, or when the TCP address is taken or not of this machine. `control` is started and
  // outlives the server.
  [[nodiscard]] static Expected<std::unique_ptr<Server>> start(const ServerConfig& config, Control& control,
                                                               Sources sources);
  ~Server();  // stops

  // Of the TLS address; 0 without one.
  [[nodiscard]] int tls_port() const { return tls_port_; }

  // The page for Prometheus; null without one.
  [[nodiscard]] const MetricsPage* metrics() const { return metrics_.get(); }

  // Answers no new call, waits a few seconds for those under way, removes the socket. Idempotent.
  void stop();

 private:
  Server(std::unique_ptr<AuditLog> log, const ServerConfig& config, Control& control, Sources sources);

  const std::unique_ptr<AuditLog> log_;
  Guard guard_;
  SeatsApart reflection_;
  TenantService tenant_;
  ProviderService provider_;
  ObserveService observe_;
  Listener local_, remote_;  // the UNIX socket; TLS
  std::unique_ptr<MetricsPage> metrics_;
  int tls_port_ = 0;
};

}  // namespace portcullis::service
