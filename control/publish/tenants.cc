#include "control/publish/tenants.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "dataplane/worker.h"

namespace portcullis::publish {

std::optional<TenantNumber> Tenants::acquire(const model::TenantId& tenant, Workers workers) {
  auto known = tenants_.find(tenant);
  if (known == tenants_.end()) {
    const std::optional<TenantNumber> number = take_number(workers);
    if (!number) return std::nullopt;
    const auto quota = flow_quotas_.find(tenant);
    tables_->tenants.set_flow_quota(*number, quota == flow_quotas_.end() ? flow_quota_ : quota->second);
    known = tenants_.emplace(tenant, Tenant{.number = *number}).first;
  }
  Tenant& acquired = known->second;
  ++acquired.users;
  if (acquired.rests) resting_.erase(*std::exchange(acquired.rests, std::nullopt));
  return acquired.number;
}

// That of a tenant that has had no binding for long, and has no flow entry, or one that was nobody's. If a
// whole search finds none, the one that has rested longest.
std::optional<TenantNumber> Tenants::take_number(Workers workers) {
  constexpr size_t search = 64;
  const auto end =
      std::next(resting_.begin(), static_cast<std::ptrdiff_t>(std::min(resting_.size(), search)));
  auto found = std::find_if(resting_.begin(), end, [&](const model::TenantId& resting) {
    return flows_of(tenants_.at(resting), workers) == 0;
  });
  if (found == end) {
    if (ever_ < tables_->tenants.capacity()) return ever_++;
    if (resting_.empty()) return std::nullopt;
    found = resting_.begin();
  }
  const TenantNumber number = tenants_.at(*found).number;
  tenants_.erase(*found);
  resting_.erase(found);
  return number;
}

void Tenants::release(const model::TenantId& tenant) {
  if (--tenants_.at(tenant).users == 0) released_.push_back(tenant);
}

// One may have a binding again, or have been released twice.
void Tenants::rest_released() {
  for (const model::TenantId& tenant : std::exchange(released_, {}))
    if (Tenant& known = tenants_.at(tenant); known.users == 0 && !known.rests)
      known.rests = resting_.insert(resting_.end(), tenant);
}

void Tenants::set_flow_quotas(const std::map<model::TenantId, uint32_t>& quotas) {
  for (const auto& [tenant, flows] : quotas) {
    if (flows != 0)
      flow_quotas_[tenant] = flows;
    else
      flow_quotas_.erase(tenant);
    if (const auto known = tenants_.find(tenant); known != tenants_.end())
      tables_->tenants.set_flow_quota(known->second.number, flows != 0 ? flows : flow_quota_);
  }
}

uint64_t Tenants::flows_of(const model::TenantId& tenant, Workers workers) const {
  const auto found = tenants_.find(tenant);
  return found == tenants_.end() ? 0 : flows_of(found->second, workers);
}

uint64_t Tenants::flows_of(const Tenant& tenant, Workers workers) {
  uint64_t flows = 0;
  for (const Worker* worker : workers) flows += worker->flows_of_tenant(tenant.number);
  return flows;
}

}  // namespace portcullis::publish
