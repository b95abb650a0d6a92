#include "dataplane/tables/tenant.h"

namespace portcullis {

Expected<TenantTable> TenantTable::create(uint32_t bindings, uint32_t tenants, int numa_node) {
  auto of_binding = TableArray<std::atomic<TenantNumber>>::create("tenants of bindings", bindings, numa_node);
  if (!of_binding) return tl::unexpected(of_binding.error());
  auto flow_quotas = TableArray<std::atomic<uint32_t>>::create("flow quotas of tenants", tenants, numa_node);
  if (!flow_quotas) return tl::unexpected(flow_quotas.error());
  TenantTable table;
  table.of_binding_ = std::move(*of_binding);
  table.flow_quotas_ = std::move(*flow_quotas);
  for (TenantNumber tenant = 0; tenant < tenants; ++tenant) table.set_flow_quota(tenant, no_bound);
  return table;
}

}  // namespace portcullis
