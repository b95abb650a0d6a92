#include "control/service/identity.h"

#include <grpc/grpc_security_constants.h>

#include <string_view>

#include "control/model/names.h"
#include "control/service/quote.h"

namespace portcullis::service {
namespace {

constexpr std::string_view scheme = "portcullis://";
constexpr std::string_view provider_uri = "portcullis://provider";
constexpr std::string_view tenant_uri = "portcullis://tenant/";

Unexpected refuse(std::string message) {
  return fail(ErrorCode::unauthenticated, std::move(message));
}

std::vector<std::string> property(const grpc::ServerContextBase& context, const char* name) {
  std::vector<std::string> values;
  if (const auto peer = context.auth_context()) {
    for (const grpc::string_ref& value : peer->FindPropertyValues(name))
      values.emplace_back(value.data(), value.size());
  }
  return values;
}

bool is_over_tls(const grpc::ServerContextBase& context) {
  return property(context, GRPC_TRANSPORT_SECURITY_TYPE_PROPERTY_NAME) ==
         std::vector<std::string>{GRPC_TLS_TRANSPORT_SECURITY_TYPE};
}

}  // namespace

std::string Identity::name() const {
  return tenant ? "tenants/" + *tenant : "provider";
}

Expected<Identity> identity_of(const std::vector<std::string>& uris) {
  const std::string* own = nullptr;
  for (const std::string& uri : uris) {
    if (!uri.starts_with(scheme)) continue;
    if (own != nullptr)
      return refuse("the certificate says " + quoted(*own) + " and " + quoted(uri) +
                    "; issue one for each identity");
    own = &uri;
  }
  if (own == nullptr)
    return refuse(
        "the certificate does not say who calls; issue one with the URI portcullis://tenant/T or "
        "portcullis://provider among its subject alternative names");
  if (*own == provider_uri) return Identity{};
  if (!own->starts_with(tenant_uri))
    return refuse("the certificate says " + quoted(*own) +
                  ", which is neither portcullis://tenant/T nor portcullis://provider");
  std::string tenant = own->substr(tenant_uri.size());
  if (!model::is_valid_id(tenant))
    return refuse("the certificate says " + quoted(*own) + ", but " +
                  model::describe_invalid_id("tenant", tenant));
  return Identity{std::move(tenant)};
}

Expected<Identity> identity_of(const grpc::ServerContextBase& context) {
  if (is_over_tls(context)) return identity_of(property(context, GRPC_PEER_URI_PROPERTY_NAME));
  if (context.peer().starts_with("unix:")) return Identity{};
  return refuse("the connection has no certificate");
}

std::string certificate_subject(const grpc::ServerContextBase& context) {
  const std::vector<std::string> subjects = property(context, GRPC_X509_SUBJECT_PROPERTY_NAME);
  return subjects.empty() ? std::string() : subjects.front();
}

}  // namespace portcullis::service
