// Tenants, as far as workers know them: whose a binding is, and how many flow entries all EIPs of a tenant
// may own together (semantics: quotas are per tenant and per EIP). Control gives tenants that have bindings
// numbers, and writes each value by itself; workers read them when an entry opens, and at no other time.
#pragma once

#include <atomic>
#include <cstdint>

#include "dataplane/tables/binding.h"
#include "dataplane/tables/memory.h"
#include "src/base/expected.h"

namespace portcullis {

using TenantNumber = uint32_t;

class TenantTable {
 public:
  static constexpr uint32_t no_bound = UINT32_MAX;  // a quota of as many as there is room for

  // `bindings`: binding ids; `tenants`: numbers.
  [[nodiscard]] static Expected<TenantTable> create(uint32_t bindings, uint32_t tenants, int numa_node);

  // --- any thread ---
  [[nodiscard]] TenantNumber of(BindingId binding) const {
    return of_binding_[binding].load(std::memory_order_relaxed);
  }
  void prefetch(BindingId binding) const { prefetch_line(&of_binding_[binding]); }
  [[nodiscard]] uint32_t flow_quota(TenantNumber tenant) const {
    return flow_quotas_[tenant].load(std::memory_order_relaxed);
  }

  // --- control only ---
  // Before the binding's first record is published, which makes it seen.
  void set_of(BindingId binding, TenantNumber tenant) {
    of_binding_[binding].store(tenant, std::memory_order_relaxed);
  }
  // Seen by every packet after a grace period.
  void set_flow_quota(TenantNumber tenant, uint32_t quota) {
    flow_quotas_[tenant].store(quota, std::memory_order_relaxed);
  }
  [[nodiscard]] uint32_t capacity() const { return flow_quotas_.size(); }  // tenant numbers
  [[nodiscard]] size_t bytes() const { return of_binding_.bytes() + flow_quotas_.bytes(); }

 private:
  TableArray<std::atomic<TenantNumber>> of_binding_;
  TableArray<std::atomic<uint32_t>> flow_quotas_;
};

}  // namespace portcullis
