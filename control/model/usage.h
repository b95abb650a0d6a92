// Totals and indexes kept with the state, so that validation never walks it: what is used of each limit, who
// lives where, and which address a pool hands out next.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "control/model/objects.h"

namespace portcullis::model {

// How a local pool's addresses stand. One is handed out in logarithmic time, whatever the pool's size: the
// address whose rest ended first, or else `next`, the lowest one that was never handed out.
class PoolUsage {
 public:
  explicit PoolUsage(Ipv4Prefix prefix);
  [[nodiscard]] bool may_hand_out(Ipv4Addr address) const;  // false for the two that a prefix keeps back
  [[nodiscard]] std::optional<Ipv4Addr> free_address(int64_t now_ms) const;
  [[nodiscard]] uint32_t used() const { return used_; }
  // Addresses that could be handed out now. Linear in the addresses that rest.
  [[nodiscard]] uint64_t free(int64_t now_ms) const;

 private:
  friend class Usage;
  uint64_t first_;  // host order, 64 bits so that the end of the range is one past the last
  uint64_t end_;
  uint64_t next_;  // every address below is held, rests or is reserved; this one is not (or it is end_)
  uint32_t used_ = 0;
  uint32_t reserved_ = 0;
  std::set<std::pair<int64_t, Ipv4Addr>> resting_;  // (quarantine end, address): expired ones are free
};

class Usage {
 public:
  explicit Usage(std::set<Ipv4Addr> reserved);

  // Around the application of one change to `state`: takes away the share of the object that it replaces,
  // then adds the share of the one that is there now.
  void before(const State& state, const Change& change);
  void after(const State& state, const Change& change);

  [[nodiscard]] uint32_t permit_chunks() const { return permit_chunks_; }
  [[nodiscard]] uint32_t tag_sets() const { return tag_sets_; }
  [[nodiscard]] uint32_t index_pages() const { return static_cast<uint32_t>(page_users_.size()); }
  [[nodiscard]] uint32_t eips_of(const TenantId& tenant) const;
  [[nodiscard]] std::optional<Ipv4Addr> eip_of(const VmKey& vm) const;
  [[nodiscard]] std::optional<VmKey> vm_at(const std::string& port, Ipv4Addr dip) const;
  // Id of the pool that holds the address, of any kind; null if none.
  [[nodiscard]] const std::string* pool_of(Ipv4Addr address) const;
  [[nodiscard]] const std::string* pool_overlapping(Ipv4Prefix prefix) const;
  // Of a local pool; null for others.
  [[nodiscard]] const PoolUsage* pool(const std::string& id) const;
  // Pages that a further pool of this prefix would take.
  [[nodiscard]] uint32_t new_pages(Ipv4Prefix prefix) const;
  [[nodiscard]] bool is_reserved(Ipv4Addr address) const { return reserved_.contains(address); }

 private:
  void add(const Eip& eip);
  void remove(const Eip& eip);
  void add(const State& state, const Pool& pool);
  void remove(const Pool& pool);
  void rest(PoolUsage& pool, Ipv4Addr address, int64_t until_ms) const;
  void advance(const State& state, PoolUsage& pool) const;
  PoolUsage* local_pool_of(Ipv4Addr address);

  std::set<Ipv4Addr> reserved_;
  uint32_t permit_chunks_ = 0;
  uint32_t tag_sets_ = 0;
  std::map<TenantId, uint32_t> eips_of_tenant_;
  std::map<VmKey, Ipv4Addr> eip_of_vm_;
  std::map<std::pair<std::string, Ipv4Addr>, VmKey> vm_at_;  // (port, DIP)
  std::map<Ipv4Addr, Pool> pool_at_;                         // by first address; pools do not overlap
  std::map<std::string, PoolUsage> local_pools_;
  std::map<uint32_t, uint32_t> page_users_;  // upper 16 bits of an address -> pools that touch this /16
};

}  // namespace portcullis::model
