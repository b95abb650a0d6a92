// Ids and resource names, as errors and the API spell them.
#pragma once

#include <string>
#include <string_view>

#include "control/model/objects.h"

namespace portcullis::model {

// [a-z0-9-]{1,63}, first and last a letter or digit: tenants, vms, pools, tags and rules.
[[nodiscard]] bool is_valid_id(std::string_view id);
// A sentence for people: what the id is of, the id, and what it must look like.
[[nodiscard]] std::string describe_invalid_id(std::string_view what, std::string_view id);

[[nodiscard]] std::string_view family_name(IpFamily family);  // "IPv4"
[[nodiscard]] std::string vm_name(const VmKey& key);          // "tenants/T/vms/ID"
[[nodiscard]] std::string eip_name(const TenantId& tenant,
                                   const IpAddr& address);      // "tenants/T/eips/ADDRESS"
[[nodiscard]] std::string pool_name(const std::string& id);     // "pools/P"
[[nodiscard]] std::string tenant_name(const TenantId& tenant);  // "tenants/T"
[[nodiscard]] std::string quota_name(const TenantId& tenant);   // "tenants/T/quota"

}  // namespace portcullis::model
