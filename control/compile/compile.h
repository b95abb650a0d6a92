// Model -> what the data plane must hold. A pure function over State, plus an incremental form: the updates
// that a change set makes. A property test holds the two together. Bindings are derived here (semantics:
// "PRDO bindings"), never set by hand.
#pragma once

#include <absl/container/inlined_vector.h>

#include <cstddef>
#include <cstdint>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "control/model/objects.h"
#include "dataplane/tables/binding.h"
#include "dataplane/tables/permit.h"

namespace portcullis::compile {

// What a named rule says of one of its remotes. It refers to the list that it was compiled from. A tag is
// still a name: publish numbers tags.
struct CompiledRule {
  PermitRule rule;  // with the remote of an IPv4 rule; 0 when `tag` is set
  const model::PermitRule* of = nullptr;
  const std::string* tag = nullptr;  // of the list's tenant
  IpPrefix remote = {};              // of meaning only when `tag` is not set; `any` is all of the family
};

// Most lists need no memory of their own for it.
using CompiledRules = absl::InlinedVector<CompiledRule, inline_permit_rules>;

// Its list is the model's own, shared: a million EIPs have each of their rules once. compile_rules() says
// what the data plane compares.
struct CompiledBinding {
  IpAddr eip;
  IpAddr dip;
  std::string port;
  Mac mac;
  Encapsulation encapsulation = {};
  bool edge = false;                  // in the edge view; every compiled binding is in the local view
  model::Generation incarnation = 0;  // never the same for two owners of one address
  model::Generation binding_generation = 0;
  model::Generation list_generation = 0;
  model::Generation kept_from = 0;
  uint32_t flow_quota = 0;          // 0: the default
  std::vector<model::TagKey> tags;  // ascending
  model::TenantId tenant;           // whose tags the rules name
  model::PermitList permit;
  friend bool operator==(const CompiledBinding&, const CompiledBinding&) = default;
};

// What its flow entries are held to, and the stamp of its record.
struct StampedTerms {
  FlowTerms terms;
  uint32_t stamp = 0;
};
[[nodiscard]] StampedTerms flow_terms(const CompiledBinding& binding, uint32_t default_flow_quota);

struct CompiledPool {
  IpPrefix prefix;
  model::PoolKind kind = model::PoolKind::local;
  friend bool operator==(const CompiledPool&, const CompiledPool&) = default;
};

struct Image {
  std::map<IpAddr, CompiledPool> pools;  // by first address
  std::map<IpAddr, CompiledBinding> bindings;
  std::map<model::TenantId, uint32_t> flow_quotas;  // of tenants that have one of their own
  friend bool operator==(const Image&, const Image&) = default;
};

struct Update {
  // All pools, if a pool changed. They are few, and a change set names a deleted one only by its id.
  std::optional<std::map<IpAddr, CompiledPool>> pools;
  // By EIP; an absent value: it is bound no more. One that did not change may be among them.
  std::map<IpAddr, std::optional<CompiledBinding>> bindings;
  // Of tenants' flow entries; 0: the default. As of bindings.
  std::map<model::TenantId, uint32_t> flow_quotas = {};
};

// A list for packets of `family`: rules that track nothing before those that do, then by name. What a rule
// says of the other family is left out, which only the gateway's own list has. `list` outlives the result.
[[nodiscard]] CompiledRules compile_rules(const model::PermitList& list, IpFamily family);
[[nodiscard]] CompiledBinding compile_binding(const model::State& state, const model::Eip& eip);
[[nodiscard]] Image compile(const model::State& state);
// What `changes`, already applied to `state`, make different: bindings of the EIPs they name, and those whose
// edge membership a pool change may have moved. A change set that moves a vm names its EIP, whose binding
// generation it raises. Takes time in proportion to what changes; for a pool, to all EIPs.
[[nodiscard]] Update compile_change(const model::State& state,
                                    std::span<const model::ChangeSet* const> changes);
// Of one set.
[[nodiscard]] Update compile_change(const model::State& state, const model::ChangeSet& changes);
// Applies an update to an image: image(before) + update = image(after).
void apply(Image& image, const Update& update);
// What makes the image of nothing.
[[nodiscard]] Update update_of(Image image);

class LocalSpace;

// What compile() gives, part by part in the order of EIPs: while one is published, another thread compiles
// the next. `state` outlives this, and does not change meanwhile.
class ImageParts {
 public:
  explicit ImageParts(const model::State& state);
  ~ImageParts();
  ImageParts(ImageParts&&) noexcept;
  ImageParts(const ImageParts&) = delete;
  ImageParts& operator=(const ImageParts&) = delete;
  ImageParts& operator=(ImageParts&&) = delete;

  [[nodiscard]] std::map<IpAddr, CompiledPool> pools() const;
  [[nodiscard]] std::map<model::TenantId, uint32_t> flow_quotas() const;
  [[nodiscard]] size_t bindings() const { return state_->eips.size(); }  // of all parts
  // None: there are no more.
  [[nodiscard]] std::vector<CompiledBinding> next();

 private:
  void compile_one();

  const model::State* state_;
  std::unique_ptr<const LocalSpace> local_;
  decltype(model::State::eips)::const_iterator left_;  // from here on nothing is compiled
  std::future<std::vector<CompiledBinding>> coming_;   // last: its thread uses all of the above
};

}  // namespace portcullis::compile
