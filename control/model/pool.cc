// Pools: the public addresses that this gateway, or another one of the provider, delivers.
#include "control/model/martian.h"
#include "control/model/model.h"
#include "control/model/names.h"

namespace portcullis::model {

Expected<void> Model::check_new_pool(const Pool& pool) const {
  const std::string name = pool_name(pool.id);
  if (!is_valid_id(pool.id)) {
    return fail(ErrorCode::invalid_argument, describe_invalid_id("pool id", pool.id), "pool.name", name);
  }
  if (const Ipv4Prefix* martian = martian_in(pool.prefix)) {
    return fail(ErrorCode::invalid_argument,
                "prefix " + pool.prefix.to_string() + " overlaps " + martian->to_string() +
                    ", whose packets are never forwarded; give a range of unicast addresses",
                "pool.prefix", name);
  }
  if (const std::string* other = usage_.pool_overlapping(pool.prefix)) {
    return fail(ErrorCode::already_exists,
                "prefix " + pool.prefix.to_string() + " overlaps " +
                    state_.pools.at(*other).prefix.to_string() + " of " + pool_name(*other) +
                    "; pools must be disjoint",
                "pool.prefix", name);
  }
  const uint32_t needed = usage_.new_pages(pool.prefix);
  const uint32_t free = limits_.index_pages - usage_.index_pages();
  if (needed > free) {
    return fail(ErrorCode::resource_exhausted,
                "the pool touches " + std::to_string(needed) + " further /16s, and " + std::to_string(free) +
                    " of " + std::to_string(limits_.index_pages) +
                    " are free; give a smaller prefix or raise capacity.index_pages",
                "pool.prefix", name);
  }
  return {};
}

Expected<Plan<Pool>> Model::plan_create_pool(const Pool& pool) const {
  const auto existing = state_.pools.find(pool.id);
  if (existing != state_.pools.end()) {
    if (existing->second == pool) return unchanged(pool);
    const std::string name = pool_name(pool.id);
    return fail(ErrorCode::already_exists,
                name + " exists with another prefix or kind; delete it first, or choose another id",
                "pool.name", name);
  }
  if (auto check = check_new_pool(pool); !check) return Unexpected(std::move(check.error()));
  return changed(PutPool{pool}, pool);
}

Expected<Plan<Nothing>> Model::plan_delete_pool(const std::string& id) const {
  const std::string name = pool_name(id);
  const auto pool = state_.pools.find(id);
  if (pool == state_.pools.end()) return fail(ErrorCode::not_found, name + " does not exist", "name", name);
  if (const PoolUsage* usage = usage_.pool(id); usage != nullptr && usage->used() > 0) {
    const Eip& eip = state_.eips.lower_bound(pool->second.prefix.first())->second;
    return fail(ErrorCode::failed_precondition,
                name + " has " + std::to_string(usage->used()) + " EIPs, " +
                    eip_name(eip.tenant, eip.address) + " the first; release them first",
                "name", name);
  }
  return changed(DeletePool{id}, Nothing{});
}

Expected<Ipv4Addr> Model::free_address(const std::string& pool, int64_t now_ms) const {
  if (pool.empty()) {
    for (const auto& [id, candidate] : state_.pools) {
      const PoolUsage* usage = usage_.pool(id);
      if (usage == nullptr) continue;
      if (const auto address = usage->free_address(now_ms)) return *address;
    }
    return fail(ErrorCode::resource_exhausted,
                "no local pool has a free address; add a pool, release an EIP or wait until quarantines end",
                "pool");
  }
  if (const PoolUsage* usage = usage_.pool(pool)) {
    if (const auto address = usage->free_address(now_ms)) return *address;
    return fail(ErrorCode::resource_exhausted,
                pool_name(pool) + " has no free address: " + std::to_string(usage->used()) +
                    " are held by EIPs, others rest after a release; add a pool, release an EIP or wait",
                "pool", pool_name(pool));
  }
  if (state_.pools.contains(pool)) {
    return fail(ErrorCode::failed_precondition,
                pool_name(pool) + " belongs to another gateway of the provider; name a local pool", "pool",
                pool_name(pool));
  }
  return fail(ErrorCode::not_found, pool_name(pool) + " does not exist", "pool", pool_name(pool));
}

Model::PoolUse Model::pool_use(const std::string& id, int64_t now_ms) const {
  const PoolUsage* usage = usage_.pool(id);
  return usage == nullptr ? PoolUse{} : PoolUse{usage->used(), usage->free(now_ms)};
}

}  // namespace portcullis::model
