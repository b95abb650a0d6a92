#include "tests/unit/model/fixture.h"

namespace portcullis::model {
namespace {

class VmTest : public ModelTest {};

TEST_F(VmTest, CreateStoresIt) {
  const auto plan = model_.plan_create_vm(vm("acme", "web"));
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->changes, (ChangeSet{1, {PutVm{vm("acme", "web")}}}));
  EXPECT_EQ(plan->reply, vm("acme", "web"));
  EXPECT_EQ(model_.state(), State()) << "a plan changes nothing";
  carry_out(plan);
  EXPECT_EQ(generation(), 1U);
  EXPECT_EQ(**model_.find_vm({"acme", "web"}), vm("acme", "web"));
}

TEST_F(VmTest, RepeatIsUnchangedAndOtherPropertiesAreRefused) {
  carry_out(model_.plan_create_vm(vm("acme", "web")));
  EXPECT_TRUE(is_unchanged(model_.plan_create_vm(vm("acme", "web")), 1));
  EXPECT_TRUE(refused(model_.plan_create_vm(vm("acme", "web", "10.0.0.3")), ErrorCode::already_exists,
                      "vm.name", "tenants/acme/vms/web", "exists with another location"));
  EXPECT_TRUE(refused(model_.plan_create_vm(vm("acme", "web", "10.0.0.2", "more")), ErrorCode::already_exists,
                      "vm.name", "tenants/acme/vms/web", "exists with another location"));
}

TEST_F(VmTest, Ids) {
  const std::string longest(63, 'a');
  for (const std::string& id : {std::string("a"), std::string("0"), std::string("a-b--9"), longest}) {
    EXPECT_TRUE(model_.plan_create_vm(vm("acme", id))) << id;
    EXPECT_TRUE(model_.plan_create_vm(vm(id, "web"))) << id;
  }
  for (const std::string& id :
       {std::string(), std::string("-a"), std::string("a-"), std::string("-"), std::string("Web"),
        std::string("a_b"), std::string("a/b"), std::string("a.b"),
        std::string("w\xc3\xa9"
                    "b"),
        std::string("a\0b", 3), longest + "a"}) {
    EXPECT_TRUE(refused(model_.plan_create_vm(vm("acme", id)), ErrorCode::invalid_argument, "vm.name",
                        "tenants/acme/vms/" + id, "vm id '"));
    EXPECT_TRUE(refused(model_.plan_create_vm(vm(id, "web")), ErrorCode::invalid_argument, "vm.name",
                        "tenants/" + id + "/vms/web", "tenant '"));
  }
}

TEST_F(VmTest, PortMustBeConfigured) {
  EXPECT_TRUE(model_.plan_create_vm(vm("acme", "web", "10.0.0.2", "more")));
  EXPECT_TRUE(refused(model_.plan_create_vm(vm("acme", "web", "10.0.0.2", "uplink")),
                      ErrorCode::invalid_argument, "vm.location.port", "tenants/acme/vms/web",
                      "no endpoint port 'uplink'"));
}

TEST_F(VmTest, MacMustBeUnicast) {
  for (const char* bad : {"00:00:00:00:00:00", "01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff"}) {
    Vm wrong = vm("acme", "web");
    wrong.location.mac = mac(bad);
    EXPECT_TRUE(refused(model_.plan_create_vm(wrong), ErrorCode::invalid_argument, "vm.location.mac",
                        "tenants/acme/vms/web", bad));
  }
}

TEST_F(VmTest, PrivateAddressMustBeUnicast) {
  for (const char* bad : {"0.0.0.0", "0.1.2.3", "127.0.0.1", "169.254.1.1", "224.0.0.1", "239.255.255.255",
                          "240.0.0.1", "255.255.255.255"}) {
    EXPECT_TRUE(refused(model_.plan_create_vm(vm("acme", "web", bad)), ErrorCode::invalid_argument, "vm.dip",
                        "tenants/acme/vms/web", bad));
  }
  for (const char* good :
       {"1.0.0.0", "126.255.255.255", "128.0.0.0", "169.253.255.255", "169.255.0.0", "223.255.255.255"}) {
    EXPECT_TRUE(model_.plan_create_vm(vm("acme", "web", good))) << good;
  }
}

TEST_F(VmTest, PrivateAddressIsUniqueOnItsPort) {
  carry_out(model_.plan_create_vm(vm("acme", "web")));
  EXPECT_TRUE(refused(model_.plan_create_vm(vm("umbrella", "web")), ErrorCode::already_exists, "vm.dip",
                      "tenants/umbrella/vms/web", "belongs to tenants/acme/vms/web"));
  EXPECT_TRUE(model_.plan_create_vm(vm("umbrella", "web", "10.0.0.2", "more"))) << "another port";
  EXPECT_TRUE(model_.plan_create_vm(vm("umbrella", "web", "10.0.0.3"))) << "another address";
  carry_out(model_.plan_delete_vm({"acme", "web"}));
  EXPECT_TRUE(model_.plan_create_vm(vm("umbrella", "web"))) << "free again";
}

// --- IPv6 ---

TEST_F(VmTest, AnAddressOfEitherFamilyOrOfBoth) {
  EXPECT_TRUE(model_.plan_create_vm(vm6("acme", "web")));
  EXPECT_TRUE(model_.plan_create_vm(vm6("acme", "web", "fd00::2", "10.0.0.2")));
  Vm none = vm("acme", "web");
  none.dip.reset();
  EXPECT_TRUE(refused(model_.plan_create_vm(none), ErrorCode::invalid_argument, "vm.dip",
                      "tenants/acme/vms/web", "no private address"));
  carry_out(model_.plan_create_vm(vm6("acme", "web", "fd00::2", "10.0.0.2")));
  EXPECT_TRUE(is_unchanged(model_.plan_create_vm(vm6("acme", "web", "fd00::2", "10.0.0.2")), 1));
  EXPECT_TRUE(refused(model_.plan_create_vm(vm6("acme", "web")), ErrorCode::already_exists, "vm.name",
                      "tenants/acme/vms/web", "exists with another"));
}

TEST_F(VmTest, PrivateIpv6AddressMustBeUnicast) {
  for (const char* bad :
       {"::", "::1", "::10.0.0.2", "::ffff:10.0.0.2", "fe80::1", "febf::1", "fec0::1", "ff02::1", "ffff::"}) {
    EXPECT_TRUE(refused(model_.plan_create_vm(vm6("acme", "web", bad)), ErrorCode::invalid_argument,
                        "vm.dip6", "tenants/acme/vms/web", ip6(bad).to_string()));
  }
  for (const char* good :
       {"fd00::2", "fc00::", "2001:db8::5", "2a00::", "64:ff9b::1", "fe7f::1", "::1:0:0:0"})
    EXPECT_TRUE(model_.plan_create_vm(vm6("acme", "web", good))) << good;
}

TEST_F(VmTest, EachPrivateAddressIsUniqueOnItsPort) {
  carry_out(model_.plan_create_vm(vm6("acme", "web", "fd00::2", "10.0.0.2")));
  EXPECT_TRUE(refused(model_.plan_create_vm(vm6("acme", "db")), ErrorCode::already_exists, "vm.dip6",
                      "tenants/acme/vms/db",
                      "private address fd00::2 on port vms belongs to tenants/acme/vms/web"));
  EXPECT_TRUE(refused(model_.plan_create_vm(vm6("acme", "db", "fd00::3", "10.0.0.2")),
                      ErrorCode::already_exists, "vm.dip", "tenants/acme/vms/db",
                      "private address 10.0.0.2"));
  EXPECT_TRUE(model_.plan_create_vm(vm6("acme", "db", "fd00::3", "10.0.0.3")));
  Vm elsewhere = vm6("acme", "db");
  elsewhere.location.port = "more";
  carry_out(model_.plan_create_vm(elsewhere));
  EXPECT_TRUE(refused(model_.plan_move_vm({"acme", "db"}, {"vms", mac("02:00:00:00:00:02")}),
                      ErrorCode::already_exists, "location.port", "tenants/acme/vms/db", "fd00::2"));
}

TEST_F(VmTest, AMoveTakesBothEipsAlong) {
  carry_out(model_.plan_create_pool(pool("p", "203.0.113.0/24")));
  carry_out(model_.plan_create_pool(pool("q", "2001:db8::/64")));
  carry_out(model_.plan_create_vm(vm6("acme", "web", "fd00::2", "10.0.0.2")));
  for (const IpFamily family : {IpFamily::ipv4, IpFamily::ipv6})
    carry_out(model_.plan_request_eip({"acme", "web"}, "", now, family));
  carry_out(model_.plan_move_vm({"acme", "web"}, {"more", mac("02:00:00:00:00:09")}));
  for (const auto& [address, eip] : model_.state().eips) {
    EXPECT_EQ(eip.binding_generation, generation()) << address.to_string();
    EXPECT_TRUE(refused(model_.plan_delete_vm({"acme", "web"}), ErrorCode::failed_precondition, "name",
                        "tenants/acme/vms/web", "has the EIP"));
  }
  EXPECT_EQ(model_.state().eips.size(), 2u);
  carry_out(model_.plan_release_eip("acme", ip("203.0.113.1"), now));
  EXPECT_TRUE(refused(model_.plan_delete_vm({"acme", "web"}), ErrorCode::failed_precondition, "name",
                      "tenants/acme/vms/web", "has the EIP 2001:db8::1; release it first"));
  carry_out(model_.plan_release_eip("acme", ip6("2001:db8::1"), now));
  EXPECT_TRUE(model_.plan_delete_vm({"acme", "web"}));
}

TEST_F(VmTest, AMoveChangesThePlaceAlone) {
  carry_out(model_.plan_create_pool(pool("p", "203.0.113.0/24")));
  const Eip eip = add_eip("acme", "web");
  set_list(eip, {rule("a")});
  const Eip before = model_.state().eips.at(eip.address);
  const Location there{"more", mac("02:00:00:00:00:09")};
  const Vm moved = carry_out(model_.plan_move_vm({"acme", "web"}, there));
  EXPECT_EQ(moved.location, there);
  EXPECT_EQ(**model_.find_vm({"acme", "web"}), moved);
  Eip after = before;
  after.binding_generation = generation();
  EXPECT_EQ(model_.state().eips.at(eip.address), after);
  EXPECT_TRUE(is_unchanged(model_.plan_move_vm({"acme", "web"}, there), generation()));
  carry_out(model_.plan_create_vm(vm("umbrella", "web")));  // the place it left is free
}

TEST_F(VmTest, AMoveWithoutAnEip) {
  add_vm("acme", "web");
  const auto plan = model_.plan_move_vm({"acme", "web"}, {"more", mac("02:00:00:00:00:01")});
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->changes, (ChangeSet{2, {PutVm{vm("acme", "web", "10.0.0.2", "more")}}}));
}

TEST_F(VmTest, AMoveIsRefused) {
  add_vm("acme", "web");
  carry_out(model_.plan_create_vm(vm("umbrella", "db", "10.0.0.2", "more")));
  const auto move = [&](const std::string& port, const char* to = "02:00:00:00:00:01") {
    return model_.plan_move_vm({"acme", "web"}, {port, mac(to)});
  };
  const std::string name = "tenants/acme/vms/web";
  EXPECT_TRUE(refused(model_.plan_move_vm({"acme", "none"}, {"more", mac("02:00:00:00:00:01")}),
                      ErrorCode::not_found, "name", "tenants/acme/vms/none", "does not exist"));
  EXPECT_TRUE(
      refused(move("uplink"), ErrorCode::invalid_argument, "location.port", name, "no endpoint port"));
  EXPECT_TRUE(refused(move("vms", "01:00:5e:00:00:01"), ErrorCode::invalid_argument, "location.mac", name,
                      "unicast"));
  EXPECT_TRUE(refused(move("more"), ErrorCode::already_exists, "location.port", name,
                      "belongs to tenants/umbrella/vms/db"));
  EXPECT_TRUE(move("vms", "02:00:00:00:00:02")) << "another interface at the same port";
}

TEST_F(VmTest, Capacity) {
  use({.vms = 2});
  add_vm("acme", "a");
  add_vm("acme", "b");
  EXPECT_TRUE(refused(model_.plan_create_vm(vm("acme", "c", "10.0.0.9")), ErrorCode::resource_exhausted, "vm",
                      "tenants/acme/vms/c", "all 2 vms"));
  EXPECT_TRUE(is_unchanged(model_.plan_create_vm(vm("acme", "a")), 2)) << "a repeat needs no room";
  carry_out(model_.plan_delete_vm({"acme", "a"}));
  EXPECT_TRUE(model_.plan_create_vm(vm("acme", "c", "10.0.0.9")));
}

TEST_F(VmTest, Delete) {
  carry_out(model_.plan_create_pool(pool("p", "203.0.113.0/24")));
  const Eip eip = add_eip("acme", "web");
  EXPECT_TRUE(refused(model_.plan_delete_vm({"acme", "web"}), ErrorCode::failed_precondition, "name",
                      "tenants/acme/vms/web", "has the EIP 203.0.113.1; release it first"));
  EXPECT_TRUE(refused(model_.plan_delete_vm({"umbrella", "web"}), ErrorCode::not_found, "name",
                      "tenants/umbrella/vms/web", "does not exist"));
  carry_out(model_.plan_release_eip("acme", eip.address, now));
  const auto plan = model_.plan_delete_vm({"acme", "web"});
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->changes, (ChangeSet{generation() + 1, {DeleteVm{{"acme", "web"}}}}));
  carry_out(plan);
  EXPECT_TRUE(refused(model_.plan_delete_vm({"acme", "web"}), ErrorCode::not_found, "name",
                      "tenants/acme/vms/web", "does not exist"));
}

TEST_F(VmTest, EipOfVm) {
  carry_out(model_.plan_create_pool(pool("p", "203.0.113.0/24")));
  add_vm("acme", "web");
  EXPECT_EQ(model_.eip_of_vm({"acme", "web"}, IpFamily::ipv4), nullptr);
  const Eip eip = carry_out(model_.plan_request_eip({"acme", "web"}, "", now));
  ASSERT_NE(model_.eip_of_vm({"acme", "web"}, IpFamily::ipv4), nullptr);
  EXPECT_EQ(*model_.eip_of_vm({"acme", "web"}, IpFamily::ipv4), eip);
}

}  // namespace
}  // namespace portcullis::model
