// The desired state as plain C++ values. No DPDK, no gRPC, no Protobuf. Every object is keyed so that
// iteration order is the order in which lists are shown and compiled.
//
// Generations: a change set that is applied raises State::generation by one. Objects remember the generation
// of the change that matters to the data plane; these numbers are durable, so a compile is a pure function of
// State.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "control/model/indexed_map.h"
#include "control/model/permit_list.h"
#include "src/net/address.h"
#include "src/net/encapsulation.h"

namespace portcullis::model {

using Generation = uint64_t;
using TenantId =
    std::string;  // [a-z0-9-]{1,63}, starts and ends with a letter or digit; so are vm, tag, rule ids
using VmKey = std::pair<TenantId, std::string>;   // (tenant, vm id)
using TagKey = std::pair<TenantId, std::string>;  // (tenant, tag name)
// No pool's id, which is a text, too.
struct QuotaKey {
  TenantId tenant;
  friend auto operator<=>(const QuotaKey&, const QuotaKey&) = default;
};

struct VmKeyHash {
  size_t operator()(const VmKey& key) const {
    const std::hash<std::string> hash;
    return hash(key.first) * 0x9e3779b97f4a7c15 + hash(key.second);
  }
};

// Where a vm's frames come from and go to. `port` is the configured port's name.
struct Location {
  std::string port;
  Mac mac;
  Encapsulation encapsulation = {};
  friend bool operator==(const Location&, const Location&) = default;
};

// The gateway's end of the tunnels of an endpoint port: its address of a family, and how it reaches remotes
// that are not on the link.
struct TunnelEnd {
  IpAddr address;
  IpPrefix link;
  bool has_next_hop = false;
};

// What the configuration says of an endpoint port.
struct EndpointPort {
  std::optional<TunnelEnd> ipv4;
  std::optional<TunnelEnd> ipv6;
  // With a tunnel end what is untagged is the underlay's.
  [[nodiscard]] bool has_tunnels() const { return ipv4 || ipv6; }
  [[nodiscard]] const std::optional<TunnelEnd>& end(IpFamily family) const {
    return family == IpFamily::ipv4 ? ipv4 : ipv6;
  }
};
using EndpointPorts = std::map<std::string, EndpointPort>;  // by name

struct Vm {
  TenantId tenant;
  std::string id;
  Location location;
  // Private addresses: at least one of the two, each unique among the vms of one port and encapsulation.
  std::optional<Ipv4Addr> dip;
  std::optional<Ipv6Addr> dip6 = std::nullopt;
  // The one of a family, if it has it.
  [[nodiscard]] std::optional<IpAddr> dip_of(IpFamily family) const {
    if (family == IpFamily::ipv4) return dip ? std::optional<IpAddr>(*dip) : std::nullopt;
    return dip6 ? std::optional<IpAddr>(*dip6) : std::nullopt;
  }
  friend bool operator==(const Vm&, const Vm&) = default;
};

enum class PoolKind : uint8_t { local, provider };

// Pools do not overlap. Addresses of a local pool are handed out from its first upwards, of an IPv6 one as
// many as have an entry in the binding index (index_room.h). An IPv4 prefix shorter than /31 keeps its first
// and last address back; an IPv6 one shorter than /127 its first, which means any router there (RFC 4291,
// 2.6.1; RFC 6164).
struct Pool {
  std::string id;
  IpPrefix prefix;
  PoolKind kind = PoolKind::local;
  friend bool operator==(const Pool&, const Pool&) = default;
};

// What the provider has set. 0: nothing, and the default holds (limits.h).
struct EipQuota {
  uint32_t rules = 0;  // compiled
  uint32_t flows = 0;  // live entries
  friend bool operator==(const EipQuota&, const EipQuota&) = default;
};

struct TenantQuota {
  TenantId tenant;
  uint32_t eips = 0;
  uint32_t rules = 0;  // compiled, of all lists together
  uint32_t flows = 0;  // live entries of all its EIPs
  friend bool operator==(const TenantQuota&, const TenantQuota&) = default;
};

struct Eip {
  IpAddr address;  // of the family of the vm's DIP that it stands for
  TenantId tenant;
  std::string vm;     // id within the tenant
  PermitList permit;  // in canonical form
  std::set<std::string> tags;
  Generation created = 0;             // generation of its request: tells owners of one address apart
  Generation binding_generation = 0;  // last request, set_tag or move
  Generation list_generation = 0;     // last set_permit_list that changed the list
  Generation kept_from = 0;           // flow entries judged from here on survive the last change
  bool keep_established = false;      // kept entries may live: the binding stays while they do
  EipQuota quota = {};
  friend bool operator==(const Eip&, const Eip&) = default;
};

// An address that was released and may not be handed out before `until` (unix milliseconds).
struct Quarantine {
  IpAddr address;
  int64_t until_ms = 0;
  friend bool operator==(const Quarantine&, const Quarantine&) = default;
};

struct State {
  // Those of one tenant, in their order: no id comes between a tenant's and the same with a zero byte behind
  // it.
  struct TenantsVms {
    const State& state;
    const TenantId& tenant;
    [[nodiscard]] auto from(const std::string& id) const { return state.vms.lower_bound({tenant, id}); }
    [[nodiscard]] auto end() const { return state.vms.lower_bound({tenant + '\0', ""}); }
  };
  [[nodiscard]] TenantsVms vms_of(const TenantId& tenant) const { return {*this, tenant}; }

  Generation generation = 0;
  IndexedMap<VmKey, Vm, VmKeyHash> vms;
  std::map<std::string, Pool> pools;
  IndexedMap<IpAddr, Eip> eips;
  std::map<IpAddr, Quarantine> quarantine;
  std::map<QuotaKey, TenantQuota> quotas;  // of tenants for which one is set
  friend bool operator==(const State&, const State&) = default;
};

// --- change sets: the unit that is validated, stored, applied, compiled and published as one ---

struct PutVm {
  Vm vm;
  friend bool operator==(const PutVm&, const PutVm&) = default;
};
struct DeleteVm {
  VmKey key;
  friend bool operator==(const DeleteVm&, const DeleteVm&) = default;
};
struct PutPool {
  Pool pool;
  friend bool operator==(const PutPool&, const PutPool&) = default;
};
struct DeletePool {
  std::string id;
  friend bool operator==(const DeletePool&, const DeletePool&) = default;
};
struct PutEip {
  Eip eip;
  friend bool operator==(const PutEip&, const PutEip&) = default;
};  // also lifts a quarantine
struct DeleteEip {
  IpAddr address;
  int64_t quarantine_until_ms = 0;  // 0: it does not rest
  friend bool operator==(const DeleteEip&, const DeleteEip&) = default;
};
struct PutTenantQuota {
  TenantQuota quota;
  friend bool operator==(const PutTenantQuota&, const PutTenantQuota&) = default;
};
struct DeleteTenantQuota {
  TenantId tenant;
  friend bool operator==(const DeleteTenantQuota&, const DeleteTenantQuota&) = default;
};
using Change =
    std::variant<PutVm, DeleteVm, PutPool, DeletePool, PutEip, DeleteEip, PutTenantQuota, DeleteTenantQuota>;

// Whole new values, so applying one twice is applying it once. Empty: nothing changes, no generation is used.
struct ChangeSet {
  Generation generation = 0;  // State::generation after it is applied
  std::vector<Change> changes;
  friend bool operator==(const ChangeSet&, const ChangeSet&) = default;
};

// What a change makes of a state, and a change set with its generation. Nothing is checked: the change set
// was planned on this state, or comes from the store in its order.
void apply(State& state, Change change);
void apply(State& state, ChangeSet changes);
// What takes `change` back when it is made on `state`.
[[nodiscard]] Change inverse(const State& state, const Change& change);

}  // namespace portcullis::model
