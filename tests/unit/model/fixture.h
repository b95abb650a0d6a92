// A model with one tenant's vms and a pool, and short ways to say rules and to expect errors.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "control/model/model.h"

namespace portcullis::model {

inline Ipv4Addr ip(const char* text) {
  return Ipv4Addr::parse(text).value();
}
inline Ipv6Addr ip6(const char* text) {
  return Ipv6Addr::parse(text).value();
}
inline IpPrefix net(const char* text) {
  return IpPrefix::parse(text).value();
}
inline Mac mac(const char* text) {
  return Mac::parse(text).value();
}

inline Vm vm(std::string tenant, std::string id, const char* dip = "10.0.0.2", std::string port = "vms") {
  return {std::move(tenant), std::move(id), {std::move(port), mac("02:00:00:00:00:01")}, ip(dip)};
}
// With an IPv6 address, and an IPv4 one if `dip` is not null.
inline Vm vm6(std::string tenant, std::string id, const char* dip6 = "fd00::2", const char* dip = nullptr) {
  Vm made = vm(std::move(tenant), std::move(id));
  made.dip = dip == nullptr ? std::nullopt : Ipv4Addr::parse(dip);
  made.dip6 = ip6(dip6);
  return made;
}
inline Pool pool(std::string id, const char* prefix, PoolKind kind = PoolKind::local) {
  return {std::move(id), net(prefix), kind};
}

// Inbound TCP from anywhere, to be changed as a test needs.
inline PermitRule rule(std::string name) {
  PermitRule r;
  r.name = std::move(name);
  r.protocol = 6;
  return r;
}
inline PermitRule outbound(std::string name) {
  PermitRule r = rule(std::move(name));
  r.direction = Direction::outbound;
  return r;
}
inline PermitRule tracked(std::string name) {
  PermitRule r = rule(std::move(name));
  r.tracked = true;
  return r;
}

template <typename T>
testing::AssertionResult refused(const Expected<T>& result, ErrorCode code, const std::string& field,
                                 const std::string& object, const std::string& words) {
  if (result) return testing::AssertionFailure() << "not refused";
  const Error& error = result.error();
  if (error.code == code && error.field == field && error.object == object &&
      error.message.find(words) != std::string::npos) {
    return testing::AssertionSuccess();
  }
  return testing::AssertionFailure() << to_string(error.code) << ", field '" << error.field << "', object '"
                                     << error.object << "': " << error.message;
}

inline constexpr int64_t now = 1'700'000'000'000;

class ModelTest : public testing::Test {
 protected:
  void use(Limits limits, std::set<IpAddr> reserved = {}) {
    model_ = Model(limits, {{"vms", {}}, {"more", {}}}, std::move(reserved));
  }

  // Carries a plan out; a refused one is a test failure.
  template <typename Reply>
  Reply carry_out(const Expected<Plan<Reply>>& plan) {
    if (!plan) {
      ADD_FAILURE() << plan.error().message;
      return {};
    }
    model_.apply(plan->changes);
    return plan->reply;
  }
  // Vm number `number` of a tenant, on an address of its own, and its EIP.
  void add_vm(const std::string& tenant, const std::string& id) {
    Vm next = vm(tenant, id);
    next.dip = Ipv4Addr::from_host(next.dip->host() + vms_++);
    carry_out(model_.plan_create_vm(next));
  }
  Eip add_eip(const std::string& tenant, const std::string& id) {
    add_vm(tenant, id);
    return carry_out(model_.plan_request_eip({tenant, id}, "", now));
  }
  Eip set_list(const Eip& eip, std::vector<PermitRule> rules, bool keep = false) {
    return carry_out(model_.plan_set_permit_list(eip.tenant, eip.address, std::move(rules), keep));
  }
  [[nodiscard]] Generation generation() const { return model_.state().generation; }

  Model model_{Limits{}, {{"vms", {}}, {"more", {}}}};

 private:
  uint32_t vms_ = 0;
};

// A plan that changes nothing, and says the current generation.
template <typename Reply>
testing::AssertionResult is_unchanged(const Expected<Plan<Reply>>& plan, Generation generation) {
  if (!plan) return testing::AssertionFailure() << plan.error().message;
  if (!plan->changes.changes.empty()) return testing::AssertionFailure() << "it changes something";
  if (plan->changes.generation != generation) return testing::AssertionFailure() << plan->changes.generation;
  return testing::AssertionSuccess();
}

}  // namespace portcullis::model
