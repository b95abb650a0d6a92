// How many flow entries of one worker each binding owns, and all bindings of each tenant: of both families'
// tables together, dead entries that ageing has not met yet among them. What quotas are held against.
//
// Thread: add and take its worker; all else any.
#pragma once

#include <cstdint>

#include "dataplane/counter.h"
#include "dataplane/tables/memory.h"
#include "dataplane/tables/tenant.h"
#include "src/base/expected.h"

namespace portcullis {

class FlowCounts {
 public:
  // `bindings`, `tenants`: as many ids and numbers.
  [[nodiscard]] static Expected<FlowCounts> create(uint32_t bindings, uint32_t tenants, int numa_node) {
    auto of_binding = TableArray<Level>::create("flow entries by binding", bindings, numa_node);
    if (!of_binding) return tl::unexpected(of_binding.error());
    auto of_tenant = TableArray<Level>::create("flow entries by tenant", tenants, numa_node);
    if (!of_tenant) return tl::unexpected(of_tenant.error());
    FlowCounts counts;
    counts.of_binding_ = std::move(*of_binding);
    counts.of_tenant_ = std::move(*of_tenant);
    return counts;
  }

  void add(BindingId binding, TenantNumber tenant) {
    of_binding_[binding].add(1);
    of_tenant_[tenant].add(1);
  }
  void take(BindingId binding, TenantNumber tenant) {
    for (Level* level : {&of_binding_[binding], &of_tenant_[tenant]}) level->set(level->get() - 1);
  }
  [[nodiscard]] uint32_t of_binding(BindingId binding) const { return of_binding_[binding].get(); }
  [[nodiscard]] uint32_t of_tenant(TenantNumber tenant) const { return of_tenant_[tenant].get(); }
  void prefetch(BindingId binding) const { prefetch_line(&of_binding_[binding]); }
  [[nodiscard]] size_t bytes() const { return of_binding_.bytes() + of_tenant_.bytes(); }

 private:
  TableArray<Level> of_binding_;
  TableArray<Level> of_tenant_;
};

}  // namespace portcullis
