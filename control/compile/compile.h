// Model -> what the data plane must hold. A pure function over State, plus an incremental form: the updates
// that a change set makes. A property test holds the two together. Bindings are derived here (semantics:
// "PRDO bindings"), never set by hand.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "control/model/objects.h"
#include "dataplane/tables/permit.h"

namespace portcullis::compile {

// One compiled rule and the named rule it came from. A tag is still a name: publish numbers tags.
struct CompiledRule {
  PermitRule rule;  // `remote` is 0 when `tag` is set
  std::optional<model::TagKey> tag;
  std::string name;
  friend bool operator==(const CompiledRule&, const CompiledRule&) = default;
};

struct CompiledBinding {
  Ipv4Addr eip;
  Ipv4Addr dip;
  std::string port;
  Mac mac;
  bool edge = false;  // in the edge view; every compiled binding is in the local view
  uint32_t incarnation = 0;
  uint32_t binding_generation = 0;
  uint32_t list_generation = 0;
  uint32_t kept_from = 0;
  std::vector<model::TagKey> tags;  // ascending
  std::vector<CompiledRule> rules;  // rules that track nothing before those that do, then by name
  friend bool operator==(const CompiledBinding&, const CompiledBinding&) = default;
};

struct CompiledPool {
  Ipv4Prefix prefix;
  model::PoolKind kind = model::PoolKind::local;
  friend bool operator==(const CompiledPool&, const CompiledPool&) = default;
};

struct Image {
  std::map<Ipv4Addr, CompiledPool> pools;  // by first address
  std::map<Ipv4Addr, CompiledBinding> bindings;
  friend bool operator==(const Image&, const Image&) = default;
};

struct Update {
  // All pools, if a pool changed. They are few, and a change set names a deleted one only by its id.
  std::optional<std::map<Ipv4Addr, CompiledPool>> pools;
  // By EIP; an absent value: it is bound no more. One that did not change may be among them.
  std::map<Ipv4Addr, std::optional<CompiledBinding>> bindings;
};

// A list of `tenant`, whose tags its rules name: rules that track nothing before those that do, then by name.
[[nodiscard]] std::vector<CompiledRule> compile_rules(const model::TenantId& tenant,
                                                      const std::vector<model::PermitRule>& list);
[[nodiscard]] CompiledBinding compile_binding(const model::State& state, const model::Eip& eip);
[[nodiscard]] Image compile(const model::State& state);
// What `changes`, already applied to `state`, makes different: bindings of the EIPs it names, and those whose
// edge membership a pool change may have moved. A change set that moves a vm names its EIP, whose binding
// generation it raises. Takes time in proportion to what changes; for a pool, to all EIPs.
[[nodiscard]] Update compile_change(const model::State& state, const model::ChangeSet& changes);
// Applies an update to an image: image(before) + update = image(after).
void apply(Image& image, const Update& update);

}  // namespace portcullis::compile
