// Pools: the public addresses that this gateway, or another one of the provider, delivers.
#include <algorithm>

#include "control/model/martian.h"
#include "control/model/model.h"
#include "control/model/names.h"

namespace portcullis::model {

namespace {

constexpr uint8_t shortest_ipv6_pool = 16;

}  // namespace

Expected<void> check_pool_prefix(const IpPrefix& prefix) {
  const auto refuse = [&](const std::string& why) {
    return fail(ErrorCode::invalid_argument, "prefix " + prefix.to_string() + " " + why, "pool.prefix");
  };
  if (const auto martian = martian_in(prefix)) {
    return refuse("overlaps " + martian->to_string() +
                  ", whose packets are never forwarded; give a range of unicast addresses");
  }
  if (prefix.is_v4()) return {};
  if (prefix.length() < shortest_ipv6_pool) {
    return refuse("is too short; give an IPv6 prefix of /" + std::to_string(shortest_ipv6_pool) + " to /128");
  }
  if (std::ranges::none_of(ipv6_pool_space,
                           [&](const Ipv6Prefix& space) { return space.contains(prefix.v6()); })) {
    return refuse("lies in neither 2000::/3 nor fc00::/7; give a range of global or unique local addresses");
  }
  return {};
}

Expected<const Pool*> Model::find_pool(const std::string& id) const {
  const auto found = state_.pools.find(id);
  if (found != state_.pools.end()) return &found->second;
  const std::string name = pool_name(id);
  return fail(ErrorCode::not_found, name + " does not exist; name one that does, ListPools has them", "name",
              name);
}

Expected<void> Model::check_new_pool(const Pool& pool) const {
  const std::string name = pool_name(pool.id);
  if (!is_valid_id(pool.id)) {
    return fail(ErrorCode::invalid_argument, describe_invalid_id("pool id", pool.id), "pool.name", name);
  }
  if (auto check = check_pool_space(pool, nullptr); !check) return check;
  if (pool.prefix.is_v6() && usage_.ipv6_pools() >= limits_.ipv6_pools) {
    return fail(
        ErrorCode::resource_exhausted,
        "all " + std::to_string(limits_.ipv6_pools) +
            " IPv6 pools are in use, local and provider ones together; delete one, or give one prefix "
            "for several",
        "pool.prefix", name);
  }
  return {};
}

Expected<void> Model::check_pool_space(const Pool& pool, const Pool* now) const {
  const std::string name = pool_name(pool.id);
  if (auto check = check_pool_prefix(pool.prefix); !check) {
    check.error().object = name;
    return check;
  }
  if (const std::string* other = usage_.pool_overlapping(pool.prefix, pool.id)) {
    return fail(ErrorCode::already_exists,
                "prefix " + pool.prefix.to_string() + " overlaps " +
                    state_.pools.at(*other).prefix.to_string() + " of " + pool_name(*other) +
                    "; pools are disjoint, so give another prefix or delete that pool",
                "pool.prefix", name);
  }
  if (const auto remote = usage_.tunnel_remote_in(pool.prefix)) {
    return fail(ErrorCode::failed_precondition,
                "prefix " + pool.prefix.to_string() + " holds " + remote->to_string() +
                    ", the remote end of a vm's tunnel; move those vms first, or give another prefix",
                "pool.prefix", name);
  }
  const uint32_t needed = usage_.new_pages(pool, now);
  const uint32_t free = limits_.index_pages - usage_.index_pages();
  if (needed > free) {
    const std::string what = pool.prefix.is_v4() ? "touches " + std::to_string(needed) + " further /16s"
                                                 : "takes " + std::to_string(needed) + " further index pages";
    return fail(ErrorCode::resource_exhausted,
                "the pool " + what + ", and " + std::to_string(free) + " of " +
                    std::to_string(limits_.index_pages) +
                    " are free; give a smaller prefix or raise capacity.index_pages",
                "pool.prefix", name);
  }
  return {};
}

// Not asked of what is stored: a former release took such pools, and their addresses are reserved.
Expected<void> Model::check_pool_off_tunnels(const Pool& pool) const {
  for (const auto& [port, ends] : ports_)
    for (const auto& end : {ends.ipv4, ends.ipv6})
      if (end && pool.prefix.contains(end->address))
        return fail(ErrorCode::failed_precondition,
                    "prefix " + pool.prefix.to_string() + " holds " + end->address.to_string() +
                        ", the gateway's own tunnel address on port " + port + "; give another prefix",
                    "pool.prefix", pool_name(pool.id));
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
  if (auto check = check_pool_off_tunnels(pool); !check) return Unexpected(std::move(check.error()));
  return changed(PutPool{pool}, pool);
}

Expected<void> Model::check_pool_keeps_eips(const Pool& now, const Pool& next) const {
  if (now.kind != PoolKind::local) return {};
  const PoolUsage addresses(next.prefix);
  for (auto eip = state_.eips.lower_bound(now.prefix.first());
       eip != state_.eips.end() && now.prefix.contains(eip->first); ++eip) {
    if (next.prefix.contains(eip->first) && addresses.may_hand_out(eip->first)) continue;
    return fail(ErrorCode::failed_precondition,
                "prefix " + next.prefix.to_string() + " does not hand out " +
                    eip_name(eip->second.tenant, eip->first) +
                    ", which has its address of this pool; release that first, or give a prefix that does" +
                    (next.prefix.is_v6() ? ": an IPv6 one hands out its first 1,048,576 addresses" : ""),
                "pool.prefix", pool_name(now.id));
  }
  return {};
}

Expected<void> Model::check_pool_not_fixed(const std::string& id, const std::string& field) const {
  if (!is_fixed_pool(id)) return {};
  return fail(ErrorCode::failed_precondition,
              pool_name(id) + " is one of the configuration's; change it there and restart the gateway",
              field, pool_name(id));
}

bool may_resize(const Pool& now, const Pool& next) {
  return now.kind == next.kind && now.prefix.family() == next.prefix.family();
}

Expected<Plan<Pool>> Model::plan_update_pool(const std::string& id, const IpPrefix& prefix) const {
  const std::string name = pool_name(id);
  const auto pool = state_.pools.find(id);
  if (pool == state_.pools.end())
    return fail(ErrorCode::not_found, name + " does not exist; create it", "pool.name", name);
  Pool next = pool->second;
  if (next.prefix == prefix) return unchanged(next);
  if (auto free = check_pool_not_fixed(id, "pool.name"); !free) return Unexpected(std::move(free.error()));
  next.prefix = prefix;
  if (!may_resize(pool->second, next))
    return fail(ErrorCode::failed_precondition,
                "prefix " + prefix.to_string() + " is of " + std::string(family_name(prefix.family())) +
                    ", and " + name + " is an " + std::string(family_name(pool->second.prefix.family())) +
                    " pool; create another pool beside it, or delete it first",
                "pool.prefix", name);
  if (auto space = check_pool_space(next, &pool->second); !space) return Unexpected(std::move(space.error()));
  if (auto check = check_pool_off_tunnels(next); !check) return Unexpected(std::move(check.error()));
  if (auto kept = check_pool_keeps_eips(pool->second, next); !kept)
    return Unexpected(std::move(kept.error()));
  return changed(PutPool{next}, next);
}

Expected<Plan<Nothing>> Model::plan_delete_pool(const std::string& id) const {
  const std::string name = pool_name(id);
  const auto pool = find_pool(id);
  if (!pool) return Unexpected(pool.error());
  if (auto free = check_pool_not_fixed(id, "name"); !free) return Unexpected(std::move(free.error()));
  if (const PoolUsage* usage = usage_.pool(id); usage != nullptr && usage->used() > 0) {
    const Eip& eip = state_.eips.lower_bound((*pool)->prefix.first())->second;
    return fail(ErrorCode::failed_precondition,
                name + " has " + std::to_string(usage->used()) + " EIPs, " +
                    eip_name(eip.tenant, eip.address) + " the first; release them first",
                "name", name);
  }
  return changed(DeletePool{id}, Nothing{});
}

Expected<void> Model::check_pool_for(IpFamily family, const std::string& pool) const {
  const std::string name = pool_name(pool);
  const auto found = find_pool(pool);
  if (!found) return fail(found.error().code, found.error().message, "pool", name);
  if ((*found)->kind != PoolKind::local) {
    return fail(ErrorCode::failed_precondition,
                name + " belongs to another gateway of the provider; name a local pool", "pool", name);
  }
  if ((*found)->prefix.family() != family) {
    return fail(ErrorCode::invalid_argument,
                "an " + std::string(family_name(family)) + " EIP is asked for, and " + name + " is of " +
                    std::string(family_name((*found)->prefix.family())) +
                    "; ask for that family, or name another pool",
                "pool", name);
  }
  return {};
}

Expected<IpAddr> Model::free_address(IpFamily family, const std::string& pool, int64_t now_ms) const {
  if (pool.empty()) {
    for (const auto& [id, candidate] : state_.pools) {
      const PoolUsage* usage = usage_.pool(id);
      if (usage == nullptr || candidate.prefix.family() != family) continue;
      if (const auto address = usage->free_address(now_ms)) return *address;
    }
    return fail(ErrorCode::resource_exhausted,
                "no local " + std::string(family_name(family)) +
                    " pool has a free address; add a pool, release an EIP or wait until quarantines end",
                "pool");
  }
  const PoolUsage& usage = *usage_.pool(pool);
  if (const auto address = usage.free_address(now_ms)) return *address;
  std::string why = std::to_string(usage.used()) + " are held by EIPs";
  if (usage.kept_for_vms() != 0)
    why += ", " + std::to_string(usage.kept_for_vms()) + " are private addresses of vms";
  std::string what = "; add a pool or release an EIP";
  if (const auto until_ms = usage.next_rested_ms()) {
    why += ", others rest after a release, the first of them for another " +
           std::to_string((*until_ms - now_ms + 999) / 1000) + " s";
    what = "; add a pool, or wait";
  }
  return fail(ErrorCode::resource_exhausted, pool_name(pool) + " has no free address: " + why + what, "pool",
              pool_name(pool));
}

Model::PoolUse Model::pool_use(const std::string& id, int64_t now_ms) const {
  const PoolUsage* usage = usage_.pool(id);
  return usage == nullptr ? PoolUse{} : PoolUse{usage->used(), usage->free(now_ms)};
}

}  // namespace portcullis::model
