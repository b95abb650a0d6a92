#include <chrono>

#include "tests/unit/model/fixture.h"

namespace portcullis::model {
namespace {

class EipTest : public ModelTest {
 protected:
  Expected<Plan<Eip>> request(const std::string& id, const std::string& from = "", int64_t at = now) {
    if (!model_.find_vm({"acme", id})) add_vm("acme", id);
    return model_.plan_request_eip({"acme", id}, from, at);
  }
  std::string address_for(const std::string& id, int64_t at = now) {
    return carry_out(request(id, "", at)).address.to_string();
  }
  void release(const char* address, int64_t at = now) {
    carry_out(model_.plan_release_eip("acme", ip(address), at));
  }
};

TEST_F(EipTest, RequestGivesAnEmptyListUnderANewGeneration) {
  carry_out(model_.plan_create_pool(pool("p", "203.0.113.0/24")));
  const auto plan = request("web");
  ASSERT_TRUE(plan);
  Eip expected;
  expected.address = ip("203.0.113.1");
  expected.tenant = "acme";
  expected.vm = "web";
  expected.created = expected.binding_generation = expected.list_generation = expected.kept_from = 3;
  EXPECT_EQ(plan->reply, expected);
  EXPECT_EQ(plan->changes, (ChangeSet{3, {PutEip{expected}}}));
  carry_out(plan);
  EXPECT_EQ(**model_.find_eip("acme", expected.address), expected);
}

TEST_F(EipTest, AskingAgainGivesTheSame) {
  carry_out(model_.plan_create_pool(pool("p", "203.0.113.0/24")));
  carry_out(model_.plan_create_pool(pool("q", "198.51.100.0/24")));
  const Eip eip = carry_out(request("web"));
  for (const char* from : {"", "p"}) {
    const auto again = request("web", from);
    EXPECT_TRUE(is_unchanged(again, generation()));
    EXPECT_EQ(again->reply, eip);
  }
  EXPECT_TRUE(refused(request("web", "q"), ErrorCode::already_exists, "pool", "tenants/acme/eips/203.0.113.1",
                      "has the EIP 203.0.113.1 of pools/p"));
}

TEST_F(EipTest, VmAndPoolMustExist) {
  EXPECT_TRUE(refused(model_.plan_request_eip({"acme", "web"}, "", now), ErrorCode::not_found, "vm",
                      "tenants/acme/vms/web", "does not exist"));
  EXPECT_TRUE(refused(request("web"), ErrorCode::resource_exhausted, "pool", "",
                      "no local IPv4 pool has a free address"));
  EXPECT_TRUE(refused(request("web", "q"), ErrorCode::not_found, "pool", "pools/q", "does not exist"));
  carry_out(model_.plan_create_pool(pool("q", "198.51.100.0/24", PoolKind::provider)));
  EXPECT_TRUE(
      refused(request("web", "q"), ErrorCode::failed_precondition, "pool", "pools/q", "another gateway"));
  EXPECT_TRUE(refused(request("web"), ErrorCode::resource_exhausted, "pool", "",
                      "no local IPv4 pool has a free address"));
  add_vm("umbrella", "web");
  EXPECT_TRUE(refused(model_.plan_request_eip({"umbrella", "db"}, "", now), ErrorCode::not_found, "vm",
                      "tenants/umbrella/vms/db", "does not exist"));
}

TEST_F(EipTest, AddressesInOrderWithoutTheFirstAndLast) {
  carry_out(model_.plan_create_pool(pool("p", "203.0.113.0/29")));
  for (int i = 1; i <= 6; ++i) {
    EXPECT_EQ(address_for("vm-" + std::to_string(i)), "203.0.113." + std::to_string(i));
  }
  EXPECT_TRUE(refused(request("seven"), ErrorCode::resource_exhausted, "pool", "", "no local IPv4 pool"));
  EXPECT_TRUE(
      refused(request("seven", "p"), ErrorCode::resource_exhausted, "pool", "pools/p", "6 are held by EIPs"));
}

TEST_F(EipTest, SmallPrefixesKeepNothingBack) {
  carry_out(model_.plan_create_pool(pool("a", "203.0.113.8/32")));
  carry_out(model_.plan_create_pool(pool("b", "203.0.113.10/31")));
  EXPECT_EQ(address_for("one"), "203.0.113.8");
  EXPECT_EQ(address_for("two"), "203.0.113.10");
  EXPECT_EQ(address_for("three"), "203.0.113.11");
  EXPECT_FALSE(request("four"));
}

TEST_F(EipTest, PoolsInOrderOfTheirIds) {
  carry_out(model_.plan_create_pool(pool("b", "198.51.100.1/32")));
  carry_out(model_.plan_create_pool(pool("a", "203.0.113.1/32")));
  carry_out(model_.plan_create_pool(pool("0", "192.0.2.0/24", PoolKind::provider)));
  EXPECT_EQ(address_for("one"), "203.0.113.1");
  EXPECT_EQ(address_for("two"), "198.51.100.1");
}

TEST_F(EipTest, ReservedAddressesAreNotHandedOut) {
  use({}, {ip("203.0.113.1"), ip("203.0.113.3")});
  carry_out(model_.plan_create_pool(pool("p", "203.0.113.0/29")));
  EXPECT_EQ(address_for("one"), "203.0.113.2");
  EXPECT_EQ(address_for("two"), "203.0.113.4");
}

// --- IPv6 ---

class Ipv6EipTest : public EipTest {
 protected:
  void SetUp() override {
    carry_out(model_.plan_create_pool(pool("p", "203.0.113.0/24")));
    carry_out(model_.plan_create_pool(pool("q", "2001:db8::/64")));
  }
  Expected<Plan<Eip>> ask(const std::string& id, std::optional<IpFamily> family = std::nullopt,
                          const std::string& from = "", int64_t at = now) {
    return model_.plan_request_eip({"acme", id}, from, at, family);
  }
  std::string given(const std::string& id, std::optional<IpFamily> family = std::nullopt,
                    const std::string& from = "", int64_t at = now) {
    return carry_out(ask(id, family, from, at)).address.to_string();
  }
};

TEST_F(Ipv6EipTest, TheFamilyFollowsTheVm) {
  carry_out(model_.plan_create_vm(vm6("acme", "six")));
  carry_out(model_.plan_create_vm(vm6("acme", "both", "fd00::3", "10.0.0.3")));
  add_vm("acme", "four");
  EXPECT_EQ(given("six"), "2001:db8::1");
  EXPECT_EQ(given("both"), "203.0.113.1") << "IPv4 if it is not said";
  EXPECT_EQ(given("both", IpFamily::ipv6), "2001:db8::2");
  for (const auto family :
       {std::optional(IpFamily::ipv4), std::optional(IpFamily::ipv6), std::optional<IpFamily>()})
    EXPECT_TRUE(is_unchanged(ask("both", family), generation()));
  EXPECT_EQ(ask("both")->reply.address, ip("203.0.113.1"));
  EXPECT_EQ(ask("both", IpFamily::ipv6)->reply.address, ip6("2001:db8::2"));
  EXPECT_TRUE(refused(ask("six", IpFamily::ipv4), ErrorCode::failed_precondition, "family",
                      "tenants/acme/vms/six", "has no IPv4 private address"));
  EXPECT_TRUE(refused(ask("four", IpFamily::ipv6), ErrorCode::failed_precondition, "family",
                      "tenants/acme/vms/four", "has no IPv6 private address"));
}

TEST_F(Ipv6EipTest, TheyHaveALimitOfTheirOwn) {
  use({.eips = 3, .ipv6_eips = 1});
  SetUp();
  carry_out(model_.plan_create_vm(vm6("acme", "one", "fd00::1", "10.0.0.1")));
  carry_out(model_.plan_create_vm(vm6("acme", "two", "fd00::2", "10.0.0.2")));
  given("one", IpFamily::ipv6);
  EXPECT_TRUE(refused(ask("two", IpFamily::ipv6), ErrorCode::resource_exhausted, "vm", "tenants/acme/vms/two",
                      "all 1 IPv6 EIPs are in use; release one or raise capacity.ipv6_eips"));
  EXPECT_EQ(given("two", IpFamily::ipv4), "203.0.113.1");
  carry_out(model_.plan_release_eip("acme", ip6("2001:db8::1"), now));
  EXPECT_EQ(given("two", IpFamily::ipv6), "2001:db8::2");
}

TEST_F(Ipv6EipTest, ThePoolIsOfTheFamily) {
  carry_out(model_.plan_create_vm(vm6("acme", "both", "fd00::3", "10.0.0.3")));
  EXPECT_TRUE(refused(ask("both", IpFamily::ipv6, "p"), ErrorCode::invalid_argument, "pool", "pools/p",
                      "an IPv6 EIP is asked for, and pools/p is of IPv4"));
  EXPECT_TRUE(refused(ask("both", std::nullopt, "q"), ErrorCode::invalid_argument, "pool", "pools/q",
                      "an IPv4 EIP is asked for, and pools/q is of IPv6"));
  EXPECT_EQ(given("both", IpFamily::ipv6, "q"), "2001:db8::1");
  carry_out(model_.plan_delete_pool("p"));
  EXPECT_TRUE(refused(ask("both"), ErrorCode::resource_exhausted, "pool", "", "no local IPv4 pool"));
}

TEST_F(Ipv6EipTest, TheFirstAddressMeansARouter) {
  use({});
  for (const auto& [prefix, first] : {std::pair{"2001:db8::40/126", "2001:db8::41"},
                                      {"2001:db8::40/127", "2001:db8::40"},
                                      {"2001:db8::40/128", "2001:db8::40"},
                                      {"2001:db8::/32", "2001:db8::1"}}) {
    carry_out(model_.plan_create_pool(pool("p", prefix)));
    carry_out(model_.plan_create_vm(vm6("acme", "web")));
    EXPECT_EQ(given("web"), first);
    carry_out(model_.plan_release_eip("acme", ip6(first), now));
    carry_out(model_.plan_delete_vm({"acme", "web"}));
    carry_out(model_.plan_delete_pool("p"));
    use({});
  }
  carry_out(model_.plan_create_pool(pool("p", "2001:db8::40/126")));
  for (const char* id : {"a", "b", "c", "d"}) {
    Vm next = vm6("acme", id);
    next.location.port = "more";
    next.dip6 = Ipv6Addr::of(0xfd00000000000000, static_cast<uint64_t>(id[0]));
    carry_out(model_.plan_create_vm(next));
  }
  EXPECT_EQ(given("a"), "2001:db8::41");
  EXPECT_EQ(given("b"), "2001:db8::42");
  EXPECT_EQ(given("c"), "2001:db8::43") << "there is no broadcast address";
  EXPECT_FALSE(ask("d"));
}

// --- a private address that is public ---

TEST_F(Ipv6EipTest, ItsOwnAddressIsItsEip) {
  carry_out(model_.plan_create_vm(vm6("acme", "web", "2001:db8::5")));
  EXPECT_EQ(given("web"), "2001:db8::5");
  EXPECT_EQ(ask("web")->reply.address, ip6("2001:db8::5")) << "again";
  carry_out(model_.plan_create_vm(vm("acme", "four", "203.0.113.9")));
  EXPECT_EQ(given("four"), "203.0.113.9") << "IPv4 alike";
}

TEST_F(Ipv6EipTest, OnlyIfItMayBeHandedOut) {
  use({.quarantine_ms = 1000}, {ip6("2001:db8::9")});
  carry_out(model_.plan_create_pool(pool("q", "2001:db8::/64")));
  carry_out(model_.plan_create_pool(pool("r", "2001:db8:1::/64")));
  carry_out(model_.plan_create_pool(pool("far", "2001:db8:2::/64", PoolKind::provider)));
  const auto dip_gets = [&](const char* dip, const std::string& from = "") {
    carry_out(model_.plan_create_vm(vm6("acme", "web", dip)));
    const Eip eip = carry_out(ask("web", std::nullopt, from));
    carry_out(model_.plan_release_eip("acme", eip.address, now - 1000));
    carry_out(model_.plan_delete_vm({"acme", "web"}));
    return eip.address.to_string();
  };
  EXPECT_EQ(dip_gets("2001:db8::"), "2001:db8::1") << "any router there";
  EXPECT_EQ(dip_gets("2001:db8::9"), "2001:db8::1") << "the gateway's own";
  EXPECT_EQ(dip_gets("2001:db8::10:0"), "2001:db8::1") << "beyond the first million";
  EXPECT_EQ(dip_gets("2001:db8::f:ffff"), "2001:db8::f:ffff") << "the last of it";
  EXPECT_EQ(dip_gets("2001:db8:2::7"), "2001:db8::1") << "another gateway's";
  EXPECT_EQ(dip_gets("2001:db8::7", "r"), "2001:db8:1::1") << "of another pool than is named";
  EXPECT_EQ(dip_gets("2001:db8:1::7", "r"), "2001:db8:1::7");
}

TEST_F(Ipv6EipTest, ItsOwnAddressGoesToNobodyElse) {
  carry_out(model_.plan_create_vm(vm6("acme", "one", "2001:db8::1")));
  carry_out(model_.plan_create_vm(vm6("acme", "two", "fd00::2")));
  carry_out(model_.plan_create_vm(vm6("acme", "three", "fd00::3")));
  EXPECT_EQ(given("two"), "2001:db8::2");
  EXPECT_EQ(given("one"), "2001:db8::1");
  carry_out(model_.plan_release_eip("acme", ip6("2001:db8::1"), now));
  EXPECT_EQ(given("three", std::nullopt, "", now + 600'000), "2001:db8::3")
      << "not when it has rested, either";
  EXPECT_EQ(given("one", std::nullopt, "", now + 600'000), "2001:db8::1");
  carry_out(model_.plan_release_eip("acme", ip6("2001:db8::1"), now));
  carry_out(model_.plan_delete_vm({"acme", "one"}));
  carry_out(model_.plan_create_vm(vm6("acme", "four", "fd00::4")));
  EXPECT_EQ(given("four", std::nullopt, "", now + 600'000), "2001:db8::1") << "the vm is gone";
}

TEST_F(Ipv6EipTest, AnAddressThatWasKeptIsFreeOnceItsVmIsGone) {
  carry_out(model_.plan_create_vm(vm6("acme", "one", "2001:db8::1")));
  carry_out(model_.plan_create_vm(vm6("acme", "two", "fd00::2")));
  EXPECT_EQ(given("two"), "2001:db8::2");
  carry_out(model_.plan_delete_vm({"acme", "one"}));
  carry_out(model_.plan_create_vm(vm6("acme", "three", "fd00::3")));
  EXPECT_EQ(given("three"), "2001:db8::1");
}

TEST_F(Ipv6EipTest, AnAddressThatIsHeldOrRestsIsTranslated) {
  carry_out(model_.plan_create_vm(vm6("acme", "two", "fd00::2")));
  EXPECT_EQ(given("two"), "2001:db8::1");
  carry_out(model_.plan_create_vm(vm6("acme", "one", "2001:db8::1")));
  EXPECT_EQ(given("one"), "2001:db8::2") << "another vm has it";
  carry_out(model_.plan_release_eip("acme", ip6("2001:db8::2"), now));
  carry_out(model_.plan_release_eip("acme", ip6("2001:db8::1"), now));
  EXPECT_EQ(given("one", std::nullopt, "", now + 599'999), "2001:db8::3") << "it rests";
  carry_out(model_.plan_release_eip("acme", ip6("2001:db8::3"), now));
  EXPECT_EQ(given("one", std::nullopt, "", now + 600'000), "2001:db8::1");
}

TEST_F(Ipv6EipTest, TwoVmsWithOnePublicAddress) {
  carry_out(model_.plan_create_vm(vm6("acme", "one", "2001:db8::1")));
  Vm other = vm6("acme", "two", "2001:db8::1");
  other.location.port = "more";
  carry_out(model_.plan_create_vm(other));
  EXPECT_EQ(given("two"), "2001:db8::1") << "who asks first";
  EXPECT_EQ(given("one"), "2001:db8::2");
  carry_out(model_.plan_release_eip("acme", ip6("2001:db8::1"), now));
  carry_out(model_.plan_delete_vm({"acme", "two"}));
  carry_out(model_.plan_create_vm(vm6("acme", "three", "fd00::3")));
  EXPECT_EQ(given("three", std::nullopt, "", now + 600'000), "2001:db8::3") << "it is still a vm's";
}

TEST_F(EipTest, ReleaseIsForItsTenantOnly) {
  carry_out(model_.plan_create_pool(pool("p", "203.0.113.0/24")));
  address_for("web");
  EXPECT_TRUE(refused(model_.plan_release_eip("umbrella", ip("203.0.113.1"), now), ErrorCode::not_found,
                      "name", "tenants/umbrella/eips/203.0.113.1", "does not exist"));
  EXPECT_TRUE(refused(model_.find_eip("umbrella", ip("203.0.113.1")), ErrorCode::not_found, "eip",
                      "tenants/umbrella/eips/203.0.113.1", "does not exist"));
  const auto plan = model_.plan_release_eip("acme", ip("203.0.113.1"), now);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->changes, (ChangeSet{generation() + 1, {DeleteEip{ip("203.0.113.1"), now + 600'000}}}));
  carry_out(plan);
  EXPECT_TRUE(refused(model_.plan_release_eip("acme", ip("203.0.113.1"), now), ErrorCode::not_found, "name",
                      "tenants/acme/eips/203.0.113.1", "does not exist"));
  EXPECT_EQ(model_.eip_of_vm({"acme", "web"}, IpFamily::ipv4), nullptr);
}

TEST_F(EipTest, AFullPoolSaysWhenAnAddressIsFree) {
  use({.quarantine_ms = 1500});
  carry_out(model_.plan_create_pool(pool("p", "203.0.113.0/30")));
  for (const char* id : {"a", "b"}) address_for(id);
  carry_out(model_.plan_create_vm(vm("acme", "c", "10.0.9.9")));
  const auto ask = [&] { return model_.plan_request_eip({"acme", "c"}, "p", now); };
  EXPECT_TRUE(refused(ask(), ErrorCode::resource_exhausted, "pool", "pools/p",
                      "2 are held by EIPs; add a pool or release an EIP"));
  release("203.0.113.2", now - 400);
  release("203.0.113.1", now);
  EXPECT_TRUE(refused(ask(), ErrorCode::resource_exhausted, "pool", "pools/p",
                      "0 are held by EIPs, others rest after a release, the first of them for another 2 s; "
                      "add a pool, or wait"));
}

TEST_F(EipTest, QuarantineThenTheLongestRestedFirst) {
  use({.quarantine_ms = 1000});
  carry_out(model_.plan_create_pool(pool("p", "203.0.113.0/29")));
  for (const char* id : {"a", "b", "c"}) address_for(id);
  release("203.0.113.2", now);
  release("203.0.113.1", now + 10);
  EXPECT_EQ(address_for("d", now + 999), "203.0.113.4") << "none has rested";
  EXPECT_EQ(address_for("e", now + 1000), "203.0.113.2") << "to the millisecond";
  EXPECT_TRUE(model_.state().quarantine.contains(ip("203.0.113.1")));
  EXPECT_FALSE(model_.state().quarantine.contains(ip("203.0.113.2"))) << "lifted";
  EXPECT_EQ(address_for("f", now + 1009), "203.0.113.5");
  EXPECT_EQ(address_for("g", now + 1010), "203.0.113.1");
  EXPECT_EQ(address_for("h", now + 1010), "203.0.113.6");
  EXPECT_FALSE(request("i", "", now + 1010));
  release("203.0.113.6", now + 2000);
  EXPECT_FALSE(request("i", "", now + 2999));
  EXPECT_EQ(address_for("i", now + 3000), "203.0.113.6");
}

TEST_F(EipTest, ReissuedAddressHasANewCreation) {
  use({.quarantine_ms = 0});
  carry_out(model_.plan_create_pool(pool("p", "203.0.113.1/32")));
  const Eip before = carry_out(request("web"));
  release("203.0.113.1");
  const Eip after = carry_out(request("web"));
  EXPECT_EQ(after.address, before.address);
  EXPECT_GT(after.created, before.created);
  EXPECT_TRUE(after.permit.empty());
}

TEST_F(EipTest, QuarantineOutlivesItsPool) {
  use({.quarantine_ms = 1000});
  carry_out(model_.plan_create_pool(pool("p", "203.0.113.0/30")));
  address_for("a");
  address_for("b");
  release("203.0.113.1");
  release("203.0.113.2");
  carry_out(model_.plan_delete_pool("p"));
  // The new pool keeps .0 and .3 no longer back, and .2 is not in it.
  carry_out(model_.plan_create_pool(pool("q", "203.0.113.0/31")));
  EXPECT_EQ(address_for("a"), "203.0.113.0");
  EXPECT_FALSE(request("b"));
  EXPECT_EQ(address_for("b", now + 1000), "203.0.113.1");
}

TEST_F(EipTest, RestedAddressThatANewPoolKeepsBackStaysBack) {
  use({.quarantine_ms = 0});
  carry_out(model_.plan_create_pool(pool("p", "203.0.113.0/31")));
  EXPECT_EQ(address_for("a"), "203.0.113.0");
  release("203.0.113.0");
  carry_out(model_.plan_delete_pool("p"));
  carry_out(model_.plan_create_pool(pool("p", "203.0.113.0/29")));
  EXPECT_EQ(address_for("a"), "203.0.113.1");
}

TEST_F(EipTest, Capacity) {
  use({.eips = 3, .quarantine_ms = 0, .eips_per_tenant = 2});
  carry_out(model_.plan_create_pool(pool("p", "203.0.113.0/24")));
  address_for("a");
  address_for("b");
  EXPECT_TRUE(refused(request("c"), ErrorCode::resource_exhausted, "vm", "tenants/acme/vms/c",
                      "tenants/acme has 2 EIPs, and its quota is 2"));
  EXPECT_TRUE(is_unchanged(request("a"), generation())) << "a repeat needs no room";
  add_eip("umbrella", "a");
  add_vm("stark", "a");
  EXPECT_TRUE(refused(model_.plan_request_eip({"stark", "a"}, "", now), ErrorCode::resource_exhausted, "vm",
                      "tenants/stark/vms/a", "all 3 EIPs are in use"));
  release("203.0.113.1");
  EXPECT_TRUE(request("c"));
}

TEST_F(EipTest, TenantsThatMayHaveSome) {
  use({.tenants = 2, .quarantine_ms = 0});
  carry_out(model_.plan_create_pool(pool("p", "203.0.113.0/24")));
  const Eip first = add_eip("acme", "a");
  add_eip("umbrella", "a");
  add_vm("stark", "a");
  const auto request_of_third = [&] { return model_.plan_request_eip({"stark", "a"}, "", now); };
  EXPECT_TRUE(refused(request_of_third(), ErrorCode::resource_exhausted, "vm", "tenants/stark/vms/a",
                      "all 2 tenants that may have EIPs have some; release another's or raise "
                      "capacity.tenants"));
  add_eip("umbrella", "b");
  carry_out(model_.plan_release_eip("acme", first.address, now));
  EXPECT_TRUE(request_of_third());
}

// A /12 with 100,000 EIPs: no call may walk them.
TEST_F(EipTest, LargePoolsAreCheap) {
  use({.eips = 200'000, .vms = 200'000, .quarantine_ms = 1000, .eips_per_tenant = 200'000});
  carry_out(model_.plan_create_pool(pool("p", "100.64.0.0/12")));
  const auto start = std::chrono::steady_clock::now();
  constexpr uint32_t count = 100'000;
  for (uint32_t i = 0; i < count; ++i) {
    Vm next = vm("acme", "vm-" + std::to_string(i));
    next.dip = Ipv4Addr::from_host(0x0a000000 + i);
    model_.apply(model_.plan_create_vm(next)->changes);
    model_.apply(model_.plan_request_eip({"acme", next.id}, "p", now)->changes);
  }
  // Half of them rest, and one more is asked for and given back, again and again.
  for (uint32_t i = 0; i < count; i += 2) {
    model_.apply(model_.plan_release_eip("acme", Ipv4Addr::from_host(0x64400001 + i), now)->changes);
  }
  for (uint32_t i = 0; i < 10'000; ++i) {
    const auto plan = model_.plan_request_eip({"acme", "vm-0"}, "p", now);
    ASSERT_TRUE(plan);
    model_.apply(plan->changes);
    model_.apply(model_.plan_release_eip("acme", plan->reply.address, now)->changes);
  }
  const auto seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  EXPECT_LT(seconds, 20) << "some microseconds a call on a quiet machine";
  EXPECT_EQ(model_.state().eips.size(), count / 2);
}

}  // namespace
}  // namespace portcullis::model
