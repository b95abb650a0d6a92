// Table changes -> workers. Publishes an update object by object (each atomically), waits until every worker
// has been quiescent since, and only then frees what was replaced. When publish() returns, no packet that is
// received from then on is judged by the old state. Thread: control only, which is no reader of the tables in
// the sense of RCU. Room was reserved at validation (model Limits), so publishing does not fail.
#pragma once

#include <absl/container/inlined_vector.h>
#include <absl/container/node_hash_map.h>
#include <absl/hash/hash.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "control/compile/compile.h"
#include "control/publish/links.h"
#include "control/publish/tenants.h"
#include "dataplane/burst.h"
#include "dataplane/handover.h"
#include "dataplane/tables/tables.h"
#include "dataplane/worker.h"
#include "src/base/ahead.h"
#include "src/base/expected.h"

struct rte_rcu_qsbr;

namespace portcullis::publish {

struct RuleHits {
  std::string rule;
  uint64_t packets = 0;
};

struct EipStatistics {
  uint64_t in_packets = 0, in_bytes = 0, out_packets = 0, out_bytes = 0;
  uint64_t flow_entries = 0;
  std::vector<RuleHits> rules;  // by name
};

struct Totals {
  uint64_t local = 0;
  uint64_t edge = 0;
  uint64_t permit_chunks_used = 0;
};

class Publisher {
 public:
  // `port_ids`: configured name -> ethdev port. `flow_quota`: of EIPs that have none of their own;
  // `tenant_flow_quota`: of tenants. `workers` may be added after construction, before traffic.
  Publisher(Tables& tables, rte_rcu_qsbr* rcu, std::map<std::string, PortId> port_ids, uint32_t flow_quota,
            uint32_t tenant_flow_quota = TenantTable::no_bound);

  void add_worker(const Worker* worker) { workers_.push_back(worker); }
  // The rings between the workers, if there are several. They outlive the publisher.
  void set_handover(const Handover* handover) { handover_ = handover; }
  // In three steps, so that what no worker sees is done before it is certain that the update comes, and what
  // nobody waits for after that:
  //   prepare()  places what there is room for, of bindings that stay who and where they are. Nothing is
  //              different for anybody.
  //   enforce()  makes the update what workers find, and waits for them; or discard() gives it up.
  //   reclaim()  frees what was replaced, and counts what it has counted: before statistics are asked
  //              for. The next prepare() or discard() does it, too.
  // internal if a table refused what validation had promised room for; the data plane then holds, of
  // each object that was refused, the old one or none, and the new one of all others. A batch larger than
  // the spare room is enforced in steps, with a grace period between them. After an exception nobody knows
  // what the data plane holds.
  void prepare(compile::Update update);
  [[nodiscard]] Expected<void> enforce();
  void reclaim();
  void discard();
  // All three.
  [[nodiscard]] Expected<void> publish(compile::Update update);
  // The whole image onto empty tables: at start, before the receive side opens.
  [[nodiscard]] Expected<void> publish_all(compile::ImageParts image);

  // Zeroes if `eip` is not bound. Hits carry over when a list is replaced, for a rule that stays the same.
  [[nodiscard]] EipStatistics statistics(const IpAddr& eip) const;
  // The rule of `eip` that is counted there, by its name; empty if it is none of its list.
  [[nodiscard]] std::string rule_at(const IpAddr& eip, RuleHit hit) const;
  // Flow entries of `eip` on all workers, dead ones that ageing has not met yet among them.
  [[nodiscard]] uint64_t flows_of(const IpAddr& eip) const;
  // As Tenants::flows_of().
  [[nodiscard]] uint64_t flows_of_tenant(const model::TenantId& tenant) const {
    return tenants_.flows_of(tenant, workers_);
  }
  [[nodiscard]] Totals totals() const;
  // As Links::next_hops().
  [[nodiscard]] std::vector<TunnelNextHop> tunnel_next_hops(const std::optional<NeighborKey>& after,
                                                            size_t most) const {
    return links_.next_hops(after, most);
  }
  // As Links::awaits_next_hop(): what comes for the endpoints there is lost as long.
  [[nodiscard]] bool awaits_next_hop(const model::Location& location,
                                     std::chrono::milliseconds patience) const {
    const auto port = port_ids_.find(location.port);
    return port != port_ids_.end() &&
           links_.awaits_next_hop({port->second, location.encapsulation}, patience);
  }

 private:
  static constexpr Slot no_slot = IndexEntry::outside;  // below IndexEntry::first_slot
  static constexpr BindingId no_binding = 0;            // never handed out

  struct Traffic {
    uint64_t in_packets = 0, in_bytes = 0, out_packets = 0, out_bytes = 0;
    Traffic& operator+=(const Traffic& other);
    Traffic operator-(const Traffic& other) const;
  };

  // By compiled rule. Most lists need no memory of their own for it, nor for Rules.
  using Hits = absl::InlinedVector<uint64_t, inline_permit_rules>;
  template <typename Rule>
  using Rules = absl::InlinedVector<Rule, inline_permit_rules>;

  // Where a record and what it refers to lie. Retired as a whole.
  struct Placement {
    Slot slot = no_slot;
    PermitPlace permit;
    std::vector<model::TagKey> tags;       // whose set the record names
    std::vector<model::TagKey> rule_tags;  // that its rules name
    std::optional<LinkPlace> link;         // none: untagged
    // Counters are never reset: what they said when this was published, hits by compiled rule.
    Traffic traffic_before;
    Hits hits_before;
  };

  // What an endpoint is found by when it sends.
  struct Location {
    IpAddr dip;
    LinkId link = 0;
  };

  // A binding as it is published.
  struct Bound {
    compile::CompiledBinding binding;
    BindingId id = no_binding;
    std::optional<Location> key;  // absent while it moves
    Placement placement;
    // Counted in placements before this one; hits by rule.
    Traffic earlier_traffic;
    std::map<std::string, uint64_t> earlier_hits;
  };

  // What is to be put (nullptr: nothing, the EIP is to be bound no more), as what its EIP is bound by now
  // (nullptr: it is not), and where it has been placed (nullptr: nowhere yet).
  struct Coming {
    compile::CompiledBinding* binding;
    Bound* known;
    Placement* placed = nullptr;
  };

  struct Tag {
    TagId id;
    uint32_t users;  // sets and rules
  };
  struct InternedTagSet {
    TagSetId id;
    uint32_t users;  // records
  };

  // A placement that no index leads to any more, and the list that it was of.
  struct Retired {
    Placement placement;
    IpAddr eip;
    BindingId id;
    model::PermitList permit;
  };

  // What workers may still see, until a grace period has passed.
  struct Limbo {
    std::vector<Retired> placements;
    std::vector<TagSetId> tag_sets;
    std::vector<TagId> tags;
    std::vector<BindingId> ids;
    std::vector<Ipv4Prefix> pools;  // whose pages are to be unlinked; their addresses are emptied
  };
  // What leads workers to a record, side by side for many: all that is read once an update is durable.
  struct Lead {
    IpAddr eip;
    bool edge;
    BindingId id;
    Slot slot;
    Location key;
  };
  // An update from prepare() to reclaim().
  struct Prepared {
    compile::Update update;
    std::vector<Coming> coming;  // all of its bindings that differ
    // Of those that are placed.
    std::vector<Placement> placements;
    std::vector<Lead> leads;
  };

  // Whether it only takes another record: the endpoint stays who and where it is.
  [[nodiscard]] static bool only_changes(const Bound& bound, const compile::CompiledBinding& next);
  // Its list is no longer than that which it replaces.
  [[nodiscard]] static bool does_not_grow(const Coming& coming);
  void place_ahead();
  void leave(Coming& coming);
  void unbind(Bound& bound);
  void lead_nowhere(Bound& bound);
  void leave_placement(Bound& bound);
  // Of rules that `next` has not, or has otherwise.
  static void forget_hits(Bound& bound, const model::PermitList& next);
  // What a placement has counted goes on in its EIP's totals.
  void inherit(Bound& bound, const Retired& retired) const;
  using Pools = std::map<IpAddr, compile::CompiledPool>;
  [[nodiscard]] Expected<void> set_pools(const Pools& next);
  [[nodiscard]] Expected<void> set_ipv4_pools(const Pools& before, const Pools& next);
  [[nodiscard]] Expected<void> set_ipv6_pools(const Pools& before, const Pools& next);
  void fill(Ipv4Prefix prefix);
  [[nodiscard]] uint32_t unbound_value(const IpAddr& address) const;
  void set(View view, const IpAddr& address, uint32_t value);
  [[nodiscard]] bool set(const Location& key, Slot slot);
  void erase(const Location& key);
  // What Coming::binding points to is taken, if it finds room; so it is by the two below.
  [[nodiscard]] Expected<void> put(Coming& coming);
  // Workers find the record from now on. False: there is no room for the endpoint's key, which it had not.
  [[nodiscard]] bool lead(const Lead& to);
  void lead_to_placed(const std::vector<Lead>& leads);
  void prefetch(const Lead& to) const;
  // Of an EIP that may be bound, what it is bound by: its place among others is there already.
  void prefetch_bound(const IpAddr& eip) const { static_cast<void>(bindings_.find(Ahead<IpAddr>{eip})); }
  // What place() writes and reads at the slot that it takes after so many others.
  void prefetch_slot(IpFamily family, size_t after) const;
  // Nothing leads to what it replaces. `next`: the list from now on.
  void settle(Bound& bound, const model::PermitList& next, Placement placement);
  void become(Bound& bound, compile::CompiledBinding next);
  // Of those that workers find and that are not settled yet.
  void settle_placed();
  [[nodiscard]] Expected<void> put_all(std::vector<Coming> coming);
  [[nodiscard]] Expected<void> put_in_place(std::vector<Coming> coming);

  [[nodiscard]] Expected<Placement> place(const compile::CompiledBinding& binding, BindingId id);
  [[nodiscard]] Expected<void> fill_placement(const compile::CompiledBinding& binding, BindingId id,
                                              Placement& placement);
  template <typename Rule>
  [[nodiscard]] Expected<Rules<Rule>> place_rules(const compile::CompiledBinding& binding,
                                                  Placement& placement);
  void retire(Retired retired);
  // Takes from a table; if it is out of room, what is in limbo may be what it lacks: this is where a large
  // batch falls into steps.
  template <typename Take>
  [[nodiscard]] auto with_room(Take&& take) {
    auto taken = take();
    if (!taken) {
      wait_for_readers();
      taken = take();
    }
    return taken;
  }
  template <typename Take>
  [[nodiscard]] auto with_pages(const Pools& next, Take&& take);
  void pass_grace_period();
  void wait_until_quiescent();
  // What is in limbo since before a grace period.
  void free_limbo();
  // Both.
  void wait_for_readers();

  [[nodiscard]] TagId acquire_tag(const model::TagKey& key);
  void release_tag(const model::TagKey& key);
  [[nodiscard]] Expected<TagSetId> acquire_tag_set(const std::vector<model::TagKey>& keys);
  void release_tag_set(const std::vector<model::TagKey>& keys);
  [[nodiscard]] bool take_id(BindingId& id);

  [[nodiscard]] uint64_t flows_of(BindingId id) const;
  [[nodiscard]] Traffic traffic_of(Slot slot) const;
  [[nodiscard]] Hits hits_of(const Placement& placement, size_t rules) const;

  Tables* tables_;
  rte_rcu_qsbr* rcu_;
  std::map<std::string, PortId> port_ids_;
  uint32_t flow_quota_;
  std::vector<const Worker*> workers_;
  const Handover* handover_ = nullptr;

  Pools pools_;
  struct EipHash {
    using is_transparent = void;
    size_t operator()(const IpAddr& eip) const { return absl::HashOf(std::hash<IpAddr>()(eip)); }
    size_t operator()(const Ahead<IpAddr>& ahead) const { return (*this)(ahead.key); }
  };
  struct SameEip {
    using is_transparent = void;
    bool operator()(const IpAddr& a, const IpAddr& b) const { return a == b; }
    bool operator()(const IpAddr& key, const Ahead<IpAddr>&) const {
      prefetch_bytes(&key, sizeof(std::pair<const IpAddr, Bound>));
      return false;
    }
  };
  absl::node_hash_map<IpAddr, Bound, EipHash, SameEip> bindings_;
  uint64_t in_edge_view_ = 0;  // of them
  std::map<model::TagKey, Tag> tags_;
  std::map<std::vector<model::TagKey>, InternedTagSet> tag_sets_;
  Links links_;
  Tenants tenants_;
  std::vector<TagId> free_tags_;
  TagId tags_ever_ = 0;
  std::deque<BindingId> resting_ids_;  // longest unused first
  Limbo limbo_;
  Prepared prepared_;
  std::span<const Coming> unsettled_;
  std::optional<Prepared> enforced_;  // since a grace period
};

}  // namespace portcullis::publish
