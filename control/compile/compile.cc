#include "control/compile/compile.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "control/model/model.h"
#include "src/base/ahead.h"
#include "src/net/headers.h"

namespace portcullis::compile {

// The union of the local pools, as disjoint ranges that do not touch: a prefix lies inside it exactly if it
// lies inside one of them, also when it spans several pools.
class LocalSpace {
 public:
  explicit LocalSpace(const model::State& state) {
    std::map<IpAddr, IpAddr> pools;  // they do not overlap, and IPv4 comes before IPv6
    for (const auto& [id, pool] : state.pools)
      if (pool.kind == model::PoolKind::local) pools.emplace(pool.prefix.first(), pool.prefix.last());
    for (const auto& [first, last] : pools) {
      if (!ranges_.empty() && follows(ranges_.back().last, first))
        ranges_.back().last = last;
      else
        ranges_.push_back({first, last});
    }
  }

  [[nodiscard]] bool contains(const IpPrefix& prefix) const {
    auto after = std::ranges::upper_bound(ranges_, prefix.first(), {}, &Range::first);
    return after != ranges_.begin() && prefix.last() <= std::prev(after)->last;
  }

 private:
  // Whether `next` is the address after `last`.
  static bool follows(const IpAddr& last, const IpAddr& next) {
    if (last.family() != next.family()) return false;
    if (last.is_v4()) return uint64_t{last.v4().host()} + 1 == next.v4().host();
    const Ipv6Addr a = last.v6(), b = next.v6();
    return a.low() == UINT64_MAX ? b.low() == 0 && b.high() == a.high() + 1 && b.high() != 0
                                 : b.high() == a.high() && b.low() == a.low() + 1;
  }

  struct Range {
    IpAddr first;
    IpAddr last;
  };
  std::vector<Range> ranges_;
};

namespace {

// Semantics, "The calls": external is `any` and what reaches outside the local pools. A tag names EIPs only.
bool has_external(const LocalSpace& local, const model::PermitList& list) {
  if (list.has_any()) return true;
  return list.has_prefixes() && std::ranges::any_of(list, [&](const model::PermitRule& rule) {
           const auto* prefixes = std::get_if<std::vector<IpPrefix>>(&rule.remote);
           return prefixes != nullptr && std::ranges::any_of(*prefixes, [&](const IpPrefix& prefix) {
                    return !local.contains(prefix);
                  });
         });
}

constexpr PortRange exactly(std::optional<uint8_t> value) {
  return value ? PortRange{*value, *value} : PortRange{};
}

// All of a compiled rule but its remote.
PermitRule compile_match(const model::PermitRule& rule) {
  PermitRule compiled;
  if (rule.direction == model::Direction::outbound) compiled.flags |= PermitRule::outbound;
  if (rule.tracked) compiled.flags |= PermitRule::tracked;
  if (!rule.protocol) {
    compiled.flags |= PermitRule::any_protocol;
    return compiled;
  }
  compiled.protocol = *rule.protocol;
  const bool is_icmp = ip_protocol::is_icmp(*rule.protocol);
  compiled.local_ports = is_icmp ? exactly(rule.icmp_type) : rule.local_ports;
  compiled.remote_ports = is_icmp ? exactly(rule.icmp_code) : rule.remote_ports;
  return compiled;
}

bool concerns(const model::PermitRule& rule, IpFamily family) {
  if (!rule.protocol) return true;
  return family == IpFamily::ipv4 ? !ip_protocol::has_no_meaning_in_ipv4(*rule.protocol)
                                  : !ip_protocol::has_no_meaning_in_ipv6(*rule.protocol);
}

void compile_rule(const model::PermitRule& rule, IpFamily family, CompiledRules& compiled) {
  if (!concerns(rule, family)) return;
  const PermitRule match = compile_match(rule);
  const IpPrefix any = family == IpFamily::ipv4 ? IpPrefix(Ipv4Prefix()) : Ipv6Prefix();
  const auto add_prefix = [&](const IpPrefix& prefix) {
    if (prefix.family() != family) return;
    CompiledRule& added = compiled.emplace_back(CompiledRule{match, &rule, nullptr, prefix});
    if (prefix.is_v6()) return;
    added.rule.remote = prefix.v4().address().host();
    added.rule.prefix_length = prefix.length();
  };
  if (std::holds_alternative<model::AnyRemote>(rule.remote)) add_prefix(any);
  if (const auto* prefixes = std::get_if<std::vector<IpPrefix>>(&rule.remote))
    for (const IpPrefix& prefix : *prefixes) add_prefix(prefix);
  if (const auto* tags = std::get_if<std::vector<std::string>>(&rule.remote))
    for (const std::string& tag : *tags)
      compiled.emplace_back(CompiledRule{match, &rule, &tag, any}).rule.flags |= PermitRule::remote_tag;
}

// A vm with an EIP cannot be deleted.
const model::Vm& vm_of(const model::State& state, const model::VmKey& key) {
  return state.vms.at(key);
}
const model::Vm& vm_of(const model::State& state, const model::Eip& eip) {
  return vm_of(state, model::VmKey(eip.tenant, eip.vm));
}

CompiledBinding compile_binding(const LocalSpace& local, const model::Eip& eip, const model::Vm& vm) {
  CompiledBinding binding;
  binding.eip = eip.address;
  binding.dip = vm.dip_of(eip.address.family()).value();  // an EIP stands for one
  binding.port = vm.location.port;
  binding.encapsulation = vm.location.encapsulation;
  binding.mac = vm.location.mac;
  binding.edge = eip.keep_established || has_external(local, eip.permit);
  binding.incarnation = eip.created;
  binding.binding_generation = eip.binding_generation;
  binding.list_generation = eip.list_generation;
  binding.kept_from = eip.kept_from;
  binding.flow_quota = eip.quota.flows;
  for (const std::string& tag : eip.tags) binding.tags.emplace_back(eip.tenant, tag);
  binding.tenant = eip.tenant;
  binding.permit = eip.permit;
  return binding;
}

std::map<IpAddr, CompiledPool> compile_pools(const model::State& state) {
  std::map<IpAddr, CompiledPool> pools;
  for (const auto& [id, pool] : state.pools)
    pools.emplace(pool.prefix.first(), CompiledPool{pool.prefix, pool.kind});
  return pools;
}

std::map<model::TenantId, uint32_t> compile_flow_quotas(const model::State& state) {
  std::map<model::TenantId, uint32_t> quotas;
  for (const auto& [key, quota] : state.quotas)
    if (quota.flows != 0) quotas.emplace_hint(quotas.end(), key.tenant, quota.flows);
  return quotas;
}

// What a change set names, by what it takes to find what differs.
struct Named {
  std::vector<IpAddr> eips;
  std::vector<model::TenantId> tenants;
  bool pools = false;

  // A new vm, and one that goes, has no EIP; if one moves, its EIP is named, too: its binding generation
  // rises.
  void add(const model::PutVm&) {}
  void add(const model::DeleteVm&) {}
  void add(const model::PutPool&) { pools = true; }
  void add(const model::DeletePool&) { pools = true; }
  void add(const model::PutEip& put) { eips.push_back(put.eip.address); }
  void add(const model::DeleteEip& gone) { eips.push_back(gone.address); }
  void add(const model::PutTenantQuota& put) { tenants.push_back(put.quota.tenant); }
  void add(const model::DeleteTenantQuota& gone) { tenants.push_back(gone.tenant); }
};

}  // namespace

StampedTerms flow_terms(const CompiledBinding& binding, uint32_t default_flow_quota) {
  // `kept_from` is no change of its own: it moves with the list, or ends what is kept, of which no entry is
  // as young as the list.
  const model::Generation latest =
      std::max({binding.incarnation, binding.binding_generation, binding.list_generation});
  const auto within_reach = [&](model::Generation generation) {
    return static_cast<uint32_t>(latest - std::min<model::Generation>(latest - generation, FlowTerms::reach));
  };
  return {{.incarnation = within_reach(binding.incarnation),
           .binding_generation = within_reach(binding.binding_generation),
           .list_generation = within_reach(binding.list_generation),
           .kept_from = within_reach(binding.kept_from),
           .flow_quota = binding.flow_quota != 0 ? binding.flow_quota : default_flow_quota},
          static_cast<uint32_t>(latest)};
}

CompiledRules compile_rules(const model::PermitList& list, IpFamily family) {
  CompiledRules compiled;
  compiled.reserve(list.compiled_rules());
  // A rule that tracks nothing decides before one that does: a packet that both match needs no entry.
  for (const bool tracked : {false, true})
    for (const model::PermitRule& rule : list)
      if (rule.tracked == tracked) compile_rule(rule, family, compiled);
  return compiled;
}

CompiledBinding compile_binding(const model::State& state, const model::Eip& eip) {
  return compile_binding(LocalSpace(state), eip, vm_of(state, eip));
}

Image compile(const model::State& state) {
  const LocalSpace local(state);
  Image image{.pools = compile_pools(state), .bindings = {}, .flow_quotas = compile_flow_quotas(state)};
  for (const auto& [address, eip] : state.eips)
    image.bindings.emplace_hint(image.bindings.end(), address,
                                compile_binding(local, eip, vm_of(state, eip)));
  return image;
}

Update compile_change(const model::State& state, const model::ChangeSet& changes) {
  const model::ChangeSet* const one = &changes;
  return compile_change(state, std::span(&one, 1));
}

Update compile_change(const model::State& state, std::span<const model::ChangeSet* const> changes) {
  Named named;
  for (const model::ChangeSet* set : changes)
    for (const model::Change& change : set->changes)
      std::visit([&](const auto& what) { named.add(what); }, change);

  if (named.pools)
    for (const auto& [address, eip] : state.eips)
      // Only a rule with prefixes can turn external, or stop being so, when a pool comes or goes.
      if (eip.permit.has_prefixes()) named.eips.push_back(address);
  std::ranges::sort(named.eips);
  named.eips.erase(std::unique(named.eips.begin(), named.eips.end()), named.eips.end());

  Update update;
  if (named.pools) update.pools = compile_pools(state);
  for (const model::TenantId& tenant : named.tenants) {
    const auto quota = state.quotas.find(model::QuotaKey{tenant});
    update.flow_quotas[tenant] = quota == state.quotas.end() ? 0 : quota->second.flows;
  }
  const LocalSpace local(state);
  struct Found {
    IpAddr address;
    const model::Eip* eip = nullptr;
    model::VmKey vm = {};
  };
  std::vector<Found> found;
  found.reserve(named.eips.size());
  for (const IpAddr& address : named.eips) found.push_back({address});
  in_passes(
      found, [&](const Found& next) { state.eips.prefetch(next.address); },
      [&](const Found& next) { state.eips.prefetch_value(next.address); },
      [&](Found& next) {
        const auto eip = state.eips.find(next.address);
        if (eip == state.eips.end()) return;
        next.eip = &eip->second;
        next.vm = {next.eip->tenant, next.eip->vm};
        state.vms.prefetch(next.vm);
      },
      [&](const Found& next) {
        if (next.eip != nullptr) state.vms.prefetch_value(next.vm);
      },
      [&](const Found& next) {
        auto& binding =
            update.bindings.emplace_hint(update.bindings.end(), next.address, std::nullopt)->second;
        if (next.eip != nullptr) binding = compile_binding(local, *next.eip, vm_of(state, next.vm));
      });
  return update;
}

void apply(Image& image, const Update& update) {
  if (update.pools) image.pools = *update.pools;
  for (const auto& [address, binding] : update.bindings) {
    if (binding)
      image.bindings.insert_or_assign(address, *binding);
    else
      image.bindings.erase(address);
  }
  for (const auto& [tenant, flows] : update.flow_quotas) {
    if (flows != 0)
      image.flow_quotas[tenant] = flows;
    else
      image.flow_quotas.erase(tenant);
  }
}

Update update_of(Image image) {
  Update update{.pools = std::move(image.pools), .bindings = {}, .flow_quotas = std::move(image.flow_quotas)};
  for (auto& [eip, binding] : image.bindings)
    update.bindings.emplace_hint(update.bindings.end(), eip, std::move(binding));
  return update;
}

ImageParts::ImageParts(const model::State& state)
    : state_(&state), local_(std::make_unique<const LocalSpace>(state)), left_(state.eips.begin()) {
  compile_one();
}

ImageParts::~ImageParts() = default;
ImageParts::ImageParts(ImageParts&&) noexcept = default;

std::map<IpAddr, CompiledPool> ImageParts::pools() const {
  return compile_pools(*state_);
}

std::map<model::TenantId, uint32_t> ImageParts::flow_quotas() const {
  return compile_flow_quotas(*state_);
}

std::vector<CompiledBinding> ImageParts::next() {
  std::vector<CompiledBinding> part = coming_.get();
  compile_one();
  return part;
}

// Worth a thread, and small enough for the caches.
void ImageParts::compile_one() {
  constexpr size_t size = 1000;
  const auto first = left_;
  size_t count = 0;
  for (; count < size && left_ != state_->eips.end(); ++count) ++left_;
  coming_ = std::async(count == size ? std::launch::async : std::launch::deferred,
                       [state = state_, local = local_.get(), first, last = left_, count] {
                         std::vector<CompiledBinding> part;
                         part.reserve(count);
                         for (auto eip = first; eip != last; ++eip)
                           part.push_back(compile_binding(*local, eip->second, vm_of(*state, eip->second)));
                         return part;
                       });
}

}  // namespace portcullis::compile
