// What the stores in stores/ were made of (stores/README.md), and what today's program must find in them. Of
// the versions' own kinds of things as many as each had.
#pragma once

#include <string>
#include <vector>

#include "control/model/objects.h"

namespace portcullis::store {

inline model::PermitRule old_rule(const char* name, uint8_t protocol) {
  model::PermitRule rule;
  rule.name = name;
  rule.protocol = protocol;
  return rule;
}

// In canonical form.
inline std::vector<model::PermitRule> old_rules() {
  std::vector<model::PermitRule> rules;
  rules.push_back(old_rule("all", 6));
  rules.back().protocol.reset();
  rules.back().remote = std::vector<std::string>{"db", "web"};
  rules.push_back(old_rule("https", 6));
  rules.back().local_ports = {443, 444};
  rules.back().remote_ports = {1024, 65535};
  rules.back().tracked = true;
  rules.push_back(old_rule("out", 17));
  rules.back().direction = model::Direction::outbound;
  rules.back().remote = std::vector<IpPrefix>{Ipv4Prefix(), Ipv4Prefix(Ipv4Addr::of(198, 51, 100, 0), 24)};
  rules.push_back(old_rule("ping", 1));
  rules.back().icmp_type = 8;
  rules.back().icmp_code = 0;
  return rules;
}

inline model::Vm old_vm(const char* id, uint8_t host) {
  model::Vm vm;
  vm.tenant = "acme";
  vm.id = id;
  vm.location.port = "vms";
  vm.location.mac = Mac{{2, 0, 0, 0, 0, host}};
  vm.dip = Ipv4Addr::of(10, 0, 0, host);
  return vm;
}

inline model::Eip old_eip(const char* vm, uint8_t host) {
  model::Eip eip;
  eip.address = Ipv4Addr::of(203, 0, 113, host);
  eip.tenant = "acme";
  eip.vm = vm;
  eip.created = eip.binding_generation = eip.list_generation = eip.kept_from = 3;
  return eip;
}

// Of generations 1 to 5: a snapshot was taken after the third.
inline std::vector<model::ChangeSet> old_change_sets(int version) {
  std::vector<model::ChangeSet> sets;
  const auto begin = [&] { return &sets.emplace_back(model::ChangeSet{sets.size() + 1, {}}).changes; };

  auto* changes = begin();
  changes->push_back(
      model::PutPool{{"public", Ipv4Prefix(Ipv4Addr::of(203, 0, 113, 0), 24), model::PoolKind::local}});
  changes->push_back(
      model::PutPool{{"others", Ipv4Prefix(Ipv4Addr::of(198, 51, 100, 0), 24), model::PoolKind::provider}});
  if (version >= 2) {
    changes->push_back(
        model::PutPool{{"six", Ipv6Prefix(Ipv6Addr::of(0x20010db800050000, 0), 64), model::PoolKind::local}});
  }

  changes = begin();
  model::Vm web = old_vm("web", 1), db = old_vm("db", 2);
  if (version >= 2) {
    web.dip6 = Ipv6Addr::of(0xfd00000000000000, 1);
  }
  if (version >= 3) {
    db.location.encapsulation = VlanTags{7, 8};
    model::Vm far = old_vm("far", 3), farther = old_vm("farther", 4);
    far.location.encapsulation = Tunnel{TunnelProtocol::vxlan, Ipv4Addr::of(192, 0, 2, 7), 5000};
    farther.location.encapsulation = Tunnel{TunnelProtocol::geneve, Ipv6Addr::of(0x20010db800000000, 7), 9};
    changes->push_back(model::PutVm{far});
    changes->push_back(model::PutVm{farther});
  }
  changes->push_back(model::PutVm{web});
  changes->push_back(model::PutVm{db});

  changes = begin();
  model::Eip of_web = old_eip("web", 1);
  of_web.permit = old_rules();
  of_web.tags = {"front", "web"};
  of_web.keep_established = true;
  changes->push_back(model::PutEip{of_web});
  changes->push_back(model::PutEip{old_eip("db", 2)});
  if (version >= 2) {
    model::Eip six = old_eip("web", 1);
    six.address = Ipv6Addr::of(0x20010db800050000, 1);
    std::vector<model::PermitRule> rules;
    rules.push_back(old_rule("ping", 58));
    rules.back().icmp_type = 128;
    rules.back().remote = std::vector<IpPrefix>{Ipv6Prefix(Ipv6Addr::of(0x20010db800000000, 0), 32)};
    six.permit = rules;
    changes->push_back(model::PutEip{six});
  }
  if (version >= 6) {
    model::TenantQuota quota;
    quota.tenant = "acme";
    quota.eips = 5;
    quota.rules = 77;
    changes->push_back(model::PutTenantQuota{quota});
  }

  changes = begin();
  changes->push_back(model::DeleteEip{Ipv4Addr::of(203, 0, 113, 2), 1'700'000'000'000});
  if (version >= 3) {
    changes->push_back(model::DeleteVm{{"acme", "far"}});
  }

  changes = begin();
  of_web.permit = std::vector<model::PermitRule>{old_rules()[1]};
  of_web.list_generation = 5;
  if (version >= 6) {
    of_web.quota = {9, 11};
  }
  changes->push_back(model::PutEip{of_web});
  return sets;
}

}  // namespace portcullis::store
