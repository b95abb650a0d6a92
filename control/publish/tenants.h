// The tenants of the data plane, each with a number as long as it has bindings, and their quotas of flow
// entries. Part of the publisher.
#pragma once

#include <absl/container/node_hash_map.h>

#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "control/model/objects.h"
#include "dataplane/tables/tables.h"

namespace portcullis {
class Worker;
}

namespace portcullis::publish {

class Tenants {
 public:
  using Workers = std::span<const Worker* const>;  // all of the gateway

  // `flow_quota`: of tenants that have none of their own.
  Tenants(Tables& tables, uint32_t flow_quota) : tables_(&tables), flow_quota_(flow_quota) {}

  // One binding more. None: all numbers are in use, or were until a moment ago, and rest_released() may help.
  [[nodiscard]] std::optional<TenantNumber> acquire(const model::TenantId& tenant, Workers workers);
  // One binding less.
  void release(const model::TenantId& tenant);
  // What has lost its last binding rests: a grace period has passed since.
  void rest_released();

  // Quotas from now on; 0: the default.
  void set_flow_quotas(const std::map<model::TenantId, uint32_t>& quotas);
  // Flow entries of all bindings that the tenant has, or had, dead ones that ageing has not met yet among
  // them.
  [[nodiscard]] uint64_t flows_of(const model::TenantId& tenant, Workers workers) const;

 private:
  // Its number stays its own while another can be had.
  struct Tenant {
    TenantNumber number = 0;
    uint32_t users = 0;  // bindings
    std::optional<std::list<model::TenantId>::iterator> rests = {};
  };

  [[nodiscard]] std::optional<TenantNumber> take_number(Workers workers);
  [[nodiscard]] static uint64_t flows_of(const Tenant& tenant, Workers workers);

  Tables* tables_;
  uint32_t flow_quota_;
  std::map<model::TenantId, uint32_t> flow_quotas_;
  absl::node_hash_map<model::TenantId, Tenant> tenants_;
  std::list<model::TenantId> resting_;  // without a binding, longest first
  std::vector<model::TenantId> released_;
  TenantNumber ever_ = 0;  // numbers below were somebody's
};

}  // namespace portcullis::publish
