#include "control/model/names.h"

#include <algorithm>

namespace portcullis::model {

namespace {

constexpr size_t longest_id = 63;

bool is_alphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

}  // namespace

bool is_valid_id(std::string_view id) {
  return !id.empty() && id.size() <= longest_id && is_alphanumeric(id.front()) &&
         is_alphanumeric(id.back()) &&
         std::all_of(id.begin(), id.end(), [](char c) { return is_alphanumeric(c) || c == '-'; });
}

std::string describe_invalid_id(std::string_view what, std::string_view id) {
  return std::string(what) + " '" + std::string(id.substr(0, longest_id + 1)) +
         "' must be 1 to 63 of a-z, 0-9 and '-', with a letter or digit first and last";
}

std::string_view family_name(IpFamily family) {
  return family == IpFamily::ipv4 ? "IPv4" : "IPv6";
}

std::string vm_name(const VmKey& key) {
  return "tenants/" + key.first + "/vms/" + key.second;
}

std::string eip_name(const TenantId& tenant, const IpAddr& address) {
  const std::string text = address.to_string();
  std::string name;
  name.reserve(std::string_view("tenants//eips/").size() + tenant.size() + text.size());
  return name.append("tenants/").append(tenant).append("/eips/").append(text);
}

std::string pool_name(const std::string& id) {
  return "pools/" + id;
}

std::string tenant_name(const TenantId& tenant) {
  return "tenants/" + tenant;
}

std::string quota_name(const TenantId& tenant) {
  return tenant_name(tenant) + "/quota";
}

}  // namespace portcullis::model
