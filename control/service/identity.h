// Who calls. The UNIX socket is the provider's: whoever may open it may do everything. Over TLS it is what
// the client's certificate says, in a URI among its alternative names (RFC 5280, 4.2.1.6):
// "portcullis://provider" or "portcullis://tenant/T".
#pragma once

#include <grpcpp/server_context.h>

#include <optional>
#include <string>
#include <vector>

#include "control/model/objects.h"
#include "src/base/expected.h"

namespace portcullis::service {

struct Identity {
  std::optional<model::TenantId> tenant;  // none: the provider
  // "provider", "tenants/acme".
  [[nodiscard]] std::string name() const;
  friend bool operator==(const Identity&, const Identity&) = default;
};

// Of a certificate with these URIs. unauthenticated unless exactly one of them is of the scheme "portcullis"
// and says who; URIs of other schemes are other people's.
[[nodiscard]] Expected<Identity> identity_of(const std::vector<std::string>& uris);
// Of the caller of a call under way.
[[nodiscard]] Expected<Identity> identity_of(const grpc::ServerContextBase& context);

// The subject of the caller's certificate, "CN=ops,O=Example"; empty without one.
[[nodiscard]] std::string certificate_subject(const grpc::ServerContextBase& context);

}  // namespace portcullis::service
