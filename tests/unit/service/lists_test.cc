// What the API lists and counts.
#include <rte_cycles.h>

#include <set>
#include <string>
#include <vector>

#include "dataplane/worker_state.h"
#include "tests/unit/service/api_fixture.h"

namespace portcullis::service {
namespace {

TEST_F(Api, ListsComeInPages) {
  populate();
  add_vm("beta", "one", 3);
  add_vm("acme", "two", 4);
  add_vm("acme", "three", 5);
  for (const auto& [parent, expected] : std::map<std::string, std::vector<std::string>>{
           {"tenants/acme", {"203.0.113.4", "203.0.113.3", "203.0.113.1"}},  // three, two, web
           {"tenants/beta", {"203.0.113.2"}},
           {"tenants/none", {}},
           {"tenants/-", {"203.0.113.1", "203.0.113.2", "203.0.113.3", "203.0.113.4"}}}) {
    for (int size = 1; size <= 5; ++size) {
      SCOPED_TRACE(parent + " by " + std::to_string(size));
      std::vector<std::string> seen, vms;
      v1::ListEipsRequest request;
      request.set_parent(parent);
      request.set_page_size(size);
      do {
        v1::ListEipsResponse page;
        ASSERT_TRUE(page.ParseFromString(call("TenantService/ListEips", request).bytes));
        EXPECT_LE(page.eips_size(), size);
        for (const v1::Eip& eip : page.eips()) seen.push_back(eip.address());
        request.set_page_token(page.next_page_token());
      } while (!request.page_token().empty());
      EXPECT_EQ(seen, expected);

      v1::ListVmsRequest vm_request;
      vm_request.set_parent(parent);
      vm_request.set_page_size(size);
      do {
        v1::ListVmsResponse page;
        ASSERT_TRUE(page.ParseFromString(call("ProviderService/ListVms", vm_request).bytes));
        EXPECT_LE(page.vms_size(), size);
        for (const v1::Vm& vm : page.vms()) vms.push_back(vm.name());
        vm_request.set_page_token(page.next_page_token());
      } while (!vm_request.page_token().empty());
      EXPECT_EQ(vms.size(), expected.size());
      EXPECT_TRUE(std::is_sorted(vms.begin(), vms.end()));
    }
  }
  // A token of one list is none of another, and an object that goes meanwhile takes no other with it.
  const auto first = get<v1::ListEipsResponse, v1::ListEipsRequest>("TenantService/ListEips",
                                                                    "parent: 'tenants/acme' page_size: 1");
  EXPECT_EQ(call<v1::ListEipsRequest>("TenantService/ListEips",
                                      "parent: 'tenants/beta' page_token: '" + first.next_page_token() + "'")
                .status.error_code(),
            grpc::INVALID_ARGUMENT);
  get<v1::ReleaseEipResponse, v1::ReleaseEipRequest>("TenantService/ReleaseEip",
                                                     "name: 'tenants/acme/eips/203.0.113.4'");
  const auto second = get<v1::ListEipsResponse, v1::ListEipsRequest>(
      "TenantService/ListEips", "parent: 'tenants/acme' page_token: '" + first.next_page_token() + "'");
  ASSERT_EQ(second.eips_size(), 2);
  EXPECT_EQ(second.eips(0).address(), "203.0.113.3");
}

TEST_F(Api, AVmsTwoEipsMayLieOnTwoPages) {
  populate();
  get<v1::CreatePoolResponse, v1::CreatePoolRequest>(
      "ProviderService/CreatePool", "pool { name: 'pools/six' prefix: '2001:db8:1::/120' kind: LOCAL }");
  int host = 10;
  for (const std::string id : {"a", "ab", "a-b"}) {
    const std::string name = "tenants/acme/vms/" + id, number = std::to_string(host++);
    get<v1::CreateVmResponse, v1::CreateVmRequest>(
        "ProviderService/CreateVm", "vm { name: '" + name +
                                        "' location { port: 'vm0' mac: '02:00:00:00:00:09' } dip: '10.0.0." +
                                        number + "' dip6: 'fd00::" + number + "' }");
    for (const char* family : {"IPV4", "IPV6"})
      get<v1::RequestEipResponse, v1::RequestEipRequest>("TenantService/RequestEip",
                                                         "vm: '" + name + "' family: " + family);
  }
  const auto page_of = [&](int size, const std::string& token) {
    return get<v1::ListEipsResponse, v1::ListEipsRequest>(
        "TenantService/ListEips",
        "parent: 'tenants/acme' page_size: " + std::to_string(size) + " page_token: '" + token + "'");
  };
  std::vector<std::string> vms;
  const v1::ListEipsResponse all = page_of(100, "");
  for (const v1::Eip& eip : all.eips()) vms.push_back(eip.vm());
  const std::string tenant = "tenants/acme/vms/";
  EXPECT_EQ(vms, (std::vector<std::string>{tenant + "a", tenant + "a", tenant + "a-b", tenant + "a-b",
                                           tenant + "ab", tenant + "ab", tenant + "web"}));
  for (int size = 1; size <= 8; ++size) {
    std::set<std::string> seen;
    v1::ListEipsResponse page;
    do {
      page = page_of(size, page.next_page_token());
      for (const v1::Eip& eip : page.eips()) EXPECT_TRUE(seen.insert(eip.name()).second) << eip.name();
    } while (!page.next_page_token().empty());
    EXPECT_EQ(seen.size(), vms.size()) << "by " << size;
  }
  // A vm that goes takes none with it.
  const auto first = page_of(3, "");  // ends with a-b's first
  get<v1::ReleaseEipResponse, v1::ReleaseEipRequest>("TenantService/ReleaseEip",
                                                     "name: '" + first.eips(2).name() + "'");
  const auto second = page_of(3, first.next_page_token());
  ASSERT_EQ(second.eips_size(), 3);
  EXPECT_EQ(second.eips(0).vm(), tenant + "a-b");
}

TEST_F(Api, CountersAreThoseOfTheWorkers) {
  populate();
  WorkerCounters& counters = plane_.counters();
  counters.dropped[static_cast<size_t>(Drop::unbound)].add(7);
  counters.ports[uplink].received_packets.add(10);
  counters.ports[uplink].received_bytes.add(1000);
  counters.ports[vm0].transmitted_packets.add(3);
  counters.ports[vm0].transmitted_bytes.add(300);
  counters.punted.add(1);
  counters.originated.add(2);
  counters.held.set(1);
  counters.handed_over.add(11);
  counters.taken_over.add(12);
  counters.polls.add(100);
  counters.busy_polls.add(25);
  const uint64_t hz = rte_get_tsc_hz(), began = rte_rdtsc() + 3600 * hz;  // so that no gap is under way
  PollGap& gap = plane_.worker->state().poll_gap;
  gap.begin(began);
  gap.turn(began + 100 * hz);
  gap.turn(began + 161 * hz);
  const BindingRecord* record = plane_.find(View::local, Ipv4Addr::of(203, 0, 113, 1));
  ASSERT_NE(record, nullptr);
  counters.slots[plane_.tables->binding.own_slot(*record)].in_packets.add(5);
  counters.slots[plane_.tables->binding.own_slot(*record)].in_bytes.add(500);
  plane_.open_flows(record->id, 4);
  FlowTable6& flows6 = plane_.worker->state().flows6;
  ASSERT_NE(flows6.insert({.key = {.local = record->id}, .expires_ms = now_ms}, 0, 0), FlowTable6::none);
  FragmentTable& fragments = plane_.worker->state().fragments;
  for (uint16_t id = 1; id <= 2; ++id)
    fragments.insert({.key = {.identification = Be16::from_host(id)}, .expires_ms = now_ms},
                     Ipv4Addr::of(203, 0, 113, 1), 0);
  for (const uint32_t id : {1, 2, 3})
    plane_.worker->state().fragments6.insert(
        {.key = {.identification = Be32::from_host(id)}, .expires_ms = now_ms}, Ipv6Addr(), 0);

  const auto drops = get<v1::ListDropsResponse, v1::ListDropsRequest>("ObserveService/ListDrops", "");
  ASSERT_EQ(static_cast<size_t>(drops.drops_size()), drop_count);
  for (size_t i = 0; i < drop_count; ++i) {
    const v1::DropCounter& drop = drops.drops(static_cast<int>(i));
    EXPECT_EQ(drop.reason(), drop_registry[i].name);
    EXPECT_EQ(drop.stage(), drop_registry[i].stage);
    EXPECT_EQ(drop.description(), drop_registry[i].text);
    EXPECT_EQ(drop.packets(), drop.reason() == "unbound" ? 7u : 0u);
  }

  const auto ports = get<v1::ListPortsResponse, v1::ListPortsRequest>("ObserveService/ListPorts", "");
  EXPECT_EQ(ports.ports(0).received_packets(), 10u);
  EXPECT_EQ(ports.ports(0).received_bytes(), 1000u);
  EXPECT_EQ(ports.ports(0).next_hop_mac(), "");
  EXPECT_EQ(ports.ports(1).transmitted_packets(), 3u);
  EXPECT_EQ(ports.ports(1).transmitted_bytes(), 300u);
  EXPECT_FALSE(ports.ports(1).link_up());
  plane_.tables->next_hop.set(uplink, *Mac::parse("02:00:00:00:00:fe"));
  const auto resolved = get<v1::ListPortsResponse, v1::ListPortsRequest>("ObserveService/ListPorts", "");
  EXPECT_EQ(resolved.ports(0).next_hop_mac(), "02:00:00:00:00:fe");

  const auto workers = get<v1::ListWorkersResponse, v1::ListWorkersRequest>("ObserveService/ListWorkers", "");
  ASSERT_EQ(workers.workers_size(), 1);
  EXPECT_EQ(workers.workers(0).received(), 10u);
  EXPECT_EQ(workers.workers(0).transmitted(), 3u);
  EXPECT_EQ(workers.workers(0).dropped(), 7u);
  EXPECT_EQ(workers.workers(0).punted(), 1u);
  EXPECT_EQ(workers.workers(0).originated(), 2u);
  EXPECT_EQ(workers.workers(0).held(), 1u);
  EXPECT_EQ(workers.workers(0).handed_over(), 11u);
  EXPECT_EQ(workers.workers(0).taken_over(), 12u);
  EXPECT_EQ(workers.workers(0).polls(), 100u);
  EXPECT_EQ(workers.workers(0).busy_polls(), 25u);
  EXPECT_NEAR(static_cast<double>(workers.workers(0).longest_gap_nanoseconds()), 100e9, 100);
  EXPECT_NEAR(static_cast<double>(workers.workers(0).recent_longest_gap_nanoseconds()), 61e9, 100);
  EXPECT_EQ(workers.workers(0).flow_entries(), 4u);
  EXPECT_EQ(workers.workers(0).ipv6_flow_entries(), 1u);
  EXPECT_EQ(workers.workers(0).fragmented_datagrams(), 2u);
  EXPECT_EQ(workers.workers(0).ipv6_fragmented_datagrams(), 3u);

  const auto eip = get<v1::EipStatistics, v1::GetEipStatisticsRequest>(
      "ObserveService/GetEipStatistics", "eip: 'tenants/acme/eips/203.0.113.1'");
  EXPECT_EQ(eip.in_packets(), 5u);
  EXPECT_EQ(eip.in_bytes(), 500u);
  EXPECT_EQ(eip.out_packets(), 0u);
  EXPECT_EQ(eip.flow_entries(), 5u) << "of both families";
}

}  // namespace
}  // namespace portcullis::service
