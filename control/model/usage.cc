#include "control/model/usage.h"

#include <absl/hash/hash.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "control/model/limits.h"
#include "control/model/model.h"

namespace portcullis::model {

namespace {

constexpr std::array families{IpFamily::ipv4, IpFamily::ipv6};

// The /16s that an IPv4 prefix touches: upper halves first..last.
std::pair<uint32_t, uint32_t> pages_of(const Ipv4Prefix& prefix) {
  return {prefix.first().host() >> 16, prefix.last().host() >> 16};
}

uint32_t chunks_of(const Eip& eip) {
  return static_cast<uint32_t>(permit_room_of(eip.permit, eip.address.family()).chunks);
}

bool is_untagged(const Location& location) {
  return std::holds_alternative<std::monostate>(location.encapsulation);
}

std::pair<std::string, Encapsulation> link_of(const Location& location) {
  return {location.port, location.encapsulation};
}

std::optional<std::pair<IpAddr, std::string>> remote_of(const Location& location) {
  const auto* tunnel = std::get_if<Tunnel>(&location.encapsulation);
  return tunnel == nullptr ? std::nullopt : std::optional(std::pair(tunnel->remote, location.port));
}

void insert_dips(std::vector<IpAddr>& addresses, const Vm& vm) {
  for (const IpFamily family : families)
    if (const auto dip = vm.dip_of(family); dip && std::ranges::find(addresses, *dip) == addresses.end())
      addresses.push_back(*dip);
}

// Addresses that a change may make stand otherwise in their pools, each once.
std::vector<IpAddr> touched_by(const State& state, const Change& change) {
  std::vector<IpAddr> addresses;
  const auto known_vm = [&](const VmKey& key) {
    if (const auto vm = state.vms.find(key); vm != state.vms.end()) insert_dips(addresses, vm->second);
  };
  if (const auto* put_vm = std::get_if<PutVm>(&change)) {
    known_vm({put_vm->vm.tenant, put_vm->vm.id});
    insert_dips(addresses, put_vm->vm);
  }
  if (const auto* delete_vm = std::get_if<DeleteVm>(&change)) known_vm(delete_vm->key);
  if (const auto* put_eip = std::get_if<PutEip>(&change)) addresses.push_back(put_eip->eip.address);
  if (const auto* delete_eip = std::get_if<DeleteEip>(&change)) addresses.push_back(delete_eip->address);
  return addresses;
}

}  // namespace

uint32_t ipv6_pages_of(const Pool& pool) {
  return pool.kind == PoolKind::local ? ipv6_pool_pages_of(pool.prefix.v6()) : 0;
}

PoolUsage::PoolUsage(const IpPrefix& prefix) : base_(prefix.first()) {
  if (prefix.is_v4()) {
    const bool keeps_back = prefix.length() < 31;
    first_ = keeps_back ? 1 : 0;
    end_ = prefix.v4().size() - first_;
  } else {
    first_ = prefix.length() < 127 ? 1 : 0;
    end_ = ipv6_pool_addresses(prefix.v6());
  }
  next_ = first_;
}

IpAddr PoolUsage::at(uint64_t offset) const {
  if (base_.is_v4()) return Ipv4Addr::from_host(static_cast<uint32_t>(base_.v4().host() + offset));
  return Ipv6Addr::of(base_.v6().high(), base_.v6().low() + offset);
}

uint64_t PoolUsage::offset_of(const IpAddr& address) const {
  if (base_.is_v4()) return address.v4().host() - base_.v4().host();
  if (address.v6().high() != base_.v6().high()) return UINT64_MAX;
  return address.v6().low() - base_.v6().low();
}

bool PoolUsage::may_hand_out(const IpAddr& address) const {
  if (address.family() != base_.family() || address < base_) return false;
  const uint64_t offset = offset_of(address);
  return offset >= first_ && offset < end_;
}

std::optional<IpAddr> PoolUsage::free_address(int64_t now_ms) const {
  if (!resting_.empty() && resting_.begin()->first <= now_ms) return resting_.begin()->second;
  if (!passed_.empty()) return *passed_.begin();
  if (next_ < end_) return at(next_);
  return std::nullopt;
}

uint64_t PoolUsage::free(int64_t now_ms) const {
  const auto still_resting = std::distance(
      std::find_if(resting_.begin(), resting_.end(), [&](const auto& rest) { return rest.first > now_ms; }),
      resting_.end());
  return end_ - first_ - used_ - reserved_ - kept_for_vms_ - static_cast<uint64_t>(still_resting);
}

size_t Usage::OwnerHash::operator()(const std::pair<VmKey, IpFamily>& owner) const {
  return absl::HashOf(VmKeyHash()(owner.first), owner.second);
}

Usage::Usage(std::set<IpAddr> reserved) : reserved_(std::move(reserved)) {}

void Usage::apply(State& state, const Change& change) {
  if (const auto* put = std::get_if<PutEip>(&change); put != nullptr && exchange(state, put->eip)) return;
  const std::vector<IpAddr> touched = touched_by(state, change);
  settle(state, touched, false);
  before(state, change);
  model::apply(state, change);
  after(state, change);
  settle(state, touched, true);
  for (const IpAddr& address : touched)
    if (auto* pool = local_pool_of(address)) advance(state, *pool);
}

std::optional<Eip> Usage::exchange(State& state, const Eip& next) {
  const auto known = state.eips.find(next.address);
  if (known == state.eips.end() || known->second.tenant != next.tenant || known->second.vm != next.vm)
    return std::nullopt;
  Eip coming = next;  // what may fail comes first
  replace(known->second, coming);
  return std::exchange(known->second, std::move(coming));
}

void Usage::before(const State& state, const Change& change) {
  const auto forget_vm = [&](const VmKey& key) {
    if (const auto vm = state.vms.find(key); vm != state.vms.end()) remove(vm->second);
  };
  const auto forget_pool = [&](const std::string& id) {
    if (const auto pool = state.pools.find(id); pool != state.pools.end()) remove(pool->second);
  };
  const auto forget_eip = [&](const IpAddr& address) {
    if (const auto eip = state.eips.find(address); eip != state.eips.end()) remove(eip->second);
  };
  if (const auto* put_vm = std::get_if<PutVm>(&change)) forget_vm({put_vm->vm.tenant, put_vm->vm.id});
  if (const auto* delete_vm = std::get_if<DeleteVm>(&change)) forget_vm(delete_vm->key);
  if (const auto* put_pool = std::get_if<PutPool>(&change)) forget_pool(put_pool->pool.id);
  if (const auto* delete_pool = std::get_if<DeletePool>(&change)) forget_pool(delete_pool->id);
  if (const auto* put_eip = std::get_if<PutEip>(&change)) forget_eip(put_eip->eip.address);
  if (const auto* delete_eip = std::get_if<DeleteEip>(&change)) forget_eip(delete_eip->address);
}

void Usage::after(const State& state, const Change& change) {
  if (const auto* put_vm = std::get_if<PutVm>(&change)) count(put_vm->vm);
  if (const auto* put_pool = std::get_if<PutPool>(&change)) count(state, put_pool->pool);
  if (const auto* put_eip = std::get_if<PutEip>(&change)) add(put_eip->eip);
}

void Usage::count(const Vm& vm) {
  ++vms_;
  for (const IpFamily family : families)
    if (const auto dip = vm.dip_of(family)) vm_at_[{*dip, link_of(vm.location)}] = {vm.tenant, vm.id};
  if (!is_untagged(vm.location)) ++vms_behind_[link_of(vm.location)];
  if (const auto remote = remote_of(vm.location)) ++vms_behind_remote_[*remote];
}

void Usage::remove(const Vm& vm) {
  --vms_;
  for (const IpFamily family : families)
    if (const auto dip = vm.dip_of(family)) vm_at_.erase({*dip, link_of(vm.location)});
  if (!is_untagged(vm.location)) {
    if (const auto users = vms_behind_.find(link_of(vm.location)); --users->second == 0)
      vms_behind_.erase(users);
  }
  if (const auto remote = remote_of(vm.location))
    if (const auto users = vms_behind_remote_.find(*remote); --users->second == 0)
      vms_behind_remote_.erase(users);
}

void Usage::count(const Eip& eip) {
  ++eips_;
  permit_chunks_ += chunks_of(eip);
  tag_sets_ += eip.tags.empty() ? 0 : 1;
  OfTenant& tenant = tenants_[eip.tenant];
  ++tenant.eips;
  tenant.rules += eip.permit.compiled_rules();
  ipv6_eips_ += eip.address.is_v6() ? 1 : 0;
  eip_of_vm_[{{eip.tenant, eip.vm}, eip.address.family()}] = eip.address;
}

void Usage::add(const Eip& eip) {
  count(eip);
  if (auto* pool = local_pool_of(eip.address)) ++pool->used_;
}

void Usage::remove(const Eip& eip) {
  --eips_;
  permit_chunks_ -= chunks_of(eip);
  tag_sets_ -= eip.tags.empty() ? 0 : 1;
  ipv6_eips_ -= eip.address.is_v6() ? 1 : 0;
  const auto tenant = tenants_.find(eip.tenant);
  tenant->second.rules -= eip.permit.compiled_rules();
  if (--tenant->second.eips == 0) tenants_.erase(tenant);
  eip_of_vm_.erase({{eip.tenant, eip.vm}, eip.address.family()});
  if (auto* pool = local_pool_of(eip.address)) --pool->used_;
}

// What most changes are: another list or other tags.
void Usage::replace(const Eip& eip, const Eip& next) {
  permit_chunks_ += chunks_of(next);
  permit_chunks_ -= chunks_of(eip);
  tag_sets_ += next.tags.empty() ? 0 : 1;
  tag_sets_ -= eip.tags.empty() ? 0 : 1;
  OfTenant& tenant = tenants_.at(eip.tenant);
  tenant.rules += next.permit.compiled_rules();
  tenant.rules -= eip.permit.compiled_rules();
}

void Usage::count(const State& state, const Pool& pool) {
  pool_at_[pool.prefix.first()] = pool;
  if (pool.prefix.is_v4()) {
    const auto [first_page, last_page] = pages_of(pool.prefix.v4());
    for (uint32_t page = first_page; page <= last_page; ++page) ++page_users_[page];
  } else {
    ++ipv6_pools_;
    ipv6_pages_ += ipv6_pages_of(pool);
  }
  if (pool.kind != PoolKind::local) return;

  PoolUsage usage(pool.prefix);
  for (const IpAddr& address : reserved_) usage.reserved_ += usage.may_hand_out(address) ? 1 : 0;
  // A pool that gets another prefix has EIPs, and so has one of a state that came as a whole.
  for (auto eip = state.eips.lower_bound(pool.prefix.first());
       eip != state.eips.end() && pool.prefix.contains(eip->first); ++eip)
    ++usage.used_;
  // An earlier pool may have left addresses at rest here, and vms may have addresses of it.
  std::set<IpAddr> known;
  for (auto at = state.quarantine.lower_bound(pool.prefix.first());
       at != state.quarantine.end() && pool.prefix.contains(at->first); ++at)
    known.insert(at->first);
  for (auto at = vm_from(pool.prefix.first()); at != vm_at_.end() && pool.prefix.contains(at->first.first);
       ++at)
    known.insert(at->first.first);
  for (const IpAddr& address : known) settle(state, usage, address, true);
  advance(state, usage);
  local_pools_.insert_or_assign(pool.id, std::move(usage));
}

void Usage::remove(const Pool& pool) {
  pool_at_.erase(pool.prefix.first());
  local_pools_.erase(pool.id);
  if (pool.prefix.is_v6()) {
    --ipv6_pools_;
    ipv6_pages_ -= ipv6_pages_of(pool);
    return;
  }
  const auto [first_page, last_page] = pages_of(pool.prefix.v4());
  for (uint32_t page = first_page; page <= last_page; ++page) {
    if (const auto users = page_users_.find(page); --users->second == 0) page_users_.erase(users);
  }
}

// Addresses that the pool never hands out do not become free when their rest is over.
void Usage::settle(const State& state, PoolUsage& pool, const IpAddr& address, bool enter) const {
  if (!pool.may_hand_out(address) || is_reserved(address) || state.eips.contains(address)) return;
  if (has_vm_with(address)) {
    enter ? ++pool.kept_for_vms_ : --pool.kept_for_vms_;
    return;
  }
  const auto rest = state.quarantine.find(address);
  if (rest != state.quarantine.end()) {
    const std::pair entry(rest->second.until_ms, address);
    if (enter)
      pool.resting_.insert(entry);
    else
      pool.resting_.erase(entry);
  } else if (pool.offset_of(address) < pool.next_) {
    if (enter)
      pool.passed_.insert(address);
    else
      pool.passed_.erase(address);
  }
}

void Usage::settle(const State& state, const std::vector<IpAddr>& addresses, bool enter) {
  for (const IpAddr& address : addresses)
    if (auto* pool = local_pool_of(address)) settle(state, *pool, address, enter);
}

bool Usage::has_vm_with(const IpAddr& dip) const {
  const auto at = vm_from(dip);
  return at != vm_at_.end() && at->first.first == dip;
}

bool Usage::is_free(const State& state, const IpAddr& address) const {
  return !state.eips.contains(address) && !state.quarantine.contains(address) && !is_reserved(address) &&
         !has_vm_with(address);
}

// Amortised: next_ only rises, over addresses that were handed out one by one.
void Usage::advance(const State& state, PoolUsage& pool) const {
  while (pool.next_ < pool.end_ && !is_free(state, pool.at(pool.next_))) ++pool.next_;
}

uint32_t Usage::index_pages() const {
  return static_cast<uint32_t>(page_users_.size()) + ipv6_pages_;
}

Usage::OfTenant Usage::of(const TenantId& tenant) const {
  const auto found = tenants_.find(tenant);
  return found == tenants_.end() ? OfTenant{} : found->second;
}

std::optional<IpAddr> Usage::eip_of(const VmKey& vm, IpFamily family) const {
  const auto found = eip_of_vm_.find({vm, family});
  if (found == eip_of_vm_.end()) return std::nullopt;
  return found->second;
}

uint32_t Usage::links_with(const Location& location, const Location* left) const {
  const auto users = [&](const Location& at) {
    const auto found = vms_behind_.find(link_of(at));
    return found == vms_behind_.end() ? 0 : found->second;
  };
  const bool is_new = !is_untagged(location) && users(location) == 0;
  const bool is_left = left != nullptr && link_of(*left) != link_of(location) && users(*left) == 1;
  return links() + (is_new ? 1 : 0) - (is_left ? 1 : 0);
}

uint32_t Usage::tunnel_remotes_with(const Location& location, const Location* left) const {
  const auto users = [&](const Remote& remote) {
    const auto found = vms_behind_remote_.find(remote);
    return found == vms_behind_remote_.end() ? 0 : found->second;
  };
  const auto to = remote_of(location);
  const auto from = left != nullptr ? remote_of(*left) : std::nullopt;
  return tunnel_remotes() + (to && users(*to) == 0 ? 1 : 0) -
         (from && from != to && users(*from) == 1 ? 1 : 0);
}

std::optional<IpAddr> Usage::tunnel_remote_in(const IpPrefix& prefix) const {
  const auto found = vms_behind_remote_.lower_bound({prefix.first(), std::string()});
  if (found == vms_behind_remote_.end() || !prefix.contains(found->first.first)) return std::nullopt;
  return found->first.first;
}

std::optional<VmKey> Usage::vm_at(const Location& location, const IpAddr& dip) const {
  const auto found = vm_at_.find({dip, link_of(location)});
  if (found == vm_at_.end()) return std::nullopt;
  return found->second;
}

const std::string* Usage::pool_of(const IpAddr& address) const {
  return pool_overlapping(IpPrefix::of_host(address));
}

const std::string* Usage::pool_overlapping(const IpPrefix& prefix, const std::string& except) const {
  // Pools are disjoint: of those that start at or before the prefix's end only the last ones touch it.
  for (auto above = pool_at_.upper_bound(prefix.last()); above != pool_at_.begin();) {
    const Pool& candidate = std::prev(above)->second;
    if (!candidate.prefix.overlaps(prefix)) return nullptr;
    if (candidate.id != except) return &candidate.id;
    --above;
  }
  return nullptr;
}

const PoolUsage* Usage::pool(const std::string& id) const {
  const auto found = local_pools_.find(id);
  return found == local_pools_.end() ? nullptr : &found->second;
}

PoolUsage* Usage::local_pool_of(const IpAddr& address) {
  const std::string* id = pool_of(address);
  if (id == nullptr) return nullptr;
  const auto found = local_pools_.find(*id);
  return found == local_pools_.end() ? nullptr : &found->second;
}

uint32_t Usage::new_pages(const Pool& pool, const Pool* now) const {
  if (pool.prefix.is_v6()) {
    const uint32_t had = now == nullptr ? 0 : ipv6_pages_of(*now);
    return std::max(ipv6_pages_of(pool), had) - had;
  }
  const auto [first_page, last_page] = pages_of(pool.prefix.v4());
  const auto shared = std::distance(page_users_.lower_bound(first_page), page_users_.upper_bound(last_page));
  return last_page - first_page + 1 - static_cast<uint32_t>(shared);
}

}  // namespace portcullis::model
