// Totals and indexes kept with the state, so that validation never walks it: what is used of each limit, who
// lives where, and which address a pool hands out next.
#pragma once

#include <absl/container/node_hash_map.h>

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "control/model/objects.h"

namespace portcullis::model {

// How a local pool's addresses stand. One is handed out in logarithmic time, whatever the pool's size: the
// address whose rest ended first, or else the lowest one that was never handed out. Within the pool
// an address is known by its offset from the prefix's first.
class PoolUsage {
 public:
  explicit PoolUsage(const IpPrefix& prefix);
  // False for addresses that a prefix keeps back, and those of an IPv6 prefix beyond the first ones.
  [[nodiscard]] bool may_hand_out(const IpAddr& address) const;
  [[nodiscard]] std::optional<IpAddr> free_address(int64_t now_ms) const;
  // When the first of those that rest has rested (unix milliseconds); none rests: none.
  [[nodiscard]] std::optional<int64_t> next_rested_ms() const {
    return resting_.empty() ? std::nullopt : std::optional(resting_.begin()->first);
  }
  [[nodiscard]] uint32_t used() const { return used_; }
  // Addresses that are kept for the vms that have them as their private ones.
  [[nodiscard]] uint32_t kept_for_vms() const { return kept_for_vms_; }
  // Addresses that any vm could be given now. Linear in the addresses that rest.
  [[nodiscard]] uint64_t free(int64_t now_ms) const;

 private:
  friend class Usage;
  [[nodiscard]] IpAddr at(uint64_t offset) const;
  // Of an address of the prefix; more than any end_ if it is too far from the first.
  [[nodiscard]] uint64_t offset_of(const IpAddr& address) const;

  IpAddr base_;
  uint64_t first_;
  uint64_t end_;
  uint64_t next_;  // every address below is held, kept, rests, is reserved or in passed_; this one is not
  uint32_t used_ = 0;
  uint32_t reserved_ = 0;
  uint32_t kept_for_vms_ = 0;
  std::set<std::pair<int64_t, IpAddr>> resting_;  // (quarantine end, address): expired ones are free
  std::set<IpAddr> passed_;  // below next_, free and at no rest: they were kept for vms that are gone
};

// Pages of the binding index that are reserved for an IPv6 pool.
[[nodiscard]] uint32_t ipv6_pages_of(const Pool& pool);

class Usage {
 public:
  explicit Usage(std::set<IpAddr> reserved);

  // Applies one change to `state`, and keeps the totals of it.
  void apply(State& state, const Change& change);
  // The same for an EIP that stays its vm's, as most changes are; gives what it was. None: it is new, or was
  // another's, and nothing has changed.
  [[nodiscard]] std::optional<Eip> exchange(State& state, const Eip& next);
  // Makes room for what a state holds.
  void expect(const State& state) { eip_of_vm_.reserve(state.eips.size()); }
  // Counts what a state holds that came as a whole: its vms first, then its pools, which count their
  // addresses, then its EIPs.
  void count(const Vm& vm);
  void count(const State& state, const Pool& pool);
  void count(const Eip& eip);

  [[nodiscard]] uint32_t vms() const { return vms_; }
  [[nodiscard]] uint32_t eips() const { return eips_; }
  [[nodiscard]] uint32_t permit_chunks() const { return permit_chunks_; }
  [[nodiscard]] uint32_t tag_sets() const { return tag_sets_; }
  [[nodiscard]] uint32_t index_pages() const;
  [[nodiscard]] uint32_t ipv6_pools() const { return ipv6_pools_; }
  struct OfTenant {
    uint32_t eips = 0;
    uint64_t rules = 0;  // compiled, of all lists
  };
  [[nodiscard]] OfTenant of(const TenantId& tenant) const;
  // That have an EIP.
  [[nodiscard]] uint32_t tenants() const { return static_cast<uint32_t>(tenants_.size()); }
  [[nodiscard]] uint32_t ipv6_eips() const { return ipv6_eips_; }
  [[nodiscard]] std::optional<IpAddr> eip_of(const VmKey& vm, IpFamily family) const;
  [[nodiscard]] std::optional<VmKey> vm_at(const Location& location, const IpAddr& dip) const;
  // Different VLANs and tunnels that vms are behind, and different remotes of tunnels; each a port's own.
  [[nodiscard]] uint32_t links() const { return static_cast<uint32_t>(vms_behind_.size()); }
  [[nodiscard]] uint32_t tunnel_remotes() const { return static_cast<uint32_t>(vms_behind_remote_.size()); }
  // The same once a vm were at `location` too; at `left` one less, if a vm moves from there.
  [[nodiscard]] uint32_t links_with(const Location& location, const Location* left) const;
  [[nodiscard]] uint32_t tunnel_remotes_with(const Location& location, const Location* left) const;
  // A remote that vms live behind, on any port, if the prefix holds one.
  [[nodiscard]] std::optional<IpAddr> tunnel_remote_in(const IpPrefix& prefix) const;
  // Id of the pool that holds the address, of any kind; null if none.
  [[nodiscard]] const std::string* pool_of(const IpAddr& address) const;
  // Another pool than `except` that the prefix touches; null if none.
  [[nodiscard]] const std::string* pool_overlapping(const IpPrefix& prefix,
                                                    const std::string& except = {}) const;
  // Of a local pool; null for others.
  [[nodiscard]] const PoolUsage* pool(const std::string& id) const;
  // Further pages that a pool would take; `now`: what it is, if it is one that gets another prefix.
  [[nodiscard]] uint32_t new_pages(const Pool& pool, const Pool* now) const;
  [[nodiscard]] bool is_reserved(const IpAddr& address) const { return reserved_.contains(address); }

 private:
  // Around the application of one change: take away the share of the object that it replaces, then add the
  // share of the one that is there now.
  void before(const State& state, const Change& change);
  void after(const State& state, const Change& change);
  void remove(const Vm& vm);
  void add(const Eip& eip);
  void remove(const Eip& eip);
  void replace(const Eip& eip, const Eip& next);
  void remove(const Pool& pool);
  // Enters an address of a local pool among those that rest, are kept for a vm, or were passed, if that is
  // how it stands; or takes it from there.
  void settle(const State& state, PoolUsage& pool, const IpAddr& address, bool enter) const;
  void settle(const State& state, const std::vector<IpAddr>& addresses, bool enter);
  void advance(const State& state, PoolUsage& pool) const;
  [[nodiscard]] bool is_free(const State& state, const IpAddr& address) const;
  // The first one whose DIP is not below.
  [[nodiscard]] auto vm_from(const IpAddr& dip) const { return vm_at_.lower_bound({dip, Link()}); }
  [[nodiscard]] bool has_vm_with(const IpAddr& dip) const;
  PoolUsage* local_pool_of(const IpAddr& address);

  std::set<IpAddr> reserved_;
  uint32_t vms_ = 0;
  uint32_t eips_ = 0;
  uint32_t permit_chunks_ = 0;
  uint32_t tag_sets_ = 0;
  uint32_t ipv6_pools_ = 0;
  uint32_t ipv6_pages_ = 0;
  uint32_t ipv6_eips_ = 0;
  std::map<TenantId, OfTenant> tenants_;  // that have an EIP
  struct OwnerHash {
    size_t operator()(const std::pair<VmKey, IpFamily>& owner) const;
  };
  // By nodes: places of that size, half of them empty, would be twice as much to clear at a start.
  absl::node_hash_map<std::pair<VmKey, IpFamily>, IpAddr, OwnerHash> eip_of_vm_;
  using Link = std::pair<std::string, Encapsulation>;  // of a port
  using Remote = std::pair<IpAddr, std::string>;       // of a port; by address, to find those of a prefix
  std::map<std::pair<IpAddr, Link>, VmKey> vm_at_;     // by DIP, each on a link of its own
  std::map<Link, uint32_t> vms_behind_;                // VLANs and tunnels, with how many vms
  std::map<Remote, uint32_t> vms_behind_remote_;
  std::map<IpAddr, Pool> pool_at_;  // by first address; pools do not overlap
  std::map<std::string, PoolUsage> local_pools_;
  std::map<uint32_t, uint32_t> page_users_;  // upper 16 bits of an address -> IPv4 pools that touch this /16
};

}  // namespace portcullis::model
