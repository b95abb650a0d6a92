#include "control/store/record.h"
#include "src/base/fnv.h"

#include <gtest/gtest.h>

#include "control/store/record.pb.h"
#include "tests/unit/store/workload.h"

namespace portcullis::store {
namespace {

std::string refusal(const ChangeSet& record) {
  const auto decoded = decode(record.SerializeAsString());
  return decoded ? "" : decoded.error().message;
}

TEST(Record, EveryKindOfChangeComesBack) {
  for (model::Generation generation = 1; generation <= 12; ++generation) {
    const model::ChangeSet changes = change_set(generation, 8);
    const auto decoded = decode(encode(changes));
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_EQ(*decoded, changes);
  }
}

TEST(Record, ExtremesComeBack) {
  model::Eip eip;
  eip.address = Ipv4Addr::of(255, 255, 255, 255);
  eip.created = UINT64_MAX;
  model::PermitRule rule;
  rule.name = "r";
  rule.protocol = 255;
  rule.icmp_type = 0;
  rule.icmp_code = 255;
  rule.local_ports = {65535, 65535};
  rule.remote_ports = {0, 0};
  rule.remote = std::vector<IpPrefix>{Ipv4Prefix()};
  eip.permit = {rule};
  eip.quota = {UINT32_MAX, UINT32_MAX - 1};
  const model::ChangeSet changes{UINT64_MAX,
                                 {model::PutEip{eip}, model::DeleteEip{Ipv4Addr(), INT64_MIN}, model::PutVm{},
                                  model::PutTenantQuota{{"acme", UINT32_MAX, UINT32_MAX - 1, UINT32_MAX - 2}},
                                  model::DeleteTenantQuota{}}};
  const auto decoded = decode(encode(changes));
  ASSERT_TRUE(decoded);
  EXPECT_EQ(*decoded, changes);
}

TEST(Record, EveryEncapsulationComesBack) {
  for (const Encapsulation& encapsulation :
       {Encapsulation(), Encapsulation(portcullis::VlanTags{1, 0}),
        Encapsulation(portcullis::VlanTags{4094, 4094}),
        Encapsulation(portcullis::Tunnel{TunnelProtocol::vxlan, Ipv4Addr::of(255, 255, 255, 255), 0}),
        Encapsulation(portcullis::Tunnel{TunnelProtocol::geneve, Ipv4Addr::of(192, 0, 2, 7), 0xffffff}),
        Encapsulation(portcullis::Tunnel{TunnelProtocol::vxlan, Ipv6Addr::of(0x20010db800000000, 7), 5000}),
        Encapsulation(portcullis::Tunnel{TunnelProtocol::geneve, Ipv6Addr::of(UINT64_MAX, UINT64_MAX), 1})}) {
    model::Vm vm{"acme", "web", {"vms", Mac{{2, 0, 0, 0, 0, 1}}, encapsulation}, Ipv4Addr::of(10, 0, 0, 1)};
    const model::ChangeSet changes{1, {model::PutVm{vm}}};
    const auto decoded = decode(encode(changes));
    ASSERT_TRUE(decoded) << to_string(encapsulation);
    EXPECT_EQ(*decoded, changes) << to_string(encapsulation);
  }
}

// One message serves for all changes of a set: nothing of one is left for the next.
TEST(Record, WhatFollowsHasNothingOfWhatCameBefore) {
  model::Vm vm{"a-tenant-of-many-letters",
               "a-vm-of-many-letters",
               {"vms", Mac{{2, 0, 0, 0, 0, 1}}, {}},
               Ipv4Addr::of(10, 0, 0, 1)};
  vm.dip6 = Ipv6Addr::of(1, 2);
  model::Eip eip;
  eip.address = Ipv6Addr::of(0x20010db800000000, 7);
  eip.tenant = "acme";
  eip.tags = {"db", "web"};
  eip.keep_established = true;
  eip.quota = {7, 9};
  model::PermitRule rule;
  rule.name = "a-rule-of-many-letters";
  rule.direction = model::Direction::outbound;
  rule.protocol = 6;
  rule.icmp_type = 8;
  rule.icmp_code = 1;
  rule.local_ports = {1, 2};
  rule.remote_ports = {3, 4};
  rule.tracked = true;
  rule.remote = std::vector<IpPrefix>{Ipv4Prefix(), Ipv6Prefix()};
  model::PermitRule bare;
  bare.name = "b";
  model::PermitRule by_tag;
  by_tag.name = "c";
  by_tag.remote = std::vector<std::string>{"db"};
  eip.permit = {rule, rule, by_tag};
  model::Eip less;
  less.address = Ipv4Addr::of(203, 0, 113, 1);
  less.permit = {bare, by_tag, bare};
  model::ChangeSet changes{7, {}};
  for (const Encapsulation& encapsulation :
       {Encapsulation(portcullis::VlanTags{200, 30}),
        Encapsulation(portcullis::Tunnel{TunnelProtocol::vxlan, Ipv6Addr::of(3, 4), 5000}),
        Encapsulation(portcullis::Tunnel{TunnelProtocol::geneve, Ipv4Addr::of(192, 0, 2, 7), 0}),
        Encapsulation(portcullis::VlanTags{100, 0}), Encapsulation()}) {
    vm.location.encapsulation = encapsulation;
    changes.changes.emplace_back(model::PutVm{vm});
    vm.dip6.reset();
    vm.id = "b";
  }
  for (const model::Change& change :
       {model::Change(model::PutEip{eip}), model::Change(model::PutEip{less}),
        model::Change(model::PutEip{model::Eip()}), model::Change(model::PutEip{eip}),
        model::Change(model::DeleteEip{eip.address, 5}), model::Change(model::DeleteEip{less.address, 0}),
        model::Change(model::DeleteVm{{"acme", "web"}}), model::Change(model::DeleteVm{{"", "x"}}),
        model::Change(model::PutPool{{"p", Ipv6Prefix(), model::PoolKind::provider}}),
        model::Change(model::PutPool{{"", Ipv4Prefix(), model::PoolKind::local}}),
        model::Change(model::DeletePool{"p"}), model::Change(model::DeletePool{""}),
        model::Change(model::PutTenantQuota{{"acme", 1, 2, 3}}),
        model::Change(model::PutTenantQuota{{"t", 0, 0, 0}}), model::Change(model::DeleteTenantQuota{"acme"}),
        model::Change(model::PutVm{vm}), model::Change(model::PutEip{less})})
    changes.changes.push_back(change);
  const auto decoded = decode(encode(changes));
  ASSERT_TRUE(decoded) << decoded.error().message;
  EXPECT_EQ(*decoded, changes);
  // Each by itself is the same.
  for (const model::Change& change : changes.changes) {
    const auto alone = decode(encode({7, {change}}));
    ASSERT_TRUE(alone) << alone.error().message;
    EXPECT_EQ(*alone, (model::ChangeSet{7, {change}}));
  }
}

// What a release before VLANs and tunnels wrote of a vm: fields 1 to 6 as they are, of which the location
// needs no more.
TEST(Record, OfAVmWithoutAnEncapsulationIsWhatVersionTwoWrote) {
  const model::Vm vm{"acme", "web", {"vms", Mac{{2, 0, 0, 0, 0, 1}}}, Ipv4Addr::of(10, 0, 0, 1)};
  const std::string written(
      "\x08\x01\x12\x1f\x0a\x1d"
      "\x0a\x04"
      "acme"
      "\x12\x03"
      "web"
      "\x1a\x03"
      "vms"
      "\x22\x06\x02\x00\x00\x00\x00\x01"
      "\x2d\x01\x00\x00\x0a",
      35);
  EXPECT_EQ(encode({1, {model::PutVm{vm}}}), written);
  EXPECT_EQ(decode(written), (model::ChangeSet{1, {model::PutVm{vm}}}));
}

TEST(Record, EmptyChangeSetComesBack) {
  const auto decoded = decode(encode({9, {}}));
  ASSERT_TRUE(decoded);
  EXPECT_EQ(*decoded, (model::ChangeSet{9, {}}));
}

TEST(Record, WhatWasNeverWrittenIsRefused) {
  EXPECT_FALSE(decode("\xff\xff\xff"));
  ChangeSet record;
  record.add_changes();
  EXPECT_NE(refusal(record).find("kind that this release does not know"), std::string::npos);

  Vm& vm = *record.mutable_changes(0)->mutable_put_vm();
  vm.set_mac("12345");
  EXPECT_NE(refusal(record).find("MAC"), std::string::npos);
  vm.set_mac("123456");
  EXPECT_EQ(refusal(record), "");
  vm.mutable_vlan()->set_outer(65536);
  EXPECT_NE(refusal(record).find("VLAN identifier 65536 is out of range"), std::string::npos);
  vm.mutable_vlan()->set_outer(100);
  vm.mutable_vlan()->set_inner(70000);
  EXPECT_NE(refusal(record).find("VLAN identifier 70000"), std::string::npos);
  for (const auto make : {&Vm::mutable_vxlan, &Vm::mutable_geneve}) {
    Tunnel& tunnel = *(vm.*make)();
    tunnel.set_address6("15 bytes, no 16");
    EXPECT_NE(refusal(record).find("an IPv6 address of 15 bytes"), std::string::npos);
    tunnel.set_address6("these are 16 ...");
    EXPECT_EQ(refusal(record), "");
    tunnel.set_address(1);
    EXPECT_NE(refusal(record).find("both families"), std::string::npos);
  }

  Prefix& prefix = *record.mutable_changes(0)->mutable_put_pool()->mutable_prefix();
  prefix.set_address(0x0a000001);
  prefix.set_length(8);
  EXPECT_NE(refusal(record).find("10.0.0.1/8"), std::string::npos);
  prefix.set_length(33);
  EXPECT_NE(refusal(record).find("10.0.0.1/33"), std::string::npos);

  PermitRule& rule = *record.mutable_changes(0)->mutable_put_eip()->add_permit();
  EXPECT_EQ(refusal(record), "");
  rule.set_protocol(256);
  EXPECT_NE(refusal(record).find("protocol 256"), std::string::npos);
  rule.clear_protocol();
  record.mutable_changes(0)->mutable_put_eip()->set_address6("15 bytes, no 16");
  EXPECT_NE(refusal(record).find("an IPv6 address of 15 bytes"), std::string::npos);
  record.mutable_changes(0)->mutable_put_eip()->set_address6("these are 16 ...");
  record.mutable_changes(0)->mutable_put_eip()->set_address(1);
  EXPECT_NE(refusal(record).find("both families"), std::string::npos);
  record.mutable_changes(0)->mutable_put_eip()->clear_address6();
  rule.mutable_local_ports()->set_last(65536);
  EXPECT_NE(refusal(record).find("port 65536"), std::string::npos);
  rule.clear_local_ports();
  rule.add_tags("web");
  rule.add_prefixes();
  EXPECT_NE(refusal(record).find("two remotes"), std::string::npos);
}

TEST(Record, ChecksumSeesEveryChangedByte) {
  const std::string record = encode(change_set(4));
  for (size_t i = 0; i < record.size(); ++i) {
    std::string changed = record;
    changed[i] = static_cast<char>(changed[i] ^ 0x10);
    EXPECT_NE(fnv1a(changed), fnv1a(record));
  }
}

}  // namespace
}  // namespace portcullis::store
