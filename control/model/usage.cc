#include "control/model/usage.h"

#include <algorithm>
#include <iterator>

#include "control/model/model.h"

namespace portcullis::model {

namespace {

// The /16s that a prefix touches: upper halves first..last.
std::pair<uint32_t, uint32_t> pages_of(Ipv4Prefix prefix) {
  return {prefix.first().host() >> 16, prefix.last().host() >> 16};
}

uint32_t chunks_of(const Eip& eip) {
  return static_cast<uint32_t>(permit_room_of(eip.permit).chunks);
}

}  // namespace

PoolUsage::PoolUsage(Ipv4Prefix prefix)
    : first_(prefix.first().host()), end_(uint64_t{prefix.last().host()} + 1) {
  if (prefix.length() < 31) {
    ++first_;
    --end_;
  }
  next_ = first_;
}

bool PoolUsage::may_hand_out(Ipv4Addr address) const {
  return address.host() >= first_ && address.host() < end_;
}

std::optional<Ipv4Addr> PoolUsage::free_address(int64_t now_ms) const {
  if (!resting_.empty() && resting_.begin()->first <= now_ms) return resting_.begin()->second;
  if (next_ < end_) return Ipv4Addr::from_host(static_cast<uint32_t>(next_));
  return std::nullopt;
}

uint64_t PoolUsage::free(int64_t now_ms) const {
  const auto still_resting = std::distance(
      std::find_if(resting_.begin(), resting_.end(), [&](const auto& rest) { return rest.first > now_ms; }),
      resting_.end());
  return end_ - first_ - used_ - reserved_ - static_cast<uint64_t>(still_resting);
}

Usage::Usage(std::set<Ipv4Addr> reserved) : reserved_(std::move(reserved)) {}

void Usage::before(const State& state, const Change& change) {
  const auto forget_vm = [&](const VmKey& key) {
    const auto vm = state.vms.find(key);
    if (vm != state.vms.end()) vm_at_.erase({vm->second.location.port, vm->second.dip});
  };
  const auto forget_pool = [&](const std::string& id) {
    const auto pool = state.pools.find(id);
    if (pool != state.pools.end()) remove(pool->second);
  };
  const auto forget_eip = [&](Ipv4Addr address) {
    const auto eip = state.eips.find(address);
    if (eip != state.eips.end()) remove(eip->second);
    const auto rest = state.quarantine.find(address);
    if (rest == state.quarantine.end()) return;
    if (auto* pool = local_pool_of(address)) pool->resting_.erase({rest->second.until_ms, address});
  };
  if (const auto* put_vm = std::get_if<PutVm>(&change)) forget_vm({put_vm->vm.tenant, put_vm->vm.id});
  if (const auto* delete_vm = std::get_if<DeleteVm>(&change)) forget_vm(delete_vm->key);
  if (const auto* put_pool = std::get_if<PutPool>(&change)) forget_pool(put_pool->pool.id);
  if (const auto* delete_pool = std::get_if<DeletePool>(&change)) forget_pool(delete_pool->id);
  if (const auto* put_eip = std::get_if<PutEip>(&change)) forget_eip(put_eip->eip.address);
  if (const auto* delete_eip = std::get_if<DeleteEip>(&change)) forget_eip(delete_eip->address);
}

void Usage::after(const State& state, const Change& change) {
  if (const auto* put_vm = std::get_if<PutVm>(&change)) {
    const Vm& vm = put_vm->vm;
    vm_at_[{vm.location.port, vm.dip}] = {vm.tenant, vm.id};
  }
  if (const auto* put_pool = std::get_if<PutPool>(&change)) add(state, put_pool->pool);
  if (const auto* put_eip = std::get_if<PutEip>(&change)) {
    add(put_eip->eip);
    if (auto* pool = local_pool_of(put_eip->eip.address)) advance(state, *pool);
  }
  if (const auto* delete_eip = std::get_if<DeleteEip>(&change)) {
    if (auto* pool = local_pool_of(delete_eip->address)) {
      rest(*pool, delete_eip->address, delete_eip->quarantine_until_ms);
      advance(state, *pool);
    }
  }
}

void Usage::add(const Eip& eip) {
  permit_chunks_ += chunks_of(eip);
  tag_sets_ += eip.tags.empty() ? 0 : 1;
  ++eips_of_tenant_[eip.tenant];
  eip_of_vm_[{eip.tenant, eip.vm}] = eip.address;
  if (auto* pool = local_pool_of(eip.address)) ++pool->used_;
}

void Usage::remove(const Eip& eip) {
  permit_chunks_ -= chunks_of(eip);
  tag_sets_ -= eip.tags.empty() ? 0 : 1;
  if (const auto tenant = eips_of_tenant_.find(eip.tenant); --tenant->second == 0)
    eips_of_tenant_.erase(tenant);
  eip_of_vm_.erase({eip.tenant, eip.vm});
  if (auto* pool = local_pool_of(eip.address)) --pool->used_;
}

void Usage::add(const State& state, const Pool& pool) {
  pool_at_[pool.prefix.first()] = pool;
  const auto [first_page, last_page] = pages_of(pool.prefix);
  for (uint32_t page = first_page; page <= last_page; ++page) ++page_users_[page];
  if (pool.kind != PoolKind::local) return;

  PoolUsage usage(pool.prefix);
  for (const Ipv4Addr address : reserved_) usage.reserved_ += usage.may_hand_out(address) ? 1 : 0;
  // An earlier pool may have left addresses at rest here.
  for (auto resting = state.quarantine.lower_bound(pool.prefix.first());
       resting != state.quarantine.end() && pool.prefix.contains(resting->first); ++resting) {
    rest(usage, resting->first, resting->second.until_ms);
  }
  advance(state, usage);
  local_pools_.insert_or_assign(pool.id, std::move(usage));
}

void Usage::remove(const Pool& pool) {
  pool_at_.erase(pool.prefix.first());
  const auto [first_page, last_page] = pages_of(pool.prefix);
  for (uint32_t page = first_page; page <= last_page; ++page) {
    if (const auto users = page_users_.find(page); --users->second == 0) page_users_.erase(users);
  }
  local_pools_.erase(pool.id);
}

// Addresses that the pool never hands out do not become free when their rest is over.
void Usage::rest(PoolUsage& pool, Ipv4Addr address, int64_t until_ms) const {
  if (pool.may_hand_out(address) && !is_reserved(address)) pool.resting_.emplace(until_ms, address);
}

// Amortised: next_ only rises, over addresses that were handed out one by one.
void Usage::advance(const State& state, PoolUsage& pool) const {
  for (; pool.next_ < pool.end_; ++pool.next_) {
    const auto address = Ipv4Addr::from_host(static_cast<uint32_t>(pool.next_));
    if (!state.eips.contains(address) && !state.quarantine.contains(address) && !is_reserved(address)) return;
  }
}

uint32_t Usage::eips_of(const TenantId& tenant) const {
  const auto found = eips_of_tenant_.find(tenant);
  return found == eips_of_tenant_.end() ? 0 : found->second;
}

std::optional<Ipv4Addr> Usage::eip_of(const VmKey& vm) const {
  const auto found = eip_of_vm_.find(vm);
  if (found == eip_of_vm_.end()) return std::nullopt;
  return found->second;
}

std::optional<VmKey> Usage::vm_at(const std::string& port, Ipv4Addr dip) const {
  const auto found = vm_at_.find({port, dip});
  if (found == vm_at_.end()) return std::nullopt;
  return found->second;
}

const std::string* Usage::pool_of(Ipv4Addr address) const {
  return pool_overlapping(Ipv4Prefix(address, 32));
}

const std::string* Usage::pool_overlapping(Ipv4Prefix prefix) const {
  // Pools are disjoint, so only the last one that starts at or before the prefix's end can touch it from
  // below or lie within it.
  const auto above = pool_at_.upper_bound(prefix.last());
  if (above == pool_at_.begin()) return nullptr;
  const Pool& candidate = std::prev(above)->second;
  return candidate.prefix.overlaps(prefix) ? &candidate.id : nullptr;
}

const PoolUsage* Usage::pool(const std::string& id) const {
  const auto found = local_pools_.find(id);
  return found == local_pools_.end() ? nullptr : &found->second;
}

PoolUsage* Usage::local_pool_of(Ipv4Addr address) {
  const std::string* id = pool_of(address);
  if (id == nullptr) return nullptr;
  const auto found = local_pools_.find(*id);
  return found == local_pools_.end() ? nullptr : &found->second;
}

uint32_t Usage::new_pages(Ipv4Prefix prefix) const {
  const auto [first_page, last_page] = pages_of(prefix);
  const auto shared = std::distance(page_users_.lower_bound(first_page), page_users_.upper_bound(last_page));
  return last_page - first_page + 1 - static_cast<uint32_t>(shared);
}

}  // namespace portcullis::model
